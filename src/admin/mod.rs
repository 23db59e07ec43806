//! Our own endpoints but `/health`: a table of them, and who may use them. They run on one thread, which may take its time.

mod cache_clear;
mod cache_stats;
mod queue_stats;
mod zone;

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::message::{IdText, Request, Target};
use crate::proxy::Proxy;
use crate::reply::Reply;
use crate::route::{self, BuiltIn};

/// Members of a list, unless fewer are asked for with `?limit=`.
const MOST_LISTED: usize = 1000;

/// One endpoint.
struct Endpoint {
    /// Its name, as in [`route::ADMIN_NAMES`].
    name: &'static str,
    effect: Effect,
    /// The JSON of its 200.
    answer: fn(&Proxy, &Request) -> Value,
}

/// What an endpoint does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It tells.
    Reads,
    /// It changes something, so it takes POST only, and not from a foreign page.
    Changes,
}

static ENDPOINTS: [Endpoint; 3] = [
    cache_clear::ENDPOINT,
    cache_stats::ENDPOINT,
    queue_stats::ENDPOINT,
];

/// Why an endpoint does not answer.
struct Refusal {
    status: StatusCode,
    error: &'static str,
    message: String,
    field: Option<(&'static str, &'static str)>,
}

/// Answers a request for one of our own endpoints.
pub fn answer(proxy: &Proxy, request: &Request) -> Reply {
    match decide(proxy, request) {
        Ok(endpoint) => Reply::built_in(
            StatusCode::OK,
            (endpoint.answer)(proxy, request).to_string(),
        ),
        Err(Refusal {
            status,
            error,
            message,
            field,
        }) => {
            let id = IdText::new(proxy.mark(), request.id, request.own_id()).to_string();
            let body = json!({ "error": error, "message": message, "request_id": id }).to_string();
            Reply::BuiltIn {
                status,
                field,
                body,
            }
        }
    }
}

/// The answer when more wait for the admin thread than may.
pub fn busy() -> Reply {
    let message = "too many requests for Larder's own endpoints are waiting; try again in a moment";
    let body = json!({ "error": "admin_busy", "message": message }).to_string();
    Reply::BuiltIn {
        status: StatusCode::SERVICE_UNAVAILABLE,
        field: Some(("Retry-After", "1")),
        body,
    }
}

/// The endpoint that is asked for, if this client may use it in this way.
fn decide(proxy: &Proxy, request: &Request) -> Result<&'static Endpoint, Refusal> {
    let config = proxy.config();
    zone::admits(request, &config.admin, &config.proxy)?;
    let endpoint = find(&request.target).ok_or_else(nothing_there)?;
    let (allowed, field) = match endpoint.effect {
        Effect::Reads => (
            matches!(request.method, Method::GET | Method::HEAD),
            ("Allow", "GET, HEAD"),
        ),
        Effect::Changes => (request.method == Method::POST, ("Allow", "POST")),
    };
    if !allowed {
        let message = format!("{} takes {}", endpoint.name, field.1);
        let (status, error) = (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
        return Err(Refusal {
            status,
            error,
            message,
            field: Some(field),
        });
    }
    if endpoint.effect == Effect::Changes {
        zone::is_own_page(request)?;
    }
    Ok(endpoint)
}

fn find(target: &Target) -> Option<&'static Endpoint> {
    // Whoever reserves the root names sends only these here, so both ways to write a name are one.
    match route::builtin(target, true) {
        Some(BuiltIn::Admin(name)) => ENDPOINTS.iter().find(|endpoint| endpoint.name == name),
        _ => None,
    }
}

fn nothing_there() -> Refusal {
    let names: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.name).collect();
    let message = format!(
        "Larder has no such endpoint; below /_larder it has /health, {}",
        names.join(", ")
    );
    Refusal {
        status: StatusCode::NOT_FOUND,
        error: "not_found",
        message,
        field: None,
    }
}

/// How many members a list may have in this reply.
fn limit(target: &Target) -> usize {
    let asked = target
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|one| one.strip_prefix("limit="));
    asked
        .and_then(|text| text.parse().ok())
        .unwrap_or(MOST_LISTED)
        .min(MOST_LISTED)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_reserved_names_are_those_of_the_table() {
        let table: BTreeSet<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.name).collect();
        assert_eq!(table, BTreeSet::from(route::ADMIN_NAMES));
        assert_eq!(table.len(), ENDPOINTS.len(), "a name twice");
    }

    #[test]
    fn a_list_is_as_long_as_asked_for_up_to_a_thousand() {
        let cases = [
            ("/x", 1000),
            ("/x?limit=5", 5),
            ("/x?a=b&limit=0", 0),
            ("/x?limit=1001", 1000),
            ("/x?limit=-1", 1000),
        ];
        for (text, expected) in cases {
            let target = Target::parse(Bytes::from_static(text.as_bytes())).expect("a target");
            assert_eq!(limit(&target), expected, "{text}");
        }
    }
}

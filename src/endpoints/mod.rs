//! Larder's own endpoints: one table of them, and the functions that answer.
//!
//! The same functions answer on the data port (`/health` on a front worker, the others on the admin thread) and on the
//! control server. Who may ask is decided here too: `zone` holds the rules, [`Caller`] says where they apply.

mod cache_clear;
mod cache_stats;
mod health;
mod queue_stats;
mod zone;

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::message::{IdText, Request, Target};
use crate::proxy::Proxy;
use crate::reply::Reply;
use crate::route::{self, BuiltIn};

/// Members of a list, unless fewer are asked for with `?limit=`.
const MOST_LISTED: usize = 1000;

/// One endpoint: a row of [`TABLE`].
pub struct Endpoint {
    /// The method it takes. GET stands for HEAD too; POST marks a change.
    pub method: Method,
    /// Its path at the root and below `/_larder`.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// What it does, in one line, as `docs/openapi.json` says it.
    pub summary: &'static str,
    answer: fn(&Ask<'_>) -> Answer,
}

/// Who may ask an endpoint on a TCP port. On the control socket its file mode decides instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody: a monitor without a token must see that Larder lives.
    Public,
    /// The local network and holders of the token; a change asks for more (see `zone`).
    Admin,
}

/// Every endpoint.
pub static TABLE: [Endpoint; 4] = [
    Endpoint {
        method: Method::GET,
        path: "/health",
        access: Access::Public,
        summary: "How Larder is",
        answer: health::answer,
    },
    Endpoint {
        method: Method::GET,
        path: "/cache/stats",
        access: Access::Admin,
        summary: "What is stored, how it is used, what fails",
        answer: cache_stats::answer,
    },
    Endpoint {
        method: Method::GET,
        path: "/queue/stats",
        access: Access::Admin,
        summary: "What the origin is asked, what waits, what ended",
        answer: queue_stats::answer,
    },
    Endpoint {
        method: Method::POST,
        path: "/cache/clear",
        access: Access::Admin,
        summary: "Forget every stored answer",
        answer: cache_clear::answer,
    },
];

/// A request for an endpoint, with everything its function needs.
pub struct Ask<'a> {
    /// The proxy it is about.
    pub proxy: &'a Proxy,
    /// The method.
    pub method: &'a Method,
    /// Path and query.
    pub target: &'a Target,
    /// All fields.
    pub fields: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
    /// Who asks.
    pub caller: Caller,
    /// The request's id as printed.
    pub id: &'a str,
}

/// Who asks an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A process that may open the control socket: its file mode has let it in, no other rule applies.
    Socket,
    /// A client at this address, on the data port or on `control.listen`: the rules of `zone` apply.
    Address(IpAddr),
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Caller::Socket => f.write_str("the control socket"),
            Caller::Address(address) => address.to_canonical().fmt(f),
        }
    }
}

/// What an endpoint answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// A field that only some answers have.
    pub field: Option<(&'static str, &'static str)>,
    /// JSON.
    pub body: String,
}

impl Answer {
    /// 200 with this JSON.
    fn json(body: &Value) -> Answer {
        Answer {
            status: StatusCode::OK,
            field: None,
            body: body.to_string(),
        }
    }

    /// An error that names the request.
    pub fn error(id: &str, status: StatusCode, error: &str, message: &str) -> Answer {
        let body = json!({ "error": error, "message": message, "request_id": id });
        Answer {
            status,
            field: None,
            body: body.to_string(),
        }
    }

    fn forbidden(ask: &Ask<'_>, message: &str) -> Answer {
        Answer::error(ask.id, StatusCode::FORBIDDEN, "forbidden", message)
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        Reply::BuiltIn {
            status: answer.status,
            field: answer.field,
            body: answer.body,
        }
    }
}

/// Answers a request that came to the data port.
pub fn reply(proxy: &Proxy, request: &Request) -> Reply {
    let id = IdText::new(proxy.mark(), request.id, request.own_id()).to_string();
    let ask = Ask {
        proxy,
        method: &request.method,
        target: &request.target,
        fields: &request.fields,
        body: &request.body.bytes,
        caller: Caller::Address(request.peer),
        id: &id,
    };
    answer(&ask).into()
}

/// The reply when the queue of the admin thread is full.
pub fn busy() -> Reply {
    let message = "too many requests for Larder's own endpoints are waiting; try again in a moment";
    let body = json!({ "error": "admin_busy", "message": message }).to_string();
    Reply::BuiltIn {
        status: StatusCode::SERVICE_UNAVAILABLE,
        field: Some(("Retry-After", "1")),
        body,
    }
}

/// Answers a request for one of Larder's own endpoints.
pub fn answer(ask: &Ask<'_>) -> Answer {
    match permitted(ask) {
        Ok(endpoint) => (endpoint.answer)(ask),
        Err(refusal) => refusal,
    }
}

/// The endpoint that is asked for, if this caller may use it in this way; else the refusal.
fn permitted(ask: &Ask<'_>) -> Result<&'static Endpoint, Answer> {
    let config = ask.proxy.config();
    let found = find(ask.target);
    let is_public = found.is_some_and(|endpoint| endpoint.access == Access::Public);
    if let Caller::Address(peer) = ask.caller
        && !is_public
    {
        zone::admits(peer, ask.fields, &config.admin, &config.proxy)
            .map_err(|message| Answer::forbidden(ask, &message))?;
    }
    let endpoint = found.ok_or_else(|| nothing_there(ask))?;
    let takes = match endpoint.method {
        Method::GET => "GET, HEAD",
        _ => "POST",
    };
    if !takes.split(", ").any(|method| *ask.method == method) {
        let message = format!("{} takes {takes}", endpoint.path);
        let status = StatusCode::METHOD_NOT_ALLOWED;
        return Err(Answer {
            field: Some(("Allow", takes)),
            ..Answer::error(ask.id, status, "method_not_allowed", &message)
        });
    }
    let is_change = endpoint.method == Method::POST;
    if is_change && ask.caller != Caller::Socket {
        zone::may_change(ask.fields, &config.admin)
            .map_err(|message| Answer::forbidden(ask, &message))?;
    }
    Ok(endpoint)
}

fn find(target: &Target) -> Option<&'static Endpoint> {
    // Root names of the origin's never come here, so both ways to write a name are one.
    let path = match route::builtin(target, true)? {
        BuiltIn::Health => "/health",
        BuiltIn::Admin(name) => name,
        BuiltIn::Unknown => return None,
    };
    TABLE.iter().find(|endpoint| endpoint.path == path)
}

fn nothing_there(ask: &Ask<'_>) -> Answer {
    let paths: Vec<&str> = TABLE.iter().map(|endpoint| endpoint.path).collect();
    let message = format!(
        "Larder has no such endpoint; below /_larder it has {}",
        paths.join(", ")
    );
    Answer::error(ask.id, StatusCode::NOT_FOUND, "not_found", &message)
}

/// How many members a list may have in this answer.
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
mod tests;

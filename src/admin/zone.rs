//! Who may use our own endpoints: the local network, and who has the token. Never a foreign page in somebody's browser.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, FORWARDED, HOST, ORIGIN, VIA};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Refusal;
use crate::config::{Admin, Proxy};
use crate::message::Request;

/// Endings of names that only a local network gives (RFC 6762, RFC 8375, and the names ICANN keeps for it).
const LOCAL_NAMES: [&str; 4] = [".local", ".lan", ".home.arpa", ".internal"];

/// Says yes to a client of the local network, or with the token, that asks for this server by a name of its own.
pub(super) fn admits(request: &Request, admin: &Admin, proxy: &Proxy) -> Result<(), Refusal> {
    // A page of a foreign name that resolves to this address (DNS rebinding) is stopped by its name.
    let host = request
        .fields
        .get(HOST)
        .map_or(&b""[..], |host| host.as_bytes());
    if !is_own_name(name_of(host), &admin.hosts) {
        let message = "Larder's own endpoints are not served under this name; see admin.hosts";
        return Err(forbidden(message.to_owned()));
    }
    let is_allowed = |address| admin.allow.iter().any(|zone| zone.contains(address));
    if client_of(request, proxy).is_some_and(is_allowed) || has_token(&request.fields, admin) {
        return Ok(());
    }
    let message = format!(
        "Larder's own endpoints are for the local network; from elsewhere, set {} and send Authorization: Bearer <token>",
        admin.token_env
    );
    Err(forbidden(message))
}

/// Says no to a browser that acts for the page of another server.
pub(super) fn is_own_page(request: &Request) -> Result<(), Refusal> {
    let host = request
        .fields
        .get(HOST)
        .map_or(&b""[..], |host| host.as_bytes());
    let is_foreign = |origin: &[u8]| {
        let authority = origin
            .windows(3)
            .position(|three| three == b"://")
            .map(|at| &origin[at + 3..]);
        !authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    let foreign = request
        .fields
        .get_all(ORIGIN)
        .iter()
        .any(|origin| is_foreign(origin.as_bytes()));
    // Another port of this machine is the same site and another page.
    let is_own_site = |site: &HeaderValue| site == "same-origin" || site == "none";
    let crosses = !request
        .fields
        .get_all("sec-fetch-site")
        .iter()
        .all(is_own_site);
    if foreign || crosses {
        return Err(forbidden(
            "a page of another server may not change anything here".to_owned(),
        ));
    }
    Ok(())
}

fn forbidden(message: String) -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        error: "forbidden",
        message,
        field: None,
    }
}

/// Host without its port.
fn name_of(host: &[u8]) -> &str {
    let text = std::str::from_utf8(host).unwrap_or_default();
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, _)) => literal,
        None => text.split_once(':').map_or(text, |(name, _)| name),
    }
}

fn is_own_name(name: &str, hosts: &[String]) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || LOCAL_NAMES.iter().any(|ending| name.ends_with(ending))
        || hosts.contains(&name)
}

/// The client's address. `None`: somebody unknown stands between, so it may be anybody.
fn client_of(request: &Request, proxy: &Proxy) -> Option<IpAddr> {
    let fields = &request.fields;
    let is_relayed = fields.keys().any(|name| {
        *name == FORWARDED
            || *name == VIA
            || name == "x-real-ip"
            || name.as_str().starts_with("x-forwarded-")
    });
    if !is_relayed {
        return Some(request.peer);
    }
    if !proxy.trusts(request.peer) {
        return None;
    }
    proxy.client_named(fields)
}

/// Whether the request carries the token (RFC 6750 §2.1).
fn has_token(fields: &HeaderMap, admin: &Admin) -> bool {
    let sent = fields
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()));
    let Some((scheme, token)) = sent else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ")
        && admin
            .token
            .as_ref()
            .is_some_and(|own| own.is(token.trim_ascii()))
}

#[cfg(test)]
mod tests;

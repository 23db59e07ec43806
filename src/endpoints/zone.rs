//! Who may use Larder's own endpoints on a TCP port: the local network and holders of the token, never the page of another
//! server in somebody's browser. Each rule answers with the sentence of its 403.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, FORWARDED, HOST, ORIGIN, REFERER, VIA};
use http::{HeaderMap, HeaderValue};

use crate::config::{Admin, Proxy};

/// Endings of names that only a local network gives (RFC 6762, RFC 8375, and the names ICANN keeps for it).
const LOCAL_NAMES: [&str; 4] = [".local", ".lan", ".home.arpa", ".internal"];

/// Admits a client of the local network, or with the token, that asks for this server by one of its own names.
pub(super) fn admits(
    peer: IpAddr,
    fields: &HeaderMap,
    admin: &Admin,
    proxy: &Proxy,
) -> Result<(), String> {
    // The Host check stops a page whose foreign name resolves to this address (DNS rebinding).
    if !host_of(fields).is_some_and(|host| is_own_name(name_of(host), &admin.hosts)) {
        let message = "Larder's own endpoints are not served under this name; see admin.hosts";
        return Err(message.to_owned());
    }
    let is_allowed = |address| admin.allow.iter().any(|zone| zone.contains(address));
    if client_of(peer, fields, proxy).is_some_and(is_allowed) || has_token(fields, admin) {
        return Ok(());
    }
    Err(format!(
        "Larder's own endpoints are for the local network; from elsewhere, set {} and send Authorization: Bearer <token>",
        admin.token_env
    ))
}

/// Refuses a change asked by the page of another server, and one without the token where a token is set: a proxy that adds no
/// field makes every client look local, so an address alone is no permission then.
pub(super) fn may_change(fields: &HeaderMap, admin: &Admin) -> Result<(), String> {
    if is_foreign_page(fields) {
        return Err("a page of another server may not change anything here".to_owned());
    }
    if admin.token.is_some() && !has_token(fields, admin) {
        return Err(format!(
            "{} is set, so a change needs it: send Authorization: Bearer <token>, or use the larder command on this machine",
            admin.token_env
        ));
    }
    Ok(())
}

/// Whether a browser says that it acts for the page of another server.
fn is_foreign_page(fields: &HeaderMap) -> bool {
    let host = host_of(fields).unwrap_or_default();
    let is_foreign = |url: &HeaderValue| {
        !authority_of(url.as_bytes()).is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    // Another port of this machine is the same site and another page.
    let is_own_site = |site: &HeaderValue| site == "same-origin" || site == "none";
    fields.get_all(ORIGIN).iter().any(is_foreign)
        || fields.get_all(REFERER).iter().any(is_foreign)
        || !fields.get_all("sec-fetch-site").iter().all(is_own_site)
}

/// The authority of an Origin or a Referer. `None`: it has none, such as `null`.
fn authority_of(url: &[u8]) -> Option<&[u8]> {
    let scheme_ends = url.windows(3).position(|three| three == b"://")?;
    let rest = &url[scheme_ends + 3..];
    let ends = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    Some(&rest[..ends.unwrap_or(rest.len())])
}

/// The one Host (RFC 9112 §3.2). `None`: there are several. HTTP/1.0 may leave it out, which no browser does.
fn host_of(fields: &HeaderMap) -> Option<&[u8]> {
    let mut hosts = fields.get_all(HOST).iter();
    let first = hosts.next().map_or(&b""[..], HeaderValue::as_bytes);
    hosts.next().is_none().then_some(first)
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

/// The client's address. `None`: a proxy that is not trusted stands between, so it may be anybody.
fn client_of(peer: IpAddr, fields: &HeaderMap, proxy: &Proxy) -> Option<IpAddr> {
    let is_relayed = fields.keys().any(|name| {
        *name == FORWARDED
            || *name == VIA
            || name == "x-real-ip"
            || name.as_str().starts_with("x-forwarded-")
    });
    if !is_relayed {
        return Some(peer);
    }
    if !proxy.trusts(peer) {
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

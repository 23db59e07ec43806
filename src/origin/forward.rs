//! PURE: which fields cross the proxy (RFC 9110 §7.6), towards the origin and back.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Version};

use crate::message::{Request, Target};
use crate::policy::request_directives::RequestDirectives;
use crate::policy::request_fields::{Class, is_forwarding_claim};
use crate::policy::rule::Rule;
use crate::policy::sharing::class_on;
use crate::policy::vary::Selecting;

/// In which form a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form<'a> {
    /// Larder's own: the answer may be given to everybody who asks for the same key, so the request carries nothing of one
    /// client's.
    Canonical {
        /// What the stored answers are selected by (RFC 9111 §4.1): it may differ, because everybody who gets the answer has the
        /// same of it.
        selecting: Option<&'a Selecting>,
        /// What the route says about fields.
        rule: &'a Rule,
        /// Its client's range and preconditions go along.
        conditions: bool,
    },
    /// The client's: the answer is for it alone, unless the origin says otherwise.
    Own,
}

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("larder/", env!("CARGO_PKG_VERSION")));
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// For one connection only (RFC 9110 §7.6.1), or for the next hop only (§11.7).
static HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that say how long, for whom and in which coding the content is. RFC 9110 §7.6.1 forbids a sender to list
/// such fields in Connection; believing one that does would break framing or make a private answer storable.
static NEVER_AN_OPTION: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::CACHE_CONTROL,
    header::SET_COOKIE,
    header::VARY,
];

/// The sender's own (RFC 9110 §7.2, §8.6), or answered by the front already (§10.1.1).
static OF_THIS_MESSAGE: [HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::EXPECT];

/// Of the fields that browsers choose between answers with, those that origins do look at.
static NEGOTIATION: [HeaderName; 4] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::ORIGIN,
];

/// A client's range and preconditions.
static CONDITIONS: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// Takes the hop-by-hop fields away, and every field that Connection names but for those it may not name.
pub fn end_to_end(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = list_members(fields, &header::CONNECTION)
        .filter_map(|member| HeaderName::from_bytes(member).ok())
        .filter(|name| !NEVER_AN_OPTION.contains(name))
        .collect();
    remove_all(fields, &HOP_BY_HOP);
    remove_all(fields, &named);
}

/// The fields of `request` as the origin is to see them. `via` is this process's pseudonym, a token. `trusted` says that
/// the peer is a proxy whose word about the client counts.
pub fn forwarded(request: &Request, form: Form<'_>, via: &str, trusted: bool) -> HeaderMap {
    let mut fields = request.fields.clone();
    end_to_end(&mut fields);
    remove_all(&mut fields, &OF_THIS_MESSAGE);
    if !trusted {
        remove_where(&mut fields, |name| is_proxy_claim(name.as_str()));
    }
    match form {
        Form::Canonical {
            selecting,
            rule,
            conditions,
        } => {
            let is_selecting = |name: &HeaderName| {
                selecting.is_some_and(|selecting| selecting.names().any(|named| named == name))
            };
            let is_kept = |name: &HeaderName| {
                NEGOTIATION.contains(name)
                    || is_selecting(name)
                    || class_on(name, rule) == Class::Keyed
                    || (conditions && CONDITIONS.contains(name))
                    || (rule.force.authorization && name == header::AUTHORIZATION)
            };
            remove_where(&mut fields, |name| !is_kept(name) || is_never_sent(name));
            if !is_selecting(&header::USER_AGENT) {
                fields.insert(header::USER_AGENT, USER_AGENT);
            }
            add_own(&mut fields, request, via);
        }
        Form::Own => name_client(&mut fields, request.peer),
    }
    append_via(&mut fields, request.version, via);
    if let Some(left) = forwards_left(request) {
        fields.insert(
            header::MAX_FORWARDS,
            HeaderValue::from(left.saturating_sub(1)),
        );
    }
    fields
}

/// How many more proxies may forward this request; with none left we are the last to be asked (RFC 9110 §7.6.2). `None`: its
/// client sets no limit, or asks by a method that has none.
pub fn forwards_left(request: &Request) -> Option<u64> {
    let mut lines = request.fields.get_all(header::MAX_FORWARDS).iter();
    let (Some(value), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let digits = std::str::from_utf8(value.as_bytes()).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let has_limit = matches!(request.method, Method::OPTIONS | Method::TRACE);
    (has_limit && is_number).then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Takes off what the route says names nobody: Cookie, Origin. A preflight keeps its Origin, which it asks about (Fetch,
/// "CORS-preflight fetch").
pub fn strip(method: &Method, fields: &mut HeaderMap, rule: &Rule) {
    for (name, is_stripped) in [
        (header::COOKIE, rule.strip_cookies),
        (
            header::ORIGIN,
            rule.strip_origin && *method != Method::OPTIONS,
        ),
    ] {
        if is_stripped {
            fields.remove(name);
        }
    }
}

/// Makes a Location that names the origin's own authority a path on whoever relays it (RFC 9110 §10.2.2).
pub fn make_location_ours(fields: &mut HeaderMap, authority: &Authority) {
    let Some(location) = fields
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
    else {
        return;
    };
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| location.strip_prefix(scheme));
    let path = rest.and_then(|rest| rest.strip_prefix(authority.as_str()));
    let path = path.filter(|path| path.is_empty() || path.starts_with(['/', '?', '#']));
    let Some(path) = path else { return };
    let ours = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    if let Ok(ours) = HeaderValue::try_from(ours) {
        fields.insert(header::LOCATION, ours);
    }
}

/// True if this process has forwarded the message before: it goes round in a loop, and the answer is 508.
pub fn seen_own_via(fields: &HeaderMap, via: &str) -> bool {
    list_members(fields, &header::VIA).any(|member| {
        // RFC 9110 §7.6.3: received-protocol RWS received-by [ RWS comment ]
        let mut words = member
            .split(|b| matches!(b, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        words
            .nth(1)
            .is_some_and(|received_by| received_by.eq_ignore_ascii_case(via.as_bytes()))
    })
}

/// True if `target` can be sent byte for byte. The front answers 400 to any other.
pub fn acceptable(target: &Target) -> bool {
    PathAndQuery::try_from(target.as_str()).is_ok_and(|sent| sent.as_str() == target.as_str())
}

/// What Larder says of itself in a canonical request, beside its name.
fn add_own(fields: &mut HeaderMap, request: &Request, via: &str) {
    if let Ok(id) = HeaderValue::try_from(format!("{via}-{}", request.id.0)) {
        fields.insert(X_REQUEST_ID, id);
    }
    // Who forces a fetch wants it to come from the origin, not from another cache on the way (RFC 9111 §5.2.1.4).
    if RequestDirectives::of(&request.fields).refresh {
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    for passed in passed_processes(&request.fields) {
        fields.append(header::VIA, passed);
    }
}

/// The members of Via that may name processes of Larder, so that one that is asked again by way of others sees its own.
fn passed_processes(fields: &HeaderMap) -> impl Iterator<Item = HeaderValue> {
    let is_process = |member: &&[u8]| {
        let mark = ["1.0 larder-", "1.1 larder-"]
            .iter()
            .find_map(|start| member.strip_prefix(start.as_bytes()));
        mark.is_some_and(|mark| mark.len() == 8 && mark.iter().all(u8::is_ascii_hexdigit))
    };
    list_members(fields, &header::VIA)
        .filter(is_process)
        .filter_map(|member| HeaderValue::from_bytes(member).ok())
}

/// Adds the peer to each chain of addresses that a trusted proxy sent. Where none came, its own begins, in the fields that most
/// origins read; the scheme is that of our own listener.
fn name_client(fields: &mut HeaderMap, peer: IpAddr) {
    // A dual-stack listener sees IPv4 clients as ::ffff:a.b.c.d.
    let peer = peer.to_canonical();
    let is_first = !fields.contains_key(header::FORWARDED) && !fields.contains_key(X_FORWARDED_FOR);
    if is_first && !fields.contains_key(X_FORWARDED_PROTO) {
        fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if is_first || fields.contains_key(X_FORWARDED_FOR) {
        append_to_list(fields, X_FORWARDED_FOR, &peer.to_string());
    }
    if fields.contains_key(header::FORWARDED) {
        // RFC 7239 §6: a colon has to be quoted, and brackets are part of an IPv6 address.
        let node = if peer.is_ipv6() {
            format!("\"[{peer}]\"")
        } else {
            peer.to_string()
        };
        append_to_list(fields, header::FORWARDED, &format!("for={node};proto=http"));
    }
}

/// Appends a member to a list field, in one line: many origins read only the first or the last line.
fn append_to_list(fields: &mut HeaderMap, name: HeaderName, member: &str) {
    let lines = fields
        .get_all(&name)
        .iter()
        .map(HeaderValue::as_bytes)
        .filter(|line| !line.is_empty());
    let all: Vec<&[u8]> = lines.chain([member.as_bytes()]).collect();
    if let Ok(list) = HeaderValue::from_bytes(&all.join(&b", "[..])) {
        fields.insert(name, list);
    }
}

/// RFC 9110 §7.6.3: the version the message was received in, and who received it.
fn append_via(fields: &mut HeaderMap, received: Version, via: &str) {
    let protocol = if received == Version::HTTP_10 {
        "1.0"
    } else {
        "1.1"
    };
    if let Ok(line) = HeaderValue::try_from(format!("{protocol} {via}")) {
        fields.append(header::VIA, line);
    }
}

/// What only a proxy may say: who the client is, and what it asked for really. Origins that follow CGI read `_` as `-`.
fn is_proxy_claim(name: &str) -> bool {
    let name = name.replace('_', "-");
    let prefixed = ["x-forwarded-", "x-original-", "x-http-method"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    let exact = ["x-host", "x-method-override", "proxy"];
    prefixed || exact.contains(&name.as_str()) || is_forwarding_claim(name.as_bytes())
}

/// Whether a shared request never carries this field, so that its answer cannot differ by it.
pub fn is_never_sent(name: &HeaderName) -> bool {
    is_proxy_claim(name.as_str())
}

/// Whether the request, as the origin saw it, claimed another host, path or method than its own: its answer is that one's.
pub fn claims_another(sent: &HeaderMap) -> bool {
    let prefixes = ["x-original-", "x-http-method", "x-forwarded-"];
    // Forwarded may name a host; ours is only appended to somebody else's.
    let names = ["forwarded", "x-host", "x-rewrite-url", "x-method-override"];
    let of_the_way = [
        "x-forwarded-for",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-ssl",
    ];
    sent.keys().any(|name| {
        let name = name.as_str().replace('_', "-");
        let is_named = names.contains(&name.as_str());
        let claims = is_named || prefixes.iter().any(|start| name.starts_with(start));
        claims && !of_the_way.contains(&name.as_str())
    })
}

/// The members of a comma-separated list field, all its lines taken together (RFC 9110 §5.6.1).
fn list_members<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    fields
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
}

fn remove_all(fields: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        fields.remove(name);
    }
}

fn remove_where(fields: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = fields
        .keys()
        .filter(|name| unwanted(name))
        .cloned()
        .collect();
    remove_all(fields, &names);
}

#[cfg(test)]
mod tests;

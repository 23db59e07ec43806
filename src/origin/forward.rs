//! PURE: which fields cross the proxy (RFC 9110 §7.6), towards the origin and back.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Version};

use crate::message::{Request, Target};
use crate::policy::rule::Rule;
use crate::policy::vary::Selecting;

/// Who will be given the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing<'a> {
    /// Everybody who asks for the same key: the request must not carry what differs between them.
    Shared {
        /// What the stored answers are selected by (RFC 9111 §4.1): it may differ, because everybody has the same of it.
        selecting: Option<&'a Selecting>,
    },
    /// The client that sent it, nobody else.
    Alone,
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

/// Differ from client to client without being part of the key: a shared answer must suit everybody.
static OF_ONE_CLIENT: [HeaderName; 10] = [
    X_REQUEST_ID,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    header::USER_AGENT,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
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
pub fn forwarded(request: &Request, sharing: Sharing<'_>, via: &str, trusted: bool) -> HeaderMap {
    let mut fields = request.fields.clone();
    end_to_end(&mut fields);
    remove_all(&mut fields, &OF_THIS_MESSAGE);
    if !trusted {
        remove_where(&mut fields, is_proxy_claim);
    }
    match sharing {
        Sharing::Shared { selecting } => share(&mut fields, request, selecting, via),
        Sharing::Alone => name_client(&mut fields, request.peer),
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

/// Takes off what the route says names nobody: Cookie, Origin.
pub fn strip(fields: &mut HeaderMap, rule: &Rule) {
    for (name, is_stripped) in [
        (header::COOKIE, rule.strip_cookies),
        (header::ORIGIN, rule.strip_origin),
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

fn share(fields: &mut HeaderMap, request: &Request, selecting: Option<&Selecting>, via: &str) {
    let selects = |name: &HeaderName| {
        selecting.is_some_and(|selecting| selecting.names().any(|named| named == name))
    };
    for name in OF_ONE_CLIENT.iter().filter(|name| !selects(name)) {
        fields.remove(name);
    }
    remove_where(fields, is_claim_about_client);
    if !selects(&header::USER_AGENT) {
        fields.insert(header::USER_AGENT, USER_AGENT);
    }
    if let Ok(id) = HeaderValue::try_from(format!("{via}-{}", request.id.0)) {
        fields.insert(X_REQUEST_ID, id);
    }
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
    let exact = [
        "forwarded",
        "x-real-ip",
        "x-host",
        "x-rewrite-url",
        "x-method-override",
        "proxy",
    ];
    prefixed || exact.contains(&name.as_str())
}

/// Host and path claims are no part of the key either; only the scheme is the same for a whole deployment.
fn is_claim_about_client(name: &str) -> bool {
    is_proxy_claim(name) && name != "x-forwarded-proto"
}

/// Whether a shared request never carries this field, so that its answer cannot differ by it.
pub fn is_never_sent(name: &HeaderName) -> bool {
    is_claim_about_client(name.as_str())
}

/// Whether the request, as the origin saw it, claimed another host, path or method than its own: its answer is that one's.
pub fn claims_another(sent: &HeaderMap) -> bool {
    let of_the_way = ["x-forwarded-for", "x-forwarded-port", "x-real-ip"];
    // Forwarded may name a host; ours only stands behind somebody else's.
    sent.keys()
        .any(|name| is_claim_about_client(name.as_str()) && !of_the_way.contains(&name.as_str()))
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

fn remove_where(fields: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = fields
        .keys()
        .filter(|name| unwanted(name.as_str()))
        .cloned()
        .collect();
    remove_all(fields, &names);
}

#[cfg(test)]
mod tests;

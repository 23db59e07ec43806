//! Whether a request may share the store and a flight with others (RFC 9111 §3, §3.5, §5.2.1.5).

use http::header::{AUTHORIZATION, COOKIE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderName, Method};

use super::directives::Directives;
use super::rule::Rule;

/// How a request stands to the store and to the flights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// A plain GET: answered from the store, leads or joins a flight.
    Shared,
    /// A plain HEAD: may be answered from a stored GET (RFC 9110 §9.3.2), else goes alone.
    Head,
    /// Sent to the origin for this client only.
    Alone(Because),
}

/// Why a request goes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// Neither GET nor HEAD.
    Method,
    /// It has a body.
    Body,
    /// A field names its client. The response is stored on the origin's own word only: pass this on to `may_store`.
    Identity,
    /// It says `no-store`.
    NoStore,
    /// It asks for a range.
    Range,
    /// It has a precondition. Applies only while nothing is stored: see [`Because::may_use_store`].
    Conditional,
}

impl Because {
    /// A word for the `detail` of Cache-Status (RFC 9211 §2.8) and for the log.
    pub fn detail(self) -> &'static str {
        match self {
            Because::Method => "method",
            Because::Body => "body",
            Because::Identity => "identity",
            Because::NoStore => "no-store",
            Because::Range => "range",
            Because::Conditional => "conditional",
        }
    }

    /// Whether a fresh stored response may answer all the same. Only a conditional request may be: it gets that response whole.
    pub fn may_use_store(self) -> bool {
        self == Because::Conditional
    }
}

/// Judges a request. Allocates nothing.
///
/// Identity is named before every reason that does not itself keep the response out of the store, so that the caller
/// cannot lose sight of it.
pub fn sharing(
    method: &Method,
    fields: &HeaderMap,
    has_body: bool,
    identity_fields: &[HeaderName],
    rule: &Rule,
) -> Sharing {
    if method != Method::GET && method != Method::HEAD {
        return Sharing::Alone(Because::Method);
    }
    if has_body {
        return Sharing::Alone(Because::Body);
    }
    if identity_fields.iter().any(|name| fields.contains_key(name) && !is_set_aside(name, rule)) {
        return Sharing::Alone(Because::Identity);
    }
    if Directives::of(fields).no_store {
        return Sharing::Alone(Because::NoStore);
    }
    if fields.contains_key(RANGE) {
        return Sharing::Alone(Because::Range);
    }
    let preconditions = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE];
    if preconditions.iter().any(|name| fields.contains_key(name)) {
        return Sharing::Alone(Because::Conditional);
    }
    if method == Method::HEAD { Sharing::Head } else { Sharing::Shared }
}

/// Whether the route says that this field names nobody.
fn is_set_aside(name: &HeaderName, rule: &Rule) -> bool {
    (name == COOKIE && rule.strip_cookies) || (name == AUTHORIZATION && rule.force.authorization)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::rule::Force;

    /// Fields, name and value.
    type Lines = &'static [(&'static str, &'static str)];

    fn judge(method: &str, lines: &[(&'static str, &'static str)], has_body: bool, rule: &Rule) -> Sharing {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        let identity = [AUTHORIZATION, COOKIE, HeaderName::from_static("x-api-key")];
        sharing(&Method::from_bytes(method.as_bytes()).expect("a method"), &fields, has_body, &identity, rule)
    }

    #[test]
    fn what_a_request_has_decides() {
        let cases: [(&str, Lines, Sharing); 17] = [
            ("GET", &[], Sharing::Shared),
            ("GET", &[("accept", "*/*"), ("cache-control", "max-age=0, nothing-to-see-here")], Sharing::Shared),
            ("HEAD", &[], Sharing::Head),
            ("POST", &[], Sharing::Alone(Because::Method)),
            ("get", &[], Sharing::Alone(Because::Method)),
            ("M-SEARCH", &[("cookie", "a=b")], Sharing::Alone(Because::Method)),
            ("GET", &[("authorization", "x")], Sharing::Alone(Because::Identity)),
            ("HEAD", &[("cookie", "a=b")], Sharing::Alone(Because::Identity)),
            ("GET", &[("x-api-key", "")], Sharing::Alone(Because::Identity)),
            ("GET", &[("cache-control", "No-Store")], Sharing::Alone(Because::NoStore)),
            ("GET", &[("range", "bytes=0-1")], Sharing::Alone(Because::Range)),
            ("GET", &[("if-none-match", "*")], Sharing::Alone(Because::Conditional)),
            ("GET", &[("if-modified-since", "x")], Sharing::Alone(Because::Conditional)),
            ("GET", &[("if-match", "*")], Sharing::Alone(Because::Conditional)),
            ("HEAD", &[("if-unmodified-since", "x")], Sharing::Alone(Because::Conditional)),
            ("GET", &[("if-none-match", "*"), ("cookie", "a=b")], Sharing::Alone(Because::Identity)),
            ("GET", &[("range", "bytes=0-1"), ("if-none-match", "*")], Sharing::Alone(Because::Range)),
        ];
        for (method, lines, expected) in cases {
            assert_eq!(judge(method, lines, false, &Rule::default()), expected, "{method} {lines:?}");
        }
        assert_eq!(judge("GET", &[], true, &Rule::default()), Sharing::Alone(Because::Body));
    }

    #[test]
    fn a_route_may_say_that_a_field_names_nobody() {
        let stripping = Rule { strip_cookies: true, ..Rule::default() };
        assert_eq!(judge("GET", &[("cookie", "a=b")], false, &stripping), Sharing::Shared);
        let both = [("cookie", "a=b"), ("authorization", "x")];
        assert_eq!(judge("GET", &both, false, &stripping), Sharing::Alone(Because::Identity));
        let forcing = Rule { force: Force { authorization: true, ..Force::default() }, ..Rule::default() };
        assert_eq!(judge("GET", &[("authorization", "x")], false, &forcing), Sharing::Shared);
        assert_eq!(judge("GET", &both, false, &forcing), Sharing::Alone(Because::Identity));
    }

    #[test]
    fn only_a_conditional_request_may_use_the_store() {
        use Because::*;
        let all = [Method, Body, Identity, NoStore, Range, Conditional];
        assert_eq!(all.map(Because::may_use_store), [false, false, false, false, false, true]);
        assert_eq!(all.map(Because::detail), ["method", "body", "identity", "no-store", "range", "conditional"]);
    }
}

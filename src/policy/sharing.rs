//! How a request stands to the store and to the flights (RFC 9111 §3, §3.5, §5.2.1.5).

use http::header::{
    AUTHORIZATION, COOKIE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, HeaderName, Method};

use super::request_directives::RequestDirectives;
use super::rule::Rule;

/// If-Range is none of them: without a Range it says nothing.
const PRECONDITIONS: [HeaderName; 4] = [
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_MATCH,
    IF_UNMODIFIED_SINCE,
];

/// What a cache has to know of a request, found in one pass over its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTraits {
    /// How it stands to the store and the flights.
    pub sharing: Sharing,
    /// A field names its client.
    pub identity: bool,
    /// What the client directives of caches.
    pub directives: RequestDirectives,
    /// It has a precondition (RFC 9110 §13.1).
    pub conditional: bool,
    /// It asks for a range (RFC 9110 §14.2).
    pub range: bool,
}

/// How a request stands to the store and to the flights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// A GET: answered from the store, leads or joins a flight.
    Shared,
    /// A HEAD: may be answered from a stored GET (RFC 9110 §9.3.2), else goes alone.
    Head,
    /// Sent to the origin for this client only.
    Alone(Reason),
}

/// Why a request goes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Neither GET nor HEAD.
    Method,
    /// It has a body.
    Body,
    /// A field names its client. The response is stored on the origin's own word only: pass this on to `may_store`.
    Identity,
    /// It says `no-store`.
    NoStore,
    /// It asks for a range of what is not stored.
    Range,
    /// It has a precondition on what is not stored.
    Conditional,
    /// It is a HEAD for what is not stored.
    Head,
}

impl Reason {
    /// A word for the `detail` of Cache-Status (RFC 9211 §2.8) and for the log.
    pub fn detail(self) -> &'static str {
        match self {
            Reason::Method => "method",
            Reason::Body => "body",
            Reason::Identity => "identity",
            Reason::NoStore => "no-store",
            Reason::Range => "range",
            Reason::Conditional => "conditional",
            Reason::Head => "head",
        }
    }
}

impl RequestTraits {
    /// Looks at a request. Allocates nothing.
    ///
    /// Identity is named before every reason that does not itself keep the response out of the store, so that the caller
    /// cannot lose sight of it.
    pub fn of(
        method: &Method,
        fields: &HeaderMap,
        has_body: bool,
        identity_fields: &[HeaderName],
        rule: &Rule,
    ) -> RequestTraits {
        let mut identity = false;
        let mut conditional = false;
        let mut range = false;
        let mut directives = false;
        for name in fields.keys() {
            match name.as_str() {
                // If-Range is none of them: without a Range it says nothing.
                "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" => {
                    conditional = true
                }
                "range" => range = true,
                "cache-control" | "pragma" | "cache-refresh" | "x-cache-refresh" => {
                    directives = true
                }
                _ => {}
            }
            identity |= identity_fields.contains(name) && !is_set_aside(name, rule);
        }
        let directives = if directives {
            RequestDirectives::of(fields)
        } else {
            RequestDirectives::default()
        };
        let is_get = method == Method::GET;
        let sharing = if !is_get && method != Method::HEAD {
            Sharing::Alone(Reason::Method)
        } else if has_body {
            Sharing::Alone(Reason::Body)
        } else if identity {
            Sharing::Alone(Reason::Identity)
        } else if directives.no_store {
            Sharing::Alone(Reason::NoStore)
        } else if is_get {
            Sharing::Shared
        } else {
            Sharing::Head
        };
        RequestTraits {
            sharing,
            identity,
            directives,
            conditional,
            range,
        }
    }

    /// The same without what would force the origin to be asked.
    pub fn content(self, method: &Method) -> RequestTraits {
        let sharing = match self.sharing {
            Sharing::Alone(Reason::NoStore) if method == Method::GET => Sharing::Shared,
            Sharing::Alone(Reason::NoStore) => Sharing::Head,
            other => other,
        };
        RequestTraits {
            sharing,
            directives: self.directives.content(),
            ..self
        }
    }
}

/// Whether a request has a precondition (RFC 9110 §13.1).
pub fn is_conditional(fields: &HeaderMap) -> bool {
    PRECONDITIONS.iter().any(|name| fields.contains_key(name))
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

    fn traits(
        method: &str,
        lines: &[(&'static str, &'static str)],
        has_body: bool,
        rule: &Rule,
    ) -> RequestTraits {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        let identity = [AUTHORIZATION, COOKIE, HeaderName::from_static("x-api-key")];
        RequestTraits::of(
            &Method::from_bytes(method.as_bytes()).expect("a method"),
            &fields,
            has_body,
            &identity,
            rule,
        )
    }

    fn judge(
        method: &str,
        lines: &[(&'static str, &'static str)],
        has_body: bool,
        rule: &Rule,
    ) -> Sharing {
        traits(method, lines, has_body, rule).sharing
    }

    #[test]
    fn what_a_request_has_decides() {
        let cases: [(&str, Lines, Sharing); 11] = [
            ("GET", &[], Sharing::Shared),
            (
                "GET",
                &[
                    ("accept", "*/*"),
                    ("cache-control", "max-age=0, nothing-to-see-here"),
                ],
                Sharing::Shared,
            ),
            ("HEAD", &[], Sharing::Head),
            ("POST", &[], Sharing::Alone(Reason::Method)),
            ("get", &[], Sharing::Alone(Reason::Method)),
            (
                "M-SEARCH",
                &[("cookie", "a=b")],
                Sharing::Alone(Reason::Method),
            ),
            (
                "GET",
                &[("authorization", "x")],
                Sharing::Alone(Reason::Identity),
            ),
            (
                "HEAD",
                &[("cookie", "a=b")],
                Sharing::Alone(Reason::Identity),
            ),
            (
                "GET",
                &[("x-api-key", "")],
                Sharing::Alone(Reason::Identity),
            ),
            (
                "GET",
                &[("cache-control", "No-Store")],
                Sharing::Alone(Reason::NoStore),
            ),
            (
                "GET",
                &[("if-none-match", "*"), ("cookie", "a=b")],
                Sharing::Alone(Reason::Identity),
            ),
        ];
        for (method, lines, expected) in cases {
            assert_eq!(
                judge(method, lines, false, &Rule::default()),
                expected,
                "{method} {lines:?}"
            );
        }
        assert_eq!(
            judge("GET", &[], true, &Rule::default()),
            Sharing::Alone(Reason::Body)
        );
    }

    #[test]
    fn preconditions_ranges_and_directives_are_seen() {
        let cases: [(Lines, bool, bool); 7] = [
            (&[("accept", "*/*"), ("if-range", "x")], false, false),
            (&[("if-none-match", "*")], true, false),
            (&[("if-modified-since", "x")], true, false),
            (&[("if-match", "*")], true, false),
            (&[("if-unmodified-since", "x")], true, false),
            (&[("range", "bytes=0-1")], false, true),
            (
                &[("range", "bytes=0-1"), ("if-none-match", "*")],
                true,
                true,
            ),
        ];
        for (lines, conditional, range) in cases {
            let found = traits("GET", lines, false, &Rule::default());
            assert_eq!(
                (found.conditional, found.range, found.directives.is_none()),
                (conditional, range, true),
                "{lines:?}"
            );
        }
        for line in [
            ("cache-control", "no-cache"),
            ("pragma", "no-cache"),
            ("x-cache-refresh", "true"),
        ] {
            assert!(
                traits("GET", &[line], false, &Rule::default())
                    .directives
                    .refresh,
                "{line:?}"
            );
        }
    }

    #[test]
    fn who_is_content_forces_nothing() {
        let found = traits(
            "GET",
            &[("cache-control", "no-store, no-cache, max-stale=5")],
            false,
            &Rule::default(),
        );
        let content = found.content(&Method::GET);
        assert_eq!(content.sharing, Sharing::Shared);
        assert!(
            !content.directives.refresh
                && !content.directives.no_store
                && content.directives.max_stale.is_some()
        );
        assert_eq!(found.content(&Method::HEAD).sharing, Sharing::Head);
    }

    #[test]
    fn a_route_may_say_that_a_field_names_nobody() {
        let stripping = Rule {
            strip_cookies: true,
            ..Rule::default()
        };
        assert_eq!(
            judge("GET", &[("cookie", "a=b")], false, &stripping),
            Sharing::Shared
        );
        let both = [("cookie", "a=b"), ("authorization", "x")];
        assert_eq!(
            judge("GET", &both, false, &stripping),
            Sharing::Alone(Reason::Identity)
        );
        let forcing = Rule {
            force: Force {
                authorization: true,
                ..Force::default()
            },
            ..Rule::default()
        };
        assert_eq!(
            judge("GET", &[("authorization", "x")], false, &forcing),
            Sharing::Shared
        );
        assert_eq!(
            judge("GET", &both, false, &forcing),
            Sharing::Alone(Reason::Identity)
        );
    }
}

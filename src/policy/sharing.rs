//! How a request stands to the store and to the flights (RFC 9111 §3, §3.5, §5.2.1.5).

use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::request_directives::RequestDirectives;
use super::request_fields::{Class, classify_name, value_is_plain};
use super::rule::Rule;
use super::vary::write_escaped;

/// If-Range is none of them: without a Range it says nothing.
const PRECONDITIONS: [HeaderName; 4] = [
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_MATCH,
    IF_UNMODIFIED_SINCE,
];

/// Fields that say who the client is.
const NAMES_A_CLIENT: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// What a cache has to know of a request, found in one pass over its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTraits {
    /// How it stands to the store and the flights.
    pub sharing: Sharing,
    /// It has a custom field: no lifetime but the origin's own lets others have its answer.
    pub custom: bool,
    /// It has a keyed field that its route ignores.
    pub ignores_keyed: bool,
    /// What the client asks of caches.
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
    /// A custom field names its client. The response is stored on the origin's own word only: pass this on to `may_store`.
    Identity,
    /// It has another custom field, which is treated alike.
    Custom,
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
            Reason::Custom => "custom",
            Reason::NoStore => "no-store",
            Reason::Range => "range",
            Reason::Conditional => "conditional",
            Reason::Head => "head",
        }
    }
}

impl RequestTraits {
    /// Looks at a request. Allocates nothing. `selects` says which fields the stored responses of its key are selected by
    /// (RFC 9111 §4.1): by those the origin itself tells clients apart, so they make no request custom.
    ///
    /// A custom field is named before every reason that does not itself keep the response out of the store, so that the
    /// caller cannot lose sight of it.
    pub fn of(
        method: &Method,
        fields: &HeaderMap,
        has_body: bool,
        rule: &Rule,
        selects: impl Fn(&HeaderName) -> bool,
    ) -> RequestTraits {
        let mut custom = None;
        let mut ignores_keyed = false;
        let mut conditional = false;
        let mut range = false;
        let mut directs = false;
        for (name, value) in fields {
            match name.as_str() {
                // If-Range is none of them: without a Range it says nothing.
                "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" => {
                    conditional = true
                }
                "range" => range = true,
                "cache-control" | "pragma" | "cache-refresh" | "x-cache-refresh" => directs = true,
                _ => {}
            }
            let class = class_on(name, rule);
            ignores_keyed |= is_ignored_keyed(name, rule);
            let is_custom = is_custom(class, name, value);
            if is_custom && custom != Some(Reason::Identity) && !is_excused(name, fields, &selects)
            {
                custom = Some(if NAMES_A_CLIENT.contains(name) {
                    Reason::Identity
                } else {
                    Reason::Custom
                });
            }
        }
        let directives = if directs {
            RequestDirectives::of(fields)
        } else {
            RequestDirectives::default()
        };
        let is_get = method == Method::GET;
        let sharing = if !is_get && method != Method::HEAD {
            Sharing::Alone(Reason::Method)
        } else if has_body {
            Sharing::Alone(Reason::Body)
        } else if let Some(reason) = custom {
            Sharing::Alone(reason)
        } else if directives.no_store {
            Sharing::Alone(Reason::NoStore)
        } else if is_get {
            Sharing::Shared
        } else {
            Sharing::Head
        };
        RequestTraits {
            sharing,
            custom: custom.is_some(),
            ignores_keyed,
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

/// The class of a field on a route.
pub fn class_on(name: &HeaderName, rule: &Rule) -> Class {
    let usual = classify_name(name);
    let is_set_aside = (name == COOKIE && rule.strip_cookies)
        || (name == AUTHORIZATION && rule.force.authorization);
    if is_set_aside {
        Class::Neutral
    } else if rule.vary_on.contains(name) {
        Class::Keyed
    } else if usual != Class::Neutral && rule.ignore_fields.has(name) {
        Class::Neutral
    } else {
        usual
    }
}

/// Whether a field that is usually keyed says nothing on this route.
pub fn is_ignored_keyed(name: &HeaderName, rule: &Rule) -> bool {
    classify_name(name) == Class::Keyed && class_on(name, rule) == Class::Neutral
}

/// A neutral field with a value against its grammar is as good as a custom one.
fn is_custom(class: Class, name: &HeaderName, value: &HeaderValue) -> bool {
    match class {
        Class::Neutral => !value_is_plain(name.as_str().as_bytes(), value.as_bytes()),
        Class::Keyed => false,
        Class::Custom => true,
    }
}

/// Whether a custom field has no say after all: the origin never sees it (RFC 9110 §7.6.1), or names it in Vary. What it says
/// of Authorization is another matter (RFC 9111 §3.5).
fn is_excused(
    name: &HeaderName,
    fields: &HeaderMap,
    selects: &impl Fn(&HeaderName) -> bool,
) -> bool {
    let names_it = |line: &HeaderValue| {
        let mut options = line.as_bytes().split(|byte| *byte == b',');
        options.any(|option| {
            option
                .trim_ascii()
                .eq_ignore_ascii_case(name.as_str().as_bytes())
        })
    };
    let is_for_this_hop =
        name == TRANSFER_ENCODING || fields.get_all(CONNECTION).iter().any(names_it);
    is_for_this_hop || (selects(name) && name != AUTHORIZATION && name != PROXY_AUTHORIZATION)
}

/// The field that makes a request custom: one that says who the client is, else the first. `None`: it has none.
pub fn custom_field<'a>(fields: &'a HeaderMap, rule: &Rule) -> Option<&'a HeaderName> {
    let mut first = None;
    for (name, value) in fields {
        if !is_custom(class_on(name, rule), name, value) || is_excused(name, fields, &|_| false) {
            continue;
        }
        if NAMES_A_CLIENT.contains(name) {
            return Some(name);
        }
        first = first.or(Some(name));
    }
    first
}

/// Appends the custom fields of a request, printable ASCII. Two requests have equal texts exactly if they have the same ones.
pub fn write_custom(fields: &HeaderMap, rule: &Rule, out: &mut String) {
    let is_custom =
        |name: &HeaderName, value: &HeaderValue| is_custom(class_on(name, rule), name, value);
    write_fields(fields, is_custom, out);
}

/// The same for the keyed fields.
pub fn write_keyed(fields: &HeaderMap, rule: &Rule, out: &mut String) {
    let is_keyed = |name: &HeaderName, _: &HeaderValue| class_on(name, rule) == Class::Keyed;
    write_fields(fields, is_keyed, out);
}

fn write_fields(
    fields: &HeaderMap,
    wanted: impl Fn(&HeaderName, &HeaderValue) -> bool,
    out: &mut String,
) {
    let mut lines: Vec<_> = fields
        .iter()
        .filter(|(name, value)| wanted(name, value))
        .collect();
    // Stable: several lines of one name stay in their order.
    lines.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in lines {
        // No name holds a blank or `=`, no written value holds a blank.
        out.push(' ');
        out.push_str(name.as_str());
        out.push('=');
        write_escaped(value.as_bytes(), out);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::policy::rule::{Force, IgnoreFields};

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
        RequestTraits::of(
            &Method::from_bytes(method.as_bytes()).expect("a method"),
            &fields,
            has_body,
            rule,
            |name| name == "x-told-apart",
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
            ("GET", &[("x-api-key", "")], Sharing::Alone(Reason::Custom)),
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

    #[test]
    fn a_custom_field_is_one_that_nothing_excuses() {
        let cases: [(Lines, bool); 17] = [
            (&[("x-token", "a")], true),
            (&[("x_real_ip", "a")], true),
            (&[("x-api-version", "a"), ("user-agent", "x")], false),
            // Vary names it, or it ends here.
            (&[("x-told-apart", "a")], false),
            (&[("x-token", "a"), ("connection", "close, X-Token")], false),
            (&[("transfer-encoding", "chunked")], false),
            (&[("authorization", "a"), ("connection", "x-token")], true),
            // A malformed value is as good as a custom field.
            (&[("range", "junk")], true),
            (&[("range", "bytes=0-1")], false),
            (&[("if-none-match", "\"a")], true),
            (&[("if-modified-since", "yesterday")], true),
            (&[("cache-control", "a b")], true),
            (&[("cache-control", "nothing-to-see-here")], false),
            (&[("content-length", "0")], false),
            (&[("content-length", "1")], true),
            (&[("x-forwarded-for", "1.1.1.1"), ("cf-ray", "x")], false),
            (&[("x-forwarded-user", "a")], true),
        ];
        for (lines, expected) in cases {
            let found = traits("GET", lines, false, &Rule::default());
            assert_eq!(found.custom, expected, "{lines:?}");
        }
    }

    #[test]
    fn the_field_that_makes_a_request_custom_is_known() {
        let field = |lines: &[(&'static str, &'static str)]| {
            let mut fields = HeaderMap::new();
            for (name, value) in lines {
                fields.append(*name, HeaderValue::from_static(value));
            }
            custom_field(&fields, &Rule::default()).map(|name| name.as_str().to_owned())
        };
        assert_eq!(field(&[("accept", "*/*"), ("x-api-version", "2")]), None);
        assert_eq!(field(&[("x-a", "1"), ("x-b", "1")]).as_deref(), Some("x-a"));
        assert_eq!(
            field(&[("x-a", "1"), ("cookie", "1")]).as_deref(),
            Some("cookie")
        );
        assert_eq!(field(&[("range", "junk")]).as_deref(), Some("range"));
        assert_eq!(field(&[("x-a", "1"), ("connection", "x-a")]), None);
    }

    #[test]
    fn a_route_says_which_fields_are_keyed_and_which_say_nothing() {
        let custom = |lines, rule: &Rule| traits("GET", lines, false, rule).custom;
        let name = HeaderName::from_static;
        let keyed = Rule {
            vary_on: vec![name("x-tenant")],
            ignore_fields: IgnoreFields::These(vec![name("x-noise"), name("x-inertia")]),
            ..Rule::default()
        };
        assert!(!custom(&[("x-tenant", "a"), ("x-noise", "b")], &keyed));
        assert!(custom(&[("x-other", "a")], &keyed));
        assert_eq!(class_on(&name("x-tenant"), &keyed), Class::Keyed);
        assert_eq!(class_on(&name("x-inertia"), &keyed), Class::Neutral);
        assert!(traits("GET", &[("x-inertia", "1")], false, &keyed).ignores_keyed);
        assert!(!traits("GET", &[("hx-request", "1")], false, &keyed).ignores_keyed);
        let all = Rule {
            ignore_fields: IgnoreFields::All,
            ..Rule::default()
        };
        assert!(!custom(&[("x-other", "a"), ("cookie", "b")], &all));
        assert!(custom(&[("authorization", "a")], &all));
        assert!(custom(&[("range", "junk")], &all));
    }

    #[test]
    fn texts_are_equal_exactly_for_the_same_fields() {
        let text = |lines: &[(&'static str, &'static str)]| {
            let mut fields = HeaderMap::new();
            for (name, value) in lines {
                fields.append(*name, HeaderValue::from_static(value));
            }
            let mut custom = String::new();
            write_custom(&fields, &Rule::default(), &mut custom);
            let mut keyed = String::new();
            write_keyed(&fields, &Rule::default(), &mut keyed);
            (custom, keyed)
        };
        let one = text(&[("x-a", "1 2"), ("x-b", "%"), ("accept", "*/*")]);
        assert_eq!(one, text(&[("x-b", "%"), ("x-a", "1 2"), ("dnt", "1")]));
        assert_eq!(one.1, "");
        for other in [
            text(&[("x-a", "1"), ("x-b", "%")]),
            text(&[("x-a", "1 2 x-b=%")]),
            text(&[("x-a", "1 2"), ("x-b", "%25")]),
            text(&[("x-a", "1 2"), ("x-b", "%"), ("range", "junk")]),
        ] {
            assert_ne!(one, other);
        }
        let versions = text(&[("x-api-version", "1"), ("api-version", "2")]);
        assert_eq!(versions.0, "");
        assert_eq!(versions.1, " api-version=2 x-api-version=1");
    }
}

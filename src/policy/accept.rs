//! Whether a client takes a media type (RFC 9110 §12.5.1), and whether it asks for something usual.

use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ORIGIN};
use http::{HeaderMap, HeaderName};

/// Whether the Accept of a request excludes a response with this Content-Type. Without Accept, or where one of the two is not
/// by the grammar, nothing is excluded.
///
/// Parameters of media types are left out: they are rarely asked for, and never to tell two answers of one resource apart.
pub fn excludes(request: &HeaderMap, content_type: &[u8]) -> bool {
    if !request.contains_key(ACCEPT) {
        return false;
    }
    let Some((kind, subtype)) = media_type(content_type) else {
        return false;
    };
    let mut best: Option<(Closeness, bool)> = None;
    let members = request
        .get_all(ACCEPT)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty());
    for member in members {
        let Some(range) = media_type(member) else {
            return false;
        };
        let closeness = match range {
            (b"*", b"*") => Closeness::Any,
            (one, b"*") if one.eq_ignore_ascii_case(kind) => Closeness::Kind,
            (one, other)
                if one.eq_ignore_ascii_case(kind) && other.eq_ignore_ascii_case(subtype) =>
            {
                Closeness::Type
            }
            _ => continue,
        };
        let is_wanted = !has_no_weight(member);
        // Of two ranges that are equally close, the friendlier one.
        if best.is_none_or(|best| (closeness, is_wanted) > best) {
            best = Some((closeness, is_wanted));
        }
    }
    !best.is_some_and(|(_, is_wanted)| is_wanted)
}

/// Whether what a request negotiates by is what browsers and common programs ask for, so that a failure of its answer is likely
/// everybody's. What else a client writes into these fields may be what the origin fails at.
pub fn is_usual(request: &HeaderMap) -> bool {
    let all = |name: HeaderName, is_usual: fn(&[u8]) -> bool| {
        let mut members = request
            .get_all(name)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii);
        members.all(is_usual)
    };
    all(ACCEPT, |member| {
        is_one_of(without_parameters(member), &USUAL_TYPES)
    }) && all(ACCEPT_ENCODING, |member| {
        is_one_of(without_parameters(member), &USUAL_CODINGS)
    }) && all(ACCEPT_LANGUAGE, |member| {
        is_language(without_parameters(member))
    }) && all(ORIGIN, is_web_origin)
}

const USUAL_TYPES: [&str; 22] = [
    "*/*",
    "application/*",
    "application/javascript",
    "application/json",
    "application/signed-exchange",
    "application/xhtml+xml",
    "application/xml",
    "audio/*",
    "font/woff2",
    "image/*",
    "image/apng",
    "image/avif",
    "image/jpeg",
    "image/png",
    "image/svg+xml",
    "image/webp",
    "text/*",
    "text/css",
    "text/event-stream",
    "text/html",
    "text/plain",
    "video/*",
];

const USUAL_CODINGS: [&str; 7] = ["*", "br", "deflate", "gzip", "identity", "x-gzip", "zstd"];

fn is_one_of(member: &[u8], usual: &[&str]) -> bool {
    usual
        .iter()
        .any(|known| known.as_bytes().eq_ignore_ascii_case(member))
}

/// `de`, `pt-BR`, `zh-Hant-TW`, `*`.
fn is_language(range: &[u8]) -> bool {
    let mut subtags = range.split(|byte| *byte == b'-');
    let is_primary = subtags
        .next()
        .is_some_and(|tag| (2..=3).contains(&tag.len()) && tag.iter().all(u8::is_ascii_alphabetic));
    let is_further =
        |tag: &[u8]| (2..=4).contains(&tag.len()) && tag.iter().all(u8::is_ascii_alphanumeric);
    range == b"*" || (is_primary && range.len() <= 12 && subtags.all(is_further))
}

/// `null`, or a scheme and an authority as browsers write them (RFC 6454 §7).
fn is_web_origin(origin: &[u8]) -> bool {
    let schemes = [&b"http://"[..], b"https://"];
    let authority = schemes
        .iter()
        .find_map(|scheme| origin.strip_prefix(*scheme));
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(byte);
    origin == b"null"
        || authority.is_some_and(|authority| {
            (1..=253).contains(&authority.len()) && authority.iter().all(is_plain)
        })
}

fn without_parameters(member: &[u8]) -> &[u8] {
    let end = member.iter().position(|byte| *byte == b';');
    member[..end.unwrap_or(member.len())].trim_ascii_end()
}

/// How closely a range fits a type: the closest one counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    /// `*/*`
    Any,
    /// `text/*`
    Kind,
    /// `text/html`
    Type,
}

/// What is before and behind the slash, without parameters.
fn media_type(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let whole = without_parameters(text);
    let slash = whole.iter().position(|byte| *byte == b'/')?;
    let kind = &whole[..slash];
    let subtype = &whole[slash + 1..];
    (!kind.is_empty() && !subtype.is_empty()).then_some((kind, subtype))
}

/// Whether a member has `q=0`, with any number of decimals.
fn has_no_weight(member: &[u8]) -> bool {
    let mut parameters = member
        .split(|byte| *byte == b';')
        .skip(1)
        .map(<[u8]>::trim_ascii);
    parameters.any(|parameter| match parameter {
        [b'q' | b'Q', b'=', b'0'] => true,
        [b'q' | b'Q', b'=', b'0', b'.', decimals @ ..] => {
            decimals.iter().all(|digit| *digit == b'0')
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn accepting(lines: &[&str]) -> HeaderMap {
        let mut request = HeaderMap::new();
        for line in lines {
            request.append(ACCEPT, HeaderValue::from_str(line).expect("a value"));
        }
        request
    }

    #[test]
    fn the_closest_range_decides() {
        let cases: [(&[&str], &str, bool); 21] = [
            (&[], "text/html", false),
            (&["*/*"], "text/html", false),
            (&["text/html"], "text/html; charset=utf-8", false),
            (&["Text/HTML"], "text/html", false),
            (&["text/*"], "text/html", false),
            (&["application/json"], "text/html", true),
            (&["image/*"], "text/html", true),
            (&["application/json", "text/html"], "text/html", false),
            (&["application/json, text/*;q=0.1"], "text/html", false),
            (&["*/*;q=0"], "text/html", true),
            (&["text/html;q=0, */*"], "text/html", true),
            (&["text/html;q=0, text/*"], "text/html", true),
            (&["text/html;Q=0.00"], "text/html", true),
            (&["text/*;q=0, text/html"], "text/html", false),
            (&["text/html;level=1"], "text/html", false),
            (&["text/html;level=1;q=0, text/html"], "text/html", false),
            (&["application/json"], "application/problem+json", true),
            // Against the grammar.
            (&["junk"], "text/html", false),
            (&["application/json"], "junk", false),
            (&["application/json"], "", false),
            (&[""], "text/html", true),
        ];
        for (accept, content_type, expected) in cases {
            assert_eq!(
                excludes(&accepting(accept), content_type.as_bytes()),
                expected,
                "{accept:?} {content_type}"
            );
        }
    }

    #[test]
    fn what_browsers_send_is_usual_and_what_they_do_not_is_not() {
        let usual = |name: HeaderName, value: &'static str| {
            let mut request = HeaderMap::new();
            request.insert(name, HeaderValue::from_static(value));
            is_usual(&request)
        };
        assert!(is_usual(&HeaderMap::new()));
        let chrome = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
            application/signed-exchange;v=b3;q=0.7";
        for accept in [chrome, "*/*", "application/json, text/plain, */*"] {
            assert!(usual(ACCEPT, accept), "{accept}");
        }
        assert!(usual(ACCEPT_ENCODING, "gzip, deflate, br, zstd"));
        assert!(usual(
            ACCEPT_LANGUAGE,
            "en-GB,en;q=0.9,zh-Hant-TW;q=0.5,es-419, *"
        ));
        for origin in ["null", "http://page.example:8080", "https://[::1]"] {
            assert!(usual(ORIGIN, origin), "{origin}");
        }
        assert!(!usual(ACCEPT, "text/evil"));
        assert!(!usual(ACCEPT, ""));
        assert!(!usual(ACCEPT_ENCODING, "gzip, evil"));
        for language in ["evil!", "english", "de-evillonger", "d"] {
            assert!(!usual(ACCEPT_LANGUAGE, language), "{language}");
        }
        for origin in ["http://", "http://a/b", "evil", "https://a\"b"] {
            assert!(!usual(ORIGIN, origin), "{origin}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(accept in "[ -~]{0,40}", content_type in proptest::collection::vec(any::<u8>(), 0..20)) {
            excludes(&accepting(&[&accept]), &content_type);
            is_usual(&accepting(&[&accept]));
        }

        #[test]
        fn what_is_plain_for_a_hit_excludes_nothing(
            accept in "(text/html|a/b|\\*/\\*)?(;q=0(\\.[0-9]{0,3})?)?(, ?\\*/\\*(; ?q=[01](\\.[0-9]{0,3})?)?)?",
            content_type in prop::sample::select(vec!["text/html", "a/b", "x/y"]),
        ) {
            let is_plain = crate::policy::request_fields::is_plain_for_hit(b"accept", accept.as_bytes());
            prop_assert!(!is_plain || !excludes(&accepting(&[&accept]), content_type.as_bytes()));
        }
    }
}

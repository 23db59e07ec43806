//! Whether a client takes a media type (RFC 9110 §12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

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
    let end = text
        .iter()
        .position(|byte| *byte == b';')
        .unwrap_or(text.len());
    let whole = text[..end].trim_ascii();
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

    proptest! {
        #[test]
        fn no_bytes_panic(accept in "[ -~]{0,40}", content_type in proptest::collection::vec(any::<u8>(), 0..20)) {
            excludes(&accepting(&[&accept]), &content_type);
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

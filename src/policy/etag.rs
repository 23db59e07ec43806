//! Entity tags (RFC 9110 §8.8.3), compared as the text the origin wrote.
//!
//! Origins write tags without quotes, as `w/"x"` or as `W\"x"`. Whoever repeats such a text means that response, so nothing
//! is put right here: only `W/` is known to the weak comparison, all else is compared byte by byte.

use http::header::ETAG;
use http::{HeaderMap, HeaderName};

/// One way to compare two tags (§8.8.3.2).
pub(super) type Comparison = fn(&[u8], &[u8]) -> bool;

/// The tag of a response. `None`: it has none, or a text that names no response: nothing, or `*`, which names them all.
pub(super) fn of(response: &HeaderMap) -> Option<&[u8]> {
    let text = response.get(ETAG)?.as_bytes().trim_ascii();
    (!text.is_empty() && text != b"*").then_some(text)
}

/// Whether the tag is marked as weak, broken marks included: what may be meant as weak is no strong validator.
pub(super) fn is_weak(tag: &[u8]) -> bool {
    matches!(tag, [b'W' | b'w', b'/' | b'\\' | b'"', ..])
}

/// Strong comparison: the same text, and not weak.
pub(super) fn strongly_equal(one: &[u8], other: &[u8]) -> bool {
    one == other && !is_weak(one)
}

/// Weak comparison: the same text but for `W/`.
pub(super) fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    opaque(one) == opaque(other)
}

/// Weak comparison of tags to which a server may have appended the coding, as in `"abc-gzip"` or `"abc--gzip"`.
pub(super) fn is_same_but_for_coding(one: &[u8], other: &[u8]) -> bool {
    without_coding(opaque(one)) == without_coding(opaque(other))
}

fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The tag up to its closing quotation mark and the coding before that.
fn without_coding(opaque: &[u8]) -> &[u8] {
    let Some(text) = opaque.strip_suffix(b"\"") else {
        return opaque;
    };
    let codings = [&b"-gzip"[..], b"-br", b"-zstd", b"-deflate"];
    let bare = codings.iter().find_map(|coding| text.strip_suffix(*coding));
    match bare {
        Some(bare) => bare.strip_suffix(b"-").unwrap_or(bare),
        None => text,
    }
}

/// Whether the list `name` of a request (If-Match, If-None-Match), all its lines taken together, names a response that
/// exists and has this tag. `*` names every one.
pub(super) fn is_named(
    request: &HeaderMap,
    name: &HeaderName,
    tag: Option<&[u8]>,
    equal: Comparison,
) -> bool {
    request
        .get_all(name)
        .iter()
        .map(|line| line.as_bytes().trim_ascii())
        .any(|line| {
            // A whole line may be one tag: a comma in a tag without quotes is the origin's doing, not a list.
            line == b"*"
                || tag.is_some_and(|tag| {
                    equal(line, tag) || members(line).any(|member| equal(member, tag))
                })
        })
}

/// Whether a line of If-Match or If-None-Match may be a list of tags: it is not empty, each quotation in it is closed, and no
/// member is missing between two commas. Tags without quotes are let through: origins write them, so clients repeat them.
pub(super) fn is_well_formed(line: &[u8]) -> bool {
    let quotes = line.iter().filter(|byte| **byte == b'"').count();
    quotes.is_multiple_of(2) && members(line).all(|member| !member.is_empty())
}

/// The members of one line. A tag knows no escapes: every quotation mark opens or closes (§8.8.3).
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let comma_outside = move |byte: &u8| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    };
    line.split(comma_outside).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_comparisons_differ_in_weak_tags_only() {
        let cases: [(&str, &str, bool, bool); 8] = [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
            (r#""A""#, r#""a""#, false, false),
            (r#"w/"1""#, r#"w/"1""#, false, true),
            (r#"w/"1""#, r#""1""#, false, false),
            ("1", "1", true, true),
        ];
        for (one, other, strong, weak) in cases {
            let one = one.as_bytes();
            let other = other.as_bytes();
            assert_eq!(
                (strongly_equal(one, other), weakly_equal(one, other)),
                (strong, weak),
                "{one:?} {other:?}"
            );
            assert_eq!(
                (strongly_equal(other, one), weakly_equal(other, one)),
                (strong, weak),
                "{other:?} {one:?}"
            );
        }
    }

    #[test]
    fn a_comma_in_a_quotation_does_not_split_and_a_backslash_escapes_nothing() {
        let split = |line: &'static str| {
            members(line.as_bytes())
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            split(r#""a,b" , W/"c",,d"#),
            [&br#""a,b""#[..], br#"W/"c""#, b"", b"d"]
        );
        assert_eq!(split(r#""a\","b""#), [&br#""a\""#[..], br#""b""#]);
    }
}

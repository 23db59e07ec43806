//! Cache-Control (RFC 9111 §5.2), read without allocating.

use std::time::Duration;

use http::HeaderMap;
use http::header::CACHE_CONTROL;

/// The longest time a cache reckons with, 2^31 seconds (RFC 9111 §1.2.2). Longer ones saturate here.
pub const LONGEST: Duration = Duration::from_secs(1 << 31);

/// The directives this cache knows, of a request or of a response. Unknown ones are ignored (§5.2.3).
///
/// A time that is present but invalid reads as zero: the response is stale rather than silently longer-lived (§4.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `no-store` (§5.2.1.5, §5.2.2.5).
    pub no_store: bool,
    /// `no-cache` for the whole response (§5.2.2.4).
    pub no_cache: bool,
    /// `no-cache` with field names.
    pub names_fields: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `immutable`
    pub immutable: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
    /// `max-stale`
    pub max_stale: Option<Duration>,
    /// `min-fresh`
    pub min_fresh: Option<Duration>,
    /// `private`, with or without field names (§5.2.2.7).
    pub private: bool,
    /// `public` (§5.2.2.9).
    pub public: bool,
    /// `must-revalidate` (§5.2.2.2).
    pub must_revalidate: bool,
    /// `proxy-revalidate` (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// `max-age` (§5.2.2.1). `None`: absent.
    pub max_age: Option<Duration>,
    /// `s-maxage` (§5.2.2.10). `None`: absent.
    pub s_maxage: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861 §3). `None`: absent.
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4). `None`: absent.
    pub stale_if_error: Option<Duration>,
}

/// Stub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Stub.
    pub directives: Directives,
    /// Stub.
    pub targeted: bool,
}

impl Word {
    /// Stub.
    pub fn of(response: &HeaderMap, _targeted: &[http::HeaderName]) -> Word {
        Word { directives: Directives::of(response), targeted: false }
    }

    /// Whether a response to a request with Authorization may be given to others (§3.5).
    pub fn shares_authorized(&self) -> bool {
        self.directives.public || self.directives.must_revalidate || self.directives.s_maxage.is_some()
    }
}

/// Stub.
pub fn fields_to_confirm(_response: &HeaderMap, _word: &Word) -> Vec<http::HeaderName> {
    Vec::new()
}

impl Directives {
    /// Reads every Cache-Control line of `fields` as one list (RFC 9110 §5.3). The first occurrence of a directive wins.
    pub fn of(fields: &HeaderMap) -> Directives {
        let mut found = Directives::default();
        let mut quoted = false;
        for line in fields.get_all(CACHE_CONTROL) {
            let mut rest = line.as_bytes();
            if quoted {
                // The quotation a line leaves open goes on in the next: nothing inside it is a directive.
                (_, rest, quoted) = first_member(rest, quoted);
            }
            while !rest.is_empty() {
                let member;
                (member, rest, quoted) = first_member(rest, false);
                found.add(member.trim_ascii());
            }
        }
        found
    }

    /// Whether the origin forbids every stale answer (RFC 9111 §4.2.4).
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage.is_some()
    }

    fn add(&mut self, member: &[u8]) {
        let (name, value) = match member.iter().position(|byte| *byte == b'=') {
            Some(at) => (&member[..at], &member[at + 1..]),
            None => (member, &[][..]),
        };
        // Blanks around "=" are not in the grammar: the directive counts, its value does not.
        let value = if name.ends_with(b" ") || name.ends_with(b"\t") { &[][..] } else { value };
        let name = name.trim_ascii_end();
        let flags = [
            ("no-store", &mut self.no_store),
            ("no-cache", &mut self.no_cache),
            ("must-understand", &mut self.must_understand),
            ("immutable", &mut self.immutable),
            ("private", &mut self.private),
            ("public", &mut self.public),
            ("must-revalidate", &mut self.must_revalidate),
            ("proxy-revalidate", &mut self.proxy_revalidate),
        ];
        for (known, place) in flags {
            *place |= name.eq_ignore_ascii_case(known.as_bytes());
        }
        let times = [
            ("max-age", &mut self.max_age),
            ("s-maxage", &mut self.s_maxage),
            ("stale-while-revalidate", &mut self.stale_while_revalidate),
            ("stale-if-error", &mut self.stale_if_error),
        ];
        for (known, place) in times {
            if name.eq_ignore_ascii_case(known.as_bytes()) {
                place.get_or_insert(delta_seconds(unquoted(value)).unwrap_or_default());
            }
        }
    }
}

/// Digits as seconds (RFC 9111 §1.2.2), saturating at [`LONGEST`]. `None`: anything but digits, or nothing.
pub(super) fn delta_seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = text
        .iter()
        .fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')).min(LONGEST.as_secs()));
    Some(Duration::from_secs(seconds))
}

/// Cuts a list at its first comma outside quotation marks: the member, what follows, and whether a quotation is still
/// open at the end.
fn first_member(list: &[u8], mut quoted: bool) -> (&[u8], &[u8], bool) {
    let mut escaped = false;
    for (at, byte) in list.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return (&list[..at], &list[at + 1..], false),
            _ => {}
        }
    }
    (list, &[], quoted)
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&str]) -> Directives {
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append(CACHE_CONTROL, HeaderValue::from_str(line).expect("a field value"));
        }
        Directives::of(&fields)
    }

    #[test]
    fn max_age_is_read_as_the_grammar_says_and_is_zero_when_it_is_not_met() {
        let cases = [
            ("max-age=3600", Some(3600)),
            ("MAX-AGE=3600", Some(3600)),
            ("max-age=\"3600\"", Some(3600)),
            ("max-age=0003600", Some(3600)),
            ("  max-age=3600  ", Some(3600)),
            ("max-age=99999999999999999999999", Some(1 << 31)),
            ("max-age=1, max-age=3600", Some(1)),
            ("max-age=a, max-age=3600", Some(0)),
            ("max-age='3600'", Some(0)),
            ("max-age=-3600", Some(0)),
            ("max-age=3600.0", Some(0)),
            ("max-age=3600a", Some(0)),
            ("max-age=a3600", Some(0)),
            ("max-age =3600", Some(0)),
            ("max-age= 3600", Some(0)),
            ("max-age", Some(0)),
            ("max-age=", Some(0)),
            ("max-age=\"3600", Some(0)),
            ("other=\"max-age=3600\"", None),
            ("other=\"a\\\", max-age=3600\"", None),
            ("xmax-age=3600, max-agex=1", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(read(&[line]).max_age, expected.map(Duration::from_secs), "{line}");
        }
    }

    #[test]
    fn lines_are_one_list_and_a_quotation_may_span_them() {
        assert!(read(&["max-age=1", "no-store"]).no_store);
        let spanning = read(&["other=\"a", "no-store", "b\", private"]);
        assert!(!spanning.no_store && spanning.private);
    }

    #[test]
    fn flags_count_with_and_without_a_value() {
        let found = read(&["no-cache=\"a, b\", private=x,,public , must-revalidate,proxy-revalidate, no-storex"]);
        assert!(found.no_cache && found.private && found.public && found.must_revalidate && found.proxy_revalidate);
        assert!(!found.no_store);
    }

    const PARTS: [&str; 7] = [
        "no-store",
        "private=\"a, b\"",
        "public",
        "max-age=60",
        "s-maxage=\"7\"",
        "stale-if-error=5",
        "unknown=\"x,y\"",
    ];

    proptest! {
        #[test]
        fn order_case_and_spacing_do_not_matter(
            order in Just(PARTS.to_vec()).prop_shuffle(),
            kept in 0..=PARTS.len(),
            blanks in proptest::collection::vec("[ \t]{0,2},?[ \t]{0,2}", PARTS.len()),
            upper in any::<bool>(),
        ) {
            let order = &order[..kept];
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            let plain = read(&[&sorted.join(",")]);
            let spaced: Vec<String> = order.iter().zip(&blanks).map(|(part, blank)| format!("{blank}{part} ")).collect();
            let spaced = spaced.join(",");
            let spaced = if upper { spaced.to_uppercase() } else { spaced };
            prop_assert_eq!(read(&[&spaced]), plain);
        }

        #[test]
        fn no_bytes_panic(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4)) {
            let mut fields = HeaderMap::new();
            for line in lines {
                if let Ok(value) = HeaderValue::from_bytes(&line) {
                    fields.append(CACHE_CONTROL, value);
                }
            }
            Directives::of(&fields);
        }
    }
}

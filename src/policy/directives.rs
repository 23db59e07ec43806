//! Cache-Control (RFC 9111 §5.2), and the targeted fields that speak in its place (RFC 9213).

use std::convert::Infallible;
use std::time::Duration;

use http::header::{CACHE_CONTROL, ValueIter};
use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser, Version};

/// The longest time a cache reckons with, 2^31 seconds (RFC 9111 §1.2.2). Longer ones saturate here.
pub const LONGEST: Duration = Duration::from_secs(1 << 31);

/// The directives this cache knows, of a request or of a response. Unknown ones are ignored (§5.2.3).
///
/// A time that is present but invalid reads as zero: the response is stale rather than silently longer-lived (§4.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `no-store` (§5.2.1.5, §5.2.2.5).
    pub no_store: bool,
    /// `no-cache` without field names (§5.2.1.4, §5.2.2.4), or with a value that is not a list of field names.
    pub no_cache: bool,
    /// `no-cache` with field names (§5.2.2.4): [`fields_to_confirm`] says which.
    pub names_fields: bool,
    /// `private`, with or without field names (§5.2.2.7).
    pub private: bool,
    /// `public` (§5.2.2.9).
    pub public: bool,
    /// `must-revalidate` (§5.2.2.2).
    pub must_revalidate: bool,
    /// `proxy-revalidate` (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// `must-understand` (§5.2.2.3).
    pub must_understand: bool,
    /// `immutable` (RFC 8246 §2).
    pub immutable: bool,
    /// `only-if-cached` (§5.2.1.7).
    pub only_if_cached: bool,
    /// `max-age` (§5.2.1.1, §5.2.2.1). `None`: absent.
    pub max_age: Option<Duration>,
    /// `s-maxage` (§5.2.2.10). `None`: absent.
    pub s_maxage: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861 §3). `None`: absent.
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4). `None`: absent.
    pub stale_if_error: Option<Duration>,
    /// `max-stale` (§5.2.1.2); [`LONGEST`] without a value. `None`: absent.
    pub max_stale: Option<Duration>,
    /// `min-fresh` (§5.2.1.3). `None`: absent.
    pub min_fresh: Option<Duration>,
}

/// How a value that breaks the grammar is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    /// As the strictest one: the directive counts, a time is zero.
    Strictest,
    /// As if the directive were absent.
    Absent,
}

impl Directives {
    /// Reads every Cache-Control line of `fields` as one list (RFC 9110 §5.3). The first occurrence of a directive wins.
    /// Allocates nothing.
    pub fn of(fields: &HeaderMap) -> Directives {
        Directives::read(fields, Invalid::Strictest)
    }

    /// As [`Directives::of`], but a directive with an invalid value is absent, and so is one that has a value where it takes
    /// none: what a client garbles must not cost the origin a request.
    pub(super) fn of_request(fields: &HeaderMap) -> Directives {
        Directives::read(fields, Invalid::Absent)
    }

    /// Whether the origin forbids every stale answer (RFC 9111 §4.2.4).
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage.is_some()
    }

    fn read(fields: &HeaderMap, invalid: Invalid) -> Directives {
        let mut found = Directives::default();
        for (name, value) in Members::of(fields, CACHE_CONTROL) {
            found.add(name, value, invalid);
        }
        found
    }

    fn add(&mut self, name: &[u8], value: Option<&[u8]>, invalid: Invalid) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let flags = [
            ("no-store", &mut self.no_store),
            ("private", &mut self.private),
            ("public", &mut self.public),
            ("must-revalidate", &mut self.must_revalidate),
            ("proxy-revalidate", &mut self.proxy_revalidate),
            ("must-understand", &mut self.must_understand),
            ("immutable", &mut self.immutable),
            ("only-if-cached", &mut self.only_if_cached),
        ];
        for (known, place) in flags {
            *place |= is(known) && (value.is_none() || invalid == Invalid::Strictest);
        }
        if is("no-cache") {
            let named = value.is_some_and(is_list_of_names);
            self.names_fields |= named;
            self.no_cache |= value.is_none() || (!named && invalid == Invalid::Strictest);
        }
        let times = [
            ("max-age", &mut self.max_age, None),
            ("s-maxage", &mut self.s_maxage, None),
            (
                "stale-while-revalidate",
                &mut self.stale_while_revalidate,
                None,
            ),
            ("stale-if-error", &mut self.stale_if_error, None),
            ("max-stale", &mut self.max_stale, Some(LONGEST)),
            ("min-fresh", &mut self.min_fresh, None),
        ];
        let if_invalid = (invalid == Invalid::Strictest).then_some(Duration::ZERO);
        for (known, place, bare) in times {
            if place.is_none() && is(known) {
                *place = value
                    .map_or(bare, |value| delta_seconds(unquoted(value)))
                    .or(if_invalid);
            }
        }
    }

    /// The directives of a targeted field (RFC 9213 §2.1). `None`: empty, no dictionary, or a directive has a value of the
    /// wrong type.
    fn of_targeted(text: &[u8]) -> Option<Directives> {
        // The types are those of RFC 8941, which RFC 9213 builds on: a Date or a Display String is an error.
        let parser = Parser::new(text).with_version(Version::Rfc8941);
        let Targeted { last, is_empty } = parser
            .parse_dictionary_with_visitor(Targeted::default())
            .ok()?;
        let value = |name: &str| {
            TARGETED
                .iter()
                .position(|known| *known == name)
                .and_then(|at| last[at])
        };
        let flag = |name| match value(name) {
            None => Some(false),
            Some(Value::Boolean(set)) => Some(set),
            Some(_) => None,
        };
        // Cache-Control lets these two name fields; here they count as if they named none.
        let naming = |name| {
            if value(name) == Some(Value::String) {
                Some(true)
            } else {
                flag(name)
            }
        };
        let time = |name| match value(name) {
            None => Some(None),
            Some(Value::Integer(seconds)) => u64::try_from(seconds)
                .ok()
                .map(|seconds| Some(Duration::from_secs(seconds).min(LONGEST))),
            Some(_) => None,
        };
        let found = Directives {
            no_store: flag("no-store")?,
            no_cache: naming("no-cache")?,
            private: naming("private")?,
            public: flag("public")?,
            must_revalidate: flag("must-revalidate")?,
            proxy_revalidate: flag("proxy-revalidate")?,
            must_understand: flag("must-understand")?,
            immutable: flag("immutable")?,
            max_age: time("max-age")?,
            s_maxage: time("s-maxage")?,
            stale_while_revalidate: time("stale-while-revalidate")?,
            stale_if_error: time("stale-if-error")?,
            ..Directives::default()
        };
        (!is_empty).then_some(found)
    }
}

/// The directives of a response, by their names in a targeted field: there the letter case counts.
const TARGETED: [&str; 12] = [
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
    "max-age",
    "s-maxage",
    "stale-while-revalidate",
    "stale-if-error",
];

/// The members of a targeted field that are directives. Of a key that is told twice, the last counts (RFC 9651 §4.2.2).
struct Targeted {
    /// By their places in [`TARGETED`].
    last: [Option<Value>; TARGETED.len()],
    is_empty: bool,
}

impl Default for Targeted {
    fn default() -> Targeted {
        Targeted {
            last: [None; TARGETED.len()],
            is_empty: true,
        }
    }
}

/// What a member is, as far as a directive can be told from it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Integer(i64),
    /// A key without a value is true.
    Boolean(bool),
    String,
    /// No directive has one.
    Other,
}

impl<'de> DictionaryVisitor<'de> for Targeted {
    type Out = Targeted;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.is_empty = false;
        let at = TARGETED.iter().position(|name| *name == key.as_str());
        Ok(at.map(|at| Member(&mut self.last[at])))
    }

    fn finish(self) -> Result<Targeted, Infallible> {
        Ok(self)
    }
}

/// Where the value of a member goes.
struct Member<'a>(&'a mut Option<Value>);

impl<'de> EntryVisitor<'de> for Member<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(|item: BareItemFromInput<'de>| {
            *self.0 = Some(match item {
                BareItemFromInput::Integer(number) => Value::Integer(number.into()),
                BareItemFromInput::Boolean(set) => Value::Boolean(set),
                BareItemFromInput::String(_) => Value::String,
                _ => Value::Other,
            });
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        *self.0 = Some(Value::Other);
        Ok(Ignored)
    }
}

/// What the origin says to this cache about one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// The directives that hold.
    pub directives: Directives,
    /// Whether they are from a targeted field: Expires does not count then (RFC 9213 §2.2).
    pub targeted: bool,
}

impl ResponseDirectives {
    /// The first field of `targeted` that is valid and not empty, else Cache-Control (RFC 9213 §2.2).
    pub fn of(response: &HeaderMap, targeted: &[HeaderName]) -> ResponseDirectives {
        let speaking = targeted.iter().find_map(|name| {
            let lines: Vec<&[u8]> = response
                .get_all(name)
                .iter()
                .map(HeaderValue::as_bytes)
                .collect();
            Directives::of_targeted(&lines.join(&b","[..]))
        });
        ResponseDirectives {
            directives: speaking.unwrap_or_else(|| Directives::of(response)),
            targeted: speaking.is_some(),
        }
    }

    /// Whether a response to a request with Authorization may be given to others (§3.5).
    pub fn shares_authorized(&self) -> bool {
        self.directives.public
            || self.directives.must_revalidate
            || self.directives.s_maxage.is_some()
    }
}

/// The response fields that may not be sent on before the origin has confirmed them: what `no-cache="a, b"` names
/// (RFC 9111 §5.2.2.4), each once. A targeted field names none.
pub fn fields_to_confirm(
    response: &HeaderMap,
    response_directives: &ResponseDirectives,
) -> Vec<HeaderName> {
    let mut found = Vec::new();
    if !response_directives.directives.names_fields {
        return found;
    }
    for (name, value) in Members::of(response, CACHE_CONTROL) {
        if let Some(list) =
            value.filter(|list| name.eq_ignore_ascii_case(b"no-cache") && is_list_of_names(list))
        {
            // A name too long for a HeaderName names no field of this response either.
            found.extend(names(list).filter_map(|name| HeaderName::from_bytes(name).ok()));
        }
    }
    found.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    found.dedup();
    found
}

/// Whether a line of Cache-Control or Pragma is a list of directives by the grammar (RFC 9111 §5.2), whatever they mean. Members
/// may be empty (RFC 9110 §5.6.1.2).
pub(super) fn is_well_formed(line: &[u8]) -> bool {
    let mut rest = line;
    while !rest.is_empty() {
        let (member, following, quoted) = first_member(rest, false);
        if quoted || !is_directive(member.trim_ascii()) {
            return false;
        }
        rest = following;
    }
    true
}

/// `token [ "=" ( token / quoted-string ) ]`, or nothing.
fn is_directive(member: &[u8]) -> bool {
    let is_token = |text: &[u8]| !text.is_empty() && text.iter().copied().all(is_token_character);
    match member.iter().position(|byte| *byte == b'=') {
        None => member.is_empty() || is_token(member),
        Some(at) => {
            let value = &member[at + 1..];
            is_token(&member[..at]) && (is_token(value) || is_quoted(value))
        }
    }
}

/// A quoted-string (RFC 9110 §5.6.4). That every quotation is closed is known.
fn is_quoted(value: &[u8]) -> bool {
    let Some(inner) = value
        .strip_prefix(b"\"")
        .and_then(|inner| inner.strip_suffix(b"\""))
    else {
        return false;
    };
    let mut escaped = false;
    inner.iter().all(|byte| {
        let is_inside = escaped || *byte != b'"';
        escaped = !escaped && *byte == b'\\';
        is_inside
    })
}

/// A character of a token (RFC 9110 §5.6.2).
pub(super) fn is_token_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a value of `no-cache` names fields, at least one and nothing else. An escaped character is no part of a name.
fn is_list_of_names(value: &[u8]) -> bool {
    names(value).next().is_some()
        && names(value).all(|name| name.iter().copied().all(is_token_character))
}

fn names(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    unquoted(value)
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
}

/// Digits as seconds (RFC 9111 §1.2.2), saturating at [`LONGEST`]. `None`: anything but digits, or nothing.
pub(super) fn delta_seconds(text: &[u8]) -> Option<Duration> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = text.iter().fold(0u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
            .min(LONGEST.as_secs())
    });
    Some(Duration::from_secs(seconds))
}

/// The members of all lines of a field, read as one list, as names and values. No value: there is no `=`.
pub(super) struct Members<'a> {
    lines: ValueIter<'a, HeaderValue>,
    /// What is left of the current line.
    rest: &'a [u8],
    /// Whether the line before left a quotation open: what it goes on with is no member.
    quoted: bool,
}

impl<'a> Members<'a> {
    pub(super) fn of(fields: &'a HeaderMap, name: HeaderName) -> Members<'a> {
        Members {
            lines: fields.get_all(name).iter(),
            rest: &[],
            quoted: false,
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.is_empty() {
            self.rest = self.lines.next()?.as_bytes();
            if self.quoted {
                (_, self.rest, self.quoted) = first_member(self.rest, true);
            }
        }
        let member;
        (member, self.rest, self.quoted) = first_member(self.rest, false);
        let member = member.trim_ascii();
        let Some(at) = member.iter().position(|byte| *byte == b'=') else {
            return Some((member, None));
        };
        let name = &member[..at];
        let value = &member[at + 1..];
        // Blanks around "=" are not in the grammar: the directive counts, its value does not.
        let value = if name.ends_with(b" ") || name.ends_with(b"\t") {
            &[][..]
        } else {
            value
        };
        Some((name.trim_ascii_end(), Some(value)))
    }
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
    value
        .strip_prefix(b"\"")
        .and_then(|inner| inner.strip_suffix(b"\""))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests;

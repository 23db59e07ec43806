//! What each request field does to sharing, by its name (docs/decisions/0030).
//!
//! | class | a request with such a field |
//! |---|---|
//! | neutral | is shared; the field says nothing that a shared answer depends on |
//! | keyed | is shared with the requests that have the same value; the field is sent to the origin |
//! | custom | never gets an answer under a lifetime of ours that was made for another client |
//!
//! Names are compared without regard to letter case (RFC 9110 §5.1). A name that is not in the table is custom. No listed
//! name has a `_`: origins that follow CGI read it as `-`, so `X_Real_IP` may mean something that the list does not.
//!
//! In scope: names, and whether a value is well-formed. Out of scope: what a route says about a field, and what the
//! field means.

use std::time::Duration;

use http::HeaderName;
use memchr::{memchr_iter, memrchr};

use super::{dates, directives, etag, ranges};
use crate::clock::Now;

/// The longest value of a neutral Accept field, in bytes. Beyond it the field could carry anything.
pub const MAX_ACCEPT: usize = 256;

/// What a request field does to sharing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It makes no request special.
    Neutral,
    /// Its value is part of the key.
    Keyed,
    /// The request may get what the origin made for this client alone.
    Custom,
}

/// The class of a field by its name, in any letter case. Allocates nothing.
pub fn classify(name: &[u8]) -> Class {
    match find(name) {
        Some(row) if row.role == Role::Key => Class::Keyed,
        Some(_) => Class::Neutral,
        None => Class::Custom,
    }
}

/// The class of a field by its name. Equals [`classify`] of its bytes.
pub fn classify_name(name: &HeaderName) -> Class {
    classify(name.as_str().as_bytes())
}

/// Whether the field is a proxy's claim about the client or about what it asked for: believed from trusted proxies only,
/// and never sent on a shared fetch.
pub fn is_forwarding_claim(name: &[u8]) -> bool {
    find(name).is_some_and(|row| row.role == Role::Claim)
}

/// Whether the value of a field leaves its class as it is. A neutral field with a value against its grammar, or an Accept
/// field above [`MAX_ACCEPT`], makes the request custom: the origin may answer it with anything.
///
/// Only grammars this cache reads anyway are checked: ranges (RFC 9110 §14.2), entity-tags and dates of preconditions
/// (§13.1), directives of Cache-Control and Pragma (RFC 9111 §5.2, §5.4). Content-Length has to be zero: a request with a
/// body is never shared. True for all other fields.
pub fn value_is_plain(name: &[u8], value: &[u8]) -> bool {
    find(name).is_none_or(|row| row.values.admit(value))
}

/// Whether a field can change nothing about the reply to a plain GET from a stored, complete 200 that was stored without
/// selecting fields. Allocates nothing.
///
/// False wherever the full path has to look: keyed and custom fields, forwarding claims, preconditions, ranges, directives,
/// framing and connection fields, and an Accept that excludes some type (RFC 9110 §12.5.1).
pub fn is_plain_for_hit(name: &[u8], value: &[u8]) -> bool {
    let Some(row) = find(name) else { return false };
    row.role == Role::Idle
        && match row.values {
            Values::Any => true,
            Values::MediaRanges => value.len() <= MAX_ACCEPT && admits_every_type(value),
            values => values.admit(value),
        }
}

/// What a listed field does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Neutral, and of no influence on a reply from the store.
    Idle,
    /// Neutral, but a cache or the connection acts on it.
    Steering,
    /// Neutral, and a claim of a proxy.
    Claim,
    /// Keyed.
    Key,
}

/// Which values leave a field in its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    Any,
    /// Accept, up to [`MAX_ACCEPT`].
    MediaRanges,
    /// Another Accept field, up to [`MAX_ACCEPT`].
    Short,
    /// RFC 9110 §14.2.
    Range,
    /// RFC 9110 §13.1.1 and §13.1.2.
    Tags,
    /// RFC 9110 §5.6.7.
    Date,
    /// RFC 9110 §13.1.5.
    TagOrDate,
    /// RFC 9111 §5.2.
    Directives,
    /// Digits.
    Number,
    /// A number without a digit but `0`.
    Zero,
}

impl Values {
    fn admit(self, value: &[u8]) -> bool {
        let value = value.trim_ascii();
        match self {
            Values::Any => true,
            Values::MediaRanges | Values::Short => value.len() <= MAX_ACCEPT,
            Values::Range => ranges::is_well_formed(value),
            Values::Tags => etag::is_well_formed(value),
            Values::Date => is_date(value),
            Values::TagOrDate => is_date(value) || etag::is_well_formed(value),
            Values::Directives => directives::is_well_formed(value),
            Values::Number => !value.is_empty() && value.iter().all(u8::is_ascii_digit),
            Values::Zero => !value.is_empty() && value.iter().all(|byte| *byte == b'0'),
        }
    }
}

/// The time does not matter: it settles centuries only.
fn is_date(value: &[u8]) -> bool {
    let now = Now {
        mono: Duration::ZERO,
        wall: Duration::ZERO,
    };
    dates::parse(value, now).is_some()
}

/// Whether an Accept surely leaves every media type acceptable: its last member is `*/*`, where clients write it, and no
/// parameter in it is zero, as a weight that excludes a type would be.
fn admits_every_type(accept: &[u8]) -> bool {
    if accept == b"*/*" {
        return true;
    }
    let last = memrchr(b',', accept).map_or(accept, |comma| &accept[comma + 1..]);
    let Some(parameters) = last.trim_ascii().strip_prefix(b"*/*") else {
        return false;
    };
    let is_weight = match parameters {
        [b';', b'q', b'=', weight @ ..] | [b';', b' ', b'q', b'=', weight @ ..] => {
            !weight.contains(&b';')
        }
        _ => false,
    };
    let is_zero = |equals_sign: usize| match &accept[equals_sign + 1..] {
        [b'0', b'.', decimals @ ..] => {
            let is_digit = |byte: &&u8| byte.is_ascii_digit();
            let mut digits = decimals.iter().take_while(is_digit);
            digits.all(|digit| *digit == b'0')
        }
        value => value.first() == Some(&b'0'),
    };
    (parameters.is_empty() || is_weight) && !memchr_iter(b'=', accept).any(is_zero)
}

/// Neutral fields that no reply from the store depends on.
const IDLE: &[&str] = &[
    "alt-used",
    "content-type",
    "device-memory",
    "dnt",
    "downlink",
    "dpr",
    "early-data",
    "ect",
    "from",
    "origin",
    "priority",
    "purpose",
    "referer",
    "rtt",
    "save-data",
    "sec-ch-device-memory",
    "sec-ch-dpr",
    "sec-ch-ua",
    // Of a family below, but in every request of many browsers: found at once here.
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-ch-width",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-storage-access",
    "sec-fetch-user",
    "sec-gpc",
    "sec-purpose",
    "upgrade-insecure-requests",
    "user-agent",
    "viewport-width",
    "width",
    "x-purpose",
    // Prometheus and Grafana.
    "x-dashboard-uid",
    "x-datasource-uid",
    "x-grafana-device-id",
    "x-panel-id",
    "x-panel-plugin-id",
    "x-plugin-id",
    "x-prometheus-scrape-timeout-seconds",
    "x-query-group-id",
    // Tracing.
    "b3",
    "baggage",
    "request-id",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-datadog-origin",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-tags",
    "x-datadog-trace-id",
];

/// Neutral fields of content negotiation.
const NEGOTIATION: &[&str] = &["accept-charset", "accept-encoding", "accept-language"];

/// Neutral fields that the cache or the connection acts on, whatever their value.
const STEERING: &[&str] = &[
    "cache-refresh",
    "cdn-loop",
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "via",
    "x-cache-refresh",
    // The reply repeats it.
    "x-request-id",
];

/// Claims of proxies about the client, or about what it asked for.
const CLAIMS: &[&str] = &[
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-ew-via",
    "cf-ipcountry",
    "cf-ray",
    "cf-visitor",
    "cf-worker",
    "fastly-client-ip",
    "fastly-ff",
    "fastly-ssl",
    "forwarded",
    "true-client-ip",
    "x-amz-cf-id",
    "x-client-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-real-ip",
    "x-rewrite-url",
    "x-scheme",
];

/// Fields whose value is part of the key.
const KEYED: &[&str] = &[
    "accept-datetime",
    "accept-profile",
    "accept-version",
    "api-version",
    "hx-request",
    "turbo-frame",
    "x-api-version",
    "x-grafana-org-id",
    "x-inertia",
    "x-requested-with",
];

/// One line of the table: a whole name, or the beginning of the names of a family.
#[derive(Clone, Copy)]
struct Row {
    /// In lower case.
    name: &'static [u8],
    ends: Ends,
    role: Role,
    values: Values,
}

impl Row {
    const fn new(name: &'static str, role: Role, values: Values) -> Row {
        let name = name.as_bytes();
        let mut at = 0;
        while at < name.len() {
            // `fold` is exact for these bytes only.
            assert!(matches!(name[at], b'a'..=b'z' | b'0'..=b'9' | b'-'));
            at += 1;
        }
        Row {
            name,
            ends: Ends::of(name),
            role,
            values,
        }
    }

    /// Whether `name`, whose ends these are, is this row's in any letter case.
    #[inline(always)]
    fn is(&self, name: &[u8], ends: Ends) -> bool {
        self.ends.first == ends.first
            && self.ends.last == ends.last
            && self.name.len() == name.len()
            // The ends overlap or touch in names up to 16 bytes; longer ones have a middle.
            && (name.len() <= 16 || is_middle_equal(name, self.name))
    }
}

/// Whether two names of the same length are equal in all but the first and the last eight bytes.
fn is_middle_equal(mut name: &[u8], mut known: &[u8]) -> bool {
    while let (
        [_, _, _, _, _, _, _, _, name_rest @ ..],
        [_, _, _, _, _, _, _, _, known_rest @ ..],
    ) = (name, known)
    {
        let (Some(one), Some(other)) = (first_word(name_rest), first_word(known_rest)) else {
            break;
        };
        if one != other {
            return false;
        }
        name = name_rest;
        known = known_rest;
    }
    true
}

/// The first and the last bytes of a name in lower case: all of it up to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ends {
    first: u64,
    last: u64,
}

impl Ends {
    // Patterns, because calls are not inlined where the compiler is asked for a small program.
    #[inline(always)]
    const fn of(name: &[u8]) -> Ends {
        if let (Some(first), Some(last)) = (first_word(name), last_word(name)) {
            return Ends { first, last };
        }
        let (first, last) = match *name {
            [a, b, c, d, ..] => {
                let [.., w, x, y, z] = *name else {
                    return Ends { first: 0, last: 0 };
                };
                ([a, b, c, d], [w, x, y, z])
            }
            [a, b, c] => ([a, b, c, 0], [0; 4]),
            [a, b] => ([a, b, 0, 0], [0; 4]),
            [a] => ([a, 0, 0, 0], [0; 4]),
            [] => ([0; 4], [0; 4]),
        };
        Ends {
            first: fold(u32::from_le_bytes(first) as u64),
            last: fold(u32::from_le_bytes(last) as u64),
        }
    }
}

/// The first eight bytes, folded.
#[inline(always)]
const fn first_word(name: &[u8]) -> Option<u64> {
    match *name {
        [a, b, c, d, e, f, g, h, ..] => Some(fold(u64::from_le_bytes([a, b, c, d, e, f, g, h]))),
        _ => None,
    }
}

/// The last eight bytes, folded.
#[inline(always)]
const fn last_word(name: &[u8]) -> Option<u64> {
    match *name {
        [.., a, b, c, d, e, f, g, h] => Some(fold(u64::from_le_bytes([a, b, c, d, e, f, g, h]))),
        _ => None,
    }
}

/// Puts the letters of a word in lower case. Bytes from `@` to `_` that are no letters change too, to bytes that no listed
/// name has; all others stay as they are.
#[inline(always)]
const fn fold(word: u64) -> u64 {
    word | ((word & 0x4040_4040_4040_4040) >> 1)
}

const COUNT: usize =
    IDLE.len() + NEGOTIATION.len() + STEERING.len() + SINGLE.len() + CLAIMS.len() + KEYED.len();

/// Neutral fields whose values have a grammar of their own.
const SINGLE: &[Row] = &[
    Row::new("accept", Role::Idle, Values::MediaRanges),
    Row::new("cache-control", Role::Steering, Values::Directives),
    Row::new("content-length", Role::Steering, Values::Zero),
    Row::new("if-match", Role::Steering, Values::Tags),
    Row::new("if-modified-since", Role::Steering, Values::Date),
    Row::new("if-none-match", Role::Steering, Values::Tags),
    Row::new("if-range", Role::Steering, Values::TagOrDate),
    Row::new("if-unmodified-since", Role::Steering, Values::Date),
    Row::new("max-forwards", Role::Steering, Values::Number),
    Row::new("pragma", Role::Steering, Values::Directives),
    Row::new("range", Role::Steering, Values::Range),
];

/// Every listed name.
static ROWS: [Row; COUNT] = rows();

const fn rows() -> [Row; COUNT] {
    let mut all = [SINGLE[0]; COUNT];
    let mut count = 0;
    while count < SINGLE.len() {
        all[count] = SINGLE[count];
        count += 1;
    }
    let lists = [
        (IDLE, Role::Idle, Values::Any),
        (NEGOTIATION, Role::Idle, Values::Short),
        (STEERING, Role::Steering, Values::Any),
        (CLAIMS, Role::Claim, Values::Any),
        (KEYED, Role::Key, Values::Any),
    ];
    let mut list = 0;
    while list < lists.len() {
        let (names, role, values) = lists[list];
        let mut at = 0;
        while at < names.len() {
            all[count] = Row::new(names[at], role, values);
            count += 1;
            at += 1;
        }
        list += 1;
    }
    all
}

/// The families, by the beginning of their names.
static FAMILIES: [Row; 9] = [
    Row::new("sec-ch-ua-", Role::Idle, Values::Any),
    Row::new("sec-ch-prefers-", Role::Idle, Values::Any),
    Row::new("sec-ch-viewport-", Role::Idle, Values::Any),
    Row::new("x-b3-", Role::Idle, Values::Any),
    Row::new("x-envoy-", Role::Idle, Values::Any),
    Row::new("access-control-request-", Role::Idle, Values::Any),
    Row::new("x-original-", Role::Claim, Values::Any),
    Row::new("cloudfront-", Role::Claim, Values::Any),
    Row::new("fly-", Role::Claim, Values::Any),
];

/// Slots of the hash table, a power of two: less than a third of them are taken, so that most names are found, or found
/// missing, at the first.
const SLOTS: usize = 512;

/// A hash table with linear probing: 0 for a free slot, else one more than the place in [`ROWS`].
static INDEX: [u8; SLOTS] = index();

const fn index() -> [u8; SLOTS] {
    assert!(COUNT < u8::MAX as usize && COUNT * 3 < SLOTS);
    let rows = rows();
    let mut index = [0; SLOTS];
    let mut at = 0;
    while at < COUNT {
        let mut slot = slot(rows[at].ends, rows[at].name.len());
        while index[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        index[slot] = at as u8 + 1;
        at += 1;
    }
    index
}

#[inline(always)]
const fn slot(ends: Ends, length: usize) -> usize {
    // Multiplication by an odd number spreads each bit over all higher ones (2^64 divided by the golden ratio).
    let mixed = (ends.first ^ ends.last.rotate_left(29) ^ length as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

/// The row of a name. `None`: it is not listed.
fn find(name: &[u8]) -> Option<&'static Row> {
    let ends = Ends::of(name);
    let mut slot = slot(ends, name.len());
    loop {
        let Some(at) = INDEX[slot].checked_sub(1) else {
            return family(name);
        };
        let row = &ROWS[usize::from(at)];
        if row.is(name, ends) {
            return Some(row);
        }
        slot = (slot + 1) % SLOTS;
    }
}

fn family(name: &[u8]) -> Option<&'static Row> {
    let four = name.first_chunk::<4>()?;
    // Most custom names begin like none of the families.
    let families = match &fold(u64::from(u32::from_le_bytes(*four))).to_le_bytes()[..4] {
        b"sec-" => &FAMILIES[..3],
        b"x-b3" => &FAMILIES[3..4],
        b"x-en" => &FAMILIES[4..5],
        b"acce" => &FAMILIES[5..6],
        b"x-or" => &FAMILIES[6..7],
        b"clou" => &FAMILIES[7..8],
        b"fly-" => &FAMILIES[8..],
        _ => return None,
    };
    families.iter().find(|row| {
        name.split_at_checked(row.name.len())
            .is_some_and(|(beginning, rest)| {
                row.is(beginning, Ends::of(beginning)) && is_rest_of_family(rest)
            })
    })
}

/// Letters, digits and dashes, at least one: an origin could read any other character as a dash.
fn is_rest_of_family(rest: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    !rest.is_empty() && rest.iter().all(is_plain)
}

#[cfg(test)]
mod tests;

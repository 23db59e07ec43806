//! What a client may be told: a good body of its own target and language, no older than its endpoint allows, with its true age.

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, header};
use larder::outcome::{Cause, FetchError, Outcome};

use crate::clients::Question;
use crate::endpoints::{Endpoint, Kind, endpoint};
use crate::ledger::{Ledger, Said};

/// slowRequestTimeout, firstByteTimeout and totalTimeout together.
pub const LONGEST_WAIT: u64 = 2_000 + 10_000 + 60_000;

/// A reply as it went out.
pub struct Told {
    pub status: StatusCode,
    pub outcome: Outcome,
    /// Its whole head.
    pub head: String,
    /// Its body, empty to HEAD and 304.
    pub body: Bytes,
    /// The stored answer behind it, whole.
    pub stored: Option<Bytes>,
}

impl Told {
    fn field(&self, name: &HeaderName) -> Option<&str> {
        let of = |line: &str| {
            line.split_once(": ")
                .is_some_and(|(said, _)| said.eq_ignore_ascii_case(name.as_str()))
        };
        self.head
            .lines()
            .find(|line| of(line))
            .and_then(|line| line.split_once(": "))
            .map(|(_, value)| value)
    }
}

/// Judges a reply of this moment. `Err`: what is wrong with it.
pub fn judge(question: &Question, told: &Told, ledger: &Ledger, now: u64) -> Result<(), String> {
    let waited = now - question.asked;
    // An answer that comes late may need a cross-check, which is a fetch of its own.
    if waited > 2 * LONGEST_WAIT {
        return Err(format!("told after {waited} ms"));
    }
    if question.method == Method::POST
        || !(told.status.is_success() || told.status == StatusCode::NOT_MODIFIED)
    {
        return Ok(());
    }
    if told.status == StatusCode::NOT_MODIFIED
        && told.field(&header::ETAG) != question.tag.as_deref()
    {
        return Err(format!("not modified since {:?}", question.tag));
    }
    let endpoint = endpoint(&question.target);
    let age = match told.field(&header::AGE) {
        Some(age) => Some(age.parse::<u64>().map_err(|_| format!("Age is {age:?}"))?),
        None => None,
    };
    let stored = told.stored.is_some();
    if stored != age.is_some() {
        return Err(format!("an Age of {age:?}, stored: {stored}"));
    }
    // Who tells HEAD what it just heard has no body to judge.
    if question.method == Method::HEAD && !stored {
        return Ok(());
    }
    let is_it = |said: &Said| {
        is_of(said, told) && (endpoint.kind != Kind::Spoken || said.language == question.language)
    };
    let Some(said) = ledger.find(&question.target, is_it, |at| is_as_old(now - at, age)) else {
        return Err("never said so, or not then, or to others".to_owned());
    };
    if !ledger.may_be_told(said) {
        return Err(format!("nonsense: {said:?}"));
    }
    let is_young_enough =
        |at: u64| is_as_old(now - at, age) && now - at < limit(endpoint, &told.outcome);
    if said.times.iter().any(|at| is_young_enough(*at)) {
        Ok(())
    } else {
        Err(format!("too old at {age:?} s"))
    }
}

/// Age in whole seconds; an answer without one is of this moment.
fn is_as_old(milliseconds: u64, age: Option<u64>) -> bool {
    age.map_or(milliseconds == 0, |age| milliseconds / 1000 == age)
}

/// Whether the reply, or the part of it that was sent, is this.
fn is_of(said: &Said, told: &Told) -> bool {
    if told.status == StatusCode::NOT_MODIFIED {
        return told
            .field(&header::ETAG)
            .is_some_and(|tag| tag == format!("\"s{}\"", said.number));
    }
    let Some(place) = told.field(&header::CONTENT_RANGE) else {
        return said.body == *told.stored.as_ref().unwrap_or(&told.body);
    };
    let bounds = place
        .strip_prefix("bytes ")
        .and_then(|place| place.split('/').next()?.split_once('-'));
    let bounds = bounds.and_then(|(first, last)| {
        Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
    });
    // What is stored may be a part itself.
    let holds = |stored: &Bytes| {
        said.body
            .windows(stored.len().max(1))
            .any(|part| part == stored)
    };
    bounds
        .and_then(|(first, last)| said.body.get(first..=last))
        .is_some_and(|part| *part == *told.body)
        && told.stored.as_ref().is_none_or(holds)
}

/// Below how many milliseconds of age it may be told on this endpoint, where it came about like this.
fn limit(endpoint: &Endpoint, outcome: &Outcome) -> u64 {
    use FetchError::{ConnectTimeout, FirstByteTimeout, IdleTimeout, TotalTimeout};
    let seconds = match outcome {
        Outcome::Hit => endpoint.at_once,
        Outcome::Stale { reason } => {
            let grace = match reason {
                Cause::Slow | Cause::Quota | Cause::NoPermit | Cause::ParkedFull => endpoint.slow,
                Cause::Fetch(ConnectTimeout | FirstByteTimeout | IdleTimeout | TotalTimeout) => {
                    endpoint.timed_out
                }
                Cause::Fetch(_) => endpoint.unreachable,
                _ => endpoint.failed,
            };
            endpoint.at_once.max(endpoint.fresh + grace)
        }
        // It comes from the origin at this moment, but for what had to wait for its cross-check.
        _ if matches!(
            endpoint.kind,
            Kind::MaybeEmpty | Kind::Level | Kind::Csv | Kind::Readings
        ) =>
        {
            LONGEST_WAIT / 1000
        }
        // It comes from the origin at this moment, or came drop by drop until then.
        _ => LONGEST_WAIT / 1000,
    };
    seconds * 1000
}

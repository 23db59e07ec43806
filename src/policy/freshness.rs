//! How long a response is fresh, and how long after that it may still serve (RFC 9111 §4.2, RFC 5861).

use std::time::Duration;

use http::header::{EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use super::age::{date, initial_age};
use super::dates;
use super::directives::{Directives, LONGEST, ResponseDirectives};
use super::rule::{Defaults, Rule};
use super::span::{Moment, Span};
use super::storing::is_failure;
use super::validation::has_validator;
use crate::clock::Now;

/// How long a stale response is kept for who can reach no origin, or to be confirmed by it: one day (docs/decisions/0016).
const KEPT: Duration = Duration::from_secs(86_400);

/// The life of one stored response, on the monotonic clock: a wall clock that jumps changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    pub(super) source: LifetimeSource,
    pub(super) stale: Stale,
    /// It can be confirmed by the origin, and so is of use however old.
    pub(super) validator: bool,
    pub(super) stale_time: Span,
    pub(super) ttl: Span,
    pub(super) slow_grace: Span,
    pub(super) grace_time: Span,
    pub(super) initial_age: Span,
    pub(super) received: Moment,
}

/// Whose word a lifetime is: the user's, else the origin's, else the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeSource {
    /// The route's `cacheTTL`.
    Rule,
    /// Explicit freshness in the response.
    Origin,
    /// Reckoned from Last-Modified (§4.2.2), or zero where there is an ETag only.
    Heuristic,
    /// `defaultTTL` or `statusTTL`.
    Default,
}

/// Whether a response may be used past its lifetime (§4.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    Allowed,
    Forbidden,
}

/// Why the origin gives no answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It may still be at work on one.
    Slow,
    /// It was asked, and did not answer in time.
    TimedOut,
    /// It cannot be reached, or broke the connection off: the cache is disconnected (§4.2.4).
    Unreachable,
    /// It answers with an error (RFC 5861 §4).
    Failed,
}

impl Lifetime {
    /// Whose word the time to live is.
    pub fn source(&self) -> LifetimeSource {
        self.source
    }

    /// The age from which it is refreshed in the background when it answers. At or above the time to live: never.
    ///
    /// By a rule or the default it is still fresh then; where the lifetime is the origin's word, this is where it ends, and
    /// what follows up to the time to live is `stale-while-revalidate`.
    pub fn stale_time(&self) -> Duration {
        self.stale_time.into()
    }

    /// The time to live, the age up to which it answers at once.
    pub fn ttl(&self) -> Duration {
        self.ttl.into()
    }

    /// The age at which it is no longer fresh: the RFC's freshness lifetime (§4.2.1).
    pub fn fresh_until(&self) -> Duration {
        match self.source {
            LifetimeSource::Rule | LifetimeSource::Default => self.ttl(),
            LifetimeSource::Origin | LifetimeSource::Heuristic => self.stale_time(),
        }
    }

    /// How long past its lifetime it may stand in for a slow origin. Zero: not at all.
    pub fn slow_grace(&self) -> Duration {
        self.slow_grace.into()
    }

    /// How long past its lifetime it may stand in for a failed origin. Zero: not at all.
    pub fn grace_time(&self) -> Duration {
        self.grace_time.into()
    }

    /// How old it was when it arrived (§4.2.3). Zero where the user says how long it lives: that counts from reception,
    /// because the origins this is written for have clocks that are hours wrong.
    pub fn initial_age(&self) -> Duration {
        self.initial_age.into()
    }

    /// The monotonic time at which it arrived.
    pub fn received(&self) -> Duration {
        self.received.into()
    }

    /// How old the response is: its `current_age` (§4.2.3).
    pub fn age(&self, now: Now) -> Duration {
        self.initial_age()
            .saturating_add(now.mono.saturating_sub(self.received()))
            .min(LONGEST)
    }

    /// Seconds until it is no longer fresh, rounded up; zero or below once it is not.
    pub fn expires_in(&self, now: Now) -> i64 {
        let age = self.age(now);
        let until = self.fresh_until();
        // Both are at most `LONGEST`, far inside an i64.
        match until.checked_sub(age) {
            Some(left) => left.as_secs() as i64 + i64::from(left.subsec_nanos() > 0),
            None => -((age - until).as_secs() as i64),
        }
    }

    /// How long after its reception it stays fresh. Zero: it never was.
    pub fn fresh_for(&self) -> Duration {
        self.fresh_until().saturating_sub(self.initial_age())
    }

    /// Whether it may be used past its lifetime at all (§4.2.4): neither the origin nor its own status forbids it.
    pub fn may_be_stale(&self) -> bool {
        self.stale == Stale::Allowed
    }

    /// Whether it may answer now, although the origin does not.
    pub fn serves_despite(&self, failure: FailureKind, now: Now) -> bool {
        let age = self.age(now);
        let past = age.saturating_sub(self.fresh_until());
        age < self.ttl() || past < self.allowance(failure)
    }

    /// How long past its lifetime it may stand in for an origin in this failure.
    fn allowance(&self, failure: FailureKind) -> Duration {
        let disconnected = match self.source {
            LifetimeSource::Origin | LifetimeSource::Heuristic if self.may_be_stale() => KEPT,
            _ => Duration::ZERO,
        };
        match failure {
            FailureKind::Slow => self.slow_grace(),
            FailureKind::TimedOut => self.slow_grace().max(disconnected),
            FailureKind::Unreachable => self.grace_time().max(disconnected),
            FailureKind::Failed => self.grace_time(),
        }
    }

    /// The monotonic time from which it is of no use.
    pub fn retained_until(&self) -> Duration {
        self.received().saturating_add(self.retained_for())
    }

    /// How long after its reception it is of use: to answer, or to be confirmed.
    pub(super) fn retained_for(&self) -> Duration {
        let confirmed = if self.validator { KEPT } else { Duration::ZERO };
        let stale = self
            .allowance(FailureKind::TimedOut)
            .max(self.allowance(FailureKind::Unreachable))
            .max(confirmed);
        self.ttl()
            .max(self.fresh_until().saturating_add(stale))
            .saturating_sub(self.initial_age())
    }

    /// Whether it is worth storing: it answers for a time, may stand in where the origin allows it in so many words, or can
    /// be confirmed.
    pub(super) fn is_of_use(&self) -> bool {
        let graces = self.slow_grace().max(self.grace_time());
        self.validator
            || self.ttl().max(self.fresh_until().saturating_add(graces)) > self.initial_age()
    }
}

/// A response as freshness sees it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its status code.
    pub status: StatusCode,
    /// Its fields.
    pub fields: &'a HeaderMap,
    /// What it says to caches.
    pub response_directives: ResponseDirectives,
    /// When the request was sent.
    pub asked: Now,
    /// When the response was complete.
    pub at: Now,
}

/// Which lifetimes a response may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// The rule's, else the origin's, else the default.
    Any,
    /// The origin's own word only, or where there are no defaults, §4.2.2: the request has a custom field.
    OriginOnly,
}

/// The lifetime of a response. `None`: nobody gives it one.
pub fn lifetime(
    response: &Received<'_>,
    rule: &Rule,
    defaults: &Defaults,
    allowed: Allowed,
) -> Option<Lifetime> {
    if rule.cache_ttl.is_some_and(|ttl| ttl.is_zero()) {
        return None;
    }
    let (source, fresh) = whose_directives(response, rule, defaults, allowed == Allowed::Any)?;
    let fresh = fresh.min(LONGEST);
    let directives = &response.response_directives.directives;
    let stale = whether_stale(response.status, directives, rule);
    let (slow_grace, grace_time) = match stale {
        Stale::Allowed => graces(source, fresh, directives, rule, defaults),
        Stale::Forbidden => (Duration::ZERO, Duration::ZERO),
    };
    let (stale_time, ttl, initial_age) = match source {
        LifetimeSource::Origin | LifetimeSource::Heuristic => {
            let window = directives
                .stale_while_revalidate
                .filter(|_| stale == Stale::Allowed)
                .unwrap_or_default();
            let age = initial_age(response.fields, response.asked, response.at);
            (fresh, fresh.saturating_add(window), age)
        }
        LifetimeSource::Rule | LifetimeSource::Default => {
            let general = if defaults.pure() {
                fresh
            } else {
                defaults.stale_time
            };
            (rule.stale_time.unwrap_or(general), fresh, Duration::ZERO)
        }
    };
    Some(Lifetime {
        source,
        stale,
        validator: has_validator(response.fields),
        stale_time: stale_time.min(LONGEST).into(),
        ttl: ttl.min(LONGEST).into(),
        slow_grace: slow_grace.into(),
        grace_time: grace_time.into(),
        initial_age: initial_age.into(),
        received: response.at.mono.into(),
    })
}

/// Who says how long it is fresh: the rule, else the origin, else the default, or where there are none, §4.2.2.
fn whose_directives(
    response: &Received<'_>,
    rule: &Rule,
    defaults: &Defaults,
    ours: bool,
) -> Option<(LifetimeSource, Duration)> {
    let ruled = rule
        .cache_ttl
        .filter(|_| ours && is_plainly_cacheable(response.status));
    if let Some(ttl) = ruled {
        return Some((LifetimeSource::Rule, ttl));
    }
    if let Some(ttl) = explicit(response) {
        return Some((LifetimeSource::Origin, ttl));
    }
    if defaults.pure() && rule.cache_ttl.is_none() {
        return heuristic(response).map(|ttl| (LifetimeSource::Heuristic, ttl));
    }
    default_ttl(response.status, rule, defaults)
        .filter(|_| ours)
        .map(|ttl| (LifetimeSource::Default, ttl))
}

/// Explicit freshness (§4.2.1). `Some(0)`: stale at once, also when what is there cannot be read, or may not be used
/// unconfirmed (§5.2.2.4).
fn explicit(response: &Received<'_>) -> Option<Duration> {
    let ResponseDirectives {
        directives,
        targeted,
    } = response.response_directives;
    if directives.no_cache {
        return Some(Duration::ZERO);
    }
    let told = directives.s_maxage.or(directives.max_age);
    told.or_else(|| {
        if targeted {
            None
        } else {
            expires_after_date(response)
        }
    })
}

/// Expires minus Date; several Expires lines or an unreadable one are stale (§5.3).
fn expires_after_date(response: &Received<'_>) -> Option<Duration> {
    let mut lines = response.fields.get_all(EXPIRES).iter();
    let first = lines.next()?;
    let only = lines
        .next()
        .is_none()
        .then(|| dates::parse(first.as_bytes(), response.at))
        .flatten();
    let seconds = only.and_then(|expires| {
        u64::try_from(expires.saturating_sub(date_or_reception(response)?)).ok()
    });
    Some(Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST))
}

/// The tenth of the time since it was last changed (§4.2.2); zero where only an ETag can tell whether it was. `None` without
/// a validator, and for statuses whose definition does not allow it.
fn heuristic(response: &Received<'_>) -> Option<Duration> {
    if !has_validator(response.fields)
        || !(is_heuristically_cacheable(response.status)
            || response.response_directives.directives.public)
    {
        return None;
    }
    let modified = response
        .fields
        .get(LAST_MODIFIED)
        .and_then(|line| dates::parse(line.as_bytes(), response.at));
    let since = modified
        .zip(date_or_reception(response))
        .map(|(modified, date)| date.saturating_sub(modified));
    let seconds = since
        .and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or(0);
    Some(Duration::from_secs(seconds / 10).min(LONGEST))
}

/// The Date, or where it is missing or unreadable, the time of reception, in seconds since the Unix epoch.
fn date_or_reception(response: &Received<'_>) -> Option<i64> {
    date(response.fields, response.at).or_else(|| i64::try_from(response.at.wall.as_secs()).ok())
}

/// A status of its own first, then the general default. An answer that is not what the route is for outlives no good one.
fn default_ttl(status: StatusCode, rule: &Rule, defaults: &Defaults) -> Option<Duration> {
    if defaults.pure() {
        return None;
    }
    let own = defaults
        .status_ttl
        .iter()
        .find(|(code, _)| *code == status)
        .map(|(_, ttl)| *ttl);
    let ttl = own.or_else(|| is_plainly_cacheable(status).then_some(defaults.ttl))?;
    Some(ttl.min(rule.cache_ttl.unwrap_or(LONGEST)))
}

/// The status codes a rule or a default may give a lifetime to. Fewer than §4.2.2 names: an error such as 404 or 410 is
/// given one by `statusTTL` only.
fn is_plainly_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308)
}

/// The status codes RFC 9110 §15.1 defines as heuristically cacheable.
fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// What the origin says of stale answers, unless the route knows better. An error never replaces an answer.
fn whether_stale(status: StatusCode, directives: &Directives, rule: &Rule) -> Stale {
    let forbidden = directives.forbids_stale() && !rule.force.must_revalidate;
    if forbidden || is_failure(status) {
        Stale::Forbidden
    } else {
        Stale::Allowed
    }
}

/// How far past its lifetime a response may go: slow first, failed second (§4.2.4, RFC 5861 §4).
fn graces(
    source: LifetimeSource,
    ttl: Duration,
    directives: &Directives,
    rule: &Rule,
    defaults: &Defaults,
) -> (Duration, Duration) {
    let (slow, failed) = match source {
        // The origin's word is stretched by the origin's word, unless the route itself says how far.
        LifetimeSource::Origin | LifetimeSource::Heuristic => (
            Duration::ZERO,
            directives.stale_if_error.unwrap_or_default(),
        ),
        LifetimeSource::Rule | LifetimeSource::Default => {
            (defaults.slow_grace.unwrap_or(ttl), defaults.grace_time)
        }
    };
    (
        rule.slow_grace.unwrap_or(slow).min(LONGEST),
        rule.grace_time.unwrap_or(failed).min(LONGEST),
    )
}

#[cfg(test)]
mod tests;

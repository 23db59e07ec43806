//! How long a response is fresh, and how long after that it may still serve (RFC 9111 §4.2, RFC 5861).

use std::time::Duration;

use http::header::EXPIRES;
use http::{HeaderMap, StatusCode};

use super::age::{date, initial_age};
use super::dates;
use super::directives::{Directives, LONGEST};
use super::rule::{Defaults, Rule};
use super::span::{Moment, Span};
use crate::clock::Now;

/// The life of one stored response, on the monotonic clock: a wall clock that jumps changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    pub(super) source: LifetimeSource,
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
    /// `defaultTTL` or `statusTTL`.
    Default,
}

impl Lifetime {
    /// Whose word the time to live is.
    pub fn source(&self) -> LifetimeSource {
        self.source
    }

    /// The age from which a hit is refreshed in the background. At or above the time to live: never.
    pub fn stale_time(&self) -> Duration {
        self.stale_time.into()
    }

    /// The time to live, the age at which it is no longer fresh: the RFC's freshness lifetime (§4.2.1).
    pub fn ttl(&self) -> Duration {
        self.ttl.into()
    }

    /// How long past its time to live it may stand in for a slow origin. Zero: not at all.
    pub fn slow_grace(&self) -> Duration {
        self.slow_grace.into()
    }

    /// How long past its time to live it may stand in for a failed origin. Zero: not at all.
    pub fn grace_time(&self) -> Duration {
        self.grace_time.into()
    }

    /// How old it was when it arrived (§4.2.3). Zero unless its source is the origin: what the user says counts from
    /// reception, because the origins this is written for have clocks that are hours wrong.
    pub fn initial_age(&self) -> Duration {
        self.initial_age.into()
    }

    /// The monotonic time at which it arrived.
    pub fn received(&self) -> Duration {
        self.received.into()
    }

    /// How old the response is: its `current_age` (§4.2.3).
    pub fn age(&self, now: Now) -> Duration {
        self.initial_age().saturating_add(now.mono.saturating_sub(self.received())).min(LONGEST)
    }

    /// Seconds until it is no longer fresh, rounded up; zero or below once it is not.
    pub fn expires_in(&self, now: Now) -> i64 {
        let age = self.age(now);
        // Both are at most `LONGEST`, far inside an i64.
        match self.ttl().checked_sub(age) {
            Some(left) => left.as_secs() as i64 + i64::from(left.subsec_nanos() > 0),
            None => -((age - self.ttl()).as_secs() as i64),
        }
    }

    /// How long after its reception it stays fresh. Zero: it never was.
    pub fn fresh_for(&self) -> Duration {
        self.ttl().saturating_sub(self.initial_age())
    }

    /// The monotonic time from which it can answer nothing at all.
    pub fn retained_until(&self) -> Duration {
        self.received().saturating_add(self.retained_for())
    }

    /// How long after its reception it can still answer something.
    pub(super) fn retained_for(&self) -> Duration {
        self.ttl().saturating_add(self.slow_grace().max(self.grace_time())).saturating_sub(self.initial_age())
    }
}

/// A response as freshness sees it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its status code.
    pub status: StatusCode,
    /// Its fields.
    pub fields: &'a HeaderMap,
    /// Its Cache-Control.
    pub directives: Directives,
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
    /// The origin's own word only: the request named its client.
    OriginOnly,
}

/// The lifetime of a response. `None`: nobody gives it one.
pub fn lifetime(response: &Received<'_>, rule: &Rule, defaults: &Defaults, allowed: Allowed) -> Option<Lifetime> {
    if rule.cache_ttl.is_some_and(|ttl| ttl.is_zero()) {
        return None;
    }
    let ours = allowed == Allowed::Any;
    let ruled = rule.cache_ttl.filter(|_| ours && is_plainly_cacheable(response.status));
    let (source, ttl) = ruled
        .map(|ttl| (LifetimeSource::Rule, ttl))
        .or_else(|| explicit(response).map(|ttl| (LifetimeSource::Origin, ttl)))
        .or_else(|| {
            default_ttl(response.status, rule, defaults).filter(|_| ours).map(|ttl| (LifetimeSource::Default, ttl))
        })?;
    let ttl = ttl.min(LONGEST);
    let (slow_grace, grace_time) = graces(source, ttl, &response.directives, rule, defaults);
    let (stale_time, initial_age) = match source {
        LifetimeSource::Origin => (ttl, initial_age(response.fields, response.asked, response.at)),
        LifetimeSource::Rule | LifetimeSource::Default => {
            let general = if defaults.pure() { ttl } else { defaults.stale_time };
            (rule.stale_time.unwrap_or(general), Duration::ZERO)
        }
    };
    Some(Lifetime {
        source,
        stale_time: stale_time.min(LONGEST).into(),
        ttl: ttl.into(),
        slow_grace: slow_grace.into(),
        grace_time: grace_time.into(),
        initial_age: initial_age.into(),
        received: response.at.mono.into(),
    })
}

/// Explicit freshness (§4.2.1). `Some(0)`: stale at once, also when what is there cannot be read.
fn explicit(response: &Received<'_>) -> Option<Duration> {
    let Directives { s_maxage, max_age, .. } = response.directives;
    s_maxage.or(max_age).or_else(|| expires_after_date(response))
}

/// Expires minus Date; several Expires lines or an unreadable one are stale (§5.3).
fn expires_after_date(response: &Received<'_>) -> Option<Duration> {
    let mut lines = response.fields.get_all(EXPIRES).iter();
    let first = lines.next()?;
    let only = lines.next().is_none().then(|| dates::parse(first.as_bytes(), response.at)).flatten();
    let from = date(response.fields, response.at).or_else(|| i64::try_from(response.at.wall.as_secs()).ok());
    let seconds = only.zip(from).and_then(|(expires, from)| u64::try_from(expires.saturating_sub(from)).ok());
    Some(Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST))
}

/// A status of its own first, then the general default. An answer that is not what the route is for outlives no good one.
fn default_ttl(status: StatusCode, rule: &Rule, defaults: &Defaults) -> Option<Duration> {
    if defaults.pure() {
        return None;
    }
    let own = defaults.status_ttl.iter().find(|(code, _)| *code == status).map(|(_, ttl)| *ttl);
    let ttl = own.or_else(|| is_plainly_cacheable(status).then_some(defaults.ttl))?;
    Some(ttl.min(rule.cache_ttl.unwrap_or(LONGEST)))
}

/// The status codes a rule or a default may give a lifetime to. Fewer than §4.2.2 names: an error such as 404 or 410 is
/// given one by `statusTTL` only.
fn is_plainly_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308)
}

/// How far past its lifetime a response may go: slow first, failed second (§4.2.4, RFC 5861 §3 and §4).
fn graces(
    source: LifetimeSource,
    ttl: Duration,
    directives: &Directives,
    rule: &Rule,
    defaults: &Defaults,
) -> (Duration, Duration) {
    if directives.forbids_stale() && !rule.force.must_revalidate {
        return (Duration::ZERO, Duration::ZERO);
    }
    let (slow, failed) = match source {
        // The origin's word is stretched by the origin's word, unless the route itself says how far.
        LifetimeSource::Origin => {
            (directives.stale_while_revalidate.unwrap_or_default(), directives.stale_if_error.unwrap_or_default())
        }
        LifetimeSource::Rule | LifetimeSource::Default => (defaults.slow_grace.unwrap_or(ttl), defaults.grace_time),
    };
    (rule.slow_grace.unwrap_or(slow).min(LONGEST), rule.grace_time.unwrap_or(failed).min(LONGEST))
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;

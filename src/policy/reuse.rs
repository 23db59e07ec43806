//! Whether a stored response may answer now (RFC 9111 §4, §5.2.1).

use std::time::Duration;

use super::freshness::Lifetime;
use super::request_directives::RequestDirectives;
use crate::clock::Now;

/// What a stored response is good for at one moment, for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It answers at once (§4.2).
    Fresh {
        /// How old it is.
        age: Duration,
        /// Whether it is time to refresh it in the background.
        refresh_due: bool,
    },
    /// It answers at once although its lifetime is over (§4.2.4).
    Stale {
        /// How old it is.
        age: Duration,
        /// Why.
        reason: Reason,
    },
    /// Its lifetime is over: the origin is asked first (§4.3).
    Validate {
        /// How old it is.
        age: Duration,
    },
    /// It is fresh, but the client wants a newer one: the origin is asked first (§5.2.1).
    Forward {
        /// How old it is.
        age: Duration,
    },
}

/// Why a stale response answers at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The origin allows it while it is asked for a newer one: `stale-while-revalidate` (RFC 5861 §3).
    WhileRevalidate,
    /// The client accepts it: `max-stale` (§5.2.1.2).
    MaxStale,
}

/// Judges a stored response by its lifetime and by what the client directives.
pub fn reuse(lifetime: &Lifetime, directives: &RequestDirectives, now: Now) -> Reuse {
    let age = lifetime.age(now);
    let until = lifetime.fresh_until();
    // Clients reckon in whole seconds, as Age tells them.
    let told = Duration::from_secs(age.as_secs());
    let too_old = directives.refresh || directives.max_age.is_some_and(|most| told > most);
    if age < until {
        let lasts = directives
            .min_fresh
            .is_none_or(|least| until.saturating_sub(told) >= least);
        if too_old || !lasts {
            return Reuse::Forward { age };
        }
        return Reuse::Fresh {
            age,
            refresh_due: age >= lifetime.stale_time(),
        };
    }
    if too_old || directives.min_fresh.is_some() || !lifetime.may_be_stale() {
        return Reuse::Validate { age };
    }
    if directives
        .max_stale
        .is_some_and(|most| told.saturating_sub(until) <= most)
    {
        return Reuse::Stale {
            age,
            reason: Reason::MaxStale,
        };
    }
    // A client that names the greatest age it takes, takes nothing stale unless it says so (§5.2.1.1).
    if age < lifetime.ttl() && directives.max_age.is_none() {
        return Reuse::Stale {
            age,
            reason: Reason::WhileRevalidate,
        };
    }
    Reuse::Validate { age }
}

#[cfg(test)]
mod tests;

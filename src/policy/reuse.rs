//! Whether a stored response may answer now (RFC 9111 §4, §5.2.1).

use std::time::Duration;

use super::freshness::Lifetime;
use super::wishes::Wishes;
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
        because: Because,
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
pub enum Because {
    /// The origin allows it while it is asked for a newer one: `stale-while-revalidate` (RFC 5861 §3).
    WhileRevalidate,
    /// The client accepts it: `max-stale` (§5.2.1.2).
    MaxStale,
}

/// Judges a stored response by its lifetime and by what the client wishes.
pub fn reuse(lifetime: &Lifetime, wishes: &Wishes, now: Now) -> Reuse {
    let (age, until) = (lifetime.age(now), lifetime.fresh_until());
    let too_old = wishes.refresh || wishes.max_age.is_some_and(|most| age > most);
    if age < until {
        let lasts = wishes.min_fresh.is_none_or(|least| until - age >= least);
        if too_old || !lasts {
            return Reuse::Forward { age };
        }
        return Reuse::Fresh { age, refresh_due: age >= lifetime.stale_time() };
    }
    if too_old || wishes.min_fresh.is_some() || !lifetime.may_be_stale() {
        return Reuse::Validate { age };
    }
    if wishes.max_stale.is_some_and(|most| age - until <= most) {
        return Reuse::Stale { age, because: Because::MaxStale };
    }
    // A client that names the greatest age it takes, takes nothing stale unless it says so (§5.2.1.1).
    if age < lifetime.ttl() && wishes.max_age.is_none() {
        return Reuse::Stale { age, because: Because::WhileRevalidate };
    }
    Reuse::Validate { age }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::freshness::LifetimeSource;

    fn after(seconds: f64) -> Now {
        Now { mono: Duration::from_secs(1000) + Duration::from_secs_f64(seconds), wall: Duration::ZERO }
    }

    /// Refreshed from 5 s, fresh for 30 s, for 20 s more when slow, for 60 s more when failed.
    fn lifetime() -> Lifetime {
        Lifetime {
            source: LifetimeSource::Rule,
            stale_time: Duration::from_secs(5).into(),
            ttl: Duration::from_secs(30).into(),
            slow_grace: Duration::from_secs(20).into(),
            grace_time: Duration::from_secs(60).into(),
            initial_age: Duration::ZERO.into(),
            received: after(0.0).mono.into(),
        }
    }

    #[test]
    fn each_span_begins_exactly_where_the_one_before_ends() {
        let fresh = |seconds, refresh_due| Reuse::Fresh { age: Duration::from_secs_f64(seconds), refresh_due };
        let expired = |seconds, when_slow, when_failed| Reuse::Expired {
            age: Duration::from_secs_f64(seconds),
            when_slow,
            when_failed,
        };
        let cases = [
            fresh(0.0, false),
            fresh(4.999, false),
            fresh(5.0, true),
            fresh(29.999, true),
            expired(30.0, true, true),
            expired(49.999, true, true),
            expired(50.0, false, true),
            expired(89.999, false, true),
            expired(90.0, false, false),
        ];
        for expected in cases {
            let (Reuse::Fresh { age, .. } | Reuse::Expired { age, .. }) = expected;
            assert_eq!(reuse(&lifetime(), after(age.as_secs_f64())), expected);
        }
    }

    #[test]
    fn a_stale_time_not_below_the_lifetime_refreshes_nothing_early() {
        let late = Lifetime { stale_time: Duration::from_secs(30).into(), ..lifetime() };
        assert_eq!(reuse(&late, after(29.0)), Reuse::Fresh { age: Duration::from_secs(29), refresh_due: false });
    }

    #[test]
    fn without_graces_nothing_stale_is_served() {
        let never = Duration::ZERO.into();
        let strict = Lifetime { slow_grace: never, grace_time: never, ..lifetime() };
        let expected = Reuse::Expired { age: Duration::from_secs(30), when_slow: false, when_failed: false };
        assert_eq!(reuse(&strict, after(30.0)), expected);
    }

    fn usefulness(reuse: Reuse) -> [bool; 4] {
        match reuse {
            Reuse::Fresh { refresh_due, .. } => [!refresh_due, true, true, true],
            Reuse::Expired { when_slow, when_failed, .. } => [false, false, when_slow, when_failed],
        }
    }

    proptest! {
        #[test]
        fn what_is_over_never_comes_back(
            times in proptest::array::uniform5(0u64..200_000),
            (first, later) in (0u64..500_000, 0u64..500_000),
        ) {
            let [stale_time, ttl, slow_grace, grace_time, initial_age] = times.map(|ms| Duration::from_millis(ms).into());
            let stored = Lifetime { stale_time, ttl, slow_grace, grace_time, initial_age, ..lifetime() };
            let at = |ms| Now { mono: stored.received() + Duration::from_millis(ms), wall: Duration::ZERO };
            let (before, after) = (reuse(&stored, at(first)), reuse(&stored, at(first + later)));
            for (before, after) in usefulness(before).into_iter().zip(usefulness(after)) {
                prop_assert!(before || !after);
            }
            if at(first).mono >= stored.retained_until() {
                prop_assert_eq!(usefulness(before), [false; 4]);
            }
        }

        #[test]
        fn the_wall_clock_changes_nothing(mono in 0u64..500, before in any::<u64>(), after in any::<u64>()) {
            let at = |wall| Now { mono: Duration::from_secs(1000 + mono), wall: Duration::from_secs(wall) };
            prop_assert_eq!(reuse(&lifetime(), at(before)), reuse(&lifetime(), at(after)));
            prop_assert_eq!(lifetime().expires_in(at(before)), lifetime().expires_in(at(after)));
        }
    }
}

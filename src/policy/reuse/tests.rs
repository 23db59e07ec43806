//! Tests of what a stored response is good for.

use proptest::prelude::*;

use super::*;
use crate::policy::directives::LONGEST;
use crate::policy::freshness::{FailureKind, LifetimeSource, Stale};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn after(seconds: f64) -> Now {
    Now {
        mono: secs(1000.0) + secs(seconds),
        wall: Duration::ZERO,
    }
}

/// By the user: refreshed from 5 s, fresh for 30 s, for 20 s more when slow, for 60 s more when failed.
fn lifetime() -> Lifetime {
    Lifetime {
        source: LifetimeSource::Rule,
        stale: Stale::Allowed,
        validator: false,
        stale_time: secs(5.0).into(),
        ttl: secs(30.0).into(),
        slow_grace: secs(20.0).into(),
        grace_time: secs(60.0).into(),
        initial_age: Duration::ZERO.into(),
        received: after(0.0).mono.into(),
    }
}

/// By the origin: fresh for 5 s, then `stale-while-revalidate` up to 30 s.
fn by_origin() -> Lifetime {
    let never = Duration::ZERO.into();
    Lifetime {
        source: LifetimeSource::Origin,
        slow_grace: never,
        grace_time: never,
        ..lifetime()
    }
}

fn fresh(seconds: f64, refresh_due: bool) -> Reuse {
    Reuse::Fresh {
        age: secs(seconds),
        refresh_due,
    }
}

fn stale(seconds: f64, reason: Reason) -> Reuse {
    Reuse::Stale {
        age: secs(seconds),
        reason,
    }
}

fn validate(seconds: f64) -> Reuse {
    Reuse::Validate { age: secs(seconds) }
}

fn forward(seconds: f64) -> Reuse {
    Reuse::Forward { age: secs(seconds) }
}

fn says(reuse: Reuse) -> Duration {
    let (Reuse::Fresh { age, .. }
    | Reuse::Stale { age, .. }
    | Reuse::Validate { age }
    | Reuse::Forward { age }) = reuse;
    age
}

fn holds(lifetime: &Lifetime, directives: &RequestDirectives, expected: Reuse) {
    let found = reuse(lifetime, directives, after(says(expected).as_secs_f64()));
    assert_eq!(found, expected, "{directives:?}");
}

#[test]
fn each_span_begins_exactly_where_the_one_before_ends() {
    let by_rule = [
        fresh(0.0, false),
        fresh(4.999, false),
        fresh(5.0, true),
        fresh(29.999, true),
        validate(30.0),
        validate(1000.0),
    ];
    for expected in by_rule {
        holds(&lifetime(), &RequestDirectives::default(), expected);
    }
    let by_origin_itself = [
        fresh(0.0, false),
        fresh(4.999, false),
        stale(5.0, Reason::WhileRevalidate),
        stale(29.999, Reason::WhileRevalidate),
        validate(30.0),
    ];
    for expected in by_origin_itself {
        holds(&by_origin(), &RequestDirectives::default(), expected);
    }
}

#[test]
fn a_stale_time_not_below_the_lifetime_refreshes_nothing_early() {
    let late = Lifetime {
        stale_time: secs(30.0).into(),
        ..lifetime()
    };
    holds(&late, &RequestDirectives::default(), fresh(29.0, false));
}

#[test]
fn a_client_may_want_it_newer_or_for_longer() {
    let refresh = RequestDirectives {
        refresh: true,
        ..RequestDirectives::default()
    };
    let younger = RequestDirectives {
        max_age: Some(secs(10.0)),
        ..RequestDirectives::default()
    };
    let lasting = RequestDirectives {
        min_fresh: Some(secs(20.0)),
        ..RequestDirectives::default()
    };
    let cases = [
        (refresh, forward(0.0)),
        (refresh, forward(29.0)),
        (refresh, validate(30.0)),
        (younger, fresh(10.0, true)),
        (younger, fresh(10.9, true)),
        (younger, forward(11.0)),
        (younger, validate(30.0)),
        (lasting, fresh(10.0, true)),
        (lasting, fresh(10.9, true)),
        (lasting, forward(11.0)),
        (lasting, validate(30.0)),
    ];
    for (directives, expected) in cases {
        holds(&lifetime(), &directives, expected);
    }
    holds(
        &Lifetime {
            stale: Stale::Forbidden,
            ..lifetime()
        },
        &RequestDirectives::default(),
        fresh(29.0, true),
    );
}

#[test]
fn a_client_may_take_it_stale_where_the_origin_does_not_forbid_it() {
    let some = RequestDirectives {
        max_stale: Some(secs(20.0)),
        ..RequestDirectives::default()
    };
    let any = RequestDirectives {
        max_stale: Some(LONGEST),
        ..RequestDirectives::default()
    };
    let strict = Lifetime {
        stale: Stale::Forbidden,
        ..lifetime()
    };
    let cases = [
        (lifetime(), some, fresh(29.0, true)),
        (lifetime(), some, stale(30.0, Reason::MaxStale)),
        (lifetime(), some, stale(50.0, Reason::MaxStale)),
        (lifetime(), some, stale(50.9, Reason::MaxStale)),
        (lifetime(), some, validate(51.0)),
        (lifetime(), any, stale(100_000.0, Reason::MaxStale)),
        (strict, any, validate(30.0)),
        // Fresh until 5 s, not until 30 s as by a rule.
        (by_origin(), some, stale(25.0, Reason::MaxStale)),
        (by_origin(), some, stale(26.0, Reason::WhileRevalidate)),
    ];
    for (lifetime, directives, expected) in cases {
        holds(&lifetime, &directives, expected);
    }
}

#[test]
fn directives_that_contradict_each_other_all_hold() {
    let stale_or = |directives| RequestDirectives {
        max_stale: Some(LONGEST),
        ..directives
    };
    let cases = [
        (
            stale_or(RequestDirectives {
                refresh: true,
                ..RequestDirectives::default()
            }),
            validate(6.0),
        ),
        (
            stale_or(RequestDirectives {
                min_fresh: Some(Duration::ZERO),
                ..RequestDirectives::default()
            }),
            validate(6.0),
        ),
        (
            stale_or(RequestDirectives {
                max_age: Some(secs(10.0)),
                ..RequestDirectives::default()
            }),
            stale(10.0, Reason::MaxStale),
        ),
        (
            stale_or(RequestDirectives {
                max_age: Some(secs(10.0)),
                ..RequestDirectives::default()
            }),
            validate(11.0),
        ),
        // The origin's window is for those who are content with what there is.
        (
            RequestDirectives {
                max_age: Some(secs(10.0)),
                ..RequestDirectives::default()
            },
            validate(6.0),
        ),
        (
            RequestDirectives {
                min_fresh: Some(Duration::ZERO),
                ..RequestDirectives::default()
            },
            validate(6.0),
        ),
    ];
    for (directives, expected) in cases {
        holds(&by_origin(), &directives, expected);
    }
}

proptest! {
    #[test]
    fn what_is_over_never_comes_back(
        times in proptest::array::uniform5(0u64..200_000),
        kind in (any::<bool>(), any::<bool>(), any::<bool>()),
        (first, later) in (0u64..500_000, 0u64..500_000),
    ) {
        let [stale_time, ttl, slow_grace, grace_time, initial_age] = times.map(|ms| Duration::from_millis(ms).into());
        let (by_rule, forbidden, validator) = kind;
        let source = if by_rule { LifetimeSource::Rule } else { LifetimeSource::Origin };
        let stale = if forbidden { Stale::Forbidden } else { Stale::Allowed };
        let stored = Lifetime { source, stale, validator, stale_time, ttl, slow_grace, grace_time, initial_age, ..lifetime() };
        let at = |ms| Now { mono: stored.received() + Duration::from_millis(ms), wall: Duration::ZERO };
        let good_for = |now| {
            let found = reuse(&stored, &RequestDirectives::default(), now);
            let failures = [FailureKind::Slow, FailureKind::TimedOut, FailureKind::Unreachable, FailureKind::Failed];
            [
                matches!(found, Reuse::Fresh { refresh_due: false, .. }),
                matches!(found, Reuse::Fresh { .. }),
                matches!(found, Reuse::Fresh { .. } | Reuse::Stale { .. }),
            ].into_iter().chain(failures.map(|failure| stored.serves_despite(failure, now))).collect::<Vec<bool>>()
        };
        let before = good_for(at(first));
        let after = good_for(at(first + later));
        for (before, after) in before.iter().zip(after) {
            prop_assert!(*before || !after);
        }
        if at(first).mono >= stored.retained_until() {
            prop_assert!(!before.contains(&true));
        }
    }

    #[test]
    fn the_wall_clock_changes_nothing(mono in 0u64..500, before in any::<u64>(), after in any::<u64>()) {
        let at = |wall| Now { mono: Duration::from_secs(1000 + mono), wall: Duration::from_secs(wall) };
        let directives = RequestDirectives { max_age: Some(secs(10.0)), max_stale: Some(secs(10.0)), ..RequestDirectives::default() };
        for lifetime in [lifetime(), by_origin()] {
            prop_assert_eq!(reuse(&lifetime, &directives, at(before)), reuse(&lifetime, &directives, at(after)));
            prop_assert_eq!(lifetime.expires_in(at(before)), lifetime.expires_in(at(after)));
        }
    }
}

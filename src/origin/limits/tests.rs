//! Distance, quota and retries, by tables and by any sequence of requests.

use proptest::prelude::*;

use super::*;

const NO_QUOTA: Quota = Quota {
    per_minute: None,
    per_day: None,
};

fn at(milliseconds: u64) -> Now {
    Now {
        mono: Duration::from_millis(milliseconds),
        wall: Duration::ZERO,
    }
}

fn limits(spacing: u64, quota: Quota, retries: u32) -> Limits {
    Limits::new(Restraint {
        spacing: Duration::from_millis(spacing),
        quota,
        retries,
    })
}

fn a_minute(per_minute: u32) -> Limits {
    limits(
        0,
        Quota {
            per_minute: Some(per_minute),
            ..NO_QUOTA
        },
        0,
    )
}

#[test]
fn p7_the_next_turn_is_a_distance_away() {
    let mut limits = limits(500, NO_QUOTA, 0);
    assert_eq!(limits.turn(at(1_000)), None, "the first goes at once");
    limits.start(true, at(1_000));
    for (time, turn) in [
        (1_000, Some(1_500)),
        (1_499, Some(1_500)),
        (1_500, None),
        (9_000, None),
    ] {
        assert_eq!(
            limits.turn(at(time)),
            turn.map(Duration::from_millis),
            "{time}"
        );
    }
}

#[test]
fn nothing_is_limited_where_nothing_is_said() {
    let mut limits = Limits::new(Restraint::default());
    for _ in 0..10_000 {
        limits.start(true, at(5));
        assert_eq!(
            (
                limits.turn(at(5)),
                limits.exhausted(Class::Background, at(5))
            ),
            (None, None)
        );
    }
    assert!(!limits.take_retry(0));
    // Who asked first may be heard last: each looks at the clock for itself.
    assert_eq!(limits.turn(at(4)), None);
}

#[test]
fn polls_leave_the_last_tenth_of_a_quota_to_clients() {
    // The quota, and how many of it background requests get.
    for (quota, background) in [(1, 0), (2, 1), (10, 9), (11, 9), (20, 18), (25, 22)] {
        let mut limits = a_minute(quota);
        for (class, most) in [(Class::Background, background), (Class::Client, quota)] {
            let room = || {
                limits
                    .exhausted(class, at(0))
                    .is_none()
                    .then(|| limits.start(true, at(0)))
            };
            let begun = std::iter::from_fn(room).count() as u32;
            let before = if class == Class::Client {
                background
            } else {
                0
            };
            assert_eq!(before + begun, most, "{class:?} of {quota}");
        }
    }
}

#[test]
fn a_full_quota_says_when_it_has_room() {
    let mut limits = a_minute(2);
    limits.start(true, at(1_900));
    limits.start(true, at(5_000));
    assert_eq!(
        limits.exhausted(Class::Client, at(6_000)),
        Some(Duration::from_secs(62))
    );
    assert!(limits.exhausted(Class::Client, at(61_999)).is_some());
    assert_eq!(limits.exhausted(Class::Client, at(62_000)), None);
    // Nobody but clients ever gets the only one.
    assert!(a_minute(1).exhausted(Class::Background, at(0)).is_some());
}

#[test]
fn of_two_quotas_the_one_that_is_full_longer_counts() {
    let day = 24 * 60 * 60;
    let mut limits = limits(
        0,
        Quota {
            per_minute: Some(2),
            per_day: Some(3),
        },
        0,
    );
    let minute = 60_000;
    for time in [0, 0, 2 * minute] {
        assert_eq!(limits.exhausted(Class::Client, at(time)), None);
        limits.start(true, at(time));
    }
    let until = limits
        .exhausted(Class::Client, at(2 * minute))
        .expect("full");
    assert!(
        until >= Duration::from_secs(day) && until <= Duration::from_secs(day + day / 60),
        "{until:?}"
    );
}

#[test]
fn a_retry_costs_ten_requests_and_ten_of_them_are_saved_up() {
    let mut limits = limits(0, NO_QUOTA, 3);
    assert!(limits.take_retry(0), "one at the start");
    (0..9).for_each(|_| limits.start(true, at(0)));
    assert!(!limits.take_retry(0), "nine requests earn none");
    limits.start(false, at(0));
    assert!(!limits.take_retry(0), "a repetition earns nothing");
    limits.start(true, at(0));
    assert!(!limits.take_retry(3), "it was asked once more three times");
    assert!(limits.take_retry(2));
    (0..100_000).for_each(|_| limits.start(true, at(0)));
    assert_eq!((0..100).filter(|_| limits.take_retry(0)).count(), 10);
}

/// What is tried: after so many milliseconds, by clients or not, and whether a retry is wanted afterwards.
fn tries() -> impl Strategy<Value = Vec<(u64, bool, bool)>> {
    let pause = prop_oneof![0..20u64, 0..2_000u64, 0..70_000u64];
    prop::collection::vec((pause, any::<bool>(), any::<bool>()), 1..400)
}

proptest! {
    #[test]
    fn no_sequence_breaks_distance_quota_or_budget(
        tries in tries(), spacing in 0..3_000u64, per_minute in 1..12u32, per_day in 1..200u32, retries in 0..4u32
    ) {
        let quota = Quota { per_minute: Some(per_minute), per_day: Some(per_day) };
        let mut limits = limits(spacing, quota, retries);
        let mut time = 0;
        let mut started = Vec::new();
        let mut firsts = 0;
        let mut repeated = 0;
        for (pause, is_client, fails) in tries {
            time += pause;
            let class = if is_client { Class::Client } else { Class::Background };
            if limits.turn(at(time)).is_some() || limits.exhausted(class, at(time)).is_some() {
                continue;
            }
            limits.start(true, at(time));
            started.push(time);
            firsts += 1;
            if fails && limits.take_retry(0) {
                repeated += 1;
            }
            prop_assert!(repeated * 10 <= firsts + 10);
            prop_assert!(repeated == 0 || retries > 0);
        }
        for pair in started.windows(2) {
            prop_assert!(pair[1] - pair[0] >= spacing);
        }
        for (span, most) in [(60_000, per_minute), (24 * 60 * 60_000, per_day)] {
            for (at, begin) in started.iter().enumerate() {
                let within = started[at..].iter().filter(|time| **time - begin < span).count();
                prop_assert!(within as u32 <= most, "{within} in {span} ms");
            }
        }
    }

    #[test]
    fn who_comes_when_told_finds_room(tries in tries(), per_minute in 2..12u32) {
        let mut limits = a_minute(per_minute);
        let mut time = 0;
        for (pause, is_client, _) in tries {
            time += pause;
            let class = if is_client { Class::Client } else { Class::Background };
            match limits.exhausted(class, at(time)) {
                None => limits.start(true, at(time)),
                Some(until) => {
                    prop_assert!(until > at(time).mono);
                    prop_assert_eq!(limits.exhausted(class, Now { mono: until, wall: Duration::ZERO }), None);
                }
            }
        }
    }
}

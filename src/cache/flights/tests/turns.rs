//! Whose turn it is: distance, quota, and who asks once more.

use super::*;
use crate::origin::limits::Quota;

const APART: Duration = Duration::from_millis(500);
const CUT: Cause = Cause::Fetch(FetchError::Truncated);

fn harness(permits: usize, restraint: Restraint) -> Harness {
    Harness {
        flights: restrained(permits, 100, restraint),
        ..Harness::new(1)
    }
}

fn retrying(retries: u32) -> Harness {
    harness(
        1,
        Restraint {
            retries,
            ..Restraint::default()
        },
    )
}

fn a_minute(per_minute: u32) -> Harness {
    let quota = Quota {
        per_minute: Some(per_minute),
        per_day: None,
    };
    harness(
        4,
        Restraint {
            quota,
            ..Restraint::default()
        },
    )
}

fn fails(flight: u64, cause: Cause) -> Work {
    Work::Completed(FlightId(flight), FetchResult::failed(cause))
}

/// A client that has a stale answer for this path, which was stored at the beginning.
fn with_stale(path: &'static str) -> Work {
    let stale = stored(path, moment(Duration::ZERO));
    Work::Arrived(Arrival {
        waiter: Some(waiter(Some(stale), Arc::default())),
        ..shared(path).in_background()
    })
}

#[test]
fn p7_the_next_request_waits_for_its_turn_and_the_timer_says_when() {
    let mut harness = harness(
        4,
        Restraint {
            spacing: APART,
            ..Restraint::default()
        },
    );
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Fetch 0"]
    );
    let arrival = Work::Arrived(alone("/b", false).with_client());
    let todo = harness.flights.step(arrival, harness.now);
    assert!(
        todo.iter()
            .any(|work| matches!(work, Work::Wake(at, FlightId::TURN) if *at == APART)),
        "{:?}",
        seen(&todo)
    );
    assert!(
        harness
            .step(Work::Arrived(shared("/c").in_background()))
            .is_empty()
    );
    harness.at(APART - Duration::from_millis(1));
    assert!(harness.step(Work::Deadline(FlightId::TURN)).is_empty());
    harness.at(APART);
    assert_eq!(harness.step(Work::Deadline(FlightId::TURN)), ["Fetch 1"]);
    assert!(
        harness
            .step(harness.completes_shared(0, "/a"))
            .contains(&"Insert".to_owned())
    );
    harness.at(APART * 2);
    assert_eq!(harness.step(Work::Deadline(FlightId::TURN)), ["Fetch 2"]);
}

#[test]
fn who_waits_too_long_for_a_turn_is_told_so() {
    let mut harness = harness(
        4,
        Restraint {
            spacing: SLOW * 2,
            ..Restraint::default()
        },
    );
    harness.step(Work::Arrived(shared("/a").with_client()));
    assert!(
        harness
            .step(Work::Arrived(alone("/b", false).with_client()))
            .is_empty()
    );
    harness.at(SLOW);
    assert_eq!(
        harness.step(Work::Deadline(FlightId(1))),
        ["Overdue 1 no-permit"]
    );
    harness.at(SLOW * 2);
    assert!(
        harness.step(Work::Deadline(FlightId::TURN)).is_empty(),
        "nobody wants that turn any more"
    );
}

#[test]
fn without_a_distance_no_turn_is_waited_for() {
    let mut harness = Harness::new(1);
    for path in ["/a", "/b"] {
        let todo = harness
            .flights
            .step(Work::Arrived(alone(path, true).with_client()), harness.now);
        assert!(
            !todo
                .iter()
                .any(|work| matches!(work, Work::Wake(_, FlightId::TURN)))
        );
    }
}

#[test]
fn c23_an_exhausted_quota_sends_everybody_away_until_it_has_room() {
    let mut harness = a_minute(2);
    assert_eq!(
        harness.step(Work::Arrived(alone("/a", false).with_client())),
        ["Fetch 0"]
    );
    assert_eq!(
        harness.step(Work::Arrived(
            FetchRequest {
                poll: Some(0),
                ..shared("/d")
            }
            .in_background()
        )),
        ["Polled"]
    );
    assert_eq!(
        harness.step(Work::Arrived(shared("/b").with_client())),
        ["Fetch 1"]
    );
    assert!(
        harness
            .step(Work::Arrived(shared("/b").with_client()))
            .is_empty(),
        "joining asks nothing"
    );
    assert_eq!(
        harness.step(Work::Arrived(alone("/c", false).with_client())),
        ["Overdue 1 quota"]
    );
    assert_eq!(harness.step(with_stale("/e")), ["Overdue 1 quota"]);
    harness.at(Duration::from_secs(61));
    assert_eq!(
        harness.step(Work::Arrived(alone("/c", false).with_client())),
        ["Fetch 2"]
    );
}

#[test]
fn c23_a_quota_that_is_exhausted_counts_as_slowness() {
    let now = moment(Duration::from_secs(61));
    let old = stored("/a", moment(Duration::ZERO));
    assert_eq!(
        old.serves_despite(Cause::Quota, now),
        old.serves_despite(Cause::Slow, now)
    );
}

#[test]
fn c23_who_waited_for_a_permit_finds_the_quota_used_up_meanwhile() {
    let quota = Quota {
        per_minute: Some(2),
        per_day: None,
    };
    let mut harness = harness(
        1,
        Restraint {
            quota,
            ..Restraint::default()
        },
    );
    for path in ["/a", "/b", "/c"] {
        harness.step(Work::Arrived(alone(path, true).with_client()));
    }
    let completed = |flight| Work::Completed(FlightId(flight), FetchResult::Unshared(response()));
    assert_eq!(harness.step(completed(0)), ["Answer 1", "Fetch 1"]);
    assert_eq!(harness.step(completed(1)), ["Answer 1", "Overdue 1 quota"]);
    assert_eq!(harness.flights.gauges(), Gauges::default());
}

#[test]
fn c32_a_failure_that_may_pass_is_asked_once_more_and_only_the_last_word_counts() {
    for cause in [
        CUT,
        Cause::Fetch(FetchError::Connect),
        Cause::Status(502),
        Cause::Status(503),
        Cause::Status(504),
    ] {
        let mut harness = retrying(1);
        harness.step(Work::Arrived(shared("/a").with_client()));
        harness.step(Work::Arrived(alone("/b", true).with_client()));
        assert_eq!(
            harness.step(fails(0, cause)),
            ["Fetch 0"],
            "{cause:?}, before all who wait"
        );
        assert_eq!(
            harness.flights.gauges(),
            Gauges {
                flights: 2,
                parked: 2,
                active: 1,
                queued: 1
            }
        );
        assert_eq!(
            harness.step(harness.completes_shared(0, "/a")),
            ["Insert", "Answer 1", "Fetch 1"]
        );
        assert_eq!(
            harness.flights.failing(9).keys.len(),
            0,
            "no key is failing"
        );
    }
}

#[test]
fn c32_what_is_not_asked_once_more() {
    let hasty = FetchResult::Failed {
        cause: Cause::Status(503),
        response: None,
        retry_after: Some(STEP),
        keeps: None,
        counts_as_failure: true,
    };
    let failed = FetchResult::failed;
    let timeout = Cause::Fetch(FetchError::FirstByteTimeout);
    let cases: [(&str, FetchRequest, FetchResult, Duration); 7] = [
        (
            "it says when to come back",
            shared("/a"),
            hasty,
            Duration::ZERO,
        ),
        (
            "another status",
            shared("/a"),
            failed(Cause::Status(500)),
            Duration::ZERO,
        ),
        (
            "a failed check",
            shared("/a"),
            failed(Cause::CheckFailed),
            Duration::ZERO,
        ),
        ("a timeout", shared("/a"), failed(timeout), Duration::ZERO),
        (
            "an address that is none",
            shared("/a"),
            failed(Cause::Fetch(FetchError::Resolve)),
            Duration::ZERO,
        ),
        (
            "what is not safe",
            alone("/a", false),
            failed(CUT),
            Duration::ZERO,
        ),
        ("what is late", shared("/a"), failed(CUT), SLOW),
    ];
    for (what, fetch_request, result, after) in cases {
        let mut harness = retrying(3);
        assert_eq!(
            harness.step(Work::Arrived(fetch_request.with_client())),
            ["Fetch 0"]
        );
        harness.at(after);
        assert!(
            !harness
                .step(Work::Completed(FlightId(0), result))
                .contains(&"Fetch 0".to_owned()),
            "{what}"
        );
    }
}

#[test]
fn c32_nobody_asks_once_more_for_a_client_that_is_gone() {
    for gone in [false, true] {
        let mut harness = retrying(1);
        let tally = Arc::new(Tally {
            gone: AtomicBool::new(gone),
            ..Tally::default()
        });
        let arrival = Arrival {
            waiter: Some(waiter(None, tally)),
            fetch_request: shared("/a"),
        };
        harness.step(Work::Arrived(arrival));
        assert_eq!(harness.step(fails(0, CUT)) == ["Fetch 0"], !gone);
    }
}

#[test]
fn c32_a_probe_is_not_repeated() {
    let mut harness = retrying(1);
    harness.step(Work::Arrived(shared("/a").with_client()));
    assert_eq!(harness.step(fails(0, CUT)), ["Fetch 0"]);
    assert_eq!(harness.step(fails(0, CUT)), ["Answer 1"]);
    (0..20).for_each(|_| harness.flights.limits.start(true, harness.now));
    harness.at(STEP);
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Fetch 1"]
    );
    assert_eq!(harness.step(fails(1, CUT)), ["Answer 1"], "the key's probe");
}

#[test]
fn c32_the_budget_is_one_in_ten() {
    let mut harness = retrying(1);
    let mut repeated = 0;
    for _ in 0..100u64 {
        let begun = harness.step(Work::Arrived(alone("/a", true).with_client()));
        let [word] = begun.as_slice() else {
            panic!("{begun:?}")
        };
        let flight = word.trim_start_matches("Fetch ").parse().expect("a number");
        if harness.step(fails(flight, CUT)) == [word.as_str()] {
            repeated += 1;
            assert_eq!(harness.step(fails(flight, CUT)), ["Answer 1"]);
        }
    }
    assert_eq!(
        repeated,
        1 + 10,
        "one to begin with, and one for every ten requests"
    );
}

#[test]
fn what_was_asked_about_nothing_stored_is_asked_plainly_and_in_its_turn() {
    let mut harness = harness(
        1,
        Restraint {
            spacing: APART,
            ..Restraint::default()
        },
    );
    harness.step(Work::Arrived(shared("/a").with_client()));
    assert!(harness.step(Work::Plainly(FlightId(0))).is_empty());
    harness.at(APART);
    let todo = harness
        .flights
        .step(Work::Deadline(FlightId::TURN), harness.now);
    assert!(
        matches!(&todo[..], [Work::Fetch(FlightId(0), fetch_request)] if fetch_request.plain),
        "{:?}",
        seen(&todo)
    );
    assert_eq!(
        harness.step(harness.completes_shared(0, "/a")),
        ["Insert", "Answer 1"]
    );
    assert_eq!(harness.flights.gauges(), Gauges::default());
}

#[test]
fn r11_a_breaker_that_opens_sends_back_the_waiting_and_a_cross_check_never_opens_it() {
    for cross_check in [false, true] {
        let mut harness = Harness::new(1);
        let paths = ["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j"];
        let mut told = Vec::new();
        for (flight, path) in paths.into_iter().enumerate() {
            let joins = if cross_check { None } else { Some(key(path)) };
            let fetch_request = FetchRequest {
                joins,
                even_if_fresh: true,
                ..shared(path)
            };
            harness.step(Work::Arrived(fetch_request.with_client()));
            told = harness.step(fails(flight as u64, Cause::Status(500)));
        }
        let expected: &[&str] = if cross_check {
            &["Answer 1"]
        } else {
            &["Down", "Answer 1"]
        };
        assert_eq!(told, expected);
        let refused = harness.step(Work::Arrived(shared("/k").with_client()));
        assert_eq!(refused == ["Overdue 1 status"], !cross_check, "{refused:?}");
    }
}

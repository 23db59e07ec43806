//! The rules of flights, one by one. All of them together, in random order: `simulation`.

mod account;
mod harness;
mod simulation;
mod turns;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};

use self::harness::*;
use super::*;
use crate::cache::shared_body::{Reader, SharedBody};
use crate::cache::store::tests::lifetime_of;
use crate::message::ResponseHead;
use crate::message::{Body, Request, RequestId, Response, Target};
use crate::outcome::FetchError;
use crate::outcome::{Fwd, Outcome};
use crate::policy::request_directives::RequestDirectives;
use crate::policy::reuse::{Reuse, reuse};
use crate::reply::{Reply, Responder};

const SLOW: Duration = Duration::from_secs(2);
/// The wait after a failure.
const STEP: Duration = Duration::from_secs(5);

#[test]
fn i4_a_flight_looks_again_before_it_asks_and_stores_before_it_answers() {
    let mut harness = Harness::new(2);
    let arrival = shared("/a").with_client();
    assert_eq!(
        seen(&harness.flights.step(Work::Arrived(arrival), harness.now)),
        ["Wake 0", "Look 0"]
    );
    assert_eq!(
        seen(&harness.flights.step(
            Work::Found(FlightId(0), stored("/a", harness.now)),
            harness.now
        )),
        ["Answer 1"]
    );
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Fetch 1"]
    );
    assert_eq!(
        harness.step(harness.completes_shared(1, "/a")),
        ["Insert", "Answer 1"]
    );
    assert_eq!(harness.flights.gauges(), Gauges::default());
}

#[test]
fn who_asks_for_the_same_joins_and_is_answered_together() {
    let mut harness = Harness::new(2);
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Fetch 0"]
    );
    assert!(
        harness
            .step(Work::Arrived(shared("/a").with_client()))
            .is_empty()
    );
    assert!(
        harness
            .step(Work::Arrived(shared("/a").in_background()))
            .is_empty()
    );
    assert_eq!(
        harness.step(Work::Arrived(shared("/b").with_client())),
        ["Fetch 1"]
    );
    assert_eq!(
        harness.flights.gauges(),
        Gauges {
            flights: 2,
            parked: 3,
            active: 2,
            queued: 0
        }
    );
    assert_eq!(
        harness.step(harness.completes_shared(0, "/a")),
        ["Insert", "Answer 2"]
    );
}

#[test]
fn i5_a_panic_tells_everybody_and_gives_the_permit_back() {
    let mut harness = Harness::new(1);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Arrived(shared("/a").with_client()));
    assert!(
        harness
            .step(Work::Arrived(shared("/b").with_client()))
            .is_empty()
    );
    let panicked = Work::Completed(FlightId(0), FetchResult::failed(Cause::Panicked));
    assert_eq!(harness.step(panicked), ["Answer 2", "Fetch 1"]);
    assert!(
        harness.step(harness.completes_shared(0, "/a")).is_empty(),
        "it completed before"
    );
}

#[test]
fn i8_what_was_asked_before_an_invalidation_is_not_stored_and_takes_nobody_new() {
    let mut harness = Harness::new(2);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Arrived(shared("/b").with_client()));
    let key = shared("/a").key.expect("a key");
    assert!(
        harness
            .step(Work::Invalidated {
                matches: Box::new(move |other| other == key.as_str()),
                but: None
            })
            .is_empty()
    );
    assert!(
        harness
            .step(Work::Arrived(shared("/a").with_client()))
            .is_empty()
    );
    assert_eq!(
        harness.step(harness.completes_shared(0, "/a")),
        ["Answer 1", "Fetch 2"]
    );
    assert_eq!(
        harness.step(harness.completes_shared(1, "/b")),
        ["Insert", "Answer 1"]
    );
    assert_eq!(
        harness.step(harness.completes_shared(2, "/a")),
        ["Insert", "Answer 1"]
    );
}

#[test]
fn i11_an_unsafe_request_whose_client_went_while_it_waited_is_not_sent() {
    let cases = [
        (false, vec!["Overdue 1 client-gone", "Fetch 2"]),
        (true, vec!["Fetch 1"]),
    ];
    for (safe, expected) in cases {
        let mut harness = Harness::new(1);
        harness.step(Work::Arrived(shared("/a").with_client()));
        let mut waiting = alone("/b", safe).with_client();
        waiting.waiter = Some(waiter(
            None,
            Arc::new(Tally {
                gone: AtomicBool::new(true),
                ..Tally::default()
            }),
        ));
        harness.step(Work::Arrived(waiting));
        harness.step(Work::Arrived(alone("/c", false).with_client()));
        harness.at(Duration::from_millis(1));
        assert_eq!(
            harness.step(harness.completes_shared(0, "/a"))[2..],
            expected,
            "safe: {safe}"
        );
    }
}

#[test]
fn i11_nothing_is_sent_after_waiting_too_long_for_a_permit() {
    let mut harness = Harness::new(1);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Arrived(alone("/b", false).with_client()));
    harness.at(SLOW);
    assert_eq!(
        harness.step(Work::Deadline(FlightId(1))),
        ["Overdue 1 no-permit"]
    );
    assert_eq!(
        harness.step(harness.completes_shared(0, "/a")),
        ["Insert", "Answer 1"]
    );
    assert_eq!(harness.flights.gauges(), Gauges::default());
}

#[test]
fn a_slow_flight_sends_stale_answers_to_those_who_have_one_and_to_all_who_come_later() {
    let mut harness = Harness::new(1);
    let old = stored("/a", harness.now);
    harness.at(Duration::from_secs(61));
    harness.step(Work::Arrived(shared("/a").with_client()));
    let mut has_stale = shared("/a").with_client();
    has_stale.waiter = Some(waiter(Some(old), Arc::default()));
    harness.step(Work::Arrived(has_stale));
    harness.at(Duration::from_secs(61) + SLOW - Duration::from_millis(1));
    assert!(
        harness
            .step(Work::Arrived(shared("/a").with_client()))
            .is_empty(),
        "just in time"
    );
    harness.at(Duration::from_secs(61) + SLOW);
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Overdue 1 slow"]
    );
    assert_eq!(
        harness.step(Work::Deadline(FlightId(0))),
        ["Overdue 1 slow"]
    );
    assert_eq!(
        harness.step(harness.completes_shared(0, "/a")),
        ["Insert", "Answer 2"]
    );
}

#[test]
fn whoever_waits_for_the_key_of_a_failing_request_is_not_its_probe() {
    let mut harness = Harness::new(1);
    let key = shared("/a").key.expect("a key");
    harness.flights.do_not_collapse(&key, harness.now);
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Fetch 0"]
    );
    assert!(
        harness
            .step(Work::Arrived(shared("/a").with_client()))
            .is_empty()
    );
    assert!(
        harness
            .step(Work::Arrived(shared("/b").with_client()))
            .is_empty()
    );
    let fails = Work::Completed(FlightId(0), FetchResult::failed(Cause::CheckFailed));
    assert_eq!(
        harness.step(fails),
        ["Overdue 1 check-failed", "Answer 1", "Fetch 2"]
    );
}

#[test]
fn an_answer_that_is_not_confirmed_says_nothing_of_the_origin() {
    let mut harness = Harness::new(2);
    harness.step(Work::Arrived(shared("/zero").with_client()));
    assert!(harness.step(Work::Pending(FlightId(0))).is_empty());
    harness.step(Work::Arrived(shared("/cross-check").with_client()));
    harness.step(Work::Completed(
        FlightId(1),
        FetchResult::failed(Cause::Fetch(FetchError::Connect)),
    ));
    harness.step(Work::Completed(
        FlightId(0),
        FetchResult::failed(Cause::CheckFailed),
    ));
    assert_eq!(
        harness.step(Work::Arrived(shared("/c").with_client())),
        ["Overdue 1 refused"]
    );
}

#[test]
fn an_answer_to_be_confirmed_ends_the_failure_of_its_origin_at_once() {
    let mut harness = Harness::new(2);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Completed(
        FlightId(0),
        FetchResult::failed(Cause::Fetch(FetchError::Connect)),
    ));
    harness.at(STEP);
    assert_eq!(
        harness.step(Work::Arrived(shared("/zero").with_client())),
        ["Probed", "Fetch 1"]
    );
    harness.step(Work::Pending(FlightId(1)));
    assert_eq!(
        harness.step(Work::Arrived(shared("/cross-check").with_client())),
        ["Fetch 2"]
    );
}

#[test]
fn a_key_whose_answer_was_not_shared_is_not_collapsed_for_60_s() {
    let cases = [
        (59_999, vec!["Fetch 1", "Fetch 2"]),
        (60_000, vec!["Fetch 1"]),
    ];
    for (after, expected) in cases {
        let mut harness = Harness::new(3);
        harness.step(Work::Arrived(shared("/a").with_client()));
        harness.step(Work::Completed(
            FlightId(0),
            FetchResult::Unshared(response()),
        ));
        harness.at(Duration::from_millis(after));
        let mut begun = harness.step(Work::Arrived(shared("/a").with_client()));
        begun.extend(harness.step(Work::Arrived(shared("/a").with_client())));
        assert_eq!(begun, expected, "{after} ms later");
    }
}

#[test]
fn a_storable_answer_lets_its_key_be_collapsed_again() {
    let mut harness = Harness::new(3);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Completed(
        FlightId(0),
        FetchResult::Unshared(response()),
    ));
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(harness.completes_shared(1, "/a"));
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Fetch 2"]
    );
    assert!(
        harness
            .step(Work::Arrived(shared("/a").with_client()))
            .is_empty()
    );
}

#[test]
fn a_body_passed_on_keeps_its_permit_until_it_ends_and_its_followers_go_alone() {
    let mut harness = Harness::new(2);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Arrived(shared("/a").with_client()));
    assert_eq!(harness.step(Work::Opened(FlightId(0))), ["Open 1 + 1"]);
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Fetch 1"]
    );
    assert_eq!(harness.step(Work::Opened(FlightId(1))), ["Open 1 + 0"]);
    harness.step(Work::Ended(FlightId(1)));
    assert_eq!(harness.flights.gauges().active, 1);
    harness.step(Work::Completed(
        FlightId(0),
        FetchResult::failed(Cause::Panicked),
    ));
    assert_eq!(harness.flights.gauges(), Gauges::default());
    harness.step(Work::Arrived(shared("/b").with_client()));
    assert_eq!(harness.step(Work::Opened(FlightId(2))), ["Open 1 + 0"]);
}

#[test]
fn streams_hold_no_permit_and_there_are_only_so_many() {
    let mut harness = Harness::new(1);
    harness.flights = flights(1, 100).with_max_streams(2);
    for flight in 0..2 {
        harness.step(Work::Arrived(shared("/a").with_client()));
        assert_eq!(
            harness.step(Work::Streams(FlightId(flight))),
            ["Open 1 + 0"]
        );
        assert_eq!(harness.flights.gauges().active, 0);
    }
    harness.step(Work::Arrived(shared("/a").with_client()));
    assert_eq!(
        harness.step(Work::Streams(FlightId(2))),
        ["Overdue 1 no-permit", "Open 0 + 0"]
    );
    harness.step(Work::Ended(FlightId(2)));
    harness.step(Work::Ended(FlightId(0)));
    harness.step(Work::Arrived(shared("/a").with_client()));
    assert_eq!(
        harness.step(Work::Streams(FlightId(3))),
        ["Open 1 + 0"],
        "one has ended"
    );
    harness.step(Work::Ended(FlightId(3)));
    harness.step(Work::Ended(FlightId(1)));
    assert_eq!(harness.flights.gauges(), Gauges::default());
}

fn growing(path: &'static str, now: Now) -> Arc<Growing> {
    Arc::new(Growing {
        head: ResponseHead {
            status: StatusCode::OK,
            fields: HeaderMap::new(),
            length: None,
        },
        stored: stored(path, now),
        body: SharedBody::new(),
    })
}

#[test]
fn a_growing_body_is_given_to_all_who_wait_and_to_who_comes_later() {
    let mut harness = Harness::new(2);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Arrived(shared("/a").with_client()));
    let grows = Work::Grows(FlightId(0), growing("/a", harness.now));
    assert_eq!(harness.step(grows), ["Attach 2"]);
    assert_eq!(harness.flights.gauges().parked, 0);
    harness.at(SLOW * 10);
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Attach 1"],
        "however long it takes"
    );
    assert_eq!(
        harness.step(harness.completes_shared(0, "/a")),
        ["Insert", "Answer 0"]
    );
    assert_eq!(harness.flights.gauges(), Gauges::default());
}

#[test]
fn who_has_a_stale_answer_waits_for_all_of_a_growing_body_until_that_is_slow() {
    let mut harness = Harness::new(2);
    let has_stale = |now| {
        let mut arrival = shared("/a").with_client();
        if let Some(waiter) = &mut arrival.waiter {
            waiter.stale = Some(stored("/a", now));
        }
        Work::Arrived(arrival)
    };
    let long_ago = harness.now;
    harness.at(Duration::from_secs(61));
    harness.step(has_stale(long_ago));
    harness.step(Work::Arrived(shared("/a").with_client()));
    let grows = Work::Grows(FlightId(0), growing("/a", harness.now));
    assert_eq!(harness.step(grows), ["Attach 1"]);
    assert!(harness.step(has_stale(long_ago)).is_empty());
    harness.at(Duration::from_secs(61) + SLOW);
    assert_eq!(
        harness.step(Work::Deadline(FlightId(0))),
        ["Overdue 2 slow"]
    );
    assert_eq!(
        harness.step(Work::Completed(
            FlightId(0),
            FetchResult::failed(Cause::Fetch(FetchError::Truncated)),
        )),
        ["Answer 0"],
        "nothing is asked again when bytes have gone out"
    );
}

#[test]
fn nobody_joins_a_body_that_was_outgrown_or_invalidated() {
    for ending in [
        Work::Outgrown(FlightId(0)),
        Work::Invalidated {
            matches: Box::new(|_| true),
            but: None,
        },
    ] {
        let mut harness = Harness::new(3);
        harness.step(Work::Arrived(shared("/a").with_client()));
        let grows = Work::Grows(FlightId(0), growing("/a", harness.now));
        assert_eq!(harness.step(grows), ["Attach 1"]);
        harness.step(ending);
        assert_eq!(
            harness.step(Work::Arrived(shared("/a").with_client())),
            ["Fetch 1"]
        );
        harness.step(Work::Ended(FlightId(0)));
        assert_eq!(harness.flights.gauges().active, 1);
    }
}

#[test]
fn background_leaves_the_last_permit_until_a_client_joins() {
    let mut harness = Harness::new(2);
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").in_background())),
        ["Fetch 0"]
    );
    assert!(
        harness
            .step(Work::Arrived(shared("/b").in_background()))
            .is_empty()
    );
    assert_eq!(
        harness.step(Work::Arrived(shared("/b").with_client())),
        ["Fetch 1"]
    );
}

#[test]
fn a_key_that_is_not_collapsed_has_one_refresh_at_most() {
    for (poll, expected) in [(None, 0), (Some(0), 1)] {
        let mut harness = Harness::new(4);
        harness.step(Work::Arrived(shared("/a").with_client()));
        harness.step(Work::Completed(
            FlightId(0),
            FetchResult::Unshared(response()),
        ));
        // Every hit offers one, and a hit on what is polled names the poll.
        let refresh = || {
            Work::Arrived(
                FetchRequest {
                    poll,
                    ..shared("/a")
                }
                .in_background(),
            )
        };
        let begun: usize = (0..3)
            .map(|_| {
                harness
                    .step(refresh())
                    .iter()
                    .filter(|w| w.starts_with("Fetch"))
                    .count()
            })
            .sum();
        assert_eq!(begun, expected, "poll {poll:?}");
    }
}

#[test]
fn a_failing_origin_is_asked_by_one_probe_and_the_waiting_are_sent_back() {
    let mut harness = Harness::new(1);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Arrived(shared("/b").with_client()));
    let refused = |flight| {
        Work::Completed(
            FlightId(flight),
            FetchResult::failed(Cause::Fetch(FetchError::Connect)),
        )
    };
    assert_eq!(
        harness.step(refused(0)),
        ["Down", "Overdue 1 refused", "Answer 1"]
    );
    assert_eq!(
        harness.step(Work::Arrived(shared("/c").with_client())),
        ["Overdue 1 refused"]
    );
    harness.at(STEP);
    assert_eq!(
        harness.step(Work::Arrived(shared("/c").with_client())),
        ["Probed", "Fetch 2"]
    );
    assert_eq!(
        harness.step(Work::Arrived(shared("/d").with_client())),
        ["Overdue 1 refused"]
    );
    assert_eq!(
        harness.step(harness.completes_shared(2, "/c")),
        ["Insert", "Up", "Answer 1"]
    );
    assert_eq!(harness.flights.gauges(), Gauges::default());
}

#[test]
fn what_is_related_to_a_key_is_sent_back_with_it_and_never_sends_it_back() {
    let related_key = |path| {
        FetchRequest {
            related_key: Some(key(path)),
            ..alone(path, true)
        }
        .with_client()
    };
    let failed =
        |flight| Work::Completed(FlightId(flight), FetchResult::failed(Cause::CheckFailed));
    let mut harness = Harness::new(1);
    for arrival in [
        shared("/a").with_client(),
        related_key("/a"),
        related_key("/b"),
        alone("/a", false).with_client(),
    ] {
        harness.step(Work::Arrived(arrival));
    }
    assert_eq!(
        harness.step(failed(0)),
        ["Overdue 1 check-failed", "Answer 1", "Fetch 2"]
    );
    assert_eq!(
        harness.step(Work::Arrived(related_key("/a"))),
        ["Overdue 1 check-failed"]
    );
    // The POST for /a waits on, and so do other ones for /b than its like.
    for arrival in [related_key("/b"), shared("/b").with_client()] {
        harness.step(Work::Arrived(arrival));
    }
    assert_eq!(
        harness.step(failed(2)),
        ["Overdue 1 check-failed", "Answer 1", "Fetch 3"]
    );
    assert_eq!(
        harness.step(harness.completes_shared(3, "/x")),
        ["Answer 1", "Fetch 5"]
    );
}

#[test]
fn a_probe_that_never_asked_leaves_its_turn_to_the_next() {
    let mut harness = Harness::new(1);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Completed(
        FlightId(0),
        FetchResult::failed(Cause::Fetch(FetchError::Connect)),
    ));
    harness.at(STEP);
    harness
        .flights
        .step(Work::Arrived(shared("/b").with_client()), harness.now);
    harness.flights.step(
        Work::Found(FlightId(1), stored("/b", harness.now)),
        harness.now,
    );
    assert_eq!(
        harness.step(Work::Arrived(shared("/c").with_client())),
        ["Probed", "Fetch 2"]
    );
}

#[test]
fn while_all_permits_are_late_nobody_who_has_a_stale_answer_waits() {
    let mut harness = Harness::new(1);
    let old = stored("/b", harness.now);
    let has_stale = || {
        let waiter = Some(waiter(Some(Arc::clone(&old)), Arc::default()));
        Work::Arrived(Arrival {
            waiter,
            ..shared("/b").in_background()
        })
    };
    harness.at(Duration::from_secs(61));
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.at(Duration::from_secs(61) + SLOW);
    harness.step(Work::Deadline(FlightId(0)));
    assert_eq!(harness.step(has_stale()), ["Overdue 1 slow"]);
    assert_eq!(
        harness.step(harness.completes_shared(0, "/a")),
        ["Insert", "Answer 1", "Fetch 1"],
        "the refresh is fetched"
    );
    assert_eq!(
        harness.step(harness.completes_shared(1, "/b")),
        ["Insert", "Answer 0"]
    );
    assert_eq!(
        harness.step(has_stale()),
        ["Fetch 2"],
        "nothing is late any more"
    );
}

#[test]
fn what_a_client_with_a_name_is_told_keeps_nobody_else_from_sharing() {
    for ending in [
        Work::Completed(FlightId(0), FetchResult::Unshared(response())),
        Work::Opened(FlightId(0)),
    ] {
        let mut harness = Harness::new(3);
        harness.step(Work::Arrived(
            FetchRequest {
                shared: false,
                joins: None,
                ..shared("/a")
            }
            .with_client(),
        ));
        harness.step(ending);
        assert_eq!(
            harness.step(Work::Arrived(shared("/a").with_client())),
            ["Fetch 1"]
        );
        assert!(
            harness
                .step(Work::Arrived(shared("/a").with_client()))
                .is_empty()
        );
    }
}

#[test]
fn beyond_the_places_to_wait_a_request_is_refused() {
    let mut harness = Harness {
        flights: flights(1, 2),
        ..Harness::new(1)
    };
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Arrived(shared("/a").with_client()));
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Overdue 1 parked-full"]
    );
    harness.step(harness.completes_shared(0, "/a"));
    assert_eq!(
        harness.step(Work::Arrived(shared("/a").with_client())),
        ["Fetch 1"]
    );
}

#[test]
fn a_stop_tells_everybody_and_sends_nothing_more() {
    let mut harness = Harness::new(1);
    harness.step(Work::Arrived(shared("/a").with_client()));
    harness.step(Work::Arrived(shared("/b").with_client()));
    let told = harness
        .flights
        .step(Work::Stop, harness.now)
        .into_iter()
        .map(|work| match work {
            Work::Overdue(waiters, Cause::Stopping, None) => waiters.len(),
            Work::Forget(..) => 0,
            _ => panic!("a stop sends nothing"),
        });
    assert_eq!(told.sum::<usize>(), 2);
    assert_eq!(
        harness.step(Work::Arrived(shared("/c").with_client())),
        ["Overdue 1 stopping"]
    );
    assert_eq!(
        harness.step(harness.completes_shared(0, "/a")),
        ["Insert", "Answer 0"]
    );
    assert_eq!(harness.flights.gauges(), Gauges::default());
}

//! Must-show 4: polls keep their time, whatever else goes on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{PROXY, Scene};
use crate::support::{Answer, App, Behaviour, Origin, Replay, eventually, home_for};

const INTERVAL: Duration = Duration::from_secs(60);
/// The clocks stop that short of a tick, which then comes by itself.
const SHORT: Duration = Duration::from_millis(15);

#[test]
fn must_show_4_polls_tick_and_do_not_drift() {
    let origin = Replay::of(PROXY.0);
    // An answer takes its time: a poller that sleeps after it would be late by as much each time.
    let wire = origin.healthy().get("/soe").wire.clone();
    origin.set("/soe", Behaviour::Says(wire, Duration::from_millis(20)));
    let scene = Scene::with(
        origin,
        json!({ "urlConfigs": [{ "path": "/soe", "pollInterval": "60s" }] }),
    );
    scene.origin.await_requests("/soe", 1);
    // Found coarsely, then once more with a second of patience: that is the first exact tick.
    let about = next_poll_within_steps(&scene);
    let first = next_poll(&scene, about + INTERVAL, Duration::from_secs(1));

    let mut errors = Vec::new();
    for n in 1..=120 {
        let due = first + n * INTERVAL;
        errors.push(next_poll(&scene, due, SHORT).abs_diff(due));
    }

    errors.sort_unstable();
    let median = errors[errors.len() / 2];
    let worst = errors[errors.len() - 1];
    println!("two simulated hours of polls: median error {median:?}, worst {worst:?}");
    // The worst is the machine's; a drift would be in every one after it.
    assert!(
        median < Duration::from_millis(50),
        "{median:?}, worst {worst:?}"
    );
}

/// Moves the clocks to `short` before `due` and waits; when the poll came.
fn next_poll(scene: &Scene, due: Duration, short: Duration) -> Duration {
    // The poll before, which takes longer than the clocks now stop short, has ended.
    scene.finish();
    let count = scene.origin.count("/soe");
    scene.skip(due.saturating_sub(scene.origin.now()).saturating_sub(short));
    scene.origin.await_requests("/soe", count + 1);
    scene.origin.times("/soe")[count]
}

/// Moves the clocks on in steps until a poll comes; when it was seen.
fn next_poll_within_steps(scene: &Scene) -> Duration {
    let count = scene.origin.count("/soe");
    for _ in 0..700 {
        scene.skip(Duration::from_millis(100));
        // A turn for Larder's threads.
        assert_eq!(scene.get("/health").status, 200);
        if let Some(came) = scene.origin.times("/soe").get(count) {
            return *came;
        }
    }
    panic!("no poll in 70 s");
}

#[test]
fn must_show_4_what_was_missed_is_not_made_up() {
    let scene = Scene::with(
        Replay::of(PROXY.0),
        json!({ "urlConfigs": [{ "path": "/soe", "pollInterval": 5 }, { "path": "/aggregates", "pollInterval": 5 }] }),
    );
    scene.origin.await_requests("/soe", 1);
    scene.origin.await_requests("/aggregates", 1);
    let before = scene.origin.requests();

    // A laptop that slept for an hour: 720 ticks each.
    scene.skip_seconds(3600);
    scene.origin.await_requests("/soe", 2);
    scene.origin.await_requests("/aggregates", 2);
    scene.skip_seconds(5);
    scene.origin.await_requests("/soe", 3);

    let polls = scene.origin.requests() - before;
    assert!((3..=6).contains(&polls), "{polls} polls after the hour");
}

#[test]
fn must_show_4_no_poll_starves_under_a_steady_trickle_of_misses() {
    let origin = Origin::answering(|_| Answer::ok("{}").taking(Duration::from_millis(30)));
    let more = json!({ "cache": { "slowRequestTimeout": 10000 },
        "urlConfigs": [{ "path": "/polled", "pollInterval": 1, "cacheTTL": 30 }] });
    let app = App::start(&home_for(&origin, more));
    let over = AtomicBool::new(false);
    let asked = AtomicUsize::new(0);

    std::thread::scope(|scope| {
        // Six who always have a miss waiting for the two permits.
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = app.client();
                while !over.load(Ordering::Acquire) {
                    let number = asked.fetch_add(1, Ordering::AcqRel);
                    assert_eq!(client.get(&format!("/miss/{number}")).status, 200);
                }
            });
        }
        let enough =
            eventually(|| origin.count("/polled") >= 4 || asked.load(Ordering::Acquire) > 400);
        over.store(true, Ordering::Release);
        assert!(enough);
    });

    // 400 misses at 30 ms through two permits are 6 s. One whole interval of waiting at most: every other tick.
    assert!(
        origin.count("/polled") >= 3,
        "{} polls beside {asked:?} misses",
        origin.count("/polled")
    );
}

#[test]
fn must_show_4_no_miss_starves_under_more_polls_than_the_origin_can_bear() {
    let origin = Origin::answering(|_| Answer::ok("{}").taking(Duration::from_millis(150)));
    let polls: Vec<_> = (0..20)
        .map(|n| json!({ "path": format!("/polled/{n}"), "pollInterval": 1, "cacheTTL": 30 }))
        .collect();
    let app = App::start(&home_for(&origin, json!({ "urlConfigs": polls })));
    // Twenty polls a second at 150 ms are three times what one permit carries.
    assert!(eventually(|| origin.requests() >= 4));

    for n in 0..15 {
        let begun = Instant::now();
        assert_eq!(app.client().get(&format!("/miss/{n}")).status, 200);
        let taken = begun.elapsed();
        // Its own 150 ms, and once those of a poll that came first.
        assert!(taken < Duration::from_secs(1), "miss {n} took {taken:?}");
    }

    let misses = 15;
    assert!(
        origin.requests() >= misses + 10,
        "the polls go on: {}",
        origin.requests()
    );
    assert!(origin.connections_peak() <= 2);
}

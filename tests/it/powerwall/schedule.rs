//! Rows R4 and C22: how often a failing origin is asked, and what of it a failure blocks.

use std::time::Duration;

use serde_json::json;

use super::scene::expect_nothing;
use super::{PROXY, Scene};
use crate::support::{Behaviour, Client, Replay, with_field};

/// Seconds between one attempt and the next.
fn gaps(times: &[Duration]) -> Vec<f64> {
    times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect()
}

/// Panics unless attempts came at these distances, a tenth of jitter and the second of our steps aside.
#[track_caller]
fn expect_gaps(times: &[Duration], steps: &[u32]) {
    let gaps = gaps(times);
    assert_eq!(gaps.len(), steps.len(), "{gaps:.1?}, not {steps:?}");
    for (gap, step) in gaps.iter().zip(steps) {
        let step = f64::from(*step);
        assert!(
            (step * 0.9 - 1.0..=step * 1.1 + 2.0).contains(gap),
            "{gaps:.1?}, not {steps:?}"
        );
    }
}

/// An origin that answers `target` with this status, and maybe says when to come back.
fn failing(target: &str, status: &str, retry_after: Option<u32>) -> Replay {
    let origin = Replay::of(PROXY.0);
    fail(&origin, target, status, retry_after);
    origin
}

fn fail(origin: &Replay, target: &str, status: &str, retry_after: Option<u32>) {
    let wire = origin.healthy().get("/help").with_status(status);
    let wire = retry_after.map_or(wire.clone(), |seconds| {
        with_field(&wire, &format!("Retry-After: {seconds}"))
    });
    origin.set(target, Behaviour::Says(wire, Duration::ZERO));
}

/// Somebody asks every second.
fn ask_every_second(scene: &Scene, target: &str, seconds: u64) {
    for _ in 0..seconds {
        scene.get(target);
        scene.pass_seconds(1, 1);
    }
}

const BROKEN: &str = "500 Internal Server Error";

#[test]
fn r4_an_unpolled_key_that_fails_is_left_alone_ever_longer() {
    let scene = Scene::unpolled(failing("/broken", BROKEN, None));
    ask_every_second(&scene, "/broken", 300);
    expect_gaps(&scene.origin.times("/broken"), &[5, 10, 30, 60, 120]);
}

#[test]
fn r4_one_success_and_the_table_begins_anew() {
    let scene = Scene::unpolled(failing("/broken", BROKEN, None));
    ask_every_second(&scene, "/broken", 20);
    let failed = scene.origin.count("/broken");
    assert_eq!(failed, 3, "at 0, 5 and 15 s");
    let wire = scene.origin.healthy().get("/help").wire.clone();
    scene
        .origin
        .set("/broken", Behaviour::Says(wire, Duration::ZERO));
    ask_every_second(&scene, "/broken", 60);
    assert_eq!(scene.get("/broken").cache_status(), "HIT");

    fail(&scene.origin, "/broken", BROKEN, None);
    scene.skip_seconds(700);
    let before = scene.origin.count("/broken");
    ask_every_second(&scene, "/broken", 18);

    expect_gaps(&scene.origin.times("/broken")[before..], &[5, 10]);
}

#[test]
fn r4_the_table_is_the_users() {
    let origin = failing("/broken", BROKEN, None);
    let scene = Scene::with(
        origin,
        json!({ "backend": { "backoff": [2, 4] }, "urlConfigs": [
        { "path": "/soe", "pollInterval": 3600 }] }),
    );
    ask_every_second(&scene, "/broken", 24);
    expect_gaps(&scene.origin.times("/broken")[..5], &[2, 4, 4, 4]);
}

#[test]
fn must_show_2_a_failing_polled_key_is_probed_within_every_half_minute() {
    let scene = Scene::before(Replay::outage(PROXY.0, PROXY.1, "refused", 1));
    scene.warm(&["/aggregates", "/strings"]);
    scene.origin.at(60);
    let before = ["/aggregates", "/strings"].map(|target| scene.origin.count(target));
    for _ in 0..140 {
        scene.pass_seconds(1, 1);
        scene.get("/aggregates");
        scene.get("/strings");
    }
    for (target, before) in ["/aggregates", "/strings"].into_iter().zip(before) {
        let times = &scene.origin.times(target)[before..];
        let steps = [5, 10, 30, 30, 30, 30];
        expect_gaps(
            &times[..times.len().min(6)],
            &steps[..times.len().min(6) - 1],
        );
        assert!(
            (6..=7).contains(&times.len()),
            "{target}: {:.1?}",
            gaps(times)
        );
    }
}

#[test]
fn must_show_2_a_failing_polled_key_is_probed_without_anybody_asking() {
    let scene = Scene::before(Replay::outage(PROXY.0, PROXY.1, "refused", 1));
    scene.warm(&["/aggregates"]);
    scene.origin.at(60);
    scene.pass_seconds(100, 1);
    scene.origin.at(0);
    let back = scene.origin.now();

    scene.pass_seconds(34, 1);

    assert!(
        scene
            .origin
            .last_good("/aggregates")
            .is_some_and(|good| good >= back)
    );
    let reply = scene.get_at_once("/aggregates");
    assert_eq!(
        reply.cache_status(),
        "HIT",
        "ready before the first asks: {reply:?}"
    );
}

/// Every target hangs; Larder gives up on one after 150 ms.
fn hung() -> Scene {
    let more = json!({ "backend": { "firstByteTimeout": 150 }, "cache": { "slowRequestTimeout": 50 },
        "urlConfigs": [{ "path": "/api/customer/registration", "pollInterval": 3600 }] });
    let scene = Scene::with(Replay::of(PROXY.0), more);
    scene.warm(&[
        "/api/customer/registration",
        "/aggregates",
        "/soe",
        "/version",
        "/vitals",
        "/csv",
    ]);
    for recording in &scene.origin.healthy().recordings {
        scene.origin.set(&recording.target, Behaviour::Hangs);
    }
    scene
}

/// Waits, in real time, until no fetch is under way.
fn settle(scene: &Scene) {
    let idle = || {
        scene
            .get("/health")
            .text()
            .contains("\"activeRequestCount\":0")
    };
    assert!(crate::support::eventually(idle), "fetches time out");
}

#[test]
fn must_show_2_a_hung_origin_is_probed_by_exactly_one_request() {
    let scene = hung();
    // Past their lifetimes, three that answered before time out: the origin is at fault, not a key.
    scene.skip_seconds(700);
    let before = scene.origin.requests();
    for target in ["/aggregates", "/soe", "/vitals"] {
        scene.get(target);
        settle(&scene);
    }
    let known = scene.origin.requests();
    assert_eq!(known - before, 3);

    // Five pages, one of them new each time, for two minutes.
    for second in 0..120 {
        scene.skip_seconds(1);
        let new = format!("/new/{second}");
        let mut pages: Vec<Client> = ["/aggregates", "/soe", "/vitals", "/csv", &new]
            .iter()
            .map(|target| scene.leave_asking(target))
            .collect();
        pages
            .iter_mut()
            .for_each(|page| expect_nothing("any", &page.read()));
        settle(&scene);
    }

    let times: Vec<Duration> = scene.origin.asked()[known - 1..]
        .iter()
        .map(|asked| asked.at)
        .collect();
    expect_gaps(
        &times[..times.len().min(6)],
        &[5, 10, 30, 30, 30][..times.len().min(6) - 1],
    );
    assert!((5..=7).contains(&times.len()), "{:.1?}", gaps(&times));
}

#[test]
fn c22_a_key_that_fails_blocks_no_other() {
    let origin = failing("/broken", BROKEN, None);
    origin.set("/vitals", Behaviour::Hangs);
    let more =
        json!({ "backend": { "firstByteTimeout": 150 }, "cache": { "slowRequestTimeout": 50 } });
    let scene = Scene::with(origin, more);
    scene.warm(&["/aggregates"]);
    for n in 0..4 {
        assert!(scene.get("/broken").status >= 500);
        assert!(scene.get("/vitals").status >= 500);
        // Sisters of the failing ones, under the same route, and never asked for before.
        assert_eq!(scene.get(&format!("/broken?{n}")).status, 200);
        scene.expect_good("/version", &scene.get("/version"));
        scene.skip_seconds(1);
    }
    assert_eq!(scene.origin.count("/broken"), 1);
    assert_eq!(scene.origin.count("/vitals"), 1);
}

#[test]
fn c22_retry_after_wins_over_the_table_up_to_five_minutes() {
    for (said, kept) in [(60, 60), (2, 2), (3600, 300_u32)] {
        let scene = Scene::unpolled(failing("/limited", "429 Too Many Requests", Some(said)));
        let first = scene.get("/limited");
        assert_eq!(
            (first.status, first.field("Retry-After")),
            (429, Some(said.to_string().as_str())),
            "relayed"
        );
        ask_every_second(&scene, "/limited", u64::from(kept) + 40);
        let gap = gaps(&scene.origin.times("/limited"))[0];
        assert!(
            (f64::from(kept) - 1.0..=f64::from(kept) + 2.0).contains(&gap),
            "Retry-After {said}: {gap}"
        );
        let second = scene.get("/limited");
        assert_eq!(
            second.status, 429,
            "the status of the cause is kept: {second:?}"
        );
        assert!(second.field("Retry-After").is_some(), "{second:?}");
    }
}

#[test]
fn c22_a_date_in_retry_after_is_understood() {
    let origin = Replay::of(PROXY.0);
    let wire = origin
        .healthy()
        .get("/help")
        .with_status("503 Service Unavailable");
    // Long past: nothing to wait for beyond the table.
    let wire = with_field(&wire, "Retry-After: Fri, 20 Nov 2020 19:49:12 GMT");
    origin.set("/broken", Behaviour::Says(wire, Duration::ZERO));
    let scene = Scene::unpolled(origin);
    ask_every_second(&scene, "/broken", 8);
    assert_eq!(scene.origin.count("/broken"), 2);
}

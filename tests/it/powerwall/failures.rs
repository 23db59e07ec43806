//! Rows C21 and C24: which failures are shown, which are hidden, and which never take the place of something good.

use std::time::Duration;

use serde_json::{Value, json};

use super::scene::{age, expect_nothing};
use super::{PROXY, Scene};
use crate::support::{Behaviour, Replay};

/// From now on `/aggregates` answers with this status and a body that is no reading.
fn break_aggregates(scene: &Scene, status: &str) {
    let wire = scene.origin.healthy().get("/help").with_status(status);
    scene
        .origin
        .set("/aggregates", Behaviour::Says(wire, Duration::ZERO));
}

#[test]
fn c21_no_status_takes_the_place_of_a_good_reading_while_it_may_be_served() {
    let statuses = [
        "500 Internal Server Error",
        "503 Service Unavailable",
        "429 Too Many Requests",
        "404 Not Found",
        "401 Unauthorized",
        "302 Found",
    ];
    for status in statuses {
        let scene = Scene::unpolled(Replay::of(PROXY.0));
        scene.warm(&["/aggregates"]);
        break_aggregates(&scene, status);
        // Refreshes are due from the fifth second on, and every one of them fails.
        for _ in 0..27 {
            scene.pass_seconds(1, 1);
            let reply = scene.get("/aggregates");
            scene.expect_good("/aggregates", &reply);
            assert_eq!(reply.cache_status(), "HIT", "{status}: {reply:?}");
        }
        assert!(
            scene.origin.count("/aggregates") > 1,
            "{status}: it was tried"
        );
    }
}

#[test]
fn c21_a_404_is_remembered_for_ten_seconds() {
    let origin = Replay::of(PROXY.0);
    let wire = origin.healthy().get("/help").with_status("404 Not Found");
    origin.set("/nothing", Behaviour::Says(wire, Duration::ZERO));
    let scene = Scene::unpolled(origin);
    for _ in 0..9 {
        assert_eq!(scene.get("/nothing").status, 404);
        scene.skip_seconds(1);
    }
    assert_eq!(scene.origin.count("/nothing"), 1);
    scene.skip_seconds(2);
    assert_eq!(scene.get("/nothing").status, 404);
    assert_eq!(scene.origin.count("/nothing"), 2);
}

#[test]
fn c21_an_expired_reading_beats_every_failure_for_its_grace() {
    for status in ["500 Internal Server Error", "429 Too Many Requests"] {
        let scene = Scene::unpolled(Replay::of(PROXY.0));
        scene.warm(&["/aggregates"]);
        break_aggregates(&scene, status);
        scene.skip_seconds(45);
        let reply = scene.get("/aggregates");
        scene.expect_good("/aggregates", &reply);
        assert!((45..=48).contains(&age(&reply)), "{reply:?}");
        assert!(
            reply
                .field("Cache-Status")
                .is_some_and(|told| told.contains("fwd=stale")),
            "{reply:?}"
        );

        scene.skip_seconds(20);
        let code: u16 = status[..3].parse().unwrap();
        assert_eq!(
            scene.get("/aggregates").status,
            code,
            "past its grace the failure shows"
        );
    }
}

#[test]
fn c24_nothing_to_serve_is_503_that_says_when() {
    let scene = Scene::unpolled(Replay::of(PROXY.0));
    let null = scene.origin.healthy().get("/aggregates").saying(b"null");
    scene
        .origin
        .set("/aggregates", Behaviour::Says(null, Duration::ZERO));
    for _ in 0..3 {
        let reply = scene.get_at_once("/aggregates");
        expect_nothing("/aggregates", &reply);
        assert_eq!(reply.status, 503, "{reply:?}");
        let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert!(
            body["error"].is_string() && body["message"].is_string(),
            "{body}"
        );
        assert_eq!(
            reply.field("Access-Control-Allow-Origin"),
            Some("*"),
            "pages can read why: {reply:?}"
        );
    }
    assert_eq!(scene.origin.count("/aggregates"), 1);

    // Who waits as long as told is not sent away again once it is over.
    scene.origin.unset("/aggregates");
    let told = scene
        .get("/aggregates")
        .field("Retry-After")
        .and_then(|text| text.parse().ok())
        .expect("seconds");
    scene.skip_seconds(told);
    scene.expect_good("/aggregates", &scene.get("/aggregates"));
}

#[test]
fn c24_a_cut_or_missing_answer_is_none() {
    let scene = Scene::with(
        Replay::of(PROXY.0),
        json!({ "backend": { "firstByteTimeout": 150 }, "cache": { "slowRequestTimeout": 50 },
            "urlConfigs": [{ "path": "/api/customer/registration", "pollInterval": 3600 }] }),
    );
    let whole = scene.origin.healthy().get("/aggregates").wire.clone();
    scene.origin.set(
        "/aggregates",
        Behaviour::Says(whole[..whole.len() - 10].into(), Duration::ZERO),
    );
    assert_eq!(scene.get("/aggregates").status, 502, "half a document");
    scene.origin.set("/soe", Behaviour::Hangs);
    assert_eq!(scene.get("/soe").status, 504);
    for target in ["/aggregates", "/soe"] {
        expect_nothing(target, &scene.get_at_once(target));
    }
    assert_eq!(
        (
            scene.origin.count("/aggregates"),
            scene.origin.count("/soe")
        ),
        (1, 1),
        "both in backoff"
    );
}

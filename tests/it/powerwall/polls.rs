//! Rows R1, R3, C23 and E19: what is polled, and who may ask at once.

use serde_json::json;

use super::{POLLED, PROXY, SERVER, Scene};
use crate::support::{Answer, App, Behaviour, Client, Origin, Replay, Start, eventually, home_for};

#[test]
fn r1_poll_intervals_are_kept_and_zero_is_off() {
    let scene = Scene::with(
        Replay::of(PROXY.0),
        json!({ "urlConfigs": [{ "path": "/aggregates", "pollInterval": 5 }, { "path": "/soe", "pollInterval": "20s" },
            { "path": "/strings", "pollInterval": 0 }, { "path": "/vitals", "cacheTTL": 30 }] }),
    );
    scene.origin.await_requests("/aggregates", 1);
    scene.origin.await_requests("/soe", 1);
    scene.settle();
    let before = ["/aggregates", "/soe"].map(|target| scene.origin.count(target));

    scene.pass_seconds(120, 5);

    let polls = ["/aggregates", "/soe"].map(|target| scene.origin.count(target));
    assert!(
        (23..=25).contains(&(polls[0] - before[0])),
        "{polls:?} {before:?}"
    );
    assert!(
        (5..=7).contains(&(polls[1] - before[1])),
        "{polls:?} {before:?}"
    );
    // A poll interval of the user's own turns the preset's off.
    for (target, ..) in POLLED
        .into_iter()
        .filter(|(target, ..)| !["/aggregates", "/soe"].contains(target))
    {
        assert_eq!(scene.origin.count(target), 0, "{target}");
    }
    assert_eq!(scene.origin.count("/vitals"), 0);
}

#[test]
fn r1_a_failed_poll_keeps_the_cache() {
    let scene = Scene::with(
        Replay::of(PROXY.0),
        json!({ "urlConfigs": [{ "path": "/aggregates", "pollInterval": 5 }] }),
    );
    scene.warm(&["/aggregates"]);
    let broken = scene
        .origin
        .healthy()
        .get("/help")
        .with_status("500 Internal Server Error");
    scene.origin.set(
        "/aggregates",
        Behaviour::Says(broken, std::time::Duration::ZERO),
    );
    let before = scene.origin.count("/aggregates");

    scene.pass_seconds(25, 5);

    assert!(
        scene.origin.count("/aggregates") > before,
        "polled and failed"
    );
    let reply = scene.get("/aggregates");
    scene.expect_good("/aggregates", &reply);
    assert_eq!(reply.cache_status(), "HIT");
}

#[test]
fn r1_a_failed_poll_is_logged() {
    let origin = Origin::answering(|_| Answer::status(500).body("broken"));
    let more = json!({ "urlConfigs": [{ "path": "/polled", "pollInterval": 1 }] });
    let proc = Start::with(home_for(&origin, more)).run();
    origin.await_requests("/polled", 1);
    let told = |line: &str| line.contains("WARN") && line.contains("/polled");
    assert!(
        eventually(|| proc.log().lines().any(told)),
        "{}",
        proc.log()
    );
    assert!(
        !proc.log().contains("broken"),
        "bodies are nobody's business"
    );
}

#[test]
fn e19_a_start_warms_the_cache_before_anybody_asks() {
    for program in [PROXY, SERVER] {
        let scene = Scene::before(Replay::of(program.0));
        for (target, ..) in POLLED {
            scene.origin.await_requests(target, 1);
        }
        scene.settle();
        for (target, ..) in POLLED {
            let reply = scene.get(target);
            scene.expect_good(target, &reply);
            assert_eq!(reply.cache_status(), "HIT", "{target}: {reply:?}");
        }
        assert!(scene.origin.connections_peak() <= 2);
        // Those with side effects are nobody's to ask unasked.
        assert!(
            scene
                .origin
                .asked()
                .iter()
                .all(|asked| asked.method == "GET" && !asked.target.contains("/clear"))
        );
    }
}

#[test]
fn e19_the_presets_polls_run_at_full_pace_only_for_those_who_ask() {
    let scene = Scene::before(Replay::of(PROXY.0));
    scene.warm(&["/aggregates"]);
    scene.settle();
    // The demand of that one request ends within 60 s.
    scene.pass_seconds(70, 5);
    let before = scene.origin.requests();
    scene.pass_seconds(600, 5);
    let idle = scene.origin.requests() - before;
    // Ten minutes: once per lifetime each, 3 × 20 + 2 × 10 + 4 × 5, one more or less for each of the nine.
    assert!(
        (91..=109).contains(&idle),
        "{idle} polls in ten minutes nobody asked in"
    );

    let before = scene.origin.count("/aggregates");
    for _ in 0..12 {
        scene.get("/aggregates").expect(
            "HIT",
            &String::from_utf8_lossy(scene.good_body("/aggregates")),
        );
        scene.pass_seconds(5, 5);
    }
    let polls = scene.origin.count("/aggregates") - before;
    assert!(
        (11..=13).contains(&polls),
        "{polls} polls in a minute somebody asked in"
    );
}

#[test]
fn e19_without_the_preset_nothing_is_polled_and_nothing_is_open_to_all_pages() {
    let scene = Scene::with(Replay::of(PROXY.0), json!({ "preset": "api" }));
    scene.settle();
    scene.pass_seconds(60, 5);
    assert_eq!(scene.origin.requests(), 0);
    assert_eq!(
        scene
            .get("/_larder/nothing")
            .field("Access-Control-Allow-Origin"),
        None
    );
    // What the origin itself says is passed on.
    assert_eq!(
        scene.get("/soe").values("Access-Control-Allow-Origin"),
        ["*"]
    );
}

#[test]
fn e19_what_is_no_reading_is_refused() {
    let cases = [
        ("/aggregates", "null"),
        ("/aggregates", "\"null\""),
        ("/aggregates", "[]"),
        ("/aggregates", "{\"site\": {\"instant_power\": null}}"),
        ("/aggregates", "{\"site\": {\"instant_power\": \"441\"}}"),
        ("/aggregates", "{\"site\": {\"instant_power\": 441.0}"),
        ("/csv/v2", "1,2,3,4"),
        ("/csv/v2", "-2100.00,900.00,6500.00,-3500.00,0.00,0,0\n"),
        ("/csv", "TIMEOUT!"),
        ("/soe", "ERROR!"),
        ("/soe", "{\"percentage\": null}"),
        ("/json", ""),
    ];
    for (target, body) in cases {
        let scene = Scene::unpolled(Replay::of(PROXY.0));
        // The outage is everywhere: what a cross-check is asked for is bad too.
        for cross_check in ["/aggregates", "/soe"] {
            let nothing = scene.origin.healthy().get(cross_check).saying(b"null");
            scene.origin.set(
                cross_check,
                Behaviour::Says(nothing, std::time::Duration::ZERO),
            );
        }
        let wire = scene.origin.healthy().get(target).saying(body.as_bytes());
        scene
            .origin
            .set(target, Behaviour::Says(wire, std::time::Duration::ZERO));
        for _ in 0..2 {
            let reply = scene.get(target);
            super::scene::expect_nothing(target, &reply);
            assert_ne!(reply.text(), body, "{target}");
        }
    }
}

/// A program that lacks one of the readings.
#[test]
fn r3_a_poll_that_is_not_known_there_stops_until_it_is() {
    let origin = Replay::of(PROXY.0);
    let missing = origin.healthy().get("/help").with_status("404 Not Found");
    origin.set("/pod", Behaviour::Says(missing, std::time::Duration::ZERO));
    let scene = Scene::before(origin);
    scene.warm(&["/aggregates"]);
    scene.pass_seconds(1800, 30);
    assert_eq!(
        scene.origin.count("/pod"),
        3,
        "asked three times, then given up"
    );
    assert!(scene.origin.count("/aggregates") >= 55, "the others go on");
    assert_eq!(
        scene.get("/pod").status,
        404,
        "a client's own request is relayed"
    );

    scene.origin.unset("/pod");
    scene.skip_seconds(60);
    scene.expect_good("/pod", &scene.get("/pod"));
    let before = scene.origin.count("/pod");
    scene.pass_seconds(600, 30);

    assert!(scene.origin.count("/pod") >= before + 4, "polled again");
}

/// Everything hangs: how many the origin has at once, forty clients asking for as many keys or all for one.
fn connections(preset: &str, target: impl Fn(usize) -> String, wanted: usize) -> usize {
    let origin = Replay::of(PROXY.0);
    let origin_targets: Vec<String> = (0..40).map(&target).collect();
    origin_targets
        .iter()
        .for_each(|target| origin.set(target, Behaviour::Hangs));
    let more = json!({ "preset": preset, "backend": { "firstByteTimeout": 60000 },
        "urlConfigs": [{ "path": "/never", "pollInterval": 0 }] });
    let scene = Scene::with(origin, more);
    let _waiting: Vec<Client> = origin_targets
        .iter()
        .map(|target| scene.leave_asking(target))
        .collect();
    let hung = |scene: &Scene| {
        scene
            .origin
            .asked()
            .iter()
            .filter(|a| origin_targets.contains(&a.target))
            .count()
    };
    assert!(
        eventually(|| hung(&scene) >= wanted),
        "{} of {wanted}",
        hung(&scene)
    );
    // Everybody else has been taken in.
    assert!(
        eventually(|| scene.get("/health").text().contains("\"parked\":40")),
        "{}",
        scene.get("/health").text()
    );
    hung(&scene)
}

#[test]
fn c23_one_request_per_key_and_a_cap_by_preset() {
    let each = |n: usize| format!("/hanging/{n}");
    assert_eq!(connections("api", |_| "/hanging".to_owned(), 1), 1);
    assert_eq!(connections("api", each, 16), 16);
    // The preset for pypowerwall warms its cache first, which takes nobody's turn for long.
    assert_eq!(connections("pypowerwall", each, 2), 2);
}

#[test]
fn c23_the_users_own_cap_holds_for_polls_and_clients_together() {
    let origin =
        Origin::answering(|_| Answer::ok("{}").taking(std::time::Duration::from_millis(20)));
    let polls: Vec<_> = (0..8)
        .map(|n| json!({ "path": format!("/polled/{n}"), "pollInterval": 1 }))
        .collect();
    let more = json!({ "backend": { "maxConcurrentRequests": 3 }, "urlConfigs": polls });
    let app = App::start(&home_for(&origin, more));
    for n in 0..60 {
        app.skip_seconds(1);
        app.client().get(&format!("/miss/{n}"));
    }
    assert!(origin.requests() > 120, "{}", origin.requests());
    assert!(
        origin.connections_peak() <= 3,
        "{}",
        origin.connections_peak()
    );
}

//! Must-show 1: everything recorded of both programs comes through, and every reading is stored.

use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::expect_nothing;
use super::{PROXY, READINGS, SERVER, Scene, TELEGRAF};
use crate::support::{Behaviour, Client, Recording, Replay, Reply};

/// What a browser adds.
const BROWSER: [(&str, &str); 2] = [
    ("Origin", "http://dashboard.test"),
    ("Cookie", "AuthCookie=1234567890"),
];

/// The readings recorded of this origin.
fn readings(scene: &Scene) -> Vec<&'static str> {
    let recorded = |target: &&str| scene.origin.healthy().find("GET", target).is_some();
    READINGS.into_iter().filter(recorded).collect()
}

/// Where Larder serves it: `/health` is its own, and the origin's stands behind another name.
fn target(recording: &Recording) -> String {
    let prefix = if recording.target == "/health" {
        "/_larder/origin"
    } else {
        ""
    };
    format!("{prefix}{}", recording.target)
}

fn every_recorded_path(folder: &str) {
    let scene = Scene::unpolled(Replay::of(folder));
    for recording in &scene.origin.healthy().recordings {
        // HEAD has an answer here although the programs have none: that of GET, without its body.
        if recording.method == "HEAD" {
            continue;
        }
        let name = &recording.name;
        let body = if recording.method == "POST" {
            &b"value=20&token=x"[..]
        } else {
            b""
        };
        let preflight = ("Access-Control-Request-Method", "GET");
        let fields = match name.as_str() {
            "options_preflight" => vec![BROWSER[0], preflight],
            "aggregates_with_origin" => vec![BROWSER[0]],
            _ => vec![],
        };
        // Failures block their key: only the first answer is the origin's own.
        for _ in 0..if recording.reply.status < 500 { 2 } else { 1 } {
            let reply =
                scene
                    .client()
                    .request(&recording.method, &target(recording), &fields, body);
            let said = recorded_like(&scene, recording);
            if is_no_reading(recording) && reply.status == 503 {
                expect_nothing(name, &reply);
                continue;
            }
            assert_eq!(reply.status, said.status, "{name}: {reply:?}");
            assert!(reply.body == said.body, "{name}: another body: {reply:?}");
        }
    }
}

/// No answer where a reading is expected: a Check may refuse it. (`/aggregates?x=1` is covered by the route `/aggregates`.)
fn is_no_reading(recording: &Recording) -> bool {
    let empty =
        recording.reply.status == 200 && matches!(&recording.reply.body[..], b"" | b"Not Found");
    empty
        && ["/api/", "/aggregates?"]
            .iter()
            .any(|start| recording.target.starts_with(start))
}

/// The recording that the replaying origin answers this request with: the first of its method and target.
fn recorded_like<'a>(scene: &'a Scene, recording: &'a Recording) -> &'a Reply {
    &scene
        .origin
        .healthy()
        .find(&recording.method, &recording.target)
        .unwrap_or(recording)
        .reply
}

#[test]
fn must_show_1_every_recorded_path_of_the_proxy() {
    every_recorded_path(PROXY.0);
}

#[test]
fn must_show_1_every_recorded_path_of_the_server() {
    every_recorded_path(SERVER.0);
}

/// Asks for every reading twice, the first time and the second with these fields.
fn every_reading(folder: &str, first: &[(&str, &str)], second: &[(&str, &str)]) {
    let scene = Scene::unpolled(Replay::of(folder));
    let readings = readings(&scene);
    assert!(readings.len() >= 18, "{}", readings.len());
    for target in readings {
        let fetched = scene.client().get_with(target, first);
        scene.expect_good(target, &fetched);
        let stored = scene.client().get_with(target, second);
        scene.expect_good(target, &stored);
        assert_eq!(stored.cache_status(), "HIT", "{target}: {stored:?}");
        for reply in [&fetched, &stored] {
            assert_eq!(reply.values("Set-Cookie").len(), 0, "{target}: {reply:?}");
            assert_eq!(
                reply.values("Access-Control-Allow-Origin"),
                ["*"],
                "{target}: {reply:?}"
            );
        }
    }
    for asked in scene.origin.asked() {
        let head = asked.head.to_ascii_lowercase();
        assert!(
            !head.contains("\r\ncookie:") && !head.contains("\r\norigin:"),
            "the origin saw who asked: {head}"
        );
    }
    assert!(scene.origin.connections_peak() <= 2);
}

#[test]
fn must_show_1_every_reading_of_the_proxy_is_stored() {
    every_reading(PROXY.0, &[], &[]);
    every_reading(PROXY.0, &BROWSER, &[]);
    every_reading(PROXY.0, &[], &BROWSER);
}

#[test]
fn must_show_1_every_reading_of_the_server_is_stored() {
    every_reading(SERVER.0, &[], &[]);
    every_reading(SERVER.0, &BROWSER, &[]);
    every_reading(SERVER.0, &[], &BROWSER);
}

#[test]
fn must_show_1_a_cookie_taken_off_reaches_no_origin() {
    let route = json!({ "preset": "api", "urlConfigs": [{ "path": "/soe", "cookies": "strip" }] });
    let scene = Scene::with(Replay::of(PROXY.0), route);
    scene.expect_good("/soe", &scene.client().get_with("/soe", &BROWSER));
    // What was fetched for one is everybody's: with a cookie it would be that one's own.
    scene
        .get("/soe")
        .expect("HIT", &String::from_utf8_lossy(scene.good_body("/soe")));
    let head = &scene.origin.asked()[0].head;
    assert!(!head.to_ascii_lowercase().contains("\r\ncookie:"), "{head}");
}

#[test]
fn must_show_1_cookies_of_a_page_are_its_readers_own() {
    for folder in [PROXY.0, SERVER.0] {
        let scene = Scene::unpolled(Replay::of(folder));
        for _ in 0..2 {
            let reply = scene.client().get_with("/", &[BROWSER[1]]);
            assert_eq!(
                (reply.status, reply.field("X-Cache")),
                (200, Some("MISS")),
                "{folder}: {reply:?}"
            );
            assert_eq!(reply.values("Set-Cookie").len(), 2, "{folder}: {reply:?}");
        }
        assert_eq!(
            scene.origin.count("/"),
            2,
            "{folder}: nobody gets another's page"
        );
    }
}

#[test]
fn must_show_1_a_redirection_leads_through_larder() {
    let scene = Scene::unpolled(Replay::of(SERVER.0));
    // The recorded server stood elsewhere; this one says its own address, as any does.
    let recorded = scene.origin.healthy().get("/api/gateways");
    let wire = String::from_utf8_lossy(&recorded.wire)
        .replace("http://127.0.0.1:8685", &scene.origin.url());
    let moved = Behaviour::Says(wire.into_bytes().into(), Duration::ZERO);
    scene.origin.set("/api/gateways", moved);

    let reply = scene.get("/api/gateways");

    assert_eq!(
        (reply.status, reply.field("Location")),
        (307, Some("/api/gateways/")),
        "{reply:?}"
    );
    scene.expect_good("/api/gateways/", &scene.get("/api/gateways/"));
}

/// Eight connections at once, an answer to each within Telegraf's four seconds.
fn burst(scene: &Scene) -> Vec<Reply> {
    let begun = Instant::now();
    let mut telegraf: Vec<Client> = TELEGRAF
        .iter()
        .map(|target| scene.leave_asking(target))
        .collect();
    let replies: Vec<Reply> = telegraf.iter_mut().map(Client::read).collect();
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    for (target, reply) in TELEGRAF.iter().zip(&replies) {
        scene.expect_good(target, reply);
    }
    replies
}

#[test]
fn must_show_1_telegrafs_burst_meets_no_error() {
    for folder in [PROXY.0, SERVER.0] {
        let scene = Scene::before(Replay::of(folder));
        burst(&scene);
        // Two minutes of it, every answer but the first from the store.
        for _ in 0..24 {
            scene.pass_seconds(5, 5);
            for reply in burst(&scene) {
                assert_eq!(reply.cache_status(), "HIT", "{reply:?}");
            }
        }
        assert!(
            scene.origin.connections_peak() <= 2,
            "{folder}: {}",
            scene.origin.connections_peak()
        );
    }
}

#[test]
fn must_show_1_thirty_pages_at_once_stay_within_the_cap() {
    let scene = Scene::unpolled(Replay::of(PROXY.0));
    let readings = readings(&scene);
    let mut pages: Vec<(&str, Client)> = (0..90)
        .map(|n| readings[n % readings.len()])
        .map(|target| (target, scene.leave_asking(target)))
        .collect();

    for (target, client) in &mut pages {
        scene.expect_good(target, &client.read());
    }

    assert!(
        scene.origin.connections_peak() <= 2,
        "{}",
        scene.origin.connections_peak()
    );
    for target in readings {
        assert_eq!(scene.origin.count(target), 1, "{target}");
    }
}

//! Must-show 3: homes where empty is the truth, and neighbours that fail.

use std::time::Duration;

use serde_json::Value;

use super::scene::age;
use super::{PROXY, READINGS, Scene};
use crate::support::{Behaviour, Client, Folder, Replay};

/// A home whose gateway has nothing to say on these, as it says nothing when it is gone.
fn without(targets: &[&str]) -> Replay {
    let origin = Replay::of(PROXY.0);
    let down = Folder::read(PROXY.1);
    for target in targets {
        origin.set_recorded(target, down.get(target));
    }
    origin
}

/// Every reading is 200 with what the origin says, then a hit. `/aggregates` comes first: by it the others are judged.
fn every_reading_is_served(origin: Replay) {
    let scene = Scene::before(origin);
    scene.warm(&["/aggregates"]);
    for target in READINGS {
        let direct = Client::connect(
            scene
                .origin
                .url()
                .trim_start_matches("http://")
                .parse()
                .unwrap(),
        )
        .get(target);
        let first = scene.get(target);
        assert_eq!(
            (first.status, &first.body),
            (200, &direct.body),
            "{target}: {first:?}"
        );
        let second = scene.get(target);
        assert_eq!(
            (second.cache_status(), &second.body),
            ("HIT", &direct.body),
            "{target}: {second:?}"
        );
    }
}

/// Firmware 23.44 tells neither vitals nor strings, and what is made from them is empty.
const UNTOLD: [&str; 7] = [
    "/vitals",
    "/strings",
    "/temps",
    "/temps/pw",
    "/alerts",
    "/alerts/pw",
    "/fans/pw",
];

#[test]
fn must_show_3_a_home_on_firmware_23_44() {
    every_reading_is_served(without(&UNTOLD));
}

#[test]
fn must_show_3_a_home_on_firmware_23_44_where_nobody_looks() {
    let scene = Scene::before(without(&UNTOLD));
    scene.warm(&["/aggregates", "/strings"]);
    // Ten minutes at the pace of nobody asking: `/aggregates` is seldom younger than two of its intervals then.
    scene.pass_seconds(600, 5);
    for target in [
        "/strings",
        "/temps/pw",
        "/alerts/pw",
        "/fans/pw",
        "/aggregates",
    ] {
        let reply = scene.get_at_once(target);
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
    }
}

/// No battery: no level, no pods, no version of a Powerwall. Only the meters tell that the home is there.
fn solar_only() -> Replay {
    let batteries = [
        "/soe",
        "/version",
        "/freq",
        "/pod",
        "/pw/level",
        "/api/system_status/soe",
    ];
    let origin = without(&[&UNTOLD[..], &batteries].concat());
    let say = |target: &str, body: &str| {
        let wire = origin.healthy().get(target).saying(body.as_bytes());
        origin.set(target, Behaviour::Says(wire, Duration::ZERO));
    };
    // The day's other readings are those of the recording: its battery's share comes from the sun no longer.
    for target in ["/aggregates", "/api/meters/aggregates"] {
        let mut meters: Value =
            serde_json::from_slice(&origin.healthy().get(target).reply.body).expect("JSON");
        meters["solar"]["instant_power"] = 3000.into();
        meters["battery"]["instant_power"] = 0.into();
        meters["battery"]["energy_exported"] = 0.into();
        meters["battery"]["energy_imported"] = 0.into();
        say(target, &meters.to_string());
    }
    say("/csv", "-2100.00,900.00,3000.00,0.00,0.00\n");
    say("/csv/v2", "-2100.00,900.00,3000.00,0.00,0.00,1,0\n");
    let head = "Grid,Home,Solar,Battery,BatteryLevel,GridStatus,Reserve\n";
    say(
        "/csv/v2?headers",
        &format!("{head}-2100.00,900.00,3000.00,0.00,0.00,1,0\n"),
    );
    say(
        "/json",
        r#"{"grid": -2100, "home": 900, "solar": 3000, "battery": 0, "soe": 0, "grid_status": 1}"#,
    );
    say(
        "/pw/power",
        r#"{"site": -2100, "solar": 3000, "battery": 0.0, "load": 900}"#,
    );
    origin
}

#[test]
fn must_show_3_a_solar_only_home() {
    every_reading_is_served(solar_only());
}

#[test]
fn must_show_3_a_solar_only_home_stays_answered() {
    let scene = Scene::before(solar_only());
    scene.warm(&["/aggregates", "/csv/v2"]);
    // Ten minutes of Telegraf: the empty answers stay answers.
    for _ in 0..120 {
        scene.pass_seconds(5, 5);
        for target in ["/aggregates", "/csv/v2", "/soe", "/pod"] {
            let reply = scene.get(target);
            assert_eq!(
                (reply.status, reply.cache_status()),
                (200, "HIT"),
                "{target}: {reply:?}"
            );
        }
    }
    // A level of 0 needs its cross-check: one request for each poll of the CSV, none for each who asks.
    let soe = scene.origin.count("/soe");
    let aggregates = scene.origin.count("/aggregates");
    assert!(
        soe <= 100 && aggregates <= 120 + 60 + 10,
        "{soe} {aggregates}"
    );
}

#[test]
fn must_show_3_what_was_told_once_is_missed_for_ten_minutes() {
    let scene = Scene::before(Replay::of(PROXY.0));
    scene.warm(&["/aggregates", "/strings"]);
    scene
        .origin
        .set_recorded("/strings", Folder::read(PROXY.1).get("/strings"));

    let mut second = 0;
    let mut advance = |to: u64| {
        while second < to {
            second += 5;
            scene.pass_seconds(5, 5);
            scene.expect_good("/aggregates", &scene.get("/aggregates"));
            let reply = scene.get("/strings");
            assert!(
                reply.status != 200 || reply.body.len() > 2 || second > 590,
                "second {second}: {reply:?}"
            );
        }
    };
    advance(580);
    assert_ne!(
        scene.get("/strings").status,
        200,
        "the last good answer ended long ago"
    );

    // No news any longer: this is what the home answers. A probe finds it out.
    advance(680);
    let reply = scene.get("/strings");
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (200, "{}"),
        "{reply:?}"
    );
}

#[test]
fn must_show_3_failing_neighbours_neither_delay_nor_spoil_aggregates() {
    let origin = Replay::of(PROXY.0);
    let broken = origin
        .healthy()
        .get("/help")
        .with_status("500 Internal Server Error");
    origin.set("/broken", Behaviour::Says(broken, Duration::ZERO));
    origin.set("/hanging", Behaviour::Hangs);
    let more = serde_json::json!({ "backend": { "firstByteTimeout": 1000 }, "cache": { "slowRequestTimeout": 300 } });
    let scene = Scene::with(origin, more);
    scene.warm(&["/aggregates"]);
    let before = scene.origin.count("/aggregates");

    let mut hanging = Vec::new();
    for second in 0..60 {
        scene.pass_seconds(1, 1);
        hanging.push(scene.leave_asking("/hanging"));
        assert_eq!(
            scene.get("/broken").status,
            500,
            "its status is kept, in backoff too"
        );
        // The program has nothing there; whether that passes for an answer is not the question.
        assert!(matches!(scene.get("/aggregates?x=1").status, 200 | 503));
        let reply = scene.get_at_once("/aggregates");
        scene.expect_good("/aggregates", &reply);
        assert!(
            reply.cache_status() == "HIT" && age(&reply) <= 12,
            "second {second}: {reply:?}"
        );
    }

    let polls = scene.origin.count("/aggregates") - before;
    assert!((10..=13).contains(&polls), "{polls} polls in a minute");
    assert!(
        scene.origin.count("/broken") <= 6,
        "in backoff it is not asked: {}",
        scene.origin.count("/broken")
    );
    assert!(
        scene.origin.count("/hanging") <= 6,
        "nor is what hangs: {}",
        scene.origin.count("/hanging")
    );
    for client in &mut hanging {
        assert!(client.read().status >= 500);
    }
}

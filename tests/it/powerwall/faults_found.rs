//! Faults that were found before the real programs, each named after its row; on recorded bodies where there are any.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::scene::expect_nothing;
use super::{PROXY, SERVER, Scene};
use crate::support::{Answer, App, Behaviour, Folder, Origin, Replay, Reply, home, home_for};

/// Members that tell something in any state of the gateways.
const ALWAYS_TOLD: [&str; 2] = ["timestamp", "num_gateways"];

/// Whether a document holds nothing but nulls and zeros.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(all) => all.iter().all(says_nothing),
        Value::Object(all) => all
            .iter()
            .all(|(name, value)| ALWAYS_TOLD.contains(&name.as_str()) || says_nothing(value)),
        Value::Bool(_) | Value::String(_) => false,
    }
}

/// The readings below `/api/` and `/pw/` that told something and tell nothing now.
fn emptied(up: &Folder, down: &Folder) -> Vec<String> {
    let is_empty = |body: &[u8]| {
        serde_json::from_slice::<Value>(body).is_ok_and(|document| says_nothing(&document))
    };
    let mut targets = Vec::new();
    for recording in &up.recordings {
        let target = recording.target.as_str();
        let is_reading = target.starts_with("/api/") || target.starts_with("/pw/");
        if recording.method != "GET" || !is_reading || is_empty(&recording.reply.body) {
            continue;
        }
        let after = down.find("GET", target).expect("recorded of both");
        if after.reply.status == 200 && is_empty(&after.reply.body) {
            targets.push(target.to_owned());
        }
    }
    targets
}

/// Every path answers as it was recorded with the gateways dead.
fn let_die(origin: &Replay, down: &Folder) {
    for recording in &down.recordings {
        if recording.method == "GET" {
            origin.set_recorded(&recording.target, recording);
        }
    }
}

fn says(origin: &Replay, target: &str, body: &str) {
    let wire = origin.healthy().get(target).saying(body.as_bytes());
    origin.set(target, Behaviour::Says(wire, Duration::ZERO));
}

fn no_false_zero(program: (&str, &str), expected: &[&str]) {
    let down = Folder::read(program.1);
    let scene = Scene::unpolled(Replay::of(program.0));
    let targets = emptied(scene.origin.healthy(), &down);
    for target in expected {
        assert!(targets.iter().any(|found| found == target), "{target}");
    }
    for target in &targets {
        scene.expect_good(target, &scene.get(target));
    }
    let_die(&scene.origin, &down);
    for seconds in [11, 34, 60, 120, 400, 120] {
        scene.pass_seconds(seconds, seconds as usize);
        for target in &targets {
            let reply = scene.get(target);
            let is_good = reply.status == 200 && reply.body == scene.good_body(target);
            if !is_good {
                expect_nothing(target, &reply);
            }
        }
    }
    for target in &targets {
        expect_nothing(target, &scene.get(target));
    }
}

#[test]
fn fault_e2_no_reading_of_the_proxy_is_a_false_zero() {
    let named = [
        "/api/sitemaster",
        "/api/site_info",
        "/api/networks",
        "/api/solar_powerwall",
        "/pw/site",
        "/pw/status",
        "/pw/grid_status",
        "/pw/din",
        "/pw/uptime",
        "/pw/level",
        "/pw/power",
    ];
    no_false_zero(PROXY, &named);
}

#[test]
fn fault_e2_no_reading_of_the_server_is_a_false_zero() {
    let named = [
        "/api/aggregate/",
        "/api/aggregate/power",
        "/api/aggregate/soe",
        "/api/aggregate/battery",
        "/api/aggregate/strings",
        "/api/aggregate/alerts",
        "/api/aggregate/vitals",
        "/api/gateways/home/vitals",
        "/api/gateways/home/strings",
        "/api/gateways/home/aggregates",
    ];
    no_false_zero(SERVER, &named);
}

#[test]
fn fault_e2_nor_after_a_start_in_the_outage() {
    for program in [PROXY, SERVER] {
        let down = Folder::read(program.1);
        let scene = Scene::unpolled(Replay::of(program.0));
        let targets = emptied(scene.origin.healthy(), &down);
        let_die(&scene.origin, &down);
        for target in &targets {
            expect_nothing(target, &scene.get(target));
        }
    }
}

#[test]
fn fault_e2_a_gateway_is_judged_by_its_own_meters() {
    let scene = Scene::unpolled(Replay::of(SERVER.0));
    let down = Folder::read(SERVER.1);
    let own = ["vitals", "strings", "aggregates"].map(|part| format!("/api/gateways/home/{part}"));
    for target in &own {
        scene.origin.set_recorded(target, down.get(target));
    }
    // The default gateway is well, this one is not.
    scene.warm(&["/aggregates"]);
    for target in &own {
        expect_nothing(target, &scene.get(target));
    }
    // It is well, and has neither vitals nor strings.
    scene.origin.unset(&own[2]);
    scene.pass_seconds(60, 60);
    scene.warm(&[&own[2]]);
    for target in &own[..2] {
        assert_eq!(scene.get(target).text(), "{}", "{target}");
    }
}

#[test]
fn fault_e2_a_battery_at_rest_is_believed_from_its_meters() {
    let scene = Scene::unpolled(Replay::of(SERVER.0));
    scene.warm(&["/battery", "/aggregates"]);
    says(&scene.origin, "/battery", r#"{"power":0}"#);
    scene.pass_seconds(60, 60);
    let reply = scene.get("/battery");
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (200, r#"{"power":0}"#)
    );
    // The same words from a gateway that is gone.
    scene
        .origin
        .set_recorded("/aggregates", Folder::read(SERVER.1).get("/aggregates"));
    scene.pass_seconds(120, 120);
    expect_nothing("/battery", &scene.get("/battery"));
}

#[test]
fn fault_e3_sums_of_the_other_gateways_are_good_without_the_first() {
    let scene = Scene::unpolled(Replay::of(SERVER.0));
    let down = Folder::read(SERVER.1);
    let sums = [
        (
            "/api/aggregate/power",
            r#"{"site":-2100.0,"battery":3000.0,"load":900.0,"solar":0.0,"grid":-2100.0,"timestamp":1795204766.7}"#,
        ),
        (
            "/api/aggregate/soe",
            r#"{"percentage":76.5,"raw_percentage":77.6,"num_gateways":1,"timestamp":1795204767.4}"#,
        ),
        (
            "/api/aggregate/battery",
            r#"{"total_capacity":0.0,"battery_percent":76.5,"battery_percent_raw":77.6,"battery_power":3000.0,"num_gateways":3,"num_online":1,"timestamp":1795204768.1}"#,
        ),
        (
            "/api/aggregate/",
            r#"{"total_battery_percent":76.5,"total_site_power":-2100.0,"num_gateways":3,"num_online":1,"gateways":{"cabin":{"online":true}}}"#,
        ),
        (
            "/api/aggregate/strings",
            r#"{"cabin":{"A":{"Current":1.74,"Connected":true}}}"#,
        ),
    ];
    for (target, _) in sums {
        scene.expect_good(target, &scene.get(target));
    }
    let_die(&scene.origin, &down);
    for (target, body) in sums {
        says(&scene.origin, target, body);
    }
    scene.pass_seconds(60, 60);
    assert_ne!(scene.get("/aggregates").status, 200, "the first is dead");
    for (target, body) in sums {
        let reply = scene.get(target);
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (200, body),
            "{target}"
        );
    }
    // An empty house of the others, confirmed by how many are there.
    says(
        &scene.origin,
        sums[0].0,
        r#"{"site":0.0,"battery":0.0,"load":0.0,"solar":0.0,"grid":0.0}"#,
    );
    says(
        &scene.origin,
        sums[2].0,
        r#"{"battery_percent":76.5,"battery_power":0.0,"num_gateways":3,"num_online":1}"#,
    );
    scene.pass_seconds(120, 120);
    assert_eq!(scene.get(sums[0].0).status, 200);
}

/// An origin whose bodies tell how often that path was asked for, and the reserve last set.
fn counting() -> Origin {
    let counts: Mutex<HashMap<String, u32>> = Mutex::default();
    let reserve = Arc::new(AtomicU32::new(20));
    Origin::answering(move |seen| {
        if seen.method == "POST" {
            reserve.fetch_add(1, Ordering::SeqCst);
            return Answer::ok(r#"{"reserve": "Set Successfully"}"#);
        }
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(seen.target.clone()).or_default();
        *count += 1;
        let reserve = reserve.load(Ordering::SeqCst);
        if seen.target.starts_with("/csv") {
            return Answer::ok(format!("-2100,900,6500,-3500,23.9,1,{reserve}\n"));
        }
        let site = r#""site": {"instant_power": 5}"#;
        Answer::ok(format!(
            r#"{{{site}, "soe": 23, "count": {count}, "reserve": {reserve}}}"#
        ))
    })
}

fn number(reply: &Reply, name: &str) -> u64 {
    let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
    document[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{reply:?}"))
}

#[test]
fn fault_e5_what_acts_or_tells_of_an_act_is_never_cached() {
    let origin = counting();
    let app = App::start(&home_for(&origin, json!({})));
    let targets = [
        "/stats/clear",
        "/health/reset",
        "/control/reserve",
        "/control/mode",
        "/control/status?x=1",
        "/_larder/origin/health",
        "/_larder/origin/health?verbose",
    ];
    for target in targets {
        for count in 1..=3 {
            let reply = app.client().get(target);
            assert_eq!(number(&reply, "count"), count, "{target}: {reply:?}");
            assert_ne!(reply.cache_status(), "HIT", "{target}: {reply:?}");
        }
    }
}

#[test]
fn fault_e5_a_command_drops_the_readings_of_what_it_sets() {
    let origin = counting();
    let app = App::start(&home_for(&origin, json!({})));
    let mut client = app.client();
    let readings = [
        "/json",
        "/json?x",
        "/pod",
        "/pw/get_reserve",
        "/pw/get_mode",
        "/api/operation",
    ];
    for target in readings {
        assert_eq!(number(&client.get(target), "reserve"), 20, "{target}");
    }
    let csv = |client: &mut crate::support::Client| client.get("/csv/v2").text();
    assert!(csv(&mut client).ends_with(",20\n"));
    assert_eq!(
        client
            .request("POST", "/control/reserve", &[], b"value=21")
            .status,
        200
    );
    for target in readings {
        let reply = client.get(target);
        assert_eq!(number(&reply, "reserve"), 21, "{target}: {reply:?}");
    }
    assert!(csv(&mut client).ends_with(",21\n"));
    // What tells nothing of the reserve stays.
    client.get("/soe");
    client.request("POST", "/control/reserve", &[], b"value=22");
    assert_eq!(client.get("/soe").cache_status(), "HIT");
}

#[test]
fn fault_e6_a_preflight_reaches_the_origin_with_its_origin() {
    let origin = Origin::answering(|seen| Answer::ok(seen.values("Origin").join("+")));
    let app = App::start(&home_for(&origin, json!({})));
    let fields = [
        ("Origin", "http://dashboard.test"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    for target in ["/aggregates", "/api/sitemaster", "/control/reserve"] {
        let reply = app.client().request("OPTIONS", target, &fields, b"");
        assert_eq!(reply.text(), "http://dashboard.test", "{target}: {reply:?}");
    }
    // A reading is everybody's: there nobody is named.
    let seen_before = origin.count("/pw/x");
    app.client().get_with("/pw/x", &fields[..1]);
    assert_eq!(origin.count("/pw/x"), seen_before + 1);
}

#[test]
fn fault_e7_one_good_answer_ends_the_waits_of_the_others() {
    let scene = Scene::before(Replay::of(PROXY.0));
    scene.warm(&["/aggregates", "/strings", "/vitals"]);
    let_die(&scene.origin, &Folder::read(PROXY.1));
    scene.pass_seconds(300, 5);
    for target in ["/aggregates", "/strings", "/vitals"] {
        expect_nothing(target, &scene.get(target));
    }
    for recording in &scene.origin.healthy().recordings {
        scene.origin.unset(&recording.target);
    }
    // The first of them that is asked again tells of all.
    let mut seconds = 0;
    while scene.get("/strings").status != 200 {
        scene.pass_seconds(1, 1);
        seconds += 1;
        assert!(seconds <= 31, "a return is noticed within 30 s");
    }
    scene.settle();
    for target in ["/aggregates", "/vitals"] {
        scene.expect_good(target, &scene.get(target));
    }
}

#[test]
fn fault_e9_a_level_that_was_never_told_is_not_null_while_a_battery_works() {
    let scene = Scene::unpolled(Replay::of(PROXY.0));
    let down = Folder::read(PROXY.1);
    scene.origin.set_recorded("/soe", down.get("/soe"));
    scene
        .origin
        .set_recorded("/api/system_status/soe", down.get("/soe"));
    for _ in 0..3 {
        scene.warm(&["/aggregates"]);
        for target in ["/soe", "/api/system_status/soe"] {
            expect_nothing(target, &scene.get(target));
        }
        scene.pass_seconds(90, 90);
    }
    scene.origin.unset("/soe");
    scene.pass_seconds(90, 90);
    scene.expect_good("/soe", &scene.get("/soe"));
}

#[test]
fn fault_e9_a_fallback_body_is_never_a_hit() {
    let origin = Replay::of(PROXY.0);
    let_die(&origin, &Folder::read(PROXY.1));
    let scene = Scene::with(
        origin,
        json!({ "urlConfigs": [{ "path": "/soe", "onExhausted": "null", "pollInterval": 3600 }] }),
    );
    for _ in 0..4 {
        let reply = scene.get("/soe");
        assert_eq!((reply.status, reply.text().as_str()), (200, "null"));
        assert_eq!(reply.cache_status(), "MISS", "{reply:?}");
        scene.pass_seconds(20, 20);
    }
}

#[test]
fn fault_e9_a_cold_start_before_a_house_that_often_says_null() {
    for seed in 1..=8 {
        let url = format!("sim://powerwall?null=0.7&seed={seed}");
        let app = App::start(&home(&url, json!({})));
        let mut was_good = false;
        for _ in 0..60 {
            let reply = app.client().get("/soe");
            let is_null = reply.text().trim() == "null";
            was_good |= reply.status == 200 && !is_null;
            assert!(was_good || !is_null, "seed {seed}: {reply:?}");
            app.skip_time(Duration::from_millis(700));
        }
    }
}

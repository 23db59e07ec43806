mod faults;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, StatusCode};
use serde_json::Value;

use super::pages::PAGES;
use super::simulation::Reaction;
use super::*;
use crate::clock::Now;
use crate::message::{Response, Target};

/// Recordings with the target that gives them again.
const RECORDED: [(&str, &str); 30] = [
    ("aggregates", "/aggregates"),
    ("api_meters_aggregates", "/api/meters/aggregates"),
    ("soe", "/soe"),
    ("api_system_status_soe", "/api/system_status/soe"),
    (
        "api_system_status_grid_status",
        "/api/system_status/grid_status",
    ),
    ("api_sitemaster", "/api/sitemaster"),
    ("api_powerwalls", "/api/powerwalls"),
    ("csv", "/csv"),
    ("csv_headers", "/csv?headers"),
    ("csv_unknown", "/csvxyz"),
    ("csv_v2", "/csv/v2"),
    ("csv_v2_headers", "/csv/v2?headers"),
    ("strings", "/strings"),
    ("vitals", "/vitals"),
    ("temps", "/temps"),
    ("temps_pw", "/temps/pw"),
    ("alerts", "/alerts"),
    ("alerts_pw", "/alerts/pw"),
    ("fans", "/fans"),
    ("fans_pw", "/fans/pw"),
    ("freq", "/freq"),
    ("pod", "/pod"),
    ("json", "/json"),
    ("pw_level", "/pw/level"),
    ("pw_power", "/pw/power"),
    ("version", "/version"),
    ("stats", "/stats"),
    ("api_site_info", "/api/site_info"),
    ("api_status", "/api/status"),
    (
        "api_troubleshooting_problems",
        "/api/troubleshooting/problems",
    ),
];

/// A simulation at some hour of 2026-11-20 (UTC), and its present moment.
struct Scene {
    simulation: Simulation,
    now: Now,
}

impl Scene {
    fn at_hour(hour: u64, query: &str) -> Scene {
        let wall = Duration::from_secs(1_795_132_800 + hour * 3_600);
        let now = Now {
            mono: Duration::from_secs(77),
            wall,
        };
        Scene {
            simulation: Simulation::new(SimSettings::parse(query).unwrap(), now),
            now,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = Now {
            mono: self.now.mono + time,
            wall: self.now.wall + time,
        };
    }

    fn ask(
        &mut self,
        method: Method,
        target: &str,
        body: Option<&'static str>,
    ) -> Result<Response, FetchError> {
        match self
            .simulation
            .answer(&request(method, target, body), self.now)
            .result?
        {
            Coming::Whole(response) => Ok(response),
            Coming::Slowly { .. } => panic!("{target} pauses"),
        }
    }

    fn response(&mut self, target: &str) -> Response {
        self.ask(Method::GET, target, None).unwrap()
    }

    fn text(&mut self, target: &str) -> String {
        let response = self.response(target);
        assert_eq!(response.status, StatusCode::OK, "{target}");
        String::from_utf8(response.body.to_vec()).unwrap()
    }

    fn json(&mut self, target: &str) -> Value {
        serde_json::from_str(&self.text(target)).unwrap()
    }

    fn set_reserve(&mut self, form: &'static str) -> StatusCode {
        self.ask(Method::POST, "/control/reserve", Some(form))
            .unwrap()
            .status
    }
}

fn request(method: Method, target: &str, body: Option<&'static str>) -> OriginRequest {
    OriginRequest {
        method,
        target: Target::parse(Bytes::copy_from_slice(target.as_bytes())).unwrap(),
        fields: HeaderMap::new(),
        body: body.map(Bytes::from),
        repeatable: body.is_none(),
        interim_sink: None,
    }
}

/// Head and body of a recording.
fn recorded(name: &str) -> (String, String) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings/proxy-t97-local");
    let whole = std::fs::read_to_string(path.join(format!("{name}.http"))).unwrap();
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A text with every number as `1`, every text as `"t"`, every truth as `true`; keys, order and spacing stay.
fn skeleton(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => 2 + rest[1..].find('"').unwrap(),
            '-' | '0'..='9' => rest
                .find(|c: char| !"+-.eE0123456789".contains(c))
                .unwrap_or(rest.len()),
            'a'..='z' | 'A'..='Z' => rest
                .find(|c: char| !c.is_alphanumeric())
                .unwrap_or(rest.len()),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        out.push_str(match (first, token) {
            ('"', _) if !after.starts_with(':') => "\"t\"",
            ('-' | '0'..='9', _) => "1",
            (_, "false") => "true",
            _ => token,
        });
        rest = after;
    }
    out
}

/// Everything but the part of `/stats` that depends on what was asked.
fn without_uris(skeleton: &str) -> String {
    let (before, after) = skeleton.split_once("\"uri\": {").unwrap();
    format!("{before}{}", after.split_once('}').unwrap().1)
}

fn keys(text: &str) -> BTreeSet<String> {
    serde_json::from_str::<serde_json::Map<String, Value>>(text)
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn every_recorded_path_has_its_recorded_keys_order_spacing_and_kinds_of_values() {
    let mut noon = Scene::at_hour(12, "");
    for (name, target) in RECORDED {
        let simulated = noon.text(target);
        let recorded = recorded(name).1;
        let ours = skeleton(&simulated);
        let theirs = skeleton(&recorded);
        match name {
            "alerts_pw" => assert_eq!(keys(&simulated), keys(&recorded)),
            "stats" => assert_eq!(without_uris(&ours), without_uris(&theirs)),
            // The recorded house had nothing to tell here; ours has.
            "pod" => assert_eq!(ours, theirs.replace("null", "1")),
            _ => assert_eq!(ours, theirs, "{name}"),
        }
    }
}

#[test]
fn every_recorded_path_has_its_recorded_fields() {
    let mut noon = Scene::at_hour(12, "");
    for (name, target) in RECORDED {
        let fields = noon.response(target).fields;
        let (head, _) = recorded(name);
        let theirs = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("Content-type: "))
            .unwrap();
        assert_eq!(fields[header::CONTENT_TYPE], theirs, "{name}");
        assert_eq!(fields[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{name}");
        assert!(
            !fields.contains_key(header::CACHE_CONTROL) && !fields.contains_key(header::SET_COOKIE),
            "{name}"
        );
    }
}

#[test]
fn what_is_not_there_is_answered_as_recorded() {
    let mut noon = Scene::at_hour(12, "");
    for (name, target) in [
        ("not_found", "/does-not-exist"),
        ("aggregates_query", "/aggregates?x=1"),
        ("api_not_allowed", "/api/does/not/exist"),
    ] {
        let (head, body) = recorded(name);
        let response = noon.response(target);
        assert_eq!(
            (response.status, &response.body[..]),
            (StatusCode::OK, body.as_bytes()),
            "{name}"
        );
        let count = |field: &str| head.matches(field).count();
        assert_eq!(
            response.fields.get_all(header::SET_COOKIE).iter().count(),
            count("Set-Cookie: "),
            "{name}"
        );
        assert!(
            response.fields[header::CACHE_CONTROL] == "no-cache, no-store"
                && count("no-cache, no-store") == 1
        );
        let kind = response.fields[header::CONTENT_TYPE].to_str().unwrap();
        assert_eq!(count(&format!("Content-type: {kind}")), 1, "{name}");
    }
}

#[test]
fn other_methods_are_answered_as_recorded() {
    let mut noon = Scene::at_hour(12, "");
    for method in [Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
        let response = noon.ask(method.clone(), "/aggregates", None).unwrap();
        assert_eq!(response.status, StatusCode::NOT_IMPLEMENTED);
        assert_eq!(response.body.is_empty(), method == Method::HEAD, "{method}");
    }
    let refused = noon.ask(Method::POST, "/aggregates", Some("x=1")).unwrap();
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.body, recorded("post_other").1);
}

#[test]
fn all_pages_of_one_moment_tell_the_same() {
    let mut scene = Scene::at_hour(0, "seed=9");
    for hour in 0..24 {
        scene.pass(Duration::from_secs(3_600));
        let meters = scene.json("/aggregates");
        let summary = scene.json("/json");
        let power = |name: &str| meters[name]["instant_power"].as_i64().unwrap();
        let site = power("site");
        let solar = power("solar");
        let battery = power("battery");
        let load = power("load");
        assert_eq!(load, site + solar + battery);
        let powers =
            ["grid", "solar", "battery", "home"].map(|name| summary[name].as_i64().unwrap());
        assert_eq!(powers, [site, solar, battery, load]);

        let level = scene.json("/soe")["percentage"].as_f64().unwrap();
        assert_eq!(
            (
                summary["soe"].as_f64(),
                scene.json("/pw/level")["level"].as_f64()
            ),
            (Some(level), Some(level))
        );
        let row = format!("{site}.00,{load}.00,{solar}.00,{battery}.00,{level:.2}");
        assert_eq!(scene.text("/csv"), format!("{row}\n"));
        assert_eq!(
            scene.text("/csv/v2"),
            format!("{row},1,20\n"),
            "hour {hour}"
        );
        let owners = scene.json("/api/system_status/soe")["percentage"]
            .as_f64()
            .unwrap();
        assert!((owners * 0.95 + 5.0 - level).abs() < 1e-9);
        let remaining = summary["energy_remaining"].as_f64().unwrap();
        assert!((remaining / 270.0 - level).abs() < 1e-9);

        let strings = scene.json("/strings");
        let of_strings: f64 = strings
            .as_object()
            .unwrap()
            .values()
            .map(|string| string["Power"].as_f64().unwrap())
            .sum();
        assert_eq!((of_strings, &strings), (solar as f64, &summary["strings"]));
        let frequencies = scene.json("/freq");
        let of_lines = ["A", "B"].map(|line| {
            frequencies[format!("METER_X_CT{line}_InstRealPower")]
                .as_f64()
                .unwrap()
        });
        assert_eq!(of_lines.iter().sum::<f64>(), site as f64);
    }
}

#[test]
fn posting_a_reserve_changes_it_wherever_it_is_told() {
    let mut night = Scene::at_hour(2, "");
    assert_eq!(night.json("/control/reserve")["reserve"], 20);
    assert_eq!(night.set_reserve("value=100&token=any"), StatusCode::OK);
    night.pass(Duration::from_secs(5));
    assert_eq!(night.json("/control/reserve")["reserve"], 100);
    assert_eq!(
        (
            &night.json("/json")["reserve"],
            &night.json("/json")["battery"]
        ),
        (&100.into(), &0.into())
    );
    assert_eq!(night.json("/pod")["backup_reserve_percent"], 100);
    assert_eq!(
        night.json("/api/operation")["backup_reserve_percent"],
        100.0
    );
    assert!(night.text("/csv/v2").ends_with(",100\n"));
}

#[test]
fn a_wrong_reserve_is_refused_and_changes_nothing() {
    let mut noon = Scene::at_hour(12, "");
    for form in [
        "",
        "value=",
        "value=101",
        "value=+5",
        "value=-5",
        "value=much",
        "reserve=50",
        "value=5%",
    ] {
        assert_eq!(noon.set_reserve(form), StatusCode::BAD_REQUEST, "{form}");
    }
    assert_eq!(
        noon.ask(Method::POST, "/control/nope", Some("value=5"))
            .unwrap()
            .status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(noon.json("/control/reserve")["reserve"], 20);
}

#[test]
fn the_help_page_lists_every_path_and_each_of_them_answers() {
    let mut noon = Scene::at_hour(12, "");
    let help = noon.text("/help");
    assert!(help.contains("simulator") && help == noon.text("/"));
    for entry in PAGES {
        assert!(
            help.contains(&format!("<li><a href=\"{0}\">{0}</a></li>", entry.path)),
            "{}",
            entry.path
        );
        let response = noon.response(entry.path);
        assert!(
            !response.body.is_empty() && !response.fields.contains_key(header::SET_COOKIE),
            "{}",
            entry.path
        );
    }
    assert_eq!(
        noon.json("/api/auth/toggle/supported")["toggle_auth_supported"],
        true
    );
}

#[test]
fn statistics_count_what_was_asked() {
    let mut noon = Scene::at_hour(12, "");
    noon.text("/soe");
    noon.text("/csv?headers");
    noon.text("/csvxyz");
    noon.set_reserve("value=30");
    noon.response("/not/there");
    noon.pass(Duration::from_secs(3_661));
    let statistics = noon.json("/stats");
    assert_eq!(statistics["uri"], serde_json::json!({"/soe": 1, "/csv": 2}));
    assert_eq!(
        (&statistics["gets"], &statistics["posts"]),
        (&3.into(), &1.into())
    );
    assert_eq!(statistics["uptime"], "1:01:01");
}

/// What becomes of 400 requests.
fn fates(query: &str) -> Vec<String> {
    let mut scene = Scene::at_hour(12, query);
    let mut fate = || match scene.ask(Method::GET, "/soe", None) {
        Ok(response) if response.body == "null" => format!("{} null", response.status.as_u16()),
        Ok(response) => response.status.as_u16().to_string(),
        Err(error) => format!("{error:?}"),
    };
    (0..400).map(|_| fate()).collect()
}

#[test]
fn faults_come_as_often_as_asked_for_and_the_same_for_the_same_seed() {
    let query = "fail=0.25&null=0.25&drop=0.25&hang=0.25&seed=4";
    let faulty = fates(query);
    for (fate, expected) in [
        ("FirstByteTimeout", 100),
        ("Truncated", 75),
        ("500", 56),
        ("200 null", 42),
        ("200", 127),
    ] {
        let count = faulty.iter().filter(|found| *found == fate).count();
        assert!(count.abs_diff(expected) < 30, "{fate}: {count}");
    }
    assert_eq!(fates(query), faulty);
    assert_ne!(
        fates("fail=0.25&null=0.25&drop=0.25&hang=0.25&seed=5"),
        faulty
    );
    let always = [
        ("fail=1", "500"),
        ("fail=1&status=503", "503"),
        ("null=1", "200 null"),
        ("drop=1", "Truncated"),
        ("refuse=1", "Connect"),
        ("", "200"),
    ];
    for (query, fate) in always {
        assert!(fates(query).iter().all(|found| found == fate), "{query}");
    }
}

#[test]
fn a_hanging_path_hangs_with_any_query_and_no_other_does() {
    let mut noon = Scene::at_hour(12, "hang=/strings");
    assert_eq!(
        noon.ask(Method::GET, "/strings", None).err(),
        Some(FetchError::FirstByteTimeout)
    );
    assert_eq!(
        noon.ask(Method::GET, "/strings?x", None).err(),
        Some(FetchError::FirstByteTimeout)
    );
    noon.text("/soe");
}

/// What becomes of the first request.
fn reaction(query: &str, limits: Limits, target: &str) -> Reaction {
    let settings = SimSettings {
        limits,
        ..SimSettings::parse(query).unwrap()
    };
    let now = Scene::at_hour(12, "").now;
    Simulation::new(settings, now).answer(&request(Method::GET, target, None), now)
}

#[test]
fn an_answer_takes_its_latency_and_none_takes_the_timeout() {
    let after = |query: &str, target: &str| {
        let limits = Limits {
            first_byte: Duration::from_secs(3),
            ..Limits::default()
        };
        let reaction = reaction(query, limits, target);
        (reaction.after, reaction.result.err())
    };
    let slow = Duration::from_millis(200);
    assert_eq!(after("latency=200ms", "/soe"), (slow, None));
    assert_eq!(
        after("latency=200ms&drop=1", "/soe"),
        (slow, Some(FetchError::Truncated))
    );
    let silence = (Duration::from_secs(3), Some(FetchError::FirstByteTimeout));
    assert_eq!(after("latency=3s", "/soe"), silence);
    assert_eq!(after("latency=1ms&hang=/soe", "/soe"), silence);
}

#[test]
fn the_same_seed_and_times_give_the_same_bytes_and_a_jump_of_wall_time_changes_nothing() {
    let [mut one, mut other] = [(); 2].map(|()| Scene::at_hour(12, "seed=3"));
    other.now.wall = Duration::ZERO;
    let mut elsewhere = Scene::at_hour(12, "seed=4");
    for entry in PAGES {
        assert_eq!(
            one.text(entry.path),
            other.text(entry.path),
            "{}",
            entry.path
        );
    }
    assert_ne!(one.text("/json"), elsewhere.text("/json"));
}

#[test]
fn workers_share_one_house_and_wait_for_its_silence() {
    let clock = Clock::new();
    let limits = Limits {
        first_byte: Duration::from_millis(1),
        ..Limits::default()
    };
    let settings = SimSettings {
        limits,
        ..SimSettings::parse("hang=/fans").unwrap()
    };
    let simulation = Arc::new(Mutex::new(Simulation::new(settings, clock.now())));
    let [mut one, mut other] =
        [(); 2].map(|()| SimOrigin::new(clock.clone(), Arc::clone(&simulation)));
    one.fetch(&request(Method::POST, "/control/reserve", Some("value=55")))
        .ok()
        .unwrap();
    match other.fetch(&request(Method::GET, "/control/reserve", None)) {
        Ok(Fetched::Whole(response)) => assert_eq!(response.body, r#"{"reserve": 55}"#),
        _ => panic!("no whole answer"),
    }
    let began = clock.now().mono;
    assert_eq!(
        other.fetch(&request(Method::GET, "/fans", None)).err(),
        Some(FetchError::FirstByteTimeout)
    );
    assert!(clock.now().mono - began >= Duration::from_millis(1));
}

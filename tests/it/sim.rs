//! `sim://powerwall` as its users meet it: the program, one command, no Powerwall; and outages rehearsed on demand.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{App, Client, Proc, Reply, Start, eventually, home};

/// What PYPOWERWALL §3 and §5 name; `/health` is Larder's own.
const PATHS: [&str; 20] = [
    "/aggregates",
    "/soe",
    "/strings",
    "/temps/pw",
    "/freq",
    "/pod",
    "/fans/pw",
    "/alerts/pw",
    "/csv/v2",
    "/api/meters/aggregates",
    "/api/system_status/soe",
    "/api/system_status/grid_status",
    "/api/sitemaster",
    "/api/powerwalls",
    "/api/troubleshooting/problems",
    "/api/auth/toggle/supported",
    "/version",
    "/stats",
    "/json",
    "/",
];

/// Where a body of zeros, nulls or words would be taken for a reading.
const READINGS: [&str; 9] = [
    "/aggregates",
    "/soe",
    "/strings",
    "/freq",
    "/pod",
    "/version",
    "/csv/v2",
    "/json",
    "/api/powerwalls",
];

/// The program before the simulated house, by one option of its command line.
pub fn simulating(query: &str) -> Proc {
    simulating_with(query, json!({ "proxy": { "bind": "127.0.0.1" } }))
}

pub fn simulating_with(query: &str, configuration: Value) -> Proc {
    let origin = format!("sim://powerwall{query}");
    Start::with(configuration)
        .arguments(&["--origin", &origin])
        .run()
}

#[track_caller]
fn json_of(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).expect("JSON")
}

#[track_caller]
fn number(document: &Value, pointer: &str) -> f64 {
    document
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number at {pointer}: {document}"))
}

/// Panics unless this is an error that says when to come back, and was not taken from the store.
#[track_caller]
pub fn expect_honest_error(reply: &Reply, status: u16) {
    assert_eq!(
        (reply.status, reply.field("X-Cache")),
        (status, Some("MISS")),
        "{reply:?}"
    );
    let seconds = reply
        .field("Retry-After")
        .and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{reply:?}");
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert!(body["error"].is_string(), "{reply:?}");
}

#[test]
fn sim_every_path_that_is_asked_for_answers_and_then_is_a_hit() {
    let proc = simulating("");
    let mut client = proc.client();
    for path in PATHS {
        let first = client.get(path);
        let second = client.get(path);

        assert_eq!(
            (first.status, second.status),
            (200, 200),
            "{path}: {first:?} {second:?}"
        );
        assert_eq!(
            (second.cache_status(), second.field("X-Cache")),
            ("HIT", Some("HIT")),
            "{path}: {second:?}"
        );
        assert!(second.field("Age").is_some(), "{path}: {second:?}");
        assert!(
            !matches!(&first.body[..], b"" | b"null"),
            "{path}: {first:?}"
        );
    }
}

#[test]
fn sim_its_page_says_what_it_is_and_every_link_on_it_leads_somewhere() {
    let proc = simulating("");
    let mut client = proc.client();

    let page = client.get("/");

    assert_eq!(
        (page.status, page.field("Content-Type")),
        (200, Some("text/html")),
        "{page:?}"
    );
    let text = page.text();
    assert!(
        text.contains("Larder's built-in simulator, not a house"),
        "{text}"
    );
    let links: HashSet<&str> = text
        .split("href=\"")
        .skip(1)
        .filter_map(|link| link.split_once('"'))
        .map(|(to, _)| to)
        .collect();
    for path in PATHS {
        assert!(links.contains(path), "no link to {path}: {text}");
    }
    for link in links {
        let reply = client.get(link);
        assert_eq!(
            (reply.status, reply.field("Server")),
            (200, Some("larder-sim")),
            "{link}: {reply:?}"
        );
        assert!(
            !matches!(&reply.body[..], b"" | b"Not Found"),
            "{link}: {reply:?}"
        );
    }
}

#[test]
fn sim_what_the_house_uses_is_what_grid_sun_and_battery_give() {
    let proc = simulating("");

    let meters = json_of(&proc.client().get("/aggregates"));

    let [site, solar, battery, load] = ["site", "solar", "battery", "load"]
        .map(|meter| number(&meters, &format!("/{meter}/instant_power")));
    assert_eq!(site + solar + battery, load, "{meters}");
    assert!(load > 0.0 && solar >= 0.0, "{meters}");
}

#[test]
fn sim_the_battery_is_as_full_on_every_path() {
    let proc = simulating("");
    let mut client = proc.client();

    let soe = number(&json_of(&client.get("/soe")), "/percentage");
    let summary = json_of(&client.get("/json"));
    let csv = client.get("/csv/v2").text();

    let columns: Vec<f64> = csv
        .trim_end()
        .split(',')
        .map(|column| column.parse().expect("a number"))
        .collect();
    let [grid, load, solar, battery, level, _, reserve] = columns[..] else {
        panic!("{csv}")
    };
    // The three were fetched within moments of each other, and a battery fills by 0.01 % a second at the most.
    for other in [number(&summary, "/soe"), level] {
        assert!((soe - other).abs() < 0.1, "{soe} and {other}");
    }
    assert_eq!(reserve, number(&summary, "/reserve"));
    assert_eq!(grid + solar + battery, load, "{csv}");
}

#[test]
fn e19_the_polled_paths_are_warm_before_anybody_asks() {
    let proc = simulating("");
    let entries = || number(&json_of(&proc.client().get("/health")), "/cache/entries");
    assert!(
        eventually(|| entries() >= 9.0),
        "nine polls, {} answers",
        entries()
    );

    let reply = proc.client().get("/aggregates");

    assert_eq!(
        (reply.status, reply.cache_status()),
        (200, "HIT"),
        "{reply:?}"
    );
}

#[test]
fn sim_a_reserve_that_is_set_is_kept_to_and_what_was_stored_of_it_is_gone() {
    let proc = simulating("");
    let mut client = proc.client();
    assert_eq!(
        number(&json_of(&client.get("/control/reserve")), "/reserve"),
        20.0
    );

    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let set = client.request("POST", "/control/reserve", &form, b"value=30&token=any");

    assert_eq!(set.cache_status(), "BYPASS", "{set:?}");
    assert_eq!(
        number(
            &json_of(&set),
            "/set_backup_reserve_percent/backup_reserve_percent"
        ),
        30.0
    );
    assert_eq!(
        number(&json_of(&client.get("/control/reserve")), "/reserve"),
        30.0
    );
    let refused = client.request("POST", "/control/reserve", &form, b"value=101");
    assert_eq!(
        (refused.status, refused.cache_status()),
        (400, "BYPASS"),
        "{refused:?}"
    );
}

#[test]
fn c24_a_house_that_never_had_a_good_answer_gives_no_false_one() {
    let proc = simulating("?null=1");
    let mut client = proc.client();
    for path in READINGS.iter().chain(&READINGS) {
        expect_honest_error(&client.get(path), 503);
    }
}

#[test]
fn c24_a_failing_house_is_an_error_that_says_when_to_come_back() {
    let faults = [
        ("?fail=1", 500),
        ("?fail=1&status=503&retry=40s", 503),
        ("?fail=1&status=429", 429),
        ("?drop=1", 502),
        ("?refuse=1", 502),
        ("?hang=1", 504),
        ("?latency=1s", 504),
    ];
    for (query, status) in faults {
        let more =
            json!({ "proxy": { "bind": "127.0.0.1" }, "backend": { "firstByteTimeout": 50 } });
        let proc = simulating_with(query, more);
        let mut client = proc.client();
        for path in ["/aggregates", "/csv", "/csv", "/stats"] {
            expect_honest_error(&client.get(path), status);
        }
    }
}

#[test]
fn c22_a_path_that_hangs_keeps_none_of_the_others_waiting() {
    let proc = simulating_with("?hang=/csv", json!({ "proxy": { "bind": "127.0.0.1" } }));
    let mut hanging = proc.client();
    hanging.send("GET /csv HTTP/1.1\r\nHost: larder.test\r\n\r\n");
    let begun = Instant::now();

    for path in PATHS {
        assert_eq!(proc.client().get(path).status, 200, "{path}");
    }

    // The hanging one waits for its 10 s.
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    expect_honest_error(&hanging.read(), 504);
}

#[test]
fn sim_latency_is_what_a_miss_takes_and_a_hit_does_not() {
    let proc = simulating("?latency=700ms");
    let mut client = proc.client();
    let mut timed = |path: &str| {
        let begun = Instant::now();
        (client.get(path).cache_status().to_owned(), begun.elapsed())
    };

    let miss = timed("/help");
    let hit = timed("/help");

    assert_eq!((miss.0.as_str(), hit.0.as_str()), ("MISS", "HIT"));
    assert!(miss.1 >= Duration::from_millis(700), "{miss:?}");
    assert!(hit.1 < Duration::from_millis(700), "{hit:?}");
}

/// Which of 40 requests fail. Without the preset nothing is polled, so they are the first 40.
fn failing(seed: u64) -> Vec<u16> {
    let configuration = json!({ "preset": "api", "proxy": { "bind": "127.0.0.1" } });
    let proc = simulating_with(&format!("?fail=0.5&seed={seed}"), configuration);
    let mut client = proc.client();
    (0..40)
        .map(|n| client.get(&format!("/csv?{n}")).status)
        .collect()
}

#[test]
fn sim_the_seed_decides_which_requests_fail() {
    let pattern = failing(7);

    assert_eq!(
        pattern.iter().copied().collect::<HashSet<_>>(),
        HashSet::from([200, 500]),
        "{pattern:?}"
    );
    assert_eq!(failing(7), pattern);
    assert_ne!(failing(8), pattern);
}

#[test]
fn r5_a_house_that_loses_half_its_answers_is_never_at_zero() {
    let app = App::start(&home("sim://powerwall?null=0.5&seed=5", json!({})));
    let mut client = app.client();
    let mut fresh = 0;
    let mut old = 0;
    for _ in 0..300 {
        for path in ["/aggregates", "/csv/v2", "/json", "/pw/level"] {
            let reply = ask_in_outage(&mut client, path);
            match reply.field("Cache-Status") {
                Some(told) if told.contains("detail=check-failed") => old += 1,
                _ => fresh += 1,
            }
        }
        app.skip_seconds(1);
    }
    assert!(
        fresh > 0 && old > 0,
        "{fresh} good ones, {old} that tell of the outage"
    );
}

/// Asks for a reading; panics unless it is one, and not too old, or an honest error.
#[track_caller]
fn ask_in_outage(client: &mut Client, path: &str) -> Reply {
    let reply = client.get(path);
    if reply.status != 200 {
        expect_honest_error(&reply, 503);
        return reply;
    }
    // The longest lifetime here, and graceTime.
    let age: u64 = reply
        .field("Age")
        .and_then(|age| age.parse().ok())
        .expect("an age");
    assert!(age <= 60 + 30, "{path}: {reply:?}");
    let level = match path {
        "/aggregates" => number(&json_of(&reply), "/load/instant_power"),
        "/json" => number(&json_of(&reply), "/soe"),
        "/pw/level" => number(&json_of(&reply), "/level"),
        _ => reply
            .text()
            .split(',')
            .nth(4)
            .and_then(|level| level.parse().ok())
            .expect("a level"),
    };
    assert!(level > 0.0, "{path}: {reply:?}");
    reply
}

/// What the program says, and its exit code, where it must not start.
fn refusal(origin: &str) -> (Option<i32>, String) {
    let name = format!("larder-sim-{}.json", std::process::id());
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(
        &file,
        json!({ "proxy": { "bind": "127.0.0.1" } }).to_string(),
    )
    .expect("a configuration file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command
        .arg("--config")
        .arg(&file)
        .args(["--port", "0", "--origin", origin]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    if !eventually(|| child.try_wait().is_ok_and(|status| status.is_some())) {
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("its end");
    let _ = fs::remove_file(&file);
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn sim_a_wrong_parameter_ends_the_start_and_the_right_ones_are_told() {
    let wrong = [
        (
            "sim://powerwall?colour=red",
            "allowed are latency=200ms, seed=a whole number, down=30s..90s; fail, null, rubbish,",
        ),
        (
            "sim://powerwall?status=404",
            "status=404: expected 429, 500 or 503",
        ),
        (
            "sim://powerwall?down=90s..30s",
            "down=90s..30s: expected two times up to 1h, such as 30s..90s",
        ),
        (
            "sim://powerwall?fail=2",
            "fail=2: expected a number from 0 to 1",
        ),
        (
            "sim://powerwall?hang=strings",
            "expected a number from 0 to 1, or a path such as /strings",
        ),
        ("sim://powerwall?seed=1&seed=2", "seed is given twice"),
        (
            "sim://house",
            "Write sim://powerwall, with or without a query",
        ),
    ];
    for (origin, told) in wrong {
        let (code, said) = refusal(origin);
        assert!(
            code.is_some_and(|code| code != 0),
            "{origin}: {code:?} {said}"
        );
        assert!(said.contains(told), "{origin}: {said}");
        assert!(!said.contains("listening"), "{origin}: {said}");
    }
}

#[test]
fn sim_a_wrong_parameter_is_a_mistake_in_the_configuration_like_any_other() {
    let (code, said) = refusal("sim://powerwall?colour=red");
    assert_eq!(code, Some(2), "{said}");
    let parts = [
        "--origin",
        "sim://powerwall?colour=red",
        "allowed are latency=",
    ];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

#[test]
fn sim_the_first_log_line_names_the_preset_and_why() {
    let proc = simulating("");
    let log = proc.log();
    let first = log.lines().next().unwrap_or_default();
    assert!(
        first.contains("preset pypowerwall") && first.contains("sim://"),
        "{log}"
    );
}

#[test]
fn must_show_3_an_empty_answer_is_this_homes_where_nobody_polls_the_meters() {
    let polls = json!({ "urlConfigs": [{ "path": "/soe", "pollInterval": 30 }] });
    let app = App::start(&home("sim://powerwall", polls));
    let mut client = app.client();
    for _ in 0..40 {
        if client.get("/fans/pw").status == 200 {
            return;
        }
        app.skip_seconds(3);
    }
    panic!("a home without fans, its meters well, gets errors for two minutes");
}

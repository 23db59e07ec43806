//! Tests of what a home means by its answers, on recorded bodies of healthy gateways, dead ones and hung ones.

use std::path::Path;

use proptest::prelude::*;

use super::PlausibilityCheck::{Aggregates, CrossChecked, EmptyIsNews, Totals, Unlisted};
use super::reading::cross_check_agrees;
use super::*;
use crate::policy::judge::Verdict::{Bad, Good, NeedsCrossCheck};

const EVERY: Duration = Duration::from_secs(5);
/// The same program with its gateway up and down.
const PROGRAMS: [(&str, &str); 2] = [
    ("proxy-t97-local", "proxy-t97-gateway-down"),
    ("server-0.13.0-3gateways", "server-0.13.0-gateway-down"),
];
const EMPTY_IS_NEWS: [&str; 12] = [
    "vitals",
    "strings",
    "temps",
    "temps/pw",
    "pod",
    "freq",
    "fans",
    "fans/pw",
    "alerts",
    "alerts/pw",
    "version",
    "soe",
];
const CROSS_CHECKED: [&str; 7] = [
    "csv",
    "csv?headers",
    "csv/v2",
    "csv/v2?headers",
    "json",
    "pw/power",
    "pw/level",
];
const TOTALS: [&str; 3] = [
    "api/aggregate/battery",
    "api/aggregate/power",
    "api/aggregate/soe",
];
const SOLAR_ONLY: &[u8] = br#"{"site": {"instant_power": -1200}, "load": {"instant_power": 800},
    "solar": {"instant_power": 2000.5}, "battery": {"instant_power": 0}}"#;

fn needs(path: &'static str) -> Verdict {
    NeedsCrossCheck(path.into())
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Duration::from_secs(1000 + seconds),
        wall: Duration::ZERO,
    }
}

/// The recorded body of a path, if this program has the path.
fn recorded(folder: &str, path: &str) -> Option<Vec<u8>> {
    let name = path.replace(['/', '?'], "_");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/recordings")
        .join(folder);
    let wire = std::fs::read(fixtures.join(format!("{name}.http"))).ok()?;
    let end = wire
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    Some(wire[end + 4..].to_vec())
}

fn body(folder: &str, path: &str) -> Vec<u8> {
    recorded(folder, path).unwrap_or_else(|| panic!("no recording of {path} in {folder}"))
}

/// Every recorded path of a program, with its check; `/aggregates` first.
fn paths(folder: &str) -> Vec<(String, PlausibilityCheck, Vec<u8>)> {
    let checked = [("aggregates", Aggregates)]
        .into_iter()
        .chain(EMPTY_IS_NEWS.map(|path| (path, EmptyIsNews)))
        .chain(CROSS_CHECKED.map(|path| (path, CrossChecked)))
        .chain(TOTALS.map(|path| (path, Totals)));
    checked
        .filter_map(|(path, kind)| Some((format!("/{path}"), kind, recorded(folder, path)?)))
        .collect()
}

fn healthy(folder: &str) -> Plausibility {
    let mut home = Plausibility::new(EVERY);
    for (target, kind, body) in paths(folder) {
        assert_eq!(
            home.assess(&target, kind, &body, at(0)),
            Good,
            "{folder}{target}"
        );
    }
    home
}

#[test]
fn every_recorded_healthy_body_is_good() {
    for (up, _) in PROGRAMS {
        assert!(paths(up).len() >= 17, "{}", paths(up).len());
        assert_eq!(healthy(up).level_path(), "/soe");
    }
}

#[test]
fn every_recorded_outage_body_is_bad_or_fails_its_cross_check() {
    for (up, down) in PROGRAMS {
        for mut home in [healthy(up), Plausibility::new(EVERY)] {
            for (target, kind, bad) in paths(down) {
                // What both states answer alike is news only by the meters, which come first here.
                let cross_checks = [body(down, "soe"), body(down, "aggregates"), body(up, "soe")];
                match home.assess(&target, kind, &bad, at(1)) {
                    Bad(_) => {}
                    NeedsCrossCheck(_) if kind == EmptyIsNews => {
                        home.assess("/aggregates", Aggregates, &body(down, "aggregates"), at(1));
                        assert!(
                            matches!(home.assess(&target, kind, &bad, at(1)), Bad(_)),
                            "{down}{target}"
                        );
                    }
                    NeedsCrossCheck(_) => {
                        for cross_check in &cross_checks {
                            assert!(!cross_check_agrees(&bad, cross_check), "{down}{target}");
                        }
                    }
                    Good => panic!("{down}{target}: {}", String::from_utf8_lossy(&bad)),
                }
            }
        }
    }
}

/// One line of a TIMELINE file: seconds, path, size of the body, and as much of it as was kept.
fn moment(line: &str) -> (u64, &str, usize, String) {
    let mut columns = line.splitn(7, ',');
    let mut next = || columns.next().expect("seven columns");
    let seconds = next();
    let path = next();
    let _ = next();
    let _ = next();
    let size = next();
    let _ = next();
    let kept = next()
        .trim_matches('"')
        .replace("\"\"", "\"")
        .replace("\\n", "\n");
    (
        seconds.parse::<f64>().expect("seconds") as u64,
        path,
        size.parse().expect("a size"),
        kept,
    )
}

#[test]
fn no_second_of_a_recorded_outage_passes_for_health() {
    for ((up, down), how) in PROGRAMS
        .into_iter()
        .flat_map(|folders| [(folders, "refused"), (folders, "hung")])
    {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/recordings")
            .join(down);
        let timeline = std::fs::read_to_string(fixtures.join(format!("TIMELINE-{how}.csv")))
            .expect("a timeline");
        let moments: Vec<_> = timeline.lines().skip(1).map(moment).collect();
        let mut home = Plausibility::new(EVERY);
        let mut meters_well = true;
        let mut refused = 0;
        for (seconds, path, size, kept) in &moments {
            let Some((_, kind, well)) = paths(up).into_iter().find(|(target, ..)| target == path)
            else {
                continue;
            };
            // The meters are cut in the file, and sums carry the time: both are long only while there is something to say.
            let varies = kind == Aggregates || path.starts_with("/api/aggregate/");
            let is_well = *size == well.len() || (varies && *size > 100);
            let body = if *size == well.len() || kind == Aggregates && is_well {
                well
            } else {
                kept.clone().into_bytes()
            };
            meters_well = if kind == Aggregates {
                is_well
            } else {
                meters_well
            };
            let soe = moments
                .iter()
                .find(|(at, path, ..)| at == seconds && *path == "/soe")
                .map(|(.., kept)| kept);
            match home.assess(path, kind, &body, at(*seconds)) {
                Good => {
                    assert!(
                        is_well && (meters_well || matches!(kind, CrossChecked | Totals)),
                        "{down} {how} {seconds} {path}"
                    )
                }
                Bad(_) => assert!(!is_well || !meters_well, "{down} {how} {seconds} {path}"),
                NeedsCrossCheck(by) if by != "/soe" => {
                    assert!(!is_well || !meters_well, "{down} {how} {seconds} {path}")
                }
                NeedsCrossCheck(_) => assert!(
                    !cross_check_agrees(&body, soe.expect("a level").as_bytes()),
                    "{seconds} {path}"
                ),
            }
            refused += usize::from(!is_well);
        }
        assert!(refused > 20, "{down} {how}: {refused}");
    }
}

#[test]
fn the_stale_power_of_an_outage_fails_its_cross_check() {
    // TIMELINE-refused.csv of the proxy, seconds 6 to 27; the server's level is null.
    let stale = [
        &b"-2100.00,900.00,6500.00,-3500.00,0.00\n"[..],
        b"-2100.00,900.00,6500.00,-3500.00,0.00,0,0\n",
        br#"{"grid": -2100, "home": 900, "solar": 6500, "battery": -3500, "soe": 0, "grid_status": 0, "strings": {}}"#,
        br#"{"level": null}"#,
    ];
    for held in stale {
        assert_eq!(
            Plausibility::new(EVERY).assess("/x", CrossChecked, held, at(0)),
            needs("/soe")
        );
        for (folder, path) in [
            (PROGRAMS[0].0, "soe"),
            (PROGRAMS[0].0, "aggregates"),
            (PROGRAMS[0].1, "soe"),
        ] {
            assert!(
                !cross_check_agrees(held, &body(folder, path)),
                "{} {path}",
                String::from_utf8_lossy(held)
            );
        }
    }
}

#[test]
fn an_empty_answer_is_news_for_ten_minutes_after_another() {
    let mut home = Plausibility::new(EVERY);
    home.assess(
        "/strings",
        EmptyIsNews,
        &body("proxy-t97-local", "strings"),
        at(0),
    );
    for (seconds, expected) in [
        (0, Bad(CheckFailure::SuddenlyEmpty)),
        (599, Bad(CheckFailure::SuddenlyEmpty)),
        (600, Good),
    ] {
        home.assess("/aggregates", Aggregates, SOLAR_ONLY, at(seconds));
        assert_eq!(
            home.assess("/strings", EmptyIsNews, b"{}", at(seconds)),
            expected,
            "{seconds}"
        );
        assert_eq!(
            home.assess("/vitals", EmptyIsNews, b"null", at(seconds)),
            Good,
            "another path, {seconds}"
        );
    }
}

#[test]
fn an_empty_answer_is_news_while_the_meters_are_bad_and_waits_for_them_while_they_are_old() {
    let mut home = Plausibility::new(EVERY);
    let vitals = |home: &mut Plausibility, seconds| {
        home.assess("/vitals", EmptyIsNews, b"null", at(seconds))
    };
    let unknown = needs("/aggregates");
    assert_eq!(vitals(&mut home, 0), unknown, "not heard of yet");
    home.assess("/aggregates", Aggregates, SOLAR_ONLY, at(0));
    assert_eq!(
        (vitals(&mut home, 10), vitals(&mut home, 11)),
        (Good, unknown)
    );
    home.assess("/aggregates", Aggregates, b"null", at(12));
    assert_eq!(vitals(&mut home, 12), Bad(CheckFailure::SuddenlyEmpty));
    home.assess("/aggregates", Aggregates, SOLAR_ONLY, at(13));
    assert_eq!(vitals(&mut home, 13), Good);
}

#[test]
fn a_target_with_a_query_teaches_nothing() {
    let mut home = Plausibility::new(EVERY);
    home.assess("/aggregates", Aggregates, SOLAR_ONLY, at(0));
    assert_eq!(
        home.assess("/aggregates?x=1", Aggregates, b"", at(0)),
        Bad(CheckFailure::Empty)
    );
    assert_eq!(
        home.assess("/soe?x", EmptyIsNews, b"{\"percentage\": 5}", at(0)),
        Good
    );
    assert_eq!(home.assess("/soe", EmptyIsNews, b"null", at(0)), Good);
    assert_eq!(home.level_path(), "/aggregates");
}

#[test]
fn homes_without_vitals_strings_or_battery_are_served() {
    let cases = [
        ("/vitals", EmptyIsNews, "null"),
        ("/strings", EmptyIsNews, "{}"),
        (
            "/pod",
            EmptyIsNews,
            r#"{"time_remaining_hours": null, "backup_reserve_percent": null}"#,
        ),
        (
            "/version",
            EmptyIsNews,
            r#"{"version": "SolarOnly", "vint": 0}"#,
        ),
        ("/soe", EmptyIsNews, "null"),
        ("/csv", CrossChecked, "-1200.00,800.00,2000.50,0.00,0.00\n"),
        (
            "/csv/v2?headers",
            CrossChecked,
            "Grid,Plausibility,Solar,Battery,BatteryLevel,GridStatus,Reserve\n-1200,800,2000.5,0,0,1,0\n",
        ),
        (
            "/json",
            CrossChecked,
            r#"{"grid": -1200, "home": 800, "solar": 2000.5, "battery": 0, "soe": null}"#,
        ),
        ("/pw/level", CrossChecked, r#"{"level": null}"#),
        (
            "/pw/power",
            CrossChecked,
            r#"{"site": -1200, "solar": 2000.5, "battery": 0, "load": 800}"#,
        ),
    ];
    for heard in [false, true] {
        for (target, kind, answer) in cases {
            let mut home = Plausibility::new(EVERY);
            if heard {
                home.assess("/aggregates", Aggregates, SOLAR_ONLY, at(0));
                home.assess("/alerts", EmptyIsNews, b"[\"GridCodesWrite\"]", at(0));
            }
            assert_eq!(home.level_path(), "/soe", "until it was asked");
            home.assess("/soe", EmptyIsNews, b"null", at(0));
            assert_eq!(home.level_path(), "/aggregates");
            let confirmed = match home.assess(target, kind, answer.as_bytes(), at(0)) {
                NeedsCrossCheck(_) => cross_check_agrees(answer.as_bytes(), SOLAR_ONLY),
                verdict => verdict == Good,
            };
            assert_eq!(confirmed, heard || kind == CrossChecked, "{target} {heard}");
        }
    }
}

#[test]
fn a_cross_check_agrees_below_one_per_cent() {
    let meters = |battery: i32| {
        let power = |power: i32| format!("{{\"instant_power\": {power}}}");
        let [site, load, solar, battery] = [1000, 3000, 2000, battery].map(power);
        format!(r#"{{"site": {site}, "load": {load}, "solar": {solar}, "battery": {battery}}}"#)
    };
    let soe = |level: &str| format!("{{\"percentage\": {level}}}");
    let cases = [
        ("0,0,0,0,0.00", soe("0.99"), true),
        ("0,0,0,0,0.00", soe("1"), false),
        ("0,0,0,0,", soe("0"), false),
        ("0,0,0,0,0", soe("null"), false),
        ("0,0,0,0,0", "null".to_owned(), false),
        ("0,0,0,0,0", "[[0]]".to_owned(), false),
        ("Grid,Plausibility\n0,0,0,0,0,1,20", soe("0"), true),
        (r#"{"soe": 0}"#, soe("0.5"), true),
        (r#"{"level": null}"#, soe("0"), false),
        (
            r#"{"site": 1, "solar": 0, "battery": 0, "load": 1}"#,
            soe("50"),
            true,
        ),
        (
            r#"{"site": 0, "solar": 0, "battery": 0, "load": 0}"#,
            soe("50"),
            false,
        ),
        ("1000,3000,2000,0,0", meters(0), true),
        ("1029,3000,2000,0,0", meters(0), true),
        ("1030,3000,2000,0,0", meters(0), false),
        ("1000,3000,2000,500,0", meters(500), false),
        ("0,0,0,0,0", meters(0), false),
        (
            r#"{"grid": null, "home": 3000, "solar": 2000, "battery": 0, "soe": 0}"#,
            meters(0),
            false,
        ),
        (r#"{"level": 0}"#, meters(0), true),
        (r#"{"level": 0}"#, meters(-500), false),
        (r#"{"level": 0}"#, r#"{"site": null}"#.to_owned(), false),
        (
            r#"{"site": 1000, "solar": 2000, "battery": 500, "load": 3000}"#,
            meters(500),
            true,
        ),
        ("{}", meters(0), false),
    ];
    for (held, cross_check, expected) in cases {
        assert_eq!(
            cross_check_agrees(held.as_bytes(), cross_check.as_bytes()),
            expected,
            "{held} by {cross_check}"
        );
    }
}

#[test]
fn sums_are_judged_by_how_many_gateways_they_are_of() {
    let battery = |online: u32, percent: f64, power: f64| {
        format!(
            r#"{{"battery_percent": {percent}, "battery_power": {power}, "num_gateways": 3, "num_online": {online}}}"#
        )
    };
    let zero_power = r#"{"site": 0.0, "battery": 0.0, "load": 0.0, "solar": 0.0}"#;
    let zero_level = r#"{"percentage": 0.0, "raw_percentage": 0.0, "num_gateways": 0}"#;
    let mut home = healthy("server-0.13.0-3gateways");
    // The default gateway is gone: that says nothing of the others.
    home.assess("/aggregates", Aggregates, b"{}", at(1));
    home.assess("/soe", EmptyIsNews, b"null", at(1));
    let assess = |home: &mut Plausibility, text: &str| {
        home.assess("/api/aggregate/power", Totals, text.as_bytes(), at(1))
    };
    let by_the_battery = needs("/api/aggregate/battery");
    assert_eq!(assess(&mut home, &battery(1, 0.0, 0.0)), Good);
    assert_eq!(
        assess(&mut home, &battery(0, 50.0, 1.0)),
        Bad(CheckFailure::NoSource)
    );
    assert_eq!(assess(&mut home, r#"{"site": 1.0, "battery": 0.0}"#), Good);
    assert_eq!(assess(&mut home, zero_power), by_the_battery);
    let cases = [
        (zero_power, battery(1, 50.0, 0.4), true),
        (zero_power, battery(1, 50.0, 500.0), false),
        (zero_power, battery(0, 0.0, 0.0), false),
        (zero_level, battery(2, 0.4, 700.0), true),
        (zero_level, battery(2, 9.0, 0.0), false),
        (zero_level, battery(0, 0.0, 0.0), false),
    ];
    for (held, answer, expected) in cases {
        let path = "/api/aggregate/soe";
        let asked = "/api/aggregate/battery";
        assert_eq!(
            home.assess(path, Totals, held.as_bytes(), at(1)),
            needs(asked)
        );
        let verdict = home.reassess(
            path,
            Totals,
            held.as_bytes(),
            (asked, Some(answer.as_bytes())),
            at(1),
        );
        assert_eq!(verdict == Good, expected, "{held} by {answer}");
        let unheard = home.reassess(path, Totals, held.as_bytes(), (asked, None), at(1));
        assert_eq!(unheard, Bad(CheckFailure::Unconfirmed));
    }
}

#[test]
fn a_path_is_judged_by_the_meters_of_its_own_gateway() {
    let mut home = Plausibility::new(EVERY);
    home.assess("/aggregates", Aggregates, SOLAR_ONLY, at(0));
    let own = "/api/gateways/cabin/aggregates";
    let vitals = "/api/gateways/cabin/vitals";
    let empty = |home: &mut Plausibility| home.assess(vitals, Unlisted, b"{}", at(0));
    assert_eq!(empty(&mut home), needs(own));
    assert!(matches!(home.assess(own, Unlisted, b"{}", at(0)), Bad(_)));
    assert_eq!(empty(&mut home), Bad(CheckFailure::SuddenlyEmpty));
    assert_eq!(home.assess(own, Unlisted, SOLAR_ONLY, at(0)), Good);
    assert_eq!(empty(&mut home), Good);
    let others = [
        ("/api/gateways/", Source::Default),
        ("/api/gateways/x", Source::Default),
        ("/api/gatewaysx/y/z", Source::Default),
        ("/api/gateways//z", Source::Default),
        ("/api/gateways/x/", Source::Default),
        ("/api/gateways/x/y/z", Source::Gateway("x")),
        ("/api/aggregate", Source::All),
        ("/api/aggregate/x", Source::All),
        ("/api/aggregates", Source::Default),
    ];
    for (path, source) in others {
        assert_eq!(Source::of(path), source, "{path}");
    }
}

#[test]
fn zeros_are_confirmed_by_the_meters_where_there_was_more() {
    let mut home = healthy("server-0.13.0-3gateways");
    let zero = br#"{"power": 0}"#;
    assert_eq!(
        home.assess("/battery", EmptyIsNews, zero, at(1)),
        Good,
        "it never said more"
    );
    home.assess("/battery", EmptyIsNews, br#"{"power": -3500}"#, at(1));
    assert_eq!(
        home.assess("/battery", EmptyIsNews, zero, at(2)),
        needs("/aggregates")
    );
    let confirm = |home: &mut Plausibility, meters: &[u8]| {
        home.assess("/aggregates", Aggregates, meters, at(2));
        home.reassess(
            "/battery",
            EmptyIsNews,
            zero,
            ("/aggregates", Some(meters)),
            at(2),
        )
    };
    assert_eq!(confirm(&mut home, SOLAR_ONLY), Good);
    assert_eq!(confirm(&mut home, b"{}"), Bad(CheckFailure::Unconfirmed));
}

#[test]
fn where_a_battery_works_there_is_a_level() {
    let metered =
        |battery: &str| format!(r#"{{"site": {{"instant_power": 1}}, "battery": {battery}}}"#);
    let cases = [
        ("null", true),
        ("{}", true),
        (r#"{"instant_power": 0, "energy_exported": 0}"#, true),
        (r#"{"instant_power": -5}"#, false),
        (r#"{"instant_power": 0, "energy_imported": 7}"#, false),
    ];
    for (battery, expected) in cases {
        let mut home = Plausibility::new(EVERY);
        home.assess(
            "/aggregates",
            Aggregates,
            metered(battery).as_bytes(),
            at(0),
        );
        for path in ["/soe", "/api/system_status/soe"] {
            let verdict = home.assess(path, EmptyIsNews, b"null", at(0));
            assert_eq!(verdict == Good, expected, "{path} {battery}");
        }
        assert_eq!(home.assess("/vitals", EmptyIsNews, b"null", at(0)), Good);
    }
}

#[test]
fn anything_may_be_on_an_unlisted_path_until_it_is_gone() {
    let mut home = Plausibility::new(EVERY);
    home.assess("/aggregates", Aggregates, SOLAR_ONLY, at(0));
    for text in ["<html>", "a,b", "{\"a\": 1}", "\u{e4}"] {
        assert_eq!(
            home.assess("/api/x", Unlisted, text.as_bytes(), at(0)),
            Good,
            "{text}"
        );
    }
    for text in ["", "Not Found", "null", "{}"] {
        let verdict = home.assess("/api/x", Unlisted, text.as_bytes(), at(1));
        assert_eq!(verdict, Bad(CheckFailure::SuddenlyEmpty), "{text}");
        assert_eq!(
            home.assess("/api/y", Unlisted, text.as_bytes(), at(1)),
            Good,
            "{text}"
        );
    }
}

#[test]
fn what_is_no_answer_on_any_path() {
    let mut home = healthy("proxy-t97-local");
    for kind in [Aggregates, EmptyIsNews, CrossChecked, Totals] {
        for text in ["", " \r\n", "Not Found", "TIMEOUT!\n", "ERROR!", "<html>"] {
            assert!(
                matches!(home.assess("/x", kind, text.as_bytes(), at(0)), Bad(_)),
                "{kind:?} {text:?}"
            );
        }
    }
    for meters in [
        "null",
        "{}",
        "[[1]]",
        r#"{"site": {"instant_power": null}}"#,
        r#"{"site": {"instant_power": "1"}}"#,
    ] {
        assert!(
            matches!(
                home.assess("/aggregates", Aggregates, meters.as_bytes(), at(0)),
                Bad(_)
            ),
            "{meters}"
        );
    }
    for csv in [
        "1,2,3,4",
        "a,b,c,d,e",
        "1,2,3,4,nan",
        "Grid,Plausibility\n",
        "1,2,3,4,5\n1,2,3,4,5",
        "null",
        "[]",
        "{}",
    ] {
        assert_eq!(
            home.assess("/csv", CrossChecked, csv.as_bytes(), at(0)),
            Bad(CheckFailure::NoReadings),
            "{csv}"
        );
    }
}

#[test]
fn what_counts_as_empty() {
    let mut home = Plausibility::new(EVERY);
    let empty = [
        "null",
        "{}",
        "[]",
        "\"\"",
        "[null, {}]",
        "0",
        "[0]",
        r#"{"power": 0.0, "more": {"a": null}}"#,
        r#"{"a": null, "b": {"c": null, "d": []}}"#,
        r#"{"version": "SolarOnly", "vint": 0}"#,
        r#"{"grid_status": "Unknown", "grid_services_active": null}"#,
        r#"{"din": null, "version": "Unknown", "is_new": false}"#,
    ];
    let full = [
        "1",
        "false",
        "[0, 1]",
        "\"x\"",
        r#"{"a": {"b": {"c": 1}}}"#,
        r#"{"grid_status": null, "f": 60.0}"#,
        r#"{"note": "Unknown"}"#,
        r#"{"a": {"version": "Unknown"}}"#,
        r#"{"a": 18446744073709551616}"#,
    ];
    for text in empty {
        let verdict = home.assess("/x", EmptyIsNews, text.as_bytes(), at(0));
        assert_eq!(verdict, needs("/aggregates"), "{text}");
    }
    for text in full {
        assert_eq!(
            home.assess("/x", EmptyIsNews, text.as_bytes(), at(0)),
            Good,
            "{text}"
        );
    }
}

#[test]
fn what_is_remembered_is_bounded_and_the_longest_silent_path_goes_first() {
    let mut home = Plausibility::new(EVERY);
    home.assess("/aggregates", Aggregates, SOLAR_ONLY, at(200));
    for path in 0..100 {
        home.assess("/strings", EmptyIsNews, b"[1]", at(path));
        home.assess(&format!("/{path}"), EmptyIsNews, b"[1]", at(path));
    }
    assert_eq!(home.spoken.len(), PATHS);
    assert_eq!(
        home.assess("/strings", EmptyIsNews, b"[]", at(200)),
        Bad(CheckFailure::SuddenlyEmpty)
    );
    assert_eq!(
        home.assess("/99", EmptyIsNews, b"[]", at(200)),
        Bad(CheckFailure::SuddenlyEmpty)
    );
    assert_eq!(
        home.assess("/0", EmptyIsNews, b"[]", at(200)),
        Good,
        "forgotten"
    );
}

#[test]
fn depth_and_size_cost_nothing() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let wide = format!("{{\"a\": {deep}}}");
    let mut home = Plausibility::new(EVERY);
    for kind in [EmptyIsNews, Unlisted, CrossChecked, Totals, Aggregates] {
        for text in [deep.as_str(), wide.as_str(), &wide[..WHOLE_UP_TO / 2]] {
            home.assess("/x", kind, text.as_bytes(), at(0));
        }
    }
    let large = format!("{{{}", " ".repeat(WHOLE_UP_TO));
    assert_eq!(
        home.assess("/vitals", EmptyIsNews, large.as_bytes(), at(0)),
        Good,
        "judged by its first byte"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(held in proptest::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}:,\"a0nul.e -]{0,40}") {
        for kind in [Aggregates, EmptyIsNews, Unlisted, CrossChecked, Totals] {
            Plausibility::new(EVERY).assess("/x", kind, &held, at(0));
            Plausibility::new(EVERY).assess("/x", kind, text.as_bytes(), at(0));
        }
        cross_check_agrees(&held, text.as_bytes());
        cross_check_agrees(text.as_bytes(), &held);
    }
}

//! Rows H: what every reply says about the cache.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::{Answer, App, Origin, Reply, config_for};

fn app() -> (Origin, App) {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let app = App::start(&config_for(&origin, json!({})));
    (origin, app)
}

#[test]
fn h1_x_cache_status_tells_miss_and_hit() {
    let (_origin, app) = app();
    app.client().get("/a").expect("MISS", "a");
    app.client().get("/a").expect("HIT", "a");
    assert_eq!(app.client().request("POST", "/a", &[], b"x").cache_status(), "BYPASS");
}

#[test]
fn h2_x_cache_timestamp_is_when_the_answer_was_fetched() {
    let (_origin, app) = app();
    let before = now();
    app.client().get("/a");
    let after = now();

    let first = app.client().get("/a");
    app.skip_seconds(30);
    let later = app.client().get("/a");

    let stamp = timestamp(&first, "X-Cache-Timestamp");
    assert!((before - 0.01..=after + 0.01).contains(&stamp), "{before} {stamp} {after}");
    assert_eq!(first.field("X-Cache-Timestamp"), later.field("X-Cache-Timestamp"));
}

#[test]
fn h4_expiry_is_told_in_seconds_and_as_a_time() {
    let (_origin, app) = app();
    app.client().get("/a");
    let first = app.client().get("/a");
    app.skip_seconds(30);
    let later = app.client().get("/a");

    let left = |reply: &Reply| -> f64 {
        reply.field("X-Cache-Expires-In").expect("the field").parse::<u32>().expect("whole seconds").into()
    };
    // 300 s, of which jitter may take 5 %; a second may pass between the two.
    assert!((280.0..=300.0).contains(&left(&first)), "{first:?}");
    assert!((29.0..=35.0).contains(&(left(&first) - left(&later))), "{first:?} {later:?}");
    let expires = timestamp(&first, "X-Cache-Expires-At");
    assert!((expires - (now() + left(&first))).abs() < 5.0, "{first:?}");
    let age = |reply: &Reply| reply.field("Age").and_then(|text| text.parse::<u32>().ok()).expect("an age");
    assert!(age(&first) <= 5 && (30..=35).contains(&age(&later)), "{first:?} {later:?}");
}

#[test]
fn h5_x_cache_is_hit_only_if_the_origin_was_not_asked() {
    let (_origin, app) = app();
    assert_eq!(app.client().get("/a").field("X-Cache"), Some("MISS"));
    assert_eq!(app.client().get("/a").field("X-Cache"), Some("HIT"));
    assert_eq!(app.client().request("POST", "/a", &[], b"x").field("X-Cache"), Some("MISS"));
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Reads `2026-11-20T19:49:11.123Z`, and nothing else, as seconds since 1970.
#[track_caller]
fn timestamp(reply: &Reply, name: &str) -> f64 {
    let text = reply.field(name).expect("the field");
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
    let number = |from: usize, to: usize| -> u32 { text[from..to].parse().unwrap() };
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: u32 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years + lengths.iter().take(month as usize - 1).sum::<u32>() + day - 1;
    let seconds = number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19);
    f64::from(days) * 86400.0 + f64::from(seconds) + f64::from(number(20, 23)) / 1000.0
}

//! Rows H: what every reply says about the cache.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Answer, App, Origin, Proc, Reply, config_for, eventually};

/// Fields of a request, name and value.
type Fields = &'static [(&'static str, &'static str)];

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
    assert_eq!(
        app.client().request("POST", "/a", &[], b"x").cache_status(),
        "BYPASS"
    );
}

#[test]
fn h1_our_own_errors_tell_why_what_is_stored_is_no_answer() {
    const KIND: (&str, &str) = ("X-Kind", "one");
    const ONLY: (&str, &str) = ("Cache-Control", "only-if-cached");
    let answer = || {
        Answer::ok("a")
            .field("Cache-Control", "max-age=10, must-revalidate")
            .field("Vary", "X-Kind")
    };
    let mut origin = Origin::serving([("/a", answer())]);
    let limit = json!({ "urlConfigs": [{ "path": "/limited", "rateLimit": { "perMinute": 1 } }] });
    let app = App::start(&config_for(&origin, limit));
    let mut client = app.client();
    client.get_with("/a", &[KIND]).expect("MISS", "a");
    app.skip_seconds(20);
    origin.stop();
    let cases: [(&str, &str, Fields, u16, &str); 10] = [
        (
            "GET",
            "/b",
            &[],
            502,
            "larder; fwd=uri-miss; detail=refused",
        ),
        (
            "GET",
            "/a",
            &[KIND],
            502,
            "larder; fwd=stale; detail=refused",
        ),
        (
            "GET",
            "/a",
            &[("X-Kind", "two")],
            502,
            "larder; fwd=vary-miss; detail=refused",
        ),
        (
            "HEAD",
            "/a",
            &[KIND],
            502,
            "larder; fwd=stale; detail=refused",
        ),
        (
            "POST",
            "/a",
            &[KIND],
            502,
            "larder; fwd=method; detail=refused",
        ),
        (
            "GET",
            "/a",
            &[KIND, ONLY],
            504,
            "larder; fwd=stale; detail=only-if-cached",
        ),
        (
            "GET",
            "/a",
            &[ONLY],
            504,
            "larder; fwd=vary-miss; detail=only-if-cached",
        ),
        (
            "GET",
            "/b",
            &[ONLY],
            504,
            "larder; fwd=uri-miss; detail=only-if-cached",
        ),
        (
            "POST",
            "/limited",
            &[],
            502,
            "larder; fwd=method; detail=refused",
        ),
        (
            "GET",
            "/limited",
            &[],
            429,
            "larder; fwd=uri-miss; detail=rate-limited",
        ),
    ];
    for (method, target, fields, status, told) in cases {
        let reply = client.request(method, target, fields, b"");
        assert_eq!(
            (reply.status, reply.field("Cache-Status")),
            (status, Some(told)),
            "{method} {target} {fields:?}"
        );
        assert_eq!(
            (reply.cache_status(), reply.field("X-Cache")),
            ("MISS", Some("MISS")),
            "{reply:?}"
        );
    }
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
    assert!(
        (before - 0.01..=after + 0.01).contains(&stamp),
        "{before} {stamp} {after}"
    );
    assert_eq!(
        first.field("X-Cache-Timestamp"),
        later.field("X-Cache-Timestamp")
    );
}

#[test]
fn h4_expiry_is_told_in_seconds_and_as_a_time() {
    let (_origin, app) = app();
    app.client().get("/a");
    let first = app.client().get("/a");
    app.skip_seconds(30);
    let later = app.client().get("/a");

    let left = |reply: &Reply| -> f64 {
        reply
            .field("X-Cache-Expires-In")
            .expect("the field")
            .parse::<u32>()
            .expect("whole seconds")
            .into()
    };
    // 300 s, of which jitter may take 5 %; a second may pass between the two.
    assert!((280.0..=300.0).contains(&left(&first)), "{first:?}");
    assert!(
        (29.0..=35.0).contains(&(left(&first) - left(&later))),
        "{first:?} {later:?}"
    );
    let expires = timestamp(&first, "X-Cache-Expires-At");
    assert!((expires - (now() + left(&first))).abs() < 5.0, "{first:?}");
    let age = |reply: &Reply| {
        reply
            .field("Age")
            .and_then(|text| text.parse::<u32>().ok())
            .expect("an age")
    };
    assert!(
        age(&first) <= 5 && (30..=35).contains(&age(&later)),
        "{first:?} {later:?}"
    );
}

#[test]
fn h5_x_cache_is_hit_only_if_the_origin_was_not_asked() {
    let (_origin, app) = app();
    assert_eq!(app.client().get("/a").field("X-Cache"), Some("MISS"));
    assert_eq!(app.client().get("/a").field("X-Cache"), Some("HIT"));
    assert_eq!(
        app.client()
            .request("POST", "/a", &[], b"x")
            .field("X-Cache"),
        Some("MISS")
    );
}

#[test]
fn h7_a_clients_own_request_id_is_kept() {
    let mut origin = Origin::serving([("/a", Answer::ok("a"))]);
    let proc = Proc::start(config_for(&origin, json!({ "log": { "level": "debug" } })));
    let longest = format!("aZ09-_.:/+={}", "x".repeat(53));
    let ask = |method: &str, target: &str, id: &str| {
        let reply = proc
            .client()
            .request(method, target, &[("x-request-ID", id)], b"");
        assert_eq!(reply.values("X-Request-Id"), [id], "{method} {target}");
        reply
    };

    ask("GET", "/a", "first").expect("MISS", "a");
    ask("GET", "/a", &longest).expect("HIT", "a");
    ask("GET", "/health", "third");
    assert_eq!(id_in(&ask("GET", "/_larder/nothing", "fourth")), "fourth");
    let shared = origin.last("/a").values("X-Request-Id");
    assert!(
        shared.len() == 1 && shared[0].starts_with("larder-"),
        "the one request is for everybody: {shared:?}"
    );
    ask("POST", "/a", "fifth");
    assert_eq!(origin.last("/a").values("X-Request-Id"), ["fifth"]);
    origin.stop();
    assert_eq!(id_in(&ask("GET", "/b", "sixth")), "sixth");

    for id in ["first", &longest, "third", "fourth", "fifth", "sixth"] {
        assert!(
            eventually(|| proc
                .log()
                .lines()
                .any(|line| line.ends_with(&format!(" id={id}")))),
            "{id}"
        );
    }
}

#[test]
fn h7_an_odd_one_is_replaced() {
    let (_origin, app) = app();
    let too_long = "x".repeat(65);
    let odd = [
        "", &too_long, "a b", "a\"b", "a,b", "a;b", "a\\b", "<a>", "{a}", "a=%20", "ä", "a\tb",
    ];
    let lines = odd.iter().map(|id| vec![("X-Request-Id", *id)]);
    let several = [vec![("X-Request-Id", "a"), ("X-Request-Id", "b")], vec![]];
    let mut given = Vec::new();
    for fields in lines.chain(several) {
        let ids: Vec<String> = ["/a", "/health"]
            .map(|target| app.client().get_with(target, &fields))
            .iter()
            .flat_map(|reply| reply.values("X-Request-Id"))
            .map(str::to_owned)
            .collect();
        assert_eq!(ids.len(), 2, "{fields:?}");
        assert!(ids.iter().all(|id| is_our_id(id)), "{fields:?} {ids:?}");
        given.extend(ids);
    }
    let failed = app
        .client()
        .get_with("/_larder/nothing", &[("X-Request-Id", "\"},{\"")]);
    assert!(is_our_id(&id_in(&failed)), "{failed:?}");
    let told = given.len();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), told, "each request has an id of its own");
}

#[test]
fn with_store_set_cookie_a_cookie_is_everybodys_unless_the_route_refuses_it() {
    let cookie = || Answer::ok("a").field("Set-Cookie", "who=1");
    let origin = Origin::serving([("/a", cookie()), ("/b", cookie())]);
    let more = json!({ "cache": { "storeSetCookie": true }, "urlConfigs": [{ "path": "/b", "setCookie": "refuse" }] });
    let app = App::start(&config_for(&origin, more));
    for (target, then) in [("/a", "HIT"), ("/b", "MISS")] {
        app.client().get(target).expect("MISS", "a");
        let again = app.client().get(target);
        again.expect(then, "a");
        assert_eq!(again.values("Set-Cookie"), ["who=1"], "{target}");
    }
}

/// Eight hexadecimal digits, a dash, and more of them.
fn is_our_id(id: &str) -> bool {
    let hexadecimal = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    id.split_once('-')
        .is_some_and(|(mark, number)| mark.len() == 8 && hexadecimal(mark) && hexadecimal(number))
}

/// The id in the body of an error of ours.
#[track_caller]
fn id_in(reply: &Reply) -> String {
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    body["request_id"].as_str().expect("an id").to_owned()
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// Reads `2026-11-20T19:49:11.123Z`, and nothing else, as seconds since 1970.
#[track_caller]
fn timestamp(reply: &Reply, name: &str) -> f64 {
    let text = reply.field(name).expect("the field");
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
    let number = |from: usize, to: usize| -> u32 { text[from..to].parse().unwrap() };
    let year = number(0, 4);
    let month = number(5, 7);
    let day = number(8, 10);
    let leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let lengths = [
        31,
        if leap(year) { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let years: u32 = (1970..year)
        .map(|year| if leap(year) { 366 } else { 365 })
        .sum();
    let days = years + lengths.iter().take(month as usize - 1).sum::<u32>() + day - 1;
    let seconds = number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19);
    f64::from(days) * 86400.0 + f64::from(seconds) + f64::from(number(20, 23)) / 1000.0
}

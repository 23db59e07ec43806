//! The origin is spared: distance, quota, breaker, retries, Retry-After. Rows P7, R4, R11, C22, C23 and C32.

use serde_json::{Value, json};

use crate::support::{Answer, App, Client, Gate, Origin, Reply, config_for, eventually};

/// An origin that has everything.
fn willing() -> Origin {
    Origin::answering(|_| Answer::ok("fine"))
}

fn send(app: &App, method: &str, target: &str) -> Client {
    let mut client = app.client();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    client
}

fn health(app: &App) -> Value {
    serde_json::from_slice(&app.client().get("/health").body).expect("JSON")
}

fn breaker(app: &App) -> String {
    health(app)["upstreams"]["default"]["breaker"]
        .as_str()
        .expect("a word")
        .to_owned()
}

/// An error of ours, of this kind, that says when to come back: how many seconds from now.
#[track_caller]
fn told_to_wait(reply: &Reply, status: u16, error: &str) -> u64 {
    let body: Value =
        serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("not JSON: {reply:?}"));
    assert_eq!(
        (reply.status, body["error"].as_str()),
        (status, Some(error)),
        "{reply:?}"
    );
    reply
        .field("Retry-After")
        .and_then(|text| text.parse().ok())
        .expect("Retry-After")
}

#[test]
fn p7_requests_of_all_kinds_keep_their_distance() {
    let origin = willing();
    let more =
        json!({ "backend": { "minSpacingMs": "1h" }, "cache": { "slowRequestTimeout": "1d" } });
    let app = App::start(&config_for(&origin, more));
    app.client().get("/first").expect("MISS", "fine");

    let mut waiting = [send(&app, "POST", "/second"), send(&app, "GET", "/third")];
    assert!(eventually(|| app.parked() == 2));
    assert_eq!(origin.requests(), 1);
    for asked in 2..=3 {
        app.skip_seconds(3500);
        assert_eq!(
            (app.active(), origin.requests()),
            (0, asked - 1),
            "not before its turn"
        );
        app.skip_seconds(100);
        assert!(eventually(
            || origin.requests() == asked && app.parked() == 3 - asked
        ));
    }
    assert!(waiting.iter_mut().all(|client| client.read().status == 200));
}

#[test]
fn p7_who_waits_for_a_turn_waits_no_longer_than_for_a_slow_answer() {
    let origin = willing();
    let rules = json!({ "backend": { "minSpacingMs": "1h" },
        "urlConfigs": [{ "path": "/old", "cacheTTL": 10, "staleTime": 10, "slowGrace": "1h" }] });
    let app = App::start(&config_for(&origin, rules));
    app.client().get("/old").expect("MISS", "fine");
    app.skip_seconds(20);
    let mut old = send(&app, "GET", "/old");
    let mut new = send(&app, "GET", "/new");
    assert!(eventually(|| app.parked() == 2));
    app.skip_seconds(3);
    old.read().expect("HIT", "fine");
    told_to_wait(&new.read(), 503, "no_permit");
    assert_eq!(origin.requests(), 1);
}

#[test]
fn c23_an_exhausted_quota_is_a_stale_answer_or_503_and_never_a_request() {
    let origin = willing();
    let rules = json!({ "backend": { "quota": { "perMinute": 3 } },
        "urlConfigs": [{ "path": "/old", "cacheTTL": 10, "staleTime": 10, "slowGrace": "1h", "graceTime": 0 }] });
    let app = App::start(&config_for(&origin, rules));
    app.client().get("/old").expect("MISS", "fine");
    app.client().get("/a").expect("MISS", "fine");
    assert_eq!(app.client().request("POST", "/b", &[], b"").status, 200);
    app.skip_seconds(20);

    app.client().get("/old").expect("HIT", "fine");
    let wait = told_to_wait(&app.client().get("/c"), 503, "quota");
    assert!(told_to_wait(&app.client().request("POST", "/c", &[], b""), 503, "quota") <= wait);
    assert_eq!(origin.requests(), 3);

    app.skip_seconds(wait);
    app.client().get("/c").expect("MISS", "fine");
}

#[test]
fn c23_a_day_has_a_quota_of_its_own() {
    let origin = willing();
    let app = App::start(&config_for(
        &origin,
        json!({ "backend": { "quota": { "perDay": 2 } } }),
    ));
    app.client().get("/a").expect("MISS", "fine");
    app.skip_seconds(3600);
    app.client().get("/b").expect("MISS", "fine");
    app.skip_seconds(22 * 3600);
    let wait = told_to_wait(&app.client().get("/c"), 503, "quota");
    assert!((3590..=3600 + 24 * 60 + 1).contains(&wait), "{wait}");
    app.skip_seconds(wait);
    app.client().get("/c").expect("MISS", "fine");
}

#[test]
fn c23_polls_leave_the_rest_of_a_quota_to_clients_and_come_back_when_there_is_room() {
    let origin = willing();
    let rules = json!({ "backend": { "quota": { "perMinute": 2 } },
        "urlConfigs": [{ "path": "/polled", "pollInterval": 5, "cacheTTL": 600 }] });
    let app = App::start(&config_for(&origin, rules));
    origin.await_requests("/polled", 1);
    for _ in 0..9 {
        app.skip_seconds(5);
    }
    assert_eq!(origin.requests(), 1, "one of two is for clients");
    app.client().get("/asked").expect("MISS", "fine");
    // What the client got counts as well: both have to be past for there to be more than the rest.
    for _ in 0..13 {
        app.skip_seconds(5);
    }
    origin.await_requests("/polled", 2);
    assert_eq!(origin.requests(), 3);
}

/// Ten keys that have answered, and fail from now on, each asked once.
fn ten_fail(app: &App, origin: &Origin, failure: &Answer) {
    let targets: Vec<String> = (0..10).map(|n| format!("/{n}")).collect();
    for target in &targets {
        assert_eq!(app.client().request("GET", target, &[], b"").status, 200);
    }
    app.skip_seconds(3600);
    for target in &targets {
        origin.set(target, failure.clone());
        assert!(app.client().get(target).status >= 500);
    }
}

#[test]
fn r11_the_breaker_opens_by_failures_and_half_open_is_one_probe() {
    let origin = willing();
    let rules =
        json!({ "backend": { "backoff": [30] }, "urlConfigs": [{ "path": "/*", "cacheTTL": 10 }] });
    let app = App::start(&config_for(&origin, rules));
    assert_eq!(breaker(&app), "closed");
    ten_fail(&app, &origin, &Answer::status(500));
    assert_eq!(
        (
            breaker(&app).as_str(),
            health(&app)["upstreams"]["default"]["cause"].as_str()
        ),
        ("open", Some("status"))
    );
    let asked = origin.requests();
    told_to_wait(&app.client().get("/other"), 500, "status");
    told_to_wait(
        &app.client().request("POST", "/other", &[], b""),
        500,
        "status",
    );
    assert_eq!(origin.requests(), asked, "nobody asks");

    app.skip_seconds(30);
    assert_eq!(breaker(&app), "half-open");
    let gate = Gate::closed();
    origin.set("/probe", Answer::ok("well").after(&gate));
    let mut probe = send(&app, "GET", "/probe");
    origin.await_requests("/probe", 1);
    assert_eq!(
        (breaker(&app).as_str(), app.client().get("/other").status),
        ("half-open", 500)
    );
    gate.open();
    probe.read().expect("MISS", "well");
    assert_eq!(breaker(&app), "closed");
    app.client().get("/other").expect("MISS", "fine");
    assert_eq!(origin.requests(), asked + 2);
}

#[test]
fn r11_failed_checks_and_answers_that_say_when_to_come_back_leave_the_breaker_closed() {
    for failure in [
        Answer::ok("no JSON"),
        Answer::status(429).field("Retry-After", "60"),
    ] {
        let origin = Origin::answering(|_| Answer::ok("{}"));
        let rules = json!({ "urlConfigs": [{ "path": "/*", "cacheTTL": 10, "check": { "json": "object" } }] });
        let app = App::start(&config_for(&origin, rules));
        for n in 0..10 {
            assert_eq!(app.client().get(&format!("/{n}")).status, 200);
        }
        app.skip_seconds(3600);
        for n in 0..10 {
            origin.set(&format!("/{n}"), failure.clone());
            assert_ne!(app.client().get(&format!("/{n}")).status, 200);
        }
        assert_eq!(breaker(&app), "closed");
    }
}

#[test]
fn c22_retry_after_holds_for_clients_refreshes_and_polls_and_for_the_whole_origin() {
    let origin = willing();
    let busy = Answer::status(503).field("Retry-After", "100");
    let rules = json!({ "urlConfigs": [
        { "path": "/polled", "pollInterval": 5, "cacheTTL": "1h", "staleTime": "1h" },
        { "path": "/refreshed", "cacheTTL": "1h", "staleTime": 1 },
        { "path": "/asked", "cacheTTL": 0 }] });
    let app = App::start(&config_for(&origin, rules.clone()));
    app.client().get("/refreshed").expect("MISS", "fine");
    origin.await_requests("/polled", 1);
    let all = ["/polled", "/refreshed", "/asked"];
    all.iter()
        .for_each(|target| origin.set(target, busy.clone()));
    app.skip_seconds(5);
    app.client().get("/refreshed").expect("HIT", "fine");
    assert_eq!(app.client().get("/asked").status, 503);
    let before = [2, 2, 1];
    all.iter()
        .zip(before)
        .for_each(|(target, count)| origin.await_requests(target, count));
    assert!(eventually(|| app.active() == 0));
    for _ in 0..14 {
        app.skip_seconds(5);
        app.client().get("/refreshed").expect("HIT", "fine");
        told_to_wait(&app.client().get("/asked"), 503, "status");
    }
    assert_eq!(
        all.map(|target| origin.count(target)),
        before,
        "70 of 100 seconds"
    );
    app.skip_seconds(30);
    origin.await_requests("/polled", 3);

    let app = App::start(&config_for(
        &origin,
        json!({ "urlConfigs": [{ "path": "/*", "cacheTTL": 10 }] }),
    ));
    ten_fail(&app, &origin, &busy);
    app.skip_seconds(80);
    assert_eq!(
        (breaker(&app).as_str(), app.client().get("/other").status),
        ("open", 503)
    );
    app.skip_seconds(20);
    app.client().get("/other").expect("MISS", "fine");
}

/// One way to ask for what a GET brings, or for a part of it: a request that goes alone.
const BESIDE: [(&str, &[(&str, &str)]); 3] = [
    ("HEAD", &[]),
    ("GET", &[("Range", "bytes=0-1")]),
    ("GET", &[("If-None-Match", "\"a\"")]),
];

#[test]
fn c22_what_goes_alone_waits_as_long_as_its_get_is_told_to() {
    for (method, fields) in BESIDE {
        let origin = Origin::serving([("/a", Answer::status(429).field("Retry-After", "120"))]);
        let app = App::start(&config_for(&origin, json!({})));
        assert_eq!(app.client().get("/a").status, 429);

        let reply = app.client().request(method, "/a", fields, b"");
        assert_eq!(
            (reply.status, origin.requests()),
            (429, 1),
            "{method} {fields:?}: {reply:?}"
        );
        let wait: u64 = reply
            .field("Retry-After")
            .and_then(|text| text.parse().ok())
            .expect("Retry-After");
        assert!((110..=121).contains(&wait), "{reply:?}");
        // Whoever wants something done is heard, and so is who asks for something else.
        assert_eq!(app.client().request("POST", "/a", &[], b"x").status, 429);
        assert_eq!(app.client().request("HEAD", "/b", &[], b"").status, 404);
        assert_eq!(origin.requests(), 3);

        app.skip_seconds(121);
        origin.set("/a", Answer::ok("fine"));
        assert_eq!(app.client().request(method, "/a", fields, b"").status, 200);
        app.client().get("/a");
        assert_eq!(
            origin.count("/a"),
            if method == "HEAD" { 4 } else { 3 },
            "well again, and stored by a GET"
        );
    }
}

#[test]
fn c22_a_head_gets_what_is_stored_while_its_get_is_left_alone() {
    let origin = Origin::serving([("/a", Answer::ok("fine"))]);
    let rules = json!({ "urlConfigs": [{ "path": "/a", "cacheTTL": 10, "staleTime": 10, "graceTime": 60 }] });
    let app = App::start(&config_for(&origin, rules));
    app.client().get("/a").expect("MISS", "fine");
    app.skip_seconds(20);
    origin.set("/a", Answer::status(503));
    app.client().get("/a").expect("HIT", "fine");

    let reply = app.client().request("HEAD", "/a", &[], b"");

    assert_eq!(
        (reply.status, reply.cache_status(), origin.requests()),
        (200, "HIT", 2),
        "{reply:?}"
    );
    assert!(
        reply
            .field("Cache-Status")
            .is_some_and(|said| said.contains("fwd=stale; fwd-status=503")),
        "{reply:?}"
    );
}

/// Many origins fail at HEAD and are well: a monitor that sends one must not take its page away.
#[test]
fn c22_how_a_head_fares_holds_back_heads_alone() {
    let origin = Origin::answering(|seen| match seen.method.as_str() {
        "HEAD" => Answer::status(503).field("Retry-After", "60"),
        _ => Answer::ok("fine"),
    });
    let app = App::start(&config_for(&origin, json!({})));
    for asked in [1, 1] {
        let reply = app.client().request("HEAD", "/a", &[], b"");
        assert_eq!((reply.status, origin.requests()), (503, asked), "{reply:?}");
        assert!(reply.field("Retry-After").is_some(), "{reply:?}");
    }
    app.client().get("/a").expect("MISS", "fine");
    assert_eq!(
        app.client().request("HEAD", "/a", &[], b"").status,
        200,
        "from the store"
    );

    app.skip_seconds(61);
    assert_eq!(
        (
            app.client().request("HEAD", "/c", &[], b"").status,
            origin.requests()
        ),
        (503, 3)
    );
}

#[test]
fn c22_who_wants_something_done_waits_for_an_origin_that_is_left_alone() {
    let mut origin = willing();
    let app = App::start(&config_for(&origin, json!({})));
    origin.stop();
    let mut client = app.client();
    for _ in 0..2 {
        let wait = told_to_wait(&client.request("POST", "/a", &[], b"x"), 502, "refused");
        assert!((1..=6).contains(&wait), "{wait}");
    }
}

/// An origin that fails like this whenever it hears of a target for the first time.
fn moody(failure: Answer) -> Origin {
    let known = std::sync::Mutex::new(std::collections::HashSet::new());
    Origin::answering(move |seen| {
        if known.lock().unwrap().insert(seen.target.clone()) {
            failure.clone()
        } else {
            Answer::ok("at last")
        }
    })
}

#[test]
fn c32_a_get_that_is_cut_or_refused_for_a_moment_is_asked_once_more() {
    let cuts = [
        Answer::nothing(),
        Answer::ok("0123456789").cut_after(4),
        Answer::status(502),
        Answer::status(504),
    ];
    for failure in cuts {
        let origin = moody(failure);
        let app = App::start(&config_for(&origin, json!({ "backend": { "retries": 1 } })));
        app.client().get("/a").expect("MISS", "at last");
        assert_eq!(origin.count("/a"), 2);
        assert_eq!(app.client().request("POST", "/b", &[], b"").status / 100, 5);
        assert_eq!(origin.count("/b"), 1, "what is not safe is sent once");
    }
}

#[test]
fn c32_a_home_is_not_asked_once_more() {
    let origin = moody(Answer::status(503));
    let app = App::start(&crate::support::home_for(
        &origin,
        json!({ "urlConfigs": [{ "path": "/none", "pollInterval": 3600 }] }),
    ));
    assert_eq!(app.client().get("/a").status, 503);
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn c32_retries_are_one_in_ten_requests_at_most() {
    let origin = Origin::answering(|_| Answer::status(503));
    let app = App::start(&config_for(&origin, json!({ "backend": { "retries": 3 } })));
    for n in 0..40 {
        assert_eq!(app.client().get(&format!("/{n}")).status, 503);
        app.skip_seconds(11);
    }
    assert_eq!(origin.requests(), 40 + 1 + 4);
}

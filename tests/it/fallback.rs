//! Row C24: what a client gets when there is neither an answer nor an old one that may serve, by `onExhausted`.

use serde_json::json;

use crate::support::{Answer, App, Gate, Origin, Reply, config, config_for, home_for};

/// What stands in: 200, honest about itself in every field, and for nobody to keep.
#[track_caller]
fn expect_stand_in(reply: &Reply, body: &str, detail: &str) {
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (200, body),
        "{reply:?}"
    );
    assert_eq!(
        (reply.cache_status(), reply.field("X-Cache")),
        ("MISS", Some("MISS")),
        "{reply:?}"
    );
    assert_eq!(
        reply.field("Content-Type"),
        Some("application/json"),
        "{reply:?}"
    );
    assert_eq!(reply.field("Cache-Control"), Some("no-store"), "{reply:?}");
    let told = reply.field("Cache-Status").expect("a Cache-Status");
    assert!(
        ["fwd=uri-miss", "fwd=stale", "fwd=bypass"]
            .iter()
            .any(|fwd| told.contains(fwd))
            && told.contains(&format!("detail={detail}")),
        "{reply:?}"
    );
    assert!(
        !told.contains("stored") && reply.field("X-Request-Id").is_some(),
        "{reply:?}"
    );
    assert!(
        reply.field("Retry-After").is_none() && reply.field("Age").is_none(),
        "{reply:?}"
    );
}

/// Routes that differ only in `onExhausted`.
fn three_routes() -> serde_json::Value {
    json!({ "urlConfigs": [
        { "path": "/error/*", "onExhausted": "error503" },
        { "path": "/empty/*", "onExhausted": "empty", "check": { "json": "any" } },
        { "path": "/null/*", "onExhausted": "null", "check": { "json": "any" } },
    ] })
}

#[test]
fn c24_each_route_decides_its_fallback_body() {
    let url = Origin::serving([]).url();
    let app = App::start(&config(&url, three_routes()));
    let mut client = app.client();
    // The second time nobody is asked: the origin is left alone.
    for _ in 0..2 {
        expect_stand_in(&client.get("/empty/a"), "{}", "refused");
        expect_stand_in(&client.get("/null/a"), "null", "refused");
        for target in ["/error/a", "/other"] {
            let reply = client.get(target);
            assert_eq!(
                (reply.status, reply.cache_status()),
                (502, "MISS"),
                "{reply:?}"
            );
            assert!(reply.field("Retry-After").is_some(), "{reply:?}");
        }
    }
}

#[test]
fn c24_a_failure_by_number_and_a_body_that_is_no_answer_are_nothing_to_pass_on() {
    let origin = Origin::serving([
        ("/empty/500", Answer::status(500).body("broken")),
        (
            "/empty/429",
            Answer::status(429).body("busy").field("Retry-After", "9"),
        ),
        ("/null/rubbish", Answer::ok("<h1>")),
        ("/null/404", Answer::status(404).body("gone")),
    ]);
    let app = App::start(&config_for(&origin, three_routes()));
    let mut client = app.client();
    for (target, number) in [("/empty/500", 500), ("/empty/429", 429)] {
        let reply = client.get(target);
        expect_stand_in(&reply, "{}", "status");
        assert!(
            reply
                .field("Cache-Status")
                .is_some_and(|told| told.contains(&format!("fwd-status={number}")))
        );
    }
    expect_stand_in(&client.get("/null/rubbish"), "null", "check-failed");
    // Not there is an answer.
    assert_eq!(
        (
            client.get("/null/404").status,
            client.get("/null/404").text().as_str()
        ),
        (404, "gone")
    );
}

#[test]
fn c24_everybody_in_one_flight_gets_the_same() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/empty/a", Answer::status(500).body("broken").after(&gate))]);
    let app = App::start(&config_for(&origin, three_routes()));
    let mut clients: Vec<_> = (0..3).map(|_| app.client()).collect();
    for client in &mut clients {
        client.send("GET /empty/a HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    assert!(crate::support::eventually(|| app.parked() == 3));
    gate.open();
    for client in &mut clients {
        expect_stand_in(&client.read(), "{}", "status");
    }
    assert_eq!(origin.requests(), 1);
}

#[test]
fn c24_a_fallback_body_is_never_stored_and_an_old_answer_goes_before_it() {
    let origin = Origin::serving([("/empty/a", Answer::status(500).body("broken"))]);
    let mut routes = three_routes();
    routes["urlConfigs"][1]["cacheTTL"] = json!(10);
    routes["urlConfigs"][1]["graceTime"] = json!(20);
    let app = App::start(&config_for(&origin, routes));
    let mut client = app.client();
    expect_stand_in(&client.get("/empty/a"), "{}", "status");

    // The backoff has ended.
    app.skip_seconds(7);
    origin.set("/empty/a", Answer::ok("[1]"));
    client.get("/empty/a").expect("MISS", "[1]");
    origin.set("/empty/a", Answer::status(500).body("broken"));
    app.skip_seconds(12);
    client.get("/empty/a").expect("HIT", "[1]");
    app.skip_seconds(20);
    expect_stand_in(&client.get("/empty/a"), "{}", "status");
}

#[test]
fn c24_head_has_it_too_and_who_changes_something_or_goes_alone_is_told_the_truth() {
    let origin = Origin::answering(|_| Answer::status(500).body("broken"));
    let app = App::start(&config_for(&origin, three_routes()));
    let mut client = app.client();
    client.send("HEAD /empty/a HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.read_head();
    assert_eq!(
        (
            head.status,
            head.field("Content-Length"),
            head.cache_status()
        ),
        (200, Some("2"), "MISS"),
        "{head:?}"
    );

    let post = client.request("POST", "/empty/b", &[], b"x=1");
    assert_eq!(
        (post.status, post.text().as_str(), post.cache_status()),
        (500, "broken", "BYPASS"),
        "{post:?}"
    );
    let named = client.get_with("/empty/c", &[("Authorization", "Basic eDp5")]);
    assert_eq!(
        (named.status, named.text().as_str()),
        (500, "broken"),
        "{named:?}"
    );
    let cached = client.get_with("/empty/d", &[("Cache-Control", "only-if-cached")]);
    assert_eq!(cached.status, 504, "{cached:?}");
}

#[test]
fn c24_on_the_presets_paths_every_page_may_read_it() {
    let origin = Origin::answering(|_| Answer::status(500).body("broken"));
    let polls = json!({ "path": "/nobody/asks", "pollInterval": 600 });
    let routes = json!([polls, { "path": "/soe", "onExhausted": "null" }]);
    let app = App::start(&home_for(&origin, json!({ "urlConfigs": routes })));
    let reply = app.client().get("/soe");
    expect_stand_in(&reply, "null", "status");
    assert_eq!(
        reply.field("Access-Control-Allow-Origin"),
        Some("*"),
        "{reply:?}"
    );
}

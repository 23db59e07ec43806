//! Our own endpoints: what they tell (the shapes of the program Larder replaces), and whom.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    Answer, App, Client, Gate, Origin, Reply, Start, config_for, crowd_turn, eventually, home_for,
};

/// The name the test client asks by is not a local one.
fn with_names(mut more: Value) -> Value {
    more["admin"]["hosts"] = json!(["larder.test"]);
    more
}

fn json_of(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).expect("JSON")
}

/// The body of a recording of the Node proxy.
fn recorded(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/recordings/node-proxy")
        .join(name);
    let bytes = fs::read(path).expect("a recording");
    let body = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a body")
        + 4;
    serde_json::from_slice(&bytes[body..]).expect("JSON")
}

/// Panics unless `ours` has every name of `theirs`, with a value of the same kind, all the way down. Of a list or a table
/// of things with names of their own, the first thing stands for all.
fn assert_superset(ours: &Value, theirs: &Value, place: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs))
            if theirs.keys().any(|name| name.starts_with('/')) =>
        {
            let (name, first) = ours
                .iter()
                .next()
                .unwrap_or_else(|| panic!("{place} is empty"));
            assert_superset(first, &theirs["/soe"], &format!("{place}.{name}"));
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in theirs {
                let own = ours
                    .get(name)
                    .unwrap_or_else(|| panic!("{place} has no {name}"));
                assert_superset(own, value, &format!("{place}.{name}"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            for (own, value) in ours.iter().zip(theirs).take(1) {
                assert_superset(own, value, &format!("{place}[0]"));
            }
        }
        (ours, theirs) => assert_eq!(kind(ours), kind(theirs), "{place}: {ours}"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

#[test]
fn e3_cache_stats_tell_what_the_replaced_program_told_of_each_key() {
    let origin = Origin::serving([("/soe", Answer::ok("{\"percentage\":58.1}"))]);
    let more = json!({ "urlConfigs": [{ "path": "/soe", "pollInterval": 3600, "cacheTTL": 60, "staleTime": 25 }] });
    let app = App::start(&home_for(&origin, with_names(more)));
    let stats = || json_of(&app.client().get("/cache/stats"));
    assert!(
        eventually(|| stats()["size"] == 1),
        "the poll fills the store"
    );
    let mut client = app.client();
    (0..3).for_each(|_| drop(client.get("/soe")));

    let told = stats();

    assert_superset(&told, &recorded("cache_stats.http"), "stats");
    let soe = &told["keys"]["/soe"];
    assert_eq!(
        (&soe["hits"], &soe["misses"], &soe["size"]),
        (&json!(3), &json!(0), &json!(19))
    );
    assert_eq!(
        (&soe["pollInterval"], &soe["ttl"], &soe["staleTime"]),
        (&json!(3600), &json!(60000), &json!(25000))
    );
    assert_eq!(
        (&told["truncated"], &told["errorRate"]),
        (&json!(false), &json!(0.0))
    );
    assert_eq!(
        json_of(&app.client().get("/_larder/cache/stats"))["size"],
        1
    );
}

#[test]
fn e3_hits_and_misses_are_counted_over_refreshes_and_a_list_says_when_it_is_cut() {
    let origin = Origin::answering(|seen| Answer::ok(&seen.target));
    let more = json!({ "urlConfigs": [{ "path": "/*", "cacheTTL": 10, "staleTime": 10 }] });
    let app = App::start(&config_for(&origin, with_names(more)));
    let get = |target: &str| app.client().get(target);
    for cache_status in ["MISS", "HIT", "HIT"] {
        get("/a").expect(cache_status, "/a");
    }
    app.skip_seconds(11);
    get("/a").expect("MISS", "/a");
    get("/a").expect("HIT", "/a");
    get("/b?token=hunter2").expect("MISS", "/b?token=hunter2");

    let told = json_of(&get("/cache/stats"));
    let cut = json_of(&get("/cache/stats?limit=1"));

    assert_eq!(
        (&told["keys"]["/a"]["hits"], &told["keys"]["/a"]["misses"]),
        (&json!(3), &json!(2))
    );
    assert!(
        told["keys"].get("/b?token=…").is_some() && !told.to_string().contains("hunter2"),
        "{told}"
    );
    assert_eq!(
        (
            cut["keys"].as_object().map(|keys| keys.len()),
            &cut["truncated"]
        ),
        (Some(1), &json!(true))
    );
}

/// It waits its turn and is looked up then, not before as well.
#[test]
fn a_hit_behind_a_reply_that_is_not_sent_yet_counts_once() {
    let gate = Gate::closed();
    let origin = Origin::serving([
        ("/hit", Answer::ok("hit")),
        ("/slow", Answer::ok("slow").after(&gate)),
    ]);
    let app = App::start(&config_for(&origin, with_names(json!({}))));
    app.client().get("/hit").expect("MISS", "hit");
    let mut client = app.client();

    client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /hit HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.await_requests("/slow", 1);
    gate.open();
    assert_eq!(
        (client.read().text().as_str(), client.read().text().as_str()),
        ("slow", "hit")
    );

    assert_eq!(
        json_of(&app.client().get("/cache/stats"))["keys"]["/hit"]["hits"],
        1
    );
}

#[test]
fn e3_failures_show_as_rates_and_backoff() {
    let origin = Origin::serving([("/bad", Answer::status(500).body("no"))]);
    let app = App::start(&config_for(&origin, with_names(json!({}))));
    assert_eq!(app.client().get("/bad").status, 500);

    let told = json_of(&app.client().get("/cache/stats"));

    assert_eq!(
        (&told["errorRate"], &told["errorRateByPath"]),
        (&json!(0.1), &json!({ "/bad": 0.1 }))
    );
    let state = &told["backoffStates"]["/bad"];
    assert_eq!(
        (&state["consecutiveErrors"], &state["cause"]),
        (&json!(1), &json!("status"))
    );
    assert!(
        state["backoffDelayMs"]
            .as_u64()
            .is_some_and(|delay| (1..=5000).contains(&delay)),
        "{state}"
    );
    assert!(
        state["nextRetryTime"].as_u64() > Some(1_700_000_000_000),
        "{state}"
    );
}

#[test]
fn e19_queue_stats_tell_what_runs_what_waits_and_what_was() {
    let gate = Gate::closed();
    let origin = Origin::answering({
        let gate = gate.clone();
        move |seen| {
            if seen.target.starts_with("/hung") {
                Answer::ok("x").after(&gate)
            } else {
                Answer::ok("y")
            }
        }
    });
    let more = json!({ "backend": { "firstByteTimeout": 60000 }, "cache": { "slowRequestTimeout": 60000 } });
    let app = App::start(&config_for(&origin, with_names(more)));
    (0..25).for_each(|n| drop(app.client().get(&format!("/done/{n}?key=hunter2"))));
    let mut hung: Vec<Client> = (0..3).map(|_| app.client()).collect();
    for (n, client) in hung.iter_mut().enumerate() {
        client.send(format!("GET /hung/{n} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(eventually(
            || json_of(&app.client().get("/queue/stats"))["parked"] == n + 1
        ));
    }

    let told = json_of(&app.client().get("/queue/stats"));

    assert_superset(&told, &recorded("queue_stats.http"), "queue");
    assert_eq!(
        (&told["queueLength"], &told["activeRequestCount"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(told["queuedUrls"], json!(["/hung/2"]));
    assert_eq!(
        (&told["activeUrls"][0]["url"], &told["activeUrls"][1]["url"]),
        (&json!("/hung/0"), &json!("/hung/1"))
    );
    let recent = told["recentlyCompleted"].as_array().expect("a list");
    assert_eq!(
        (recent.len(), &recent[0]["fullUrl"], &recent[0]["success"]),
        (20, &json!("/done/24?key=…"), &json!(true))
    );
    gate.open();
    hung.iter_mut()
        .for_each(|client| assert_eq!(client.read().status, 200));
}

#[test]
fn e1_e2_health_tells_cache_queue_polls_and_the_origins_backoff() {
    let mut origin = Origin::serving([("/soe", Answer::ok("{\"percentage\":58.1}"))]);
    let more = json!({ "urlConfigs": [{ "path": "/soe", "pollInterval": 3600, "cacheTTL": 60 }] });
    let app = App::start(&home_for(&origin, more));
    let health = || json_of(&app.client().get("/health"));
    assert!(
        eventually(|| health()["cache"]["size"] == 1),
        "the poll fills the store"
    );

    let told = health();

    for name in ["status", "timestamp", "activePolls"] {
        assert_eq!(
            kind(&told[name]),
            kind(&recorded("health.http")[name]),
            "{name}"
        );
    }
    assert_eq!(
        (&told["status"], &told["activePolls"]),
        (&json!("ok"), &json!(["/soe"]))
    );
    assert_eq!(told["upstreams"]["default"]["status"], "ok");
    origin.stop();
    assert_eq!(app.client().get("/new").status, 502);
    let told = health();
    let upstream = &told["upstreams"]["default"];
    assert_eq!(
        (&told["status"], &upstream["status"]),
        (&json!("ok"), &json!("backoff"))
    );
    assert_eq!(upstream["cause"], "refused");
}

#[test]
fn i1_clear_empties_the_store_and_what_is_being_fetched_is_not_stored() {
    let gate = Gate::closed();
    let origin = Origin::serving([
        ("/a", Answer::ok("a")),
        ("/slow", Answer::ok("old").after(&gate)),
    ]);
    let app = App::start(&config_for(&origin, with_names(json!({}))));
    app.client().get("/a").expect("MISS", "a");
    let mut waiting = app.client();
    waiting.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.await_requests("/slow", 1);

    let cleared = json_of(&app.client().request("POST", "/cache/clear", &[], b""));

    assert_superset(&cleared, &recorded("cache_clear.http"), "clear");
    assert_eq!(
        (&cleared["success"], &cleared["message"]),
        (&json!(true), &json!("Cache cleared"))
    );
    assert_eq!(cleared["cleared"], 1);
    gate.open();
    assert_eq!(waiting.read().text(), "old", "who waited is answered");
    origin.set("/slow", Answer::ok("new"));
    app.client().get("/slow").expect("MISS", "new");
    app.client().get("/a").expect("MISS", "a");
}

/// A request that asks for less than everything clears nothing.
#[test]
fn fault_f5_a_selective_purge_is_refused_instead_of_clearing_all() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let app = App::start(&config_for(&origin, with_names(json!({}))));
    let mut client = app.client();
    client.get("/a").expect("MISS", "a");
    for (target, body) in [
        ("/cache/clear", "{\"path\":\"/b\"}"),
        ("/cache/clear", "{\"all\":false}"),
        ("/cache/clear", "path=/b"),
        ("/cache/clear?path=/b", ""),
        ("/_larder/cache/clear", "[]"),
    ] {
        let reply = client.request("POST", target, &[], body.as_bytes());
        assert_eq!(reply.status, 400, "{target} {body}: {reply:?}");
        assert!(
            reply.text().contains("selective purges are not available"),
            "{reply:?}"
        );
        client.get("/a").expect("HIT", "a");
    }
    for body in ["", "{}", "{\"all\":true}"] {
        let reply = client.request("POST", "/cache/clear", &[], body.as_bytes());
        assert_eq!(json_of(&reply)["cleared"], 1, "{body}");
        client.get("/a").expect("MISS", "a");
    }
}

/// Defect 14 of the program Larder replaces: anybody could clear its cache, with any method of a browser.
#[test]
fn i1_c20_clear_is_not_open_to_anybody() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let configuration = config_for(&origin, with_names(json!({})));
    let proc = Start::with(configuration)
        .environment("ADMIN_TOKEN", "swordfish")
        .run();
    let mut client = proc.client();
    client.get("/a").expect("MISS", "a");
    let mut try_with =
        |method: &str, fields: &[(&str, &str)]| client.request(method, "/cache/clear", fields, b"");

    for method in ["GET", "HEAD", "PUT", "OPTIONS", "DELETE"] {
        let reply = try_with(method, &[]);
        assert_eq!(
            (reply.status, reply.field("Allow")),
            (405, Some("POST")),
            "{method}: {reply:?}"
        );
    }
    let refused = [
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 somebody"),
        ("X-Real-IP", "10.0.0.1"),
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    for field in refused {
        let reply = try_with("POST", &[field]);
        assert_eq!(reply.status, 403, "{field:?}: {reply:?}");
        assert_eq!(reply.field("X-Content-Type-Options"), Some("nosniff"));
        assert!(
            reply
                .fields
                .iter()
                .all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control"))
        );
    }
    let remote = ("X-Forwarded-For", "127.0.0.1");
    assert!(
        try_with("POST", &[remote]).text().contains("ADMIN_TOKEN"),
        "the remedy is named"
    );
    assert_eq!(
        try_with("POST", &[remote, ("Authorization", "Bearer sword")]).status,
        403
    );
    client.get("/a").expect("HIT", "a");
    let opened = client.request(
        "POST",
        "/cache/clear",
        &[remote, ("Authorization", "Bearer swordfish")],
        b"",
    );
    assert_eq!(opened.status, 200);
    client.get("/a").expect("MISS", "a");
    assert!(!proc.log().contains("swordfish"));
}

#[test]
fn c20_what_is_told_is_for_the_local_network_and_own_names_except_health() {
    let origin = Origin::serving([]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    let mut ask = |target: &str, host: &str, more: &str| {
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"
        ));
        client.read().status
    };
    for target in [
        "/cache/stats",
        "/queue/stats",
        "/_larder/queue/stats",
        "/_larder/nothing",
    ] {
        let there = if target.ends_with("nothing") {
            404
        } else {
            200
        };
        assert_eq!(ask(target, "localhost", ""), there, "{target}");
        assert_eq!(ask(target, "evil.example", ""), 403, "{target}");
        assert_eq!(
            ask(target, "localhost", "X-Forwarded-For: 10.0.0.1\r\n"),
            403,
            "{target}"
        );
    }
    for target in ["/health", "/_larder/health"] {
        assert_eq!(
            ask(target, "evil.example", "X-Forwarded-For: 8.8.8.8\r\n"),
            200,
            "{target}"
        );
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn c10_without_root_names_the_origin_has_them() {
    let origin = Origin::answering(|seen| Answer::ok(format!("{} {}", seen.method, seen.target)));
    let more = with_names(json!({ "admin": { "rootNames": false } }));
    let app = App::start(&config_for(&origin, more));
    let mut client = app.client();

    for target in ["/health", "/cache/stats", "/queue/stats"] {
        assert_eq!(client.get(target).text(), format!("GET {target}"));
        assert_eq!(
            json_of(&client.get(&format!("/_larder{target}")))
                .get("size")
                .is_some(),
            target == "/cache/stats"
        );
    }
    assert_eq!(
        client.request("POST", "/cache/clear", &[], b"x").text(),
        "POST /cache/clear"
    );
    assert_eq!(
        json_of(&client.request("POST", "/_larder/cache/clear", &[], b""))["success"],
        true
    );
}

#[test]
fn c10_with_root_names_the_origins_own_are_below_our_prefix() {
    let origin = Origin::answering(|seen| Answer::ok(&seen.target));
    let app = App::start(&config_for(&origin, json!({})));
    for target in ["/health", "/cache/stats", "/queue/stats"] {
        app.client()
            .get(&format!("/_larder/origin{target}"))
            .expect("MISS", target);
    }
}

#[test]
fn secrets_in_queries_are_never_logged() {
    let origin = Origin::serving([("/polled?token=hunter2", Answer::status(500).body("no"))]);
    let more = json!({ "log": { "level": "debug" },
        "urlConfigs": [{ "path": "/polled?token=hunter2", "pollInterval": 3600, "cacheTTL": 60 }] });
    let proc = Start::with(config_for(&origin, more)).run();
    proc.client().get("/asked?Sig=hunter2&password=hunter2");
    proc.client()
        .request("POST", "/asked?code=hunter2", &[], b"x");

    let has = |text: &str| eventually(|| proc.log().contains(text));
    assert!(
        has("polling") && has("GET /asked ") && has("POST /asked "),
        "{}",
        proc.log()
    );

    assert!(!proc.log().contains("hunter2"), "{}", proc.log());
    assert!(proc.log().contains("token=…"), "{}", proc.log());
}

/// A crowd that asks for our own endpoints keeps nobody from a hit, and is told when it is too many.
#[test]
fn a_crowd_at_our_own_endpoints_is_answered_or_told_to_come_back() {
    let _turn = crowd_turn();
    let origin = Origin::serving([("/hit", Answer::ok("hit"))]);
    let app = App::start(&config_for(&origin, with_names(json!({}))));
    let mut client = app.client();
    client.get("/hit").expect("MISS", "hit");
    // A long list keeps the admin thread busy for a while.
    (0..600).for_each(|n| assert_eq!(client.get(&format!("/{n}")).status, 404));
    let request = "GET /cache/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut crowd: Vec<Client> = (0..40).map(|_| app.client()).collect();

    crowd
        .iter_mut()
        .for_each(|client| client.send(request.repeat(8)));

    client.get("/hit").expect("HIT", "hit");
    assert_eq!(client.get("/health").status, 200);
    let mut told = [0, 0];
    for client in &mut crowd {
        for _ in 0..8 {
            let reply = client.read();
            match (reply.status, reply.field("Retry-After")) {
                (200, None) => told[0] += 1,
                (503, Some("1")) => told[1] += 1,
                _ => panic!("{reply:?}"),
            }
        }
    }
    assert!(told[0] >= 16 && told[1] > 0, "{told:?}");
}

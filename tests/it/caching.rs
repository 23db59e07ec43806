//! Rows K: what is stored, for how long, and what happens at each age.

use serde_json::json;

use crate::support::{Answer, App, Gate, Origin, Start, config, config_for, eventually};

#[test]
fn k1_each_url_with_its_query_is_stored_for_its_ttl() {
    let origin = Origin::serving([
        ("/a", Answer::ok("a")),
        ("/a?x=1", Answer::ok("a1")),
        ("/short", Answer::ok("short")),
        ("/short?x=1", Answer::ok("short1")),
    ]);
    let rules = json!({ "urlConfigs": [{ "path": "/short", "cacheTTL": 10, "staleTime": 10 }] });
    let app = App::start(&config_for(&origin, rules));
    let mut client = app.client();
    for (target, body) in [
        ("/a", "a"),
        ("/a?x=1", "a1"),
        ("/short", "short"),
        ("/short?x=1", "short1"),
    ] {
        client.get(target).expect("MISS", body);
        client.get(target).expect("HIT", body);
    }

    app.skip_seconds(11);
    client.get("/a").expect("HIT", "a");
    client.get("/short").expect("MISS", "short");
    // A configured path covers all its queries (SEMANTICS, "Queries of a configured path").
    client.get("/short?x=1").expect("MISS", "short1");

    app.skip_seconds(300);
    client.get("/a").expect("MISS", "a");
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn k2_a_hit_older_than_stale_time_is_answered_and_refreshed_once() {
    let origin = Origin::serving([("/a", Answer::ok("old"))]);
    let app = App::start(&config_for(&origin, json!({})));
    app.client().get("/a").expect("MISS", "old");
    app.skip_seconds(61);
    origin.set("/a", Answer::ok("new"));

    app.client().get("/a").expect("HIT", "old");

    assert!(
        eventually(|| app.client().get("/a").text() == "new"),
        "the refresh is stored"
    );
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn k3_one_refresh_per_key_however_many_ask() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/a", Answer::ok("old"))]);
    let app = App::start(&config_for(&origin, json!({})));
    app.client().get("/a").expect("MISS", "old");
    app.skip_seconds(61);
    origin.set("/a", Answer::ok("new").after(&gate));

    let mut client = app.client();
    for _ in 0..50 {
        client.get("/a").expect("HIT", "old");
    }
    origin.await_requests("/a", 2);
    client.get("/a").expect("HIT", "old");
    assert_eq!(origin.count("/a"), 2, "one refresh for 51 hits");
    gate.open();
    assert!(eventually(|| client.get("/a").text() == "new"));
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn k4_a_slow_origin_gives_way_to_the_stale_answer_and_still_fills_the_cache() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/a", Answer::ok("old"))]);
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "slowRequestTimeout": 200 } }),
    ));
    app.client().get("/a").expect("MISS", "old");
    app.skip_seconds(301);
    origin.set("/a", Answer::ok("new").after(&gate));

    // The gate is closed: only the stale answer can come.
    let reply = app.client().get("/a");
    reply.expect("HIT", "old");
    assert!(
        reply
            .field("Cache-Status")
            .is_some_and(|status| status.contains("fwd=stale")),
        "{reply:?}"
    );

    gate.open();
    assert!(eventually(|| app.client().get("/a").text() == "new"));
    assert_eq!(
        origin.count("/a"),
        2,
        "the slow fetch itself filled the cache"
    );
}

#[test]
fn k4_beyond_slow_grace_there_is_no_stale_answer() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/a", Answer::ok("old"))]);
    let rules = json!({ "cache": { "slowRequestTimeout": 200 }, "backend": { "firstByteTimeout": 400 },
        "urlConfigs": [{ "path": "/a", "cacheTTL": 10, "staleTime": 10, "slowGrace": 5, "graceTime": 0 }] });
    let app = App::start(&config_for(&origin, rules));
    app.client().get("/a").expect("MISS", "old");
    app.skip_seconds(16);
    origin.set("/a", Answer::ok("new").after(&gate));

    let reply = app.client().get("/a");

    assert_eq!(reply.status, 504, "{reply:?}");
}

#[test]
fn k6_the_whole_flow_hit_refresh_pending_slow_update() {
    let second = Gate::closed();
    let third = Gate::closed();
    let origin = Origin::serving([("/a", Answer::ok("1"))]);
    let rules = json!({ "cache": { "slowRequestTimeout": 1000 } });
    let app = App::start(&config_for(&origin, rules));
    let mut client = app.client();
    client.get("/a").expect("MISS", "1");
    client.get("/a").expect("HIT", "1");

    app.skip_seconds(61);
    origin.set("/a", Answer::ok("2").after(&second));
    client.get("/a").expect("HIT", "1");
    origin.await_requests("/a", 2);

    // Past the TTL with that refresh still under way: the request joins it and waits.
    app.skip_seconds(240);
    let mut waiting = app.client();
    waiting.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    second.open();
    let joined = waiting.read();
    assert_eq!((joined.status, origin.count("/a")), (200, 2), "{joined:?}");
    assert!(eventually(|| client.get("/a").text() == "2"));

    // Past the TTL again, the origin slow: the stale answer, then the update.
    app.skip_seconds(301);
    origin.set("/a", Answer::ok("3").after(&third));
    client.get("/a").expect("HIT", "2");
    third.open();
    assert!(eventually(|| client.get("/a").text() == "3"));
    assert_eq!(origin.count("/a"), 3);
}

#[test]
fn k7_cache_ttl_seconds_is_the_default_ttl() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let proc = Start::with(config_for(&origin, json!({})))
        .environment("CACHE_TTL_SECONDS", "1800")
        .run();
    proc.client().get("/a").expect("MISS", "a");

    let left = proc
        .client()
        .get("/a")
        .field("X-Cache-Expires-In")
        .and_then(|text| text.parse::<u64>().ok());

    // Jitter may shorten a default lifetime by 5 %.
    assert!(
        left.is_some_and(|left| (1700..=1800).contains(&left)),
        "{left:?}"
    );
}

#[test]
fn k11_only_successful_gets_are_stored() {
    let origin = Origin::answering(|seen| {
        let status = seen
            .target
            .trim_start_matches('/')
            .split('-')
            .next()
            .and_then(|text| text.parse().ok());
        Answer::status(status.unwrap_or(200)).body(if status == Some(204) { "" } else { "body" })
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for (method, target, stored) in [
        ("GET", "/200", true),
        ("GET", "/203", true),
        ("GET", "/204", true),
        ("GET", "/302", false),
        ("GET", "/400", false),
        ("GET", "/401", false),
        ("GET", "/403", false),
        ("POST", "/200-post", false),
        ("PUT", "/200-put", false),
        ("PATCH", "/200-patch", false),
        ("DELETE", "/200-delete", false),
    ] {
        for _ in 0..2 {
            client.request(
                method,
                target,
                &[],
                if method == "GET" { b"" } else { b"x" },
            );
        }
        assert_eq!(
            origin.count(target),
            if stored { 1 } else { 2 },
            "{method} {target}"
        );
    }
    // Nor does what was not a GET answer one.
    client.get("/200-post").expect("MISS", "body");
}

#[test]
fn k11_what_is_private_to_one_client_is_never_stored() {
    let answers = [
        ("Cache-Control", "no-store"),
        ("Cache-Control", "private"),
        ("Cache-Control", "no-cache"),
        ("Set-Cookie", "a=b"),
        ("Vary", "*"),
    ];
    for (name, value) in answers {
        let origin = Origin::serving([("/a", Answer::ok("a").field(name, value))]);
        let app = App::start(&config_for(&origin, json!({})));
        for _ in 0..2 {
            app.client().get("/a").expect("MISS", "a");
        }
        assert_eq!(origin.count("/a"), 2, "{name}: {value}");
    }
}

#[test]
fn requests_that_name_a_person_pass_by_the_cache() {
    let fields = [
        "Authorization",
        "Cookie",
        "Proxy-Authorization",
        "X-Api-Key",
        "X-Auth-Token",
    ];
    for name in fields {
        let origin = Origin::serving([("/a", Answer::ok("for you alone"))]);
        let app = App::start(&config_for(&origin, json!({})));
        for _ in 0..2 {
            app.client()
                .get_with("/a", &[(name, "secret")])
                .expect("BYPASS", "for you alone");
        }
        origin.set("/a", Answer::ok("for all"));
        app.client().get("/a").expect("MISS", "for all");
        app.client()
            .get_with("/a", &[(name, "secret")])
            .expect("BYPASS", "for all");
        assert_eq!(origin.count("/a"), 4, "{name}");
    }
}

#[test]
fn k18_the_store_keeps_within_its_bytes() {
    const OBJECT: usize = 8 * 1024;
    let origin = Origin::answering(|seen| {
        Answer::ok(if seen.target == "/large" {
            "x".repeat(5 * OBJECT)
        } else {
            "x".repeat(OBJECT)
        })
    });
    let rules = json!({ "cache": { "maxBytes": 256 * 1024, "maxObjectBytes": 4 * OBJECT } });
    let app = App::start(&config(&origin.url(), rules));
    let mut client = app.client();
    for n in 0..100 {
        assert_eq!(client.get(&format!("/{n}")).body.len(), OBJECT);
    }

    assert_eq!(
        client.get("/99").cache_status(),
        "HIT",
        "the newest is kept"
    );
    let before = origin.requests();
    let hits = (0..100)
        .rev()
        .filter(|n| client.get(&format!("/{n}")).cache_status() == "HIT")
        .count();
    assert_eq!(origin.requests() - before, 100 - hits);
    assert!(
        hits <= 256 * 1024 / OBJECT,
        "{hits} answers of 8 KiB do not fit 256 KiB"
    );

    for _ in 0..2 {
        let large = client.get("/large");
        assert_eq!(
            (large.cache_status(), large.body.len()),
            ("MISS", 5 * OBJECT),
            "larger than maxObjectBytes"
        );
    }
}

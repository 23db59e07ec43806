//! What is limited: where the origin may be and how large messages are (P8), and how often one client has it asked (R13).

use serde_json::{Value, json};

use crate::support::{
    Answer, App, Client, Gate, Origin, Proc, Reply, config, config_for, eventually, home_for,
};

/// An origin that has everything.
fn willing() -> Origin {
    Origin::answering(|_| Answer::ok("fine"))
}

/// An error of ours, of this kind.
#[track_caller]
fn expect_error(reply: &Reply, status: u16, error: &str) {
    let body: Value =
        serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("not JSON: {reply:?}"));
    assert_eq!(
        (reply.status, body["error"].as_str()),
        (status, Some(error)),
        "{reply:?}"
    );
}

/// Our 429, with the seconds after which to come back.
#[track_caller]
fn told_to_wait(reply: &Reply) -> u64 {
    expect_error(reply, 429, "rate_limited");
    assert_eq!(
        (reply.cache_status(), reply.field("X-Cache")),
        ("MISS", Some("MISS")),
        "{reply:?}"
    );
    let told = reply.field("Cache-Status").expect("a Cache-Status");
    assert!(told.contains("detail=rate-limited"), "{reply:?}");
    reply
        .field("Retry-After")
        .and_then(|text| text.parse().ok())
        .expect("Retry-After")
}

fn command(client: &mut Client) -> Reply {
    client.request("POST", "/control/reserve", &[], b"value=30")
}

#[test]
fn r13_an_address_gives_ten_commands_a_minute_and_the_origin_sees_no_more() {
    let origin = willing();
    let app = App::start(&home_for(&origin, json!({})));
    let mut client = app.client();
    for _ in 0..10 {
        command(&mut client).expect("BYPASS", "fine");
    }
    let wait = told_to_wait(&command(&mut client));
    assert!((1..=6).contains(&wait), "{wait}");
    // By another spelling it is the same.
    told_to_wait(&client.request("DELETE", "//control/x%2F..%2Freserve;y", &[], b""));
    told_to_wait(&command(&mut app.client()));
    assert_eq!(origin.count("/control/reserve"), 10);
    // What changes nothing is not counted, and somebody else is somebody else.
    client.get("/control/reserve").expect("MISS", "fine");
    client
        .request("POST", "/other", &[], b"x")
        .expect("BYPASS", "fine");
    command(&mut Client::connect_from([127, 0, 0, 2].into(), app.addr())).expect("BYPASS", "fine");

    app.skip_seconds(wait);
    command(&mut client).expect("BYPASS", "fine");
    told_to_wait(&command(&mut client));
    assert_eq!(origin.count("/control/reserve"), 10 + 1 + 1 + 1);
}

#[test]
fn r13_the_presets_limit_can_be_another_or_none() {
    for (limit, sent) in [(0, 30), (2, 2)] {
        let origin = willing();
        let more = json!({ "urlConfigs": [{ "path": "/control/*", "rateLimit": { "perMinute": limit } }] });
        let app = App::start(&home_for(&origin, more));
        let mut client = app.client();
        let passed = (0..30)
            .filter(|_| command(&mut client).status == 200)
            .count();
        assert_eq!(
            (passed, origin.count("/control/reserve")),
            (sent, sent),
            "perMinute {limit}"
        );
    }
}

#[test]
fn r13_hits_are_free_and_nothing_refused_counts_against_the_origins_quota() {
    let origin = willing();
    let more = json!({ "backend": { "quota": { "perMinute": 4 } },
        "urlConfigs": [{ "path": "/limited/*", "cacheTTL": 100, "staleTime": 90, "rateLimit": { "perMinute": 2 } }] });
    let app = App::start(&config_for(&origin, more));
    let mut client = app.client();
    client.get("/limited/a").expect("MISS", "fine");
    client
        .request("POST", "/limited/b", &[], b"x")
        .expect("BYPASS", "fine");
    for _ in 0..20 {
        client.get("/limited/a").expect("HIT", "fine");
        told_to_wait(&client.get("/limited/c"));
    }
    assert_eq!(origin.requests(), 2);
    client.get("/d").expect("MISS", "fine");
    client.get("/e").expect("MISS", "fine");
    expect_error(&client.get("/f"), 503, "quota");
}

#[test]
fn r13_behind_a_trusted_proxy_the_client_is_whom_it_names() {
    let origin = willing();
    let route = json!({ "path": "/*", "rateLimit": { "perMinute": 1 } });
    for (trusted, shared) in [
        (json!([]), true),
        (json!(["127.0.0.1", "10.0.0.0/8"]), false),
    ] {
        let more = json!({ "proxy": { "trustedProxies": trusted }, "urlConfigs": [route] });
        let app = App::start(&config_for(&origin, more));
        let mut client = app.client();
        let mut ask = |chain: &str| {
            client
                .request("POST", "/a", &[("X-Forwarded-For", chain)], b"x")
                .status
        };
        assert_eq!(ask("192.0.2.1"), 200, "{trusted}");
        // What a client writes itself stands before what its proxy adds.
        assert_eq!(ask("203.0.113.9, 192.0.2.1, 10.1.1.1"), 429, "{trusted}");
        assert_eq!(ask("192.0.2.2") == 429, shared, "{trusted}");
        assert_eq!(ask("2001:db8::1") == 429, shared, "{trusted}");
        assert_eq!(ask("2001:db8::2"), 429, "{trusted}");
        // Who is not to be understood is whoever speaks.
        assert_eq!(ask("unknown") == 429, shared, "{trusted}");
        assert_eq!(ask("also unknown"), 429, "{trusted}");
    }
}

/// It would be a bucket for every address anybody can think of.
#[test]
fn r13_who_is_not_trusted_names_nobody() {
    let origin = willing();
    let route = json!({ "path": "/*", "rateLimit": { "perMinute": 2 } });
    let more = json!({ "proxy": { "trustedProxies": ["127.0.0.9"] }, "urlConfigs": [route] });
    let app = App::start(&config_for(&origin, more));
    let mut client = app.client();
    let mut passed = 0;
    for n in 0..20 {
        let made_up = format!("192.0.2.{n}");
        let forwarded = format!("for={made_up}");
        for field in [
            ("X-Forwarded-For", &made_up),
            ("X-Real-IP", &made_up),
            ("Forwarded", &forwarded),
        ] {
            let reply = client.request("POST", "/a", &[(field.0, field.1.as_str())], b"x");
            passed += usize::from(reply.status == 200);
        }
    }
    assert_eq!((passed, origin.requests()), (2, 2));
}

/// `127.1` is a name to us and to the system's resolver an address, which asks no name server for it.
#[test]
fn p8_an_origin_is_asked_only_where_it_may_be() {
    let origin = willing();
    let by_name = origin.url().replace("127.0.0.1", "127.1");
    let local = origin.url().replace("127.0.0.1", "localhost");
    for (url, allow) in [
        (&by_name, json!([])),
        (&by_name, json!(["10.0.0.0/8", "127.0.0.0/8"])),
        (&local, json!(["127.0.0.1"])),
        (&local, json!(["LOCALHOST"])),
        (&origin.url(), json!(["127.0.0.1"])),
    ] {
        let app = App::start(&config(url, json!({ "backend": { "allow": allow } })));
        app.client().get("/a").expect("MISS", "fine");
    }
    let connections = origin.connections_ever();

    let refused = Proc::start(config(
        &by_name,
        json!({ "backend": { "allow": ["10.0.0.0/8", "pi.lan"] } }),
    ));
    expect_error(&refused.client().get("/a"), 502, "unresolved");
    expect_error(
        &refused.client().request("POST", "/a", &[], b"x"),
        502,
        "unresolved",
    );
    assert_eq!(origin.connections_ever(), connections);
    let line = "the origin's name leads to 127.0.0.1, outside of backend.allow";
    assert!(
        eventually(|| refused.log().contains(line)),
        "{}",
        refused.log()
    );
    assert_eq!(
        refused.log().matches("backend.allow").count(),
        1,
        "{}",
        refused.log()
    );
}

#[test]
fn p8_a_request_body_beyond_the_limit_is_413_and_goes_nowhere() {
    let origin = willing();
    let app = App::start(&config_for(
        &origin,
        json!({ "proxy": { "maxBodyBytes": 1000 } }),
    ));
    app.client()
        .request("POST", "/a", &[], &[b'x'; 1000])
        .expect("BYPASS", "fine");
    let announced = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n".to_owned();
    let chunked = format!(
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}",
        "x".repeat(1001)
    );
    for request in [announced, chunked] {
        let mut client = app.client();
        client.send(request);
        let reply = client.expect_refusal().expect("an answer");
        assert_eq!(reply.status, 413, "{reply:?}");
    }
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn p8_a_response_beyond_the_limit_is_passed_on_and_not_stored() {
    let body = |length: usize| (0..=255).cycle().take(length).collect::<Vec<u8>>();
    let fits = body(4096);
    let too_large = body(4097);
    let origin = Origin::serving([
        ("/fits", Answer::ok(&fits)),
        ("/large", Answer::ok(&too_large)),
        ("/chunked", Answer::ok(&too_large).chunked()),
    ]);
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "maxObjectBytes": 4096 } }),
    ));
    for (target, body, asked) in [
        ("/fits", &fits, 1),
        ("/large", &too_large, 2),
        ("/chunked", &too_large, 2),
    ] {
        for _ in 0..2 {
            let reply = app.client().get(target);
            assert!(
                reply.status == 200 && reply.body == *body,
                "{target} arrives whole"
            );
        }
        assert_eq!(origin.count(target), asked, "{target}");
    }
}

/// What is 20 s old where answers live for 10: how a client is told its age, and why it gets it.
#[track_caller]
fn expect_old(reply: &Reply, body: &str, detail: &str) {
    reply.expect("HIT", body);
    let age: u64 = reply
        .field("Age")
        .and_then(|text| text.parse().ok())
        .expect("an Age");
    assert!((20..30).contains(&age), "{reply:?}");
    let told = reply.field("Cache-Status").expect("a Cache-Status");
    let left = format!("ttl=-{}", age - 10);
    assert!(
        told.contains("fwd=stale") && told.contains(&left) && told.ends_with(detail),
        "{reply:?}"
    );
    assert!(!told.contains("; hit"), "{reply:?}");
}

#[test]
fn c5_slow_and_failed_origins_have_allowances_of_their_own() {
    let gate = Gate::closed();
    let old = Answer::ok("old");
    let strict = Answer::ok("old").field("Cache-Control", "must-revalidate");
    let origin = Origin::answering(move |seen| {
        if seen.target.starts_with("/strict") {
            strict.clone()
        } else {
            old.clone()
        }
    });
    let route = |path: &str, slow: u64, failed: u64| json!({ "path": path, "cacheTTL": 10, "staleTime": 10, "slowGrace": slow, "graceTime": failed });
    // What is 10 s past its TTL is within 60 s of grace, and beyond 5.
    let rules = json!({ "backend": { "maxConcurrentRequests": 6, "firstByteTimeout": "10m" },
        "urlConfigs": [route("/slow", 60, 5), route("/failed", 5, 60), route("/strict", 60, 60)] });
    let app = App::start(&config_for(&origin, rules));
    let kinds = ["/slow", "/failed", "/strict"];
    for kind in kinds {
        for answer in ["hangs", "breaks"] {
            app.client()
                .get(&format!("{kind}?{answer}"))
                .expect("MISS", "old");
        }
    }
    app.skip_seconds(20);
    for kind in kinds {
        origin.set(&format!("{kind}?hangs"), Answer::ok("new").after(&gate));
        origin.set(
            &format!("{kind}?breaks"),
            Answer::status(503).body("broken"),
        );
    }

    // Two that have to wait, and the one that need not, sent last: when it is answered, their time is up as well.
    let mut waiting: Vec<Client> = ["/failed?hangs", "/strict?hangs", "/slow?hangs"]
        .map(|target| {
            let mut client = app.client();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
            origin.await_requests(target, 2);
            client
        })
        .into();
    app.skip_seconds(3);
    expect_old(&waiting.pop().expect("three").read(), "old", "detail=slow");
    gate.open();
    for client in &mut waiting {
        client.read().expect("MISS", "new");
    }

    expect_old(&app.client().get("/failed?breaks"), "old", "detail=status");
    for target in ["/slow?breaks", "/strict?breaks"] {
        let reply = app.client().get(target);
        assert_eq!(
            (reply.status, reply.cache_status()),
            (503, "MISS"),
            "{reply:?}"
        );
    }
}

//! Faults that were found, each with the input that showed it. A fault keeps its test for ever, named after its row.

use serde_json::{Value, json};

use crate::support::{Answer, App, Client, Gate, Origin, Reply, config_for, eventually};

/// Fields that tell one client from another, under names no list of credentials has.
const TOKENS: [&str; 12] = [
    "X-Access-Token",
    "Private-Token",
    "Api-Key",
    "X-Api-Key",
    "X-Session-Token",
    "Remote-User",
    "X-Auth-Request-User",
    "Cf-Access-Jwt-Assertion",
    "X-Goog-Api-Key",
    "X_Api_Key",
    "Idempotency-Key",
    "X-Scope-OrgID",
];

fn how(reply: &Reply) -> &str {
    reply.field("Cache-Status").unwrap_or_default()
}

/// Neither rules nor defaults: RFC 9111 alone.
fn pure() -> Value {
    json!({ "cache": { "defaultTTL": 0, "defaultStaleTime": 0 } })
}

/// An origin whose answer is the value of that field, without a word for caches.
fn telling(name: &'static str) -> Origin {
    Origin::answering(move |seen| Answer::ok(format!("for {}", seen.values(name).join("+"))))
}

#[test]
fn fault_b1_an_answer_to_one_token_is_nobody_elses_under_a_default_lifetime() {
    for name in TOKENS {
        let origin = telling(name);
        let app = App::start(&config_for(&origin, json!({})));
        let mut client = app.client();
        for token in ["alice", "bob"] {
            let reply = client.get_with("/a", &[(name, token)]);
            reply.expect("BYPASS", &format!("for {token}"));
            let named = format!("detail=custom; field=\"{}\"", name.to_ascii_lowercase());
            assert!(how(&reply).ends_with(&named), "{reply:?}");
        }
        client.get("/a").expect("MISS", "for ");
        // Nor is what is stored for everybody an answer to a token, where only a lifetime of ours says that it is.
        client
            .get_with("/a", &[(name, "alice")])
            .expect("BYPASS", "for alice");
        client.get("/a").expect("HIT", "for ");
    }
}

#[test]
fn fault_b1_nor_under_the_lifetime_of_a_route_or_a_status() {
    let origin = Origin::answering(|seen| match seen.values("X-Access-Token").first() {
        Some(token) => Answer::ok(format!("for {token}")),
        None => Answer::status(404),
    });
    let more = json!({ "urlConfigs": [{ "path": "/a", "cacheTTL": 60 }], "cache": { "statusTTL": { "404": 60 } } });
    let app = App::start(&config_for(&origin, more));
    let mut client = app.client();
    client
        .get_with("/a", &[("X-Access-Token", "alice")])
        .expect("BYPASS", "for alice");
    assert_eq!(client.get("/a").status, 404);
    client
        .get_with("/a", &[("X-Access-Token", "alice")])
        .expect("BYPASS", "for alice");
}

#[test]
fn fault_b1_the_origins_own_word_still_counts() {
    let origin = Origin::answering(|_| Answer::ok("all").field("Cache-Control", "max-age=60"));
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client
        .get_with("/a", &[("X-Access-Token", "alice")])
        .expect("BYPASS", "all");
    client
        .get_with("/a", &[("X-Access-Token", "bob")])
        .expect("HIT", "all");
    client.get("/a").expect("HIT", "all");
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn fault_b1_a_field_that_vary_names_is_told_apart_by_it() {
    let origin = Origin::answering(|seen| {
        Answer::ok(format!("for {}", seen.values("X-Tenant").join("+"))).field("Vary", "X-Tenant")
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client.get("/a").expect("MISS", "for ");
    for tenant in ["one", "two"] {
        let fields = [("X-Tenant", tenant)];
        let body = format!("for {tenant}");
        client.get_with("/a", &fields).expect("MISS", &body);
        client.get_with("/a", &fields).expect("HIT", &body);
    }
    client.get("/a").expect("HIT", "for ");
    assert_eq!(origin.count("/a"), 3);
}

#[test]
fn fault_b1_requests_of_one_token_share_a_flight_and_others_do_not() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |seen| {
        let token = seen.values("X-Access-Token").join("");
        let answer = Answer::ok(format!("for {token}")).field("Cache-Control", "max-age=60");
        answer.after(&held)
    });
    let more = json!({ "backend": { "maxConcurrentRequests": 8 } });
    let app = App::start(&config_for(&origin, more));
    let mut clients: Vec<Client> = (0..6).map(|_| app.client()).collect();
    let token = |number: usize| if number.is_multiple_of(2) { "a" } else { "b" };
    for (number, client) in clients.iter_mut().enumerate() {
        let token = token(number);
        client.send(format!(
            "GET /a HTTP/1.1\r\nHost: h\r\nX-Access-Token: {token}\r\n\r\n"
        ));
    }
    assert!(eventually(|| app.parked() == 6), "all wait");
    gate.open();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.read().text(), format!("for {}", token(number)));
    }
    assert_eq!(origin.count("/a"), 2, "one for each token");
}

#[test]
fn fault_b2_a_shared_fetch_carries_no_custom_field_of_a_client() {
    let origin = Origin::answering(|_| Answer::ok("all").field("Cache-Control", "max-age=60"));
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    let neutral = [
        ("Accept", "text/html, */*;q=0.8"),
        ("Accept-Encoding", "gzip"),
        ("Accept-Language", "de"),
        ("Origin", "http://page.example"),
        ("Referer", "http://page.example/x"),
        ("User-Agent", "EVIL"),
        ("Sec-CH-UA", "\"EVIL\""),
        ("traceparent", "00-EVIL"),
        ("X-Request-ID", "EVIL"),
        ("Cache-Control", "evil"),
        ("X-Forwarded-For", "192.0.2.66"),
        ("True-Client-IP", "192.0.2.66"),
        ("X-Original-URL", "/EVIL"),
        ("CF-Connecting-IP", "192.0.2.66"),
        ("X-Requested-With", "XMLHttpRequest"),
    ];
    client.get_with("/a", &neutral).expect("MISS", "all");
    let seen = origin.last("/a");
    for (name, value) in neutral {
        let sent = seen.values(name);
        let is_sent = name.starts_with("Accept") || matches!(name, "Origin" | "X-Requested-With");
        if is_sent {
            assert_eq!(sent, [value], "{name}");
        } else {
            let is_ours = |value: &String| value.starts_with("larder");
            assert!(sent.iter().all(is_ours), "{name}: {sent:?}");
        }
    }
}

#[test]
fn fault_b2_an_echoed_field_is_not_stored_for_others() {
    let names = [
        "X-HTTP-Host-Override",
        "X-Forwarded",
        "X-Forwarded-Host",
        "True-Client-IP",
        "X-Middleware-Rewrite",
        "RSC",
        "X-Host",
        "X-Original-URL",
        "User-Agent",
        "Referer",
    ];
    for name in names {
        let origin = telling(name);
        let app = App::start(&config_for(&origin, json!({})));
        let mut client = app.client();
        client.get_with("/a", &[(name, "EVIL")]);
        let reply = client.get("/a");
        assert!(!reply.text().contains("EVIL"), "{name}: {reply:?}");
    }
}

#[test]
fn fault_b3_a_failure_that_one_clients_field_provokes_is_its_own() {
    let origin = Origin::answering(|seen| {
        if seen.values("X-Oops").is_empty() {
            Answer::ok("fine").field("Cache-Control", "no-store")
        } else {
            Answer::status(500)
        }
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for _ in 0..4 {
        assert_eq!(client.get_with("/a", &[("X-Oops", "1")]).status, 500);
        for _ in 0..2 {
            client.get("/a").expect("MISS", "fine");
        }
        app.skip_seconds(1);
    }
}

#[test]
fn fault_b3_nor_does_a_range_or_a_condition() {
    let origin = Origin::answering(|seen| {
        let is_plain = seen.values("Range").is_empty() && seen.values("If-None-Match").is_empty();
        if is_plain {
            Answer::ok("fine").field("Cache-Control", "no-store")
        } else {
            Answer::status(500)
        }
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for field in [("Range", "bytes=0-1"), ("If-None-Match", "\"a\"")] {
        for _ in 0..2 {
            assert_eq!(client.get_with("/a", &[field]).status, 500, "{field:?}");
            client.get("/a").expect("MISS", "fine");
        }
    }
}

#[test]
fn fault_b5_a_status_that_a_field_provokes_is_not_stored_for_others() {
    for status in [404, 301] {
        let origin = Origin::answering(move |seen| {
            if seen.values("X-Evil").is_empty() {
                Answer::ok("fine")
            } else {
                Answer::status(status).field("Location", "http://evil.example/")
            }
        });
        let app = App::start(&config_for(&origin, json!({})));
        let mut client = app.client();
        let evil = client.get_with("/a", &[("X-Evil", "1")]);
        assert_eq!(evil.status, status);
        client.get("/a").expect("MISS", "fine");
    }
}

#[test]
fn fault_b6_a_request_that_goes_alone_stores_only_what_its_canonical_form_would() {
    let fields = [
        ("Range", "junk"),
        ("Range", "bytes=0-1"),
        ("If-None-Match", "\"zz\""),
        ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    for field in fields {
        let origin = telling("User-Agent");
        let app = App::start(&config_for(&origin, json!({})));
        let mut client = app.client();
        client.get_with("/a", &[field, ("User-Agent", "EVIL")]);
        let reply = client.get("/a");
        assert!(!reply.text().contains("EVIL"), "{field:?}: {reply:?}");
    }
}

#[test]
fn fault_b6_a_range_and_a_condition_are_sent_in_canonical_form() {
    let origin = Origin::answering(|_| Answer::ok("0123456789"));
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    let fields = [
        ("Range", "bytes=0-1"),
        ("If-Range", "\"a\""),
        ("User-Agent", "EVIL"),
        ("Referer", "http://evil.example/"),
        ("Accept-Language", "de"),
    ];
    client.get_with("/a", &fields);
    let seen = origin.last("/a");
    assert_eq!(seen.values("Range"), ["bytes=0-1"]);
    assert_eq!(seen.values("If-Range"), ["\"a\""]);
    assert_eq!(seen.values("Accept-Language"), ["de"]);
    assert!(seen.values("Referer").is_empty());
    assert!(seen.values("User-Agent")[0].starts_with("larder/"));
}

/// A `public` answer that gives the first visitor a session.
fn giving_sessions() -> Origin {
    Origin::answering(|_| {
        Answer::ok("page")
            .field("Cache-Control", "public, max-age=60")
            .field("Set-Cookie", "session=1")
    })
}

#[test]
fn fault_b7_a_public_answer_is_stored_without_its_cookie() {
    let origin = giving_sessions();
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    let first = client.get("/a");
    first.expect("MISS", "page");
    assert_eq!(first.values("Set-Cookie"), ["session=1"]);
    let second = client.get("/a");
    second.expect("HIT", "page");
    assert_eq!(second.field("Set-Cookie"), None);
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn fault_b7_the_switch_keeps_the_letter_of_the_rfc() {
    let origin = giving_sessions();
    let more = json!({ "cache": { "storeSetCookie": true } });
    let app = App::start(&config_for(&origin, more));
    let mut client = app.client();
    client.get("/a").expect("MISS", "page");
    let second = client.get("/a");
    second.expect("HIT", "page");
    assert_eq!(second.values("Set-Cookie"), ["session=1"]);
}

/// An origin that has one answer with that tag, and says 304 with another one to whoever offers it.
fn renaming(stored: &'static str, confirmed: &'static str) -> Origin {
    Origin::answering(move |seen| {
        let answer = if seen.values("If-None-Match") == [stored] {
            Answer::status(304).field("ETag", confirmed)
        } else {
            Answer::ok("body").field("ETag", stored)
        };
        answer.field("Cache-Control", "max-age=10")
    })
}

#[test]
fn fault_d1_a_304_confirms_the_one_tag_that_was_offered() {
    let cases = [
        ("W/\"abc\"", "\"abc\""),
        ("\"abc\"", "W/\"abc\""),
        ("\"abc-gzip\"", "\"abc\""),
        ("W/\"abc-gzip\"", "\"abc\""),
        ("\"abc--gzip\"", "\"abc\""),
        ("\"abc-br\"", "W/\"abc\""),
    ];
    for (stored, confirmed) in cases {
        let origin = renaming(stored, confirmed);
        let app = App::start(&config_for(&origin, pure()));
        let mut client = app.client();
        client.get("/a").expect("MISS", "body");
        app.skip_seconds(11);
        client.get("/a").expect("HIT", "body");
        assert_eq!(origin.count("/a"), 2, "{stored} {confirmed}");
        client.get("/a").expect("HIT", "body");
        assert_eq!(origin.count("/a"), 2, "{stored} {confirmed}");
    }
}

#[test]
fn fault_d1_a_304_with_the_tag_of_something_else_confirms_nothing() {
    let origin = renaming("\"abc\"", "\"xyz\"");
    let app = App::start(&config_for(&origin, pure()));
    let mut client = app.client();
    client.get("/a").expect("MISS", "body");
    app.skip_seconds(11);
    client.get("/a").expect("MISS", "body");
    assert_eq!(origin.count("/a"), 3);
}

#[test]
fn fault_d2_the_cookie_of_a_304_is_its_clients_own() {
    let origin = Origin::answering(|seen| {
        let answer = if seen.values("If-None-Match").is_empty() {
            Answer::ok("body")
        } else {
            Answer::status(304).field("Set-Cookie", "session=2")
        };
        answer
            .field("ETag", "\"a\"")
            .field("Cache-Control", "max-age=10")
    });
    let app = App::start(&config_for(&origin, pure()));
    let mut client = app.client();
    client.get("/a").expect("MISS", "body");
    app.skip_seconds(11);
    let confirmed = client.get("/a");
    confirmed.expect("HIT", "body");
    assert_eq!(confirmed.values("Set-Cookie"), ["session=2"]);
    let next = client.get("/a");
    next.expect("HIT", "body");
    assert_eq!(next.field("Set-Cookie"), None);
    assert_eq!(origin.count("/a"), 2, "freshened");
}

#[test]
fn fault_d3_a_304_that_nobody_asked_for_never_reaches_a_client() {
    let origin = Origin::serving([("/a", Answer::status(304).field("ETag", "\"a\""))]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    assert_eq!(client.get("/a").status, 502);
    let fields = [("X-Access-Token", "alice")];
    app.skip_seconds(60);
    assert_eq!(client.get_with("/a", &fields).status, 502);
    // To a client with a condition it is an answer.
    app.skip_seconds(60);
    let known = client.get_with("/a", &[("If-None-Match", "\"a\"")]);
    assert_eq!(known.status, 304);
}

#[test]
fn fault_d3_what_is_stored_takes_its_place() {
    let origin = Origin::serving([("/a", Answer::ok("body"))]);
    let more = json!({ "cache": { "defaultTTL": 5, "defaultStaleTime": 5, "graceTime": 60 } });
    let app = App::start(&config_for(&origin, more));
    let mut client = app.client();
    client.get("/a").expect("MISS", "body");
    origin.set("/a", Answer::status(304));
    app.skip_seconds(10);
    let reply = client.get("/a");
    assert_eq!((reply.status, reply.text()), (200, "body".to_owned()));
}

#[test]
fn keyed_fields_are_sent_and_told_apart() {
    let origin = Origin::answering(|seen| {
        Answer::ok(format!("version {}", seen.values("X-Api-Version").join("")))
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client.get("/a").expect("MISS", "version ");
    for version in ["1", "2"] {
        let fields = [("X-Api-Version", version)];
        let body = format!("version {version}");
        client.get_with("/a", &fields).expect("MISS", &body);
        client.get_with("/a", &fields).expect("HIT", &body);
    }
    client.get("/a").expect("HIT", "version ");
    let both = [("X-Api-Version", "1"), ("HX-Request", "true")];
    client.get_with("/a", &both).expect("MISS", "version 1");
    assert_eq!(client.request("DELETE", "/a", &[], b"").status, 200);
    client.get("/a").expect("MISS", "version ");
    client
        .get_with("/a", &[("X-Api-Version", "2")])
        .expect("MISS", "version 2");
}

#[test]
fn an_answer_to_one_web_origin_is_not_anothers() {
    let origin = Origin::answering(|seen| {
        let page = seen.values("Origin").join("");
        let answer = Answer::ok(format!("for {page}"));
        match page.as_str() {
            "" => answer,
            _ => answer.field("Access-Control-Allow-Origin", &page),
        }
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for page in ["http://one", "http://two"] {
        let fields = [("Origin", page)];
        let body = format!("for {page}");
        client.get_with("/a", &fields).expect("MISS", &body);
        client.get_with("/a", &fields).expect("HIT", &body);
    }
    client.get("/a").expect("MISS", "for ");
}

#[test]
fn an_answer_of_a_type_that_accept_excludes_is_not_selected() {
    let origin = Origin::answering(|seen| {
        let wants_text = seen
            .values("Accept")
            .iter()
            .any(|accept| accept == "text/html");
        if wants_text {
            Answer::ok("<p>").field("Content-Type", "text/html")
        } else {
            Answer::ok("{}").field("Content-Type", "application/json")
        }
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client.get("/a").expect("MISS", "{}");
    client
        .get_with("/a", &[("Accept", "application/json")])
        .expect("HIT", "{}");
    client
        .get_with("/a", &[("Accept", "text/html")])
        .expect("MISS", "<p>");
    client
        .get_with("/a", &[("Accept", "text/html")])
        .expect("HIT", "<p>");
}

#[test]
fn an_origin_that_heeds_no_accept_is_not_asked_again_for_each() {
    let origin = Origin::serving([(
        "/a",
        Answer::ok("{}").field("Content-Type", "application/json"),
    )]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client.get("/a").expect("MISS", "{}");
    let fields = [("Accept", "text/html")];
    client.get_with("/a", &fields).expect("MISS", "{}");
    client.get_with("/a", &fields).expect("HIT", "{}");
    client.get("/a").expect("HIT", "{}");
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn fault_b3_an_unusual_accept_does_not_keep_others_from_asking() {
    let origin = Origin::answering(|seen| match seen.values("Accept").first() {
        Some(accept) if accept == "text/evil" => Answer::status(500),
        _ => Answer::ok("fine").field("Cache-Control", "no-store"),
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for _ in 0..4 {
        client.get_with("/a", &[("Accept", "text/evil")]);
        client.get("/a").expect("MISS", "fine");
    }
}

#[test]
fn a_custom_request_looks_again_once_it_may_ask() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |seen| match seen.target.as_str() {
        "/a" => Answer::ok("all").field("Cache-Control", "max-age=60"),
        _ => Answer::ok("other").after(&held),
    });
    let more = json!({ "backend": { "maxConcurrentRequests": 1 } });
    let app = App::start(&config_for(&origin, more));
    let mut busy = app.client();
    busy.send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
    origin.await_requests("/busy", 1);
    let mut clients: Vec<Client> = (0..3).map(|_| app.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!(
            "GET /a HTTP/1.1\r\nHost: h\r\nX-Access-Token: {number}\r\n\r\n"
        ));
    }
    assert!(eventually(|| app.parked() == 4), "all wait");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read().text(), "all");
    }
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn a_route_says_which_fields_select_and_which_do_not_matter() {
    let origin = Origin::answering(|seen| {
        let tenant = seen.values("X-Tenant").join("");
        let noise = seen.values("X-Noise").join("");
        Answer::ok(format!("tenant {tenant} noise {noise}"))
    });
    let more = json!({ "urlConfigs": [
        { "path": "/a", "varyOn": ["X-Tenant"], "ignoreFields": ["X-Noise"] },
        { "path": "/b", "ignoreFields": ["*"] },
    ] });
    let app = App::start(&config_for(&origin, more));
    let mut client = app.client();
    for tenant in ["one", "two"] {
        let body = format!("tenant {tenant} noise ");
        let fields = |noise| [("X-Tenant", tenant), ("X-Noise", noise)];
        client.get_with("/a", &fields("1")).expect("MISS", &body);
        client.get_with("/a", &fields("2")).expect("HIT", &body);
    }
    client.get("/a").expect("MISS", "tenant  noise ");
    let fields = [
        ("X-Tenant", "one"),
        ("X-Requested-With", "x"),
        ("Cookie", "a=b"),
    ];
    client
        .get_with("/b", &fields)
        .expect("MISS", "tenant  noise ");
    client.get("/b").expect("HIT", "tenant  noise ");
    client
        .get_with("/b", &[("Authorization", "Basic x")])
        .expect("BYPASS", "tenant  noise ");
}

//! Rows P: what passes through, and how.

use serde_json::json;

use crate::support::{Answer, App, Client, Gate, Origin, Start, config, config_for, eventually};

fn echo() -> Origin {
    Origin::answering(|seen| Answer::ok(format!("{} {}", seen.method, seen.target)))
}

#[test]
fn p1_method_path_and_query_reach_the_origin_as_they_are() {
    let origin = echo();
    let app = App::start(&config_for(&origin, json!({})));
    let targets = [
        "/",
        "/?",
        "/a/b?x=%2F&y=1&y=2",
        "/a%20b",
        "/a//b",
        "/a/../b",
        "/%7Euser",
        "/x?q=a/b?c",
        "/a;b=c",
    ];
    for target in targets {
        for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "M-SEARCH"] {
            let reply = app.client().request(method, target, &[], b"");
            assert_eq!(
                (reply.status, reply.text()),
                (200, format!("{method} {target}"))
            );
        }
    }
}

#[test]
fn p1_absolute_form_is_its_path_and_query() {
    let origin = echo();
    let app = App::start(&config_for(&origin, json!({})));
    app.client()
        .get("http://elsewhere.test/a?b=c")
        .expect("MISS", "GET /a?b=c");
    app.client().get("/a?b=c").expect("HIT", "GET /a?b=c");
}

#[test]
fn p1_targets_that_name_nothing_here_are_refused() {
    let origin = echo();
    let app = App::start(&config_for(&origin, json!({})));
    for (line, status) in [
        ("CONNECT a.test:443", 405),
        ("GET *", 400),
        ("GET a", 400),
        ("GET /a#b", 400),
        ("GET ftp://a.test/", 400),
        ("GET /a\u{7f}", 400),
        ("GET /é", 400),
    ] {
        let mut client = app.client();
        client.send(format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(client.read().status, status, "{line}");
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn p2_the_command_line_beats_the_environment_beats_the_file() {
    let of_line = echo();
    let of_environment = echo();
    let of_file = echo();
    let from_file = Start::with(config_for(&of_file, json!({}))).run();
    let from_environment = Start::with(config_for(&of_file, json!({})))
        .environment("BACKEND_URL", &of_environment.url())
        .run();
    let from_line = Start::with(config_for(&of_file, json!({})))
        .environment("BACKEND_URL", &of_environment.url())
        .arguments(&["--origin", &of_line.url()])
        .run();

    for proc in [from_file, from_environment, from_line] {
        assert_eq!(proc.client().get("/a").status, 200);
    }

    assert_eq!(
        [
            of_file.requests(),
            of_environment.requests(),
            of_line.requests()
        ],
        [1, 1, 1]
    );
}

#[test]
fn p3_only_get_is_cached() {
    let origin = echo();
    let app = App::start(&config_for(&origin, json!({})));
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for _ in 0..2 {
            app.client()
                .request(method, "/a", &[], b"x")
                .expect("BYPASS", &format!("{method} /a"));
        }
    }
    assert_eq!(origin.count("/a"), 10);
}

#[test]
fn p3_head_is_answered_from_a_stored_get() {
    let origin = echo();
    let app = App::start(&config_for(&origin, json!({})));
    app.client().get("/a").expect("MISS", "GET /a");

    let mut client = app.client();
    let reply = client.request("HEAD", "/a", &[], b"");

    assert_eq!(
        (
            reply.status,
            reply.cache_status(),
            reply.field("Content-Length")
        ),
        (200, "HIT", Some("6"))
    );
    client.get("/a").expect("HIT", "GET /a");
    assert_eq!(origin.requests(), 1);
}

#[test]
fn p3_head_on_a_miss_is_forwarded_or_asked_as_get() {
    let refusing = |status| {
        Origin::answering(move |seen| {
            if seen.method == "HEAD" {
                Answer::status(status)
            } else {
                Answer::ok("12345").field("X-A", "b")
            }
        })
    };
    for (origin, asked) in [
        (refusing(501), true),
        (refusing(405), true),
        (echo(), false),
    ] {
        let app = App::start(&config_for(&origin, json!({})));
        let mut client = app.client();
        let reply = client.request("HEAD", "/a", &[], b"");
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{reply:?}");
        assert_eq!(origin.seen()[0].method, "HEAD");
        assert_eq!(origin.seen().iter().any(|seen| seen.method == "GET"), asked);
        if asked {
            assert_eq!(
                (reply.field("Content-Length"), reply.field("X-A")),
                (Some("5"), Some("b"))
            );
        }
        assert_eq!(
            client.get("/health").status,
            200,
            "the connection is in step"
        );
    }
}

#[test]
fn p4_hop_by_hop_fields_stop_at_larder_in_both_directions() {
    let answer = Answer::ok("a")
        .field("Connection", "X-Hop, keep-alive")
        .field("X-Hop", "1")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Authenticate", "Basic")
        .field("Upgrade", "h2c")
        .field("Trailer", "X-T")
        .field("X-End", "kept");
    let origin = Origin::serving([("/a", answer)]);
    let app = App::start(&config_for(&origin, json!({})));
    let request = [
        ("Connection", "X-Mine, Keep-Alive"),
        ("X-Mine", "1"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("Proxy-Connection", "keep-alive"),
        ("Accept-Language", "kept"),
    ];

    for cache_status in ["MISS", "HIT"] {
        let reply = app.client().get_with("/a", &request);
        reply.expect(cache_status, "a");
        for name in [
            "X-Hop",
            "Proxy-Authenticate",
            "Upgrade",
            "Trailer",
            "Transfer-Encoding",
        ] {
            assert_eq!(reply.field(name), None, "{name}");
        }
        assert_eq!(reply.field("X-End"), Some("kept"));
    }

    let seen = origin.last("/a");
    for name in ["X-Mine", "Keep-Alive", "TE", "Upgrade", "Proxy-Connection"] {
        assert_eq!(seen.values(name), Vec::<String>::new(), "{name}");
    }
    assert_eq!(seen.values("Accept-Language"), ["kept"]);
    assert_eq!(
        seen.values("Host"),
        [origin.url().trim_start_matches("http://")]
    );
}

#[test]
fn p4_fields_a_stranger_may_not_set_are_taken_off() {
    let origin = echo();
    let app = App::start(&config_for(&origin, json!({})));
    let names = [
        "X-Host",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "Proxy",
    ];
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (*name, "forged")).collect();
    app.client().get_with("/a", &fields);
    app.client().request(
        "POST",
        "/b",
        &[("X-Forwarded-Host", "forged"), ("X-Real-IP", "1.2.3.4")],
        b"x",
    );

    let head = |target: &str| String::from_utf8_lossy(&origin.last(target).head).into_owned();
    assert!(!head("/a").contains("forged"), "{}", head("/a"));
    assert!(
        !head("/b").contains("forged") && !head("/b").contains("1.2.3.4"),
        "{}",
        head("/b")
    );
}

#[test]
fn p5_bodies_and_fields_pass_byte_for_byte() {
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let answers = [
        ("/length", Answer::ok(&body)),
        ("/chunked", Answer::ok(&body).chunked()),
        ("/close", Answer::ok(&body).until_close()),
        ("/http10", Answer::ok(&body).http10()),
    ];
    let origin = Origin::serving(answers.map(|(target, answer)| {
        (
            target,
            answer
                .field("X-Twice", "1")
                .field("X-Twice", "2")
                .field("X-Obs", b"\xe9\xff")
                .field("X-Empty", ""),
        )
    }));
    let app = App::start(&config_for(&origin, json!({})));
    for target in ["/length", "/chunked", "/close", "/http10"] {
        for cache_status in ["MISS", "HIT"] {
            let reply = app.client().get(target);
            assert_eq!(
                (reply.status, reply.cache_status()),
                (200, cache_status),
                "{target}"
            );
            assert!(
                reply.body == body,
                "{target} {cache_status}: {} bytes",
                reply.body.len()
            );
            assert_eq!(reply.values("X-Twice"), ["1", "2"]);
            assert_eq!(reply.field("X-Obs"), Some("\u{e9}\u{ff}"));
            assert_eq!(reply.field("X-Empty"), Some(""));
        }
    }
    app.client().request(
        "POST",
        "/post",
        &[("Content-Type", "application/octet-stream")],
        &body,
    );
    let seen = origin.last("/post");
    assert!(seen.body == body && seen.values("Content-Type") == ["application/octet-stream"]);
}

#[test]
fn p5_a_chunked_request_body_arrives_whole() {
    let origin = echo();
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client.send(
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
    );
    client.read().expect("BYPASS", "POST /a");
    assert_eq!(origin.last("/a").body, b"hello world");
    client.get("/b").expect("MISS", "GET /b");
}

#[test]
fn p5_unusual_statuses_and_bodiless_answers_pass() {
    let origin = Origin::answering(|seen| {
        let status = seen.target[1..].parse().unwrap();
        Answer::status(status).body(if status == 204 { "" } else { "body" })
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for status in [201, 204, 206, 299, 300, 303, 404, 418, 451, 499, 599] {
        assert_eq!(client.get(&format!("/{status}")).status, status);
    }
}

#[test]
fn p6_the_connection_to_the_origin_is_kept() {
    let origin = echo();
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for n in 0..20 {
        client
            .get(&format!("/{n}"))
            .expect("MISS", &format!("GET /{n}"));
    }
    // One connection per origin worker at most; there are two.
    assert!(
        origin.connections_ever() <= 2,
        "{}",
        origin.connections_ever()
    );
}

#[test]
fn p6_the_origin_never_sees_more_connections_than_slots() {
    let gate = Gate::closed();
    let theirs = gate.clone();
    let origin = Origin::answering(move |seen| Answer::ok(&seen.target).after(&theirs));
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "slowRequestTimeout": 30000 } }),
    ));
    let mut clients: Vec<Client> = (0..20).map(|_| app.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    assert!(eventually(|| origin.requests() == 2));
    gate.open();
    for (n, client) in clients.iter_mut().enumerate() {
        client.read().expect("MISS", &format!("/{n}"));
    }
    assert_eq!((origin.requests(), origin.connections_peak()), (20, 2));
}

#[test]
fn p6_a_kept_connection_that_the_origin_closed_is_no_error() {
    // Closes without having said so.
    let origin = Origin::answering(|seen| {
        let length = seen.target.len();
        Answer::verbatim(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}",
            seen.target
        ))
        .closing()
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for n in 0..10 {
        client
            .get(&format!("/{n}"))
            .expect("MISS", &format!("/{n}"));
    }
}

#[test]
fn p9_errors_of_the_origin_pass_faithfully() {
    let origin = Origin::answering(|seen| {
        Answer::status(seen.target[1..].parse().unwrap())
            .field("Content-Type", "application/problem+json")
            .field("Retry-After", "17")
            .body(r#"{"own": "words"}"#)
    });
    let app = App::start(&config_for(&origin, json!({})));
    for status in [400, 401, 403, 404, 409, 429, 500, 501, 502, 503, 504] {
        let reply = app.client().get(&format!("/{status}"));
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (status, r#"{"own": "words"}"#)
        );
        assert_eq!(reply.field("Retry-After"), Some("17"));
        assert_eq!(
            reply.field("Content-Type"),
            Some("application/problem+json")
        );
    }
}

#[test]
fn http10_clients_are_served_as_they_asked() {
    let origin = Origin::serving([("/a", Answer::ok("a").chunked())]);
    let app = App::start(&config(&origin.url(), json!({})));
    let mut closing = app.client();
    closing.send("GET /a HTTP/1.0\r\nHost: x\r\n\r\n");
    let reply = closing.read();
    assert_eq!(
        (reply.text().as_str(), reply.field("Transfer-Encoding")),
        ("a", None)
    );
    closing.expect_end();

    let mut kept: Client = app.client();
    for _ in 0..2 {
        kept.send("GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
        let reply = kept.read();
        assert!(
            reply
                .field("Connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("keep-alive")),
            "{reply:?}"
        );
    }
}

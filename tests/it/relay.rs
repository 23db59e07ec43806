//! What an origin may say oddly, and what its client then reads.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::json;

use crate::support::{Answer, App, Gate, Origin, config_for};

#[test]
fn an_odd_status_line_is_an_answer() {
    for (line, status) in [
        ("HTTP/1.1 200", 200),
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 404 Not  \tfound, at all", 404),
        ("HTTP/1.1 299 \u{e9}", 299),
        ("HTTP/1.1 599 Odd", 599),
        ("HTTP/1.1 999 Odd", 999),
    ] {
        let origin = Origin::answering(move |_| {
            Answer::verbatim(format!(
                "{line}\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\na"
            ))
        });
        let app = App::start(&config_for(&origin, json!({})));
        let mut client = app.client();
        let reply = client.get("/a");
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (status, "a"),
            "{line}"
        );
        assert_eq!(client.get("/a").status, status, "{line}");
        // What is no status of HTTP passes, but is not stored (RFC 9110 §15).
        assert!(status < 600 || origin.requests() == 2, "{line}");
    }
}

/// RFC 9110 §7.6.2: with nobody left who may forward it, we are the one who answers.
#[test]
fn a_way_that_its_client_limits_ends_where_it_says() {
    let origin = Origin::answering(|seen| Answer::ok(seen.values("Max-Forwards").join(" and ")));
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    let mut ask =
        |method: &str, left: &str| client.request(method, "/a", &[("Max-Forwards", left)], b"");
    for (method, status) in [("OPTIONS", 200), ("TRACE", 405)] {
        let reply = ask(method, "0");
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(
            reply.field("Allow"),
            Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        );
        assert!(
            reply.text().contains("Max-Forwards is 0") && reply.field("Via").is_none(),
            "{reply:?}"
        );
    }
    assert_eq!(origin.requests(), 0);

    for method in ["OPTIONS", "TRACE"] {
        ask(method, "1").expect("BYPASS", "0");
        ask(method, "12").expect("BYPASS", "11");
        ask(method, "many").expect("BYPASS", "many");
    }
    // By any other method it means nothing.
    ask("GET", "0").expect("MISS", "");
    ask("DELETE", "3").expect("BYPASS", "3");
    // What is left of the way to an endpoint of ours does not matter: it ends there.
    assert_eq!(
        client
            .request("OPTIONS", "/health", &[("Max-Forwards", "0")], b"")
            .status,
        200
    );
}

/// Nobody here knows the coding, so the body is whatever comes (RFC 9112 §6.3).
#[test]
fn a_body_under_an_unknown_coding_ends_at_close() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gibberish\r\n\r\nhello";
    let origin = Origin::serving([
        ("/a", Answer::verbatim(answer).closing()),
        ("/b", Answer::ok("b")),
    ]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    let reply = client.get("/a");
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    assert_eq!(
        (
            reply.field("Content-Length"),
            reply.field("Transfer-Encoding")
        ),
        (Some("5"), None)
    );
    client.get("/b").expect("MISS", "b");
}

#[test]
fn no_length_is_invented_where_there_is_no_body() {
    let origin = Origin::answering(|seen| {
        let status = &seen.target[1..];
        Answer::verbatim(format!("HTTP/1.1 {status} Odd\r\nETag: \"e\"\r\n\r\n"))
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for status in [204, 304] {
        for _ in 0..2 {
            let reply = client.get_with(&format!("/{status}"), &[("If-None-Match", "\"other\"")]);
            assert_eq!((reply.status, reply.field("ETag")), (status, Some("\"e\"")));
            assert_eq!(
                (
                    reply.field("Content-Length"),
                    reply.field("Transfer-Encoding")
                ),
                (None, None),
                "{status}"
            );
        }
    }
}

#[test]
fn head_tells_the_length_get_would_have_or_none() {
    let origin = Origin::serving([
        ("/known", Answer::ok("12345")),
        ("/unknown", Answer::ok("12345").chunked()),
        ("/empty", Answer::ok("")),
    ]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for (target, length) in [
        ("/known", Some("5")),
        ("/unknown", None),
        ("/empty", Some("0")),
    ] {
        let reply = client.request("HEAD", target, &[], b"");
        assert_eq!(
            (reply.status, reply.field("Content-Length")),
            (200, length),
            "{target}"
        );
    }
    client.get("/unknown").expect("MISS", "12345");
    assert_eq!(
        client
            .request("HEAD", "/unknown", &[], b"")
            .field("Content-Length"),
        Some("5")
    );
}

/// What comes beyond the announced end is nobody's answer, and the connection it came on is not used again.
#[test]
fn a_connection_with_more_than_was_announced_is_not_used_again() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for first in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{evil}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{evil}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{evil}"),
    ] {
        let origin = Origin::serving([
            ("/first", Answer::verbatim(&first)),
            ("/next", Answer::ok("next")),
        ]);
        let more = json!({ "backend": { "maxConcurrentRequests": 1 } });
        let app = App::start(&config_for(&origin, more));
        let mut client = app.client();
        assert!(matches!(client.get("/first").status, 200 | 204));
        client.get("/next").expect("MISS", "next");
        assert_eq!(origin.connections_ever(), 2, "{first}");
    }
}

#[test]
fn a_body_shorter_than_announced_is_never_stored() {
    for answer in [
        Answer::ok("12345").claiming(10).closing(),
        Answer::ok("12345").chunked().cut_after(2),
        Answer::ok("12345").http10().claiming(10),
    ] {
        let origin = Origin::serving([("/a", answer.field("Cache-Control", "max-age=60"))]);
        let app = App::start(&config_for(&origin, json!({})));
        let mut client = app.client();
        assert_eq!(client.get("/a").status, 502);
        origin.set("/a", Answer::ok("whole"));
        app.skip_seconds(600);
        client.get("/a").expect("MISS", "whole");
    }
}

#[test]
fn a_client_that_has_ended_its_side_gets_all_of_a_body_that_is_passed_on() {
    let gate = Gate::closed();
    let rest = gate.clone();
    let origin = Origin::answering(move |_| {
        let rest = rest.clone();
        let begun = Answer::ok("01234").claiming(10);
        begun.by_hand(move |stream| {
            rest.pass();
            stream.write_all(b"56789")
        })
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = TcpStream::connect(app.addr()).expect("a connection");
    client
        .write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("sent");
    client.shutdown(Shutdown::Write).expect("ended");
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\n01234") {
        let mut piece = [0; 1024];
        let read = client.read(&mut piece).expect("the first half");
        assert!(read > 0, "{}", String::from_utf8_lossy(&reply));
        reply.extend_from_slice(&piece[..read]);
    }
    gate.open();
    client.read_to_end(&mut reply).expect("the rest");
    assert!(reply.ends_with(b"0123456789"));
}

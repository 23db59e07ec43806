//! Bodies that take their time: shared, stored and passed on while they grow (docs/decisions/0031).

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, App, Client, Gate, Origin, config_for, eventually};

const GET: &str = "GET /key HTTP/1.1\r\nHost: larder.test\r\n\r\n";
/// Longer than a body may take to come in one piece with its head, by far.
const PAUSE: Duration = Duration::from_millis(600);

/// A chunk on the wire.
fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut wire = format!("{:x}\r\n", bytes.len()).into_bytes();
    wire.extend_from_slice(bytes);
    wire.extend_from_slice(b"\r\n");
    wire
}

/// 200, chunked, storable for five minutes: `first`, and when the gate opens `second` and the end.
fn two_parts(first: &'static str, gate: &Gate, second: &'static str) -> Answer {
    let gate = gate.clone();
    chunked_head(&[("Cache-Control", "max-age=300")]).by_hand(move |stream| {
        stream.write_all(&chunk(first.as_bytes()))?;
        pass(&gate)?;
        stream.write_all(&chunk(second.as_bytes()))?;
        stream.write_all(b"0\r\n\r\n")
    })
}

/// The head of a chunked answer; its body is written by hand.
fn chunked_head(fields: &[(&str, &str)]) -> Answer {
    let mut head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_owned();
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    Answer::verbatim(head + "\r\n")
}

fn pass(gate: &Gate) -> std::io::Result<()> {
    if gate.pass() {
        return Ok(());
    }
    Err(std::io::ErrorKind::TimedOut.into())
}

/// Says `first`, is silent for [`PAUSE`], and says `second`.
fn with_a_pause(answer: Answer, first: &'static str, second: &'static str) -> Answer {
    answer.by_hand(move |stream| {
        stream.write_all(first.as_bytes())?;
        std::thread::park_timeout(PAUSE);
        stream.write_all(second.as_bytes())
    })
}

#[test]
fn fault_c1_a_poll_whose_body_comes_late_is_stored() {
    let origin = Origin::answering(|_| {
        with_a_pause(
            Answer::verbatim("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
            "",
            "0123456789",
        )
    });
    let route = json!({ "path": "/now", "cacheTTL": 600, "staleTime": 600, "pollInterval": 300 });
    let app = App::start(&config_for(&origin, json!({ "urlConfigs": [route] })));
    origin.await_requests("/now", 1);
    assert!(eventually(|| app.active() == 0), "the poll never ends");
    app.client().get("/now").expect("HIT", "0123456789");
    assert_eq!(origin.count("/now"), 1);
}

#[test]
fn fault_c2_a_body_that_pauses_is_stored_and_shared() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/key", two_parts("hello ", &gate, "world"))]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut first = app.client();
    first.send(GET);
    assert!(first.await_bytes("hello "));
    let mut second = app.client();
    second.send(GET);
    assert!(second.await_bytes("hello "));
    gate.open();
    first.read().expect("MISS", "hello world");
    second.read().expect("MISS", "hello world");
    app.client().get("/key").expect("HIT", "hello world");
    assert_eq!(origin.count("/key"), 1);
}

#[test]
fn fault_c3_a_slow_body_is_passed_on_at_once_and_lives_while_it_moves() {
    for (method, kind) in [
        ("GET", "application/x-ndjson"),
        ("POST", "application/x-ndjson"),
        ("POST", "application/grpc-web+proto"),
        ("GET", "application/octet-stream"),
        ("POST", "text/plain"),
    ] {
        let seen = Arc::new(AtomicBool::new(false));
        let is_seen = Arc::clone(&seen);
        let answer = chunked_head(&[("Content-Type", kind), ("Cache-Control", "no-store")]);
        let answer = answer.by_hand(move |stream| {
            stream.write_all(&chunk(b"one"))?;
            // It moves for longer than `totalTimeout`, and never pauses for long before its first byte was seen.
            for number in 0..200 {
                std::thread::park_timeout(Duration::from_millis(100));
                stream.write_all(&chunk(b"."))?;
                if number > 15 && is_seen.load(Ordering::Acquire) {
                    break;
                }
            }
            stream.write_all(b"0\r\n\r\n")
        });
        let origin = Origin::serving([("/key", answer)]);
        let more = json!({ "backend": { "totalTimeout": 1000, "idleTimeout": 5000 } });
        let app = App::start(&config_for(&origin, more));
        let mut client = app.client();
        client.send(format!(
            "{method} /key HTTP/1.1\r\nHost: larder.test\r\n\r\n"
        ));
        assert!(client.await_bytes("one"), "{method} {kind}");
        seen.store(true, Ordering::Release);
        let reply = client.read();
        assert_eq!(
            (reply.status, reply.text().trim_end_matches('.')),
            (200, "one"),
            "{method} {kind}"
        );
    }
}

#[test]
fn fault_c4_streams_have_a_budget_of_their_own() {
    let gate = Gate::closed();
    let theirs = gate.clone();
    let origin = Origin::answering(move |seen| {
        if seen.target == "/miss" {
            return Answer::ok("found");
        }
        let gate = theirs.clone();
        let answer = Answer::verbatim("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        answer.by_hand(move |stream| {
            stream.write_all(b"data: 1\n\n")?;
            pass(&gate)
        })
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut listeners: Vec<Client> = (0..16).map(|_| app.client()).collect();
    for (number, client) in listeners.iter_mut().enumerate() {
        client.send(format!(
            "GET /events?{number} HTTP/1.1\r\nHost: larder.test\r\n\r\n"
        ));
        assert!(client.await_bytes("data: 1\n\n"), "{number}");
    }
    app.client().get("/miss").expect("MISS", "found");
    assert_eq!(app.active(), 0, "streams hold no permit");
    gate.open();
    for client in &mut listeners {
        assert_eq!(client.read().text(), "data: 1\n\n");
    }
}

#[test]
fn fault_c5_ten_ranges_of_one_cold_large_object_are_few_requests() {
    let whole: Vec<u8> = (0..8 << 20).map(|at: u32| (at / 7) as u8).collect();
    let gate = Gate::closed();
    let (theirs, body) = (gate.clone(), whole.clone());
    let origin = Origin::answering(move |seen| {
        let answer = match seen.values("Range").first() {
            None => Answer::ok(&body),
            Some(_) => Answer::status(206)
                .body(&body[1000..2000])
                .field("Content-Range", format!("bytes 1000-1999/{}", body.len())),
        };
        answer
            .field("Cache-Control", "max-age=300")
            .field("ETag", "\"e\"")
            .after(&theirs)
    });
    let more = json!({ "cache": { "maxObjectBytes": 16 << 20, "slowRequestTimeout": 30000 },
        "backend": { "maxConcurrentRequests": 16 } });
    let app = App::start(&config_for(&origin, more));
    let mut clients: Vec<Client> = (0..10).map(|_| app.client()).collect();
    for client in &mut clients {
        client.send("GET /key HTTP/1.1\r\nHost: larder.test\r\nRange: bytes=1000-1999\r\n\r\n");
    }
    assert!(eventually(|| app.parked() == 10), "{} wait", app.parked());
    gate.open();
    for client in &mut clients {
        let reply = client.read();
        assert_eq!(reply.status, 206, "{reply:?}");
        assert!(reply.body == whole[1000..2000], "{reply:?}");
    }
    assert!(
        origin.count("/key") <= 2,
        "{} requests",
        origin.count("/key")
    );
}

#[test]
fn fault_c6_a_chunked_body_whose_end_comes_late_is_stored_when_it_is_whole() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/key", two_parts("all of it", &gate, "."))]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client.send(GET);
    assert!(client.await_bytes("all of it"));
    std::thread::park_timeout(PAUSE);
    gate.open();
    client.read().expect("MISS", "all of it.");
    app.client().get("/key").expect("HIT", "all of it.");
    assert_eq!(origin.count("/key"), 1);
}

#[test]
fn a_hundred_readers_of_a_growing_body_are_one_request() {
    let count = match std::env::var_os("LARDER_SOAK") {
        Some(_) => 1000,
        None => 100,
    };
    let (begin, middle, end) = (Gate::closed(), Gate::closed(), Gate::closed());
    let (first, second, last) = (begin.clone(), middle.clone(), end.clone());
    let answer = chunked_head(&[("Cache-Control", "max-age=300")]).by_hand(move |stream| {
        pass(&first)?;
        stream.write_all(&chunk(b"1"))?;
        pass(&second)?;
        stream.write_all(&chunk(b"2"))?;
        pass(&last)?;
        stream.write_all(b"0\r\n\r\n")
    });
    let origin = Origin::serving([("/key", answer)]);
    let more = json!({ "cache": { "slowRequestTimeout": 30000 },
        "proxy": { "maxConnections": 4096, "maxConnectionsPerClient": 2048 } });
    let app = App::start(&config_for(&origin, more));
    let mut clients: Vec<Client> = (0..count).map(|_| app.client()).collect();
    for client in &mut clients {
        client.send(GET);
    }
    for client in &mut clients {
        assert!(
            client.await_bytes("\r\n\r\n"),
            "the head comes before the body"
        );
    }
    begin.open();
    for client in &mut clients {
        assert!(client.await_bytes("\r\n\r\n1\r\n1\r\n"), "byte 1");
    }
    middle.open();
    end.open();
    for client in &mut clients {
        assert_eq!(client.read().text(), "12");
    }
    assert_eq!(origin.count("/key"), 1);
}

#[test]
fn a_growing_body_that_is_cut_resets_its_readers_and_leaves_what_is_stored() {
    let gate = Gate::closed();
    let theirs = gate.clone();
    let cut =
        chunked_head(&[("Cache-Control", "max-age=300")]).by_hand(move |stream: &mut TcpStream| {
            stream.write_all(&chunk(b"half"))?;
            pass(&theirs)
        });
    let origin = Origin::serving([("/key", cut)]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut clients: Vec<Client> = (0..3).map(|_| app.client()).collect();
    for client in &mut clients {
        client.send(GET);
        assert!(client.await_bytes("half"));
    }
    gate.open();
    for client in &mut clients {
        assert!(client.read_or_end().is_none(), "shown as whole");
    }
    assert!(eventually(|| app.active() == 0));
    origin.set("/key", Answer::ok("whole"));
    app.skip_seconds(600);
    app.client().get("/key").expect("MISS", "whole");
}

#[test]
fn an_invalidated_growing_body_takes_no_new_reader_and_is_not_stored() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/key", two_parts("old ", &gate, "body"))]);
    let more = json!({ "backend": { "maxConcurrentRequests": 4 } });
    let app = App::start(&config_for(&origin, more));
    let mut first = app.client();
    first.send(GET);
    assert!(first.await_bytes("old "));
    origin.set(
        "/key",
        Answer::ok("new").field("Cache-Control", "max-age=300"),
    );
    app.client().request("POST", "/key", &[], b"change");
    app.client().get("/key").expect("MISS", "new");
    gate.open();
    assert_eq!(first.read().text(), "old body");
    app.client().get("/key").expect("HIT", "new");
}

#[test]
fn a_body_that_outgrows_what_may_be_stored_is_its_leaders() {
    let gate = Gate::closed();
    let theirs = gate.clone();
    const PART: usize = 64 * 1024;
    let answer = chunked_head(&[("Cache-Control", "max-age=300")]).by_hand(move |stream| {
        stream.write_all(&chunk(b"begin"))?;
        pass(&theirs)?;
        for _ in 0..100 {
            stream.write_all(&chunk(&[b'x'; PART]))?;
        }
        stream.write_all(b"0\r\n\r\n")
    });
    let origin = Origin::serving([("/key", answer)]);
    let more = json!({ "cache": { "maxObjectBytes": 1 << 20 } });
    let app = App::start(&config_for(&origin, more));
    let mut leader = app.client();
    leader.send(GET);
    assert!(leader.await_bytes("begin"));
    let mut slow = Client::connect_narrow(app.addr());
    slow.send(GET);
    assert!(slow.await_bytes("begin"));
    gate.open();
    let whole = leader.read();
    assert_eq!(whole.body.len(), 5 + 100 * PART);
    // It took nothing meanwhile, and is further behind than bytes are kept for.
    assert!(slow.read_or_end().is_none(), "whole, though it was cut off");
    assert!(eventually(|| app.active() == 0));
    origin.set("/key", Answer::ok("next"));
    assert_eq!(app.client().get("/key").text(), "next", "nothing is stored");
}

#[test]
fn what_waits_with_a_stale_answer_is_given_whole_bodies_only() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/key", Answer::ok("old"))]);
    let route = json!({ "path": "/key", "cacheTTL": 10, "staleTime": 10, "slowGrace": 600 });
    let more = json!({ "urlConfigs": [route], "cache": { "slowRequestTimeout": 30000 } });
    let app = App::start(&config_for(&origin, more));
    app.client().get("/key").expect("MISS", "old");
    app.skip_seconds(20);
    origin.set("/key", two_parts("new ", &gate, "body"));
    let mut client = app.client();
    client.send(GET);
    origin.await_requests("/key", 2);
    assert!(eventually(|| app.parked() == 1));
    gate.open();
    client.read().expect("MISS", "new body");
}

#[test]
fn fault_a6_a_refusal_that_comes_while_the_upload_runs_is_relayed() {
    for closes in [false, true] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let gate = Gate::closed();
        let done = gate.clone();
        let refusing = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = Vec::new();
            crate::support::fill_to(&mut stream, &mut buffer, b"\r\n\r\n");
            stream
                .write_all(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
                .unwrap();
            if !closes {
                // It reads nothing more.
                done.pass();
            }
        });
        let app = App::start(&crate::support::config(
            &url,
            json!({ "proxy": { "maxBodyBytes": 8 << 20 } }),
        ));
        let mut client = app.client();
        let reply = client.request("POST", "/key", &[], &vec![b'x'; 5 << 20]);
        gate.open();
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (413, "big"),
            "{reply:?}"
        );
        refusing.join().unwrap();
    }
}

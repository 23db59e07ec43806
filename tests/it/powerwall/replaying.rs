//! The replaying origin itself: asked directly, it says what was recorded and behaves as the programs did.

use std::net::{SocketAddr, TcpStream};

use super::{PROXY, SERVER};
use crate::support::{Behaviour, Client, Replay, Reply};

fn addr(origin: &Replay) -> SocketAddr {
    origin.url().trim_start_matches("http://").parse().unwrap()
}

fn ask(origin: &Replay, method: &str, target: &str, fields: &[(&str, &str)]) -> Reply {
    Client::connect(addr(origin)).request(method, target, fields, b"")
}

#[test]
fn the_proxy_says_what_was_recorded_and_closes() {
    let origin = Replay::of(PROXY.0);
    for recording in &origin.healthy().recordings {
        let reply = ask(&origin, &recording.method, &recording.target, &[]);
        assert_eq!(
            (reply.status, &reply.body),
            (recording.reply.status, &recording.reply.body),
            "{}",
            recording.name
        );
    }
    let mut client = Client::connect(addr(&origin));
    assert_eq!(
        client.get("/").field("Content-Length"),
        None,
        "a page ends with its connection"
    );
    client.expect_end();
    let statuses =
        ["HEAD", "OPTIONS", "PUT", "DELETE"].map(|method| ask(&origin, method, "/soe", &[]).status);
    assert_eq!(
        (statuses, ask(&origin, "GET", "/nowhere", &[]).status),
        ([501; 4], 200)
    );
}

#[test]
fn the_server_keeps_connections_and_sets_cookies() {
    let origin = Replay::of(SERVER.0);
    let mut client = Client::connect(addr(&origin));
    for _ in 0..2 {
        let reply = client.get("/aggregates");
        assert_eq!(
            (
                reply.values("Set-Cookie").len(),
                reply.field("Access-Control-Allow-Origin")
            ),
            (2, None)
        );
        assert!(reply.body == origin.healthy().get("/aggregates").reply.body);
    }
    assert_eq!(
        (
            origin.connections_ever(),
            ask(&origin, "GET", "/nowhere", &[]).status
        ),
        (1, 404)
    );
    let crossing = ask(
        &origin,
        "GET",
        "/aggregates",
        &[("Origin", "http://x.test")],
    );
    assert_eq!(crossing.field("Access-Control-Allow-Origin"), Some("*"));
}

#[test]
fn an_outage_goes_as_it_went() {
    let origin = Replay::outage(PROXY.0, PROXY.1, "refused", 1);
    let body = |second: u64, target: &str| {
        origin.at(second);
        ask(&origin, "GET", target, &[]).text()
    };
    assert_eq!(
        body(0, "/csv/v2"),
        "-2100.00,900.00,6500.00,-3500.00,23.98,1,0\n"
    );
    assert_eq!(
        body(5, "/csv/v2"),
        "-2100.00,900.00,6500.00,-3500.00,23.98,1,0\n"
    );
    assert_eq!(
        body(6, "/csv/v2"),
        "-2100.00,900.00,6500.00,-3500.00,0.00,0,0\n"
    );
    assert_eq!(body(30, "/csv/v2"), "0.00,0.00,0.00,0.00,0.00,0,0\n");
    assert_eq!(
        (
            body(6, "/aggregates").as_str(),
            body(6, "/temps/pw").as_str()
        ),
        ("null", "{}")
    );
    let halfway: serde_json::Value =
        serde_json::from_str(&body(6, "/json")).expect("completed to a document");
    assert_eq!(
        (&halfway["grid"], &halfway["soe"]),
        (&(-2100).into(), &0.into())
    );
    assert_eq!(body(0, "/soe"), "{\"percentage\": 23.975388}");
    assert_eq!(origin.count("/csv/v2"), 4);
}

#[test]
fn a_closed_port_refuses_and_opens_again() {
    let origin = Replay::of(PROXY.0);
    for _ in 0..3 {
        origin.close();
        assert!(TcpStream::connect(addr(&origin)).is_err());
        origin.open();
        assert_eq!(ask(&origin, "GET", "/soe", &[]).status, 200);
    }
    origin.set("/soe", Behaviour::Hangs);
    let mut client = Client::connect(addr(&origin));
    client.send("GET /soe HTTP/1.0\r\n\r\n");
    origin.await_requests("/soe", 4);
    origin.close();
    client.expect_end();
}

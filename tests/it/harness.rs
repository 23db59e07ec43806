//! The harness itself: a client that talks to the scripted origin directly reads what the origin was told to say.

use std::net::SocketAddr;

use crate::support::{Answer, Client, Gate, Origin, Reply};

fn addr(origin: &Origin) -> SocketAddr {
    origin.url().trim_start_matches("http://").parse().unwrap()
}

#[test]
fn every_framing_of_the_origin_is_read_back() {
    let body: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let origin = Origin::serving([
        ("/length", Answer::ok(&body)),
        ("/chunked", Answer::ok(&body).chunked()),
        ("/close", Answer::ok(&body).until_close()),
        ("/http10", Answer::ok(&body).http10()),
    ]);
    for target in ["/length", "/chunked", "/close", "/http10"] {
        assert!(
            Client::connect(addr(&origin)).get(target).body == body,
            "{target}"
        );
    }
}

#[test]
fn a_kept_connection_carries_pipelined_requests_in_order() {
    let origin = Origin::serving([
        ("/a", Answer::ok("a").field("X", "1").field("X", "2")),
        ("/b", Answer::status(204)),
    ]);
    let mut client = Client::connect(addr(&origin));
    client.send("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nPOST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
    let replies: Vec<Reply> = (0..3).map(|_| client.read()).collect();
    assert_eq!(
        replies.iter().map(|reply| reply.status).collect::<Vec<_>>(),
        [200, 204, 200]
    );
    assert_eq!(replies[0].values("x"), ["1", "2"]);
    assert_eq!(
        (
            origin.last("/a").body.as_slice(),
            origin.connections_ever(),
            origin.requests()
        ),
        (&b"hi"[..], 1, 3)
    );
}

#[test]
fn cut_and_lying_answers_are_not_whole_ones() {
    let origin = Origin::serving([
        ("/cut", Answer::ok("0123456789").cut_after(4)),
        ("/chunks", Answer::ok("0123456789").chunked().cut_after(4)),
        ("/long", Answer::ok("01234").claiming(10).closing()),
        ("/nothing", Answer::nothing()),
    ]);
    for target in ["/cut", "/chunks", "/long", "/nothing"] {
        let mut client = Client::connect(addr(&origin));
        client.send(format!("GET {target} HTTP/1.1\r\n\r\n"));
        assert!(client.read_or_end().is_none(), "{target}");
    }
}

#[test]
fn gates_hold_answers_and_a_stopped_origin_refuses() {
    let gate = Gate::closed();
    let mut origin = Origin::serving([("/a", Answer::ok("a").after(&gate))]);
    let mut client = Client::connect(addr(&origin));
    client.send("GET /a HTTP/1.1\r\n\r\n");
    origin.await_requests("/a", 1);
    gate.open();
    assert_eq!(client.read().text(), "a");
    origin.stop();
    client.expect_end();
    assert!(std::net::TcpStream::connect(addr(&origin)).is_err());
}

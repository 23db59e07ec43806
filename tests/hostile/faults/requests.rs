//! Requests that were refused and need not be, that were not shared and may be, and one that was passed on and must not be.

use std::thread;
use std::time::Instant;

use crate::scene::{Target, Waits};
use crate::support::{Answer, Client, crowd_turn};

/// RFC 9110 §2.5: a higher minor version is processed as the highest one we speak.
#[test]
fn fault_a5_http_1_2_is_processed_as_http_1_1() {
    let target = Target::with_defaults();
    for minor in ["2", "3", "9"] {
        let mut client = target.stranger();
        client.send(format!("GET /hit HTTP/1.{minor}\r\nHost: x\r\n\r\n"));
        let reply = client.read();
        assert_eq!(reply.version, "HTTP/1.1");
        reply.expect("HIT", "/hit");
        // The connection persists, as it does in HTTP/1.1.
        client.get("/hit").expect("HIT", "/hit");
        client.send(format!(
            "POST /post HTTP/1.{minor}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
        ));
        client.read().expect("BYPASS", "/post");
    }
    target.unharmed();
}

/// An empty body is no body.
#[test]
fn fault_a5_a_get_with_an_empty_body_is_shared_as_any_other() {
    let target = Target::with_defaults();
    let mut client = target.stranger();
    let empty = [("Content-Length", "0")];
    client.get_with("/empty", &empty).expect("MISS", "/empty");
    client.get_with("/empty", &empty).expect("HIT", "/empty");
    client.get("/empty").expect("HIT", "/empty");
    assert_eq!(target.origin.count("/empty"), 1);
}

/// RFC 9112 §5.1: a proxy removes whitespace between a field's name and its colon from a response.
#[test]
fn fault_a5_a_blank_before_the_colon_of_an_origin_s_field_is_removed() {
    let target = Target::with_defaults();
    let fields = [
        "Cache-Control : max-age=60\r\nContent-Length: 2\r\n",
        "Cache-Control: max-age=60\r\nContent-Length \t: 2\r\n",
        "X-Empty :\r\nCache-Control\t: max-age=60\r\nContent-Length: 2\r\n",
    ];
    for (n, fields) in fields.into_iter().enumerate() {
        let path = format!("/blank-{n}");
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nok");
        target.origin.set(&path, Answer::verbatim(answer));
        let mut client = target.stranger();
        let reply = client.get(&path);
        reply.expect("MISS", "ok");
        assert_eq!(reply.field("Cache-Control"), Some("max-age=60"));
        client.get(&path).expect("HIT", "ok");
    }
    target.unharmed();
}

/// Some servers take `_` for `-`: then there are two lengths, or a length and a coding.
#[test]
fn fault_a8_a_framing_field_spelled_with_an_underscore_is_refused() {
    let target = Target::with_defaults();
    for (n, field) in [
        "Transfer_Encoding: chunked",
        "transfer_encoding: identity",
        "Content_Length: 9",
        "CONTENT_LENGTH: 5",
    ]
    .into_iter()
    .enumerate()
    {
        for beside in ["", "Content-Length: 5\r\n"] {
            let mut client = target.stranger();
            client.send(format!(
                "POST /spelled-{n} HTTP/1.1\r\nHost: x\r\n{field}\r\n{beside}\r\n0\r\n\r\n"
            ));
            let reply = client.expect_refusal();
            assert_eq!(reply.map(|reply| reply.status), Some(400), "{field}");
        }
        assert_eq!(target.origin.count(&format!("/spelled-{n}")), 0, "{field}");
    }
    target.unharmed();
}

#[test]
fn fault_a9_four_hundred_that_connect_and_send_at_once_are_all_answered() {
    let _turn = crowd_turn();
    const CLIENTS: usize = 400;
    const ROUNDS: usize = 5;
    let target = Target::with_defaults();
    let request = "GET /hit HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut waits = Waits::default();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let addr = target.proc.addr();
        let taken: Vec<_> = thread::scope(|scope| {
            let drivers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(move || {
                        let mut clients: Vec<Client> = (0..CLIENTS / 4)
                            .map(|_| {
                                let mut client = Client::connect(addr);
                                client.send(request);
                                client
                            })
                            .collect();
                        let mut taken = Vec::new();
                        for client in &mut clients {
                            client.read().expect("HIT", "/hit");
                            taken.push(begun.elapsed());
                            client.expect_end();
                        }
                        taken
                    })
                })
                .collect();
            drivers
                .into_iter()
                .flat_map(|driver| driver.join().expect("all are answered"))
                .collect()
        });
        assert_eq!(taken.len(), CLIENTS);
        taken.into_iter().for_each(|wait| waits.add(wait));
    }
    println!("{CLIENTS} at once: {waits}");
    target.unharmed();
}

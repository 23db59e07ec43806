//! Invariant: whatever a client sends, in pieces of any size, gives the same requests, refusals and replies as in one piece;
//! once a connection is over it has nothing to send.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use larder::front::connection::{Connection, Fate, Next, Part, Refused, Segment, Step};
use larder::front::head;
use larder::front::limits::{BodyBudget, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = played(bytes, bytes.len().max(1));
    assert_eq!(played(bytes, usize::from(size).max(1)), whole);
});

/// What comes out when this is sent in pieces of that size, each request answered at once by its own text.
fn played(bytes: &[u8], size: usize) -> (Vec<String>, Vec<Refused>, Vec<u8>) {
    let limits = Limits {
        max_connections: 1,
        max_connections_per_client: None,
        head: head::Limits::default(),
        max_body_bytes: 1024,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        keep_alive_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(10),
    };
    let bodies = BodyBudget::new(limits.max_body_bytes);
    let peer = "192.0.2.1".parse().expect("an address");
    let mut connection = Connection::new(peer, Duration::ZERO);
    let mut requests = Vec::new();
    let mut refusals = Vec::new();
    let mut sent = Vec::new();
    for piece in bytes.chunks(size) {
        connection.receive(piece, Duration::ZERO);
        loop {
            let step = Step {
                limits: &limits,
                bodies: &bodies,
                now: Duration::ZERO,
                stopping: false,
            };
            match connection.next(&step) {
                Next::Request {
                    number, head, body, ..
                } => {
                    let text =
                        format!("{} {} {:?};", head.method, head.target.as_str(), body.bytes);
                    let segment = Segment::new(Bytes::from(text.clone()));
                    requests.push(text);
                    let part = Part::whole([Some(segment), None], false);
                    assert!(connection.respond(number, part, Duration::ZERO));
                }
                Next::Refused(refused) => refusals.push(refused),
                Next::Wait if connection.has_output() => {
                    let output: Vec<u8> = connection.output().flatten().copied().collect();
                    connection.sent(output.len(), Duration::ZERO);
                    // A client that waits for it is told to continue only while its body is not there yet.
                    if output != b"HTTP/1.1 100 Continue\r\n\r\n" {
                        sent.extend(output);
                    }
                }
                Next::Wait => break,
            }
        }
        if connection.fate() == Fate::Close {
            assert!(!connection.has_output());
        }
    }
    (requests, refusals, sent)
}

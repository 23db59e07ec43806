//! The vectors once more, without a socket: in pieces of any size the front reads the same.

use std::time::Duration;

use larder::front::connection::{Connection, Next, Part, Refused, Segment, Step};
use larder::front::head;
use larder::front::limits::{BodyBudget, Limits};

use crate::smuggling::vectors;

/// What comes of these bytes, sent in pieces that end at these places: requests and refusals. Each request is answered at once.
fn read(bytes: &[u8], ends: impl Iterator<Item = usize>) -> (Vec<String>, Vec<Refused>) {
    let patience = Duration::from_secs(10);
    let limits = Limits {
        max_connections: 1,
        max_connections_per_client: None,
        head: head::Limits::default(),
        max_body_bytes: 1 << 20,
        header_timeout: patience,
        body_timeout: patience,
        keep_alive_timeout: patience,
        write_timeout: patience,
    };
    let now = Duration::ZERO;
    let bodies = BodyBudget::new(limits.max_body_bytes);
    let step = Step {
        limits: &limits,
        bodies: &bodies,
        now,
        stopping: false,
    };
    let mut connection = Connection::new("192.0.2.1".parse().expect("an address"), now);
    let mut requests = Vec::new();
    let mut refusals = Vec::new();
    let mut begin = 0;
    for end in ends.chain([bytes.len()]) {
        connection.receive(&bytes[begin..end], now);
        begin = end;
        loop {
            match connection.next(&step) {
                Next::Request {
                    number, head, body, ..
                } => {
                    requests.push(format!("{head:?} {:?}", body.bytes));
                    let reply = Segment::new("reply".into());
                    connection.respond(number, Part::whole([Some(reply), None], false), now);
                }
                Next::Refused(refused) => refusals.push(refused),
                Next::Wait if connection.has_output() => {
                    let length = connection.output().map(<[u8]>::len).sum();
                    connection.sent(length, now);
                }
                Next::Wait => break,
            }
        }
    }
    (requests, refusals)
}

#[test]
fn must_show_2_every_vector_cut_at_every_byte_is_read_the_same() {
    let mut cuts = 0;
    for (name, bytes, _) in vectors() {
        let whole = read(&bytes, std::iter::empty());
        for at in 1..bytes.len() {
            assert_eq!(read(&bytes, [at].into_iter()), whole, "{name}, cut at {at}");
            cuts += 1;
        }
        assert_eq!(read(&bytes, 1..bytes.len()), whole, "{name}, byte by byte");
    }
    println!("{cuts} cuts");
}

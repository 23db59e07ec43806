//! Clients that read slowly, and clients that do not read.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::scene::Target;
use crate::support::{Answer, Client, Reply, crowd_turn, eventually};

const PAUSE: Duration = Duration::from_millis(80);

/// A body of which every part is another.
fn body(length: usize, number: usize) -> Vec<u8> {
    (0..length)
        .map(|place| u8::try_from((place / 7 + place / 4096 + number) % 251).unwrap())
        .collect()
}

/// Asks for `target` and reads the reply slowly. `None`: it was cut.
fn read(mut client: Client, target: &str, at_a_time: usize) -> Option<Reply> {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    client.read_slowly(at_a_time, PAUSE)
}

/// The longest silence between two parts that the kernel takes is far below `writeTimeout`, whatever it buffers: a default
/// connection over which 500 kB/s flow, and a narrow one over which 100 kB/s flow. All of it takes many times `writeTimeout`.
#[test]
fn fault_a2_a_client_that_reads_steadily_gets_the_whole_body() {
    let _turn = crowd_turn();
    let target = Target::start(json!({ "proxy": { "writeTimeout": 2000 } }), 4096);
    let wide = body(9_000_000, 0);
    let narrow = body(1_500_000, 1);
    target.origin.set("/wide", Answer::ok(&wide));
    target.origin.set("/narrow", Answer::ok(&narrow));
    let replies = thread::scope(|scope| {
        let addr = target.proc.addr();
        let wide = scope.spawn(move || read(Client::connect(addr), "/wide", 40_000));
        let narrow = scope.spawn(move || read(Client::connect_narrow(addr), "/narrow", 8_000));
        [wide, narrow].map(|reader| reader.join().expect("it reads"))
    });
    for (reply, body) in replies.into_iter().zip([wide, narrow]) {
        let reply = reply.expect("not cut");
        assert_eq!(reply.status, 200);
        assert!(reply.body == body, "{} bytes", reply.body.len());
    }
    target.unharmed();
}

#[test]
fn fault_a2_a_client_that_takes_nothing_for_the_write_timeout_is_cut() {
    let _turn = crowd_turn();
    let target = Target::start(json!({ "proxy": { "writeTimeout": 2000 } }), 4096);
    target.origin.set("/large", Answer::ok(body(9_000_000, 0)));
    let before = target.proc.figures().descriptors;
    let mut client = Client::connect_narrow(target.proc.addr());
    client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    target.origin.await_requests("/large", 1);
    let cut = eventually(|| target.proc.figures().descriptors <= before);
    assert!(cut, "still there: {:?}", target.proc.figures());
    let reply = client.read_or_end();
    assert!(reply.is_none(), "a whole reply: {reply:?}");
    target.unharmed();
}

/// What is stored is sent from where it lies: more of it than any budget for replies is on its way at the same time.
#[test]
fn fault_a3_slow_readers_of_different_stored_objects_get_them_whole() {
    let _turn = crowd_turn();
    const READERS: usize = 5;
    const LENGTH: usize = 3_900_000;
    let target = Target::start(json!({ "cache": { "maxBytes": "64MiB" } }), 4096);
    for n in 0..READERS {
        let path = format!("/large-{n}");
        target.origin.set(&path, Answer::ok(body(LENGTH, n)));
        let reply = target.stranger().get(&path);
        assert_eq!((reply.status, reply.body.len()), (200, LENGTH));
    }
    let replies: Vec<Option<Reply>> = thread::scope(|scope| {
        let addr = target.proc.addr();
        let readers: Vec<_> = (0..READERS)
            .map(|n| {
                let client = Client::connect_narrow(addr);
                scope.spawn(move || read(client, &format!("/large-{n}"), 24_000))
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().expect("it reads"))
            .collect()
    });
    for (n, reply) in replies.into_iter().enumerate() {
        let reply = reply.unwrap_or_else(|| panic!("reader {n} was cut"));
        assert_eq!(reply.cache_status(), "HIT", "{reply:?}");
        assert!(reply.body == body(LENGTH, n), "reader {n}");
    }
    target.recovers();
}

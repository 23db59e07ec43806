//! What memory may grow to. `LARDER_URLS` scales the first test; bench/million-urls.sh runs it with a million.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::support::{Answer, Client, Origin, Start, config, crowd_turn, eventually};

/// maxBytes 16 MiB, outboxes 8 MiB, tables 1 MiB, bodies in flight (small here), and 16 MiB for the program itself, its
/// threads' stacks and what the allocator cannot give back.
const BOUND_KIB: u64 = (16 + 8 + 1 + 16) * 1024;

const CONNECTIONS: usize = 8;

/// No more than the server lets a connection owe (SEMANTICS, "Back-pressure").
const PIPELINED: usize = 8;

#[test]
fn must_show_6_distinct_urls_stay_within_the_bound_and_d8() {
    let _turn = crowd_turn();
    let urls: usize = std::env::var("LARDER_URLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000);
    let body = "x".repeat(200);
    let mut origin = Origin::answering(move |_| Answer::ok(&body));
    let polled: Vec<String> = (0..9).map(|n| format!("/polled/{n}")).collect();
    let polls: Vec<_> = polled
        .iter()
        .map(|path| json!({ "path": path, "pollInterval": 3600, "cacheTTL": 7200 }))
        .collect();
    let more = json!({ "backend": { "maxConcurrentRequests": 16 }, "cache": { "slowRequestTimeout": 30000 },
        "urlConfigs": polls });
    let proc = Start::with(config(&origin.url(), more))
        .descriptors(4096)
        .run();
    polled
        .iter()
        .for_each(|path| origin.await_requests(path, 1));
    let before = proc.figures();

    let begun = Instant::now();
    let share = urls / CONNECTIONS;
    let askers: Vec<_> = (0..CONNECTIONS)
        .map(|n| ask(proc.addr(), n * share..(n + 1) * share))
        .collect();
    askers
        .into_iter()
        .for_each(|thread| thread.join().expect("every URL is answered"));

    let after = proc.figures();
    let taken = begun.elapsed();
    println!("{urls} distinct URLs in {taken:?}: before {before:?}, after {after:?}");
    assert_eq!(origin.requests(), share * CONNECTIONS + polled.len());
    assert!(after.peak_kib <= BOUND_KIB, "{after:?}");
    let last = format!("/url/{}", share - 1);
    assert_eq!(proc.client().get(&last).status, 200);
    // What is polled is pinned: it answers although the flood came after it and the origin is gone.
    origin.stop();
    for path in &polled {
        assert_eq!(proc.client().get(path).cache_status(), "HIT", "{path}");
    }
}

fn ask(addr: SocketAddr, urls: std::ops::Range<usize>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut client = Client::connect(addr);
        let urls: Vec<usize> = urls.collect();
        for batch in urls.chunks(PIPELINED) {
            let requests = batch
                .iter()
                .map(|n| format!("GET /url/{n} HTTP/1.1\r\nHost: x\r\n\r\n"));
            client.send(requests.collect::<String>());
            for n in batch {
                let reply = client.read();
                assert_eq!(
                    (reply.status, reply.body.len()),
                    (200, 200),
                    "/url/{n}: {reply:?}"
                );
            }
        }
    })
}

#[test]
fn k20_a_large_answer_is_stored_once_for_all_its_readers() {
    const BODY: usize = 3 * 1024 * 1024;
    let _turn = crowd_turn();
    let origin = Origin::answering(|_| Answer::ok("x".repeat(BODY)));
    let proc = Start::with(config(&origin.url(), json!({})))
        .descriptors(4096)
        .run();
    assert_eq!(proc.client().get("/large").body.len(), BODY);
    let before = proc.figures();

    // Forty clients that ask and do not read yet: 120 MiB if each had a copy.
    let mut clients: Vec<Client> = (0..40).map(|_| proc.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
    let reply = proc.client().get("/large");

    let after = proc.figures();
    println!("before {before:?}, after {after:?}");
    assert_eq!((reply.cache_status(), reply.body.len()), ("HIT", BODY));
    assert!(
        after.peak_kib <= before.peak_kib + 24 * 1024,
        "before {before:?}, after {after:?}"
    );
    assert_eq!(origin.requests(), 1);
}

/// Hits of answers the store has let go meanwhile: their bodies wait for slow clients like any other reply.
#[test]
fn clients_that_do_not_read_their_hits_hold_no_more_than_the_outboxes() {
    const BODY: usize = 3 * 1024 * 1024;
    let _turn = crowd_turn();
    let origin = Origin::answering(|_| Answer::ok("x".repeat(BODY)));
    let proc = Start::with(config(&origin.url(), json!({})))
        .descriptors(4096)
        .run();

    let slow: Vec<TcpStream> = (0..40)
        .map(|n| {
            let target = format!("/large/{n}");
            assert_eq!(proc.client().get(&target).body.len(), BODY);
            // A small window, so that the body waits in the program and not in the kernel.
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_recv_buffer_size(4096).expect("a small window");
            socket.connect(&proc.addr().into()).expect("connects");
            let mut client = TcpStream::from(socket);
            client
                .write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
                .expect("sent");
            client
                .read_exact(&mut [0; 16])
                .expect("the reply has begun");
            client
        })
        .collect();

    // The store, the outboxes, bodies in flight, and the program itself; the drain needs a moment to cut whom it must.
    let bound = (16 + 8 + 2 * 4 + 16) * 1024;
    assert!(
        eventually(|| proc.figures().rss_kib <= bound),
        "{:?}",
        proc.figures()
    );
    drop(slow);
}

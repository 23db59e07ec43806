//! The hostile suite, second part: too much of everything.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::hostile_framing::Target;
use crate::support::{Answer, App, Client, Gate, Origin, Start, config_for, crowd_turn};

#[test]
fn a_head_that_drips_or_never_begins_holds_no_worker() {
    let target = Target::start();
    let begun: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = target.proc.client();
            client.send("GET /hit HTTP/1.1\r\nHos");
            client
        })
        .collect();
    let silent: Vec<Client> = (0..20).map(|_| target.proc.client()).collect();
    target.serves_others();
    drop((begun, silent));
    target.unharmed(16);
}

#[test]
fn four_clients_pipelining_for_five_seconds_towards_parked_requests() {
    let _turn = crowd_turn();
    let hung = Gate::closed();
    let gate = hung.clone();
    let origin = Origin::answering(move |seen| {
        let answer = Answer::ok(&seen.target);
        if seen.target.starts_with("/hung") {
            answer.after(&gate)
        } else {
            answer
        }
    });
    let more = json!({ "backend": { "maxConcurrentRequests": 4, "firstByteTimeout": 60000 },
        "cache": { "slowRequestTimeout": 60000 } });
    let proc = Start::with(config_for(&origin, more))
        .descriptors(4096)
        .run();
    proc.client().get("/hit").expect("MISS", "/hit");
    let before = proc.figures();

    let pipeliners: Vec<_> = (0..4)
        .map(|n| {
            std::thread::spawn({
                let addr = proc.addr();
                move || pipeline(addr, n)
            })
        })
        .collect();
    origin.await_requests("/hung-0", 1);
    for _ in 0..20 {
        proc.client().get("/hit").expect("HIT", "/hit");
    }
    let sent: Vec<usize> = pipeliners
        .into_iter()
        .map(|thread| thread.join().expect("a pipeliner"))
        .collect();

    let after = proc.figures();
    println!("{sent:?} bytes sent; before {before:?}, after {after:?}");
    assert!(
        after.peak_kib <= before.peak_kib + 24 * 1024,
        "before {before:?}, after {after:?}"
    );
    proc.client().get("/hit").expect("HIT", "/hit");
    hung.open();
}

/// Sends requests that all wait for one hung fetch, for 5 s, reading nothing; the bytes the server took.
fn pipeline(addr: std::net::SocketAddr, n: usize) -> usize {
    let mut client = Client::connect(addr);
    let block = format!("GET /hung-{n} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(256);
    let until = Instant::now() + Duration::from_secs(5);
    client.send_for_ever(block.as_bytes(), || Instant::now() < until)
}

#[test]
fn replies_come_in_the_order_of_the_requests() {
    let slow = Gate::closed();
    let target = Target::start();
    target.origin.set("/slow", Answer::ok("/slow").after(&slow));
    let mut client = target.proc.client();
    let order = ["/slow", "/hit", "/health", "/slow", "/new", "/hit"];
    for path in order {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    target.origin.await_requests("/slow", 1);
    slow.open();

    for path in order {
        let reply = client.read();
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert!(
            path == "/health" || reply.text() == path,
            "{path}: {reply:?}"
        );
    }
    target.unharmed(16);
}

/// tiny_http counts a thread as idle until it has woken up, so a burst of accepts queues more connections than there are
/// idle threads; the rest wait, unread, until some other connection ends.
#[test]
fn every_connection_of_a_burst_is_served_while_the_others_stay_open() {
    let _turn = crowd_turn();
    let origin = Origin::serving([("/hit", Answer::ok("hit"))]);
    // Each round anew: only a pool that has not grown yet strands anybody.
    for round in 0..10 {
        let app = App::start(&config_for(&origin, json!({})));
        let mut burst: Vec<Client> = (0..20).map(|_| app.client()).collect();
        burst
            .iter_mut()
            .for_each(|client| client.send("GET /hit HTTP/1.1\r\nHost: x\r\n\r\n"));
        for (n, client) in burst.iter_mut().enumerate() {
            assert_eq!(client.read().text(), "hit", "round {round}, connection {n}");
        }
    }
}

//! Must-show 4: crowds of badly behaved clients, and the well-behaved ones between them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Answer, Client, Gate, Origin, Proc, Start, config_for, crowd_turn};

/// Nobody well-behaved waits longer than this on a machine that is doing all of the above at once.
const BOUND: Duration = Duration::from_secs(5);

#[test]
fn must_show_4_others_go_on_and_replies_stay_in_order() {
    let _turn = crowd_turn();
    let slow = Gate::closed();
    let (origin, proc) = slow_behind(&slow);
    proc.client().get("/hit");
    let stop = Arc::new(AtomicBool::new(false));

    let mut pipeliners: Vec<Client> = (0..100).map(|n| pipeliner(&proc, n)).collect();
    let mut crowd: Vec<JoinHandle<()>> = (0..64).map(|_| never_reads(&proc, &stop)).collect();
    crowd.push(drip(&proc, &stop));
    (0..8).for_each(|n| origin.await_requests(&format!("/slow-{n}"), 1));
    let longest = well_behaved(&proc, 40);
    println!("between the crowds, the longest wait for a hit, miss or POST: {longest:?}; {:?}", proc.figures());

    slow.open();
    for (n, client) in pipeliners.iter_mut().enumerate() {
        let bodies = [client.read().text(), client.read().text(), client.read().text()];
        assert_eq!(bodies, [format!("GET /slow-{}", n % 8), "GET /hit".to_owned(), "GET /hit".to_owned()]);
    }
    assert_eq!((0..8).map(|n| origin.count(&format!("/slow-{n}"))).sum::<usize>(), 8, "one fetch per key");
    assert_eq!(origin.count("/drip"), 0, "a dripping body was never whole");
    stop.store(true, Ordering::Release);
    crowd.into_iter().for_each(|thread| thread.join().expect("the crowd goes home"));
    assert!(longest < BOUND, "{longest:?}");
}

fn slow_behind(gate: &Gate) -> (Origin, Proc) {
    let gate = gate.clone();
    let origin = Origin::answering(move |seen| {
        let answer = Answer::ok(format!("{} {}", seen.method, seen.target));
        if seen.target.starts_with("/slow") { answer.after(&gate) } else { answer }
    });
    let more = json!({ "backend": { "maxConcurrentRequests": 16, "firstByteTimeout": 120_000, "totalTimeout": 120_000 },
        "cache": { "slowRequestTimeout": 120_000 } });
    let proc = Start::with(config_for(&origin, more)).descriptors(4096).run();
    (origin, proc)
}

/// Sends [slow miss, hit, hit] at once. Eight slow keys, so that slots are left for the misses of others.
fn pipeliner(proc: &Proc, n: usize) -> Client {
    let mut client = proc.client();
    let hit = "GET /hit HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(format!("GET /slow-{} HTTP/1.1\r\nHost: x\r\n\r\n{hit}{hit}", n % 8));
    client
}

/// Sends requests for ever and reads nothing; begins again whenever it is cut off.
fn never_reads(proc: &Proc, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (addr, stop) = (proc.addr(), Arc::clone(stop));
    let requests = "GET /hit HTTP/1.1\r\nHost: x\r\n\r\n".repeat(64);
    let run = move || {
        while !stop.load(Ordering::Acquire) {
            let mut client = Client::connect_from(Ipv4Addr::new(127, 0, 0, 2), addr);
            client.send_for_ever(requests.as_bytes(), || !stop.load(Ordering::Acquire));
            // Being cut off at once must not turn into a flood of connections, which is another test.
            std::thread::park_timeout(Duration::from_millis(100));
        }
    };
    Builder::new().stack_size(128 * 1024).spawn(run).expect("a thread")
}

/// Fifty clients of one address, each sending its body a byte at a time.
fn drip(proc: &Proc, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (addr, stop) = (proc.addr(), Arc::clone(stop));
    let begin = move || {
        let mut client = Client::connect_from(Ipv4Addr::new(127, 0, 0, 3), addr);
        let _ = client.try_send("POST /drip HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
        client
    };
    std::thread::spawn(move || {
        let mut clients: Vec<Client> = (0..50).map(|_| begin()).collect();
        while !stop.load(Ordering::Acquire) {
            for client in &mut clients {
                if client.try_send("x").is_err() {
                    *client = begin();
                }
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    })
}

/// Hits, misses and POSTs, each answered rightly; the longest wait.
fn well_behaved(proc: &Proc, rounds: usize) -> Duration {
    let mut client = proc.client();
    let mut longest = Duration::ZERO;
    for n in 0..rounds {
        let requests = [
            ("GET", "/hit".to_owned(), "HIT"),
            ("GET", format!("/miss-{n}"), "MISS"),
            ("POST", format!("/post-{n}"), "BYPASS"),
        ];
        for (method, target, cache_status) in requests {
            let begun = Instant::now();
            let body: &[u8] = if method == "POST" { b"a whole body" } else { b"" };
            let reply = client.request(method, &target, &[], body);
            let taken = begun.elapsed();
            if taken > BOUND {
                println!("{method} {target}: {taken:?}");
            }
            longest = longest.max(taken);
            reply.expect(cache_status, &format!("{method} {target}"));
        }
    }
    longest
}

//! Clients that pipeline towards what is slow, and clients whose bodies drip.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::{Others, Target};
use crate::support::{
    Answer, App, Client, Gate, Origin, Start, config_for, crowd_turn, eventually,
};

/// A wait for what is slow would last until the test has failed.
const BOUND: Duration = Duration::from_secs(5);
const DRIPPERS: usize = 50;
/// Slow keys: so many of the origin's slots are taken.
const SLOW: usize = 4;

#[test]
fn must_show_5b_pipelines_and_drips_hold_up_nobody_and_replies_stay_in_order() {
    let _turn = crowd_turn();
    let slow = Gate::closed();
    let more = json!({ "backend": { "maxConcurrentRequests": 8, "firstByteTimeout": 120_000, "totalTimeout": 120_000 },
        "cache": { "slowRequestTimeout": 120_000 }, "proxy": { "bodyTimeout": 3000 } });
    let target = Target::start(more, 4096);
    (0..SLOW).for_each(|n| {
        target.origin.set(
            &format!("/slow-{n}"),
            Answer::ok(format!("/slow-{n}")).after(&slow),
        )
    });
    let mut quiet = Others::default();
    quiet.ask(&target, "quiet", 100);

    let mut pipeliners: Vec<Client> = (0..100).map(|n| pipeliner(&target, n)).collect();
    (0..SLOW).for_each(|n| target.origin.await_requests(&format!("/slow-{n}"), 1));
    let drip = Drip::begin(target.proc.addr());
    let mut loaded = Others::default();
    loaded.ask(&target, "loaded", 100);
    assert_eq!(
        active(&target),
        SLOW as u64,
        "a drip took one of the origin's slots"
    );
    println!("{:?}", target.proc.figures());
    let told = drip.ended();

    slow.open();
    for (n, client) in pipeliners.iter_mut().enumerate() {
        let bodies = [
            client.read().text(),
            client.read().text(),
            client.read().text(),
        ];
        assert_eq!(
            bodies,
            [
                format!("/slow-{}", n % SLOW),
                "/hit".to_owned(),
                "/hit".to_owned()
            ]
        );
    }
    drop(pipeliners);
    quiet.beside(&mut loaded);
    assert_eq!(
        (0..SLOW)
            .map(|n| target.origin.count(&format!("/slow-{n}")))
            .sum::<usize>(),
        SLOW,
        "one fetch per key"
    );
    assert_eq!(
        told,
        vec![Some(408); DRIPPERS],
        "each drip is ended by its timeout"
    );
    assert_eq!(
        target.origin.count("/drip"),
        0,
        "a dripping body was never whole"
    );
    assert!(
        loaded.longest() < BOUND,
        "somebody waited for a drip or a pipeline"
    );
    target.unharmed();
}

/// Sends [slow miss, hit, hit] at once.
fn pipeliner(target: &Target, n: usize) -> Client {
    let mut client = target.proc.client();
    let hit = "GET /hit HTTP/1.1\r\nHost: x\r\n\r\n";
    client.send(format!(
        "GET /slow-{} HTTP/1.1\r\nHost: x\r\n\r\n{hit}{hit}",
        n % SLOW
    ));
    client
}

/// Requests the origin is working on, by `/health`.
fn active(target: &Target) -> u64 {
    let health: Value =
        serde_json::from_slice(&target.proc.client().get("/health").body).expect("JSON");
    health["queue"]["activeRequestCount"]
        .as_u64()
        .expect("a number")
}

/// Clients of one address, each sending its body at a byte per second.
struct Drip {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Option<u16>>>,
}

impl Drip {
    fn begin(addr: SocketAddr) -> Drip {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut clients: Vec<Client> = (0..DRIPPERS)
            .map(|_| {
                let mut client = Client::connect_from(Ipv4Addr::new(127, 0, 0, 3), addr);
                client.send("POST /drip HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
                client
            })
            .collect();
        let thread = std::thread::spawn(move || {
            // Counted, so that it ends by itself; each is over long before.
            for _ in 0..30 {
                // Who was cut takes no more.
                let open = clients
                    .iter_mut()
                    .filter_map(|client| client.try_send("x").ok())
                    .count();
                if open == 0 && stopped.load(Ordering::Acquire) {
                    break;
                }
                std::thread::park_timeout(Duration::from_secs(1));
            }
            clients
                .iter_mut()
                .map(|client| client.read_or_end().map(|reply| reply.status))
                .collect()
        });
        Drip { stop, thread }
    }

    /// The status each of them was told, once all were cut.
    fn ended(self) -> Vec<Option<u16>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the drip ends")
    }
}

/// RFC 9112 §9.3.2: requests of one connection are worked on at the same time only if all of them are safe.
#[test]
fn what_may_change_something_is_asked_alone() {
    for (first, second) in [
        ("POST", "GET"),
        ("GET", "POST"),
        ("DELETE", "PUT"),
        ("POST", "POST"),
    ] {
        let answered = Gate::closed();
        let origin = Origin::answering(|seen| Answer::ok(&seen.target));
        origin.set("/first", Answer::ok("/first").after(&answered));
        let app = App::start(&config_for(&origin, json!({})));
        let mut client = app.client();
        client.send(format!(
            "{first} /first HTTP/1.1\r\nHost: x\r\n\r\n{second} /second HTTP/1.1\r\nHost: x\r\n\r\n"
        ));
        origin.await_requests("/first", 1);
        // Both came in one packet: if it were to be asked now, it would be at the origin before these.
        for n in 0..20 {
            app.client()
                .get(&format!("/other-{n}"))
                .expect("MISS", &format!("/other-{n}"));
        }
        assert_eq!(
            origin.count("/second"),
            0,
            "{second} was asked beside {first}"
        );
        answered.open();
        assert_eq!(
            [client.read().text(), client.read().text()],
            ["/first", "/second"]
        );
    }
}

#[test]
fn what_is_safe_is_asked_at_the_same_time() {
    let answered = Gate::closed();
    let origin = Origin::answering(|seen| Answer::ok(&seen.target));
    origin.set("/first", Answer::ok("/first").after(&answered));
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client.send("GET /first HTTP/1.1\r\nHost: x\r\n\r\nHEAD /second HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        eventually(|| origin.count("/second") == 1),
        "the second request waits for the first"
    );
    answered.open();
    assert_eq!(client.read().text(), "/first");
    assert_eq!(client.read_head().status, 200);
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

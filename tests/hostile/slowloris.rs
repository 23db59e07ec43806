//! Clients that send their heads a byte at a time.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::scene::{Target, Waits};
use crate::support::{Client, crowd_turn, eventually};

const SLOW: usize = 2000;
/// Nobody well-behaved waits longer, however busy the machine is.
const BOUND: Duration = Duration::from_secs(5);

/// From one address, which gets half of the connections. The others of the flood are turned away.
#[test]
fn must_show_1_two_thousand_slow_heads_keep_nobody_waiting() {
    let _turn = crowd_turn();
    let target = Target::start(
        json!({ "proxy": { "headerTimeout": 3000, "maxConnections": 1024 } }),
        8192,
    );
    let mut quiet = Waits::default();
    ask(&target, &mut quiet, Instant::now() + Duration::from_secs(1));

    let drip = std::thread::spawn({
        let addr = target.proc.addr();
        move || drip(addr)
    });
    assert!(
        eventually(|| target.rejected("clientConnections") > 0),
        "a flood at all"
    );
    let mut loaded = Waits::default();
    ask(
        &target,
        &mut loaded,
        Instant::now() + Duration::from_secs(5),
    );
    let during = target.proc.figures();
    let left = drip.join().expect("they drip");
    assert!(
        eventually(|| target.health()["counters"]["slowHeads"].as_u64() >= Some(512)),
        "cut by their timeout"
    );

    println!(
        "quiet: {quiet}\nloaded: {loaded}\nduring {during:?}; {left} still connected after 9 s"
    );
    println!(
        "refused: {} beyond its half; {} timed out",
        target.rejected("clientConnections"),
        target.health()["counters"]["slowHeads"]
    );
    assert_eq!(left, 0, "every slow one is cut");
    assert!(loaded.quantile(1.0) < BOUND, "{loaded}");
    target.unharmed();
}

/// One byte a second from each of [`SLOW`] clients for 9 s; how many are connected then.
fn drip(addr: std::net::SocketAddr) -> usize {
    let from = Ipv4Addr::new(127, 0, 2, 1);
    let mut clients: Vec<Client> = (0..SLOW)
        .map(|_| Client::connect_from(from, addr))
        .collect();
    let head = b"GET /slow HTTP/1.1\r\n";
    for byte in head.chunks(1).take(9) {
        let next = Instant::now() + Duration::from_secs(1);
        clients.retain_mut(|client| client.try_send(byte).is_ok());
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
    }
    clients.len()
}

/// Asks for the stored answer until then, on a connection of this machine's own and on a new one by turns.
fn ask(target: &Target, waits: &mut Waits, until: Instant) {
    let mut kept = target.stranger();
    while Instant::now() < until {
        waits.measure(|| kept.get("/hit")).expect("HIT", "/hit");
        waits
            .measure(|| target.stranger().get("/hit"))
            .expect("HIT", "/hit");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

//! All of it at once, from one seed: regular clients, hostile ones, and an origin that is not always quick.
//!
//! ```text
//! LARDER_HOSTILE_SEED=4711        what each client does, and the origin; when, is up to the machine
//! LARDER_HOSTILE_SECONDS=600      how long; see bench/soak/hostile.sh
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::attackers::{ATTACKS, Attacker};
use crate::ledger::Ledger;
use crate::pages::Pages;
use crate::regulars::{REQUESTS, Regular, Town};
use crate::scene::Target;
use crate::support::{Origin, Start, config_for, crowd_turn};

const SECONDS: u64 = 20;
const REGULARS: u64 = 8;
const ATTACKERS: u64 = 12;

#[test]
fn must_show_7_regular_clients_get_what_they_ask_for_amid_all_attacks() {
    let _turn = crowd_turn();
    let seed = variable("LARDER_HOSTILE_SEED").unwrap_or(1);
    let seconds = variable("LARDER_HOSTILE_SECONDS").unwrap_or(SECONDS);
    println!("LARDER_HOSTILE_SEED={seed} LARDER_HOSTILE_SECONDS={seconds}");
    let pages = Arc::new(Pages::new(seed));
    let target = start(&pages);

    let ledger = Ledger::default();
    let numbers = AtomicU64::new(0);
    let until = Instant::now() + Duration::from_secs(seconds);
    let town = &Town {
        addr: target.proc.addr(),
        pages: &pages,
        ledger: &ledger,
        numbers: &numbers,
        until,
    };
    let memory = thread::scope(|scope| {
        for n in 0..REGULARS {
            scope.spawn(move || Regular::new(town, seed ^ n << 32).live());
        }
        for n in REGULARS..REGULARS + ATTACKERS {
            scope.spawn(move || Attacker::new(town, seed ^ n << 32).live());
        }
        watch(&target, seconds)
    });

    println!("{ledger}\nturned away or cut: {}", target.health()["shed"]);
    let (lost, wrong) = ledger.failures();
    assert!(
        lost.is_empty() && wrong.is_empty(),
        "lost: {lost:#?}\nwrong: {wrong:#?}"
    );
    assert_eq!(
        ledger.kinds(),
        REQUESTS + ATTACKS,
        "each kind of request and of attack was there"
    );
    assert_eq!(pages.complaints(), Vec::<String>::new());
    assert_eq!(target.health()["counters"]["panics"], 0);
    assert!(
        !target.proc.log().contains("panic"),
        "{}",
        target.proc.log()
    );
    is_flat(&memory);
    // What was stored at the start may have given way.
    target.stranger().get("/hit");
    target.recovers();
}

/// The program, with little patience for clients and much for the origin, where a miss waits for a slot.
fn start(pages: &Arc<Pages>) -> Target {
    let theirs = Arc::clone(pages);
    let origin = Origin::answering(move |seen| theirs.answer(seen));
    let configuration = json!({
        "backend": { "maxConcurrentRequests": 6 },
        "cache": { "maxBytes": "4MiB", "slowRequestTimeout": 20_000 },
        "proxy": { "headerTimeout": 1000, "bodyTimeout": 1000, "writeTimeout": 2000 },
    });
    let proc = Start::with(config_for(&origin, configuration))
        .descriptors(4096)
        .run();
    Target::of(origin, proc)
}

/// Resident memory once a second, KiB.
fn watch(target: &Target, seconds: u64) -> Vec<u64> {
    let begun = Instant::now();
    let look = |second| {
        let next = begun + Duration::from_secs(second);
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
        target.proc.figures().rss_kib
    };
    (1..=seconds).map(look).collect()
}

/// Panics unless the last third of these is about what the second was; the first is for warming up.
#[track_caller]
fn is_flat(memory: &[u64]) {
    let third = memory.len() / 3;
    let mean = |part: &[u64]| part.iter().sum::<u64>() / part.len().max(1) as u64;
    let (first, rest) = memory.split_at(third);
    let (middle, last) = rest.split_at(third);
    let [first, middle, last] = [first, middle, last].map(mean);
    let every = memory.len().div_ceil(30);
    println!(
        "resident memory, KiB: {:?}",
        memory.iter().step_by(every).collect::<Vec<_>>()
    );
    println!(
        "by thirds: {first}, {middle}, {last}; at most {}",
        memory.iter().max().unwrap_or(&0)
    );
    assert!(
        last <= middle + middle / 5 + 2048,
        "it grows: {middle} KiB, then {last} KiB"
    );
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

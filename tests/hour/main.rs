//! Hours of virtual time: the whole proxy between random clients and an origin with random faults, in one thread and one
//! queue of events (SEMANTICS, "The seam for simulation"). Nothing in here waits, and nothing reads the real time.
//!
//! Each seed is an hour. What a client is told is judged by [`judge`], when the origin is asked by [`schedule`]; both reckon
//! from the documents' numbers, not with the code's. A failure names its seed:
//!
//! ```text
//! LARDER_HOUR=4711 cargo test --test hour -- --nocapture     that hour alone, aloud
//! LARDER_HOURS=10000 cargo test --release --test hour               so many hours; see bench/soak/hours.sh
//! ```
#![cfg(not(larder_shuttle))]
#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod asked;
mod clients;
mod endpoints;
mod executor;
mod faults;
mod judge;
mod ledger;
mod listeners;
mod origin;
mod quotas;
mod schedule;
mod traffic;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

use larder_test_support::dice;
use world::hour;

/// Hours lived through by every run of the tests.
const HOURS: u64 = 100;

#[test]
fn must_show_2_an_hour_of_faults_harms_nobody() {
    let seeds = match (variable("LARDER_HOUR"), variable("LARDER_HOURS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, hours) => 1..hours.unwrap_or(HOURS) + 1,
    };
    let aloud = variable("LARDER_HOUR").is_some();
    let next = AtomicU64::new(seeds.start);
    let last = seeds.end;
    let requests = AtomicUsize::new(0);
    let fetches = AtomicUsize::new(0);
    let complaints = Mutex::new(Vec::new());
    let live = || {
        while let Some(seed) = Some(next.fetch_add(1, SeqCst)).filter(|seed| *seed < last) {
            let report = hour(seed, aloud);
            requests.fetch_add(report.requests, SeqCst);
            fetches.fetch_add(report.fetches, SeqCst);
            let first = report
                .complaints
                .first()
                .map(|text| format!("LARDER_HOUR={seed}: {text}\n"));
            complaints
                .lock()
                .expect("nobody panics with it")
                .extend(first);
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(live))));
    let complaints = complaints.into_inner().expect("nobody panicked with it");
    let some = complaints
        .iter()
        .take(10)
        .map(String::as_str)
        .collect::<String>();
    assert!(
        complaints.is_empty(),
        "{} of {seeds:?} went wrong:\n{some}",
        complaints.len()
    );
    println!("{seeds:?}: {requests:?} requests, {fetches:?} at the origin");
}

#[test]
fn the_same_seed_is_the_same_hour() {
    assert_eq!(hour(7, false), hour(7, false));
    assert_ne!(hour(7, false).trace, hour(8, false).trace);
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

//! What memory the program has in ordinary use, beside its budgets. Built without optimisation it is a larger program.

use serde_json::json;

use crate::faults::{MANY, connections, many_descriptors};
use crate::support::{Answer, Origin, Proc, Start, config_for, crowd_turn};

const MEGABYTE: u64 = 1_000_000;
const LARGER: u64 = if cfg!(debug_assertions) { 5 } else { 1 };
const ENTRIES: usize = 1000;
/// Idle connections, and the megabytes they may take.
const CONNECTIONS: [(usize, u64); 2] = [(1000, 6), (10_000, 20)];

#[test]
fn memory_is_within_its_budgets() {
    let _turn = crowd_turn();
    many_descriptors();
    let origin = Origin::answering(|_| Answer::ok(vec![b'a'; 2000]));
    let start = |more| {
        Start::with(config_for(&origin, more))
            .descriptors(MANY)
            .run()
    };
    let mut rows = Vec::new();
    let mut weigh = |what: String, proc: &Proc, megabytes| {
        rows.push((
            what,
            proc.figures().rss_kib * 1024,
            megabytes * MEGABYTE * LARGER,
        ))
    };

    let proc = start(json!({}));
    weigh("idle".to_owned(), &proc, 4);
    let mut client = proc.client();
    for entry in 0..ENTRIES {
        let target = format!("/{entry}");
        assert_eq!(client.get(&target).status, 200);
    }
    weigh("1,000 entries of 2 KB".to_owned(), &proc, 9);

    for (count, megabytes) in CONNECTIONS {
        let proc = start(connections(count + 100));
        // One after the other: it is their rest that is weighed, not their arrival.
        let mut clients = Vec::new();
        for _ in 0..count {
            let mut client = proc.client();
            assert_eq!(client.get("/").status, 200);
            clients.push(client);
        }
        weigh(format!("{count} idle connections"), &proc, megabytes);
    }

    println!(
        "{:<24} {:>10} {:>10} {:>6}",
        "resident", "bytes", "budget", "ratio"
    );
    for (what, bytes, budget) in &rows {
        println!(
            "{what:<24} {bytes:>10} {budget:>10} {:>6.2}",
            *bytes as f64 / *budget as f64
        );
    }
    assert!(rows.iter().all(|(_, bytes, budget)| bytes <= budget));
}

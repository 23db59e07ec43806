//! What memory the program has in ordinary use, beside its budgets. Built without optimisation it is a larger program.

use serde_json::json;

use crate::support::{Answer, Client, Origin, Proc, Start, config_for, crowd_turn};

const MEGABYTE: u64 = 1_000_000;
const LARGER: u64 = if cfg!(debug_assertions) { 5 } else { 1 };
const ENTRIES: usize = 1000;
const CONNECTIONS: usize = 500;

#[test]
fn memory_is_within_its_budgets() {
    let _turn = crowd_turn();
    let origin = Origin::answering(|_| Answer::ok(vec![b'a'; 2000]));
    let start = || {
        Start::with(config_for(&origin, json!({})))
            .descriptors(4096)
            .run()
    };
    let mut rows = Vec::new();
    let mut weigh = |what, proc: &Proc, megabytes| {
        rows.push((
            what,
            proc.figures().rss_kib * 1024,
            megabytes * MEGABYTE * LARGER,
        ))
    };

    let proc = start();
    weigh("idle", &proc, 3);
    let mut client = proc.client();
    for entry in 0..ENTRIES {
        let target = format!("/{entry}");
        assert_eq!(client.get(&target).status, 200);
    }
    weigh("1,000 entries of 2 KB", &proc, 8);

    let proc = start();
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| proc.client()).collect();
    assert!(
        clients
            .iter_mut()
            .all(|client| client.get("/").status == 200)
    );
    weigh("500 idle connections", &proc, 16);

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

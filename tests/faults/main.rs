//! The fault matrix: every way an origin can fail, by how old the stored answer is, and by method.
//!
//! What is expected is a pure table, written from the documents (`faults/expected.rs`); every cell of it is played through the
//! whole proxy, between a client and an origin that fails on real sockets. Limits are some 300 ms; age is a clock that is moved.
//!
//! ```sh
//! cargo test --test faults                          # all cells
//! LARDER_FAULT=drips cargo test --test faults every # those of the faults with that word in their name
//! cargo test --test faults the_report               # every cell, in target/reports/FAULTS.md
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod blocked_listener;
mod cell;
mod expected;
mod fault;
mod page;
mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use expected::Method;
use fault::Fault;
use larder_test_support as support;
use table::{TABLES, Table};

/// Cells played at once: most of them wait.
const AT_ONCE: usize = 16;

/// A cell: where it stands, and the method.
type Cell<'a> = (&'a Table, &'a Fault, Option<u64>, Method);

#[test]
fn every_fault_is_met_as_the_table_says() {
    let word = std::env::var("LARDER_FAULT").unwrap_or_default();
    let faults: Vec<Fault> = fault::all()
        .into_iter()
        .filter(|fault| fault.name.contains(&word))
        .collect();
    let cells = cells(&faults);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((table, fault, age, method)) =
                    cells.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let failure = cell::play(table, fault, *age, *method);
                    wrong.lock().unwrap().extend(failure);
                }
            });
        }
    });
    println!("{} cells in {:?}", cells.len(), begun.elapsed());
    let wrong = wrong.into_inner().unwrap();
    assert!(
        !cells.is_empty() && wrong.is_empty(),
        "{} of {}\n\n{}",
        wrong.len(),
        cells.len(),
        wrong.join("\n\n")
    );
}

#[test]
fn the_report_is_written_and_the_page_has_its_tables() {
    support::write_report("FAULTS.md", &page::markdown());
    support::expect_in_document("FAULTS.md", &page::causes());
    support::expect_in_document("FAULTS.md", &page::summary());
}

fn cells(faults: &[Fault]) -> Vec<Cell<'_>> {
    let mut cells = Vec::new();
    for table in &TABLES {
        for fault in faults {
            for (_, age) in table
                .columns
                .iter()
                .filter(|(_, age)| !table.leaves_out(fault, *age))
            {
                cells.extend(
                    [Method::Get, Method::Head, Method::Post]
                        .map(|method| (table, fault, *age, method)),
                );
            }
        }
    }
    cells
}

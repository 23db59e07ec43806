//! The hostile suite: clients that drip, flood, smuggle and never read, against the real program. What it must show stands in
//! the names of the tests. Memory, threads and descriptors are what the kernel says of the process, and are printed.
//!
//! ```sh
//! cargo test --release --target x86_64-unknown-linux-musl --test hostile -- --nocapture --include-ignored    # as CI runs it; the last option wants strace
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

#[path = "hostile/attackers.rs"]
mod attackers;
#[path = "hostile/budgets.rs"]
mod budgets;
#[path = "hostile/calls.rs"]
mod calls;
#[path = "hostile/descriptors.rs"]
mod descriptors;
#[path = "hour/dice.rs"]
mod dice;
#[path = "hostile/faults/mod.rs"]
mod faults;
#[path = "hostile/heads.rs"]
mod heads;
#[path = "hostile/ledger.rs"]
mod ledger;
#[path = "hostile/mixed.rs"]
mod mixed;
#[path = "hostile/pages.rs"]
mod pages;
#[path = "hostile/pipelines.rs"]
mod pipelines;
#[path = "hostile/regulars.rs"]
mod regulars;
#[path = "hostile/resets.rs"]
mod resets;
#[path = "hostile/scene.rs"]
mod scene;
#[path = "hostile/slowloris.rs"]
mod slowloris;
#[path = "hostile/smuggling.rs"]
mod smuggling;
#[allow(
    dead_code,
    unused_imports,
    reason = "the other integration tests use the rest"
)]
#[path = "it/support/mod.rs"]
mod support;
#[path = "hostile/unread.rs"]
mod unread;
#[path = "hostile/vectors.rs"]
mod vectors;

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

mod attackers;
mod bodies;
mod budgets;
mod calls;
mod cuts;
mod descriptors;
mod faults;
mod heads;
mod ledger;
mod mixed;
mod pages;
mod pipelines;
mod regulars;
mod resets;
mod scene;
mod slowloris;
mod smuggling;
mod unread;
mod vectors;

use larder_test_support::{self as support, dice};

//! The faults of the first edition's front, each with the input that showed it. See docs/decisions for what took its place.

mod accepting;
mod identity;
mod pipelining;
mod requests;
mod slow_readers;
mod threads;

use std::process::Command;

use serde_json::{Value, json};

/// Descriptors that the program and this process may have: enough for ten thousand connections and more.
pub const MANY: u32 = 20_000;

/// Raises this process's own limit on descriptors to [`MANY`], which its clients need.
#[track_caller]
pub fn many_descriptors() {
    let pid = std::process::id().to_string();
    let set = |limits: &str| {
        let mut command = Command::new("prlimit");
        command.args(["--pid", &pid, &format!("--nofile={limits}")]);
        command.status().is_ok_and(|status| status.success())
    };
    // Without privileges only the soft limit can be raised.
    let raised = set(&format!("{MANY}:{MANY}")) || set(&format!("{MANY}:"));
    assert!(
        raised,
        "this test needs {MANY} descriptors: ulimit -Hn {MANY}"
    );
}

/// The limits on connections raised to so many, and no timeout that ends an idle one.
pub fn connections(most: usize) -> Value {
    json!({ "proxy": {
        "maxConnections": most, "maxConnectionsPerClient": most,
        "headerTimeout": 120_000, "keepAliveTimeout": 300_000,
    } })
}

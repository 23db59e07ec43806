//! What is counted: a fixed set of atomics, each bumped where the thing happens.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one server, all since its start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections turned away because all places were taken.
    pub refused_connections: Counter,
    /// Failures of accept; none of them ends the listener.
    pub accept_failures: Counter,
    /// Requests refused before they were understood.
    pub refused_requests: Counter,
    /// Clients cut because they took nothing of their replies.
    pub cut_clients: Counter,
    /// Panics caught.
    pub panics: Counter,
    /// Fetches that failed.
    pub failed_fetches: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more, and returns how many there were before.
    pub fn bump(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    /// How many so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

//! What is counted: a fixed set of atomics, each bumped where the thing happens.

mod rejections;

use std::sync::atomic::{AtomicU64, Ordering};

pub use self::rejections::{RejectReason, Rejections};

/// The counters of one server, all since its start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Clients turned away or cut because there was too much of something.
    pub rejections: Rejections,
    /// Failures of accept; none of them ends the listener.
    pub accept_failures: Counter,
    /// Requests refused before they were understood.
    pub refused_requests: Counter,
    /// Requests of which the head took too long to arrive.
    pub slow_heads: Counter,
    /// Requests of which the body took too long to arrive.
    pub slow_bodies: Counter,
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

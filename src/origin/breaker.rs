//! Whether so much fails that the origin itself counts as failing. PURE: a value told how requests end.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Now;

/// How far back it looks.
const SPAN: Duration = Duration::from_secs(10);
/// So many requests must have ended in that time.
const LEAST_REQUESTS: usize = 10;
/// Of so many keys.
const LEAST_KEYS: usize = 3;
/// Ends that are remembered: of more in that time, the last.
const MAX_ENDS: usize = 256;

/// Whether an origin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It is.
    Closed,
    /// It is left alone.
    Open,
    /// One request asks whether it is well again, or the next one will.
    HalfOpen,
}

/// How the last requests ended.
#[derive(Debug)]
pub(super) struct Ends<K> {
    ends: VecDeque<End<K>>,
}

#[derive(Debug)]
struct End<K> {
    at: Duration,
    key: K,
    failed: bool,
    /// The key has answered before.
    known: bool,
}

impl Breaker {
    /// Its word in `/health` and the log.
    pub fn word(self) -> &'static str {
        match self {
            Breaker::Closed => "closed",
            Breaker::Open => "open",
            Breaker::HalfOpen => "half-open",
        }
    }
}

impl<K: Clone + Eq> Ends<K> {
    pub(super) fn new() -> Ends<K> {
        Ends {
            ends: VecDeque::new(),
        }
    }

    /// A request ended. `known`: its key has answered before.
    pub(super) fn note(&mut self, key: &K, failed: bool, known: bool, now: Now) {
        self.ends.retain(|end| now.mono < end.at + SPAN);
        if self.ends.len() >= MAX_ENDS {
            self.ends.pop_front();
        }
        self.ends.push_back(End {
            at: now.mono,
            key: key.clone(),
            failed,
            known,
        });
    }

    /// Whether half of them, or more, failed. A key that never answered says nothing while others do: a client can invent
    /// such keys, and some homes have them.
    pub(super) fn show_failure(&self) -> bool {
        let some_answer = self.ends.iter().any(|end| !end.failed);
        let counting = || self.ends.iter().filter(|end| end.known || !some_answer);
        let mut keys: Vec<&K> = Vec::new();
        for end in counting() {
            if keys.len() < LEAST_KEYS && !keys.contains(&&end.key) {
                keys.push(&end.key);
            }
        }
        let ended = counting().count();
        let failed = counting().filter(|end| end.failed).count();
        ended >= LEAST_REQUESTS && keys.len() >= LEAST_KEYS && failed * 2 >= ended
    }

    pub(super) fn forget(&mut self) {
        self.ends.clear();
    }
}

//! The keys that have failed, and until when they are not asked: a bounded table. PURE.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use super::backoff::Permission;
use crate::clock::Now;
use crate::outcome::Cause;

/// How many keys are remembered; the one that has failed for longest is forgotten first.
pub(super) const MAX_FAILING: usize = 1024;

/// Why an origin or a key is not asked for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailureState {
    pub cause: Cause,
    /// In a row.
    pub failures: u32,
    pub until: Duration,
    /// A probe is under way.
    pub probing: bool,
}

/// The failing keys `K`, each with its failures.
#[derive(Debug)]
pub(super) struct FailureTable<K> {
    all: HashMap<K, FailureState>,
    /// The one that has failed for longest first.
    order: VecDeque<K>,
}

impl FailureState {
    /// One failure more, for which nobody asks before `until`. What was asked before the last failure takes nothing from the wait
    /// that one began.
    pub(super) fn after(
        known: Option<&FailureState>,
        cause: Cause,
        until: Duration,
    ) -> FailureState {
        let (failures, until) = known.map_or((1, until), |known| {
            (known.failures + 1, known.until.max(until))
        });
        FailureState {
            cause,
            failures,
            until,
            probing: false,
        }
    }

    /// How long somebody who asks now has to wait. `None`: not at all.
    pub(super) fn wait(&self, now: Now) -> Option<Permission> {
        let until = if self.probing {
            self.until.max(now.mono + Duration::from_secs(1))
        } else {
            self.until
        };
        (now.mono < until).then_some(Permission::Wait(self.cause, until))
    }
}

impl<K> Default for FailureTable<K> {
    fn default() -> FailureTable<K> {
        FailureTable {
            all: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> FailureTable<K> {
    pub(super) fn get(&self, key: &K) -> Option<&FailureState> {
        self.all.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut FailureState> {
        self.all.get_mut(key)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &FailureState)> {
        self.all.iter()
    }

    /// Failures of this key in a row.
    pub(super) fn failures(&self, key: &K) -> u32 {
        self.all.get(key).map_or(0, |failure| failure.failures)
    }

    /// Notes one failure more; the key is left alone at least until then, and until the time returned.
    pub(super) fn add(&mut self, key: &K, cause: Cause, until: Duration) -> Duration {
        let failure = FailureState::after(self.all.get(key), cause, until);
        if self.all.insert(key.clone(), failure).is_none() {
            self.order.push_back(key.clone());
        }
        while self.order.len() > MAX_FAILING {
            if let Some(oldest) = self.order.pop_front() {
                self.all.remove(&oldest);
            }
        }
        failure.until
    }

    /// Ends the waits of the keys that failed last by this cause; whether there were any.
    pub(super) fn end_waits(&mut self, cause: Cause, now: Now) -> bool {
        let mut any = false;
        for failure in self.all.values_mut() {
            if failure.cause == cause && failure.until > now.mono {
                failure.until = now.mono;
                any = true;
            }
        }
        any
    }

    pub(super) fn forget(&mut self, key: &K) {
        if self.all.remove(key).is_some() {
            self.order.retain(|known| known != key);
        }
    }
}

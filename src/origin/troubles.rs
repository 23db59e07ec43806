//! Who has failed, and is left alone until when: a bounded table. PURE.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use super::backoff::Permission;
use crate::clock::Now;
use crate::outcome::Cause;

/// How many are remembered; the one in trouble longest is forgotten first.
pub(super) const MAX_TROUBLES: usize = 1024;

/// What somebody is left alone for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub cause: Cause,
    /// In a row.
    pub failures: u32,
    pub until: Duration,
    /// A probe is under way.
    pub probing: bool,
}

/// The troubles of all keys `K` that are in one.
#[derive(Debug)]
pub(super) struct Troubles<K> {
    all: HashMap<K, Trouble>,
    /// In trouble longest first.
    order: VecDeque<K>,
}

impl Trouble {
    /// One failure more, for which nobody asks before `until`. What was asked before the last failure takes nothing from the wait
    /// that one began.
    pub(super) fn after(known: Option<&Trouble>, cause: Cause, until: Duration) -> Trouble {
        let (failures, until) = known.map_or((1, until), |known| {
            (known.failures + 1, known.until.max(until))
        });
        Trouble {
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

impl<K> Default for Troubles<K> {
    fn default() -> Troubles<K> {
        Troubles {
            all: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> Troubles<K> {
    pub(super) fn get(&self, key: &K) -> Option<&Trouble> {
        self.all.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut Trouble> {
        self.all.get_mut(key)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Trouble)> {
        self.all.iter()
    }

    /// Failures of this key in a row.
    pub(super) fn failures(&self, key: &K) -> u32 {
        self.all.get(key).map_or(0, |trouble| trouble.failures)
    }

    /// Notes one failure more; the key is left alone at least until then, and until the time returned.
    pub(super) fn add(&mut self, key: &K, cause: Cause, until: Duration) -> Duration {
        let trouble = Trouble::after(self.all.get(key), cause, until);
        if self.all.insert(key.clone(), trouble).is_none() {
            self.order.push_back(key.clone());
        }
        while self.order.len() > MAX_TROUBLES {
            if let Some(oldest) = self.order.pop_front() {
                self.all.remove(&oldest);
            }
        }
        trouble.until
    }

    pub(super) fn forget(&mut self, key: &K) {
        if self.all.remove(key).is_some() {
            self.order.retain(|known| known != key);
        }
    }
}

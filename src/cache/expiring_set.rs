//! Keys remembered for a while: those whose answers could not be shared of late, those fetched on demand just now. Bounded: the
//! oldest is forgotten first. PURE.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::key::Key;
use crate::clock::Now;

/// How many keys are remembered.
const MAX_KEYS: usize = 1024;

/// Keys remembered for a while.
#[derive(Default)]
pub struct ExpiringSet {
    until: HashMap<Key, Duration>,
    order: VecDeque<Key>,
}

impl ExpiringSet {
    /// Whether this key is remembered now.
    pub fn has(&self, key: &Key, now: Now) -> bool {
        self.until.get(key).is_some_and(|until| now.mono < *until)
    }

    /// Remembers this key for so long.
    pub fn set(&mut self, key: &Key, length: Duration, now: Now) {
        if self.until.insert(key.clone(), now.mono + length).is_none() {
            self.order.push_back(key.clone());
        }
        while self.order.len() > MAX_KEYS {
            if let Some(oldest) = self.order.pop_front() {
                self.until.remove(&oldest);
            }
        }
    }

    /// Forgets this key.
    pub fn clear(&mut self, key: &Key) {
        if self.until.remove(key).is_some() {
            self.order.retain(|known| known != key);
        }
    }
}

//! Keys whose answers could not be shared of late: they are not collapsed, so that nobody queues behind an answer they cannot
//! have.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::cache::key::Key;
use crate::clock::Now;

/// How long a key is remembered, and how many are.
const MARKED_FOR: Duration = Duration::from_secs(60);
const MAX_MARKS: usize = 1024;

/// Keys whose answers could not be shared of late.
#[derive(Default)]
pub(super) struct Marks {
    until: HashMap<Key, Duration>,
    order: VecDeque<Key>,
}

impl Marks {
    pub(super) fn has(&self, key: &Key, now: Now) -> bool {
        self.until.get(key).is_some_and(|until| now.mono < *until)
    }

    pub(super) fn set(&mut self, key: &Key, now: Now) {
        if self.until.insert(key.clone(), now.mono + MARKED_FOR).is_none() {
            self.order.push_back(key.clone());
        }
        while self.order.len() > MAX_MARKS {
            if let Some(oldest) = self.order.pop_front() {
                self.until.remove(&oldest);
            }
        }
    }

    pub(super) fn clear(&mut self, key: &Key) {
        if self.until.remove(key).is_some() {
            self.order.retain(|marked| marked != key);
        }
    }
}

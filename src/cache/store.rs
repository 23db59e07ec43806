//! Stored responses in memory: one map, bounded in bytes, shared by all threads.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::key::Key;
use super::shelf::Shelf;
use crate::policy::freshness::Lifetime;
use crate::sync::Mutex;

/// Bytes an entry is charged beside its key, head and body.
pub const PER_ENTRY: usize = 200;

/// Slots looked at before the lock is let go: well below a millisecond.
const SLICE: u32 = 256;

/// One stored response (RFC 9111 §3). Never changed: a refresh stores another one in its place.
pub struct Stored {
    /// Its key.
    pub key: Key,
    /// Its status code.
    pub status: StatusCode,
    /// Its head, rendered once; what a reply adds per request is not in it.
    pub head: Box<[u8]>,
    /// Its content.
    pub body: Bytes,
    /// How long it may be used, and for what.
    pub lifetime: Lifetime,
    /// How often it was used. About it, not of it: no reply shows it. 32 bits cost an entry nothing, they fill a gap.
    pub hits: AtomicU32,
}

impl Stored {
    /// Counts one more use.
    pub fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was used.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed).into()
    }

    /// What it counts towards `maxBytes`.
    pub fn charge(&self) -> usize {
        self.key.as_str().len() + self.head.len() + self.body.len() + PER_ENTRY
    }
}

/// The memory store. Every call takes a bounded time under its one lock, and drops what it removed without the lock.
pub struct Store {
    /// Hashes keys before the lock is taken; seeded, so that nobody can choose colliding keys.
    hasher: RandomState,
    /// Protects the entries, their queues, the pins and the counters.
    shelf: Mutex<Shelf<RandomState>>,
}

/// What became of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is the first one of its key.
    New,
    /// It replaced the one of its key.
    Replaced,
    /// It is larger than `maxBytes` without what is pinned: not stored. One stored before under its key stays.
    TooLarge,
}

/// What became of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// The key's entry is kept while pinned entries take at most half of the store, in bytes and in number.
    Yes,
    /// 4,096 keys are pinned already: this one stays ordinary.
    TableFull,
}

/// The store in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Entries held, pinned ones included.
    pub entries: usize,
    /// Bytes they are charged; at most `maxBytes`.
    pub bytes: usize,
    /// Pinned entries held.
    pub pinned_entries: usize,
    /// Bytes these are charged.
    pub pinned_bytes: usize,
    /// Entries that left to make room, since the start.
    pub evictions: u64,
    /// Insertions refused as too large, since the start.
    pub refusals: u64,
}

impl Store {
    /// An empty store of at most `max_bytes` (by [`Stored::charge`]) and `max_entries`. Zero of either stores nothing.
    pub fn new(max_bytes: usize, max_entries: usize) -> Store {
        let hasher = RandomState::new();
        let shelf = Mutex::new(Shelf::new(hasher.clone(), max_bytes, max_entries));
        Store { hasher, shelf }
    }

    /// The stored response of `key`, for use in a reply: counts as a use when room is made. `None` if there is none.
    pub fn find(&self, key: &str) -> Option<Arc<Stored>> {
        let hash = self.hash(key);
        self.shelf.lock().find(hash, key).cloned()
    }

    /// The stored response of `key`, for looking at: does not count as a use. `None` if there is none.
    pub fn peek(&self, key: &str) -> Option<Arc<Stored>> {
        let hash = self.hash(key);
        self.shelf.lock().peek(hash, key).cloned()
    }

    /// Stores a response, making room if needed. One of the same key is replaced and passes its place in line on; where room
    /// had to be made for the difference, the newcomer goes to the end of that line.
    pub fn insert(&self, stored: Arc<Stored>) -> Inserted {
        let hash = self.hash(stored.key.as_str());
        // Outlives the lock: large bodies are given back to the allocator without it.
        let mut displaced = Vec::new();
        self.shelf.lock().insert(hash, stored, &mut displaced)
    }

    /// Removes the stored response of `key`; answers it, or `None` if there was none.
    pub fn remove(&self, key: &str) -> Option<Arc<Stored>> {
        let hash = self.hash(key);
        self.shelf.lock().remove(hash, key)
    }

    /// Removes every response whose key `unwanted` says yes to; answers how many. `unwanted` runs under the lock, for a
    /// bounded number of keys at a time. What is stored while this runs may be missed.
    pub fn remove_matching(&self, mut unwanted: impl FnMut(&str) -> bool) -> usize {
        self.remove_where(|stored| unwanted(stored.key.as_str()))
    }

    /// Removes every response that nothing may use any more at this monotonic time, pinned or not; answers how many.
    pub fn sweep(&self, mono: Duration) -> usize {
        self.remove_where(|stored| stored.lifetime.retained_until() < mono)
    }

    /// Some of the responses, at most `limit`, in no order that means anything.
    pub fn some(&self, limit: usize) -> Vec<Arc<Stored>> {
        let (mut some, mut from, mut more) = (Vec::new(), 0_u32, true);
        while more && some.len() < limit {
            let to = from.saturating_add(SLICE);
            more = self.shelf.lock().list_slots((from, to), &mut some);
            from = to;
        }
        some.truncate(limit);
        some
    }

    /// Removes everything; answers how many there were. Pins and counters stay.
    pub fn clear(&self) -> usize {
        let (_fifos, index) = self.shelf.lock().clear();
        index.len()
    }

    /// Keeps the response of `key` from eviction, the one stored now and every later one.
    pub fn pin(&self, key: Key) -> Pinned {
        let hash = self.hash(key.as_str());
        self.shelf.lock().pin(hash, key)
    }

    /// Makes `key` ordinary again.
    pub fn unpin(&self, key: &str) {
        let hash = self.hash(key);
        self.shelf.lock().unpin(hash, key);
    }

    /// The store in numbers, kept as it goes: costs the same at any size.
    pub fn gauges(&self) -> Gauges {
        self.shelf.lock().gauges()
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn remove_where(&self, mut unwanted: impl FnMut(&Stored) -> bool) -> usize {
        let (mut removed, mut from, mut more) = (0, 0_u32, true);
        while more {
            let mut slice = Vec::new();
            let to = from.saturating_add(SLICE);
            more = self.shelf.lock().remove_from_slots((from, to), &mut unwanted, &mut slice);
            removed += slice.len();
            from = to;
        }
        removed
    }
}

#[cfg(test)]
pub(super) mod tests;

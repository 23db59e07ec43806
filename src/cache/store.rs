//! Stored responses in memory: one map, bounded in bytes, shared by all threads.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::key::Key;
use super::shelf::Shelf;
use super::variants::{Left, Variants};
use crate::policy::freshness::Lifetime;
use crate::policy::vary::{Selecting, is_selected};
use crate::sync::Mutex;

/// Bytes a response is charged beside its key, head, body and selecting fields.
pub const PER_ENTRY: usize = 200;

/// Slots looked at before the lock is let go: well below a millisecond.
const SLICE: u32 = 256;

/// One stored response (RFC 9111 §3). Never changed: a refresh stores another one in its place.
pub struct Stored {
    /// Its key.
    pub key: Key,
    /// Its status code.
    pub status: StatusCode,
    /// Its head, rendered once: the status line, the origin's fields, ours; what a reply adds per request is not in it.
    pub head: Box<[u8]>,
    /// Where in `head` the origin's fields end.
    pub fields_end: u32,
    /// Its content.
    pub body: Bytes,
    /// How long it may be used, and for what.
    pub lifetime: Lifetime,
    /// What selects it among the responses of its key (§4.1). `None`: every request does.
    pub selecting: Option<Box<Selecting>>,
    /// How often it was used. About it, not of it: no reply shows it. 32 bits cost an entry nothing, they fill a gap.
    pub hits: AtomicU32,
    /// When it was used last, in tenths of a second of monotonic time; 0 before that. It, too, is about it only.
    pub used: AtomicU32,
}

impl Stored {
    /// Counts one more use.
    pub fn count_hit(&self) {
        self.count_hits(1);
    }

    /// Counts so many more uses.
    pub fn count_hits(&self, uses: u32) {
        self.hits.fetch_add(uses, Ordering::Relaxed);
    }

    /// How often it was used.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed).into()
    }

    /// Notes a use at this monotonic time. Only where it stands beside others: nobody else asks when it was.
    pub fn note_use(&self, mono: Duration) {
        let tick = tick(mono);
        // Read first: who only reads leaves it in the caches of other processors.
        if self.selecting.is_some() && self.used.load(Ordering::Relaxed) != tick {
            self.used.store(tick, Ordering::Relaxed);
        }
    }

    /// Whether a request used it at this monotonic time or later. Known only where Vary selects it.
    pub fn was_used_since(&self, mono: Duration) -> bool {
        self.used.load(Ordering::Relaxed) >= tick(mono).max(1)
    }

    /// When it was used last, as [`Stored::used`]; its arrival is a use.
    pub(super) fn last_used(&self) -> u32 {
        self.used
            .load(Ordering::Relaxed)
            .max(tick(self.lifetime.received()))
    }

    /// Whether a request with these fields selects it.
    pub fn is_selected_by(&self, asked: &HeaderMap) -> bool {
        is_selected(self.selecting.as_deref(), asked)
    }

    /// Its media type. `None`: it tells none.
    pub fn content_type(&self) -> Option<&[u8]> {
        let mut lines = self.head.split(|byte| *byte == b'\n');
        let value = lines.find_map(|line| line.strip_prefix(b"Content-Type: "))?;
        Some(value.trim_ascii_end())
    }

    /// The origin's fields, read back from the head: for who has time.
    pub fn fields(&self) -> HeaderMap {
        let end = usize::try_from(self.fields_end).unwrap_or(usize::MAX);
        let lines = self
            .head
            .get(..end)
            .unwrap_or_default()
            .split(|byte| *byte == b'\n');
        let mut fields = HeaderMap::new();
        for (name, value) in lines.skip(1).filter_map(field) {
            // More than a map can hold did not come out of one.
            let _ = fields.try_append(name, value);
        }
        fields
    }

    /// What it counts towards `maxBytes`.
    pub fn charge(&self) -> usize {
        let selecting = self
            .selecting
            .as_ref()
            .map_or(0, |selecting| selecting.charge());
        self.key.as_str().len() + self.head.len() + self.body.len() + selecting + PER_ENTRY
    }
}

/// The field in a line as heads are rendered; `None` if there is none.
fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let line = line.strip_suffix(b"\r")?;
    let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
    let value = HeaderValue::from_bytes(value.strip_prefix(b": ")?).ok()?;
    Some((HeaderName::from_bytes(name).ok()?, value))
}

/// Tenths of a second, for 13 years.
fn tick(mono: Duration) -> u32 {
    u32::try_from(mono.as_millis() / 100).unwrap_or(u32::MAX)
}

/// The memory store. Every call takes a bounded time under its one lock, and drops what it removed without the lock.
pub struct Store {
    /// Hashes keys before the lock is taken; seeded, so that nobody can choose colliding keys.
    hasher: RandomState,
    /// Protects the entries, their queues, the pins and the counters.
    shelf: Mutex<Shelf<RandomState>>,
    changes: std::sync::atomic::AtomicU64,
}

/// What became of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It took the place of none: it is the first one of its key, or stands beside others.
    New,
    /// It took the place of those of its key that its request selects.
    Replaced,
    /// There were 16 others of its key: the least recently used one of them is gone.
    Crowded,
    /// It is larger than `maxBytes` without what is pinned: not stored. What was stored before under its key stays.
    TooLarge,
}

/// What became of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// What the key has is kept while pinned entries take at most half of the store, in bytes and in number.
    Yes,
    /// 4,096 keys are pinned already: this one stays ordinary.
    TableFull,
}

/// The store in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Entries held, pinned ones included: keys that have something stored.
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
        Store {
            hasher,
            shelf,
            changes: Default::default(),
        }
    }

    /// What is stored under `key`, for use in a reply: counts as a use when room is made. `None` if there is nothing.
    pub fn find(&self, key: &str) -> Option<Variants> {
        let hash = self.hash(key);
        self.shelf.lock().find(hash, key).cloned()
    }

    /// What is stored under `key`, for looking at: does not count as a use. `None` if there is nothing.
    pub fn peek(&self, key: &str) -> Option<Variants> {
        let hash = self.hash(key);
        self.shelf.lock().peek(hash, key).cloned()
    }

    /// Stores the response to a request that the origin saw with the fields `sent`, making room if needed. It takes the
    /// place of all of its key that `sent` selects and stands beside the others, in their place in line; where room had to be
    /// made for the difference, they go to the end of that line. Of more than 16, or of more than all the room there is, the
    /// least recently used go.
    pub fn insert(&self, stored: Arc<Stored>, sent: &HeaderMap) -> Inserted {
        let hash = self.hash(stored.key.as_str());
        // Outlives the lock: large bodies are given back to the allocator without it.
        let mut displaced = Vec::new();
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.shelf.lock().insert(hash, stored, sent, &mut displaced)
    }

    /// Removes all that is stored under `key`; answers it, or `None` if there was nothing.
    pub fn remove(&self, key: &str) -> Option<Variants> {
        let hash = self.hash(key);
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.shelf.lock().remove(hash, key)
    }

    /// Removes every response whose key `unwanted` says yes to; answers how many. `unwanted` runs under the lock, for a
    /// bounded number of keys at a time. What is stored while this runs may be missed.
    pub fn remove_matching(&self, mut unwanted: impl FnMut(&str) -> bool) -> usize {
        let mut removed = 0;
        self.leave(|variants| {
            if !unwanted(variants.newest().key.as_str()) {
                return Left::All;
            }
            removed += variants.len();
            Left::Nothing
        });
        removed
    }

    /// Removes every response that nothing may use any more at this monotonic time, pinned or not; answers how many.
    pub fn sweep(&self, mono: Duration) -> usize {
        let mut removed = 0;
        self.leave(|variants| {
            variants.without(|stored| {
                let is_over = stored.lifetime.retained_until() < mono;
                removed += usize::from(is_over);
                is_over
            })
        });
        removed
    }

    /// Some of the responses, at most `limit`, in no order that means anything but that the newest of a key comes first.
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
        let (fifos, _index) = self.shelf.lock().clear();
        self.changes.fetch_add(1, Ordering::AcqRel);
        fifos.iter().map(Variants::len).sum()
    }

    /// Keeps what is stored under `key` from eviction, now and later.
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

    /// Changes whenever something stored near `key` does.
    pub fn version(&self, _key: &str) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Removes all but what `left` leaves, a slice of the slots at a time.
    fn leave(&self, mut left: impl FnMut(&Variants) -> Left) {
        let (mut from, mut more) = (0_u32, true);
        while more {
            // Outlives the lock, as in `insert`.
            let mut removed = Vec::new();
            let to = from.saturating_add(SLICE);
            self.changes.fetch_add(1, Ordering::AcqRel);
            more = self
                .shelf
                .lock()
                .remove_from_slots((from, to), &mut left, &mut removed);
            from = to;
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

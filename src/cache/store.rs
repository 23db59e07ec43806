//! Stored responses in memory: bounded in bytes and entries, shared by all threads (docs/decisions/0026).
//!
//! A key's hash chooses one of sixteen shards. Each shard has a lock, held for a bounded time and never together with another one:
//! whatever else is locked is locked before. The ceilings hold for all shards together, so does the order in which entries leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::key::{Key, KeyHash, KeyHasher, KeyPrefix, TargetKey};
use super::s3_fifo::totals::{Amount, Totals};
use super::s3_fifo::{Eviction, MAX_SLOTS, MAX_USES, NoRoom, Queue, S3Fifo};
use super::variants::{Left, Variants};
use crate::policy::freshness::Lifetime;
use crate::policy::vary::{Selecting, is_selected};
use crate::route::RuleId;
use crate::sync::Mutex;

/// Bytes a response is charged beside its key, head, body and selecting fields.
pub const PER_ENTRY: usize = 200;

/// Slots looked at before the lock is let go: well below a millisecond.
const SLICE: u32 = 256;

/// Shards, a power of two. Two of 64 threads meet in one now and then; twice as many would cost idle stores memory.
const SHARDS: usize = 16;

/// The lowest bit of a hash that chooses the shard. The index of a shard uses the lowest bits and the highest seven, on 32-bit
/// processors bits 25 to 31; its ghost queue uses the highest ones for a place, and compares bits 0 to 31.
const SHARD_BIT: u32 = 32;

/// Entries one insertion may spare before the next one in line leaves, used or not: it bounds the work, and costs at most one
/// wanted entry in a thousand.
const MAX_SPARED: u32 = 1000;

/// How often an insertion makes room that others take before it gives up.
const MAX_ROUNDS: u32 = 1000;

/// One stored response (RFC 9111 §3). Never changed: a refresh stores another one in its place.
///
/// In this order, so that all a look-up touches lies beside the reference count: with many entries each line is a cache miss.
#[repr(C)]
pub struct Stored {
    /// Its key.
    pub key: Key,
    /// Uses since it joined its queue, as far as they count: see [`Stored::count_use`].
    pub uses: AtomicU8,
    /// Its status code.
    pub status: StatusCode,
    /// Where in `head` the origin's fields end.
    pub fields_end: u32,
    /// How long it may be used, and for what.
    pub lifetime: Lifetime,
    /// Its head, rendered once: the status line, the origin's fields, ours; what a reply adds per request is not in it.
    pub head: Box<[u8]>,
    /// Its content.
    pub body: Bytes,
    /// What selects it among the responses of its key (§4.1). `None`: every request does.
    pub selecting: Option<Box<Selecting>>,
    /// The rule of its target when it was stored.
    pub rule: RuleId,
    /// How often it was used. About it, not of it: no reply shows it.
    pub hits: AtomicU32,
    /// When it was used last, in seconds of monotonic time; 0 before that. It, too, is about it only.
    pub used: AtomicU32,
}

impl Stored {
    /// Counts one more hit.
    pub fn count_hit(&self) {
        self.count_hits(1);
    }

    /// Counts so many more hits at once: every one of them writes to what all threads read.
    pub fn count_hits(&self, hits: u32) {
        self.hits.fetch_add(hits, Ordering::Relaxed);
    }

    /// How often it was used.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed).into()
    }

    /// Notes a use at this monotonic time, once a second. Only where Vary selects it: nobody else asks when it was.
    pub fn note_use(&self, mono: Duration) {
        let second = second(mono);
        // Read first: what is only read stays in the caches of all processors.
        if self.selecting.is_some() && self.used.load(Ordering::Relaxed) != second {
            self.used.store(second, Ordering::Relaxed);
        }
    }

    /// Whether a request used it at this monotonic time or later, to the second. Known only where Vary selects it.
    pub fn was_used_since(&self, mono: Duration) -> bool {
        self.used.load(Ordering::Relaxed) >= second(mono).max(1)
    }

    /// When it was used last, as [`Stored::used`]; its arrival is a use.
    pub(super) fn last_used(&self) -> u32 {
        self.used
            .load(Ordering::Relaxed)
            .max(second(self.lifetime.received()))
    }

    /// Counts a use that keeps it from eviction. [`Store::find`] does it; who kept the response from an earlier look-up does it
    /// for each further reply. Written only while it is below its ceiling of three.
    pub fn count_use(&self) {
        let uses = self.uses();
        if uses < MAX_USES {
            self.set_uses(uses + 1);
        }
    }

    /// Uses since it joined its queue.
    pub(super) fn uses(&self) -> u8 {
        self.uses.load(Ordering::Relaxed)
    }

    pub(super) fn set_uses(&self, uses: u8) {
        self.uses.store(uses, Ordering::Relaxed);
    }

    /// Whether it may be sent whole to every plain GET for its target, if it is fresh and the only one of its key: status 200,
    /// and no request field selects it.
    pub fn is_plain(&self) -> bool {
        self.status == StatusCode::OK && self.selecting.is_none()
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

/// Whole seconds, for 136 years.
fn second(mono: Duration) -> u32 {
    u32::try_from(mono.as_secs()).unwrap_or(u32::MAX)
}

/// The memory store. Every call takes a bounded time under one lock at a time, and drops what it removed without it.
pub struct Store {
    hasher: KeyHasher,
    shards: [Shard; SHARDS],
    totals: Totals,
}

/// The entries whose hash chooses it.
struct Shard {
    /// Apart from the lock, which is written at every look-up: this line is only read by those who kept what they found.
    version: OwnLine<AtomicU64>,
    lock: OwnLine<Locked>,
}

struct Locked {
    /// Protects the entries, their queues and the pins.
    entries: Mutex<S3Fifo>,
    /// What is in the small and in the main queue, for who is about to make room.
    queues: [Glance; 2],
}

/// What another thread sees of a queue without the lock: as it was when that was last let go.
struct Glance {
    /// The order of its oldest entry; [`EMPTY`] where there is none.
    oldest: AtomicU64,
    bytes: AtomicUsize,
}

/// The order of no entry.
const EMPTY: u64 = u64::MAX;

/// The queues entries are evicted from.
const EVICTED_FROM: [Queue; 2] = [Queue::Small, Queue::Main];

/// On cache lines of its own, two of them: processors fetch them in pairs.
#[repr(align(128))]
struct OwnLine<T>(T);

impl Shard {
    fn new(ghosts: usize) -> Shard {
        let glance = || Glance {
            oldest: AtomicU64::new(EMPTY),
            bytes: AtomicUsize::new(0),
        };
        Shard {
            version: OwnLine(AtomicU64::new(0)),
            lock: OwnLine(Locked {
                entries: Mutex::new(S3Fifo::new(ghosts)),
                queues: [glance(), glance()],
            }),
        }
    }

    /// Looks under the lock.
    fn look<T>(&self, look: impl FnOnce(&S3Fifo) -> T) -> T {
        look(&self.lock.0.entries.lock())
    }

    /// Changes something under the lock, and tells the others before it is let go.
    fn change<T>(&self, change: impl FnOnce(&mut S3Fifo) -> T) -> T {
        let mut entries = self.lock.0.entries.lock();
        let changed = change(&mut entries);
        for (queue, glance) in EVICTED_FROM.into_iter().zip(&self.lock.0.queues) {
            let oldest = entries.oldest(queue).unwrap_or(EMPTY);
            glance.oldest.store(oldest, Ordering::Relaxed);
            glance.bytes.store(entries.bytes(queue), Ordering::Relaxed);
        }
        self.version.0.store(entries.changes(), Ordering::Release);
        changed
    }
}

/// A response that may be sent to every plain GET for its target while it is fresh and nothing in its shard has changed.
pub struct PlainHit {
    /// The response.
    pub stored: Arc<Stored>,
    /// The hash of its key.
    pub hash: KeyHash,
    /// What [`Store::version_of`] said before it was looked up.
    pub version: u64,
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
        // More entries than their own charge allows there never are.
        let max = Amount {
            entries: max_entries.min(max_bytes / PER_ENTRY).min(MAX_SLOTS),
            bytes: max_bytes,
        };
        let ghosts = max.entries.div_ceil(SHARDS);
        Store {
            hasher: KeyHasher::default(),
            shards: std::array::from_fn(|_| Shard::new(ghosts)),
            totals: Totals::new(max),
        }
    }

    /// What the keys of one origin and one role begin with, for [`Store::find_target`].
    pub fn prefix(&self, origin: Option<&str>, role: &str) -> KeyPrefix {
        self.hasher.prefix(origin, role)
    }

    /// What is stored under `key`, for use in a reply: counts as a use when room is made. `None` if there is nothing.
    pub fn find(&self, key: &str) -> Option<Variants> {
        let found = self.peek(key)?;
        found.newest().count_use();
        Some(found)
    }

    /// The same for a key whose text was never put together.
    pub fn find_target(&self, key: &TargetKey<'_>) -> Option<Variants> {
        let found = self.peek_at(key.hash(), |text| key.is(text))?;
        found.newest().count_use();
        Some(found)
    }

    /// The only response stored under a key, if no field of a request decides about it: see [`Stored::is_plain`]. Counts as a use.
    pub fn find_plain(&self, key: &TargetKey<'_>) -> Option<PlainHit> {
        // Before the look-up: what changes in between makes the hit void, never an old one valid.
        let version = self.version_of(key.hash());
        match self.find_target(key)? {
            Variants::One(stored) if stored.is_plain() => Some(PlainHit {
                stored,
                hash: key.hash(),
                version,
            }),
            _ => None,
        }
    }

    /// Whether a look-up would find the same now. Takes no lock and writes nothing.
    pub fn is_current(&self, hit: &PlainHit) -> bool {
        self.version_of(hit.hash) == hit.version
    }

    /// Counts the changes of the shard with this hash: insertions, replacements, removals. Read before a look-up, it tells as long
    /// as it stays that what was found is what would be found now.
    pub fn version_of(&self, hash: KeyHash) -> u64 {
        self.shard(hash).version.0.load(Ordering::Acquire)
    }

    /// What is stored under `key`, for looking at: does not count as a use. `None` if there is nothing.
    pub fn peek(&self, key: &str) -> Option<Variants> {
        self.peek_at(self.hasher.hash(key), |text| text == key)
    }

    /// Stores the response to a request that the origin saw with the fields `sent`, making room if needed. It takes the
    /// place of all of its key that `sent` selects and stands beside the others, in their place in line; where room had to be
    /// made for the difference, they go to the end of that line. Of more than 16, or of more than all the room there is, the
    /// least recently used go.
    pub fn insert(&self, stored: Arc<Stored>, sent: &HeaderMap) -> Inserted {
        let hash = self.hasher.hash(stored.key.as_str());
        let shard = self.shard(hash);
        // Outlives the locks: large bodies are given back to the allocator without them.
        let mut displaced = Vec::new();
        let mut may_spare = MAX_SPARED;
        for _ in 0..MAX_ROUNDS {
            let put = shard
                .change(|entries| entries.put(hash, &stored, sent, &self.totals, &mut displaced));
            match put {
                Ok(inserted) => return inserted,
                Err(no_room) => self.make_room(no_room, hash, &mut may_spare, &mut displaced),
            }
        }
        self.totals.refusals.fetch_add(1, Ordering::Relaxed);
        Inserted::TooLarge
    }

    /// Removes all that is stored under `key`; answers it, or `None` if there was nothing.
    pub fn remove(&self, key: &str) -> Option<Variants> {
        let hash = self.hasher.hash(key);
        self.shard(hash)
            .change(|entries| entries.remove(hash, key, &self.totals))
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
        let mut some = Vec::new();
        for shard in &self.shards {
            let mut from = 0_u32;
            let mut more = true;
            while more && some.len() < limit {
                let to = from.saturating_add(SLICE);
                more = shard.look(|entries| entries.list_slots((from, to), &mut some));
                from = to;
            }
        }
        some.truncate(limit);
        some
    }

    /// Removes everything; answers how many there were. Pins and counters stay. What is stored while this runs may be missed.
    pub fn clear(&self) -> usize {
        let clear = |shard: &Shard| {
            let removed = shard.change(|entries| entries.clear(&self.totals));
            removed.iter().map(Variants::len).sum::<usize>()
        };
        self.shards.iter().map(clear).sum()
    }

    /// Keeps what is stored under `key` from eviction, now and later.
    pub fn pin(&self, key: Key) -> Pinned {
        let hash = self.hasher.hash(key.as_str());
        self.shard(hash)
            .change(|entries| entries.pin(hash, key, &self.totals))
    }

    /// Makes `key` ordinary again.
    pub fn unpin(&self, key: &str) {
        let hash = self.hasher.hash(key);
        self.shard(hash)
            .change(|entries| entries.unpin(hash, key, &self.totals));
    }

    /// The store in numbers, kept as it goes: costs the same at any size, and takes no lock.
    pub fn gauges(&self) -> Gauges {
        let all = self.totals.all.held();
        let pinned = self.totals.pinned.held();
        Gauges {
            entries: all.entries,
            bytes: all.bytes,
            pinned_entries: pinned.entries,
            pinned_bytes: pinned.bytes,
            evictions: self.totals.evictions.load(Ordering::Relaxed),
            refusals: self.totals.refusals.load(Ordering::Relaxed),
        }
    }

    fn shard(&self, hash: KeyHash) -> &Shard {
        &self.shards[(hash.0 >> SHARD_BIT) as usize % SHARDS]
    }

    fn peek_at(&self, hash: KeyHash, is_key: impl FnOnce(&str) -> bool) -> Option<Variants> {
        self.shard(hash)
            .look(|entries| entries.find(hash, is_key).cloned())
    }

    /// Evicts from any shard until there is room, or nothing more to evict. The entry of `but` stays.
    fn make_room(
        &self,
        no_room: NoRoom,
        but: KeyHash,
        may_spare: &mut u32,
        out: &mut Vec<Variants>,
    ) {
        let all = &self.totals.all;
        while !all.has_room(no_room.gone, no_room.new) {
            match self.evict(but, *may_spare > 0, out) {
                Eviction::Evicted => {}
                Eviction::Spared => *may_spare -= 1,
                Eviction::Nothing => return,
            }
        }
    }

    /// Decides on the oldest entry of all shards, in the queue whose turn it is.
    fn evict(&self, but: KeyHash, may_spare: bool, out: &mut Vec<Variants>) -> Eviction {
        let mut bytes = [0; 2];
        let mut oldest = [(EMPTY, 0); 2];
        for (place, shard) in self.shards.iter().enumerate() {
            for (queue, glance) in shard.lock.0.queues.iter().enumerate() {
                bytes[queue] += glance.bytes.load(Ordering::Relaxed);
                let order = glance.oldest.load(Ordering::Relaxed);
                oldest[queue] = oldest[queue].min((order, place));
            }
        }
        let [small, main] = bytes;
        // A tenth of what is held, not of what may be: the bound on entries may be the one that is met.
        let turn = if main == 0 || small > (small + main) / 10 {
            [0, 1]
        } else {
            [1, 0]
        };
        for queue in turn {
            let (_, place) = oldest[queue];
            let evicted = self.shards[place].change(|entries| {
                entries.evict(EVICTED_FROM[queue], but, may_spare, &self.totals, out)
            });
            if evicted != Eviction::Nothing {
                return evicted;
            }
        }
        Eviction::Nothing
    }

    /// Removes all but what `left` leaves, a slice of the slots at a time.
    fn leave(&self, mut left: impl FnMut(&Variants) -> Left) {
        for shard in &self.shards {
            let mut from = 0_u32;
            let mut more = true;
            while more {
                // Outlives the lock, as in `insert`.
                let mut removed = Vec::new();
                let to = from.saturating_add(SLICE);
                more = shard.change(|entries| {
                    entries.remove_from_slots((from, to), &mut left, &self.totals, &mut removed)
                });
                from = to;
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

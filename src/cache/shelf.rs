//! S3-FIFO by bytes: which entries stay (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
//!
//! A new entry enters a small queue, about a tenth of what is held. Used twice before its turn it moves to the main queue,
//! else it leaves and only its hash is remembered; an entry that comes back while remembered enters the main queue at once.
//! The main queue gives an entry one more round for each use, three at most. So a scan of keys nobody wants twice passes
//! through the small queue and leaves the rest alone. An entry is all that is stored under one key: variants come and go
//! together. No lock and no clock in here.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::Arc;

use http::HeaderMap;

use super::fifo::{Fifos, MAX_SLOTS, Queue};
use super::ghost::Ghost;
use super::key::Key;
use super::store::{Gauges, Inserted, PER_ENTRY, Pinned, Stored};
use super::variants::{Left, Variants};

/// Uses are counted up to this.
const MAX_USES: u8 = 3;

/// Entries one insertion may spare before the next one in line leaves, used or not: it bounds the work under the lock, and
/// costs at most one wanted entry in a thousand.
const MAX_SPARED: u32 = 1000;

/// Keys that may be pinned.
const MAX_PINS: usize = 4096;

/// The entries, found by hash. `S` hashes keys; it must resist chosen keys.
pub(super) struct Shelf<S> {
    hasher: S,
    /// From the hash of a key to the slot of its entry. Two texts with one 64-bit hash take turns.
    index: Index,
    fifos: Fifos,
    ghost: Ghost,
    pins: HashSet<Key>,
    max_bytes: usize,
    max_entries: usize,
    evictions: u64,
    refusals: u64,
}

/// An entry that is here.
#[derive(Clone, Copy)]
struct Standing {
    slot: u32,
    queue: Queue,
    charge: usize,
}

/// A number of entries and what they are charged.
#[derive(Clone, Copy)]
struct Held {
    entries: usize,
    bytes: usize,
}

/// Finds slots by hash.
pub(super) type Index = HashMap<u64, u32, BuildHasherDefault<AsItIs>>;

impl<S: BuildHasher> Shelf<S> {
    pub(super) fn new(hasher: S, max_bytes: usize, max_entries: usize) -> Shelf<S> {
        // More entries than their own charge allows there never are.
        let places = u32::try_from(max_entries.min(max_bytes / PER_ENTRY))
            .unwrap_or(MAX_SLOTS)
            .min(MAX_SLOTS);
        Shelf {
            hasher,
            index: Index::default(),
            fifos: Fifos::new(),
            ghost: Ghost::new(places),
            pins: HashSet::new(),
            max_bytes,
            max_entries: places as usize,
            evictions: 0,
            refusals: 0,
        }
    }

    /// The entry of `key`, whose hash is `hash`. Counts no use.
    pub(super) fn peek(&self, hash: u64, key: &str) -> Option<&Variants> {
        self.fifos.at(self.slot(hash, key)?)
    }

    /// The entry of `key`, whose hash is `hash`. Counts a use.
    pub(super) fn find(&mut self, hash: u64, key: &str) -> Option<&Variants> {
        let slot = self.slot(hash, key)?;
        self.fifos.count_use(slot, MAX_USES);
        self.fifos.at(slot)
    }

    /// Puts a response in, which takes the place of those of its key that `sent` selects. What it displaces, or itself if
    /// refused, goes to `out`, for the caller to drop without the lock.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        stored: Arc<Stored>,
        sent: &HeaderMap,
        out: &mut Vec<Variants>,
    ) -> Inserted {
        let before = self.standing(hash, stored.key.as_str());
        let others = self.pinned_beside(before);
        let room = self.max_bytes - others.bytes;
        if stored.charge() > room || self.max_entries == 0 {
            self.refusals += 1;
            out.push(Variants::One(stored));
            return Inserted::TooLarge;
        }
        let known = before.and_then(|before| self.fifos.at(before.slot));
        let (variants, inserted) = Variants::with(known, stored, sent, room);
        let charge = variants.charge();
        let pinned = self.pins.contains(&variants.newest().key) && self.may_pin(others, charge);
        if let Some(before) = before {
            let fits = self.bytes() - before.charge + charge <= self.max_bytes;
            if fits && pinned == (before.queue == Queue::Pinned) {
                out.extend(self.fifos.replace(before.slot, variants));
                return inserted;
            }
        }
        let queue = self.queue_for(hash, pinned, before.map(|before| before.queue));
        // Takes out another text with the same hash, too.
        out.extend(self.take(hash));
        self.make_room(charge, out);
        let slot = self.fifos.push(queue, variants);
        self.index.insert(hash, slot);
        inserted
    }

    /// Takes the entry of `key` out.
    pub(super) fn remove(&mut self, hash: u64, key: &str) -> Option<Variants> {
        self.slot(hash, key)?;
        self.take(hash)
    }

    /// Takes out of the slots `from` to `to` all but what `left` leaves; answers false once there are no more slots.
    pub(super) fn remove_from_slots(
        &mut self,
        (from, to): (u32, u32),
        left: &mut impl FnMut(&Variants) -> Left,
        out: &mut Vec<Variants>,
    ) -> bool {
        for slot in from..to.min(self.fifos.slots()) {
            out.extend(match self.fifos.at(slot).map_or(Left::All, &mut *left) {
                Left::All => None,
                Left::Some(variants) => self.fifos.replace(slot, variants),
                Left::Nothing => self.take_slot(slot),
            });
        }
        to < self.fifos.slots()
    }

    /// Lists what is in the slots `from` to `to`; answers false once there are no more slots.
    pub(super) fn list_slots(&self, (from, to): (u32, u32), out: &mut Vec<Arc<Stored>>) -> bool {
        out.extend(
            (from..to.min(self.fifos.slots()))
                .filter_map(|slot| self.fifos.at(slot))
                .flat_map(Variants::iter)
                .cloned(),
        );
        to < self.fifos.slots()
    }

    /// Takes everything out; pins and counters stay.
    pub(super) fn clear(&mut self) -> (Fifos, Index) {
        (
            std::mem::replace(&mut self.fifos, Fifos::new()),
            std::mem::take(&mut self.index),
        )
    }

    /// Keeps `key` from eviction from now on, stored already or not.
    pub(super) fn pin(&mut self, hash: u64, key: Key) -> Pinned {
        if self.pins.len() >= MAX_PINS && !self.pins.contains(&key) {
            return Pinned::TableFull;
        }
        if let Some(entry) = self
            .standing(hash, key.as_str())
            .filter(|entry| entry.queue != Queue::Pinned)
            && self.may_pin(self.pinned_beside(None), entry.charge)
        {
            self.fifos.requeue(entry.slot, Queue::Pinned, 0);
        }
        self.pins.insert(key);
        Pinned::Yes
    }

    /// Makes `key` an ordinary one. Its entry goes on as the newest of the main queue.
    pub(super) fn unpin(&mut self, hash: u64, key: &str) {
        self.pins.remove(key);
        if let Some(slot) = self
            .slot(hash, key)
            .filter(|slot| self.fifos.queue_of(*slot) == Queue::Pinned)
        {
            self.fifos.requeue(slot, Queue::Main, 0);
        }
    }

    pub(super) fn gauges(&self) -> Gauges {
        Gauges {
            entries: self.index.len(),
            bytes: self.bytes(),
            pinned_entries: self.fifos.entries(Queue::Pinned),
            pinned_bytes: self.fifos.bytes(Queue::Pinned),
            evictions: self.evictions,
            refusals: self.refusals,
        }
    }

    /// The slot of `key`, if its entry is here.
    fn slot(&self, hash: u64, key: &str) -> Option<u32> {
        let slot = *self.index.get(&hash)?;
        self.fifos
            .at(slot)
            .is_some_and(|variants| variants.newest().key.as_str() == key)
            .then_some(slot)
    }

    fn bytes(&self) -> usize {
        self.fifos.bytes(Queue::Small)
            + self.fifos.bytes(Queue::Main)
            + self.fifos.bytes(Queue::Pinned)
    }

    fn standing(&self, hash: u64, key: &str) -> Option<Standing> {
        let slot = self.slot(hash, key)?;
        let charge = self.fifos.at(slot)?.charge();
        Some(Standing {
            slot,
            queue: self.fifos.queue_of(slot),
            charge,
        })
    }

    /// What is pinned, that entry left out.
    fn pinned_beside(&self, entry: Option<Standing>) -> Held {
        let own = entry.filter(|entry| entry.queue == Queue::Pinned);
        Held {
            entries: self.fifos.entries(Queue::Pinned) - usize::from(own.is_some()),
            bytes: self.fifos.bytes(Queue::Pinned) - own.map_or(0, |entry| entry.charge),
        }
    }

    /// Pinned entries never take more than half of the store; what comes on top is ordinary.
    fn may_pin(&self, others: Held, charge: usize) -> bool {
        others.bytes + charge <= self.max_bytes / 2 && others.entries < self.max_entries / 2
    }

    fn queue_for(&mut self, hash: u64, pinned: bool, standing: Option<Queue>) -> Queue {
        match standing {
            _ if pinned => Queue::Pinned,
            Some(Queue::Small) => Queue::Small,
            Some(Queue::Main | Queue::Pinned) => Queue::Main,
            // The ghost queue is as long as the others together.
            None if self.ghost.recall(hash, self.index.len()) => Queue::Main,
            None => Queue::Small,
        }
    }

    fn make_room(&mut self, charge: usize, out: &mut Vec<Variants>) {
        let mut may_spare = MAX_SPARED;
        while self.bytes() + charge > self.max_bytes || self.index.len() >= self.max_entries {
            let Some(slot) = self.victim(&mut may_spare) else {
                break;
            };
            if let (Queue::Small, Some(variants)) = (self.fifos.queue_of(slot), self.fifos.at(slot))
            {
                self.ghost
                    .note(self.hasher.hash_one(variants.newest().key.as_str()));
            }
            out.extend(self.take_slot(slot));
            self.evictions += 1;
        }
    }

    /// The next entry to leave; `None` when only pinned ones are left.
    fn victim(&mut self, may_spare: &mut u32) -> Option<u32> {
        loop {
            let (small, main) = (
                self.fifos.bytes(Queue::Small),
                self.fifos.bytes(Queue::Main),
            );
            // A tenth of what is held, not of what may be: the bound on entries may be the one that is met.
            let queue = if main == 0 || small > (small + main) / 10 {
                Queue::Small
            } else {
                Queue::Main
            };
            let slot = self.fifos.oldest(queue)?;
            let uses = self.fifos.uses(slot);
            match queue {
                _ if *may_spare == 0 => return Some(slot),
                Queue::Small if uses > 1 => self.fifos.requeue(slot, Queue::Main, 0),
                Queue::Main if uses > 0 => self.fifos.requeue(slot, Queue::Main, uses - 1),
                _ => return Some(slot),
            }
            *may_spare -= 1;
        }
    }

    fn take(&mut self, hash: u64) -> Option<Variants> {
        let slot = self.index.remove(&hash)?;
        self.fifos.take(slot)
    }

    fn take_slot(&mut self, slot: u32) -> Option<Variants> {
        let hash = self
            .hasher
            .hash_one(self.fifos.at(slot)?.newest().key.as_str());
        self.take(hash)
    }
}

/// Passes on a hash that is one already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Never called for u64; folding keeps it a hash all the same.
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::store::tests::stored;

    /// The same hash for every text.
    #[derive(Default)]
    struct Seven;

    impl Hasher for Seven {
        fn finish(&self) -> u64 {
            7
        }

        fn write(&mut self, _: &[u8]) {}
    }

    #[test]
    fn two_texts_with_one_hash_never_answer_for_each_other() {
        let mut shelf = Shelf::new(BuildHasherDefault::<Seven>::default(), 1 << 20, 10);
        let mut out = Vec::new();
        shelf.insert(7, stored("a", 10), &HeaderMap::new(), &mut out);
        assert!(shelf.peek(7, "b").is_none());
        assert!(shelf.remove(7, "b").is_none());
        assert_eq!(
            shelf.insert(7, stored("b", 10), &HeaderMap::new(), &mut out),
            Inserted::New
        );
        assert!(shelf.peek(7, "a").is_none());
        assert!(shelf.peek(7, "b").is_some());
        assert_eq!((shelf.gauges().entries, out.len()), (1, 1));
    }
}

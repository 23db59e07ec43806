//! S3-FIFO by bytes: which entries stay (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
//!
//! A new entry enters the small queue, about a tenth of what is held. Used twice before its turn it moves to the main queue,
//! else it leaves and only its hash is remembered in the ghost queue; an entry that comes back while remembered enters the main
//! queue at once. The main queue gives an entry one more round for each use, three at most. So a scan of keys nobody asks for
//! twice passes through the small queue and leaves the rest alone. An entry is all that is stored under one key: variants come
//! and go together.
//!
//! Here is one shard of it. Every entry of every shard has a number that tells when it joined its queue, so the store finds the
//! oldest entry of all shards, and a queue is one queue although it lies in sixteen parts. No lock and no clock in here.

mod ghost;
mod queues;
pub(super) mod totals;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use hashbrown::HashTable;
use http::HeaderMap;

use super::key::{Key, KeyHash};
use super::store::{Inserted, Pinned, Stored};
use super::variants::{Left, Variants};
use ghost::GhostQueue;
use queues::Queues;
use totals::{Amount, Totals};

pub(super) use queues::{MAX_SLOTS, Queue};

/// Uses are counted up to this.
pub(super) const MAX_USES: u8 = 3;

/// Keys that may be pinned, in all shards.
const MAX_PINS: usize = 4096;

/// One shard.
pub(super) struct S3Fifo {
    /// Finds the slot of an entry by the hash of its key. Two texts with one 64-bit hash take turns.
    index: HashTable<u32>,
    queues: Queues,
    ghosts: GhostQueue,
    pins: HashSet<Key>,
    /// Counts what was put in, replaced or taken out.
    changes: u64,
}

/// An entry that is here.
#[derive(Clone, Copy)]
struct Held {
    slot: u32,
    queue: Queue,
    charge: usize,
}

impl Held {
    /// What it takes up of the half that is for pinned ones.
    fn pinned(self) -> Amount {
        match self.queue {
            Queue::Pinned => Amount::entry(self.charge),
            Queue::Small | Queue::Main => Amount::NOTHING,
        }
    }
}

/// What has to be free before an entry can be put in.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoRoom {
    /// What leaves when it comes in.
    pub(super) gone: Amount,
    /// What comes in.
    pub(super) new: Amount,
}

/// What was done to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// The oldest entry left.
    Evicted,
    /// It was used, and stays for one more round.
    Spared,
    /// There is none in this queue that may leave.
    Nothing,
}

impl S3Fifo {
    /// An empty shard that remembers so many evictions.
    pub(super) fn new(ghosts: usize) -> S3Fifo {
        S3Fifo {
            index: HashTable::new(),
            queues: Queues::new(),
            ghosts: GhostQueue::new(ghosts),
            pins: HashSet::new(),
            changes: 0,
        }
    }

    /// The entry of a key.
    pub(super) fn find(
        &self,
        hash: KeyHash,
        is_key: impl FnOnce(&str) -> bool,
    ) -> Option<&Variants> {
        let slot = self.slot(hash)?;
        self.queues
            .at(slot)
            .filter(|variants| is_key(variants.newest().key.as_str()))
    }

    /// Puts a response in, which takes the place of those of its key that `sent` selects. What it displaces goes to `out`, for
    /// the caller to drop without the lock. `Err`: there is no room; what was stored before is now the newest in its queue.
    pub(super) fn put(
        &mut self,
        hash: KeyHash,
        stored: &Arc<Stored>,
        sent: &HeaderMap,
        totals: &Totals,
        out: &mut Vec<Variants>,
    ) -> Result<Inserted, NoRoom> {
        let before = self.held(hash);
        let known = self.find(hash, |text| text == stored.key.as_str());
        let own_pinned = before.map_or(Amount::NOTHING, Held::pinned);
        let pinned = totals.pinned.held().bytes - own_pinned.bytes;
        let room = totals.all.max().bytes.saturating_sub(pinned);
        if stored.charge() > room || totals.all.max().entries == 0 {
            totals.refusals.fetch_add(1, Relaxed);
            return Ok(Inserted::TooLarge);
        }
        let is_known = known.is_some();
        let uses = known.map_or(0, |known| known.newest().uses());
        let (variants, inserted) = Variants::with(known, Arc::clone(stored), sent, room);
        let charge = variants.charge();
        let gone = before.map_or(Amount::NOTHING, |before| Amount::entry(before.charge));
        let new = Amount::entry(charge);
        if !totals.all.exchange(gone, new) {
            out.push(variants);
            if let Some(before) = before {
                self.queues
                    .requeue(before.slot, before.queue, totals.next_order());
            }
            return Err(NoRoom { gone, new });
        }
        let is_pinned = self.pins.contains(&stored.key) && totals.pinned.exchange(own_pinned, new);
        if !is_pinned {
            totals.pinned.take_out(own_pinned);
        }
        self.changes += 1;
        let stays =
            before.filter(|before| is_known && is_pinned == (before.queue == Queue::Pinned));
        if let Some(before) = stays {
            variants.newest().set_uses(uses);
            out.extend(self.queues.replace(before.slot, variants));
            return Ok(inserted);
        }
        let before_queue = before.filter(|_| is_known).map(|before| before.queue);
        let queue = self.queue_for(hash, is_pinned, before_queue, totals);
        // Another text with the same hash goes, too.
        out.extend(before.and_then(|before| self.unlink(before.slot)));
        variants.newest().set_uses(0);
        self.link(queue, hash, variants, totals);
        Ok(inserted)
    }

    /// Takes the entry of a key out.
    pub(super) fn remove(&mut self, hash: KeyHash, key: &str, totals: &Totals) -> Option<Variants> {
        self.find(hash, |text| text == key)?;
        let slot = self.slot(hash)?;
        self.take(slot, totals)
    }

    /// Takes out of the slots `from` to `to` all but what `left` leaves; answers false once there are no more slots.
    pub(super) fn remove_from_slots(
        &mut self,
        (from, to): (u32, u32),
        left: &mut impl FnMut(&Variants) -> Left,
        totals: &Totals,
        out: &mut Vec<Variants>,
    ) -> bool {
        for slot in from..to.min(self.queues.slots()) {
            out.extend(match self.queues.at(slot).map_or(Left::All, &mut *left) {
                Left::All => None,
                Left::Some(variants) => self.shrink(slot, variants, totals),
                Left::Nothing => self.take(slot, totals),
            });
        }
        to < self.queues.slots()
    }

    /// Lists what is in the slots `from` to `to`; answers false once there are no more slots.
    pub(super) fn list_slots(&self, (from, to): (u32, u32), out: &mut Vec<Arc<Stored>>) -> bool {
        out.extend(
            (from..to.min(self.queues.slots()))
                .filter_map(|slot| self.queues.at(slot))
                .flat_map(Variants::iter)
                .cloned(),
        );
        to < self.queues.slots()
    }

    /// Takes everything out; pins stay.
    pub(super) fn clear(&mut self, totals: &Totals) -> Queues {
        for queue in [Queue::Small, Queue::Main, Queue::Pinned] {
            totals.all.take_out(self.queues.held(queue));
        }
        totals.pinned.take_out(self.queues.held(Queue::Pinned));
        self.changes += 1;
        self.index = HashTable::new();
        std::mem::replace(&mut self.queues, Queues::new())
    }

    /// Keeps `key` from eviction from now on, stored already or not.
    pub(super) fn pin(&mut self, hash: KeyHash, key: Key, totals: &Totals) -> Pinned {
        if !self.pins.contains(&key) {
            let one_more = |pins: usize| (pins < MAX_PINS).then_some(pins + 1);
            let counted = totals.pins.fetch_update(Relaxed, Relaxed, one_more);
            if counted.is_err() {
                return Pinned::TableFull;
            }
        }
        let is_known = self.find(hash, |text| text == key.as_str()).is_some();
        let may_leave = |entry: &Held| is_known && entry.queue != Queue::Pinned;
        if let Some(entry) = self.held(hash).filter(may_leave)
            && totals
                .pinned
                .exchange(Amount::NOTHING, Amount::entry(entry.charge))
        {
            self.queues
                .requeue(entry.slot, Queue::Pinned, totals.next_order());
        }
        self.pins.insert(key);
        Pinned::Yes
    }

    /// Makes `key` an ordinary one. Its entry goes on as the newest of the main queue.
    pub(super) fn unpin(&mut self, hash: KeyHash, key: &str, totals: &Totals) {
        if !self.pins.remove(key) {
            return;
        }
        totals.pins.fetch_sub(1, Relaxed);
        let known = self.find(hash, |text| text == key).is_some();
        let is_pinned = |entry: &Held| entry.queue == Queue::Pinned;
        if let Some(entry) = self.held(hash).filter(|_| known).filter(is_pinned) {
            totals.pinned.take_out(entry.pinned());
            self.set_uses(entry.slot, 0);
            self.queues
                .requeue(entry.slot, Queue::Main, totals.next_order());
        }
    }

    /// Decides on the oldest entry of a queue. One that was used goes to the end of the main queue while `may_spare` is not
    /// zero; another one goes to `out`. The entry of `but` stays: room is being made for its successor.
    pub(super) fn evict(
        &mut self,
        queue: Queue,
        but: KeyHash,
        may_spare: bool,
        totals: &Totals,
        out: &mut Vec<Variants>,
    ) -> Eviction {
        let Some((slot, _)) = self.queues.oldest(queue) else {
            return Eviction::Nothing;
        };
        let hash = self.queues.hash_of(slot);
        if hash == but.0 {
            return Eviction::Nothing;
        }
        let uses = self
            .queues
            .at(slot)
            .map_or(0, |entry| entry.newest().uses());
        let left = match queue {
            _ if !may_spare => None,
            Queue::Small => (uses > 1).then_some(0),
            Queue::Main | Queue::Pinned => uses.checked_sub(1),
        };
        if let Some(left) = left {
            self.set_uses(slot, left);
            self.queues.requeue(slot, Queue::Main, totals.next_order());
            return Eviction::Spared;
        }
        if queue == Queue::Small {
            self.ghosts.note(hash, totals.next_ghost());
        }
        out.extend(self.take(slot, totals));
        totals.evictions.fetch_add(1, Relaxed);
        Eviction::Evicted
    }

    /// The order of the oldest entry of a queue among those of all shards. `None`: the queue is empty.
    pub(super) fn oldest(&self, queue: Queue) -> Option<u64> {
        self.queues.oldest(queue).map(|(_, order)| order)
    }

    /// What the entries of a queue are charged.
    pub(super) fn bytes(&self, queue: Queue) -> usize {
        self.queues.held(queue).bytes
    }

    /// Another number after everything that changes what is stored.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The slot of the entry whose key has this hash.
    fn slot(&self, hash: KeyHash) -> Option<u32> {
        let is_it = |slot: &u32| self.queues.hash_of(*slot) == hash.0;
        self.index.find(hash.0, is_it).copied()
    }

    /// The entry whose key has this hash.
    fn held(&self, hash: KeyHash) -> Option<Held> {
        let slot = self.slot(hash)?;
        let charge = self.queues.at(slot)?.charge();
        Some(Held {
            slot,
            queue: self.queues.queue_of(slot),
            charge,
        })
    }

    fn queue_for(
        &mut self,
        hash: KeyHash,
        is_pinned: bool,
        before: Option<Queue>,
        totals: &Totals,
    ) -> Queue {
        match before {
            _ if is_pinned => Queue::Pinned,
            Some(Queue::Small) => Queue::Small,
            Some(Queue::Main | Queue::Pinned) => Queue::Main,
            None => {
                // The ghost queue is as long as the others together.
                let within = totals.all.held().entries;
                if self.ghosts.recall(hash.0, totals.last_ghost(), within) {
                    Queue::Main
                } else {
                    Queue::Small
                }
            }
        }
    }

    fn set_uses(&self, slot: u32, uses: u8) {
        if let Some(entry) = self.queues.at(slot) {
            entry.newest().set_uses(uses);
        }
    }

    /// Leaves these of an entry.
    fn shrink(&mut self, slot: u32, variants: Variants, totals: &Totals) -> Option<Variants> {
        let before = self.queues.at(slot)?;
        let gone = Amount::entry(before.charge());
        let left = Amount::entry(variants.charge());
        variants.newest().set_uses(before.newest().uses());
        totals.all.exchange(gone, left);
        if self.queues.queue_of(slot) == Queue::Pinned {
            totals.pinned.exchange(gone, left);
        }
        self.changes += 1;
        self.queues.replace(slot, variants)
    }

    fn take(&mut self, slot: u32, totals: &Totals) -> Option<Variants> {
        let entry = Held {
            slot,
            queue: self.queues.queue_of(slot),
            charge: self.queues.at(slot)?.charge(),
        };
        totals.pinned.take_out(entry.pinned());
        totals.all.take_out(Amount::entry(entry.charge));
        self.unlink(slot)
    }

    fn unlink(&mut self, slot: u32) -> Option<Variants> {
        let hash = self.queues.hash_of(slot);
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.changes += 1;
        self.queues.take(slot)
    }

    fn link(&mut self, queue: Queue, hash: KeyHash, variants: Variants, totals: &Totals) {
        let slot = self
            .queues
            .push(queue, totals.next_order(), hash.0, variants);
        let queues = &self.queues;
        self.index
            .insert_unique(hash.0, slot, |slot| queues.hash_of(*slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::store::tests::stored;

    #[test]
    fn two_texts_with_one_hash_never_answer_for_each_other() {
        let totals = Totals::new(Amount {
            entries: 10,
            bytes: 1 << 20,
        });
        let mut shard = S3Fifo::new(1);
        let mut out = Vec::new();
        let seven = KeyHash(7);
        let mut put = |shard: &mut S3Fifo, key| {
            shard.put(
                seven,
                &stored(key, 10),
                &HeaderMap::new(),
                &totals,
                &mut out,
            )
        };
        assert_eq!(put(&mut shard, "a").ok(), Some(Inserted::New));
        assert!(shard.find(seven, |text| text == "b").is_none());
        assert!(shard.remove(seven, "b", &totals).is_none());
        assert_eq!(put(&mut shard, "b").ok(), Some(Inserted::New));
        assert!(shard.find(seven, |text| text == "a").is_none());
        assert!(shard.find(seven, |text| text == "b").is_some());
        assert_eq!((totals.all.held().entries, out.len()), (1, 1));
        shard.remove(seven, "b", &totals);
        assert_eq!(totals.all.held(), Amount::NOTHING);
    }
}

//! Three queues of entries, linked through one slab: putting in, taking out and moving cost the same at any size.
//! An entry is all that is stored under one key.

use super::totals::Amount;
use crate::cache::variants::Variants;

/// The end of a queue, or of the list of empty slots.
const NONE: u32 = u32::MAX;

/// The most entries a shard can have, and so the most that all of them may have.
pub(in crate::cache) const MAX_SLOTS: usize = NONE as usize;

/// The queue an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cache) enum Queue {
    /// New entries: most are used once and leave from here.
    Small,
    /// Entries that were used again.
    Main,
    /// Entries of pinned keys: never evicted.
    Pinned,
}

/// The queues. A slot number stays with its entry until that is taken out.
pub(in crate::cache) struct Queues {
    slots: Vec<Slot>,
    /// The first empty slot; the others follow by `newer`.
    empty: u32,
    extents: [Extent; 3],
}

struct Slot {
    /// The hash of its key.
    hash: u64,
    variants: Option<Variants>,
    newer: u32,
    older: u32,
    position: Position,
}

/// Two bits for the queue, the others for the order in which the entry joined it.
#[derive(Clone, Copy)]
struct Position(u64);

impl Position {
    fn new(queue: Queue, order: u64) -> Position {
        Position(order << 2 | queue as u64)
    }

    fn queue(self) -> Queue {
        match self.0 & 3 {
            0 => Queue::Small,
            1 => Queue::Main,
            _ => Queue::Pinned,
        }
    }

    fn order(self) -> u64 {
        self.0 >> 2
    }
}

#[derive(Clone, Copy)]
struct Extent {
    newest: u32,
    oldest: u32,
    held: Amount,
}

impl Queues {
    pub(super) fn new() -> Queues {
        let extent = Extent {
            newest: NONE,
            oldest: NONE,
            held: Amount::NOTHING,
        };
        Queues {
            slots: Vec::new(),
            empty: NONE,
            extents: [extent; 3],
        }
    }

    /// Puts an entry in as the newest of `queue`; answers its slot. `order` is above that of every entry before.
    pub(super) fn push(&mut self, queue: Queue, order: u64, hash: u64, variants: Variants) -> u32 {
        let slot = self.vacant_slot();
        let place = &mut self.slots[slot as usize];
        place.hash = hash;
        place.variants = Some(variants);
        self.link(slot, queue, order);
        slot
    }

    /// Takes an entry out; `None` where the slot is empty.
    pub(super) fn take(&mut self, slot: u32) -> Option<Variants> {
        self.at(slot)?;
        self.unlink(slot);
        let place = &mut self.slots[slot as usize];
        place.newer = std::mem::replace(&mut self.empty, slot);
        place.variants.take()
    }

    /// Puts `variants` in the place of an entry, at the same position; answers that one.
    pub(super) fn replace(&mut self, slot: u32, variants: Variants) -> Option<Variants> {
        let gone = self.at(slot)?.charge();
        let queue = self.queue_of(slot);
        let extent = &mut self.extents[queue as usize];
        extent.held.bytes = extent.held.bytes - gone + variants.charge();
        self.slots[slot as usize].variants.replace(variants)
    }

    /// Makes an entry the newest of `queue`.
    pub(super) fn requeue(&mut self, slot: u32, queue: Queue, order: u64) {
        self.unlink(slot);
        self.link(slot, queue, order);
    }

    /// The entry in a slot; `None` if it is empty or does not exist.
    pub(super) fn at(&self, slot: u32) -> Option<&Variants> {
        self.slots.get(slot as usize)?.variants.as_ref()
    }

    /// All entries, in no order that means anything.
    pub(in crate::cache) fn iter(&self) -> impl Iterator<Item = &Variants> {
        self.slots.iter().filter_map(|slot| slot.variants.as_ref())
    }

    /// The hash of the key of the entry in a slot.
    pub(super) fn hash_of(&self, slot: u32) -> u64 {
        self.slots[slot as usize].hash
    }

    pub(super) fn queue_of(&self, slot: u32) -> Queue {
        self.slots[slot as usize].position.queue()
    }

    /// The slot of the oldest entry of a queue, and its order. `None`: the queue is empty.
    pub(super) fn oldest(&self, queue: Queue) -> Option<(u32, u64)> {
        let slot = self.extents[queue as usize].oldest;
        let place = self.slots.get(slot as usize)?;
        Some((slot, place.position.order()))
    }

    /// The entries of a queue, and what they are charged.
    pub(super) fn held(&self, queue: Queue) -> Amount {
        self.extents[queue as usize].held
    }

    /// The number of slots, empty ones included: where a walk over all entries ends.
    pub(super) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    fn vacant_slot(&mut self) -> u32 {
        if self.empty != NONE {
            let slot = self.empty;
            self.empty = self.slots[slot as usize].newer;
            return slot;
        }
        if self.slots.len() == self.slots.capacity() {
            // By an eighth, not by doubling: spare slots are memory nobody counts.
            let more = (self.slots.len() / 8).max(8);
            self.slots.reserve_exact(more);
        }
        self.slots.push(Slot {
            hash: 0,
            variants: None,
            newer: NONE,
            older: NONE,
            position: Position::new(Queue::Small, 0),
        });
        self.slots() - 1
    }

    fn link(&mut self, slot: u32, queue: Queue, order: u64) {
        let charge = self.at(slot).map_or(0, Variants::charge);
        let extent = &mut self.extents[queue as usize];
        let older = std::mem::replace(&mut extent.newest, slot);
        extent.held.entries += 1;
        extent.held.bytes += charge;
        if older == NONE {
            extent.oldest = slot;
        } else {
            self.slots[older as usize].newer = slot;
        }
        let place = &mut self.slots[slot as usize];
        place.newer = NONE;
        place.older = older;
        place.position = Position::new(queue, order);
    }

    fn unlink(&mut self, slot: u32) {
        let charge = self.at(slot).map_or(0, Variants::charge);
        let Slot { newer, older, .. } = self.slots[slot as usize];
        let queue = self.queue_of(slot);
        let extent = &mut self.extents[queue as usize];
        extent.held.entries -= 1;
        extent.held.bytes -= charge;
        match newer {
            NONE => extent.newest = older,
            _ => self.slots[newer as usize].older = older,
        }
        match older {
            NONE => self.extents[queue as usize].oldest = newer,
            _ => self.slots[older as usize].newer = newer,
        }
    }
}

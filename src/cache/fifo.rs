//! Three queues of entries, linked through one slab: putting in, taking out and moving cost the same at any size.
//! An entry is all that is stored under one key.

use super::variants::Variants;

/// The end of a queue, or of the list of empty slots.
const NONE: u32 = u32::MAX;

/// The most slots a slab can have.
pub(super) const MAX_SLOTS: u32 = u32::MAX - 1;

/// The queue an entry stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// New entries: most are used once and leave from here.
    Small,
    /// Entries that were wanted again.
    Main,
    /// Entries of pinned keys: never evicted.
    Pinned,
}

/// The queues. A slot number stays with its entry until that is taken out.
pub(super) struct Fifos {
    slots: Vec<Slot>,
    /// One for each slot; apart, because together they would be padded to half as much again.
    marks: Vec<Mark>,
    /// The first empty slot; the others follow by `newer`.
    empty: u32,
    extents: [Extent; 3],
}

struct Slot {
    variants: Option<Variants>,
    newer: u32,
    older: u32,
}

#[derive(Clone, Copy)]
struct Mark {
    queue: Queue,
    uses: u8,
}

#[derive(Clone, Copy)]
struct Extent {
    newest: u32,
    oldest: u32,
    entries: usize,
    bytes: usize,
}

impl Fifos {
    pub(super) fn new() -> Fifos {
        let extent = Extent {
            newest: NONE,
            oldest: NONE,
            entries: 0,
            bytes: 0,
        };
        Fifos {
            slots: Vec::new(),
            marks: Vec::new(),
            empty: NONE,
            extents: [extent; 3],
        }
    }

    /// Puts an entry in as the newest of `queue`, unused; answers its slot.
    pub(super) fn push(&mut self, queue: Queue, variants: Variants) -> u32 {
        let slot = self.vacant_slot();
        self.slots[slot as usize].variants = Some(variants);
        self.marks[slot as usize].uses = 0;
        self.link(slot, queue);
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

    /// Puts `variants` where another entry stood, at the same position; answers that one.
    pub(super) fn replace(&mut self, slot: u32, variants: Variants) -> Option<Variants> {
        let gone = self.at(slot)?.charge();
        let extent = &mut self.extents[self.marks[slot as usize].queue as usize];
        extent.bytes = extent.bytes - gone + variants.charge();
        self.slots[slot as usize].variants.replace(variants)
    }

    /// Makes an entry the newest of `queue`, with this many uses.
    pub(super) fn requeue(&mut self, slot: u32, queue: Queue, uses: u8) {
        self.unlink(slot);
        self.marks[slot as usize].uses = uses;
        self.link(slot, queue);
    }

    /// Counts a use, up to `most`.
    pub(super) fn count_use(&mut self, slot: u32, most: u8) {
        let mark = &mut self.marks[slot as usize];
        mark.uses = most.min(mark.uses + 1);
    }

    /// The entry in a slot; `None` if it is empty or does not exist.
    pub(super) fn at(&self, slot: u32) -> Option<&Variants> {
        self.slots.get(slot as usize)?.variants.as_ref()
    }

    /// All entries, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Variants> {
        self.slots.iter().filter_map(|slot| slot.variants.as_ref())
    }

    pub(super) fn queue_of(&self, slot: u32) -> Queue {
        self.marks[slot as usize].queue
    }

    pub(super) fn uses(&self, slot: u32) -> u8 {
        self.marks[slot as usize].uses
    }

    pub(super) fn oldest(&self, queue: Queue) -> Option<u32> {
        Some(self.extents[queue as usize].oldest).filter(|slot| *slot != NONE)
    }

    /// The number of entries in a queue.
    pub(super) fn entries(&self, queue: Queue) -> usize {
        self.extents[queue as usize].entries
    }

    /// What the entries of a queue are charged.
    pub(super) fn bytes(&self, queue: Queue) -> usize {
        self.extents[queue as usize].bytes
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
            let more = (self.slots.len() / 8).max(64);
            self.slots.reserve_exact(more);
            self.marks.reserve_exact(more);
        }
        self.slots.push(Slot {
            variants: None,
            newer: NONE,
            older: NONE,
        });
        self.marks.push(Mark {
            queue: Queue::Small,
            uses: 0,
        });
        self.slots() - 1
    }

    fn link(&mut self, slot: u32, queue: Queue) {
        let charge = self.at(slot).map_or(0, Variants::charge);
        let extent = &mut self.extents[queue as usize];
        let older = std::mem::replace(&mut extent.newest, slot);
        extent.entries += 1;
        extent.bytes += charge;
        if older == NONE {
            extent.oldest = slot;
        } else {
            self.slots[older as usize].newer = slot;
        }
        let place = &mut self.slots[slot as usize];
        (place.newer, place.older) = (NONE, older);
        self.marks[slot as usize].queue = queue;
    }

    fn unlink(&mut self, slot: u32) {
        let charge = self.at(slot).map_or(0, Variants::charge);
        let Slot { newer, older, .. } = self.slots[slot as usize];
        let queue = self.queue_of(slot);
        let extent = &mut self.extents[queue as usize];
        extent.entries -= 1;
        extent.bytes -= charge;
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

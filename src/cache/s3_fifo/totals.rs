//! What the shards hold together, against the ceilings. Counted by atomics, so that no shard waits for another one.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A number of entries and the bytes they are charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cache) struct Amount {
    pub(in crate::cache) entries: usize,
    pub(in crate::cache) bytes: usize,
}

impl Amount {
    pub(in crate::cache) const NOTHING: Amount = Amount {
        entries: 0,
        bytes: 0,
    };

    /// One entry.
    pub(in crate::cache) fn entry(bytes: usize) -> Amount {
        Amount { entries: 1, bytes }
    }
}

/// An amount that never exceeds its ceilings, at no moment.
pub(in crate::cache) struct Ledger {
    max: Amount,
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

impl Ledger {
    fn new(max: Amount) -> Ledger {
        Ledger {
            max,
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    pub(in crate::cache) fn max(&self) -> Amount {
        self.max
    }

    pub(in crate::cache) fn held(&self) -> Amount {
        Amount {
            entries: self.entries.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    /// Takes `gone` out and puts `new` in. False, and nothing has changed, where that exceeds a ceiling.
    pub(in crate::cache) fn exchange(&self, gone: Amount, new: Amount) -> bool {
        let entries = |held: usize| {
            Some(held - gone.entries + new.entries).filter(|held| *held <= self.max.entries)
        };
        let bytes = |held: usize| {
            Some(held - gone.bytes + new.bytes).filter(|held| *held <= self.max.bytes)
        };
        if self
            .entries
            .fetch_update(Relaxed, Relaxed, entries)
            .is_err()
        {
            return false;
        }
        if self.bytes.fetch_update(Relaxed, Relaxed, bytes).is_ok() {
            return true;
        }
        // In one step, and never upwards: what gains bytes does not lose entries.
        let back = gone.entries.wrapping_sub(new.entries);
        self.entries.fetch_add(back, Relaxed);
        false
    }

    pub(in crate::cache) fn take_out(&self, gone: Amount) {
        self.entries.fetch_sub(gone.entries, Relaxed);
        self.bytes.fetch_sub(gone.bytes, Relaxed);
    }

    /// Whether `gone` could be exchanged for `new` now.
    pub(in crate::cache) fn has_room(&self, gone: Amount, new: Amount) -> bool {
        let held = self.held();
        held.bytes + new.bytes <= self.max.bytes + gone.bytes
            && held.entries + new.entries <= self.max.entries + gone.entries
    }
}

/// What the shards share.
pub(in crate::cache) struct Totals {
    /// All entries.
    pub(in crate::cache) all: Ledger,
    /// The pinned ones among them: at most half.
    pub(in crate::cache) pinned: Ledger,
    /// Keys that are pinned, stored or not.
    pub(in crate::cache) pins: AtomicUsize,
    /// Entries that left to make room.
    pub(in crate::cache) evictions: AtomicU64,
    /// Insertions refused as too large.
    pub(in crate::cache) refusals: AtomicU64,
    /// The number of the next entry that joins a queue: the order of entries across the shards.
    order: AtomicU64,
    /// Evictions from small queues, wrapping: by this number the ghost queues forget.
    ghosts: AtomicU32,
}

impl Totals {
    pub(in crate::cache) fn new(max: Amount) -> Totals {
        let half = Amount {
            entries: max.entries / 2,
            bytes: max.bytes / 2,
        };
        Totals {
            all: Ledger::new(max),
            pinned: Ledger::new(half),
            pins: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            order: AtomicU64::new(0),
            ghosts: AtomicU32::new(0),
        }
    }

    /// A number above all that were drawn before.
    pub(super) fn next_order(&self) -> u64 {
        self.order.fetch_add(1, Relaxed)
    }

    /// The number of one more eviction from a small queue.
    pub(super) fn next_ghost(&self) -> u32 {
        self.ghosts.fetch_add(1, Relaxed).wrapping_add(1)
    }

    /// The number of the last eviction from a small queue.
    pub(super) fn last_ghost(&self) -> u32 {
        self.ghosts.load(Relaxed)
    }
}

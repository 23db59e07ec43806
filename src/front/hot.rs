//! Stored answers a worker used lately, with their heads rendered: the shortest way to a hit, without a lock.

use crate::clock::Now;
use crate::proxy::{PlainHit, Proxy};

/// Answers a worker keeps.
const ENTRIES: usize = 256;

/// The answers, each where its target leads; of two that lead to the same entry, the later one stays.
pub(super) struct HotEntries {
    entries: Vec<Option<HotEntry>>,
    /// Entries whose answers were not told of some uses.
    untold: Vec<usize>,
}

/// A stored answer that plain requests get until something changes.
pub(super) struct HotEntry {
    target: Box<[u8]>,
    /// The answer, and how to tell that it is still the one.
    pub hit: PlainHit,
    /// The reply's head up to the number of the request's id.
    pub head: Vec<u8>,
    /// Uses that the answer was not told of yet.
    uses: u32,
}

impl HotEntries {
    pub(super) fn new() -> HotEntries {
        HotEntries {
            entries: (0..ENTRIES).map(|_| None).collect(),
            untold: Vec::new(),
        }
    }

    /// Where the answer to plain requests for this target is, if it is here and nothing has changed.
    pub(super) fn find(&mut self, target: &[u8], proxy: &Proxy, now: Now) -> Option<usize> {
        let at = index_of(target);
        let found = self.entries.get_mut(at)?;
        let entry = found.as_ref()?;
        if *entry.target != *target {
            return None;
        }
        if !proxy.holds(&entry.hit, now) {
            *found = None;
            return None;
        }
        Some(at)
    }

    /// The answer at that place, for one more use.
    pub(super) fn use_at(&mut self, at: usize) -> Option<&HotEntry> {
        let entry = self.entries.get_mut(at)?.as_mut()?;
        if entry.uses == 0 {
            self.untold.push(at);
        }
        entry.uses += 1;
        Some(entry)
    }

    /// Keeps an answer whose head was rendered so; answers where.
    pub(super) fn keep(&mut self, target: &[u8], hit: PlainHit, head: Vec<u8>) -> usize {
        let at = index_of(target);
        if let Some(found) = self.entries.get_mut(at) {
            *found = Some(HotEntry {
                target: target.into(),
                hit,
                head,
                uses: 0,
            });
        }
        at
    }

    /// Tells the answers of their uses. Once for many, because all workers write there.
    pub(super) fn tell_uses(&mut self) {
        for at in self.untold.drain(..) {
            if let Some(entry) = self.entries.get_mut(at).and_then(Option::as_mut) {
                entry.tell_uses();
            }
        }
    }
}

impl HotEntry {
    fn tell_uses(&mut self) {
        let uses = std::mem::take(&mut self.uses);
        if uses > 0 {
            let stored = self.hit.stored();
            stored.count_hits(uses);
            stored.count_use();
        }
    }
}

impl Drop for HotEntry {
    fn drop(&mut self) {
        self.tell_uses();
    }
}

/// Where a target's answer is kept. A client that finds targets that collide costs itself the short way, nothing else.
fn index_of(target: &[u8]) -> usize {
    const PRIME: u64 = 0x9E37_79B9_7F4A_7C15;
    let (words, rest) = target.as_chunks::<8>();
    let mut hash = target.len() as u64;
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word))
            .wrapping_mul(PRIME)
            .rotate_left(29);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte))
            .wrapping_mul(PRIME)
            .rotate_left(29);
    }
    // The product's upper bits are the mixed ones.
    (hash.wrapping_mul(PRIME) >> 56) as usize % ENTRIES
}

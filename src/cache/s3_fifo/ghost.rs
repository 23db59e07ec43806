//! The ghost queue: what was evicted from the small queue lately, as a fixed table.

/// Remembers hashes of evicted keys, never the keys. A newer hash overwrites an older one that shares its place, so the
/// table never grows and forgets by itself.
pub(super) struct GhostQueue {
    places: Box<[Trace]>,
}

#[derive(Clone, Copy, Default)]
struct Trace {
    /// The half of the hash that does not choose the place; 0 in a place never used.
    mark: u32,
    /// The number of the eviction.
    eviction: u32,
}

impl GhostQueue {
    /// A table of `places` hashes, at least one.
    pub(super) fn new(places: usize) -> GhostQueue {
        GhostQueue {
            places: vec![Trace::default(); places.max(1)].into(),
        }
    }

    /// Notes that the entry with this hash was evicted, as the eviction with this number.
    pub(super) fn note(&mut self, hash: u64, eviction: u32) {
        let place = self.place(hash);
        self.places[place] = Trace {
            mark: mark(hash),
            eviction,
        };
    }

    /// Forgets this hash; true if it was one of the last `within` evictions. `last` is the number of the last one; numbers wrap.
    pub(super) fn recall(&mut self, hash: u64, last: u32, within: usize) -> bool {
        let place = self.place(hash);
        let trace = self.places[place];
        let since = last.wrapping_sub(trace.eviction) as usize;
        let known = trace.mark == mark(hash) && since < within;
        if known {
            self.places[place] = Trace::default();
        }
        known
    }

    /// Scales the upper half of the hash to the table.
    fn place(&self, hash: u64) -> usize {
        (((hash >> 32) * self.places.len() as u64) >> 32) as usize
    }
}

/// The lower half of the hash, never 0.
fn mark(hash: u64) -> u32 {
    (hash as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eviction_is_recalled_once_and_only_while_recent() {
        let mut ghosts = GhostQueue::new(4);
        let hashes = [1 << 62, 2 << 62 | 7, 3 << 62 | 9];
        for (number, hash) in (1..).zip(hashes) {
            ghosts.note(hash, number);
        }
        assert!(
            !ghosts.recall(hashes[0], 3, 2),
            "two evictions came after it"
        );
        assert!(ghosts.recall(hashes[0], 3, 3));
        assert!(!ghosts.recall(hashes[0], 3, 3), "recalled before");
        assert!(
            !ghosts.recall(hashes[1] + 1, 3, 3),
            "another key in the same place"
        );
        assert!(ghosts.recall(hashes[2], 3, 1));
    }

    #[test]
    fn the_numbers_of_evictions_may_wrap() {
        let mut ghosts = GhostQueue::new(4);
        ghosts.note(5, u32::MAX);
        assert!(!ghosts.recall(5, 1, 2), "two evictions came after it");
        assert!(ghosts.recall(5, 1, 3));
    }

    #[test]
    fn every_hash_has_a_place() {
        for places in [0, 1, 3, 1000] {
            let mut ghosts = GhostQueue::new(places);
            for hash in [0, 1, u64::from(u32::MAX), u64::MAX, 1 << 63] {
                assert!(
                    !ghosts.recall(hash, 0, usize::MAX),
                    "{hash} of {places}, nothing noted"
                );
                ghosts.note(hash, 1);
                assert!(ghosts.recall(hash, 1, 1), "{hash} of {places}");
            }
        }
    }
}

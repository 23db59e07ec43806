//! What was let go lately: the ghost queue of S3-FIFO, as a fixed table.

/// Remembers hashes of evicted keys, never the keys. A newer hash overwrites an older one that shares its place, so the
/// table never grows and forgets by itself.
pub(super) struct Ghost {
    places: Box<[Trace]>,
    /// Evictions so far, wrapping; a trace ages by it.
    evictions: u32,
}

#[derive(Clone, Copy, Default)]
struct Trace {
    /// The half of the hash that does not choose the place; 0 in a place never used.
    mark: u32,
    /// The eviction it was.
    eviction: u32,
}

impl Ghost {
    /// A table of `places` hashes, at least one.
    pub(super) fn new(places: u32) -> Ghost {
        // As large as usize only where that is no smaller than u32, as everywhere larder runs.
        Ghost {
            places: vec![Trace::default(); places.max(1) as usize].into(),
            evictions: 0,
        }
    }

    /// Notes that the entry with this hash was evicted.
    pub(super) fn note(&mut self, hash: u64) {
        self.evictions = self.evictions.wrapping_add(1);
        let place = self.place(hash);
        self.places[place] = Trace {
            mark: mark(hash),
            eviction: self.evictions,
        };
    }

    /// Forgets this hash; true if it was one of the last `within` evictions.
    pub(super) fn recall(&mut self, hash: u64, within: usize) -> bool {
        let place = self.place(hash);
        let trace = self.places[place];
        let since = self.evictions.wrapping_sub(trace.eviction) as usize;
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
        let mut ghost = Ghost::new(4);
        let hashes = [1 << 62, 2 << 62 | 7, 3 << 62 | 9];
        hashes.iter().for_each(|hash| ghost.note(*hash));
        assert!(!ghost.recall(hashes[0], 2), "two evictions came after it");
        assert!(ghost.recall(hashes[0], 3));
        assert!(!ghost.recall(hashes[0], 3), "recalled before");
        assert!(
            !ghost.recall(hashes[1] + 1, 3),
            "another key in the same place"
        );
        assert!(ghost.recall(hashes[2], 1));
    }

    #[test]
    fn every_hash_has_a_place() {
        for places in [0, 1, 3, 1000] {
            let mut ghost = Ghost::new(places);
            for hash in [0, 1, u64::from(u32::MAX), u64::MAX, 1 << 63] {
                assert!(
                    !ghost.recall(hash, usize::MAX),
                    "{hash} of {places}, nothing noted"
                );
                ghost.note(hash);
                assert!(ghost.recall(hash, 1), "{hash} of {places}");
            }
        }
    }
}

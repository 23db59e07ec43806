//! Memory that may be taken, all in all: a counter with a ceiling, and the lease that gives it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A ceiling on bytes held for one purpose. Clones share the count.
#[derive(Clone, Debug)]
pub struct Budget {
    taken: Arc<AtomicUsize>,
    ceiling: usize,
}

/// Bytes taken from a [`Budget`]; dropping it gives them back.
#[derive(Debug)]
pub struct Lease {
    taken: Arc<AtomicUsize>,
    bytes: usize,
}

impl Budget {
    /// A budget of `ceiling` bytes.
    pub fn new(ceiling: usize) -> Budget {
        Budget { taken: Arc::new(AtomicUsize::new(0)), ceiling }
    }

    /// Takes `bytes`, or `None` when they would exceed the ceiling.
    pub fn take(&self, bytes: usize) -> Option<Lease> {
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                taken.checked_add(bytes).filter(|sum| *sum <= self.ceiling)
            })
            .ok()?;
        Some(Lease { taken: Arc::clone(&self.taken), bytes })
    }

    /// Bytes taken at this moment.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_holds_and_a_dropped_lease_gives_back() {
        let budget = Budget::new(10);
        let first = budget.take(6).expect("6 of 10");
        assert!(budget.take(5).is_none());
        drop(first);
        assert_eq!(budget.taken(), 0);
        assert!(budget.take(10).is_some());
        assert!(budget.take(usize::MAX).is_none());
    }
}

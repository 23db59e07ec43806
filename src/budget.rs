//! Memory that may be taken, all in all: a counter with a ceiling, and the lease that gives it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A ceiling on bytes held for one purpose. Clones share the count.
#[derive(Clone, Debug)]
pub struct Budget {
    taken: Arc<AtomicUsize>,
    ceiling: usize,
}

/// Bytes taken from one or more [`Budget`]s; dropping it gives them back.
#[derive(Debug, Default)]
pub struct Lease {
    bytes: usize,
    from: Vec<Budget>,
}

impl Budget {
    /// A budget of `ceiling` bytes.
    pub fn new(ceiling: usize) -> Budget {
        Budget {
            taken: Arc::new(AtomicUsize::new(0)),
            ceiling,
        }
    }

    /// Bytes taken at this moment.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Whether a clone or a lease shares it, however few bytes that has taken yet.
    pub fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.taken) > 1
    }

    fn take(&self, bytes: usize) -> bool {
        let sum = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.ceiling);
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, sum)
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Lease {
    /// A lease of nothing yet, that grows within all of these budgets at once.
    pub fn on(from: Vec<Budget>) -> Lease {
        Lease { bytes: 0, from }
    }

    /// Makes the lease cover `bytes` in all; false, and unchanged, when one of the budgets has not so much left.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        for (at, budget) in self.from.iter().enumerate() {
            if !budget.take(more) {
                self.from
                    .iter()
                    .take(at)
                    .for_each(|taken| taken.give_back(more));
                return false;
            }
        }
        self.bytes += more;
        true
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.from
            .iter()
            .for_each(|budget| budget.give_back(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_holds_and_a_dropped_lease_gives_back() {
        let budget = Budget::new(10);
        let mut first = Lease::on(vec![budget.clone()]);
        assert!(first.grow_to(4) && first.grow_to(6));
        let mut second = Lease::on(vec![budget.clone()]);
        assert!(!second.grow_to(5));
        drop(first);
        assert_eq!(budget.taken(), 0);
        assert!(second.grow_to(10) && !second.grow_to(usize::MAX));
    }

    #[test]
    fn a_lease_on_two_budgets_takes_from_both_or_from_neither() {
        let wide = Budget::new(100);
        let narrow = Budget::new(5);
        let mut lease = Lease::on(vec![wide.clone(), narrow.clone()]);
        assert!(!lease.grow_to(6));
        assert_eq!((wide.taken(), narrow.taken()), (0, 0));
        assert!(lease.grow_to(5));
        assert_eq!((wide.taken(), narrow.taken()), (5, 5));
    }
}

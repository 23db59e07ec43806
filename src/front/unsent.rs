//! How many bytes wait for clients that are slow to take them, in all.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// The replies that wait, by where their bytes lie: what several clients wait for is in memory once, and counts once.
#[derive(Default)]
pub struct Unsent {
    /// Protects: which bytes wait, and how many clients wait for each.
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: usize,
    /// By address and length, how many hold it. An address stays taken for as long as anybody is in here.
    holders: HashMap<(usize, usize), usize>,
}

impl Unsent {
    /// Counts these bytes for one more client, until the result is dropped.
    pub(super) fn count(self: &Arc<Unsent>, bytes: &Bytes) -> Counted {
        let place = (bytes.as_ptr().addr(), bytes.len());
        let mut waiting = self.waiting.lock();
        let holders = waiting.holders.entry(place).or_insert(0);
        *holders += 1;
        if *holders == 1 {
            waiting.bytes += bytes.len();
        }
        Counted {
            unsent: Arc::clone(self),
            place,
        }
    }

    /// How many wait in all.
    pub(super) fn bytes(&self) -> usize {
        self.waiting.lock().bytes
    }
}

/// Bytes counted in an [`Unsent`] for one client.
pub struct Counted {
    unsent: Arc<Unsent>,
    place: (usize, usize),
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut waiting = self.unsent.waiting.lock();
        let Some(holders) = waiting.holders.get_mut(&self.place) else {
            return;
        };
        *holders -= 1;
        if *holders == 0 {
            waiting.holders.remove(&self.place);
            waiting.bytes -= self.place.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_wait_for_counts_once_until_the_last_has_it() {
        let unsent = Arc::new(Unsent::default());
        let body = Bytes::from(vec![0; 100]);
        let other = Bytes::from(vec![0; 10]);
        let first = unsent.count(&body);
        let second = unsent.count(&body.clone());
        assert_eq!(unsent.bytes(), 100);
        let _other = unsent.count(&other);
        assert_eq!(unsent.bytes(), 110);
        drop(first);
        assert_eq!(unsent.bytes(), 110);
        drop(second);
        assert_eq!(unsent.bytes(), 10);
    }
}

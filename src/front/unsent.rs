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
    /// By the address where they end, which is the same however many of them a client has taken. An address stays taken for
    /// as long as anybody is in here.
    holders: HashMap<usize, Holders>,
}

/// Clients that wait for bytes that end at one address.
#[derive(Default)]
struct Holders {
    count: usize,
    /// The most that one of them waited for.
    bytes: usize,
}

impl Unsent {
    /// Counts these bytes for one more client, until the result is dropped.
    pub(super) fn count(self: &Arc<Unsent>, bytes: &Bytes) -> Counted {
        let end = bytes.as_ptr().addr() + bytes.len();
        let mut waiting = self.waiting.lock();
        let holders = waiting.holders.entry(end).or_default();
        let more = bytes.len().saturating_sub(holders.bytes);
        holders.count += 1;
        holders.bytes += more;
        waiting.bytes += more;
        Counted {
            unsent: Arc::clone(self),
            end,
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
    end: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut waiting = self.unsent.waiting.lock();
        let Some(holders) = waiting.holders.get_mut(&self.end) else {
            return;
        };
        holders.count -= 1;
        if holders.count == 0 {
            let bytes = holders.bytes;
            waiting.holders.remove(&self.end);
            waiting.bytes -= bytes;
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

    #[test]
    fn bytes_count_once_however_much_of_them_each_has_taken() {
        let unsent = Arc::new(Unsent::default());
        let body = Bytes::from(vec![0; 100]);
        let late = unsent.count(&body.slice(60..));
        assert_eq!(unsent.bytes(), 40);
        let early = unsent.count(&body.slice(10..));
        assert_eq!(unsent.bytes(), 90);
        drop(early);
        drop(late);
        assert_eq!(unsent.bytes(), 0);
    }
}

//! Limits variant churn: a key with too many variants evicts its own answers before they are used. PURE.

use std::collections::HashMap;
use std::time::Duration;

use super::expiring_set::ExpiringSet;
use super::key::Key;
use crate::clock::Now;

/// A key that exceeds its number of variants more often than this within [`WITHIN`] is not stored for as long.
const TOO_OFTEN: u32 = 100;
const WITHIN: Duration = Duration::from_secs(60);

/// Keys counted at a time. Further ones are not limited.
const MAX_COUNTED: usize = 1024;

/// Counts how often each key exceeded its number of variants.
#[derive(Default)]
pub struct VariantChurn {
    /// When counting began, and how often since.
    counts: HashMap<Key, (Duration, u32)>,
    uncacheable: ExpiringSet,
}

impl VariantChurn {
    /// Whether nothing is to be stored of this key now.
    pub fn forbids(&self, key: &Key, now: Now) -> bool {
        self.uncacheable.has(key, now)
    }

    /// Counts one more variant of this key that was dropped for another one. True when that was once too often: from now on the
    /// key is forbidden.
    pub fn note(&mut self, key: &Key, now: Now) -> bool {
        if self.counts.len() >= MAX_COUNTED {
            self.counts
                .retain(|_, (began, _)| now.mono < *began + WITHIN);
        }
        if self.counts.len() >= MAX_COUNTED && !self.counts.contains_key(key) {
            return false;
        }
        let (began, count) = self.counts.entry(key.clone()).or_insert((now.mono, 0));
        if now.mono >= *began + WITHIN {
            (*began, *count) = (now.mono, 0);
        }
        *count += 1;
        let too_often = *count > TOO_OFTEN;
        if too_often {
            self.counts.remove(key);
            self.uncacheable.set(key, WITHIN, now);
        }
        too_often
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Duration::from_secs(seconds),
            wall: Duration::ZERO,
        }
    }

    #[test]
    fn the_hundred_and_first_time_within_a_minute_is_too_often() {
        let mut churn = VariantChurn::default();
        let key = Key::from("a");
        assert_eq!((0..101).position(|_| churn.note(&key, at(0))), Some(100));
        assert!(churn.forbids(&key, at(59)) && !churn.forbids(&key, at(60)));
        assert!(!churn.forbids(&Key::from("b"), at(0)));
    }

    #[test]
    fn a_new_minute_counts_anew() {
        let mut churn = VariantChurn::default();
        let key = Key::from("a");
        assert!((0..100).all(|_| !churn.note(&key, at(0))));
        assert!((0..100).all(|_| !churn.note(&key, at(60))));
    }

    #[test]
    fn no_more_keys_are_counted_than_allowed_and_those_of_the_past_make_room() {
        let mut churn = VariantChurn::default();
        for number in 0..2 * MAX_COUNTED {
            churn.note(&Key::from(number.to_string().as_str()), at(0));
        }
        assert_eq!(churn.counts.len(), MAX_COUNTED);
        churn.note(&Key::from("later"), at(60));
        assert_eq!(churn.counts.len(), 1);
    }
}

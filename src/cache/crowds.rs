//! Keys that differ by too much: what is stored of them is gone again before it is used. PURE.

use std::collections::HashMap;
use std::time::Duration;

use super::expiring_set::ExpiringSet;
use super::key::Key;
use crate::clock::Now;

/// A key whose variants were too many so often within this time is not stored for as long.
const TOO_OFTEN: u32 = 100;
const WITHIN: Duration = Duration::from_secs(60);

/// Keys counted at a time. More keys with too many variants than this are not told apart from the well-behaved.
const MAX_COUNTED: usize = 1024;

/// Counts how often the variants of a key were too many.
#[derive(Default)]
pub struct Crowds {
    /// When counting began, and how often since.
    counts: HashMap<Key, (Duration, u32)>,
    uncacheable: ExpiringSet,
}

impl Crowds {
    /// Whether nothing is to be stored of this key now.
    pub fn forbids(&self, key: &Key, now: Now) -> bool {
        self.uncacheable.has(key, now)
    }

    /// Once more a variant of this key had to go for another one. True when that was once too often.
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
        let (mut crowds, key) = (Crowds::default(), Key::from("a"));
        assert_eq!((0..101).position(|_| crowds.note(&key, at(0))), Some(100));
        assert!(crowds.forbids(&key, at(59)) && !crowds.forbids(&key, at(60)));
        assert!(!crowds.forbids(&Key::from("b"), at(0)));
    }

    #[test]
    fn a_new_minute_counts_anew() {
        let (mut crowds, key) = (Crowds::default(), Key::from("a"));
        assert!((0..100).all(|_| !crowds.note(&key, at(0))));
        assert!((0..100).all(|_| !crowds.note(&key, at(60))));
    }

    #[test]
    fn no_more_keys_are_counted_than_allowed_and_those_of_the_past_make_room() {
        let mut crowds = Crowds::default();
        for number in 0..2 * MAX_COUNTED {
            crowds.note(&Key::from(number.to_string().as_str()), at(0));
        }
        assert_eq!(crowds.counts.len(), MAX_COUNTED);
        crowds.note(&Key::from("later"), at(60));
        assert_eq!(crowds.counts.len(), 1);
    }
}

//! How the origin's answers came, by key: running sums for what is polled and for the 512 keys used most, no samples kept.
//!
//! Nothing here is on the way of a hit: hits are counted in the stored answer itself.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::cache::key::Key;
use crate::clock::Now;
use crate::message::Target;
use crate::sync::Mutex;

/// Keys that are not polled and have a tally all the same.
const MOST_USED: usize = 512;
/// A longer key has no tally, and a longer target is cut when it is shown: the table is bounded in bytes.
const LONGEST_TEXT: usize = 1024;
/// Fetches remembered one by one.
const RECENT: usize = 20;
/// Entries whose uses are counted anew before one of them leaves.
const RECOUNTS: usize = 4;
/// Errors are counted over so many minutes.
const MINUTES: usize = 10;

/// What is known of the fetches so far.
#[derive(Default)]
pub struct Statistics {
    /// Protects the sums. Held for a step of bounded size, never across a system call.
    table: Mutex<Table>,
}

/// A fetch that is over.
pub struct Fetch<'a> {
    /// What was asked.
    pub target: &'a Target,
    /// The key its answer is everybody's under. `None`: nobody else's.
    pub key: Option<&'a Key>,
    /// Whether the key is polled, and so always has a tally.
    pub polled: bool,
    /// When the origin was asked.
    pub asked: Now,
    /// When it was over.
    pub ended: Now,
    /// Whether it brought an answer.
    pub good: bool,
}

/// The sums of one key since it is watched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Uses of stored answers that have been replaced; the present one counts its own.
    pub hits: u64,
    /// Requests answered by a fetch, those that shared one included.
    pub misses: u64,
    /// Fetches that brought an answer.
    pub fetches: u64,
    /// Time these took, all together.
    pub total: Duration,
    /// Time the longest of them took.
    pub longest: Duration,
    errors: Window,
}

/// One of the last fetches.
#[derive(Clone, Debug)]
pub struct Completed {
    /// What was asked.
    pub target: String,
    /// When the origin was asked, since the epoch.
    pub asked: Duration,
    /// How long it took.
    pub took: Duration,
    /// Whether it brought an answer.
    pub good: bool,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    /// Entries that are not polled.
    ordinary: usize,
    /// Newest first.
    recent: VecDeque<Completed>,
    errors: Window,
}

#[derive(Default)]
struct Entry {
    tally: Tally,
    polled: bool,
    /// Hits when they were last counted, those of the present answer included.
    counted: u64,
}

/// Events in each of the last minutes.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    counts: [u32; MINUTES],
    minute: u64,
}

impl Statistics {
    /// Takes in a fetch. `hits` tells how often the stored answer of a key was used.
    pub fn fetched(&self, fetch: &Fetch<'_>, hits: impl Fn(&Key) -> u64) {
        let took = fetch.ended.mono.saturating_sub(fetch.asked.mono);
        let target = fetch.target.as_str().chars().take(LONGEST_TEXT).collect();
        let completed = Completed {
            target,
            asked: fetch.asked.wall,
            took,
            good: fetch.good,
        };
        let mut table = self.table.lock();
        table.recent.truncate(RECENT - 1);
        table.recent.push_front(completed);
        if !fetch.good {
            table.errors.count(fetch.ended);
        }
        let Some(key) = fetch.key.filter(|key| key.as_str().len() <= LONGEST_TEXT) else {
            return;
        };
        let entry = table.entry(key, fetch.polled, &hits);
        entry.counted = entry.tally.hits + hits(key);
        let tally = &mut entry.tally;
        if fetch.good {
            tally.fetches += 1;
            tally.total = tally.total.saturating_add(took);
            tally.longest = tally.longest.max(took);
        } else {
            tally.errors.count(fetch.ended);
        }
    }

    /// A stored answer is replaced that was used so often.
    pub fn replaced(&self, key: &Key, hits: u64) {
        if let Some(entry) = self.table.lock().entries.get_mut(key) {
            entry.tally.hits += hits;
        }
    }

    /// So many requests were answered by a fetch for this key.
    pub fn missed(&self, key: &Key, requests: usize) {
        if let Some(entry) = self.table.lock().entries.get_mut(key) {
            entry.tally.misses += requests as u64;
        }
    }

    /// The keys that have a tally.
    pub fn keys(&self) -> Vec<Key> {
        self.table.lock().entries.keys().cloned().collect()
    }

    /// The tally of a key, if it has one.
    pub fn tally(&self, key: &Key) -> Option<Tally> {
        self.table.lock().entries.get(key).map(|entry| entry.tally)
    }

    /// The last fetches, newest first.
    pub fn recent(&self) -> Vec<Completed> {
        self.table.lock().recent.iter().cloned().collect()
    }

    /// Failed fetches a minute over the last ten minutes.
    pub fn errors_a_minute(&self, now: Now) -> f64 {
        self.table.lock().errors.per_minute(now)
    }

    /// The same of each key that had any.
    pub fn errors_by_key(&self, now: Now) -> Vec<(Key, f64)> {
        let table = self.table.lock();
        let rates = table
            .entries
            .iter()
            .map(|(key, entry)| (key, entry.tally.errors.per_minute(now)));
        rates
            .filter(|(_, rate)| *rate > 0.0)
            .map(|(key, rate)| (key.clone(), rate))
            .collect()
    }
}

impl Table {
    fn entry(&mut self, key: &Key, polled: bool, hits: &impl Fn(&Key) -> u64) -> &mut Entry {
        if !self.entries.contains_key(key) && !polled {
            if self.ordinary >= MOST_USED {
                self.make_room(hits);
            }
            self.ordinary += 1;
        }
        self.entries.entry(key.clone()).or_insert_with(|| Entry {
            polled,
            ..Entry::default()
        })
    }

    /// Takes out the entry used least. Hits are counted elsewhere, so whoever is about to leave is counted anew.
    fn make_room(&mut self, hits: &impl Fn(&Key) -> u64) {
        for recounts in 1..=RECOUNTS {
            let ordinary = self.entries.iter_mut().filter(|(_, entry)| !entry.polled);
            let Some((key, entry)) =
                ordinary.min_by_key(|(_, entry)| entry.counted + entry.tally.misses)
            else {
                return;
            };
            let known = std::mem::replace(&mut entry.counted, entry.tally.hits + hits(key));
            if entry.counted <= known || recounts == RECOUNTS {
                let key = key.clone();
                self.entries.remove(&key);
                self.ordinary -= 1;
                return;
            }
        }
    }
}

impl Tally {
    /// How long a fetch took on average. `None`: none brought an answer.
    pub fn average(&self) -> Option<Duration> {
        let fetches = u32::try_from(self.fetches).unwrap_or(u32::MAX);
        self.total.checked_div(fetches)
    }
}

impl Window {
    fn count(&mut self, now: Now) {
        self.turn(now);
        if let Some(count) = self.counts.get_mut(place(self.minute)) {
            *count = count.saturating_add(1);
        }
    }

    fn per_minute(mut self, now: Now) -> f64 {
        self.turn(now);
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        all as f64 / MINUTES as f64
    }

    /// Forgets the minutes that are over.
    fn turn(&mut self, now: Now) {
        let minute = now.mono.as_secs() / 60;
        for over in (self.minute + 1..=minute).take(MINUTES) {
            if let Some(count) = self.counts.get_mut(place(over)) {
                *count = 0;
            }
        }
        self.minute = self.minute.max(minute);
    }
}

fn place(minute: u64) -> usize {
    (minute % MINUTES as u64) as usize
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Duration::from_secs(seconds),
            wall: Duration::from_secs(1_750_000_000 + seconds),
        }
    }

    fn fetch(
        statistics: &Statistics,
        path: &str,
        polled: bool,
        span: (u64, u64),
        good: bool,
        hits: u64,
    ) -> Key {
        let target = Target::parse(Bytes::copy_from_slice(path.as_bytes())).expect("a target");
        let key = Key::new(None, "anonymous", &target);
        let asked = at(span.0);
        let ended = at(span.1);
        let fetch = Fetch {
            target: &target,
            key: Some(&key),
            polled,
            asked,
            ended,
            good,
        };
        statistics.fetched(&fetch, |_| hits);
        key
    }

    #[test]
    fn sums_run_over_the_fetches_that_brought_an_answer() {
        let statistics = Statistics::default();
        for span in [(0, 1), (10, 13)] {
            fetch(&statistics, "/a", false, span, true, 0);
        }
        let key = fetch(&statistics, "/a", false, (20, 60), false, 0);
        statistics.missed(&key, 3);

        let tally = statistics.tally(&key).expect("watched");

        assert_eq!((tally.misses, tally.fetches), (3, 2));
        assert_eq!(
            (tally.average(), tally.longest),
            (Some(Duration::from_secs(2)), Duration::from_secs(3))
        );
        assert_eq!(Tally::default().average(), None);
    }

    #[test]
    fn the_last_twenty_fetches_are_told_newest_first() {
        let statistics = Statistics::default();
        for n in 0..30 {
            fetch(&statistics, &format!("/{n}"), false, (n, n + 2), n != 29, 0);
        }
        let recent = statistics.recent();
        let newest = &recent[0];
        let oldest = &recent[19];
        assert_eq!(
            (recent.len(), newest.target.as_str(), oldest.target.as_str()),
            (20, "/29", "/10")
        );
        assert_eq!(
            (newest.asked, newest.took, newest.good),
            (at(29).wall, Duration::from_secs(2), false)
        );
    }

    #[test]
    fn a_flood_of_keys_leaves_the_polled_and_the_used_ones_in_a_bounded_table() {
        let statistics = Statistics::default();
        let polled = fetch(&statistics, "/polled", true, (0, 1), true, 0);
        let used = fetch(&statistics, "/used", false, (0, 1), true, 0);
        let target = |n: u64| Target::parse(Bytes::from(format!("/flood/{n}"))).expect("a target");
        for n in 0..5000 {
            let target = target(n);
            let hits = |key: &Key| if *key == used { 7 } else { 0 };
            let key = Key::new(None, "anonymous", &target);
            let fetch = Fetch {
                target: &target,
                key: Some(&key),
                polled: false,
                asked: at(n),
                ended: at(n),
                good: true,
            };
            statistics.fetched(&fetch, hits);
        }
        assert!(statistics.tally(&polled).is_some() && statistics.tally(&used).is_some());
        assert_eq!(statistics.keys().len(), MOST_USED + 1);
        let long = format!("/{}", "x".repeat(LONGEST_TEXT));
        let key = fetch(&statistics, &long, true, (0, 1), true, 9);
        assert!(statistics.tally(&key).is_none());
        assert_eq!(statistics.recent()[0].target.len(), LONGEST_TEXT);
    }

    #[test]
    fn errors_a_minute_are_those_of_the_last_ten_minutes() {
        let statistics = Statistics::default();
        let key = fetch(&statistics, "/bad", false, (30, 50), false, 0);
        fetch(&statistics, "/bad", false, (90, 110), false, 0);
        fetch(&statistics, "/good", false, (90, 110), true, 0);
        for (seconds, rate) in [
            (110, 0.2),
            (599, 0.2),
            (600, 0.1),
            (660, 0.0),
            (1_000_000, 0.0),
        ] {
            let of_key: Vec<(Key, f64)> = (rate > 0.0)
                .then(|| (key.clone(), rate))
                .into_iter()
                .collect();
            assert_eq!(statistics.errors_a_minute(at(seconds)), rate, "{seconds}");
            assert_eq!(statistics.errors_by_key(at(seconds)), of_key, "{seconds}");
        }
    }
}

//! When the origin may be asked, reckoned from what it said: the one place where its rest is judged.
//!
//! A lower bound: what an answer in doubt is worth is not held against its key.

use std::collections::{HashMap, HashSet};

use larder::cache::flights::Errand;

/// The waits after the first failure in a row, the second, ... and the longest where it is probed. Milliseconds.
const STEPS: [u64; 5] = [5_000, 10_000, 30_000, 60_000, 120_000];
const LONGEST_PROBE: u64 = 30_000;
/// Jitter shortens a wait by a tenth at the most.
const TENTHS: u64 = 9;
const LONGEST_RETRY_AFTER: u64 = 300_000;
/// So many known keys fallen silent are a hung origin.
const SILENT_KEYS: usize = 3;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Refused, unreachable, no address.
    Nobody,
    /// No first byte.
    Silence,
    /// An answer that is none; with its Retry-After in milliseconds.
    Failure(Option<u64>),
    Answer,
    /// What it is worth is not told yet.
    InDoubt,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    pub target: String,
    /// On behalf of everybody: what is heard is held against the key.
    pub shared: bool,
    pub polled: bool,
}

impl Asker {
    pub fn of(errand: &Errand) -> Asker {
        let (target, shared) = (errand.request.target.as_str().to_owned(), errand.shared_key().is_some());
        Asker { target, shared, polled: errand.poll.is_some() }
    }
}

#[derive(Clone, Copy, Default)]
struct Trouble {
    failures: usize,
    until: u64,
    probed: bool,
}

/// What is known of the origin. All times in milliseconds.
#[derive(Default)]
pub struct Schedule {
    origin: Option<Trouble>,
    keys: HashMap<String, Trouble>,
    known: HashSet<String>,
    silent: HashSet<String>,
    /// When each key may be asked again because the origin said so.
    told: HashMap<String, u64>,
}

impl Schedule {
    /// The origin is asked. `Err`: it should not have been.
    pub fn asked(&mut self, asker: &Asker, now: u64) -> Result<(), String> {
        let of_key = if asker.shared { self.keys.get_mut(&asker.target) } else { None };
        for (whose, trouble) in [("the origin", self.origin.as_mut()), ("its key", of_key)] {
            let Some(trouble) = trouble else { continue };
            if now < trouble.until {
                let (target, early) = (&asker.target, trouble.until - now);
                return Err(format!("{target} is asked for {early} ms before {whose} may be: {}", trouble.failures));
            }
            if trouble.probed && whose == "the origin" {
                return Err(format!("{} is asked for beside the probe of {whose}", asker.target));
            }
            trouble.probed = true;
        }
        Ok(())
    }

    /// What came of it.
    pub fn heard(&mut self, asker: &Asker, heard: Heard, now: u64) {
        let key = Some(&asker.target).filter(|_| asker.shared);
        if heard == Heard::Silence
            && let Some(key) = key.filter(|key| self.known.contains(*key))
        {
            self.silent.insert(key.clone());
        }
        let is_hung = self.origin.is_some() || self.silent.len() >= SILENT_KEYS;
        match heard {
            Heard::Nobody => self.origin = Some(worse(self.origin, None, true, now)),
            Heard::Silence if is_hung => self.origin = Some(worse(self.origin, None, true, now)),
            Heard::Silence => self.key_fails(key, None, asker.polled, now),
            Heard::Failure(retry_after) => {
                self.key_fails(key, retry_after, asker.polled, now);
                self.is_there();
            }
            Heard::Answer | Heard::InDoubt => {
                if let Some(key) = key {
                    self.keys.remove(key);
                    self.told.remove(key);
                }
                if heard == Heard::Answer {
                    self.known.extend(key.cloned());
                }
                self.is_there();
            }
        }
    }

    /// When this key may be asked again because the origin said so; 0 if it said nothing.
    pub fn told_to_wait_until(&self, target: &str) -> u64 {
        self.told.get(target).copied().unwrap_or_default()
    }

    fn key_fails(&mut self, key: Option<&String>, retry_after: Option<u64>, polled: bool, now: u64) {
        let Some(key) = key else { return };
        let trouble = worse(self.keys.get(key).copied(), retry_after, polled, now);
        if retry_after.is_some() {
            self.told.insert(key.clone(), trouble.until);
        }
        self.keys.insert(key.clone(), trouble);
    }

    fn is_there(&mut self) {
        self.origin = None;
        self.silent.clear();
    }
}

fn worse(trouble: Option<Trouble>, retry_after: Option<u64>, probed: bool, now: u64) -> Trouble {
    let failures = trouble.unwrap_or_default().failures + 1;
    let step = STEPS[(failures - 1).min(STEPS.len() - 1)];
    let step = if probed { step.min(LONGEST_PROBE) } else { step };
    let wait = retry_after.map_or(step / 10 * TENTHS, |asked| asked.min(LONGEST_RETRY_AFTER));
    Trouble { failures, until: now + wait, probed: false }
}

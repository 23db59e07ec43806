//! When the origin may be asked, reckoned from what it said: the one place where its rest is judged.
//!
//! A lower bound: what an unconfirmed answer is worth is not held against its key.

use std::collections::{HashMap, HashSet, VecDeque};

use larder::cache::flights::FetchRequest;
use larder::origin::permits::FlightId;

/// The waits after the first failure in a row, the second, ... and the longest where it is probed. Milliseconds.
const STEPS: [u64; 5] = [5_000, 10_000, 30_000, 60_000, 120_000];
const LONGEST_PROBE: u64 = 30_000;
/// Jitter shortens a wait by a tenth at the most.
const TENTHS: u64 = 9;
const LONGEST_RETRY_AFTER: u64 = 300_000;
/// So many known keys fallen silent are a hung origin.
const SILENT_KEYS: usize = 3;
/// The breaker opens when of so many requests, of so many keys, that ended within this time, half failed.
const ENDS_WITHIN: u64 = 10_000;
const LEAST_ENDS: usize = 10;
const LEAST_KEYS: usize = 3;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Refused, unreachable, no address.
    Nobody,
    /// No first byte.
    Silence,
    /// A 5xx, a timeout, a cut: enough of them are the origin's. With its Retry-After in milliseconds.
    Failing(Option<u64>),
    /// Any other answer that is none.
    Failure(Option<u64>),
    Answer,
    /// What it is worth is not told yet.
    Unconfirmed,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    pub target: String,
    /// On behalf of everybody: what is heard is held against the key.
    pub shared: bool,
    pub polled: bool,
    /// How it ends counts for the breaker: it is no cross-check.
    pub counts: bool,
}

impl Asker {
    pub fn of(fetch_request: &FetchRequest) -> Asker {
        let target = fetch_request.request.target.as_str().to_owned();
        let shared = fetch_request.shared_key().is_some();
        let is_cross_check = fetch_request.joins.is_none() && fetch_request.even_if_fresh;
        Asker {
            target,
            shared,
            polled: fetch_request.poll.is_some(),
            counts: shared && !is_cross_check,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct FailureState {
    failures: usize,
    until: u64,
    probe: Option<FlightId>,
    /// The origin itself said until when.
    told: bool,
}

/// How a request ended.
struct End {
    at: u64,
    key: String,
    failed: bool,
    /// Its key has answered before.
    known: bool,
}

/// What is known of the origin. All times in milliseconds.
#[derive(Default)]
pub struct Schedule {
    origin: Option<FailureState>,
    keys: HashMap<String, FailureState>,
    known: HashSet<String>,
    silent: HashSet<String>,
    ends: VecDeque<End>,
    /// The origin's failure is that much fails: only its probe says that this is over.
    tripped: bool,
    /// What counts when its flight is over: unconfirmed answers, and failures that may be asked about once more.
    open: HashMap<FlightId, (Asker, Heard, u64)>,
}

impl Schedule {
    /// The origin is asked. `Err`: it should not have been.
    pub fn asked(&mut self, flight: FlightId, asker: &Asker, now: u64) -> Result<(), String> {
        // Only the last answer counts.
        self.open.remove(&flight);
        let of_key = if asker.shared {
            self.keys.get_mut(&asker.target)
        } else {
            None
        };
        for (whose, failure) in [("the origin", self.origin.as_mut()), ("its key", of_key)] {
            let Some(failure) = failure else { continue };
            if now < failure.until {
                let target = &asker.target;
                let early = failure.until - now;
                return Err(format!(
                    "{target} is asked for {early} ms before {whose} may be: {}",
                    failure.failures
                ));
            }
            if failure.probe.is_some() && whose == "the origin" {
                return Err(format!(
                    "{} is asked for beside the probe of {whose}",
                    asker.target
                ));
            }
            failure.probe = Some(flight);
        }
        Ok(())
    }

    /// What came of it. `again`: where there was no failure, it may be asked once more.
    pub fn heard(&mut self, flight: FlightId, asker: &Asker, heard: Heard, again: bool, now: u64) {
        let was_failing =
            self.origin.is_some() || asker.shared && self.keys.contains_key(&asker.target);
        let is_open = heard == Heard::Unconfirmed || again && !was_failing;
        if is_open {
            self.open.insert(flight, (asker.clone(), heard, now));
        }
        if heard == Heard::Unconfirmed || !is_open {
            self.hear(flight, asker, heard, now);
        }
        if !is_open {
            self.count(asker, heard, now);
        }
    }

    /// A flight is over, and how it ended.
    pub fn over(&mut self, flight: FlightId, now: u64) {
        let Some((asker, heard, at)) = self.open.remove(&flight) else {
            return;
        };
        if heard == Heard::Unconfirmed {
            self.count(&asker, heard, now);
        } else if at == now {
            self.hear(flight, &asker, heard, now);
            self.count(&asker, heard, now);
        }
        // Later, the repetition had its turn to come and was given up: what came before is held against nobody.
    }

    fn hear(&mut self, flight: FlightId, asker: &Asker, heard: Heard, now: u64) {
        let is_probe = self
            .origin
            .is_some_and(|failure| failure.probe == Some(flight));
        let key = Some(&asker.target).filter(|_| asker.shared);
        match heard {
            Heard::Nobody => {
                self.tripped = false;
                self.origin_fails(None, now);
            }
            // The wait after the probe of an open breaker is the origin's alone.
            Heard::Silence if self.tripped && is_probe => self.origin_fails(None, now),
            Heard::Failing(retry_after) if self.tripped && is_probe => {
                self.origin_fails(retry_after, now)
            }
            Heard::Silence if self.tripped => self.key_fails(key, None, asker.polled, now),
            Heard::Silence => {
                let known = key.filter(|key| self.known.contains(*key));
                self.silent.extend(known.cloned());
                match self.origin.is_some() || self.silent.len() >= SILENT_KEYS {
                    true => self.origin_fails(None, now),
                    false => self.key_fails(key, None, asker.polled, now),
                }
            }
            Heard::Failing(retry_after) | Heard::Failure(retry_after) => {
                self.key_fails(key, retry_after, asker.polled, now);
                self.is_there(is_probe);
            }
            Heard::Answer | Heard::Unconfirmed => {
                if let Some(key) = key {
                    self.keys.remove(key);
                }
                if heard == Heard::Answer {
                    self.known.extend(key.cloned());
                }
                self.is_there(is_probe);
            }
        }
    }

    /// Whether nothing has failed since this key last answered.
    pub fn is_well(&self, target: &str) -> bool {
        self.origin.is_none() && !self.keys.contains_key(target)
    }

    /// When this key may be asked again because the origin said so, of it or of everything; 0 if it said nothing.
    pub fn told_to_wait_until(&self, target: &str) -> u64 {
        let failures = [self.origin.as_ref(), self.keys.get(target)];
        let told = failures
            .into_iter()
            .flatten()
            .filter(|failure| failure.told)
            .map(|failure| failure.until);
        told.max().unwrap_or(0)
    }

    /// A request ended like this, which may open the breaker.
    fn count(&mut self, asker: &Asker, heard: Heard, now: u64) {
        let failure = match heard {
            Heard::Silence => Some(None),
            Heard::Failing(retry_after) => Some(retry_after),
            _ => None,
        };
        if self.origin.is_some() || !asker.counts {
            return;
        }
        let key = asker.target.clone();
        let known = self.known.contains(&asker.target);
        self.ends.push_back(End {
            at: now,
            key,
            failed: failure.is_some(),
            known,
        });
        self.ends.retain(|end| now < end.at + ENDS_WITHIN);
        let some_answer = self.ends.iter().any(|end| !end.failed);
        let counting: Vec<&End> = self
            .ends
            .iter()
            .filter(|end| end.known || !some_answer)
            .collect();
        let keys: HashSet<&str> = counting.iter().map(|end| end.key.as_str()).collect();
        let failed = counting.iter().filter(|end| end.failed).count();
        let opens = counting.len() >= LEAST_ENDS
            && keys.len() >= LEAST_KEYS
            && failed * 2 >= counting.len();
        if let (true, Some(retry_after)) = (opens, failure) {
            self.ends.clear();
            self.tripped = true;
            self.origin_fails(retry_after, now);
        }
    }

    fn origin_fails(&mut self, retry_after: Option<u64>, now: u64) {
        self.origin = Some(worse(self.origin, retry_after, true, now));
    }

    fn key_fails(
        &mut self,
        key: Option<&String>,
        retry_after: Option<u64>,
        polled: bool,
        now: u64,
    ) {
        let Some(key) = key else { return };
        let failure = worse(self.keys.get(key).copied(), retry_after, polled, now);
        self.keys.insert(key.clone(), failure);
    }

    fn is_there(&mut self, is_probe: bool) {
        self.silent.clear();
        // Who asked before the breaker opened does not close it.
        if !self.tripped || is_probe {
            self.tripped = false;
            self.origin = None;
        }
    }
}

fn worse(
    failure: Option<FailureState>,
    retry_after: Option<u64>,
    probed: bool,
    now: u64,
) -> FailureState {
    let failures = failure.unwrap_or_default().failures + 1;
    let step = STEPS[(failures - 1).min(STEPS.len() - 1)];
    let step = if probed {
        step.min(LONGEST_PROBE)
    } else {
        step
    };
    let wait = retry_after.map_or(step / 10 * TENTHS, |asked| asked.min(LONGEST_RETRY_AFTER));
    // What was asked before the last failure takes nothing from the wait that one began.
    let before = failure.filter(|failure| failure.until > now + wait);
    let (until, told) = before.map_or((now + wait, retry_after.is_some()), |failure| {
        (failure.until, failure.told)
    });
    FailureState {
        failures,
        until,
        probe: None,
        told,
    }
}

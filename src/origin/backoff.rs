//! When a failing origin, or a failing key, may be asked again. PURE: a value told what was heard.
//!
//! Two scopes, never the route. A **key** is failing after a failed Check, a 5xx or 429, a timeout or a cut body: that says
//! nothing about other keys. The **origin** is failing when it refuses, cannot be reached or has no address, or when three
//! keys that have answered before time out with no answer from any key between, or when half of what was asked of late failed.
//! Whoever is failing is asked again by exactly one request, the probe, when its time has come. The origin's failure is its
//! circuit breaker: open, or half-open while it is probed.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use super::breaker::{Breaker, Ends};
use super::failure_table::{FailureState, FailureTable};
use crate::clock::Now;
use crate::outcome::{Cause, FetchError};

/// Keys known to have answered.
const MAX_KEYS: usize = 1024;
/// The origin, and a key that is polled, wait no longer for their next probe: a return is noticed within this time.
const LONGEST_PROBE: Duration = Duration::from_secs(30);
/// So many known keys must fall silent before the origin itself counts as hung.
const SILENT_KEYS: usize = 3;

/// How often to ask, and how seriously to take Retry-After.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Waits after the first, second, … failure in a row; the last repeats. Default 5, 10, 30, 60, 120 s.
    pub steps: Vec<Duration>,
    /// A longer Retry-After counts as this. Default 300 s.
    pub max_retry_after: Duration,
}

/// The failures of one origin, and of its keys `K`.
#[derive(Debug)]
pub struct Backoff<K> {
    schedule: Schedule,
    origin: Option<FailureState>,
    keys: FailureTable<K>,
    /// Of what goes alone beside those keys.
    related: FailureTable<K>,
    /// Keys that have answered at least once.
    known: HashSet<K>,
    /// Known keys that timed out since the last answer of any key.
    silent: Vec<K>,
    /// How the last requests ended.
    ends: Ends<K>,
    /// The origin is failing because of those: it answers, but badly. Only its probe tells that this is over.
    tripped: bool,
    /// The state of the jitter.
    dice: u64,
}

/// Whose failure a request meets, besides the origin's, and may bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<K> {
    /// This key's: it is asked for everybody.
    Key(K),
    /// That of all that goes alone beside this key, such as HEAD; and the key's own, which it is no probe for. How it fares says
    /// nothing of the key: many origins fail at HEAD alone.
    Related(K),
    /// Nobody's.
    Nobody,
}

/// A key that is left alone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Why.
    pub cause: Cause,
    /// Failures in a row.
    pub failures: u32,
    /// The monotonic time of its next probe.
    pub until: Duration,
}

/// Whether the origin may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Yes; where there is failure, as its probe.
    Go(ProbeToken),
    /// Not before this monotonic time, because of this.
    Wait(Cause, Duration),
}

/// Whose probe a request is. It is shown again when the request has ended, one way or another: what anybody else hears of an
/// open breaker, who asked before it opened, is old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeToken {
    origin: bool,
    key: bool,
}

/// What was heard from the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer.
    Answer,
    /// None, or one that is a failure; with its Retry-After.
    Failure(Cause, Option<Duration>),
    /// What an answer of some time ago is worth: that says nothing of the origin now.
    Judged(Result<(), Cause>),
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that concerns others.
    None,
    /// The key waits until then.
    KeyDown(Duration),
    /// The origin waits until then.
    OriginDown(Duration),
    /// The origin answers again.
    OriginUp,
}

impl<K: Clone + Eq + Hash> Backoff<K> {
    /// No failure yet. `seed` starts the jitter.
    pub fn new(schedule: Schedule, seed: u64) -> Backoff<K> {
        Backoff {
            schedule,
            origin: None,
            keys: FailureTable::default(),
            related: FailureTable::default(),
            known: HashSet::new(),
            silent: Vec::new(),
            ends: Ends::new(),
            tripped: false,
            dice: seed | 1,
        }
    }

    /// Whether the origin may be asked. `Go` in a time of failure makes the asker the probe.
    pub fn permission(&mut self, whose: Whose<&K>, now: Now) -> Permission {
        if let Whose::Related(key) = whose
            && let Some(wait) = self.keys.get(key).and_then(|failure| failure.wait(now))
        {
            return wait;
        }
        let failures = self.failures_of(whose);
        if let Some(wait) = failures
            .iter()
            .flatten()
            .find_map(|failure| failure.wait(now))
        {
            return wait;
        }
        let [origin, key] = failures.each_ref().map(Option::is_some);
        failures
            .into_iter()
            .flatten()
            .for_each(|failure| failure.probing = true);
        Permission::Go(ProbeToken { origin, key })
    }

    /// Whoever had permission has not asked after all.
    pub fn withdraw(&mut self, whose: Whose<&K>, token: ProbeToken) {
        let [origin, key] = self.failures_of(whose);
        let ended = [origin.filter(|_| token.origin), key.filter(|_| token.key)];
        ended
            .into_iter()
            .flatten()
            .for_each(|failure| failure.probing = false);
    }

    /// Takes in what was heard by who had this pass. `polled`: the key is polled, and probed at least every 30 s.
    pub fn report(
        &mut self,
        whose: Whose<&K>,
        token: ProbeToken,
        heard: Heard,
        polled: bool,
        now: Now,
    ) -> Change {
        // Whatever this says of the origin: where that is at fault, the next may ask for this key.
        self.withdraw(
            whose,
            ProbeToken {
                origin: false,
                ..token
            },
        );
        match whose {
            Whose::Key(key) => self.hear(Some(key), token, heard, polled, now),
            Whose::Nobody => self.hear(None, token, heard, polled, now),
            Whose::Related(key) => self.hear_related(key, token, heard, now),
        }
    }

    /// Counts how a request for this key ended, after its report. Where that is one failure too many it is the origin's, which
    /// then waits until the time returned.
    pub fn count(&mut self, key: &K, heard: Heard, now: Now) -> Option<Duration> {
        if self.origin.is_some() {
            return None;
        }
        let failure = match heard {
            Heard::Failure(cause, retry_after) if is_failing(cause) => Some((cause, retry_after)),
            _ => None,
        };
        self.ends
            .note(key, failure.is_some(), self.known.contains(key), now);
        let (cause, retry_after) = failure.filter(|_| self.ends.show_failure())?;
        self.ends.forget();
        self.tripped = true;
        self.origin_fails(cause, retry_after, now);
        self.origin_failure().map(|(_, until)| until)
    }

    /// Lets every key be asked again whose answers failed their checks; whether one had to wait. How often each has failed in a
    /// row stays known: one that fails again waits longer than before.
    pub fn end_waits_for_checks(&mut self, now: Now) -> bool {
        self.keys.end_waits(Cause::CheckFailed, now)
    }

    /// Whether the origin is asked.
    pub fn breaker(&self, now: Now) -> Breaker {
        match self.origin {
            None => Breaker::Closed,
            Some(failure) if failure.probing || failure.until <= now.mono => Breaker::HalfOpen,
            Some(_) => Breaker::Open,
        }
    }

    /// The origin's failure, with the time of its next probe.
    pub fn origin_failure(&self) -> Option<(Cause, Duration)> {
        self.origin.map(|failure| (failure.cause, failure.until))
    }

    /// Whether what is asked has failed since it was last answered.
    pub fn has_failed(&self, whose: Whose<&K>) -> bool {
        match whose {
            Whose::Key(key) => self.keys.get(key).is_some(),
            Whose::Related(key) => self.keys.get(key).or(self.related.get(key)).is_some(),
            Whose::Nobody => false,
        }
    }

    /// When this key may be asked again. `None`: nothing has failed since it last answered.
    pub fn paused_until(&self, key: &K) -> Option<Duration> {
        self.keys.get(key).map(|failure| failure.until)
    }

    /// Keys failing.
    pub fn failing_keys(&self) -> usize {
        self.keys.len()
    }

    /// The keys failing.
    pub fn pauses(&self) -> impl Iterator<Item = (&K, Pause)> {
        self.keys.iter().map(
            |(
                key,
                FailureState {
                    cause,
                    failures,
                    until,
                    ..
                },
            )| {
                (
                    key,
                    Pause {
                        cause: *cause,
                        failures: *failures,
                        until: *until,
                    },
                )
            },
        )
    }

    fn failures_of(&mut self, whose: Whose<&K>) -> [Option<&mut FailureState>; 2] {
        let of_key = match whose {
            Whose::Key(key) => self.keys.get_mut(key),
            Whose::Related(key) => self.related.get_mut(key),
            Whose::Nobody => None,
        };
        [self.origin.as_mut(), of_key]
    }

    fn hear(
        &mut self,
        key: Option<&K>,
        token: ProbeToken,
        heard: Heard,
        polled: bool,
        now: Now,
    ) -> Change {
        match heard {
            Heard::Answer => {
                key.into_iter().for_each(|key| self.know(key));
                self.answered(token)
            }
            Heard::Judged(worth) => match (key, worth) {
                (Some(key), Err(cause)) => {
                    Change::KeyDown(self.key_fails(key, cause, None, polled, now))
                }
                (key, _) => {
                    key.into_iter().for_each(|key| self.know(key));
                    Change::None
                }
            },
            Heard::Failure(cause, retry_after) if is_of_origin(cause) => {
                self.tripped = false;
                self.origin_fails(cause, retry_after, now)
            }
            Heard::Failure(cause, retry_after) if self.tripped && is_failing(cause) => {
                if token.origin {
                    return self.origin_fails(cause, retry_after, now);
                }
                let until = key.map(|key| self.key_fails(key, cause, retry_after, polled, now));
                until.map_or(Change::None, Change::KeyDown)
            }
            Heard::Failure(cause, retry_after) => {
                let up = if is_silence(cause) {
                    self.fell_silent(key)
                } else {
                    self.answered(token)
                };
                if self.silent.len() >= SILENT_KEYS || (is_silence(cause) && self.origin.is_some())
                {
                    return self.origin_fails(cause, retry_after, now);
                }
                let Some(key) = key else { return up };
                let until = self.key_fails(key, cause, retry_after, polled, now);
                if up == Change::OriginUp {
                    up
                } else {
                    Change::KeyDown(until)
                }
            }
        }
    }

    /// What this says of the origin is heard; of the key it says nothing.
    fn hear_related(&mut self, key: &K, token: ProbeToken, heard: Heard, now: Now) -> Change {
        let change = self.hear(None, token, heard, false, now);
        let Heard::Failure(cause, retry_after) = heard else {
            self.related.forget(key);
            return change;
        };
        if let Change::OriginDown(_) = change {
            return change;
        }
        let until = now.mono + self.wait(self.related.failures(key) + 1, retry_after, false);
        let until = self.related.add(key, cause, until);
        if change == Change::None {
            Change::KeyDown(until)
        } else {
            change
        }
    }

    fn origin_fails(&mut self, cause: Cause, retry_after: Option<Duration>, now: Now) -> Change {
        let failures = self.origin.map_or(0, |failure| failure.failures) + 1;
        let until = now.mono + self.wait(failures, retry_after, true);
        let failure = FailureState::after(self.origin.as_ref(), cause, until);
        self.origin = Some(failure);
        Change::OriginDown(failure.until)
    }

    fn key_fails(
        &mut self,
        key: &K,
        cause: Cause,
        after: Option<Duration>,
        polled: bool,
        now: Now,
    ) -> Duration {
        let until = now.mono + self.wait(self.keys.failures(key) + 1, after, polled);
        self.keys.add(key, cause, until)
    }

    fn wait(&mut self, failures: u32, retry_after: Option<Duration>, probed: bool) -> Duration {
        if let Some(asked) = retry_after {
            return asked.min(self.schedule.max_retry_after);
        }
        let last = self.schedule.steps.len().saturating_sub(1);
        let at = usize::try_from(failures.saturating_sub(1))
            .unwrap_or(usize::MAX)
            .min(last);
        let step = self
            .schedule
            .steps
            .get(at)
            .copied()
            .unwrap_or(LONGEST_PROBE);
        let step = if probed {
            step.min(LONGEST_PROBE)
        } else {
            step
        };
        // Jitter only shortens, up to a tenth: a return is still noticed within 30 s.
        step - step / 1000 * self.roll(100)
    }

    fn answered(&mut self, token: ProbeToken) -> Change {
        self.silent.clear();
        // What was asked before so much failed says nothing new.
        if self.tripped && !token.origin {
            return Change::None;
        }
        self.tripped = false;
        if self.origin.take().is_some() {
            Change::OriginUp
        } else {
            Change::None
        }
    }

    fn fell_silent(&mut self, key: Option<&K>) -> Change {
        if let Some(key) = key.filter(|key| self.known.contains(*key) && !self.silent.contains(key))
        {
            self.silent.push(key.clone());
        }
        Change::None
    }

    fn know(&mut self, key: &K) {
        self.keys.forget(key);
        if self.known.len() >= MAX_KEYS && !self.known.contains(key) {
            self.known.clear();
        }
        self.known.insert(key.clone());
    }

    /// A number below `sides` (xorshift64).
    fn roll(&mut self, sides: u32) -> u32 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice % u64::from(sides)) as u32
    }
}

/// Failures that concern the origin whatever it was asked for.
fn is_of_origin(cause: Cause) -> bool {
    use FetchError::{Certificate, Connect, ConnectTimeout, Resolve, Tls};
    matches!(
        cause,
        Cause::Fetch(Resolve | Connect | ConnectTimeout | Certificate | Tls)
    )
}

/// Failures that are one key's, unless there are many of them.
fn is_failing(cause: Cause) -> bool {
    use FetchError::{FirstByteTimeout, IdleTimeout, TotalTimeout, Truncated};
    match cause {
        Cause::Status(status) => status >= 500,
        Cause::Fetch(error) => matches!(
            error,
            FirstByteTimeout | IdleTimeout | TotalTimeout | Truncated
        ),
        _ => false,
    }
}

/// Failures in which nothing was heard at all.
fn is_silence(cause: Cause) -> bool {
    matches!(cause, Cause::Fetch(FetchError::FirstByteTimeout))
}

#[cfg(test)]
mod tests;

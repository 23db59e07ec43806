//! What is told about the flights: who is under way, and who is left alone because of failure.

use std::time::Duration;

use super::Flights;
use super::flight::Stage;
use crate::cache::key::Key;
use crate::clock::Now;
use crate::message::Target;
use crate::origin::backoff::Pause;
use crate::origin::breaker::Breaker;
use crate::outcome::Cause;

/// Flights looked at for one report: they are walked under their lock.
const LOOKED_AT: usize = 10_000;

/// What the origin is asked now, and what waits for a permit. Oldest first.
#[derive(Debug, Default)]
pub struct UnderWay {
    /// Asked now, each with the monotonic time its flight began.
    pub active: Vec<(Target, Duration)>,
    /// Waiting.
    pub queued: Vec<Target>,
    /// There are more.
    pub truncated: bool,
}

/// Who is left alone.
#[derive(Debug, Default)]
pub struct FailureReport {
    /// The origin itself: why, and until which monotonic time.
    pub origin: Option<(Cause, Duration)>,
    /// Keys.
    pub keys: Vec<(Key, Pause)>,
    /// There are more.
    pub truncated: bool,
}

impl Flights {
    /// What is under way, at most `limit` of each kind.
    pub fn under_way(&self, limit: usize) -> UnderWay {
        let mut flights: Vec<_> = self.flights.iter().take(LOOKED_AT).collect();
        flights.sort_unstable_by_key(|(id, _)| **id);
        let mut report = UnderWay {
            truncated: self.flights.len() > LOOKED_AT,
            ..UnderWay::default()
        };
        for (_, flight) in flights {
            let target = &flight.fetch_request.request.target;
            match flight.stage {
                Stage::Waiting if report.queued.len() < limit => report.queued.push(target.clone()),
                Stage::Fetching | Stage::Growing | Stage::Relaying | Stage::Streaming
                    if report.active.len() < limit =>
                {
                    report.active.push((target.clone(), flight.began));
                }
                Stage::Looking | Stage::Confirming => {}
                Stage::Waiting
                | Stage::Fetching
                | Stage::Growing
                | Stage::Relaying
                | Stage::Streaming => report.truncated = true,
            }
        }
        report
    }

    /// Who is failing, at most `limit` keys.
    pub fn failing(&self, limit: usize) -> FailureReport {
        FailureReport {
            origin: self.backoff.origin_failure(),
            keys: self
                .backoff
                .pauses()
                .take(limit)
                .map(|(key, pause)| (key.clone(), pause))
                .collect(),
            truncated: self.backoff.failing_keys() > limit,
        }
    }

    /// The origin's failure, and how many keys are in one.
    pub fn failure_summary(&self) -> (Option<(Cause, Duration)>, usize) {
        (self.backoff.origin_failure(), self.backoff.failing_keys())
    }

    /// Whether the origin is asked.
    pub fn breaker(&self, now: Now) -> Breaker {
        self.backoff.breaker(now)
    }
}

//! Whose turn it is to ask the origin: permits, the distance between requests, the quota; and who asks once more.

use std::time::Duration;

use super::flight::Stage;
use super::{FetchResult, Flights, Work};
use crate::cache::key::Key;
use crate::clock::Now;
use crate::origin::permits::FlightId;
use crate::outcome::{Cause, FetchError};

/// Statuses of a failure that may have passed when it is asked again.
const PASSING: [u16; 3] = [502, 503, 504];

impl Flights {
    pub(super) fn missing(&mut self, id: FlightId) {
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.stage = Stage::Waiting;
            self.permits.ask(id, flight.class);
        }
    }

    /// The poll of this key has waited a whole interval: it goes first now.
    pub(super) fn hurry(&mut self, key: &Key) {
        if let Some(id) = self.by_key.get(key) {
            self.permits.hurry(*id);
        }
    }

    /// Hands out free permits, each in its turn. An unsafe request whose client went while it waited for one is not sent (I11).
    pub(super) fn grant(&mut self, now: Now, todo: &mut Vec<Work>) {
        loop {
            if let Some(at) = self.limits.turn(now) {
                return self.wait_for_the_turn(at, todo);
            }
            let Some((id, class)) = self.permits.grant() else {
                return;
            };
            let full = self.limits.exhausted(class, now);
            let wanted = self
                .flights
                .get_mut(&id)
                .filter(|flight| flight.wanted(now));
            if let (Some(flight), None) = (wanted, full) {
                flight.stage = Stage::Fetching;
                flight.class = class;
                self.limits
                    .start(flight.repeated == 0 && !flight.fetch_request.plain, now);
                todo.push(Work::Fetch(id, flight.fetch_request.clone()));
                continue;
            }
            self.permits.release(class);
            let cause = if full.is_some() {
                Cause::Quota
            } else {
                Cause::ClientGone
            };
            if let Some(flight) = self.abandon(id, full, todo) {
                todo.push(Work::Overdue(flight.waiters, cause, full));
            }
        }
    }

    /// Has the timer say when the next request may start, if any waits for that.
    fn wait_for_the_turn(&mut self, at: Duration, todo: &mut Vec<Work>) {
        let (_, waiting) = self.permits.gauges();
        if waiting > 0 && self.alarm != Some(at) {
            self.alarm = Some(at);
            todo.push(Work::Wake(at, FlightId::TURN));
        }
    }

    /// Lets a flight ask once more instead of ending like this: the failure may pass, and somebody still wants to know. Never
    /// where there is failure already: a probe asks once.
    pub(super) fn retries(&mut self, id: FlightId, result: &FetchResult, now: Now) -> bool {
        let Some(flight) = self.flights.get_mut(&id) else {
            return false;
        };
        let fetch_request = &flight.fetch_request;
        let is_timely =
            !self.stopped && flight.stage == Stage::Fetching && now.mono < flight.began + self.slow;
        let is_alone =
            !flight.waiters.is_empty() && flight.waiters.iter().all(|p| p.responder.gone());
        let failure = self.backoff.origin_failure().is_some()
            || self.backoff.has_failed(fetch_request.whose());
        let may =
            is_timely && !is_alone && !failure && fetch_request.is_repeatable() && may_pass(result);
        let retries = may
            && self.limits.exhausted(flight.class, now).is_none()
            && self.limits.take_retry(flight.repeated);
        if retries {
            flight.repeated += 1;
            self.ask_again(id);
        }
        retries
    }

    /// What was asked with conditions is asked without: the answer spoke of nothing that is stored.
    pub(super) fn ask_plainly(&mut self, id: FlightId) {
        if self.stopped {
            return drop(self.end(id));
        }
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.fetch_request.plain = true;
            self.ask_again(id);
        }
    }

    fn ask_again(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        self.late -= usize::from(std::mem::take(&mut flight.late));
        flight.stage = Stage::Waiting;
        flight.growing = None;
        self.permits.release(flight.class);
        self.permits.ask_again(id, flight.class);
    }
}

/// Whether a failure may be over when the same is asked at once: it was refused, cut, or said to be no fault of the request.
fn may_pass(result: &FetchResult) -> bool {
    match result {
        FetchResult::Failed {
            cause: Cause::Fetch(error),
            ..
        } => {
            matches!(error, FetchError::Connect | FetchError::Truncated)
        }
        FetchResult::Failed {
            cause: Cause::Status(status),
            retry_after: None,
            keeps: None,
            ..
        } => PASSING.contains(status),
        _ => false,
    }
}

//! Flights and an origin failing: what is heard goes to the backoff, and nobody waits for what will not be asked.

use std::time::Duration;

use super::flight::{Flight, Stage};
use super::{FetchRequest, Flights, Work};
use crate::cache::key::Key;
use crate::clock::Now;
use crate::origin::backoff::{Change, Heard, ProbeToken, Whose};
use crate::origin::breaker::Breaker;
use crate::origin::permits::FlightId;
use crate::outcome::Cause;

impl Flights {
    /// An answer waits for its cross-check, without a permit. Whatever it is worth, the origin is there.
    pub(super) fn pending(&mut self, id: FlightId, now: Now, todo: &mut Vec<Work>) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        flight.stage = Stage::Confirming;
        self.late -= usize::from(std::mem::take(&mut flight.late));
        self.permits.release(flight.class);
        if self
            .backoff
            .report(Whose::Nobody, flight.token, Heard::Answer, false, now)
            == Change::OriginUp
        {
            todo.push(Work::OriginUp);
        }
    }

    /// Takes in how the origin fared, and tells those it concerns: the scheduler, and whoever waits for an origin failing.
    pub(super) fn heard(
        &mut self,
        fetch_request: &FetchRequest,
        token: ProbeToken,
        heard: Heard,
        refused: bool,
        now: Now,
        todo: &mut Vec<Work>,
    ) {
        let whose = fetch_request.whose();
        let known = (
            self.backoff.origin_failure().is_some(),
            self.backoff.has_failed(whose),
        );
        let was_probed = self.backoff.breaker(now) == Breaker::HalfOpen;
        let mut change =
            self.backoff
                .report(whose, token, heard, fetch_request.poll.is_some(), now);
        let counting = fetch_request
            .shared_key()
            .filter(|_| !fetch_request.is_cross_check());
        if let Some(until) = counting.and_then(|key| self.backoff.count(key, heard, now)) {
            change = Change::OriginDown(until);
        }
        let again = match change {
            Change::KeyDown(until) | Change::OriginDown(until) => Some(until),
            // It answers again, though perhaps not well.
            Change::OriginUp => fetch_request
                .shared_key()
                .and_then(|key| self.backoff.paused_until(key)),
            Change::None => None,
        };
        todo.extend(fetch_request.poll.map(|poll| Work::Polled {
            poll,
            refused,
            again,
        }));
        match (change, heard) {
            (Change::OriginUp, heard) => {
                todo.push(Work::OriginUp);
                if let (Heard::Failure(cause, _), Whose::Key(_) | Whose::Related(_)) =
                    (heard, whose)
                {
                    self.send_back_the_waiting(whose, cause, None, todo);
                }
            }
            (Change::KeyDown(until), Heard::Failure(cause, _) | Heard::Judged(Err(cause))) => {
                if !known.1 && fetch_request.poll.is_some() {
                    todo.extend(
                        fetch_request
                            .key
                            .clone()
                            .map(|key| Work::PollFails(key, cause)),
                    );
                }
                // Several wait for one key where it is not collapsed: they are not its probe.
                self.send_back_the_waiting(whose, cause, Some(until), todo);
            }
            (Change::OriginDown(until), Heard::Failure(cause, _)) => {
                if !known.0 || was_probed {
                    todo.push(Work::OriginDown {
                        cause,
                        still: known.0,
                    });
                }
                self.send_back_the_waiting(Whose::Nobody, cause, Some(until), todo);
            }
            _ => {}
        }
    }

    /// Nobody waits for a permit to ask what is failing, or is not asked any more. The failure of a key is that of what is related to
    /// it, too; nobody's is the origin's own, and concerns all.
    pub(super) fn send_back_the_waiting(
        &mut self,
        whose: Whose<&Key>,
        cause: Cause,
        until: Option<Duration>,
        todo: &mut Vec<Work>,
    ) {
        let concerns = |flight: &Flight| match (whose, flight.fetch_request.whose()) {
            (Whose::Nobody, _) => true,
            (Whose::Key(key), Whose::Related(other)) => key == other,
            (whose, other) => whose == other,
        };
        let waits = |flight: &Flight| flight.stage == Stage::Waiting && concerns(flight);
        let mut waiting: Vec<FlightId> = self
            .flights
            .iter()
            .filter(|(_, flight)| waits(flight))
            .map(|(id, _)| *id)
            .collect();
        // Who has waited longest is told first.
        waiting.sort_unstable();
        for id in waiting {
            self.permits.withdraw(id);
            if let Some(flight) = self.abandon(id, until, todo) {
                todo.push(Work::Overdue(flight.waiters, cause, until));
            }
        }
    }
}

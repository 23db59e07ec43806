//! Flights and an origin in trouble: what is heard goes to the backoff, and nobody waits for what will not be asked.

use std::time::Duration;

use super::flight::Stage;
use super::{Errand, Flights, Work};
use crate::clock::Now;
use crate::origin::backoff::{Change, Heard};
use crate::origin::breaker::Breaker;
use crate::origin::permits::FlightId;
use crate::outcome::Cause;

impl Flights {
    /// Takes in how the origin fared, and tells those it concerns: the scheduler, and whoever waits for an origin in trouble.
    pub(super) fn heard(&mut self, errand: &Errand, heard: Heard, refused: bool, now: Now, todo: &mut Vec<Work>) {
        let known = (
            self.backoff.origin_trouble().is_some(),
            errand.shared_key().is_some_and(|key| self.backoff.is_in_trouble(key)),
        );
        let was_probed = self.backoff.breaker(now) == Breaker::HalfOpen;
        let mut change = self.backoff.report(errand.shared_key(), heard, errand.poll.is_some(), now);
        let counting = errand.shared_key().filter(|_| !errand.is_witness());
        if let Some(until) = counting.and_then(|key| self.backoff.count(key, heard, now)) {
            change = Change::OriginDown(until);
        }
        let again = match change {
            Change::KeyDown(until) | Change::OriginDown(until) => Some(until),
            Change::None | Change::OriginUp => None,
        };
        todo.extend(errand.poll.map(|poll| Work::Polled { poll, refused, again }));
        match (change, heard) {
            (Change::OriginUp, _) => todo.push(Work::OriginUp),
            (Change::KeyDown(_), Heard::Failure(cause, _)) if !known.1 && errand.poll.is_some() => {
                todo.extend(errand.key.clone().map(|key| Work::PollFails(key, cause)));
            }
            (Change::OriginDown(until), Heard::Failure(cause, _)) => {
                if !known.0 || was_probed {
                    todo.push(Work::OriginDown { cause, still: known.0 });
                }
                self.send_back_the_waiting(cause, Some(until), todo);
            }
            _ => {}
        }
    }

    /// Nobody waits for a permit to ask an origin that is in trouble, or is not asked any more.
    pub(super) fn send_back_the_waiting(&mut self, cause: Cause, until: Option<Duration>, todo: &mut Vec<Work>) {
        let waiting: Vec<FlightId> =
            self.flights.iter().filter(|(_, flight)| flight.stage == Stage::Waiting).map(|(id, _)| *id).collect();
        for id in waiting {
            self.permits.withdraw(id);
            if let Some(flight) = self.abandon(id, until, todo) {
                todo.push(Work::Overdue(flight.passengers, cause, until));
            }
        }
    }
}

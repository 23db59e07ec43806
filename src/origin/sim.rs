//! The origin `sim://powerwall`: a simulated house behind a simulated pypowerwall, so that Larder can be seen at work
//! without a Powerwall.
//!
//! [`house`] knows the physics, [`pages`] what pypowerwall makes of them, [`Simulation`] puts both behind faults on demand.
//! All of it is pure; only [`SimOrigin`] reads a clock and waits. Not in scope: pages of the gateway's own web application.

pub mod chance;
pub mod house;
pub mod json;
pub mod pages;
pub mod settings;
pub mod simulation;
pub mod statistics;
pub mod vitals;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

pub use self::settings::{Limits, SimSettings};
pub use self::simulation::Simulation;
use self::simulation::{Coming, Then};
use super::{FetchError, Fetched, Opening, Origin, OriginRequest, Rest};
use crate::clock::Clock;

/// One worker's way to the simulation that all workers share.
pub struct SimOrigin {
    clock: Clock,
    /// Protects: the house and the counts. Nobody waits under it.
    simulation: Arc<Mutex<Simulation>>,
}

impl SimOrigin {
    /// A way to `simulation`, timed by `clock`, the one its first moment was read from.
    pub fn new(clock: Clock, simulation: Arc<Mutex<Simulation>>) -> SimOrigin {
        SimOrigin { clock, simulation }
    }
}

impl Origin for SimOrigin {
    fn fetch(&mut self, request: &OriginRequest) -> Result<Fetched, FetchError> {
        let (reaction, limits) = {
            let mut simulation = self.simulation.lock();
            (
                simulation.answer(request, self.clock.now()),
                simulation.limits(),
            )
        };
        std::thread::sleep(reaction.after);
        Ok(match reaction.result? {
            Coming::Whole(response) => Fetched::Whole(response),
            Coming::Slowly {
                response,
                begun,
                announced,
                then,
            } => {
                let rest = Box::new(Trickle {
                    left: response.body.slice(begun.len()..),
                    then,
                    limits,
                    took: reaction.after,
                    unread: false,
                });
                let status = response.status;
                let fields = response.fields;
                Fetched::Opening(Opening {
                    status,
                    fields,
                    length: Some(announced),
                    begun,
                    rest,
                })
            }
        })
    }
}

/// The rest of a body that takes its time.
struct Trickle {
    left: Bytes,
    then: Then,
    limits: Limits,
    /// How long it has taken so far.
    took: Duration,
    unread: bool,
}

impl Trickle {
    /// Waits for what comes after this time, as long as the limits allow.
    fn wait(&mut self, gap: Duration) -> Result<(), FetchError> {
        let left = self.limits.total.saturating_sub(self.took);
        let (most, error) = if self.unread && left < self.limits.idle {
            (left, FetchError::TotalTimeout)
        } else {
            (self.limits.idle, FetchError::IdleTimeout)
        };
        std::thread::sleep(gap.min(most));
        self.took += gap.min(most);
        if gap < most { Ok(()) } else { Err(error) }
    }
}

impl Rest for Trickle {
    fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        match self.then {
            Then::Drips(_) if self.left.is_empty() => Ok(None),
            Then::Drips(gap) => {
                self.wait(gap)?;
                Ok(Some(self.left.split_to(1)))
            }
            Then::Nothing(patience) => {
                self.wait(patience)?;
                Err(FetchError::IdleTimeout)
            }
        }
    }

    fn set_unread(&mut self, unread: bool) {
        self.unread = unread;
    }
}

#[cfg(test)]
mod tests;

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

use bytes::Bytes;
use parking_lot::Mutex;

pub use self::settings::{Limits, SimSettings};
pub use self::simulation::Simulation;
use self::simulation::{Coming, Then};
use crate::clock::Clock;
use crate::origin::{FetchError, Fetched, Opening, Origin, OriginRequest, Rest};

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
        let reaction = self.simulation.lock().answer(request, self.clock.now());
        std::thread::sleep(reaction.after);
        Ok(match reaction.result? {
            Coming::Whole(response) => Fetched::Whole(response),
            Coming::Paused {
                response,
                begun,
                announced,
                then,
            } => {
                let rest = Box::new(Trickle {
                    left: response.body.slice(begun.len()..),
                    then,
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

/// The rest of a body that has paused.
struct Trickle {
    left: Bytes,
    then: Then,
}

impl Rest for Trickle {
    fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        match self.then {
            Then::Drips(_) if self.left.is_empty() => Ok(None),
            Then::Drips(gap) => {
                std::thread::sleep(gap);
                Ok(Some(self.left.split_to(1)))
            }
            Then::Nothing(patience) => {
                std::thread::sleep(patience);
                Err(FetchError::IdleTimeout)
            }
        }
    }
}

#[cfg(test)]
mod tests;

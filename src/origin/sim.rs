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

use parking_lot::Mutex;

pub use self::settings::SimSettings;
pub use self::simulation::Simulation;
use super::{FetchError, Fetched, Origin, OriginRequest};
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
        let reaction = self.simulation.lock().answer(request, self.clock.now());
        std::thread::sleep(reaction.after);
        reaction.result.map(Fetched::Whole)
    }
}

#[cfg(test)]
mod tests;

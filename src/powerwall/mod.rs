//! All that Larder knows of pypowerwall: the preset's routes, which bodies of a Powerwall are answers, and the simulated house.
//!
//! The rest of the crate meets it by two traits, [`BodyJudge`](crate::policy::judge::BodyJudge) and
//! [`Origin`](crate::origin::Origin); only the configuration and the wiring name it.

pub mod plausibility;
pub mod preset;
pub mod sim;

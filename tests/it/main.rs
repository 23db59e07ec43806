//! The integration tests: the real program and the real library on real sockets, in front of an origin that does what it
//! is told. Tests are named by the row of FEATURES they show, or by what they show. Nothing here sleeps to let things
//! settle: waits are gates the test opens, or conditions polled with a deadline.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod admin;
mod caching;
mod coalescing;
mod control;
mod demand;
mod endpoints;
mod fallback;
mod faults_bodies;
mod forwarded;
mod gentle;
mod harness;
mod hostile_framing;
mod hostile_volume;
mod interim;
mod jitter;
mod limits;
mod memory;
mod origin_failures;
mod policy;
mod powerwall;
mod proxying;
mod recordings;
mod relay;
mod replaced_program;
mod reply_fields;
mod shutdown;
mod sim;
mod sim_faults;
#[allow(dead_code, unused_imports, reason = "the hostile suite uses the rest")]
mod support;
mod systemd;
#[cfg(feature = "tls")]
mod tls;
mod zone;

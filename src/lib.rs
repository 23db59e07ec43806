//! Larder: a caching reverse proxy that gives every client the last good answer at once, while the origin behind it sees one
//! polite client.
//!
//! # Words
//! RFC 9110, 9111 and 9211 words mean what they mean there. Ours on top: an *origin* answers requests; a *route* says which
//! requests, its *rule* what the configuration wants for them, its *check* what a good body looks like; a [`cache::key::Key`]
//! names an answer, a [`cache::store::Stored`] is one; a *flight* is one fetch in progress and everybody waiting for it; an
//! [`outcome::Outcome`] is what became of a request.
//!
//! # A request's way
//! [`front`] reads it and answers it; [`route`] and [`policy`] decide; [`cache`] keeps answers and flights; [`origin`] is
//! asked; [`proxy`] leads a request through all of them. Arrows point down only: [`app`] wires `front`, which knows `proxy`,
//! which knows the rest.
//!
//! # Threads
//! The listener, a few event-loop workers that own the clients' connections (they never wait for anything else), one worker
//! per permit of the origin (it may wait for the origin), the timer, the scheduler, the resolver, the log, and one thread for
//! Larder's own endpoints; and those of the [`control`] server.

#![forbid(unsafe_code)]

pub mod app;
pub mod budget;
pub mod cache;
pub mod clock;
pub mod config;
pub mod control;
pub mod endpoints;
pub mod front;
pub mod logging;
pub mod message;
pub mod metrics;
pub mod origin;
pub mod outcome;
pub mod policy;
pub mod powerwall;
pub mod proxy;
pub mod reply;
pub mod route;
pub mod scheduler;
pub mod secret;
pub mod statistics;
pub mod sync;
pub mod threads;
pub mod timer;

//! Larder: a caching reverse proxy.

pub mod budget;
pub mod clock;
pub mod message;
pub mod origin;

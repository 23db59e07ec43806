//! What has been stored: keys, and the memory store.

pub mod crowds;
pub mod expiring_set;
mod fifo;
pub mod flights;
mod ghost;
pub mod key;
mod shelf;
pub mod store;
pub mod variants;

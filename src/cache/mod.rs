//! What has been stored: keys, and the memory store.

pub mod crowds;
mod fifo;
pub mod flights;
mod ghost;
pub mod key;
pub mod marks;
mod shelf;
pub mod store;
pub mod variants;

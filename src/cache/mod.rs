//! What has been stored: keys, and the memory store.

pub mod expiring_set;
pub mod flights;
pub mod key;
mod s3_fifo;
pub mod shared_body;
pub mod store;
pub mod variant_churn;
pub mod variants;

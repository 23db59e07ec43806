//! What has been stored: keys, and the memory store.

pub mod flights;
pub mod key;
pub mod marks;
mod s3_fifo;
pub mod store;
pub mod variant_churn;
pub mod variants;

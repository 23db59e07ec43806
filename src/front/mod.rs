//! The front: clients' connections, owned by a fixed pool of event-loop workers.
//!
//! ```text
//! listener ──accept──▶ worker 1..N, one mio::Poll each
//!                      │ readable: bytes → Connection (a value without IO) → requests
//!                      │   fresh in the store → reply rendered and written in the same turn
//!                      │   else → proxy.answer(request, ReplyHandle)
//!                      │ writable, deadline, message: replies of other threads, timeouts
//! ```
//!
//! In scope: everything between a client's socket and a whole request, and between a decided reply and the socket. Out of
//! scope: what a request means and what answers it ([`crate::proxy`]). A worker never waits for an origin, a lock held
//! across IO or a slow client.

pub mod connection;
pub mod framing;
pub mod head;
pub mod limits;
pub mod listener;
pub mod plain;

mod following;
mod hot;
mod mailbox;
mod platform;
mod render;
mod reply_handle;
mod shared;
mod unsent;
mod wheel;
mod worker;

//! The only folder that names tiny_http: the listener, the guard before its parser, and the replies.
//!
//! ```text
//! client ─▶ guard (recv) ─▶ reading ─▶ Gate: waiting ─▶ tiny_http's queue of tickets ─▶ worker ─▶ proxy
//! client ◀─ guard (send) ◀─ writing ◀───────────────────────────────── Ticket ◀──────── whoever has the reply
//!                └─▶ drain, when the client takes no more
//! ```

pub mod framing;
pub mod gate;
pub mod head;
pub mod listener;
mod outbox;

mod acceptor;
mod conn;
mod drain;
mod guard;
mod places;
mod reading;
mod render;
mod spin;
mod ticket;
mod worker;
mod writing;

//! What the front's threads tell one another.

use std::net::IpAddr;

use mio::net::TcpStream;

use super::connection::Part;
use super::limits::ConnectionSlot;
use super::mailbox::Mailbox;
use crate::metrics::RejectReason;

/// The mailbox of a worker.
pub(super) type WorkerMailbox = Mailbox<Message, mio::Waker>;

/// Which connection of a worker: its place, and which of those that had that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub index: u32,
    pub generation: u64,
}

/// Something for a worker to do.
pub(super) enum Message {
    /// A client was accepted.
    Client(TcpStream, IpAddr, ConnectionSlot),
    /// A client was accepted that cannot be kept: it is told why.
    Rejected(TcpStream, IpAddr, RejectReason),
    /// A part of a response.
    Respond(Address, u64, Part),
    /// Too many bytes wait for slow clients: the one that most wait for is cut.
    CutLargest,
    /// The time or the phase of the server has changed.
    Look,
}

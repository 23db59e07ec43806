//! What other threads have for a worker, and how they wake it.

use mio::Waker;
use mio::net::TcpStream;
use std::net::IpAddr;
use std::sync::Arc;

use super::connection::Part;
use super::following::{Following, News};
use super::limits::ConnectionSlot;
use crate::metrics::RejectReason;
use crate::sync::Mutex;

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
    /// The beginning of a response, and what it goes on with.
    Follow(Address, Part, Box<Following>),
    /// A body that connections follow has grown, or has ended.
    Grew(Arc<News>),
    /// Too many bytes wait for slow clients: the one that most wait for is cut.
    CutLargest,
    /// The time or the phase of the server has changed.
    Look,
}

/// The messages for one worker. Sending never waits: a message was paid for when its sender was made (a place among a
/// connection's responses, a connection's slot).
pub(super) struct Mailbox {
    /// Protects: what was not taken out yet, and whether the worker has to be woken for it. Held for a push or a swap.
    inbox: Mutex<Inbox>,
    waker: Waker,
}

#[derive(Default)]
struct Inbox {
    messages: Vec<Message>,
    /// The worker looks at nothing until it is woken.
    sleeping: bool,
}

impl Mailbox {
    /// An empty mailbox of the worker this wakes.
    pub(super) fn new(waker: Waker) -> Mailbox {
        Mailbox {
            inbox: Mutex::default(),
            waker,
        }
    }

    /// Leaves a message.
    pub(super) fn send(&self, message: Message) {
        self.send_all(&mut vec![message]);
    }

    /// Leaves all these messages, with one wake-up.
    pub(super) fn send_all(&self, messages: &mut Vec<Message>) {
        let wake = {
            let mut inbox = self.inbox.lock();
            inbox.messages.append(messages);
            std::mem::take(&mut inbox.sleeping)
        };
        if wake {
            // It fails only where the system has no memory; then the worker sees the message when it wakes next.
            let _ = self.waker.wake();
        }
    }

    /// True when the worker may sleep: nothing has been left, and whoever leaves something wakes it.
    pub(super) fn may_sleep(&self) -> bool {
        let mut inbox = self.inbox.lock();
        inbox.sleeping = inbox.messages.is_empty();
        inbox.sleeping
    }

    /// Takes all that was left, in exchange for an empty list.
    pub(super) fn take(&self, empty: &mut Vec<Message>) {
        let mut inbox = self.inbox.lock();
        inbox.sleeping = false;
        std::mem::swap(&mut inbox.messages, empty);
    }
}

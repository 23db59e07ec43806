//! One client's connection: what was read from it, and what it is owed.
//!
//! Its own thread (tiny_http's) reads, in [`super::reading`]; whoever has a reply writes, in [`super::writing`]. The two halves
//! meet in [`State`].

use std::collections::VecDeque;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::BytesMut;
use parking_lot::{Condvar, Mutex};

use super::acceptor::{Door, Visit};
use super::gate::Gate;
use super::guard::{self, Shut, Socket};
use super::outbox::Part;
use super::places::Place;
use super::ticket::Asked;
use crate::message::Request;

/// tiny_http's writer for one request. While it lives, the client's socket is open.
pub(super) type Writer = Box<dyn Write + Send>;

/// A whole request on its way to a front worker.
pub(super) struct Incoming {
    pub request: Request,
    pub asked: Asked,
    /// Which of the connection's replies answers it.
    pub turn: u64,
}

/// A client's connection.
pub(crate) struct Conn {
    pub(super) gate: Arc<Gate>,
    /// The descriptor as accepted; tiny_http writes to it.
    pub(super) socket: Socket,
    pub(super) peer: IpAddr,
    /// Bytes received and not yet understood. Taken out while the connection's thread works with them.
    pub(super) unread: Mutex<BytesMut>,
    /// Protects: who is owed what, and who may write. Never held across a system call.
    pub(super) state: Mutex<State>,
    /// Signals: a reply is out, or the connection is over.
    pub(super) changed: Condvar,
    _place: Place,
    _visit: Visit,
}

#[derive(Default)]
pub(super) struct State {
    /// The replies owed, oldest first. Only the first may be written.
    pub owed: VecDeque<Owed>,
    /// The turn the next request gets.
    pub next_turn: u64,
    /// Somebody is writing; others leave their bytes in `owed` for them.
    pub writing: bool,
    /// The client ended its side: it gets its replies but sends nothing more.
    pub ended: bool,
    /// Nothing can be written any more.
    pub dead: bool,
    /// The last request was read; after its reply the connection ends.
    pub last_read: bool,
    /// The last request handed over may change something: the next waits for its reply.
    pub alone: bool,
}

/// A reply the client has coming.
#[derive(Default)]
pub(super) struct Owed {
    /// What is ready to be sent and is not yet with the kernel.
    pub ready: VecDeque<Part>,
    /// All of the reply is in `ready` or sent.
    pub whole: bool,
    /// The connection ends after it.
    pub closes: bool,
    /// `None` until a front worker has the request, and while somebody writes.
    pub writer: Option<Writer>,
    /// The final reply has begun: an interim response comes too late.
    pub begun: bool,
    /// tiny_http's writer holds back bytes the kernel did not take.
    pub unflushed: bool,
}

impl Conn {
    pub(super) fn new(door: &Door, socket: Socket, peer: IpAddr, place: Place) -> Conn {
        Conn {
            gate: Arc::clone(&door.gate),
            socket,
            peer,
            unread: Mutex::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            _place: place,
            _visit: door.visit(),
        }
    }

    /// Ends the connection at once, both ways. What it is still owed is dropped.
    pub(crate) fn cut(&self) {
        let dropped = self.die();
        guard::shut(self, Shut::Both);
        drop(dropped);
    }

    /// True once the client cannot be answered, or has ended its side.
    pub(super) fn gone(&self) -> bool {
        let state = self.state.lock();
        state.dead || state.ended
    }

    /// Ends the connection if it waits for a request and is owed nothing.
    pub(super) fn end_if_idle(&self) {
        let idle = self.state.lock().owed.is_empty();
        if idle {
            guard::shut(self, Shut::Reading);
        }
        self.changed.notify_all();
    }

    /// Marks the connection dead and returns what was still to be sent, to be dropped outside the lock.
    pub(super) fn die(&self) -> Vec<Owed> {
        let mut state = self.state.lock();
        state.dead = true;
        let mut dropped = Vec::new();
        if !state.writing {
            dropped.extend(state.owed.drain(..));
        }
        drop(state);
        self.changed.notify_all();
        dropped
    }
}

impl State {
    /// Position of a turn among the owed, unless it was dropped.
    pub(super) fn position(&self, turn: u64) -> Option<usize> {
        let oldest = self.next_turn.checked_sub(self.owed.len() as u64)?;
        usize::try_from(turn.checked_sub(oldest)?)
            .ok()
            .filter(|at| *at < self.owed.len())
    }
}

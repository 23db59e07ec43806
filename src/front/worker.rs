//! A front worker: takes tickets off tiny_http's queue and answers them. It never waits for anything but the next ticket.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::acceptor::Door;
use super::conn::Incoming;
use super::ticket::Ticket;

/// How often the worker of a server that accepts nobody any more looks whether its last client has gone.
const LOOK: Duration = Duration::from_secs(1);

/// What a front worker works with.
pub(super) struct Worker {
    pub server: Arc<tiny_http::Server>,
    pub door: Arc<Door>,
}

impl Worker {
    /// Works until the gate is shut and the server unblocked, or until nobody accepts and the last client has gone.
    pub(super) fn run(&self) {
        while let Some(asked) = self.next() {
            let caught = catch_unwind(AssertUnwindSafe(|| self.serve(asked)));
            if caught.is_err() {
                // The ticket, dropped while unwinding, has answered 500 (I10).
                self.door.gate.proxy.counters().panics.bump();
                log::error!("a fault while answering a request; the client was told 500");
            }
        }
    }

    fn next(&self) -> Option<tiny_http::Request> {
        loop {
            let asked = if self.door.is_closed() {
                self.server.recv_timeout(LOOK).ok().flatten()
            } else {
                self.server.recv().ok()
            };
            let over = || self.door.gate.shut() || self.door.is_closed() && self.door.is_deserted();
            if asked.is_some() || over() {
                return asked;
            }
        }
    }

    fn serve(&self, asked: tiny_http::Request) {
        let ticket = asked.url().parse().ok();
        // Taken first: tiny_http answers a request whose writer nobody took.
        let writer = asked.into_writer();
        let gate = &self.door.gate;
        let Some((conn, incoming)) = ticket.and_then(|ticket| gate.redeem(ticket)) else {
            return;
        };
        let Incoming {
            request,
            asked,
            turn,
        } = incoming;
        let ticket = Ticket::new(conn, turn, writer, asked);
        gate.proxy.answer(request, ticket);
    }
}

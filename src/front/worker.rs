//! A front worker: takes tickets off tiny_http's queue and answers them. It never waits for anything but the next ticket.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::conn::Incoming;
use super::gate::Gate;
use super::ticket::Ticket;

/// What a front worker works with.
pub(super) struct Worker {
    pub server: Arc<tiny_http::Server>,
    pub gate: Arc<Gate>,
}

impl Worker {
    /// Works until the listener ends and its queue is empty.
    pub(super) fn run(&self) {
        while let Ok(asked) = self.server.recv() {
            let caught = catch_unwind(AssertUnwindSafe(|| self.serve(asked)));
            if caught.is_err() {
                // The ticket, dropped while unwinding, has answered 500 (I10).
                self.gate.proxy.counters().panics.bump();
                log::error!("a fault while answering a request; the client was told 500");
            }
        }
    }

    fn serve(&self, asked: tiny_http::Request) {
        let ticket = asked.url().parse().ok();
        // Taken first: tiny_http answers a request whose writer nobody took.
        let writer = asked.into_writer();
        let Some((conn, incoming)) = ticket.and_then(|ticket| self.gate.redeem(ticket)) else { return };
        let Incoming { request, asked, turn } = incoming;
        let ticket = Ticket::new(conn, turn, writer, asked);
        self.gate.proxy.answer(request, ticket);
    }
}

//! A thread of ours that waits for an answer, on a condition variable, with a deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::origin::Opening;
use crate::outcome::{Cause, Outcome};
use crate::reply::{Nowhere, Reply, Responder, Sink};
use crate::sync::{Condvar, Mutex};

/// Waits for one reply. The other end is a [`Responder`] and boards flights like a client's.
pub struct Waiter(Arc<Slot>);

struct Slot {
    reply: Mutex<Option<Reply>>,
    told: Condvar,
}

struct Teller(Arc<Slot>);

impl Waiter {
    /// A waiter, and the responder that ends its waiting.
    pub fn new() -> (Waiter, impl Responder + 'static) {
        let slot = Arc::new(Slot {
            reply: Mutex::new(None),
            told: Condvar::new(),
        });
        (Waiter(Arc::clone(&slot)), Teller(slot))
    }

    /// The reply, or `None` when it did not come within the time.
    pub fn wait(self, at_most: Duration) -> Option<Reply> {
        let mut reply = self.0.reply.lock();
        if reply.is_none() {
            self.0.told.wait_for(&mut reply, at_most);
        }
        reply.take()
    }
}

impl Responder for Teller {
    fn reply(&mut self, reply: Reply) {
        // The state first, then the signal: a waiter that looks before the state is set must still be woken.
        *self.0.reply.lock() = Some(reply);
        self.0.told.notify_all();
    }

    fn open(&mut self, _: &Opening, _: Outcome) -> Box<dyn Sink> {
        // A body too large to hold is of no use to a thread that waits for a stored answer.
        self.reply(Reply::failed(Cause::Slow, None));
        Box::new(Nowhere)
    }

    fn gone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if self.0.reply.lock().is_none() {
            self.reply(Reply::failed(Cause::Panicked, None));
        }
    }
}

//! What other threads have for a worker, and how they wake it.

use crate::sync::Mutex;

/// Wakes the thread that sleeps.
pub trait Wake {
    /// Wakes it, or has it not fall asleep the next time. Never waits.
    fn wake(&self);
}

impl Wake for mio::Waker {
    fn wake(&self) {
        // It fails only where the system has no memory; then the worker sees the message when it wakes next.
        let _ = mio::Waker::wake(self);
    }
}

/// The messages for one worker. Sending never waits: a message was paid for when its sender was made (a place among a
/// connection's responses, a connection's slot).
pub struct Mailbox<M, W> {
    /// Protects: what was not taken out yet, and whether the worker has to be woken for it. Held for a push or a swap.
    inbox: Mutex<Inbox<M>>,
    waker: W,
}

struct Inbox<M> {
    messages: Vec<M>,
    /// The worker looks at nothing until it is woken.
    sleeping: bool,
}

impl<M, W: Wake> Mailbox<M, W> {
    /// An empty mailbox of the worker this wakes.
    pub fn new(waker: W) -> Mailbox<M, W> {
        Mailbox {
            inbox: Mutex::new(Inbox {
                messages: Vec::new(),
                sleeping: false,
            }),
            waker,
        }
    }

    /// Leaves a message.
    pub fn send(&self, message: M) {
        let wake = {
            let mut inbox = self.inbox.lock();
            inbox.messages.push(message);
            std::mem::take(&mut inbox.sleeping)
        };
        if wake {
            self.waker.wake();
        }
    }

    /// Leaves all these messages, with one wake-up.
    pub fn send_all(&self, messages: &mut Vec<M>) {
        let wake = {
            let mut inbox = self.inbox.lock();
            inbox.messages.append(messages);
            std::mem::take(&mut inbox.sleeping)
        };
        if wake {
            self.waker.wake();
        }
    }

    /// True when the worker may sleep: nothing has been left, and whoever leaves something wakes it.
    pub fn may_sleep(&self) -> bool {
        let mut inbox = self.inbox.lock();
        inbox.sleeping = inbox.messages.is_empty();
        inbox.sleeping
    }

    /// Takes all that was left, in exchange for an empty list.
    pub fn take(&self, empty: &mut Vec<M>) {
        let mut inbox = self.inbox.lock();
        inbox.sleeping = false;
        std::mem::swap(&mut inbox.messages, empty);
    }

    /// What wakes the worker.
    pub fn waker(&self) -> &W {
        &self.waker
    }
}

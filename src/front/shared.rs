//! What the listener, the workers and the handles of one front share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use super::limits::{BodyBudget, ConnectionLimit, Limits};
use super::message::{Message, WorkerMailbox};
use super::unsent::Unsent;
use crate::clock::Clock;
use crate::proxy::Proxy;

/// Bytes that may wait for slow clients, beside the bytes of the store, which it holds anyway.
const UNSENT_BESIDE_STORE: usize = 8 * 1024 * 1024;

/// How far the server is with being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It serves.
    Serving,
    /// It accepts nobody; every response is its connection's last.
    Stopping,
    /// It reads no further request.
    Draining,
    /// It ends every connection.
    Ended,
}

/// The shared state of one front.
pub(super) struct Shared {
    pub limits: Limits,
    pub clock: Clock,
    pub proxy: Arc<Proxy>,
    pub connections: Arc<ConnectionLimit>,
    pub bodies: BodyBudget,
    pub unsent: Arc<Unsent>,
    unsent_most: usize,
    phase: AtomicU8,
    /// The workers' mailboxes, and how many bytes wait for the clients of each.
    workers: Vec<(Arc<WorkerMailbox>, AtomicUsize)>,
}

impl Shared {
    pub(super) fn new(
        limits: Limits,
        proxy: Arc<Proxy>,
        workers: Vec<Arc<WorkerMailbox>>,
    ) -> Shared {
        let store = proxy.config().cache.max_bytes;
        Shared {
            connections: ConnectionLimit::new(
                limits.max_connections,
                limits.max_connections_per_client,
            ),
            bodies: BodyBudget::new(limits.max_body_bytes),
            unsent: Arc::default(),
            unsent_most: store.saturating_add(UNSENT_BESIDE_STORE),
            phase: AtomicU8::new(Phase::Serving as u8),
            workers: workers
                .into_iter()
                .map(|mailbox| (mailbox, AtomicUsize::new(0)))
                .collect(),
            clock: proxy.clock().clone(),
            limits,
            proxy,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Stopping,
            2 => Phase::Draining,
            _ => Phase::Ended,
        }
    }

    /// Goes on to this phase, never back, and tells the workers.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.look();
    }

    /// Has every worker look at time and phase again.
    pub(super) fn look(&self) {
        for (mailbox, _) in &self.workers {
            mailbox.send(Message::Look);
        }
    }

    /// The mailbox of a worker; those beyond the last begin anew.
    pub(super) fn mailbox(&self, worker: usize) -> Option<&Arc<WorkerMailbox>> {
        let at = worker.checked_rem(self.workers.len())?;
        self.workers.get(at).map(|(mailbox, _)| mailbox)
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// True while more bytes wait for slow clients than may.
    pub(super) fn has_too_much_unsent(&self) -> bool {
        self.unsent.bytes() > self.unsent_most
    }

    /// Notes how many bytes wait for a worker's clients. When too many wait in all, the worker with the most is told.
    pub(super) fn note_unsent(&self, worker: usize, before: usize, after: usize) {
        let Some((_, own)) = self.workers.get(worker) else {
            return;
        };
        own.fetch_add(after, Ordering::AcqRel);
        own.fetch_sub(before, Ordering::AcqRel);
        if after <= before || !self.has_too_much_unsent() {
            return;
        }
        let most = self
            .workers
            .iter()
            .max_by_key(|(_, unsent)| unsent.load(Ordering::Acquire));
        if let Some((mailbox, _)) = most {
            mailbox.send(Message::CutLargest);
        }
    }
}

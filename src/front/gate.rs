//! What all clients of one listener share: the limits, the places, and the requests on their way to a front worker.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::conn::{Conn, Incoming};
use super::drain::Drain;
use super::guard::Socket;
use super::head;
use super::places::{Place, Places};
use super::spin::Spin;
use crate::budget::{Budget, Lease};
use crate::clock::Clock;
use crate::metrics::RejectReason;
use crate::proxy::{self, Proxy};

/// Requests that may be between guard and front worker at once, of all clients together.
const MAX_WAITING: usize = 1024;
/// Replies one connection may be owed before its next head is read.
pub(super) const MAX_OWED: usize = 8;
/// Bodies of `max_body_bytes` that may be in memory at once: of all clients, and of one address.
const BODIES: (usize, usize) = (8, 2);

/// The limits a client meets.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once, from the configuration and the machine's own limits, whichever is less.
    pub max_connections: usize,
    /// Connections of one client, told by its address (IPv6: by its /64), but of a proxy. `None`: half of all.
    pub max_connections_per_client: Option<usize>,
    /// Bytes and fields of a request head.
    pub head: head::Limits,
    /// Bytes of a request body, transfer coding removed.
    pub max_body_bytes: usize,
    /// From the first byte of a head to its last.
    pub header_timeout: Duration,
    /// From the first byte of a body to its last.
    pub body_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub keep_alive_timeout: Duration,
    /// How long a client may take nothing of a reply that waits for it.
    pub write_timeout: Duration,
}

/// The shared state of one listener's clients.
pub struct Gate {
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) drain: Drain,
    pub(super) proxy: Arc<Proxy>,
    places: Arc<Places>,
    spin: Spin,
    bodies: Budget,
    /// Bodies per address. Protects: the budgets in use; one that is empty goes when the next is made.
    bodies_by_peer: Mutex<HashMap<IpAddr, Budget>>,
    waiting: Mutex<Waiting>,
    room: Condvar,
    stopping: AtomicBool,
    shut: AtomicBool,
}

/// The requests between guard and front worker. A ticket is an index into it.
#[derive(Default)]
struct Waiting {
    slots: Vec<Option<(Arc<Conn>, Incoming)>>,
    free: Vec<usize>,
}

impl Gate {
    /// A gate for one listener.
    pub(super) fn new(limits: Limits, proxy: Arc<Proxy>, drain: Drain) -> Gate {
        let (all, _) = BODIES;
        Gate {
            bodies: Budget::new(limits.max_body_bytes.saturating_mul(all)),
            bodies_by_peer: Mutex::default(),
            places: Places::new(limits.max_connections, limits.max_connections_per_client),
            spin: Spin::new(),
            limits,
            clock: proxy.clock().clone(),
            drain,
            proxy,
            waiting: Mutex::default(),
            room: Condvar::new(),
            stopping: AtomicBool::new(false),
            shut: AtomicBool::new(false),
        }
    }

    /// True once the server is being stopped: nobody is accepted any more, and replies say close.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// True once no head is handed over any more.
    pub(super) fn shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// From here on replies say close.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// From here on no head is handed over.
    pub(super) fn shut_down(&self) {
        self.shut.store(true, Ordering::Release);
        self.room.notify_all();
    }

    /// A place for a client from `peer`, or why there is none.
    pub(super) fn admit(&self, peer: IpAddr) -> Result<Place, RejectReason> {
        // A proxy stands for many clients.
        let client = (!self.proxy.config().proxy.trusts(peer)).then(|| proxy::network_of(peer));
        self.places.take(client, peer.is_loopback())
    }

    /// Waits a moment for a client that asks without pause: its last two requests came so far apart.
    pub(super) fn spin(&self, socket: Socket, apart: Option<Duration>) {
        self.spin.until(
            || socket.wait_readable(Duration::ZERO),
            apart,
            self.places.taken(),
            &self.clock,
        );
    }

    /// Notes that accept failed, and waits a moment: what is short (descriptors, memory) may come back.
    pub(super) fn accept_failed(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::Interrupted {
            return;
        }
        if (self.proxy.counters().accept_failures.bump() + 1).is_power_of_two() {
            log::warn!("accepting a connection failed: {error}; trying again");
        }
        std::thread::sleep(Duration::from_millis(20));
    }

    /// A lease on the memory for bodies, of all clients and of this one's address; it takes nothing yet.
    pub(super) fn body_lease(&self, peer: IpAddr) -> Lease {
        let mut by_peer = self.bodies_by_peer.lock();
        by_peer.retain(|known, budget| *known == peer || budget.taken() > 0);
        let (_, per_peer) = BODIES;
        let own = by_peer
            .entry(peer)
            .or_insert_with(|| Budget::new(self.limits.max_body_bytes.saturating_mul(per_peer)))
            .clone();
        Lease::on(vec![self.bodies.clone(), own])
    }

    /// Keeps a request until a front worker takes it; waits while too many are there. `None` when stopping.
    pub(super) fn hand_over(&self, conn: &Arc<Conn>, incoming: Incoming) -> Option<usize> {
        let mut waiting = self.waiting.lock();
        while waiting.full() && !self.shut() {
            self.room.wait(&mut waiting);
        }
        if self.shut() {
            return None;
        }
        Some(waiting.put((Arc::clone(conn), incoming)))
    }

    /// The request a ticket stands for.
    pub(super) fn redeem(&self, ticket: usize) -> Option<(Arc<Conn>, Incoming)> {
        let mut waiting = self.waiting.lock();
        let was_full = waiting.full();
        let found = waiting.take(ticket);
        drop(waiting);
        if was_full {
            self.room.notify_all();
        }
        found
    }
}

impl Waiting {
    fn full(&self) -> bool {
        self.slots.len() - self.free.len() >= MAX_WAITING
    }

    fn put(&mut self, request: (Arc<Conn>, Incoming)) -> usize {
        match self.free.pop() {
            Some(at) => {
                if let Some(slot) = self.slots.get_mut(at) {
                    *slot = Some(request);
                }
                at
            }
            None => {
                self.slots.push(Some(request));
                self.slots.len() - 1
            }
        }
    }

    fn take(&mut self, at: usize) -> Option<(Arc<Conn>, Incoming)> {
        let found = self.slots.get_mut(at)?.take()?;
        self.free.push(at);
        Some(found)
    }
}

//! tiny_http's accept thread, and its successor when it dies (docs/decisions/0022).
//!
//! A server of tiny_http's accepts nobody any more once its accept thread has panicked, which it does when the system
//! refuses it a thread or a descriptor. The guard hears of it: the descriptor of the listener is closed as the thread
//! unwinds. Then a new server takes over, on a duplicate of that descriptor. The socket is the same, so clients that wait to be accepted notice nothing;
//! the clients of the old server keep their threads and its queue, and the front workers of that queue until the last has gone.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::gate::Gate;
use super::guard;
use super::worker::Worker;
use crate::threads::spawn;

/// Between two attempts to have somebody accept again.
const PAUSE: Duration = Duration::from_millis(100);
/// Threads that a server of tiny_http's starts at once: the one that accepts, and four for clients.
const SERVER_THREADS: usize = 5;

/// The descriptor one server of tiny_http's accepts on, and its clients.
pub(crate) struct Door {
    pub(super) gate: Arc<Gate>,
    /// Each of its clients holds one more.
    clients: Arc<()>,
    /// Protects: whether nobody accepts here any more.
    closed: Mutex<bool>,
    changed: Condvar,
}

/// Held by a client of a [`Door`] for as long as it is connected.
pub(super) struct Visit(#[allow(dead_code, reason = "counted, not read")] Arc<()>);

/// Sees to it that somebody accepts.
pub(super) struct Acceptor {
    listener: TcpListener,
    gate: Arc<Gate>,
    workers: usize,
    /// Protects: the servers that have clients or may get some; the last one accepts.
    servers: Mutex<Vec<Serving>>,
}

/// A server of tiny_http's and its front workers.
struct Serving {
    /// The workers own it: dropped, it connects to its listener, which may take a while when many others do.
    server: Weak<tiny_http::Server>,
    door: Arc<Door>,
    workers: Vec<JoinHandle<()>>,
}

impl Door {
    fn new(gate: Arc<Gate>) -> Arc<Door> {
        Arc::new(Door { gate, clients: Arc::default(), closed: Mutex::new(false), changed: Condvar::new() })
    }

    /// Lets a client in.
    pub(super) fn visit(&self) -> Visit {
        Visit(Arc::clone(&self.clients))
    }

    /// Nobody accepts here any more.
    pub(super) fn close(&self) {
        *self.closed.lock() = true;
        self.changed.notify_all();
    }

    /// True once nobody accepts here any more.
    pub(super) fn is_closed(&self) -> bool {
        *self.closed.lock()
    }

    /// True while none of its clients is connected.
    pub(super) fn is_deserted(&self) -> bool {
        Arc::strong_count(&self.clients) == 1
    }

    fn wait_until_closed(&self) {
        let mut closed = self.closed.lock();
        while !*closed {
            self.changed.wait(&mut closed);
        }
    }
}

impl Acceptor {
    /// Begins to accept on `listener`, with so many front workers.
    pub(super) fn start(listener: TcpListener, gate: Arc<Gate>, workers: usize) -> io::Result<Acceptor> {
        let acceptor = Acceptor { listener, gate, workers, servers: Mutex::default() };
        acceptor.open()?;
        Ok(acceptor)
    }

    /// The listener's descriptor; open as long as this is.
    pub(super) fn listener(&self) -> RawFd {
        self.listener.as_raw_fd()
    }

    /// The thread's work: waits for the end of the server that accepts, and has another take over. Returns when stopping.
    pub(super) fn run(&self) {
        loop {
            let door = self.servers.lock().last().map(|serving| Arc::clone(&serving.door));
            if let Some(door) = door {
                door.wait_until_closed();
            }
            if self.gate.stopping() {
                return;
            }
            self.succeed();
        }
    }

    fn succeed(&self) {
        if self.gate.proxy.counters().dead_acceptors.bump().wrapping_add(1).is_power_of_two() {
            log::error!("tiny_http's accept thread has died; another takes over");
        }
        self.retire();
        std::thread::sleep(PAUSE);
        while !self.gate.stopping() && self.open().is_err() {
            std::thread::sleep(PAUSE);
        }
    }

    /// Starts a server on a duplicate of the listener.
    fn open(&self) -> io::Result<()> {
        if !guard::room_for_threads(SERVER_THREADS + self.workers) {
            return Err(io::Error::other("the system refuses threads"));
        }
        let (listener, door) = (self.listener.try_clone()?, Door::new(Arc::clone(&self.gate)));
        guard::watch(listener.as_raw_fd(), Arc::clone(&door));
        // It panics where it is refused a thread.
        let begun = catch_unwind(AssertUnwindSafe(|| tiny_http::Server::from_listener(listener, None)));
        let server = begun.map_err(|_| io::Error::other("tiny_http does not start"))?.map_err(io::Error::other)?;
        let server = Arc::new(server);
        let mut serving = Serving { server: Arc::downgrade(&server), door, workers: Vec::new() };
        for _ in 0..self.workers {
            let worker = Worker { server: Arc::clone(&server), door: Arc::clone(&serving.door) };
            serving.workers.push(spawn("front", move || worker.run())?);
        }
        self.servers.lock().push(serving);
        Ok(())
    }

    /// Tells the workers of servers that accept nobody to end with their last client, and forgets those that have ended.
    fn retire(&self) {
        let mut servers = self.servers.lock();
        servers.retain(|serving| !serving.workers.iter().all(JoinHandle::is_finished));
        servers.iter().filter(|serving| serving.door.is_closed()).for_each(Serving::wake);
    }

    /// Ends every front worker. Nobody accepts any more, and no client is connected.
    pub(super) fn stop(&self) {
        let servers = std::mem::take(&mut *self.servers.lock());
        servers.iter().for_each(Serving::wake);
        for worker in servers.into_iter().flat_map(|serving| serving.workers) {
            let _ = worker.join();
        }
    }
}

impl Serving {
    fn wake(&self) {
        let Some(server) = self.server.upgrade() else { return };
        self.workers.iter().for_each(|_| server.unblock());
    }
}

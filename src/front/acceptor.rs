//! tiny_http's accept thread, and its successor when it dies (docs/decisions/0022).
//!
//! A server of tiny_http's accepts nobody any more once its accept thread has panicked, which it does when the system
//! refuses it a thread or a descriptor. The guard hears of it: the descriptor of the listener is closed as the thread
//! unwinds. Then a new server takes over, on a duplicate of that descriptor. The socket is the same, so clients that wait to be accepted notice nothing;
//! the clients of the old server keep their threads and its queue, and the front workers of that queue until the last has gone.

use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::gate::Gate;
use super::guard;
use super::render;
use super::worker::Worker;
use crate::metrics::RejectReason;
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
        Arc::new(Door {
            gate,
            clients: Arc::default(),
            closed: Mutex::new(false),
            changed: Condvar::new(),
        })
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
    pub(super) fn start(
        listener: TcpListener,
        gate: Arc<Gate>,
        workers: usize,
    ) -> io::Result<Acceptor> {
        let acceptor = Acceptor {
            listener,
            gate,
            workers,
            servers: Mutex::default(),
        };
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
            let door = self
                .servers
                .lock()
                .last()
                .map(|serving| Arc::clone(&serving.door));
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
        if self
            .gate
            .proxy
            .counters()
            .dead_acceptors
            .bump()
            .wrapping_add(1)
            .is_power_of_two()
        {
            log::error!("tiny_http's accept thread has died; another takes over");
        }
        self.retire();
        self.turn_away_for(PAUSE);
        while !self.gate.stopping() && self.open().is_err() {
            self.turn_away_for(PAUSE);
        }
    }

    /// Meanwhile nobody waits for an answer in vain.
    fn turn_away_for(&self, time: Duration) {
        let until = self.gate.clock.now().mono + time;
        while guard::wait_for_client(
            self.listener(),
            until.saturating_sub(self.gate.clock.now().mono),
        ) {
            match self.listener.accept() {
                Ok((mut client, _)) => {
                    self.gate
                        .proxy
                        .counters()
                        .rejections
                        .note(RejectReason::Threads);
                    let _ = client.write_all(&render::turned_away(RejectReason::Threads));
                }
                Err(error) => self.gate.accept_failed(&error),
            }
        }
    }

    /// Starts a server on a duplicate of the listener.
    fn open(&self) -> io::Result<()> {
        if !guard::room_for_threads(SERVER_THREADS + self.workers) {
            return Err(io::Error::other("the system refuses threads"));
        }
        let (listener, door) = (
            self.listener.try_clone()?,
            Door::new(Arc::clone(&self.gate)),
        );
        guard::watch(listener.as_raw_fd(), Arc::clone(&door));
        // It panics where it is refused a thread.
        let begun = catch_unwind(AssertUnwindSafe(|| {
            tiny_http::Server::from_listener(listener, None)
        }));
        let server = begun
            .map_err(|_| io::Error::other("tiny_http does not start"))?
            .map_err(io::Error::other)?;
        let server = Arc::new(server);
        let mut serving = Serving {
            server: Arc::downgrade(&server),
            door,
            workers: Vec::new(),
        };
        for _ in 0..self.workers {
            let worker = Worker {
                server: Arc::clone(&server),
                door: Arc::clone(&serving.door),
            };
            serving.workers.push(spawn("front", move || worker.run())?);
        }
        self.servers.lock().push(serving);
        Ok(())
    }

    /// Tells the workers of servers that accept nobody to end with their last client, and forgets those that have ended.
    fn retire(&self) {
        let mut servers = self.servers.lock();
        servers.retain(|serving| !serving.workers.iter().all(JoinHandle::is_finished));
        servers
            .iter()
            .filter(|serving| serving.door.is_closed())
            .for_each(Serving::wake);
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
        let Some(server) = self.server.upgrade() else {
            return;
        };
        self.workers.iter().for_each(|_| server.unblock());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{SocketAddr, TcpStream};
    use std::time::Instant;

    use super::*;
    use crate::cache::flights::FetchRequest;
    use crate::clock::Clock;
    use crate::config::{Config, Preset};
    use crate::front::drain::Drain;
    use crate::front::gate::Limits;
    use crate::front::head;
    use crate::message::Request;
    use crate::origin::permits::FlightId;
    use crate::proxy::{Executor, PollEnd, Proxy};
    use crate::reply::Responder;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Nothing is asked of the origin here.
    struct Nobody;

    impl Executor for Nobody {
        fn fetch(&self, _: FlightId, _: FetchRequest) {}
        fn wake(&self, _: Duration, _: FlightId) {}
        fn administer(&self, _: Request, _: Box<dyn Responder>) {}
        fn polled(&self, _: usize, _: PollEnd) {}
        fn origin_up(&self) {}
    }

    fn gate() -> Arc<Gate> {
        let proxy = Arc::new(Proxy::new(
            Config::of(Preset::Api),
            Clock::new(),
            1,
            100,
            Box::new(Nobody),
        ));
        let (drain, _ear) = Drain::new(
            proxy.clock().clone(),
            Arc::clone(proxy.counters()),
            PATIENCE,
        )
        .expect("a drain");
        let limits = Limits {
            max_connections: 64,
            max_connections_per_client: None,
            head: head::Limits::default(),
            max_body_bytes: 1024,
            header_timeout: PATIENCE,
            body_timeout: PATIENCE,
            keep_alive_timeout: PATIENCE,
            write_timeout: PATIENCE,
        };
        Arc::new(Gate::new(limits, proxy, drain))
    }

    fn eventually(mut holds: impl FnMut() -> bool) -> bool {
        let until = Instant::now() + PATIENCE;
        while !holds() && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        holds()
    }

    /// Asks a front worker; whether it answers.
    fn asks(client: &mut TcpStream) -> bool {
        let mut reply = [0; 12];
        let asked = client
            .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            .and_then(|()| client.read_exact(&mut reply));
        // The rest of the reply is read, so that the next one is not taken for it.
        let _ = client.read(&mut [0; 8192]);
        asked.is_ok() && &reply == b"HTTP/1.1 200"
    }

    fn connect(addr: SocketAddr) -> TcpStream {
        let client = TcpStream::connect(addr).expect("connects");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        client
    }

    #[test]
    fn a_successor_takes_over_and_the_workers_of_the_server_before_stay_for_its_clients() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (addr, gate) = (listener.local_addr().expect("an address"), gate());
        let acceptor = Arc::new(Acceptor::start(listener, Arc::clone(&gate), 1).expect("starts"));
        let keeper = std::thread::spawn({
            let acceptor = Arc::clone(&acceptor);
            move || acceptor.run()
        });
        let mut first = connect(addr);
        assert!(asks(&mut first));

        // As if its thread had died. The server itself goes on here, so either takes new clients.
        let door = Arc::clone(&acceptor.servers.lock()[0].door);
        door.close();
        assert!(
            eventually(|| acceptor.servers.lock().len() == 2),
            "nobody took over"
        );
        assert!(
            asks(&mut first),
            "a client of the server before is answered"
        );
        let mut clients: Vec<TcpStream> = (0..8).map(|_| connect(addr)).collect();
        assert!(clients.iter_mut().all(asks));
        assert_eq!(gate.proxy.counters().dead_acceptors.count(), 1);
        assert!(!acceptor.servers.lock()[0].workers[0].is_finished());
        drop((first, clients));
        assert!(
            eventually(|| acceptor.servers.lock()[0].workers[0].is_finished()),
            "nobody is left to work for"
        );

        gate.stop();
        guard::stop_listening(acceptor.listener());
        gate.shut_down();
        keeper.join().expect("ends");
        acceptor.stop();
    }
}

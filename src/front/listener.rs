//! The listener: bound, accepted from, handed on to the workers, and ended in order.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Protocol, Socket, Type};

use super::limits::Limits;
use super::message::{Message, WorkerMailbox};
use super::platform;
use super::shared::{Phase, Shared};
use super::worker::{WAKE, Worker};
use crate::proxy::{self, Proxy};
use crate::threads::spawn;

/// Connections the kernel completes before we accept them.
const BACKLOG: i32 = 1024;
/// Bytes the kernel takes from a client before we read: a connection that is cut has little left to deliver.
const RECEIVE_BUFFER: usize = 32 * 1024;
/// Clients accepted before the workers are told.
const BATCH: usize = 64;
/// After accept failed, it is tried again after the first of these; each further failure doubles it, up to the second.
const RETRY_FROM: Duration = Duration::from_millis(10);
const RETRY_TO: Duration = Duration::from_secs(1);
/// The most workers that are started where the configuration leaves their number open.
const MOST_WORKERS: usize = 4;
const LISTENER: Token = Token(0);

/// How long a stopping server looks at what is still owed, before it looks again.
pub const STOP_SLICE: Duration = Duration::from_millis(20);

/// A listener that serves.
pub struct Front {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Arc<Waker>,
    threads: Vec<JoinHandle<()>>,
}

/// Accepts clients and deals them out to the workers.
struct Acceptor {
    listener: mio::net::TcpListener,
    poll: Poll,
    shared: Arc<Shared>,
    /// The worker that gets the next client.
    next: usize,
    /// What each worker gets of the present batch.
    batch: Vec<Vec<Message>>,
    retry: Option<Duration>,
}

/// Binds `host` (an address, or a name) and port. `::` takes IPv4 too and falls back to `0.0.0.0` without IPv6.
pub fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let addrs: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let mut failed = io::Error::new(ErrorKind::InvalidInput, "no such address");
    for addr in addrs {
        match bind_one(addr) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    if host == "::" && failed.kind() != ErrorKind::AddrInUse {
        return bind_one((Ipv4Addr::UNSPECIFIED, port).into());
    }
    Err(failed)
}

/// How many workers are started: `configured`, or, where that is 0, half of the processors.
fn worker_count(configured: usize) -> usize {
    if configured > 0 {
        return configured;
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, MOST_WORKERS)
}

impl Front {
    /// Begins to serve `proxy` on `listener`. `workers`: how many; 0 is half of the processors, at least 1 and at most 4.
    pub fn start(
        listener: TcpListener,
        proxy: Arc<Proxy>,
        limits: Limits,
        workers: usize,
    ) -> io::Result<Front> {
        let addr = listener.local_addr()?;
        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..worker_count(workers) {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), WAKE)?;
            polls.push(poll);
            mailboxes.push(Arc::new(WorkerMailbox::new(waker)));
        }
        let shared = Arc::new(Shared::new(limits, proxy, mailboxes.clone()));
        let mut threads = Vec::new();
        for (number, (poll, mailbox)) in polls.into_iter().zip(mailboxes).enumerate() {
            let worker = Worker::new(number, poll, mailbox, Arc::clone(&shared));
            threads.push(spawn("front", move || worker.run())?);
        }
        let acceptor = Acceptor::new(listener, Arc::clone(&shared))?;
        let accepting = Arc::new(Waker::new(acceptor.poll.registry(), WAKE)?);
        threads.push(spawn("accept", move || acceptor.run())?);
        Ok(Front {
            addr,
            shared,
            accepting,
            threads,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts nobody any more; every reply from here on is its connection's last.
    pub fn stop_accepting(&self) {
        self.shared.enter(Phase::Stopping);
        // It fails only where the system has no memory; the listener then ends with the process.
        let _ = self.accepting.wake();
    }

    /// Reads no further request; what is owed is still paid.
    pub fn stop_reading(&self) {
        self.shared.enter(Phase::Draining);
    }

    /// True when no connection is left.
    pub fn is_idle(&self) -> bool {
        self.shared.connections.taken() == 0
    }

    /// Has the workers look at the time again, for tests that move it.
    pub fn look_again(&self) {
        self.shared.look();
    }

    /// Ends every connection and thread.
    pub fn stop(mut self) {
        self.shared.enter(Phase::Ended);
        let _ = self.accepting.wake();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Acceptor {
    fn new(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        let mut listener = mio::net::TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Acceptor {
            listener,
            poll,
            batch: (0..shared.workers()).map(|_| Vec::new()).collect(),
            shared,
            next: 0,
            retry: None,
        })
    }

    /// Accepts until the server is stopped. No failure ends it.
    fn run(mut self) {
        let mut events = Events::with_capacity(4);
        while self.shared.phase() == Phase::Serving {
            if let Err(error) = self.poll.poll(&mut events, self.retry)
                && error.kind() != ErrorKind::Interrupted
            {
                log::error!("cannot wait for connections: {error}");
                return;
            }
            while self.accept_batch() && self.shared.phase() == Phase::Serving {}
        }
    }

    /// Accepts some clients and hands them on, with one wake-up for each worker. True when there may be more.
    fn accept_batch(&mut self) -> bool {
        let mut more = true;
        for _ in 0..BATCH {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    self.retry = None;
                    self.deal_out(stream, peer);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.retry = None;
                    more = false;
                    break;
                }
                Err(error) => {
                    self.note_failure(&error);
                    more = false;
                    break;
                }
            }
        }
        for (worker, messages) in self.batch.iter_mut().enumerate() {
            if let Some(mailbox) = self.shared.mailbox(worker).filter(|_| !messages.is_empty()) {
                mailbox.send_all(messages);
            }
        }
        more
    }

    fn deal_out(&mut self, stream: mio::net::TcpStream, peer: SocketAddr) {
        let peer = peer.ip();
        // A trusted proxy stands for many clients.
        let is_proxy = self.shared.proxy.config().proxy.trusts(peer);
        let client = (!is_proxy).then(|| proxy::network_of(peer));
        let is_loopback = peer.to_canonical().is_loopback();
        let message = match self.shared.connections.take(client, is_loopback) {
            Ok(slot) => Message::Client(stream, peer, slot),
            Err(cause) => {
                self.shared.proxy.counters().rejections.note(cause);
                Message::Rejected(stream, peer, cause)
            }
        };
        let worker = self.next % self.batch.len().max(1);
        self.next = worker + 1;
        if let Some(batch) = self.batch.get_mut(worker) {
            batch.push(message);
        }
    }

    /// What is short (descriptors, memory) may come back: accepting goes on after a moment.
    fn note_failure(&mut self, error: &io::Error) {
        let failures = self.shared.proxy.counters().accept_failures.bump() + 1;
        if failures.is_power_of_two() {
            log::warn!("accepting a connection failed: {error}; trying again");
        }
        let retry = self.retry.map_or(RETRY_FROM, |retry| retry * 2);
        self.retry = Some(retry.min(RETRY_TO));
    }
}

fn bind_one(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    // Clients accepted here inherit both: a reply leaves at once, and the kernel keeps little of it.
    socket.set_tcp_nodelay(true)?;
    platform::buffer_little(&socket)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

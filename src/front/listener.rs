//! The listener: bound, limited, guarded, given to tiny_http, and ended in order.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::acceptor::Acceptor;
use super::drain::Drain;
use super::gate::{Gate, Limits};
use super::guard;
use crate::proxy::Proxy;
use crate::threads::spawn;

/// Connections the kernel completes before we accept them.
const BACKLOG: i32 = 1024;
/// Bytes the kernel takes from a client before we read: a connection that is cut has little left to deliver.
const RECEIVE_BUFFER: usize = 32 * 1024;
/// Stack of a connection's thread, in bytes; std gives 2 MiB unless told.
const CONNECTION_STACK: &str = "131072";
/// A listener that serves.
pub struct Front {
    addr: SocketAddr,
    gate: Arc<Gate>,
    acceptor: Arc<Acceptor>,
    threads: Vec<JoinHandle<()>>,
}

/// Binds `host` (an address, or a name) and port. `::` takes IPv4 too and falls back to `0.0.0.0` without IPv6.
pub fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let addrs: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "no such address");
    for addr in addrs {
        match bind_one(addr) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    if host == "::" && failed.kind() != io::ErrorKind::AddrInUse {
        return bind_one((Ipv4Addr::UNSPECIFIED, port).into());
    }
    Err(failed)
}

/// The connections this machine can carry, of those the configuration asks for.
pub fn connection_limit(configured: usize) -> usize {
    let descriptors = guard::descriptor_limit().saturating_sub(64) / 2;
    let threads = guard::thread_limit().saturating_sub(32);
    let narrow = if cfg!(target_pointer_width = "32") {
        512
    } else {
        usize::MAX
    };
    configured.min(descriptors).min(threads).min(narrow).max(4)
}

/// Small stacks for tiny_http's threads and few arenas of memory. To be called first in a process; does nothing once other
/// threads run.
pub fn prepare_process() {
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    if alone {
        guard::prepare_process(CONNECTION_STACK);
    }
}

impl Front {
    /// Begins to serve `proxy` on `listener` with so many front workers.
    pub fn start(
        listener: TcpListener,
        proxy: Arc<Proxy>,
        limits: Limits,
        workers: usize,
    ) -> io::Result<Front> {
        let (drain, ear) = Drain::new(
            proxy.clock().clone(),
            Arc::clone(proxy.counters()),
            limits.write_timeout,
        )?;
        let gate = Arc::new(Gate::new(limits, proxy, drain.clone()));
        let addr = listener.local_addr()?;
        let acceptor = Arc::new(Acceptor::start(
            listener,
            Arc::clone(&gate),
            workers.max(1),
        )?);
        let keeper = Arc::clone(&acceptor);
        let threads = vec![
            spawn("drain", move || drain.run(ear))?,
            spawn("acceptor", move || keeper.run())?,
        ];
        Ok(Front {
            addr,
            gate,
            acceptor,
            threads,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Accepts nobody any more; every reply from here on is its connection's last.
    pub fn stop_accepting(&self) {
        self.gate.stop();
        guard::stop_listening(self.acceptor.listener());
    }

    /// Reads no further request; what is owed is still paid.
    pub fn stop_reading(&self) {
        self.gate.shut_down();
        self.end_idle();
    }

    /// Ends the connections that are owed nothing; true when none is left.
    pub fn end_idle(&self) -> bool {
        let clients = guard::clients_of(&self.gate);
        clients.iter().for_each(|conn| conn.end_if_idle());
        clients.is_empty()
    }

    /// Ends every connection and thread.
    pub fn stop(mut self) {
        self.stop_accepting();
        self.stop_reading();
        guard::clients_of(&self.gate)
            .iter()
            .for_each(|conn| conn.cut());
        self.acceptor.stop();
        self.gate.drain.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// How long a stopping server looks at what is still owed, before it looks again.
pub const STOP_SLICE: Duration = Duration::from_millis(20);

fn bind_one(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.ip() == Ipv6Addr::UNSPECIFIED {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

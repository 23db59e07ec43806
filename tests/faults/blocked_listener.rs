//! What stands at an origin's port when the origin is gone from it.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::Origin;

/// Keeps the port: nobody else gets it meanwhile.
pub struct BlockedListener {
    _port: Socket,
    /// Connections that wait to be accepted, so that no other can.
    _waiting: Vec<TcpStream>,
}

impl BlockedListener {
    /// Every connection is refused.
    pub fn shut(origin: &mut Origin) -> BlockedListener {
        BlockedListener {
            _port: port_of(origin),
            _waiting: Vec::new(),
        }
    }

    /// No connection is accepted or refused: the backlog is full.
    pub fn full(origin: &mut Origin) -> BlockedListener {
        let port = port_of(origin);
        port.listen(0).expect("listens");
        let addr = port
            .local_addr()
            .expect("an address")
            .as_socket()
            .expect("of the Internet");
        let enter = |_| TcpStream::connect_timeout(&addr, Duration::from_millis(100)).ok();
        let waiting: Vec<TcpStream> = (0..16).map_while(enter).collect();
        assert!(waiting.len() < 16, "the backlog is never full");
        BlockedListener {
            _port: port,
            _waiting: waiting,
        }
    }
}

fn port_of(origin: &mut Origin) -> Socket {
    let addr: SocketAddr = origin
        .url()
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    origin.stop();
    let port = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // The connections the origin had may linger.
    port.set_reuse_address(true).expect("a free address");
    port.bind(&addr.into()).expect("the port is still free");
    port
}

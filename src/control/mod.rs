//! The control server: Larder's own endpoints for the commands of the same user, on a Unix socket; and on a TCP address where
//! `control.listen` names one.
//!
//! tiny_http serves both, with a fixed pool of workers (docs/decisions/0028 says why it serves these and never a client of the
//! proxy). Out of scope: streams, TLS, request bodies above 64 KiB.

mod place;
mod service;
mod socket;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

pub use self::place::{Environment, Found};
use self::service::{Listening, Service};
pub use crate::config::{Control as Settings, ControlSocket};
use crate::endpoints;
use crate::proxy::Proxy;

/// A client on an address that sends or takes nothing for so long is cut, so that it holds no worker for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections the kernel completes before they are accepted.
const BACKLOG: i32 = 64;

/// The running control server. Dropping it stops it.
pub struct Server {
    services: Vec<Arc<Service>>,
}

impl Server {
    /// Starts to answer for `proxy`, whose clients are served on `port`. What cannot be had is one warning in the log: the proxy
    /// does not need it.
    pub fn start(
        settings: &Settings,
        environment: &Environment,
        port: u16,
        proxy: &Arc<Proxy>,
    ) -> Server {
        let mut services = Vec::new();
        let mut begin = |listening: Listening| {
            let place = listening.to_string();
            match Service::start(listening, port, Arc::clone(proxy), endpoints::answer) {
                Ok(service) => {
                    log::info!("control server on {place}");
                    services.push(service);
                }
                Err(error) => log::warn!("no control server on {place}: {error}"),
            }
        };
        if let Some(path) = settings.socket_path(environment, port) {
            match path.and_then(|path| Listening::at(&path)) {
                Ok(listening) => begin(listening),
                Err(error) => log::warn!("no control socket: {error}; see control.socket"),
            }
        }
        if let Some(address) = settings.listen {
            match listen(address) {
                Ok(listener) => begin(Listening::Address(listener, address)),
                Err(error) => log::warn!("no control server on {address}: {error}"),
            }
        }
        Server { services }
    }

    /// Where it listens: the path of the socket, or an address.
    pub fn places(&self) -> impl Iterator<Item = String> {
        self.services.iter().map(|service| service.place())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.services.iter().for_each(|service| service.stop());
    }
}

impl Settings {
    /// `None`: no socket is wanted.
    fn socket_path(
        &self,
        environment: &Environment,
        port: u16,
    ) -> Option<std::io::Result<PathBuf>> {
        match &self.socket {
            ControlSocket::Auto => Some(environment.socket_for(port)),
            ControlSocket::Path(path) => Some(Ok(path.clone())),
            ControlSocket::Off => None,
        }
    }
}

/// A listener whose clients inherit its timeouts, as Linux has it: tiny_http sets none.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_client_that_takes_or_sends_nothing_holds_a_worker_for_a_while_only() {
        let listener = listen(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = listener.local_addr().expect("an address");
        let _client = TcpStream::connect(address).expect("connects");
        let (accepted, _) = listener.accept().expect("a client");
        assert_eq!(accepted.write_timeout().expect("known"), Some(PATIENCE));
        assert_eq!(accepted.read_timeout().expect("known"), Some(PATIENCE));
    }
}

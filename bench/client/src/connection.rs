//! One connection of a load: it sends a request and reads the response, as far as the socket allows.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::response::{Complete, Response};

/// One connection, with at most one request on its way.
pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    sent: usize,
    response: Response,
    /// When the request on its way was due; `None`: the connection is idle.
    pub due: Option<Instant>,
    /// Requests begun on this connection.
    pub begun: usize,
}

/// What came of an attempt to go on.
pub enum Progress {
    /// The socket has to become ready first.
    Waiting,
    /// The response is complete.
    Complete(Complete),
    /// The server closed the connection before a response.
    Closed,
}

impl Connection {
    /// Begins to connect.
    pub fn open(address: SocketAddr, registry: &Registry, token: usize) -> io::Result<Connection> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(
            &mut stream,
            Token(token),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(Connection {
            stream,
            request: Vec::new(),
            sent: 0,
            response: Response::default(),
            due: None,
            begun: 0,
        })
    }

    /// The buffer for the next request.
    pub fn begin(&mut self, due: Instant) -> &mut Vec<u8> {
        if self.begun == 0 {
            // Fails while the connection is being opened on some systems; the next request tries again.
            let _ = self.stream.set_nodelay(true);
        }
        self.due = Some(due);
        self.begun += 1;
        self.sent = 0;
        &mut self.request
    }

    /// Sends and reads what the socket takes and gives.
    pub fn advance(&mut self, buffer: &mut [u8]) -> Result<Progress, String> {
        while self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(count) => {
                    self.sent += count;
                    if self.is_sent() {
                        // The response makes the socket ready anew.
                        return Ok(Progress::Waiting);
                    }
                }
                Err(error) if is_not_ready(&error) => return Ok(Progress::Waiting),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("not sent: {error}")),
            }
        }
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Progress::Closed),
                Ok(count) => {
                    if let Some(complete) = self.response.take(&buffer[..count])? {
                        return Ok(Progress::Complete(complete));
                    }
                }
                Err(error) if is_not_ready(&error) => return Ok(Progress::Waiting),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("not read: {error}")),
            }
        }
    }

    /// True once the whole request is sent.
    pub fn is_sent(&self) -> bool {
        self.sent == self.request.len()
    }

    /// Stops watching the socket; dropping the connection closes it.
    pub fn close(mut self, registry: &Registry) {
        let _ = registry.deregister(&mut self.stream);
    }
}

/// A socket that is still connecting says so by `NotConnected`.
fn is_not_ready(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected
    )
}

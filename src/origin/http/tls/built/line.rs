//! A connection with TLS on it, as ureq sees it.

use std::fmt::{self, Debug};
use std::io::{self, Read, Write};

use rustls::ClientConnection;
use ureq::config::Config;
use ureq::unversioned::transport::{
    Buffers, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::Failure;

/// A connection after its handshake.
pub struct Secured<T: Transport> {
    session: ClientConnection,
    line: TransportAdapter<T>,
    /// Plaintext.
    buffers: LazyBuffers,
}

impl<T: Transport> Secured<T> {
    pub(super) fn new(
        session: ClientConnection,
        line: TransportAdapter<T>,
        config: &Config,
    ) -> Secured<T> {
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Secured {
            session,
            line,
            buffers,
        }
    }

    /// Takes in what has come, waiting for something if there is nothing.
    fn receive(&mut self) -> Result<(), ureq::Error> {
        self.session.read_tls(&mut self.line)?;
        if let Err(error) = self.session.process_new_packets() {
            log::debug!("TLS with the origin failed: {error}");
            // Tries to tell the origin why.
            let _ = self.flush();
            return Err(Failure::other());
        }
        // New keys are answered with new keys (RFC 8446 §4.6.3).
        Ok(self.flush()?)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.line)?;
        }
        Ok(())
    }
}

impl<T: Transport> Transport for Secured<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.line.set_timeout(timeout);
        self.session
            .writer()
            .write_all(&self.buffers.output()[..amount])?;
        Ok(self.flush()?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.line.set_timeout(timeout);
        loop {
            match self.session.reader().read(self.buffers.input_append_buf()) {
                Ok(count) => {
                    self.buffers.input_appended(count);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.receive()?,
                // The connection ended, and nobody said that it would: the body may have been cut (RFC 9112 §9.8).
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // What came with the last answer may stand unread, such as the word that no more will come (RFC 8446 §6.1).
        while !self.line.get_mut().buffers().input().is_empty() {
            if self.receive().is_err() {
                return false;
            }
        }
        let state = self.session.process_new_packets();
        let is_silent = state
            .is_ok_and(|state| !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0);
        is_silent && self.line.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl<T: Transport> Debug for Secured<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS over {:?}", self.line.get_ref())
    }
}

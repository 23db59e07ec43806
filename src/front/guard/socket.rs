//! The system calls on one open socket. Sound while the descriptor is open: see the proof in [`super`].
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use libc::{c_int, sockaddr, socklen_t, ssize_t};

/// An open socket of a client or a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket(pub(super) RawFd);

/// Waits until one of the sockets takes bytes, `waker` has some, or the time is over. Says which sockets are ready.
pub(crate) fn wait_writable(sockets: &[Socket], waker: RawFd, at_most: Duration) -> Vec<bool> {
    let poll = |fd, events| libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    let mut polled: Vec<libc::pollfd> = sockets.iter().map(|s| poll(s.0, libc::POLLOUT)).collect();
    polled.push(poll(waker, libc::POLLIN));
    let ms = c_int::try_from(at_most.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: `polled` is a live slice of that many pollfds.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, ms) };
    polled.pop();
    polled.iter().map(|p| p.revents != 0).collect()
}

impl Socket {
    /// Takes what has arrived, waiting at most the socket's receive timeout (`WouldBlock` when it is over). 0 = end.
    pub(crate) fn receive(self, into: &mut [u8]) -> io::Result<usize> {
        self.receive_with(into, 0)
    }

    /// Takes what has arrived by `deadline` from now; `TimedOut` when nothing came. 0 = end.
    pub(crate) fn receive_within(self, into: &mut [u8], at_most: Duration) -> io::Result<usize> {
        if !self.wait(libc::POLLIN, at_most) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.receive_with(into, libc::MSG_DONTWAIT)
    }

    /// Gives the kernel as many of these bytes as it takes within the time; false when the client did not take them all.
    pub(crate) fn send_within(self, mut bytes: &[u8], at_most: Duration) -> bool {
        while !bytes.is_empty() {
            match send_now(self.0, bytes) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && self.wait(libc::POLLOUT, at_most) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Gives the kernel what it takes now.
    pub(crate) fn send_now(self, bytes: &[u8]) -> io::Result<usize> {
        send_now(self.0, bytes)
    }

    /// Waits until the client takes more; false when it does not within the time.
    pub(crate) fn wait_writable(self, at_most: Duration) -> bool {
        self.wait(libc::POLLOUT, at_most)
    }

    /// Waits until something can be read, or accepted; false when nothing comes within the time.
    pub(crate) fn wait_readable(self, at_most: Duration) -> bool {
        self.wait(libc::POLLIN, at_most)
    }

    /// Whether it still has a client at its other end: false once that one has reset the connection, for good.
    pub(crate) fn is_connected(self) -> bool {
        // SAFETY: an all-zero address is a valid value; the kernel fills in at most `room` bytes of it.
        unsafe {
            let mut address: libc::sockaddr_storage = std::mem::zeroed();
            let mut room = size_of_val(&address) as socklen_t;
            libc::getpeername(self.0, (&raw mut address).cast(), &mut room) == 0
        }
    }

    /// Ends the writing side; the client sees the end after what was sent.
    pub(crate) fn end_writing(self) {
        self.shutdown(libc::SHUT_WR);
    }

    fn receive_with(self, into: &mut [u8], flags: c_int) -> io::Result<usize> {
        loop {
            // SAFETY: `into` is a live buffer of that length.
            let got = unsafe {
                libc::recvfrom(
                    self.0,
                    into.as_mut_ptr().cast(),
                    into.len(),
                    flags,
                    NONE,
                    NO_LEN,
                )
            };
            match result(got) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn wait(self, events: i16, at_most: Duration) -> bool {
        let mut polled = libc::pollfd {
            fd: self.0,
            events,
            revents: 0,
        };
        let ms = c_int::try_from(at_most.as_millis()).unwrap_or(c_int::MAX);
        // SAFETY: `polled` is one live pollfd.
        unsafe { libc::poll(&mut polled, 1, ms) > 0 }
    }

    pub(super) fn shutdown(self, how: c_int) {
        // SAFETY: takes no memory.
        unsafe { libc::shutdown(self.0, how) };
    }
}

pub(super) const NONE: *mut sockaddr = std::ptr::null_mut();
pub(super) const NO_LEN: *mut socklen_t = std::ptr::null_mut();

fn result(count: ssize_t) -> io::Result<usize> {
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

fn send_now(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` is a live slice of that length.
    result(unsafe {
        libc::sendto(
            fd,
            bytes.as_ptr().cast(),
            bytes.len(),
            flags,
            std::ptr::null(),
            0,
        )
    })
}

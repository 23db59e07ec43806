//! The reading half of a connection, on the connection's own thread: heads, bodies, patience and refusals.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;

use super::conn::{Conn, Incoming, Owed};
use super::framing::Decoder;
use super::gate::MAX_OWED;
use super::guard::Socket;
use super::head::{self, Framing, Head};
use super::render::{self, Form};
use super::ticket::{self, Asked};
use crate::message::{Body, Request};
use crate::metrics::RejectReason;

/// After a refusal or the last reply, so long and so many bytes are read and thrown away: closing a socket with unread bytes
/// makes the kernel destroy the reply on its way.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

thread_local! {
    /// What the kernel hands over, kept from one read to the next: clearing it cost a hit a seventh of its instructions.
    static RECEIVED: RefCell<[u8; 4096]> = const { RefCell::new([0; 4096]) };
}

/// Why no further request comes from a connection.
enum End {
    /// The client closed, was cut, idled too long, or the server stops.
    Closed,
    /// The last request was read: only its reply is waited for.
    LastRead,
    /// Something was wrong with what it sent.
    Refused(StatusCode, &'static str),
}

impl From<head::Refusal> for End {
    fn from(refusal: head::Refusal) -> End {
        End::Refused(refusal.status(), refusal.message())
    }
}

impl Conn {
    /// Reads the next whole request and writes the ticket for it: a request line tiny_http can only understand one way. Returns
    /// the ticket's length, or 0 when no further request comes. Waits on nothing but this client, and on room.
    pub(super) fn next_ticket(self: &Arc<Conn>, socket: Socket, into: &mut [u8]) -> usize {
        let mut unread = std::mem::take(&mut *self.unread.lock());
        let incoming = self.read_past_hits(socket, &mut unread);
        *self.unread.lock() = unread;
        match incoming {
            // tiny_http asked for its client's address as the connection began, and dies with the first ticket where there was
            // none any more. A socket that has one now had one then.
            Ok(_) if !socket.is_connected() => {
                self.cut();
                self.over()
            }
            Ok(incoming) => match self.gate.hand_over(self, incoming) {
                Some(ticket) => write_ticket(ticket, into),
                None => {
                    // Read, and too late to be handed on: told so, not dropped.
                    self.state.lock().owed.pop_back();
                    self.refuse(
                        socket,
                        StatusCode::SERVICE_UNAVAILABLE,
                        "the proxy is being stopped; try again in a moment",
                    );
                    self.over()
                }
            },
            Err(End::Closed) => self.over(),
            Err(End::LastRead) => {
                self.linger_for_last_reply(socket);
                self.over()
            }
            Err(End::Refused(status, message)) => {
                self.refuse(socket, status, message);
                self.over()
            }
        }
    }

    /// Answers requests the store can answer, and returns the first that it cannot.
    fn read_past_hits(
        self: &Arc<Conn>,
        socket: Socket,
        unread: &mut BytesMut,
    ) -> Result<Incoming, End> {
        let mut last: Option<Duration> = None;
        loop {
            let (request, asked) = self.read_request(socket, unread)?;
            let apart = last
                .replace(asked.at.mono)
                .map(|last| asked.at.mono.saturating_sub(last));
            // RFC 9112 §9.3.2: only requests that are all safe may be worked on at the same time.
            if !request.method.is_safe() || self.state.lock().alone {
                self.wait_until_paid();
            }
            // Behind a reply that is owed, a hit waits its turn like all others.
            let hit = if self.is_owed() {
                None
            } else {
                self.gate.proxy.hit(&request, asked.at)
            };
            match hit {
                Some(hit) => {
                    if !ticket::send_at_once(self, &hit, &asked, socket) {
                        return Err(End::Closed);
                    }
                    if asked.form.closes {
                        socket.end_writing();
                        self.discard(socket);
                        return Err(End::Closed);
                    }
                    if unread.is_empty() {
                        self.gate.spin(socket, apart);
                    }
                }
                None => return Ok(self.owe(request, asked)),
            }
        }
    }

    fn owe(&self, request: Request, asked: Asked) -> Incoming {
        let mut state = self.state.lock();
        let turn = state.next_turn;
        state.next_turn += 1;
        state.last_read = asked.form.closes;
        state.alone = !request.method.is_safe();
        state.owed.push_back(Owed {
            closes: asked.form.closes,
            ..Owed::default()
        });
        Incoming {
            request,
            asked,
            turn,
        }
    }

    fn read_request(&self, socket: Socket, unread: &mut BytesMut) -> Result<(Request, Asked), End> {
        self.wait_for_turn()?;
        let head = self.read_head(socket, unread)?;
        let body = self.read_body(socket, unread, &head)?;
        let form = Form::of(
            &head.method,
            head.version,
            head.keep_alive && !self.gate.stopping(),
        );
        let Head {
            method,
            target,
            version,
            fields,
            ..
        } = head;
        let id = self.gate.proxy.next_id();
        let at = self.gate.clock.now();
        let request = Request {
            method,
            target,
            version,
            fields,
            body,
            peer: self.peer,
            id,
        };
        let Request { method, target, .. } = &request;
        let own_id = request.own_id().cloned();
        let asked = Asked {
            form,
            id,
            own_id,
            method: method.clone(),
            target: target.clone(),
            at,
        };
        Ok((request, asked))
    }

    /// Waits while the client is owed as many replies as one connection may be.
    fn wait_for_turn(&self) -> Result<(), End> {
        let mut state = self.state.lock();
        loop {
            if state.dead || self.gate.shut() {
                return Err(End::Closed);
            }
            if state.last_read {
                return Err(End::LastRead);
            }
            if state.owed.len() < MAX_OWED {
                return Ok(());
            }
            self.changed.wait(&mut state);
        }
    }

    fn read_head(&self, socket: Socket, unread: &mut BytesMut) -> Result<Head, End> {
        let mut search = head::Search::default();
        let mut deadline = None;
        loop {
            if let Some(end) = search.advance(unread, &self.gate.limits.head)? {
                return Ok(search.read(&unread.split_to(end).freeze())?);
            }
            if !unread.is_empty() && deadline.is_none() {
                deadline = Some(self.gate.clock.now().mono + self.gate.limits.header_timeout);
            }
            match self.receive(socket, unread, deadline) {
                Ok(0) => return Err(End::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    self.gate.proxy.counters().slow_heads.bump();
                    return Err(End::Refused(
                        StatusCode::REQUEST_TIMEOUT,
                        "the request head took too long to arrive",
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.is_owed() => {}
                Err(_) => return Err(End::Closed),
            }
        }
    }

    fn read_body(&self, socket: Socket, unread: &mut BytesMut, head: &Head) -> Result<Body, End> {
        if head.framing == Framing::None {
            return Ok(Body::default());
        }
        let mut decoder = Decoder::new(head.framing, self.gate.limits.max_body_bytes as u64)?;
        if head.expects_continue && unread.is_empty() {
            self.wait_until_paid();
            socket.send_within(
                b"HTTP/1.1 100 Continue\r\n\r\n",
                self.gate.limits.write_timeout,
            );
        }
        let deadline = self.gate.clock.now().mono + self.gate.limits.body_timeout;
        let mut lease = self.gate.body_lease(self.peer);
        let mut bytes = Vec::new();
        loop {
            let progress = decoder.push(unread, &mut bytes)?;
            unread.advance(progress.consumed);
            if !lease.grow_to(bytes.len()) {
                self.gate
                    .proxy
                    .counters()
                    .rejections
                    .note(RejectReason::Bodies);
                let message = "too many request bodies are in memory; try again in a moment";
                return Err(End::Refused(StatusCode::SERVICE_UNAVAILABLE, message));
            }
            if progress.done {
                return Ok(Body {
                    bytes: Bytes::from(bytes),
                    lease: Some(lease),
                });
            }
            match self.receive(socket, unread, Some(deadline)) {
                Ok(0) => return Err(End::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    self.gate.proxy.counters().slow_bodies.bump();
                    return Err(End::Refused(
                        StatusCode::REQUEST_TIMEOUT,
                        "the request body took too long to arrive",
                    ));
                }
                Err(_) => return Err(End::Closed),
            }
        }
    }

    /// Appends what the client sends to `unread`. Without a deadline it waits as long as a connection may idle.
    fn receive(
        &self,
        socket: Socket,
        unread: &mut BytesMut,
        deadline: Option<Duration>,
    ) -> io::Result<usize> {
        RECEIVED.with_borrow_mut(|buffer| {
            let got = match deadline {
                None => socket.receive(buffer),
                Some(deadline) => {
                    let left = deadline.saturating_sub(self.gate.clock.now().mono);
                    socket.receive_within(buffer, left)
                }
            }?;
            unread.extend_from_slice(buffer.get(..got).unwrap_or_default());
            Ok(got)
        })
    }

    fn is_owed(&self) -> bool {
        !self.state.lock().owed.is_empty()
    }

    /// Waits until every reply owed so far is with the kernel, or the connection is dead.
    fn wait_until_paid(&self) {
        let mut state = self.state.lock();
        while !state.owed.is_empty() && !state.dead {
            self.changed.wait(&mut state);
        }
    }

    /// Answers a request that tiny_http must not see, after the replies owed before it, and ends the connection.
    fn refuse(&self, socket: Socket, status: StatusCode, message: &str) {
        self.gate.proxy.counters().refused_requests.bump();
        log::debug!(
            "refused a request from {}: {} {message}",
            self.peer,
            status.as_u16()
        );
        self.wait_until_paid();
        if socket.send_within(
            &render::refusal(status, message),
            self.gate.limits.write_timeout,
        ) {
            socket.end_writing();
            self.discard(socket);
        }
        self.cut();
    }

    /// Reads on (and throws away) until the last reply is out and the client has seen it, to notice if the client goes before.
    fn linger_for_last_reply(&self, socket: Socket) {
        while self.is_owed() && !self.gone() {
            match socket.receive_within(&mut [0; 1024], LINGER) {
                Ok(0) => {
                    self.state.lock().ended = true;
                    self.wait_until_paid();
                    return;
                }
                Err(error) if error.kind() != io::ErrorKind::TimedOut => {
                    self.cut();
                    return;
                }
                _ => {}
            }
        }
        self.discard(socket);
    }

    fn discard(&self, socket: Socket) {
        let deadline = self.gate.clock.now().mono + LINGER;
        let mut discarded = 0;
        while discarded < LINGER_BYTES {
            let left = deadline.saturating_sub(self.gate.clock.now().mono);
            match socket.receive_within(&mut [0; 4096], left) {
                Ok(got) if got > 0 => discarded += got,
                _ => return,
            }
        }
    }

    /// The client sends nothing more.
    fn over(&self) -> usize {
        self.state.lock().ended = true;
        0
    }
}

/// `GET 17 HTTP/1.1` and the empty line: 17 is the request's place among those waiting.
fn write_ticket(ticket: usize, mut into: &mut [u8]) -> usize {
    let room = into.len();
    match write!(into, "GET {ticket} HTTP/1.1\r\n\r\n") {
        Ok(()) => room - into.len(),
        Err(_) => 0,
    }
}

//! A front worker's right, and duty, to answer one request of a connection.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use parking_lot::MutexGuard;

use super::conn::{Conn, State, Writer};
use super::gate::Gate;
use super::guard::Socket;
use super::render::{self, Form};
use crate::clock::Now;
use crate::message::{IdText, RequestId, Target};
use crate::origin::{InterimSink, Opening};
use crate::outcome::{Cause, Outcome};
use crate::reply::{self, Reply, Responder, Sink};

/// Bytes of a reply that are put together and given to the kernel in one call.
const ONE_WRITE: usize = 64 * 1024;
/// Bytes a client may lag behind a body that is passed on as it comes.
const MAX_LAG: usize = 256 * 1024;

thread_local! {
    /// Where replies are put together, kept from one to the next.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The right to answer. Dropped unused, it answers 500: no client is left without a reply.
pub(super) struct Ticket {
    conn: Arc<Conn>,
    turn: u64,
    answered: bool,
    asked: Asked,
}

/// What a reply answers, as far as its form and its line in the log need it.
#[derive(Clone)]
pub(super) struct Asked {
    pub form: Form,
    pub id: RequestId,
    /// What its client calls the request; wins over `id`.
    pub own_id: Option<HeaderValue>,
    pub method: Method,
    pub target: Target,
    /// When the request was whole.
    pub at: Now,
}

impl Ticket {
    pub(super) fn new(conn: Arc<Conn>, turn: u64, writer: Writer, asked: Asked) -> Ticket {
        conn.take_writer(turn, writer);
        Ticket {
            conn,
            turn,
            answered: false,
            asked,
        }
    }

    /// Closes after this reply too when the server is being stopped.
    fn form(&self) -> Form {
        Form {
            closes: self.asked.form.closes || self.conn.gate.stopping(),
            ..self.asked.form
        }
    }
}

/// Sends a reply on the thread of the connection itself, which may wait for its client; false when the client is gone.
pub(super) fn send_at_once(conn: &Arc<Conn>, reply: &Reply, asked: &Asked, socket: Socket) -> bool {
    with_rendered(reply, asked, asked.form, &conn.gate, |now, later| {
        conn.reply_here(socket, now, &later)
    })
}

/// Puts a reply together: all of it where that fits one write, else its head; and the rest.
fn with_rendered<T>(
    reply: &Reply,
    asked: &Asked,
    form: Form,
    gate: &Gate,
    then: impl FnOnce(&[u8], Bytes) -> T,
) -> T {
    asked.log(reply, gate);
    let id = asked.id_text(gate);
    let mut buffer = BUFFER.take();
    buffer.clear();
    reply::head(
        &mut buffer,
        reply,
        form.head_only,
        &id,
        gate.proxy.via(),
        &gate.clock,
    );
    form.end_head(&mut buffer);
    let mut later = if form.head_only {
        Bytes::new()
    } else {
        reply::body(reply, &id)
    };
    // A larger body is sent from where it lies: a copy of its beginning would stay with each client that is slow to take it.
    if buffer.len() + later.len() <= ONE_WRITE {
        buffer.extend_from_slice(&std::mem::take(&mut later));
    }
    let told = then(&buffer, later);
    BUFFER.replace(buffer);
    told
}

impl Asked {
    fn id_text(&self, gate: &Gate) -> IdText<'_> {
        IdText::new(gate.proxy.mark(), self.id, self.own_id.as_ref())
    }

    /// One line per answered request. Without the query: it may hold secrets.
    fn log(&self, reply: &Reply, gate: &Gate) {
        if log::log_enabled!(log::Level::Debug) {
            let took = gate.clock.now().mono.saturating_sub(self.at.mono);
            log::debug!(
                "{} {} {} {} {} ms id={}",
                self.method,
                self.target.path(),
                reply.status().as_u16(),
                reply.outcome().x_cache_status(),
                took.as_millis(),
                self.id_text(gate),
            );
        }
    }
}

impl Responder for Ticket {
    fn reply(&mut self, reply: Reply) {
        self.answered = true;
        let form = self.form();
        with_rendered(&reply, &self.asked, form, &self.conn.gate, |now, later| {
            self.conn.reply(self.turn, now, later, form.closes);
        });
    }

    fn open(&mut self, opening: &Opening, outcome: Outcome) -> Box<dyn Sink> {
        self.answered = true;
        let id = self.asked.id_text(&self.conn.gate);
        let mut form = self.form();
        let mut head = Vec::with_capacity(512);
        reply::opening_head(
            &mut head,
            opening,
            &outcome,
            &id,
            self.conn.gate.proxy.via(),
        );
        let framing = match opening.length {
            Some(length) => {
                let _ = write!(head, "Content-Length: {length}\r\n");
                Framing::Length(length)
            }
            None if form.version == Version::HTTP_10 => {
                form.closes = true;
                Framing::Close
            }
            None => {
                head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                Framing::Chunked
            }
        };
        form.end_head(&mut head);
        let mut stream = Stream {
            conn: Arc::clone(&self.conn),
            turn: self.turn,
            framing,
            ended: false,
        };
        stream.closes_after(form.closes);
        stream
            .conn
            .pass_on(self.turn, Bytes::from(head), form.head_only);
        stream.ended = form.head_only;
        Box::new(stream)
    }

    fn gone(&self) -> bool {
        self.conn.gone()
    }

    fn interim_sink(&self) -> Option<Arc<dyn InterimSink>> {
        // RFC 9110 §15.2: an HTTP/1.0 client knows no interim response.
        if self.asked.form.version == Version::HTTP_10 {
            return None;
        }
        Some(Arc::new(Early {
            conn: Arc::downgrade(&self.conn),
            turn: self.turn,
        }))
    }
}

/// Passes interim responses on before a reply. Weak: the flight may go on for longer than the connection.
struct Early {
    conn: Weak<Conn>,
    turn: u64,
}

impl InterimSink for Early {
    fn interim(&self, status: StatusCode, fields: &HeaderMap) {
        if let Some(conn) = self.conn.upgrade() {
            conn.announce(self.turn, render::interim(status, fields));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered {
            self.reply(Reply::failed(Cause::Panicked, None));
        }
    }
}

/// How the client knows where a body ends.
enum Framing {
    Length(u64),
    Chunked,
    Close,
}

/// A body on its way to a client as it comes. Dropped before its end, it cuts the connection.
struct Stream {
    conn: Arc<Conn>,
    turn: u64,
    framing: Framing,
    ended: bool,
}

impl Stream {
    fn closes_after(&self, closes: bool) {
        let mut state = self.conn.state.lock();
        if let Some(owed) = state
            .position(self.turn)
            .and_then(|at| state.owed.get_mut(at))
        {
            owed.closes |= closes;
        }
    }

    /// Waits until the client lags less; false when it took nothing for the write timeout.
    fn catch_up(&self) -> bool {
        let deadline = self.conn.gate.clock.now().mono + self.conn.gate.limits.write_timeout;
        let mut untaken = self.conn.untaken(self.turn);
        while untaken > MAX_LAG {
            let state: &mut MutexGuard<'_, State> = &mut self.conn.state.lock();
            if state.dead || self.conn.gate.clock.now().mono >= deadline {
                return false;
            }
            self.conn
                .changed
                .wait_for(state, Duration::from_millis(100));
            let left = state.position(self.turn).and_then(|at| state.owed.get(at));
            untaken = left.map_or(0, |owed| {
                owed.ready.iter().map(|part| part.left().len()).sum()
            });
        }
        true
    }
}

impl Sink for Stream {
    fn pass_on(&mut self, part: Bytes) -> bool {
        if self.ended {
            return false;
        }
        let part = match &mut self.framing {
            Framing::Close => part,
            Framing::Length(left) => {
                *left = left.saturating_sub(part.len() as u64);
                part
            }
            Framing::Chunked => {
                let mut chunk = Vec::with_capacity(part.len() + 16);
                let _ = write!(chunk, "{:x}\r\n", part.len());
                chunk.extend_from_slice(&part);
                chunk.extend_from_slice(b"\r\n");
                Bytes::from(chunk)
            }
        };
        self.conn.pass_on(self.turn, part, false) && self.catch_up()
    }

    fn end(&mut self) {
        let last = match self.framing {
            // Shorter than announced: not an honest end.
            Framing::Length(left) if left > 0 => return,
            Framing::Length(_) | Framing::Close => Bytes::new(),
            Framing::Chunked => Bytes::from_static(b"0\r\n\r\n"),
        };
        self.ended = self.conn.pass_on(self.turn, last, true) || self.ended;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.ended {
            self.conn.cut();
        }
    }
}

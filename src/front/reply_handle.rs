//! The right, and the duty, to answer one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use parking_lot::{Condvar, Mutex};

use super::connection::{Part, Segment, Stage, Watcher};
use super::message::{Address, Message, WorkerMailbox};
use super::render::{self, Asked, Form, Framing};
use super::shared::{Phase, Shared};
use crate::origin::{InterimSink, Opening};
use crate::outcome::{Cause, Outcome};
use crate::reply::{Reply, Responder, Sink};

/// Bytes a client may lag behind a body that is passed on as it comes.
const MAX_LAG: usize = 256 * 1024;

/// Answers one request of one connection, from any thread. Good for one reply; dropped without one it answers 500, so that
/// no client is left waiting.
pub(super) struct ReplyHandle {
    way: Way,
    asked: Asked,
    answered: bool,
}

/// The way to the place of one response.
#[derive(Clone)]
struct Way {
    shared: Arc<Shared>,
    mailbox: Arc<WorkerMailbox>,
    to: Address,
    number: u64,
    progress: Arc<Progress>,
}

/// What the connection tells of one response.
#[derive(Default)]
pub(super) struct Progress {
    /// The client sends nothing more, and is probably gone.
    ended: AtomicBool,
    /// Nothing more reaches the client.
    gone: AtomicBool,
    /// Protects: bytes that were passed on and not taken yet. Nobody does IO meanwhile.
    lag: Mutex<usize>,
    /// Signals: bytes were taken, or the client is gone.
    changed: Condvar,
}

impl ReplyHandle {
    /// A handle for the response of that number, whose progress the connection tells there.
    pub(super) fn new(
        shared: Arc<Shared>,
        mailbox: Arc<WorkerMailbox>,
        to: Address,
        number: u64,
        progress: Arc<Progress>,
        asked: Asked,
    ) -> ReplyHandle {
        ReplyHandle {
            way: Way {
                shared,
                mailbox,
                to,
                number,
                progress,
            },
            asked,
            answered: false,
        }
    }

    /// Closes after this reply too when the server is being stopped.
    fn form(&self) -> Form {
        Form {
            closes: self.asked.form.closes || self.way.shared.phase() > Phase::Serving,
            ..self.asked.form
        }
    }
}

impl Way {
    fn send(&self, part: Part) {
        let message = Message::Respond(self.to, self.number, part);
        self.mailbox.send(message);
    }
}

impl Responder for ReplyHandle {
    fn reply(&mut self, reply: Reply) {
        self.answered = true;
        let form = self.form();
        let mut head = Vec::with_capacity(1024);
        let body = render::reply(&mut head, &reply, &self.asked, form, &self.way.shared);
        let head = Some(Segment::new(Bytes::from(head)));
        self.way.send(Part::whole([head, body], form.closes));
    }

    fn open(&mut self, opening: &Opening, outcome: Outcome) -> Box<dyn Sink> {
        self.answered = true;
        let form = self.form();
        let shared = &self.way.shared;
        let (head, form, framing) = render::opening(opening, &outcome, &self.asked, form, shared);
        let head = Some(Segment::new(Bytes::from(head)));
        let stage = if form.head_only {
            Stage::Whole
        } else {
            Stage::Begun
        };
        self.way.send(Part::of(stage, head, form.closes));
        Box::new(Relay {
            way: self.way.clone(),
            framing,
            ended: form.head_only,
        })
    }

    fn gone(&self) -> bool {
        self.way.progress.ended.load(Ordering::Acquire) || self.way.progress.is_gone()
    }

    fn interim_sink(&self) -> Option<Arc<dyn InterimSink>> {
        // RFC 9110 §15.2: an HTTP/1.0 client knows no interim response.
        if self.asked.form.version == Version::HTTP_10 {
            return None;
        }
        Some(Arc::new(Interims(self.way.clone())))
    }
}

impl Drop for ReplyHandle {
    fn drop(&mut self) {
        if !self.answered {
            self.reply(Reply::failed(Cause::Panicked, None));
        }
    }
}

/// Passes interim responses on before a reply.
struct Interims(Way);

impl InterimSink for Interims {
    fn interim(&self, status: StatusCode, fields: &HeaderMap) {
        let segment = Segment::new(render::interim(status, fields));
        self.0.send(Part::of(Stage::Interim, Some(segment), false));
    }
}

/// A body on its way to a client as it comes. Dropped before its end, it cuts the connection.
struct Relay {
    way: Way,
    framing: Framing,
    ended: bool,
}

impl Relay {
    fn send(&self, bytes: Bytes) {
        let stage = Stage::Begun;
        self.way
            .send(Part::of(stage, Some(Segment::new(bytes)), false));
    }
}

impl Sink for Relay {
    fn pass_on(&mut self, part: Bytes) -> bool {
        if self.ended || self.way.progress.is_gone() {
            return false;
        }
        let mut length = part.len();
        match &mut self.framing {
            Framing::Close => self.send(part),
            Framing::Length(left) => {
                *left = left.saturating_sub(part.len() as u64);
                self.send(part);
            }
            Framing::Chunked => {
                let size = Bytes::from(format!("{:x}\r\n", part.len()));
                length += size.len() + 2;
                self.send(size);
                self.send(part);
                self.send(Bytes::from_static(b"\r\n"));
            }
        }
        self.way.progress.wait_for(length)
    }

    fn end(&mut self) {
        let last = match self.framing {
            // Shorter than announced: not an honest end.
            Framing::Length(left) if left > 0 => return,
            Framing::Length(_) | Framing::Close => None,
            Framing::Chunked => Some(Segment::new(Bytes::from_static(b"0\r\n\r\n"))),
        };
        self.ended = true;
        self.way.send(Part::of(Stage::Whole, last, false));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !self.ended {
            let is_close_delimited = self.framing == Framing::Close;
            self.way
                .send(Part::of(Stage::Broken, None, is_close_delimited));
        }
    }
}

impl Progress {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Notes that so many more bytes were passed on, and waits until the client lags less. False: it is gone. Whether a client
    /// is too slow is its connection's to say: this response may only wait for those before it.
    fn wait_for(&self, bytes: usize) -> bool {
        let mut lag = self.lag.lock();
        *lag += bytes;
        while *lag > MAX_LAG && !self.is_gone() {
            self.changed.wait(&mut lag);
        }
        !self.is_gone()
    }
}

impl Watcher for Progress {
    fn taken(&self, bytes: usize) {
        let mut lag = self.lag.lock();
        // The head is taken too, but was never passed on.
        *lag = lag.saturating_sub(bytes);
        self.changed.notify_all();
    }

    fn ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn gone(&self) {
        self.gone.store(true, Ordering::Release);
        let _lag = self.lag.lock();
        self.changed.notify_all();
    }
}

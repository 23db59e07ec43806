//! The right, and the duty, to answer one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};

use super::connection::{Part, Segment, Stage, Watcher};
use super::following::Following;
use super::mailbox::{Address, Mailbox, Message};
use super::render::{self, Asked, Form};
use super::shared::{Phase, Shared};
use crate::cache::shared_body::Reader;
use crate::message::ResponseHead;
use crate::origin::InterimSink;
use crate::outcome::{Cause, Outcome};
use crate::reply::{Reply, Responder};

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
    mailbox: Arc<Mailbox>,
    to: Address,
    number: u64,
    progress: Arc<Progress>,
}

/// What the connection tells of one response.
#[derive(Default)]
pub(super) struct Progress {
    gone: AtomicBool,
}

impl ReplyHandle {
    /// A handle for the response of that number, whose progress the connection tells there.
    pub(super) fn new(
        shared: Arc<Shared>,
        mailbox: Arc<Mailbox>,
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

    fn open(&mut self, head: &ResponseHead, outcome: Outcome, body: Reader) {
        self.answered = true;
        let form = self.form();
        let shared = &self.way.shared;
        let (bytes, form, framing) = render::opening(head, &outcome, &self.asked, form, shared);
        let bytes = Some(Segment::new(Bytes::from(bytes)));
        if form.head_only {
            return self.way.send(Part::of(Stage::Whole, bytes, form.closes));
        }
        let part = Part::of(Stage::Begun, bytes, form.closes);
        let following = Box::new(Following::new(self.way.number, body, framing));
        let message = Message::Follow(self.way.to, part, following);
        self.way.mailbox.send(message);
    }

    fn gone(&self) -> bool {
        self.way.progress.is_gone()
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

impl Progress {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }
}

impl Watcher for Progress {
    fn gone(&self) {
        self.gone.store(true, Ordering::Release);
    }
}

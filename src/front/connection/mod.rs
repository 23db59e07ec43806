//! One client's connection as a value: bytes and times go in; requests, bytes to send and the next deadline come out.
//!
//! ```text
//! receive(bytes) ─▶ unread ─▶ next() ─▶ Request, under a number ─▶ (whoever answers it)
//!                     │                                                   │
//!                     └─ refused: its own response                  respond(number, part)
//!                                          ▼                              ▼
//!                                   responses, in the order of their requests ─▶ output(), sent(n)
//! ```
//!
//! In scope: one strict head after the other (RFC 9112), bodies out of their framing, `100 Continue`, the order of pipelined
//! responses (§9.3.2), keep-alive (§9.3), refusals, the deadlines of slow clients, half-close, the end (§9.6). Out of scope:
//! sockets, clocks, locks, and what a request means.

mod responses;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;

use self::responses::Responses;
pub use self::responses::{Part, Segment, Stage, Watcher};
use super::framing::Decoder;
use super::head::{Framing, Head, Refusal, Search};
use super::limits::{BodyBudget, Limits};
use super::render;
use crate::budget::Lease;
use crate::message::Body;

/// Replies one connection may be owed before its next head is read.
pub const MAX_PENDING: usize = 8;
/// After a refusal or the last reply, so long and so many bytes are read and thrown away: closing a socket with unread bytes
/// makes the kernel destroy the reply on its way.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1024;

/// What a connection is stepped with.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// The limits in force.
    pub limits: &'a Limits,
    /// The memory for request bodies.
    pub bodies: &'a BodyBudget,
    /// Monotonic time.
    pub now: Duration,
    /// The server is being stopped: every response from here on is its connection's last.
    pub stopping: bool,
}

/// What the bytes received so far amount to.
#[derive(Debug)]
pub enum Next {
    /// A whole request. It is owed a response under this number.
    Request {
        /// Names its response to [`Connection::respond`]; never used twice.
        number: u64,
        /// Its head.
        head: Box<Head>,
        /// Its body, whole.
        body: Body,
        /// The connection ends after its response.
        closes: bool,
    },
    /// Something was wrong with what the client sent; its response is already queued, and nothing more is read.
    Refused(Refused),
    /// Nothing before more bytes arrive, or responses leave.
    Wait,
}

/// Why nothing more is read from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The head or the framing of the body is not lawful, or too large.
    Unlawful(Refusal),
    /// The head took too long to arrive.
    SlowHead,
    /// The body took too long to arrive.
    SlowBody,
    /// Too many request bodies are in memory.
    Bodies,
}

/// What a passed deadline ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Nothing: the deadline has moved.
    Nothing,
    /// A request that did not arrive in time; its response is queued.
    Refused(Refused),
    /// The connection: the client took nothing of its replies.
    SlowReader,
    /// The connection: it was idle, or had lingered long enough.
    Idle,
}

/// What the owner of the socket has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing special.
    Open,
    /// End the writing side, and say so by [`Connection::shut`].
    EndWriting,
    /// Close it.
    Close,
}

/// A client's connection.
pub struct Connection {
    peer: IpAddr,
    /// Bytes received and not yet understood.
    unread: BytesMut,
    reading: Reading,
    responses: Responses,
    /// The number the next request gets.
    next_number: u64,
    /// The last request may change something: the next one waits for its response (RFC 9112 §9.3.2).
    alone: bool,
    /// The client sends nothing more.
    ended: bool,
    /// The client sent more than was read as requests: the end has to be gentle.
    left_over: bool,
    /// When the client last sent something or took something.
    active: Duration,
}

/// What of the client's bytes is being read.
enum Reading {
    /// A head; since when, once its first byte is there.
    Head(Search, Option<Duration>),
    /// A body.
    Body(Box<ReadingBody>),
    /// Nothing: this whole request waits until the responses before it are out.
    Held(Box<Head>, Body),
    /// Nothing more: the last request was read.
    Finished,
    /// Nothing more, and the writing side has ended: what still comes is thrown away, until then and so much.
    Lingering(Duration, usize),
    /// Nothing can be read or written any more.
    Dead,
}

struct ReadingBody {
    head: Box<Head>,
    decoder: Decoder,
    bytes: Vec<u8>,
    lease: Lease,
    until: Duration,
    /// The client waits for `100 Continue`, which waits for the responses before it.
    continue_pending: bool,
}

impl Connection {
    /// A connection of a client at this address, accepted now.
    pub fn new(peer: IpAddr, now: Duration) -> Connection {
        Connection {
            peer,
            unread: BytesMut::new(),
            reading: Reading::Head(Search::default(), None),
            responses: Responses::default(),
            next_number: 0,
            alone: false,
            ended: false,
            left_over: false,
            active: now,
        }
    }

    /// A connection that cannot be kept: it is told this whole response, and ends.
    pub fn rejected(peer: IpAddr, response: Vec<u8>, now: Duration) -> Connection {
        let mut connection = Connection::new(peer, now);
        connection.end_with(response, now);
        connection
    }

    /// The client's address.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// True while the next byte received is the first of a request, nothing is owed, and the next request may be answered
    /// behind the back of this value: see [`Connection::answered_directly`].
    pub fn is_clear(&self) -> bool {
        matches!(self.reading, Reading::Head(_, None))
            && self.unread.is_empty()
            && self.responses.is_empty()
    }

    /// Requests were read and their responses handed to the kernel by the owner of the socket, while [`Connection::is_clear`].
    /// `last`: the connection ends after the last of them. `left_over`: the client sent more than those requests.
    pub fn answered_directly(&mut self, last: bool, left_over: bool, now: Duration) {
        self.active = now;
        if last {
            self.reading = Reading::Finished;
            self.left_over |= left_over;
        }
    }

    /// The rest of responses that were handed to the kernel directly, which it did not take.
    pub fn left_unsent(&mut self, rest: Bytes, now: Duration) {
        let number = self.next_number;
        self.next_number += 1;
        self.responses.push(number, false, now);
        self.respond(
            number,
            Part::whole([Some(Segment::new(rest)), None], false),
            now,
        );
    }

    /// Whether bytes are wanted from the client. While its own output waits, and while it is owed as much as it may be,
    /// nothing is read.
    pub fn wants_input(&self) -> bool {
        match &self.reading {
            Reading::Dead => false,
            Reading::Held(..) => false,
            Reading::Finished | Reading::Lingering(..) => !self.ended,
            Reading::Body(body) if body.continue_pending && !self.responses.is_empty() => false,
            _ => !self.ended && !self.responses.have_output() && self.responses.len() < MAX_PENDING,
        }
    }

    /// The client sent these bytes.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        self.active = now;
        match &mut self.reading {
            Reading::Dead => {}
            Reading::Finished => self.left_over = true,
            Reading::Lingering(_, thrown_away) => {
                *thrown_away += bytes.len();
                if *thrown_away > LINGER_BYTES {
                    self.cut();
                }
            }
            _ => self.unread.extend_from_slice(bytes),
        }
    }

    /// The client sends nothing more after what was received.
    pub fn end(&mut self) {
        self.ended = true;
        self.responses.tell_gone();
    }

    /// The client is known to send nothing more after what it has sent, of which some may not be received yet.
    pub fn will_end(&self) {
        self.responses.tell_gone();
    }

    /// What the bytes received so far amount to. To be asked again until it says [`Next::Wait`].
    pub fn next(&mut self, step: &Step<'_>) -> Next {
        loop {
            if self.responses.have_output() || self.responses.len() >= MAX_PENDING {
                self.pause();
                return Next::Wait;
            }
            let outcome = match &self.reading {
                Reading::Head(..) => self.read_head(step),
                Reading::Body(_) => self.read_body(step),
                Reading::Held(head, _) if !self.may_start(head.method.is_safe()) => {
                    return Next::Wait;
                }
                Reading::Held(..) => Ok(self.start(step)),
                Reading::Finished | Reading::Lingering(..) | Reading::Dead => {
                    return Next::Wait;
                }
            };
            match outcome {
                Ok(Some(next)) => return next,
                Ok(None) => {}
                Err(refused) => return self.refuse(refused, step.now),
            }
        }
    }

    /// Adds a part of the response to a request. False: that response is not, or no longer, waited for.
    pub fn respond(&mut self, number: u64, part: Part, now: Duration) -> bool {
        self.responses.add(number, part, now)
    }

    /// Has somebody told what becomes of the response to a request.
    pub fn watch(&mut self, number: u64, watcher: Arc<dyn Watcher>) {
        self.responses.watch(number, watcher);
    }

    /// True when there are bytes to send now.
    pub fn has_output(&self) -> bool {
        self.responses.have_output()
    }

    /// The bytes to send now, in order; the first of them, where they are many.
    pub fn output(&self) -> impl Iterator<Item = &[u8]> {
        self.responses.output()
    }

    /// So many bytes of the output were taken.
    pub fn sent(&mut self, taken: usize, now: Duration) {
        if taken > 0 {
            self.active = now;
        }
        if self.responses.take(taken, now) {
            self.finish();
        }
    }

    /// Bytes that wait to be sent, those of responses whose turn has not come included.
    pub fn unsent(&self) -> usize {
        self.responses.unsent()
    }

    /// Bytes that wait to be sent of one response. `None`: it is not owed any more, or whole already.
    pub fn unsent_of(&self, number: u64) -> Option<usize> {
        self.responses.unsent_of(number)
    }

    /// Every segment that waits to be sent.
    pub fn unsent_segments(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.responses.segments()
    }

    /// What is to be done with the socket, once all output is sent.
    pub fn fate(&self) -> Fate {
        let all_sent = self.responses.is_empty();
        match &self.reading {
            Reading::Dead => Fate::Close,
            Reading::Lingering(..) if self.ended => Fate::Close,
            Reading::Lingering(..) => Fate::Open,
            Reading::Finished if !all_sent => Fate::Open,
            Reading::Finished if self.ended || !self.left_over => Fate::Close,
            Reading::Finished => Fate::EndWriting,
            Reading::Held(..) => Fate::Open,
            Reading::Head(..) | Reading::Body(_) if self.ended && all_sent => Fate::Close,
            Reading::Head(..) | Reading::Body(_) => Fate::Open,
        }
    }

    /// The writing side has been ended.
    pub fn shut(&mut self, now: Duration) {
        self.reading = Reading::Lingering(now + LINGER, 0);
    }

    /// Nothing can be read or written any more: what is owed is dropped.
    pub fn cut(&mut self) {
        self.reading = Reading::Dead;
        self.unread = BytesMut::new();
        self.responses.drop_all();
    }

    /// Ends the connection unless it is owed something.
    pub fn end_if_idle(&mut self) {
        if self.responses.is_empty() && !matches!(self.reading, Reading::Lingering(..)) {
            self.cut();
        }
    }

    /// When something has to happen if nothing else does. `None`: it waits for others.
    pub fn deadline(&self, limits: &Limits) -> Option<Duration> {
        if let Some(since) = self.responses.output_since() {
            return Some(since + limits.write_timeout);
        }
        match &self.reading {
            Reading::Dead | Reading::Held(..) | Reading::Finished => None,
            Reading::Lingering(until, _) => Some(*until),
            Reading::Head(_, Some(since)) => Some(*since + limits.header_timeout),
            Reading::Head(_, None) if self.responses.is_empty() => {
                Some(self.active + limits.keep_alive_timeout)
            }
            Reading::Head(_, None) => None,
            Reading::Body(body) if body.continue_pending && !self.responses.is_empty() => None,
            Reading::Body(body) => Some(body.until),
        }
    }

    /// A deadline may have passed.
    pub fn expire(&mut self, step: &Step<'_>) -> Expired {
        let deadline = self.deadline(step.limits);
        let is_over = self.fate() == Fate::Close;
        if is_over || deadline.is_none_or(|deadline| deadline > step.now) {
            return Expired::Nothing;
        }
        if self.responses.have_output() {
            self.cut();
            return Expired::SlowReader;
        }
        let refused = match &self.reading {
            Reading::Head(_, Some(_)) => Refused::SlowHead,
            Reading::Body(_) => Refused::SlowBody,
            _ => {
                self.cut();
                return Expired::Idle;
            }
        };
        self.refuse(refused, step.now);
        Expired::Refused(refused)
    }

    fn read_head(&mut self, step: &Step<'_>) -> Result<Option<Next>, Refused> {
        let Reading::Head(search, since) = &mut self.reading else {
            return Ok(None);
        };
        if self.unread.is_empty() {
            // An idle connection holds no buffer.
            self.unread = BytesMut::new();
            return Ok(Some(Next::Wait));
        }
        let end = search.advance(&self.unread, &step.limits.head);
        let Some(end) = end.map_err(Refused::Unlawful)? else {
            since.get_or_insert(step.now);
            return Ok(Some(Next::Wait));
        };
        let raw = self.unread.split_to(end).freeze();
        let head = search.read(&raw).map_err(Refused::Unlawful)?;
        self.reading = self.begin_body(Box::new(head), step)?;
        Ok(None)
    }

    /// What is read after this head.
    fn begin_body(&self, head: Box<Head>, step: &Step<'_>) -> Result<Reading, Refused> {
        if head.framing == Framing::None {
            return Ok(Reading::Held(head, Body::default()));
        }
        let most = step.limits.max_body_bytes as u64;
        let decoder = Decoder::new(head.framing, most).map_err(Refused::Unlawful)?;
        Ok(Reading::Body(Box::new(ReadingBody {
            continue_pending: head.expects_continue && self.unread.is_empty() && !decoder.is_done(),
            decoder,
            bytes: Vec::new(),
            lease: step.bodies.lease(self.peer),
            until: step.now + step.limits.body_timeout,
            head,
        })))
    }

    fn read_body(&mut self, step: &Step<'_>) -> Result<Option<Next>, Refused> {
        let Reading::Body(body) = &mut self.reading else {
            return Ok(None);
        };
        if body.continue_pending && self.unread.is_empty() {
            if self.responses.is_empty() {
                body.continue_pending = false;
                body.until = step.now + step.limits.body_timeout;
                self.responses.push_interim(render::CONTINUE, step.now);
            }
            return Ok(Some(Next::Wait));
        }
        body.continue_pending = false;
        let progress = body.decoder.push(&self.unread, &mut body.bytes);
        let progress = progress.map_err(Refused::Unlawful)?;
        self.unread.advance(progress.consumed);
        if !body.lease.grow_to(body.bytes.len()) {
            return Err(Refused::Bodies);
        }
        if !progress.done {
            self.unread = BytesMut::new();
            return Ok(Some(Next::Wait));
        }
        let Reading::Body(body) = std::mem::replace(&mut self.reading, Reading::Finished) else {
            return Ok(None);
        };
        // An empty body is no body.
        let whole = if body.bytes.is_empty() {
            Body::default()
        } else {
            Body {
                bytes: Bytes::from(body.bytes),
                lease: Some(body.lease),
            }
        };
        self.reading = Reading::Held(body.head, whole);
        Ok(None)
    }

    /// Whether a request may be worked on beside those whose responses are owed: only safe ones may (RFC 9112 §9.3.2).
    fn may_start(&self, is_safe: bool) -> bool {
        self.responses.is_empty() || (is_safe && !self.alone)
    }

    /// Gives out the request that was held.
    fn start(&mut self, step: &Step<'_>) -> Option<Next> {
        let Reading::Held(head, body) = std::mem::replace(&mut self.reading, Reading::Finished)
        else {
            return None;
        };
        let closes = !head.keep_alive || step.stopping;
        let number = self.next_number;
        self.next_number += 1;
        self.responses.push(number, closes, step.now);
        self.alone = !head.method.is_safe();
        if closes {
            self.left_over = !self.unread.is_empty();
            self.unread = BytesMut::new();
        } else {
            self.reading = Reading::Head(Search::default(), None);
        }
        Some(Next::Request {
            number,
            head,
            body,
            closes,
        })
    }

    /// Waits for output to leave: a head that has begun has the time it may take anew.
    fn pause(&mut self) {
        if let Reading::Head(_, since) = &mut self.reading {
            *since = None;
        }
    }

    fn refuse(&mut self, refused: Refused, now: Duration) -> Next {
        self.end_with(render::refusal(refused.status(), refused.message()), now);
        Next::Refused(refused)
    }

    /// Queues this as the last response, and reads nothing more.
    fn end_with(&mut self, response: Vec<u8>, now: Duration) {
        self.finish();
        self.left_over = true;
        let number = self.next_number;
        self.next_number += 1;
        self.responses.push(number, true, now);
        let segment = Segment::new(Bytes::from(response));
        self.responses
            .add(number, Part::whole([Some(segment), None], true), now);
    }

    /// Reads no further request.
    fn finish(&mut self) {
        if !matches!(self.reading, Reading::Lingering(..) | Reading::Dead) {
            self.left_over |= !self.unread.is_empty();
            self.reading = Reading::Finished;
            self.unread = BytesMut::new();
        }
    }
}

impl Refused {
    /// The status code to answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Refused::Unlawful(refusal) => refusal.status(),
            Refused::SlowHead | Refused::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Refused::Bodies => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What is wrong and what to do about it, for a person who reads the error reply.
    pub fn message(self) -> &'static str {
        match self {
            Refused::Unlawful(refusal) => refusal.message(),
            Refused::SlowHead => "the request head took too long to arrive",
            Refused::SlowBody => "the request body took too long to arrive",
            Refused::Bodies => "too many request bodies are in memory; try again in a moment",
        }
    }
}

#[cfg(test)]
mod tests;

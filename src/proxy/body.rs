//! Bodies that are still coming when their head is here: who may have them, and how they are read (docs/decisions/0031).
//!
//! At the head it is decided. A body that must be seen whole first is gathered; one that everybody may have grows, is given to
//! all who wait and is stored when complete; every other one is its leader's alone.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::fetch::Completion;
use super::response::{FetchedResponse, Processed};
use super::{Proxy, find};
use crate::cache::flights::{FetchRequest, FetchResult, Growing, Waiter, Work};
use crate::cache::shared_body::{Room, SharedBody};
use crate::clock::Now;
use crate::message::{Response, ResponseHead, Target};
use crate::origin::Opening;
use crate::origin::permits::FlightId;
use crate::outcome::{Cause, FetchError};
use crate::policy::freshness::{Lifetime, LifetimeSource};
use crate::policy::ranges::{Serving, serving};
use crate::policy::sharing::is_conditional;
use crate::policy::storing::{Storing, is_failure};
use crate::policy::streams::{is_endless, is_stream};
use crate::policy::vary::Selecting;
use crate::reply::{Reply, Shape};

/// Growing bodies may hold at least so many bytes together, and a quarter of `maxBytes`.
const GROWING_AT_LEAST: usize = 8 * 1024 * 1024;
/// How often a thread that waits for a slow reader looks at the time.
const LOOK: Duration = Duration::from_millis(100);

/// A response whose body is still coming, and the request it answers.
pub(super) struct Coming {
    pub opening: Opening,
    /// The request's fields as the origin saw them.
    pub sent: HeaderMap,
    /// When the origin was asked.
    pub asked: Now,
    /// When the head came.
    pub received: Now,
}

/// What is done with a body that is still coming.
pub(super) enum Handling {
    /// It is awaited whole.
    Gather,
    /// Everybody it is selected for may have it as it grows.
    Grow(Lifetime, Option<Box<Selecting>>),
    /// It is the leader's alone.
    Relay,
    /// As `Relay`, and it may last for hours.
    Stream,
}

/// A body awaited whole.
pub(super) enum Gathered {
    Whole(Response),
    /// It is larger than what may be stored: this is its beginning.
    TooLarge(Opening),
}

/// The bytes that growing bodies hold together.
pub(super) struct GrowingBytes {
    held: AtomicUsize,
    most: usize,
}

/// What one growing body holds of them.
struct Held<'a> {
    of: &'a GrowingBytes,
    bytes: usize,
}

/// Ends the flight of a body that is not stored, whatever becomes of its thread.
struct Ending {
    proxy: Arc<Proxy>,
    flight: FlightId,
}

/// A body being pushed. Dropped before its end, it is broken for all who read it.
struct Pushed(Arc<SharedBody>);

impl Proxy {
    /// Decides what is done with a body that is still coming.
    pub(super) fn handling(&self, fetch_request: &FetchRequest, coming: &Coming) -> Handling {
        let request = &fetch_request.request;
        let opening = &coming.opening;
        let is_long_lived = is_stream(&opening.fields);
        let alone = if is_long_lived {
            Handling::Stream
        } else {
            Handling::Relay
        };
        if self.is_too_large(opening.length) || is_endless(&opening.fields) {
            return alone;
        }
        let is_failed = fetch_request.shared && is_failure(opening.status);
        let rule = self.routes.find(&request.target).rule;
        let is_checked = rule.check.is_some() || rule.plausibility.is_some();
        if is_failed || (is_checked && request.method == Method::GET) {
            return Handling::Gather;
        }
        if is_failure(opening.status) || fetch_request.key.is_none() {
            return alone;
        }
        let head = Response {
            status: opening.status,
            fields: opening.fields.clone(),
            body: Bytes::new(),
        };
        let times = (coming.asked, coming.received);
        match self.storing(request, &head, &coming.sent, times) {
            // Messages are a document only where their origin says so.
            Storing::Store { lifetime, .. }
                if is_long_lived && lifetime.source() != LifetimeSource::Origin =>
            {
                alone
            }
            Storing::Store {
                lifetime,
                selecting,
            } => Handling::Grow(lifetime, selecting),
            Storing::Refuse(_) => alone,
        }
    }

    /// Whether a body that is its leader's alone is awaited whole all the same, because something stored could replace it.
    pub(super) fn is_awaited_with_stale(&self, flight: FlightId, coming: &Coming) -> bool {
        let opening = &coming.opening;
        let has_end = !self.is_too_large(opening.length) && !is_endless(&opening.fields);
        let now = self.clock.now();
        has_end && self.flights.lock().waits_with_stale(flight, now)
    }

    fn is_too_large(&self, length: Option<u64>) -> bool {
        length.is_some_and(|length| length > self.config.cache.max_object_bytes as u64)
    }

    /// Awaits a body whole; nobody reads it meanwhile.
    pub(super) fn gather(&self, mut opening: Opening) -> Result<Gathered, FetchError> {
        opening.rest.set_unread(true);
        let mut body = BytesMut::from(&opening.begun[..]);
        while body.len() <= self.config.cache.max_object_bytes {
            match opening.rest.next()? {
                Some(part) => body.extend_from_slice(&part),
                None if is_short(opening.length, body.len() as u64) => {
                    return Err(FetchError::Truncated);
                }
                None => {
                    return Ok(Gathered::Whole(Response {
                        status: opening.status,
                        fields: opening.fields,
                        body: body.freeze(),
                    }));
                }
            }
        }
        opening.rest.set_unread(false);
        opening.begun = body.freeze();
        Ok(Gathered::TooLarge(opening))
    }

    /// Passes a body on to the leader as it comes; everybody else goes alone.
    pub(super) fn relay(self: &Arc<Proxy>, flight: FlightId, opening: Opening) {
        match self.open(Work::Opened(flight)) {
            Some(leader) => self.ending(flight).relay_to(leader, opening),
            None => self.give_up(flight, opening),
        }
    }

    /// The same on a thread of its own: this one is free for other requests.
    pub(super) fn stream(self: &Arc<Proxy>, flight: FlightId, opening: Opening) {
        match self.open(Work::Streams(flight)) {
            Some(leader) => {
                let ending = self.ending(flight);
                let relay = move || ending.relay_to(leader, opening);
                self.executor.stream(Box::new(relay));
            }
            None => self.give_up(flight, opening),
        }
    }

    fn ending(self: &Arc<Proxy>, flight: FlightId) -> Ending {
        Ending {
            proxy: Arc::clone(self),
            flight,
        }
    }

    /// Steps the flights with a body that is its leader's alone; answers the leader.
    fn open(&self, work: Work) -> Option<Waiter> {
        let now = self.clock.now();
        let mut leader = None;
        for work in self.step(work, now) {
            match work {
                Work::Open(first, others) => {
                    leader = first;
                    others
                        .into_iter()
                        .for_each(|waiter| self.retry_alone(waiter));
                }
                other => self.carry_out(other, now),
            }
        }
        leader
    }

    /// While a body is open the origin may go on: nobody else gets the permit before.
    fn give_up(&self, flight: FlightId, opening: Opening) {
        drop(opening);
        self.submit(Work::Ended(flight));
    }

    /// Pushes a part when the reader that sets the pace is not too far behind. False: nobody reads, or it takes nothing.
    fn push_when_there_is_room(&self, body: &SharedBody, part: Bytes) -> bool {
        let most = self.config.proxy.write_timeout;
        let mut pace = body.pace();
        let mut deadline = self.clock.now().mono + most;
        loop {
            match body.wait_for_room(LOOK) {
                Room::Free => {
                    body.push(part);
                    return true;
                }
                Room::Unread => return false,
                Room::Full => {}
            }
            let now = self.clock.now().mono;
            if body.pace() != pace {
                pace = body.pace();
                deadline = now + most;
            } else if now >= deadline {
                return false;
            }
        }
    }

    /// Reads a body that everybody it is selected for may have, to its end.
    pub(super) fn grow(
        self: &Arc<Proxy>,
        completion: &mut Completion<'_>,
        flight: FlightId,
        coming: Coming,
        (lifetime, selecting): (Lifetime, Option<Box<Selecting>>),
    ) {
        let fetch_request = completion.fetch_request;
        let Coming {
            mut opening,
            sent,
            asked,
            received,
        } = coming;
        let body = Pushed(SharedBody::new());
        let growing = self.growing(fetch_request, &opening, (lifetime, selecting), &body.0);
        let Some(growing) = growing else {
            return self.relay_instead(completion, flight, fetch_request, opening);
        };
        let mut held = Held {
            of: &self.growing,
            bytes: 0,
        };
        self.submit(Work::Grows(flight, Arc::new(growing)));
        let mut part = std::mem::take(&mut opening.begun);
        // The last part of a known length: whoever has it finds the answer stored.
        let mut last = Bytes::new();
        let ended = loop {
            let length = body.0.length() + part.len() as u64;
            if !self.is_too_large(Some(length)) && held.grow(part.len()) {
                if opening.length == Some(length) {
                    last = part;
                } else {
                    body.0.push(part);
                }
            } else {
                return self.outgrown(completion, flight, opening, &body, part, held);
            }
            opening.rest.set_unread(body.0.readers() == 0);
            match opening.rest.next() {
                Ok(Some(next)) if last.is_empty() => part = next,
                // More than was announced.
                Ok(Some(_)) => break Err(FetchError::Protocol),
                Ok(None) if is_short(opening.length, length) => break Err(FetchError::Truncated),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let whole = match ended {
            Ok(()) => body.0.whole(&last),
            Err(error) => {
                self.note_broken(&fetch_request.request.target, error);
                self.counters.failed_fetches.bump();
                return completion.with(FetchResult::failed(Cause::Fetch(error)));
            }
        };
        let response = Response {
            status: opening.status,
            fields: opening.fields,
            body: whole.unwrap_or_default(),
        };
        let fetched = FetchedResponse {
            response,
            sent,
            asked,
            received,
            confirms: None,
        };
        match self.process_response(fetch_request, fetched) {
            Processed::Complete(result) => completion.with(result),
            Processed::Pending(pending) => completion.with(pending.result),
        }
        body.0.push(last);
        body.0.complete();
    }

    /// The heads of a body that grows. `None`: it has none that could be stored.
    fn growing(
        &self,
        fetch_request: &FetchRequest,
        opening: &Opening,
        (lifetime, selecting): (Lifetime, Option<Box<Selecting>>),
        body: &Arc<SharedBody>,
    ) -> Option<Growing> {
        let mut fields = opening.fields.clone();
        self.adapt(fetch_request, &mut fields);
        let response = Response {
            status: opening.status,
            fields,
            body: Bytes::new(),
        };
        let key = fetch_request.key.as_ref()?;
        let id = self.routes.find(&fetch_request.request.target).id;
        let received = self.clock.now();
        let (stored, _) = self.rendered(key, id, &response, lifetime, selecting, received);
        Some(Growing {
            head: ResponseHead {
                status: response.status,
                fields: response.fields,
                length: opening.length,
            },
            stored: Arc::new(stored),
            body: Arc::clone(body),
        })
    }

    fn relay_instead(
        self: &Arc<Proxy>,
        completion: &mut Completion<'_>,
        flight: FlightId,
        fetch_request: &FetchRequest,
        mut opening: Opening,
    ) {
        self.adapt(fetch_request, &mut opening.fields);
        completion.leave(true);
        self.relay(flight, opening);
    }

    /// Goes on with a body that may not be stored after all: for those who read it, at the pace of one of them.
    fn outgrown(
        self: &Arc<Proxy>,
        completion: &mut Completion<'_>,
        flight: FlightId,
        mut opening: Opening,
        body: &Pushed,
        mut part: Bytes,
        held: Held<'_>,
    ) {
        completion.leave(true);
        let _ending = self.ending(flight);
        self.submit(Work::Outgrown(flight));
        body.0.window();
        drop(held);
        opening.rest.set_unread(false);
        while self.push_when_there_is_room(&body.0, part) {
            match opening.rest.next() {
                Ok(Some(next)) => part = next,
                Ok(None) if is_short(opening.length, body.0.length()) => break,
                Ok(None) => {
                    self.submit(Work::Ended(flight));
                    return body.0.complete();
                }
                Err(error) => {
                    self.note_broken(&completion.fetch_request.request.target, error);
                    break;
                }
            }
        }
        self.give_up(flight, opening);
    }

    /// Gives a growing body to one who waits, where it is for a request like this one; preconditions are answered by its head
    /// (RFC 9110 §13.2.1).
    pub(super) fn attach(&self, mut waiter: Waiter, growing: &Growing, now: Now) {
        let outcome = waiter.fetched(false);
        let is_its_own = waiter.leads && waiter.alone.is_some();
        if waiter.leads && (is_its_own || !waiter.is_particular()) {
            return match growing.body.reader() {
                Some(reader) => waiter.responder.open(&growing.head, outcome, reader),
                None => self.retry_alone(waiter),
            };
        }
        if !waiter.leads && !growing.stored.is_selected_by(&waiter.request.fields) {
            return self.retry_alone(waiter);
        }
        let Some(reader) = growing.body.reader() else {
            return self.retry_alone(waiter);
        };
        let mut head = ResponseHead {
            status: growing.head.status,
            fields: if waiter.leads {
                growing.head.fields.clone()
            } else {
                growing.stored.fields()
            },
            length: growing.head.length,
        };
        if is_conditional(&waiter.request.fields) {
            let shape = find::shape(&growing.stored, &waiter.request, true, false, now);
            if let Some(shape @ (Shape::NotModified | Shape::PreconditionFailed)) = shape {
                return waiter.responder.reply(Reply::Stored {
                    stored: Arc::clone(&growing.stored),
                    outcome,
                    now,
                    shape,
                });
            }
        }
        let reader = match self.place(&waiter, &mut head, now) {
            Place::Whole => reader,
            Place::Part(range) => reader.only(range),
            Place::Nowhere => return self.retry_alone(waiter),
        };
        waiter.responder.open(&head, outcome, reader);
    }

    /// Which bytes of a growing body answer a request; makes its head theirs.
    fn place(&self, waiter: &Waiter, head: &mut ResponseHead, now: Now) -> Place {
        let fields = &waiter.request.fields;
        let (Some(length), true) = (head.length, fields.contains_key(header::RANGE)) else {
            return Place::Whole;
        };
        if waiter.request.method != Method::GET {
            return Place::Whole;
        }
        match serving(fields, head.status, &head.fields, length, now) {
            Serving::Whole => Place::Whole,
            Serving::Part { body, of } => {
                let Ok(of) = HeaderValue::try_from(of.to_string()) else {
                    return Place::Nowhere;
                };
                head.status = StatusCode::PARTIAL_CONTENT;
                head.fields.insert(header::CONTENT_RANGE, of);
                head.length = Some(body.end.saturating_sub(body.start));
                Place::Part(body)
            }
            Serving::Unsatisfiable { .. } | Serving::NotHere => Place::Nowhere,
        }
    }

    fn note_broken(&self, target: &Target, error: FetchError) {
        log::warn!("the origin broke off {}: {error:?}", target.path());
    }
}

/// Which bytes of a growing body answer a request.
enum Place {
    Whole,
    Part(Range<u64>),
    /// That shows only when it is complete, or it has none.
    Nowhere,
}

impl Waiter {
    /// Whether it wants less than the whole, or only if something holds.
    fn is_particular(&self) -> bool {
        let fields = &self.request.fields;
        fields.contains_key(header::RANGE) || is_conditional(fields)
    }
}

impl GrowingBytes {
    /// For a store of so many bytes.
    pub(super) fn new(max_bytes: usize) -> GrowingBytes {
        GrowingBytes {
            held: AtomicUsize::new(0),
            most: GROWING_AT_LEAST.max(max_bytes / 4),
        }
    }
}

impl Held<'_> {
    /// Holds so many more. False: there are too many in all.
    fn grow(&mut self, bytes: usize) -> bool {
        let before = self.of.held.fetch_add(bytes, Ordering::AcqRel);
        self.bytes += bytes;
        before + bytes <= self.of.most
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Ending {
    /// The permit goes back before the last byte is passed on: whoever has seen the end finds it free.
    fn relay_to(&self, mut leader: Waiter, mut opening: Opening) {
        let Ending { proxy, flight } = self;
        let outcome = leader.fetched(false);
        let body = Pushed(SharedBody::windowed());
        let head = ResponseHead {
            status: opening.status,
            fields: std::mem::take(&mut opening.fields),
            length: opening.length,
        };
        if let Some(reader) = body.0.reader() {
            leader.responder.open(&head, outcome, reader);
        }
        let mut left = opening.length;
        let mut part = std::mem::take(&mut opening.begun);
        loop {
            left = left.map(|left| left.saturating_sub(part.len() as u64));
            if left == Some(0) {
                proxy.submit(Work::Ended(*flight));
            }
            if !proxy.push_when_there_is_room(&body.0, part) {
                break;
            }
            match opening.rest.next() {
                Ok(Some(next)) => part = next,
                Ok(None) => {
                    proxy.submit(Work::Ended(*flight));
                    if left.is_none_or(|left| left == 0) {
                        body.0.complete();
                    }
                    return;
                }
                Err(error) => {
                    proxy.note_broken(&leader.request.target, error);
                    break;
                }
            }
        }
        proxy.give_up(*flight, opening);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.proxy.submit(Work::Ended(self.flight));
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        self.0.fail();
    }
}

fn is_short(announced: Option<u64>, length: u64) -> bool {
    announced.is_some_and(|announced| length < announced)
}

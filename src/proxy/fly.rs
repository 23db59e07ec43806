//! The flight itself, on an origin worker's thread: ask, with what is stored to be confirmed; judge; land.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::land::refuses_head;
use super::witness::{Doubt, Held};
use super::{Proxy, ROLE};
use crate::cache::flights::{Errand, Landing, Shared, Work};
use crate::cache::key::Key;
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::config::OriginUrl;
use crate::message::{Request, Response, Target};
use crate::origin::permits::FlightId;
use crate::origin::{Fetched, Origin, OriginRequest, forward};
use crate::outcome::{Cause, FetchError};
use crate::policy::directives::{Word, fields_to_confirm};
use crate::policy::home::HomeVerdict;
use crate::policy::rule::{Rule, SetCookie};
use crate::policy::storing::{Exchange, Refusal, Storing, is_failure, may_store};
use crate::policy::{dates, invalidation, ranges, validation};
use crate::reply;

/// What becomes of a whole response.
enum Judgement {
    /// The flight lands with this.
    Lands(Landing),
    /// It lands when its witness was heard.
    Held(Held),
}

/// A whole response, and how it came.
struct Came {
    response: Response,
    /// The request's fields as the origin saw them.
    sent: HeaderMap,
    asked: Now,
    /// The origin only confirmed what was stored.
    validated: bool,
}

/// What is stored for an errand while its origin is asked: what a 304 may confirm, or what a part completes.
#[derive(Default)]
struct Known {
    stored: Vec<Arc<Stored>>,
    fields: Vec<HeaderMap>,
}

/// What the origin answered.
enum Asked {
    Whole(Came),
    Opening(crate::origin::Opening),
}

/// Says that a flight is over however its worker ends, a panic included (I5): nobody waits for a dead leader.
struct Landed<'a> {
    proxy: &'a Proxy,
    flight: Option<FlightId>,
    errand: &'a Errand,
    /// When the origin was asked.
    asked: Now,
}

impl Proxy {
    /// Flies an errand: asks the origin and tells everybody waiting. Blocks on the origin, with its timeouts.
    pub fn fly(self: &Arc<Proxy>, flight: FlightId, errand: &Errand, origin: &mut dyn Origin) {
        let asked = self.clock.now();
        let mut landed = Landed { proxy: self, flight: Some(flight), errand, asked };
        match self.ask(errand, origin) {
            Ok(Asked::Whole(came)) => match self.judge(flight, errand, came) {
                Judgement::Lands(landing) => landed.with(landing),
                Judgement::Held(held) => {
                    landed.leave(true);
                    self.hold(flight, held);
                }
            },
            Ok(Asked::Opening(opening)) if errand.shared && is_failure(opening.status) => {
                let retry_after = self.retry_after(&opening.fields);
                let cause = Cause::Status(opening.status.as_u16());
                landed.with(Landing::Failed { cause, response: None, retry_after, keeps: None });
            }
            Ok(Asked::Opening(mut opening)) => {
                self.adapt(errand, &mut opening.fields);
                self.after_unsafe(flight, errand, opening.status, &opening.fields);
                // How long the body takes is its reader's doing, too.
                self.note_fetch(errand, asked, true);
                self.pass_on(flight, opening);
                landed.flight = None;
            }
            Err(error) => {
                self.counters.failed_fetches.bump();
                landed.with(Landing::failed(Cause::Fetch(error)));
            }
        }
    }

    /// Asks the origin; a second time and without conditions where it speaks of what is not stored.
    fn ask(&self, errand: &Errand, origin: &mut dyn Origin) -> Result<Asked, FetchError> {
        let known = self.known_for(errand);
        let mut request = self.origin_request(errand, &known);
        if known.is_asked_about() {
            let asked = self.clock.now();
            let fetched = self.dated(origin.fetch(&request)?);
            match known.apply(fetched) {
                Applied::Not(fetched) => return Ok(Asked::of(fetched, request.fields, asked)),
                Applied::Yes { response, validated } => {
                    return Ok(Asked::Whole(Came { response, sent: request.fields, asked, validated }));
                }
                Applied::Useless => request = self.origin_request(errand, &Known::default()),
            }
        }
        let asked = self.clock.now();
        let fetched = self.dated(origin.fetch(&request)?);
        Ok(Asked::of(fetched, request.fields, asked))
    }

    /// A response without Date gets that of its reception (RFC 9110 §6.6.1).
    fn dated(&self, mut fetched: Fetched) -> Fetched {
        let fields = match &mut fetched {
            Fetched::Whole(response) => &mut response.fields,
            Fetched::Opening(opening) => &mut opening.fields,
        };
        if !fields.contains_key(header::DATE)
            && let Ok(now) = HeaderValue::from_str(dates::imf_fixdate(self.clock.now().wall).as_str())
        {
            fields.insert(header::DATE, now);
        }
        fetched
    }

    /// Hands an errand to the crew; should that fail, nobody waits for it.
    pub(super) fn send_out(&self, flight: FlightId, errand: Errand) {
        let asked = self.clock.now();
        let mut landed = Landed { proxy: self, flight: Some(flight), errand: &errand, asked };
        self.crew.fetch(flight, errand.clone());
        landed.flight = None;
    }

    /// What is stored for an errand that everybody shares: the response it would replace, else all whose tags may turn out to
    /// be this one's too (RFC 9111 §4.1).
    fn known_for(&self, errand: &Errand) -> Known {
        let Some(variants) = errand.shared_key().and_then(|key| self.store.peek(key.as_str())) else {
            return Known::default();
        };
        let stored = match variants.select(&errand.request.fields) {
            Some(selected) => vec![Arc::clone(selected)],
            None => variants.iter().filter(|stored| stored.status == StatusCode::OK).cloned().collect(),
        };
        let fields = stored.iter().map(|stored| stored.fields()).collect();
        Known { stored, fields }
    }

    fn origin_request(&self, errand: &Errand, known: &Known) -> OriginRequest {
        let request = &errand.request;
        let sharing = if errand.shared { forward::Sharing::Shared } else { forward::Sharing::Alone };
        let trusted = self.config.proxy.trusts(request.peer);
        let has_body = request.body.lease.is_some();
        let selecting = known.stored.first().and_then(|stored| stored.selecting.as_deref());
        let mut fields = forward::forwarded(request, sharing, &self.via, trusted, selecting);
        forward::strip(&mut fields, self.routes.find(&request.target).rule);
        known.ask_in(&mut fields);
        OriginRequest {
            method: request.method.clone(),
            target: request.target.clone(),
            fields,
            body: has_body.then(|| request.body.bytes.clone()),
            repeatable: !has_body && matches!(request.method, Method::GET | Method::HEAD),
        }
    }
}

impl Landed<'_> {
    fn with(&mut self, landing: Landing) {
        if let Some(flight) = self.leave(!matches!(landing, Landing::Failed { .. })) {
            self.proxy.submit(Work::Landed(flight, landing));
        }
    }

    /// The fetch is over, with an answer or without; what becomes of the flight is the caller's.
    fn leave(&mut self, good: bool) -> Option<FlightId> {
        if self.flight.is_some() {
            self.proxy.note_fetch(self.errand, self.asked, good);
        }
        self.flight.take()
    }
}

impl Drop for Landed<'_> {
    fn drop(&mut self) {
        self.with(Landing::failed(Cause::Panicked));
    }
}

//! The flight itself, on an origin worker's thread: ask, judge, store, land; and what everybody aboard is told.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::witness::{Doubt, Held};
use super::{Proxy, ROLE, interim, plain};
use crate::cache::flights::{Arrival, Errand, Landing, Passenger, Work};
use crate::cache::key::Key;
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::config::OriginUrl;
use crate::message::{Request, Response};
use crate::origin::permits::FlightId;
use crate::origin::{Fetched, Opening, Origin, OriginRequest, forward};
use crate::outcome::{Cause, Fwd, Outcome};
use crate::policy::dates;
use crate::policy::home::HomeVerdict;
use crate::policy::rule::{Rule, SetCookie};
use crate::policy::storing::{Exchange, Refusal, Storing, may_store};
use crate::reply::{self, Failure, Reply};

/// What becomes of a whole response.
enum Judgement {
    /// The flight lands with this.
    Lands(Landing),
    /// It lands when its witness was heard.
    Held(Held),
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
        match origin.fetch(&self.origin_request(errand)) {
            Ok(Fetched::Whole(mut response)) => {
                self.date(&mut response.fields);
                match self.judge(errand, response, asked) {
                    Judgement::Lands(landing) => landed.with(landing),
                    Judgement::Held(held) => {
                        landed.leave(true);
                        self.hold(flight, held);
                    }
                }
            }
            Ok(Fetched::Opening(opening)) if errand.shared && is_failure(opening.status) => {
                let retry_after = self.retry_after(&opening.fields);
                let cause = Cause::Status(opening.status.as_u16());
                landed.with(Landing::Failed { cause, response: None, retry_after });
            }
            Ok(Fetched::Opening(mut opening)) => {
                self.date(&mut opening.fields);
                self.adapt(errand, &mut opening.fields);
                self.after_unsafe(errand, opening.status);
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

    /// A response without Date gets that of its reception (RFC 9110 §6.6.1).
    fn date(&self, fields: &mut HeaderMap) {
        if !fields.contains_key(header::DATE)
            && let Ok(now) = HeaderValue::from_str(dates::imf_fixdate(self.clock.now().wall).as_str())
        {
            fields.insert(header::DATE, now);
        }
    }

    /// Hands an errand to the crew; should that fail, nobody waits for it.
    pub(super) fn send_out(&self, flight: FlightId, errand: Errand) {
        let asked = self.clock.now();
        let mut landed = Landed { proxy: self, flight: Some(flight), errand: &errand, asked };
        self.crew.fetch(flight, errand.clone());
        landed.flight = None;
    }

    fn origin_request(&self, errand: &Errand) -> OriginRequest {
        let request = &errand.request;
        let sharing = if errand.shared { forward::Sharing::Shared } else { forward::Sharing::Alone };
        let trusted = self.config.proxy.trusts(request.peer);
        let has_body = request.body.lease.is_some();
        let mut fields = forward::forwarded(request, sharing, &self.via, trusted);
        let rule = self.routes.find(&request.target).rule;
        forward::strip(&mut fields, rule);
        OriginRequest {
            method: request.method.clone(),
            target: request.target.clone(),
            fields,
            body: has_body.then(|| request.body.bytes.clone()),
            repeatable: !has_body && matches!(request.method, Method::GET | Method::HEAD),
            herald: errand.herald.clone().map(|herald| interim::as_the_route_wants(herald, rule)),
        }
    }

    /// Turns a whole response into what the flight lands with.
    fn judge(&self, errand: &Errand, mut response: Response, asked: Now) -> Judgement {
        self.after_unsafe(errand, response.status);
        let (request, status, received) = (&errand.request, response.status, self.clock.now());
        let route = self.routes.find(&request.target);
        let verdict = may_store(&Exchange {
            method: &request.method,
            request: &request.fields,
            has_body: request.body.lease.is_some(),
            identity: !errand.shared,
            status,
            response: &response.fields,
            body: &response.body,
            rule: route.rule,
            default_applies: route.default_applies,
            defaults: &self.config.cache.defaults,
            asked,
            received,
        });
        self.adapt(errand, &mut response.fields);
        if is_failure(status) && !refuses_head(&request.method, status) {
            let retry_after = self.retry_after(&response.fields);
            let cause = Cause::Status(status.as_u16());
            if let (None, true, Some(seconds)) = (retry_after, errand.safe, cause.retry_after()) {
                response.fields.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            return Judgement::Lands(Landing::Failed { cause, response: Some(Arc::new(response)), retry_after });
        }
        let home = self.judge_by_home(request, route.rule, &response, received);
        let body = response.body.clone();
        let landing = match (verdict, &errand.key) {
            (Storing::Refuse(Refusal::CheckFailed(_)), _) => Landing::failed(Cause::CheckFailed),
            _ if matches!(home, HomeVerdict::Bad(_)) => Landing::failed(Cause::CheckFailed),
            (Storing::Store(lifetime), Some(key)) => {
                let head = reply::stored_head(&response, &lifetime, received, &self.via);
                let stored =
                    Stored { key: key.clone(), status, head, body: body.clone(), lifetime, hits: AtomicU32::new(0) };
                Landing::Shared(Arc::new(stored))
            }
            _ => Landing::Unshared(Arc::new(response)),
        };
        let doubt = match (home, route.rule.home) {
            (HomeVerdict::NeedsWitness, _) => Doubt::Level,
            (HomeVerdict::NeedsMeters, Some(kind)) => Doubt::Emptiness(kind, request.target.clone()),
            _ => return Judgement::Lands(landing),
        };
        Judgement::Held(Held { landing, body, doubt })
    }

    /// What the answer means in this home, where the route asks.
    fn judge_by_home(&self, request: &Request, rule: &Rule, response: &Response, now: Now) -> HomeVerdict {
        match rule.home {
            Some(kind) if request.method == Method::GET && response.status.is_success() => {
                self.home.lock().judge(request.target.as_str(), kind, &response.body, now)
            }
            _ => HomeVerdict::Good,
        }
    }

    /// Makes the fields of an answer what the route wants them to be for its clients.
    fn adapt(&self, errand: &Errand, fields: &mut HeaderMap) {
        let rule = self.routes.find(&errand.request.target).rule;
        if rule.set_cookie == SetCookie::Strip {
            fields.remove(header::SET_COOKIE);
        }
        if rule.cors {
            fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        if let (true, OriginUrl::Http(authority)) = (rule.own_location, &self.config.backend.origin) {
            forward::make_location_ours(fields, authority);
        }
    }

    /// When the origin wants to be asked again (RFC 9110 §10.2.3): seconds, or a date.
    fn retry_after(&self, fields: &HeaderMap) -> Option<Duration> {
        let text = fields.get(header::RETRY_AFTER)?.as_bytes();
        let seconds = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
        let now = self.clock.now();
        let until = || u64::try_from(dates::parse(text, now)?).ok()?.checked_sub(now.wall.as_secs());
        seconds.or_else(until).map(Duration::from_secs)
    }

    /// A successful unsafe request makes what is stored for its target worthless (RFC 9111 §4.4).
    fn after_unsafe(&self, errand: &Errand, status: StatusCode) {
        if !errand.safe && (status.is_success() || status.is_redirection()) {
            self.invalidate(&errand.request.target);
        }
    }

    /// Passes a body on as it comes, to the leader; everybody else goes alone.
    fn pass_on(&self, flight: FlightId, opening: Opening) {
        let now = self.clock.now();
        let mut leader = None;
        for work in self.step(Work::Opened(flight), now) {
            match work {
                Work::Open(first, others) => {
                    leader = first;
                    others.into_iter().for_each(|passenger| self.send_alone(passenger));
                }
                other => self.carry_out(other, now),
            }
        }
        match leader {
            Some(leader) => self.pass_on_to(leader, flight, opening),
            None => self.submit(Work::Ended(flight)),
        }
    }

    /// The permit goes back before the last byte is passed on: whoever has seen the end finds it free.
    fn pass_on_to(&self, mut leader: Passenger, flight: FlightId, mut opening: Opening) {
        let outcome = leader.fetched(false);
        let mut sink = leader.responder.open(&opening, outcome);
        let mut left = opening.length;
        let mut part = std::mem::take(&mut opening.begun);
        loop {
            left = left.map(|left| left.saturating_sub(part.len() as u64));
            if left == Some(0) {
                self.submit(Work::Ended(flight));
            }
            if !part.is_empty() && !sink.pass_on(part) {
                break;
            }
            match opening.rest.next() {
                Ok(Some(next)) => part = next,
                Ok(None) => {
                    self.submit(Work::Ended(flight));
                    return sink.end();
                }
                // The sink is dropped before its end: the client sees that the body was cut.
                Err(error) => {
                    log::warn!("the origin broke off {}: {error:?}", leader.request.target.path());
                    break;
                }
            }
        }
        self.submit(Work::Ended(flight));
    }

    /// Tells everybody aboard how the flight ended, each by what it may have.
    pub(super) fn answer_all(&self, passengers: Vec<Passenger>, landing: &Landing, now: Now) {
        if let Landing::Shared(stored) = landing {
            self.statistics.missed(&stored.key, passengers.len());
        }
        for mut passenger in passengers {
            match landing {
                Landing::Found(stored) => {
                    stored.count_hit();
                    passenger.tell(stored, Outcome::Hit, now);
                }
                Landing::Shared(stored) => {
                    let outcome = passenger.fetched(true);
                    passenger.tell(stored, outcome, now);
                }
                Landing::Unshared(response) if refuses_head(&passenger.request.method, response.status) => {
                    self.ask_as_get(passenger);
                }
                Landing::Unshared(response) if passenger.leads => {
                    let outcome = passenger.fetched(false);
                    passenger.responder.reply(Reply::Relayed { response: Arc::clone(response), outcome });
                }
                Landing::Unshared(_) => self.send_alone(passenger),
                Landing::Failed { cause, response, retry_after } => {
                    passenger.settle(*cause, response.as_ref(), *retry_after, now);
                }
            }
        }
    }

    /// A follower whose answer could not be shared asks for itself, at once and in parallel.
    fn send_alone(&self, mut passenger: Passenger) {
        passenger.leads = false;
        let shared = passenger.alone.is_none();
        let key = shared.then(|| Key::new(None, ROLE, &passenger.request.target));
        let poll = key.as_ref().and_then(|_| self.polls.place_of(&passenger.request.target));
        let request = Arc::clone(&passenger.request);
        let herald = passenger.responder.herald();
        let errand = Errand { request, key, shared, joinable: shared, even_if_fresh: false, poll, safe: true, herald };
        self.submit(Work::Arrived(Arrival { passenger: Some(passenger), errand }));
    }

    /// The origin knows no HEAD: the answer to GET tells the same, and is stored.
    fn ask_as_get(&self, mut passenger: Passenger) {
        passenger.request = Arc::new(plain(&passenger.request));
        passenger.alone = None;
        passenger.fwd = if passenger.stale.is_some() { Fwd::Stale } else { Fwd::UriMiss };
        self.send_alone(passenger);
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

impl Passenger {
    /// Sends what is stored if the cause allows it, else what the origin said to its leader, else our error.
    /// `wait`: how long the origin is not asked again, where that is known.
    pub(super) fn settle(&mut self, cause: Cause, response: Option<&Arc<Response>>, wait: Option<Duration>, now: Now) {
        let stale = self.stale.take().filter(|stored| stored.serves_despite(cause, now));
        let reply = match (stale, response) {
            (Some(stored), _) => {
                stored.count_hit();
                Reply::Stored { stored, outcome: Outcome::Stale { because: cause }, now }
            }
            (None, Some(response)) if self.leads => {
                Reply::Relayed { response: Arc::clone(response), outcome: self.fetched(false) }
            }
            (None, _) => {
                Reply::Failed(Failure { cause, backoff: wait.map(|wait| wait.as_secs() + 1), cors: self.cors })
            }
        };
        self.responder.reply(reply);
    }

    fn tell(&mut self, stored: &Arc<Stored>, outcome: Outcome, now: Now) {
        self.responder.reply(Reply::Stored { stored: Arc::clone(stored), outcome, now });
    }

    fn fetched(&self, stored: bool) -> Outcome {
        match self.alone {
            Some(detail) => Outcome::Alone { fwd: self.fwd, detail },
            None => Outcome::Fetched { fwd: self.fwd, stored, collapsed: !self.leads },
        }
    }
}

/// Statuses that are no answer but a failure of the origin.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// The origin has no HEAD: GET will tell (FEATURES C7; pypowerwall answers 501).
fn refuses_head(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD && matches!(status, StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED)
}

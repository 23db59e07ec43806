//! The fetch itself, on an origin worker's thread: ask, with what is stored to be confirmed; process the response; complete.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::response::{FetchedResponse, Processed};
use super::{Proxy, interim};
use crate::cache::flights::{FetchRequest, FetchResult, Work};
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::message::Response;
use crate::origin::permits::{Class, FlightId};
use crate::origin::{Fetched, Opening, Origin, OriginRequest, forward};
use crate::outcome::{Cause, FetchError};
use crate::policy::freshness::Lifetime;
use crate::policy::ranges::Joined;
use crate::policy::storing::{is_failure, stores_cookies};
use crate::policy::{dates, ranges, validation};

/// What is stored for a fetch request while its origin is asked: what a 304 may confirm, or what a part completes.
#[derive(Default)]
struct Known {
    stored: Vec<Arc<Stored>>,
    fields: Vec<HeaderMap>,
    /// Whose selecting fields go to the origin, whether or not it can be confirmed.
    selecting: Option<Arc<Stored>>,
    /// The fetch request's request selects none of them: only their tags may tell that one is what it asks for.
    are_others: bool,
}

/// What an answer is, seen beside what is stored.
enum Applied {
    /// An answer by itself.
    Itself(Fetched),
    /// It made a whole response of what is stored.
    Whole {
        response: Response,
        /// The lifetime of what it confirmed (RFC 9111 §4.3.4). `None`: it completed it.
        confirms: Option<Lifetime>,
        /// The Set-Cookie lines of the answer: they are its client's.
        cookies: Vec<HeaderValue>,
    },
    /// It speaks of something that is not stored.
    Useless,
}

/// What the origin answered.
enum Asked {
    Whole(FetchedResponse),
    Opening(Opening),
    /// Something about what is not stored.
    Useless,
}

/// Says that a flight is over however its worker ends, a panic included (I5): nobody waits for a dead leader.
struct Completion<'a> {
    proxy: &'a Proxy,
    flight: Option<FlightId>,
    fetch_request: &'a FetchRequest,
    /// When the origin was asked.
    asked: Now,
}

impl Proxy {
    /// Carries out a fetch request: asks the origin and tells everybody waiting. Blocks on the origin, with its timeouts.
    pub fn fetch(
        self: &Arc<Proxy>,
        flight: FlightId,
        fetch_request: &FetchRequest,
        origin: &mut dyn Origin,
    ) {
        if let Some(stored) = self.found_meanwhile(fetch_request) {
            return self.submit(Work::Completed(flight, FetchResult::Found(stored)));
        }
        let asked = self.clock.now();
        let mut completion = Completion {
            proxy: self,
            flight: Some(flight),
            fetch_request,
            asked,
        };
        match self.ask(fetch_request, origin) {
            Ok(Asked::Whole(fetched)) => {
                let response = &fetched.response;
                self.invalidate_after(flight, fetch_request, response.status, &response.fields);
                match self.process_response(fetch_request, fetched) {
                    Processed::Complete(result) => completion.with(result),
                    Processed::Pending(pending) => {
                        completion.leave(true);
                        self.await_confirmation(flight, pending);
                    }
                }
            }
            Ok(Asked::Opening(opening)) if fetch_request.shared && is_failure(opening.status) => {
                let retry_after = self.retry_after(&opening.fields);
                let cause = Cause::Status(opening.status.as_u16());
                let counts_as_failure = retry_after.is_some()
                    || self.status_counts_as_failure(&fetch_request.request, cause, asked);
                completion.with(FetchResult::Failed {
                    cause,
                    response: None,
                    retry_after,
                    keeps: None,
                    counts_as_failure,
                });
            }
            Ok(Asked::Opening(mut opening)) => {
                self.adapt(fetch_request, &mut opening.fields);
                self.invalidate_after(flight, fetch_request, opening.status, &opening.fields);
                // How long the body takes is its reader's doing, too.
                self.note_fetch(fetch_request, asked, true);
                self.pass_on(flight, opening);
                completion.flight = None;
            }
            Ok(Asked::Useless) => {
                completion.leave(true);
                self.submit(Work::Plainly(flight));
            }
            Err(error) => {
                self.counters.failed_fetches.bump();
                completion.with(FetchResult::failed(Cause::Fetch(error)));
            }
        }
    }

    /// A request with custom fields waits for its permit alone: meanwhile others may have fetched what it may have, too.
    fn found_meanwhile(&self, fetch_request: &FetchRequest) -> Option<Arc<Stored>> {
        if fetch_request.shared || fetch_request.joins.is_none() || fetch_request.even_if_fresh {
            return None;
        }
        self.fresh_for(fetch_request, Class::Background, self.clock.now())
    }

    /// Asks the origin, with conditions where something is stored and nothing speaks against them.
    fn ask(
        &self,
        fetch_request: &FetchRequest,
        origin: &mut dyn Origin,
    ) -> Result<Asked, FetchError> {
        let known = self.known_for(fetch_request);
        let mut request = self.origin_request(fetch_request, &known);
        let is_plain = fetch_request.plain || known.stored.is_empty();
        if !is_plain {
            known.ask_in(&mut request.fields);
        }
        let asked = self.clock.now();
        let fetched = self.dated(origin.fetch(&request)?);
        if is_unasked_304(&request, &fetched) {
            return Err(FetchError::Protocol);
        }
        let applied = if is_plain {
            Applied::Itself(fetched)
        } else {
            let rule = self.routes.find(&request.target).rule;
            let stores_cookies = stores_cookies(rule, &self.config.cache.defaults);
            known.apply(fetched, stores_cookies)
        };
        Ok(match applied {
            Applied::Itself(fetched) => Asked::of(fetched, request.fields, asked),
            Applied::Whole {
                response,
                confirms,
                cookies,
            } => Asked::Whole(FetchedResponse {
                response,
                sent: request.fields,
                asked,
                confirms,
                cookies,
            }),
            Applied::Useless => Asked::Useless,
        })
    }

    /// A response without Date gets that of its reception (RFC 9110 §6.6.1).
    fn dated(&self, mut fetched: Fetched) -> Fetched {
        let fields = match &mut fetched {
            Fetched::Whole(response) => &mut response.fields,
            Fetched::Opening(opening) => &mut opening.fields,
        };
        if !fields.contains_key(header::DATE)
            && let Ok(now) =
                HeaderValue::from_str(dates::imf_fixdate(self.clock.now().wall).as_str())
        {
            fields.insert(header::DATE, now);
        }
        fetched
    }

    /// Hands a fetch request to the executor; should that fail, nobody waits for it.
    pub(super) fn send_out(&self, flight: FlightId, fetch_request: FetchRequest) {
        let asked = self.clock.now();
        let mut completion = Completion {
            proxy: self,
            flight: Some(flight),
            fetch_request: &fetch_request,
            asked,
        };
        self.executor.fetch(flight, fetch_request.clone());
        completion.flight = None;
    }

    /// What is stored for a fetch request that others may join: the response it would replace, else all that a strong tag may show
    /// to be this one's too (RFC 9111 §4.1). A weak one may stand for several codings of one thing.
    fn known_for(&self, fetch_request: &FetchRequest) -> Known {
        if !fetch_request.shared {
            return self.known_for_custom(fetch_request);
        }
        let Some(variants) = fetch_request
            .shared_key()
            .and_then(|key| self.store.peek(key.as_str()))
        else {
            return Known::default();
        };
        let selected = variants.select(&fetch_request.request.fields);
        let selecting = selected.or(Some(variants.newest())).cloned();
        let pair = |stored: &Arc<Stored>| (Arc::clone(stored), stored.fields());
        let is_told_apart = |(stored, fields): &(Arc<Stored>, HeaderMap)| {
            stored.status == StatusCode::OK && validation::has_strong_tag(fields)
        };
        let (stored, fields) = match selected {
            Some(selected) => (vec![Arc::clone(selected)], vec![selected.fields()]),
            None => variants.iter().map(pair).filter(is_told_apart).unzip(),
        };
        Known {
            stored,
            fields,
            selecting,
            are_others: selected.is_none(),
        }
    }

    /// What a request with custom fields may be answered with, if the origin confirms it.
    fn known_for_custom(&self, fetch_request: &FetchRequest) -> Known {
        let request = &fetch_request.request;
        let key = fetch_request.key.as_ref();
        let stored = key
            .filter(|_| fetch_request.joins.is_some())
            .and_then(|key| self.store.peek(key.as_str()))
            .and_then(|variants| variants.into_selected(&request.fields))
            .filter(|stored| self.is_for_custom(stored, request));
        let Some(stored) = stored else {
            return Known::default();
        };
        Known {
            fields: vec![stored.fields()],
            stored: vec![stored],
            selecting: None,
            are_others: false,
        }
    }

    fn origin_request(&self, fetch_request: &FetchRequest, known: &Known) -> OriginRequest {
        let request = &fetch_request.request;
        let rule = self.routes.find(&request.target).rule;
        let trusted = self.config.proxy.trusts(request.peer);
        let has_body = request.body.lease.is_some();
        let related = fetch_request
            .related_key
            .as_ref()
            .and_then(|key| self.store.peek(key.as_str()));
        let selecting = known
            .selecting
            .as_ref()
            .or(related.as_ref().map(|related| related.newest()))
            .and_then(|stored| stored.selecting.as_deref());
        let form = if fetch_request.is_canonical() {
            forward::Form::Canonical {
                selecting,
                rule,
                conditions: !fetch_request.shared,
            }
        } else {
            forward::Form::Own
        };
        let mut fields = forward::forwarded(request, form, &self.via, trusted);
        forward::strip(&request.method, &mut fields, rule);
        if fetch_request.shared && rule.poll_interval.is_some() {
            // What the clock fetches has no client whose codings it could ask for; all take it as it is.
            fields.remove(header::ACCEPT_ENCODING);
        }
        OriginRequest {
            method: request.method.clone(),
            target: request.target.clone(),
            fields,
            body: has_body.then(|| request.body.bytes.clone()),
            interim_sink: fetch_request
                .interim_sink
                .clone()
                .map(|interim_sink| interim::as_the_route_wants(interim_sink, rule)),
            repeatable: fetch_request.is_repeatable(),
        }
    }
}

/// A 304 to a request without a precondition that could have brought it (RFC 9110 §15.4.5): there is nothing it speaks of.
fn is_unasked_304(request: &OriginRequest, fetched: &Fetched) -> bool {
    let status = match fetched {
        Fetched::Whole(response) => response.status,
        Fetched::Opening(opening) => opening.status,
    };
    let asks = |name| request.fields.contains_key(name);
    status == StatusCode::NOT_MODIFIED
        && matches!(request.method, Method::GET | Method::HEAD)
        && !asks(header::IF_NONE_MATCH)
        && !asks(header::IF_MODIFIED_SINCE)
}

impl Asked {
    fn of(fetched: Fetched, sent: HeaderMap, asked: Now) -> Asked {
        match fetched {
            Fetched::Whole(response) => Asked::Whole(FetchedResponse {
                response,
                sent,
                asked,
                confirms: None,
                cookies: Vec::new(),
            }),
            Fetched::Opening(opening) => Asked::Opening(opening),
        }
    }
}

impl Known {
    /// The part that is stored, where it is the beginning of the whole.
    fn beginning(&self) -> Option<(&Arc<Stored>, &HeaderMap)> {
        let stored = self
            .stored
            .first()
            .filter(|stored| stored.status == StatusCode::PARTIAL_CONTENT)?;
        Some((stored, self.fields.first()?))
    }

    /// Puts conditions in a request: send the rest of what is stored in part, or nothing if it is as stored.
    fn ask_in(&self, request: &mut HeaderMap) {
        match self.beginning() {
            Some((stored, fields)) => {
                if let Some((range, validator)) = ranges::rest_of(fields, stored.body.len() as u64)
                    && let Ok(range) = HeaderValue::from_str(&range)
                {
                    request.insert(header::RANGE, range);
                    request.insert(header::IF_RANGE, validator);
                }
            }
            None => {
                validation::ask(request, &self.fields);
                if self.are_others {
                    request.remove(header::IF_MODIFIED_SINCE);
                }
            }
        }
    }

    /// Whether this answer to that request is about what is stored, and what it then is.
    ///
    /// Unless cookies are stored for everybody, those of the answer are set apart.
    fn apply(&self, mut fetched: Fetched, stores_cookies: bool) -> Applied {
        let cookies = match &mut fetched {
            Fetched::Whole(answer) if !stores_cookies && is_about_stored(answer.status) => {
                take_cookies(&mut answer.fields)
            }
            _ => Vec::new(),
        };
        let answer = match &fetched {
            Fetched::Whole(answer) => answer,
            // The rest alone, passed on as it comes, is not what its client asks for.
            Fetched::Opening(rest)
                if rest.status == StatusCode::PARTIAL_CONTENT && self.beginning().is_some() =>
            {
                return Applied::Useless;
            }
            Fetched::Opening(_) => return Applied::Itself(fetched),
        };
        match (answer.status, self.beginning()) {
            (StatusCode::NOT_MODIFIED, None) => {
                let confirmed = validation::confirmed(&answer.fields, &self.fields);
                let Some((stored, fields)) =
                    confirmed.and_then(|at| self.stored.get(at).zip(self.fields.get(at)))
                else {
                    return Applied::Useless;
                };
                let fields = validation::freshen(fields, &answer.fields);
                let response = Response {
                    status: stored.status,
                    fields,
                    body: stored.body.clone(),
                };
                Applied::Whole {
                    response,
                    confirms: Some(stored.lifetime),
                    cookies,
                }
            }
            (StatusCode::PARTIAL_CONTENT, Some((stored, fields))) => {
                let joined = ranges::join((fields, &stored.body), (&answer.fields, &answer.body));
                let is_whole = |joined: &Joined| {
                    joined.first == 0 && joined.complete == Some(joined.body.len() as u64)
                };
                let Some(whole) = joined.filter(is_whole) else {
                    return Applied::Useless;
                };
                let mut fields = validation::freshen(fields, &answer.fields);
                fields.remove(header::CONTENT_RANGE);
                let response = Response {
                    status: StatusCode::OK,
                    fields,
                    body: Bytes::from(whole.body),
                };
                Applied::Whole {
                    response,
                    confirms: None,
                    cookies,
                }
            }
            (StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::NOT_MODIFIED, Some(_)) => {
                Applied::Useless
            }
            _ => Applied::Itself(fetched),
        }
    }
}

/// Whether an answer only adds to what is stored; another one is put in its place, with all its fields.
fn is_about_stored(status: StatusCode) -> bool {
    status == StatusCode::NOT_MODIFIED
}

fn take_cookies(fields: &mut HeaderMap) -> Vec<HeaderValue> {
    let cookies = fields.get_all(header::SET_COOKIE).iter().cloned().collect();
    fields.remove(header::SET_COOKIE);
    cookies
}

impl Completion<'_> {
    fn with(&mut self, result: FetchResult) {
        if let Some(flight) = self.leave(!matches!(result, FetchResult::Failed { .. })) {
            self.proxy.submit(Work::Completed(flight, result));
        }
    }

    /// The fetch is over, with an answer or without; what becomes of the flight is the caller's.
    fn leave(&mut self, good: bool) -> Option<FlightId> {
        if self.flight.is_some() {
            self.proxy.note_fetch(self.fetch_request, self.asked, good);
        }
        self.flight.take()
    }
}

impl Drop for Completion<'_> {
    fn drop(&mut self) {
        self.with(FetchResult::failed(Cause::Panicked));
    }
}

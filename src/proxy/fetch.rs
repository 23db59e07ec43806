//! The fetch itself, on an origin worker's thread: ask, with what is stored to be confirmed; process the response; complete.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::body::{Coming, Gathered, Handling};
use super::response::{FetchedResponse, Processed};
use super::{Proxy, interim};
use crate::cache::flights::{FetchRequest, FetchResult, Work};
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::message::Response;
use crate::origin::permits::FlightId;
use crate::origin::{Fetched, Origin, OriginRequest, forward};
use crate::outcome::{Cause, FetchError};
use crate::policy::freshness::Lifetime;
use crate::policy::ranges::Joined;
use crate::policy::storing::is_failure;
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
    },
    /// It speaks of something that is not stored.
    Useless,
}

/// What the origin answered.
enum Asked {
    Whole(FetchedResponse),
    Coming(Coming),
    /// Something about what is not stored.
    Useless,
}

/// Says that a flight is over however its worker ends, a panic included (I5): nobody waits for a dead leader.
pub(super) struct Completion<'a> {
    proxy: &'a Proxy,
    flight: Option<FlightId>,
    pub fetch_request: &'a FetchRequest,
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
        let asked = self.clock.now();
        let mut completion = Completion {
            proxy: self,
            flight: Some(flight),
            fetch_request,
            asked,
        };
        match self.ask(fetch_request, origin) {
            Ok(Asked::Whole(fetched)) => self.take_whole(&mut completion, flight, fetched),
            Ok(Asked::Coming(coming)) => self.take_coming(&mut completion, flight, coming),
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

    fn take_whole(
        self: &Arc<Proxy>,
        completion: &mut Completion<'_>,
        flight: FlightId,
        fetched: FetchedResponse,
    ) {
        let fetch_request = completion.fetch_request;
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

    fn take_coming(
        self: &Arc<Proxy>,
        completion: &mut Completion<'_>,
        flight: FlightId,
        coming: Coming,
    ) {
        let fetch_request = completion.fetch_request;
        let handling = match self.handling(fetch_request, &coming) {
            // Its leader is given what is stored if this breaks.
            Handling::Relay if self.is_awaited_with_stale(flight, &coming) => Handling::Gather,
            handling => handling,
        };
        let is_stream = matches!(handling, Handling::Stream);
        let Coming {
            mut opening,
            sent,
            asked,
            received,
        } = coming;
        match handling {
            Handling::Gather => {
                let status = opening.status;
                let retry_after = self.retry_after(&opening.fields);
                match self.gather(opening) {
                    Ok(Gathered::Whole(response)) => {
                        let fetched = FetchedResponse {
                            response,
                            sent,
                            asked,
                            received,
                            confirms: None,
                        };
                        return self.take_whole(completion, flight, fetched);
                    }
                    Ok(Gathered::TooLarge(rest)) => opening = rest,
                    Err(_) if fetch_request.shared && is_failure(status) => {
                        return completion.with(self.failed_status(
                            fetch_request,
                            status,
                            retry_after,
                            asked,
                        ));
                    }
                    Err(error) => {
                        self.counters.failed_fetches.bump();
                        return completion.with(FetchResult::failed(Cause::Fetch(error)));
                    }
                }
            }
            Handling::Grow(lifetime, selecting) => {
                self.invalidate_after(flight, fetch_request, opening.status, &opening.fields);
                let coming = Coming {
                    opening,
                    sent,
                    asked,
                    received,
                };
                return self.grow(completion, flight, coming, (lifetime, selecting));
            }
            Handling::Relay | Handling::Stream => {}
        }
        if fetch_request.shared && is_failure(opening.status) {
            let retry_after = self.retry_after(&opening.fields);
            let status = opening.status;
            drop(opening);
            return completion.with(self.failed_status(fetch_request, status, retry_after, asked));
        }
        self.adapt(fetch_request, &mut opening.fields);
        self.invalidate_after(flight, fetch_request, opening.status, &opening.fields);
        // How long the body takes is its reader's doing, too.
        completion.leave(true);
        if is_stream {
            self.stream(flight, opening);
        } else {
            self.relay(flight, opening);
        }
    }

    /// An error status whose body nobody has.
    fn failed_status(
        &self,
        fetch_request: &FetchRequest,
        status: StatusCode,
        retry_after: Option<Duration>,
        asked: Now,
    ) -> FetchResult {
        let cause = Cause::Status(status.as_u16());
        let counts_as_failure = retry_after.is_some()
            || self.status_counts_as_failure(&fetch_request.request, cause, asked);
        FetchResult::Failed {
            cause,
            response: None,
            retry_after,
            keeps: None,
            counts_as_failure,
        }
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
        let mut fetched = self.dated(origin.fetch(&request)?);
        let received = self.clock.now();
        if let (false, Fetched::Opening(opening)) = (is_plain, &fetched)
            && opening.status == StatusCode::PARTIAL_CONTENT
            && known.beginning().is_some()
        {
            fetched = self.gathered(fetched)?;
        }
        let applied = if is_plain {
            Applied::Itself(fetched)
        } else {
            known.apply(fetched)
        };
        Ok(match applied {
            Applied::Itself(fetched) => Asked::of(fetched, request.fields, asked, received),
            Applied::Whole { response, confirms } => Asked::Whole(FetchedResponse {
                response,
                sent: request.fields,
                asked,
                received,
                confirms,
            }),
            Applied::Useless => Asked::Useless,
        })
    }

    /// The rest of what is stored in part is of use as a whole only.
    fn gathered(&self, fetched: Fetched) -> Result<Fetched, FetchError> {
        let Fetched::Opening(opening) = fetched else {
            return Ok(fetched);
        };
        Ok(match self.gather(opening)? {
            Gathered::Whole(response) => Fetched::Whole(response),
            Gathered::TooLarge(opening) => Fetched::Opening(opening),
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

    /// What is stored for a fetch request that everybody shares: the response it would replace, else all that a strong tag may show
    /// to be this one's too (RFC 9111 §4.1). A weak one may stand for several codings of one thing.
    fn known_for(&self, fetch_request: &FetchRequest) -> Known {
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

    fn origin_request(&self, fetch_request: &FetchRequest, known: &Known) -> OriginRequest {
        let request = &fetch_request.request;
        let trusted = self.config.proxy.trusts(request.peer);
        let has_body = request.body.lease.is_some();
        let selecting = known
            .selecting
            .as_ref()
            .and_then(|stored| stored.selecting.as_deref());
        let sharing = match fetch_request.shared {
            true => forward::Sharing::Shared { selecting },
            false => forward::Sharing::Alone,
        };
        let mut fields = forward::forwarded(request, sharing, &self.via, trusted);
        let rule = self.routes.find(&request.target).rule;
        forward::strip(&mut fields, rule);
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

impl Asked {
    fn of(fetched: Fetched, sent: HeaderMap, asked: Now, received: Now) -> Asked {
        match fetched {
            Fetched::Whole(response) => Asked::Whole(FetchedResponse {
                response,
                sent,
                asked,
                received,
                confirms: None,
            }),
            Fetched::Opening(opening) => Asked::Coming(Coming {
                opening,
                sent,
                asked,
                received,
            }),
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
    fn apply(&self, fetched: Fetched) -> Applied {
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
                }
            }
            (StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::NOT_MODIFIED, Some(_)) => {
                Applied::Useless
            }
            _ => Applied::Itself(fetched),
        }
    }
}

impl Completion<'_> {
    pub(super) fn with(&mut self, result: FetchResult) {
        if let Some(flight) = self.leave(!matches!(result, FetchResult::Failed { .. })) {
            self.proxy.submit(Work::Completed(flight, result));
        }
    }

    /// The fetch is over, with an answer or without; what becomes of the flight is the caller's.
    pub(super) fn leave(&mut self, good: bool) -> Option<FlightId> {
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

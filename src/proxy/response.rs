//! What a whole response is: an answer or a failure, and whether it is stored.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::complete::refuses_head;
use super::cross_check::{PendingConfirmation, Unconfirmed};
use super::{Proxy, ROLE, plain};
use crate::cache::flights::{FetchRequest, FetchResult, Shared, Work};
use crate::cache::key::Key;
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::message::{Request, Response};
use crate::origin::forward;
use crate::outcome::Cause;
use crate::policy::directives::{ResponseDirectives, fields_to_confirm};
use crate::policy::freshness::Lifetime;
use crate::policy::home::PlausibilityResult;
use crate::policy::ranges::{ContentRange, Joined, join};
use crate::policy::rule::{Rule, SetCookie};
use crate::policy::storing::{Exchange, Refusal, Storing, is_failure, may_store};
use crate::policy::vary::Selecting;
use crate::policy::{dates, invalidation, validation};
use crate::reply;
use crate::route::{Match, RuleId};

/// A whole response, and the request it answers.
pub(super) struct FetchedResponse {
    pub response: Response,
    /// The request's fields as the origin saw them.
    pub sent: HeaderMap,
    /// When the origin was asked.
    pub asked: Now,
    /// When its head came: what it says is as old as that, however long its body takes.
    pub received: Now,
    /// The origin only confirmed what was stored with this lifetime. `None`: it sent it.
    pub confirms: Option<Lifetime>,
}

/// What a whole response makes of its flight.
pub(super) enum Processed {
    /// The flight ends with this.
    Complete(FetchResult),
    /// It ends when its cross-check was answered.
    Pending(PendingConfirmation),
}

impl Proxy {
    /// Turns a whole response into what the flight ends with.
    pub(super) fn process_response(
        &self,
        fetch_request: &FetchRequest,
        fetched: FetchedResponse,
    ) -> Processed {
        let FetchedResponse {
            mut response,
            sent,
            asked,
            received,
            confirms,
        } = fetched;
        let request = &fetch_request.request;
        let status = response.status;
        let now = self.clock.now();
        if request.method == Method::HEAD {
            self.after_head(request, &response, &sent, asked);
        }
        let Match { rule, id, .. } = self.routes.find(&request.target);
        let storing = self.storing(request, &response, &sent, (asked, received));
        self.adapt(fetch_request, &mut response.fields);
        let answer = match (storing, &fetch_request.key) {
            (
                Storing::Store {
                    lifetime,
                    selecting,
                },
                Some(key),
            ) => {
                let joined = self.joined(key, request, &response);
                let kept = joined.as_ref().unwrap_or(&response);
                let (stored, left_out) =
                    self.rendered(key, id, kept, lifetime, selecting, received);
                let stored = Arc::new(stored);
                let sent = Arc::new(sent);
                let validated = confirms.is_some();
                let checked = rule.check.is_some() || rule.plausibility.is_some();
                let answer = Shared {
                    stored,
                    sent,
                    validated,
                    checked,
                    whole: None,
                };
                Ok((answer, left_out))
            }
            (Storing::Refuse(refusal), _) => Err(refusal),
            (_, None) => Err(Refusal::Method),
        };
        if is_failure(status) && !refuses_head(&request.method, status) {
            let retry_after = self.retry_after(&response.fields);
            let cause = Cause::Status(status.as_u16());
            let keeps = answer.ok().map(|(answer, _)| answer);
            let counts_as_failure =
                retry_after.is_some() || self.status_counts_as_failure(request, cause, now);
            if let (None, true, true, Some(seconds)) = (
                retry_after,
                fetch_request.safe,
                counts_as_failure,
                cause.retry_after(),
            ) {
                response
                    .fields
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            let response = Some(Arc::new(response));
            return Processed::Complete(FetchResult::Failed {
                cause,
                response,
                retry_after,
                keeps,
                counts_as_failure,
            });
        }
        let plausibility = self.assess_plausibility(request, rule, &response, now);
        let body = response.body.clone();
        let result = match answer {
            Err(Refusal::CheckFailed(_)) => FetchResult::failed(Cause::CheckFailed),
            _ if matches!(plausibility, PlausibilityResult::Bad(_)) => {
                FetchResult::failed(Cause::CheckFailed)
            }
            // The leader is told what came where not all of that is stored, or its request went alone.
            Ok((answer, left_out)) if left_out || !fetch_request.shared => {
                FetchResult::Shared(Shared {
                    whole: Some(Arc::new(response)),
                    ..answer
                })
            }
            Ok((answer, _)) => FetchResult::Shared(answer),
            Err(_) => match (confirms, &fetch_request.key) {
                (Some(lifetime), Some(key)) => FetchResult::Confirmed(Arc::new(
                    self.rendered(key, id, &response, lifetime, None, received)
                        .0,
                )),
                _ => FetchResult::Unshared(Arc::new(response)),
            },
        };
        let unconfirmed = match (plausibility, rule.plausibility) {
            (PlausibilityResult::NeedsCrossCheck, _) => Unconfirmed::Level,
            (PlausibilityResult::NeedsMeters, Some(kind)) => {
                Unconfirmed::Emptiness(kind, request.target.clone())
            }
            _ => return Processed::Complete(result),
        };
        Processed::Pending(PendingConfirmation {
            result,
            body,
            unconfirmed,
        })
    }

    pub(super) fn storing(
        &self,
        request: &Request,
        response: &Response,
        sent: &HeaderMap,
        (asked, received): (Now, Now),
    ) -> Storing {
        let route = self.routes.find(&request.target);
        may_store(&Exchange {
            method: &request.method,
            request: &request.fields,
            sent,
            claims_another: forward::claims_another(sent),
            has_body: request.body.lease.is_some(),
            identity: self.traits(request).identity,
            names_itself: self.names_itself(request, &response.fields),
            status: response.status,
            response: &response.fields,
            body: &response.body,
            rule: route.rule,
            default_applies: route.default_applies,
            defaults: &self.config.cache.defaults,
            targeted: &self.config.cache.targeted_fields,
            is_unseen: forward::is_never_sent,
            asked,
            received,
        })
    }

    /// A part together with the one that is stored, where both are of the same whole (RFC 9111 §3.4). `None`: it is none, or
    /// they are not.
    fn joined(&self, key: &Key, request: &Request, part: &Response) -> Option<Response> {
        let is_part = |status: StatusCode| status == StatusCode::PARTIAL_CONTENT;
        let known = self
            .store
            .peek(key.as_str())
            .filter(|_| is_part(part.status))?
            .into_selected(&request.fields)?;
        let old = is_part(known.status).then(|| known.fields())?;
        let Joined {
            first,
            complete,
            body,
        } = join((&old, &known.body), (&part.fields, &part.body))?;
        if body.len() > self.config.cache.max_object_bytes {
            return None;
        }
        let mut fields = validation::freshen(&old, &part.fields);
        let length = body.len() as u64;
        let is_whole = first == 0 && complete == Some(length);
        let status = if is_whole {
            StatusCode::OK
        } else {
            StatusCode::PARTIAL_CONTENT
        };
        fields.remove(header::CONTENT_RANGE);
        if !is_whole {
            let of = ContentRange {
                first,
                last: (first + length).saturating_sub(1),
                complete,
            };
            fields.insert(
                header::CONTENT_RANGE,
                HeaderValue::try_from(of.to_string()).ok()?,
            );
        }
        Some(Response {
            status,
            fields,
            body: body.into(),
        })
    }

    /// A response as it is stored, and whether fields of it are left out: those that may not be used again unconfirmed
    /// (RFC 9111 §5.2.2.4).
    pub(super) fn rendered(
        &self,
        key: &Key,
        rule: RuleId,
        response: &Response,
        lifetime: Lifetime,
        selecting: Option<Box<Selecting>>,
        received: Now,
    ) -> (Stored, bool) {
        let response_directives =
            ResponseDirectives::of(&response.fields, &self.config.cache.targeted_fields);
        let unconfirmed = fields_to_confirm(&response.fields, &response_directives);
        let left_out = unconfirmed
            .iter()
            .any(|name| response.fields.contains_key(name));
        let lifetime = self.jittered(key, lifetime, received);
        let (head, fields_end) =
            reply::stored_head(response, &unconfirmed, &lifetime, received, &self.via);
        let hits = AtomicU32::new(0);
        let used = AtomicU32::new(0);
        let uses = AtomicU8::new(0);
        let key = key.clone();
        let status = response.status;
        let body = response.body.clone();
        (
            Stored {
                key,
                status,
                head,
                fields_end,
                body,
                lifetime,
                selecting,
                rule,
                hits,
                used,
                uses,
            },
            left_out,
        )
    }

    /// The lifetime of this stored answer: shortened by a share of its own, but where the clock fetches it anew anyway.
    fn jittered(&self, key: &Key, lifetime: Lifetime, received: Now) -> Lifetime {
        let percent = self.config.cache.defaults.jitter;
        if percent == 0 || self.polls.interval_of(key.target()).is_some() {
            return lifetime;
        }
        let mut dice = DefaultHasher::new();
        (self.mark, key.as_str(), received.mono).hash(&mut dice);
        lifetime.jittered(percent, dice.finish())
    }

    /// The answer to a HEAD tells whether the stored answer to GET is still that one: it is freshened, or goes (RFC 9111 §4.3.5).
    fn after_head(&self, request: &Arc<Request>, answer: &Response, sent: &HeaderMap, asked: Now) {
        let key = Key::new(None, ROLE, &request.target);
        let known = self
            .store
            .peek(key.as_str())
            .and_then(|variants| variants.into_selected(&request.fields));
        let both_ok =
            |known: &Arc<Stored>| answer.status == StatusCode::OK && known.status == StatusCode::OK;
        let Some(known) = known.filter(both_ok) else {
            return;
        };
        let fields = known.fields();
        if !validation::head_confirms(&fields, known.body.len() as u64, &answer.fields) {
            let rule = self.routes.find(&request.target).rule;
            // Without a body nothing passes a check: no head takes a good answer away where the user says what one is.
            if rule.check.is_none() && rule.plausibility.is_none() {
                self.store.remove(key.as_str());
            }
            return;
        }
        let fields = validation::freshen(&fields, &answer.fields);
        let response = Response {
            status: known.status,
            fields,
            body: known.body.clone(),
        };
        let received = self.clock.now();
        if let Storing::Store {
            lifetime,
            selecting,
        } = self.storing(&plain(request), &response, sent, (asked, received))
        {
            let id = self.routes.find(&request.target).id;
            let (stored, _) = self.rendered(&key, id, &response, lifetime, selecting, received);
            let stored = Arc::new(stored);
            let sent = Arc::new(sent.clone());
            self.submit(Work::Insert(Shared {
                stored,
                sent,
                validated: true,
                checked: false,
                whole: None,
            }));
        }
    }

    /// Whether the origin is to be left alone after this error status. Not where the user has no say in what a good answer is, and
    /// nothing stored may replace it: by the RFC alone it is an answer like others, and the client gets it.
    pub(super) fn status_counts_as_failure(
        &self,
        request: &Request,
        cause: Cause,
        now: Now,
    ) -> bool {
        let rule = self.routes.find(&request.target).rule;
        let is_ruled =
            !self.config.cache.defaults.pure() || rule.cache_ttl.is_some() || rule.check.is_some();
        let known = || {
            self.store
                .peek(Key::new(None, ROLE, &request.target).as_str())?
                .into_selected(&request.fields)
        };
        is_ruled || known().is_some_and(|stored| stored.serves_despite(cause, now))
    }

    /// Whether the answer is plausible for this Powerwall, where the route asks.
    fn assess_plausibility(
        &self,
        request: &Request,
        rule: &Rule,
        response: &Response,
        now: Now,
    ) -> PlausibilityResult {
        match rule.plausibility {
            Some(kind) if request.method == Method::GET && response.status.is_success() => self
                .plausibility
                .lock()
                .assess(request.target.as_str(), kind, &response.body, now),
            _ => PlausibilityResult::Good,
        }
    }

    /// Makes the fields of an answer what the route wants them to be for its clients.
    pub(super) fn adapt(&self, fetch_request: &FetchRequest, fields: &mut HeaderMap) {
        let rule = self.routes.find(&fetch_request.request.target).rule;
        if rule.set_cookie == Some(SetCookie::Strip) {
            fields.remove(header::SET_COOKIE);
        }
        if rule.cors {
            fields.insert(
                header::ACCESS_CONTROL_ALLOW_ORIGIN,
                HeaderValue::from_static("*"),
            );
        }
        if let (true, Some(authority)) = (rule.own_location, self.config.backend.origin.authority())
        {
            forward::make_location_ours(fields, authority);
        }
    }

    /// When the origin wants to be asked again (RFC 9110 §10.2.3): seconds, or a date.
    pub(super) fn retry_after(&self, fields: &HeaderMap) -> Option<Duration> {
        let text = fields.get(header::RETRY_AFTER)?.as_bytes();
        let seconds = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let now = self.clock.now();
        let until = || {
            u64::try_from(dates::parse(text, now)?)
                .ok()?
                .checked_sub(now.wall.as_secs())
        };
        seconds.or_else(until).map(Duration::from_secs)
    }

    /// Whether a response says that it is what a GET for the same target would bring (RFC 9110 §9.3.3).
    fn names_itself(&self, request: &Request, fields: &HeaderMap) -> bool {
        request.method == Method::POST
            && invalidation::names_itself(
                request.target.as_str(),
                fields,
                &self.authorities(request),
            )
    }
}

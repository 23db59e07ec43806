//! What becomes of a whole response: whether it is an answer, and whether it is stored.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32};
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::land::refuses_head;
use super::witness::{Doubt, Held};
use super::{Proxy, ROLE, plain};
use crate::cache::flights::{Errand, Landing, Shared, Work};
use crate::cache::key::Key;
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::message::{Request, Response, Target};
use crate::origin::forward;
use crate::origin::permits::FlightId;
use crate::outcome::Cause;
use crate::policy::directives::{Word, fields_to_confirm};
use crate::policy::freshness::Lifetime;
use crate::policy::home::HomeVerdict;
use crate::policy::ranges::{ContentRange, Joined, join};
use crate::policy::rule::{Rule, SetCookie};
use crate::policy::storing::{Exchange, Refusal, Storing, is_failure, may_store};
use crate::policy::vary::Selecting;
use crate::policy::{dates, invalidation, validation};
use crate::reply;
use crate::route::{Match, RuleId};

/// A whole response, and how it came.
pub(super) struct Came {
    pub response: Response,
    /// The request's fields as the origin saw them.
    pub sent: HeaderMap,
    /// When the origin was asked.
    pub asked: Now,
    /// The origin only confirmed what was stored with this lifetime. `None`: it sent it.
    pub confirms: Option<Lifetime>,
}

/// What becomes of a whole response.
pub(super) enum Judgement {
    /// The flight lands with this.
    Lands(Landing),
    /// It lands when its witness was heard.
    Held(Held),
}

impl Proxy {
    /// Turns a whole response into what the flight lands with.
    pub(super) fn judge(&self, flight: FlightId, errand: &Errand, came: Came) -> Judgement {
        let Came {
            mut response,
            sent,
            asked,
            confirms,
        } = came;
        self.after_unsafe(flight, errand, response.status, &response.fields);
        let (request, status, received) = (&errand.request, response.status, self.clock.now());
        if request.method == Method::HEAD {
            self.after_head(request, &response, &sent, asked);
        }
        let Match { rule, id, .. } = self.routes.find(&request.target);
        let verdict = self.verdict(request, &response, &sent, (asked, received));
        self.adapt(errand, &mut response.fields);
        let answer = match (verdict, &errand.key) {
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
                let (stored, sent, validated) =
                    (Arc::new(stored), Arc::new(sent), confirms.is_some());
                let checked = rule.check.is_some() || rule.home.is_some();
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
            let tells_trouble =
                retry_after.is_some() || self.means_trouble(request, cause, received);
            if let (None, true, true, Some(seconds)) =
                (retry_after, errand.safe, tells_trouble, cause.retry_after())
            {
                response
                    .fields
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            let response = Some(Arc::new(response));
            return Judgement::Lands(Landing::Failed {
                cause,
                response,
                retry_after,
                keeps,
                tells_trouble,
            });
        }
        let home = self.judge_by_home(request, rule, &response, received);
        let body = response.body.clone();
        let landing = match answer {
            Err(Refusal::CheckFailed(_)) => Landing::failed(Cause::CheckFailed),
            _ if matches!(home, HomeVerdict::Bad(_)) => Landing::failed(Cause::CheckFailed),
            // The leader is told what came where not all of that is stored, or its request went alone.
            Ok((answer, left_out)) if left_out || !errand.shared => Landing::Shared(Shared {
                whole: Some(Arc::new(response)),
                ..answer
            }),
            Ok((answer, _)) => Landing::Shared(answer),
            Err(_) => match (confirms, &errand.key) {
                (Some(lifetime), Some(key)) => Landing::Confirmed(Arc::new(
                    self.rendered(key, id, &response, lifetime, None, received)
                        .0,
                )),
                _ => Landing::Unshared(Arc::new(response)),
            },
        };
        let doubt = match (home, rule.home) {
            (HomeVerdict::NeedsWitness, _) => Doubt::Level,
            (HomeVerdict::NeedsMeters, Some(kind)) => {
                Doubt::Emptiness(kind, request.target.clone())
            }
            _ => return Judgement::Lands(landing),
        };
        Judgement::Held(Held {
            landing,
            body,
            doubt,
        })
    }

    fn verdict(
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
            identity: self.asks(request).identity,
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
    fn rendered(
        &self,
        key: &Key,
        rule: RuleId,
        response: &Response,
        lifetime: Lifetime,
        selecting: Option<Box<Selecting>>,
        received: Now,
    ) -> (Stored, bool) {
        let word = Word::of(&response.fields, &self.config.cache.targeted_fields);
        let unconfirmed = fields_to_confirm(&response.fields, &word);
        let left_out = unconfirmed
            .iter()
            .any(|name| response.fields.contains_key(name));
        let lifetime = self.jittered(key, lifetime, received);
        let (head, fields_end) =
            reply::stored_head(response, &unconfirmed, &lifetime, received, &self.via);
        let hits = AtomicU32::new(0);
        let used = AtomicU32::new(0);
        let uses = AtomicU8::new(0);
        let (key, status, body) = (key.clone(), response.status, response.body.clone());
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
            if rule.check.is_none() && rule.home.is_none() {
                self.store.remove(key.as_str());
            }
            return;
        }
        let fields = validation::freshen(&fields, &answer.fields);
        let (response, received) = (
            Response {
                status: known.status,
                fields,
                body: known.body.clone(),
            },
            self.clock.now(),
        );
        if let Storing::Store {
            lifetime,
            selecting,
        } = self.verdict(&plain(request), &response, sent, (asked, received))
        {
            let id = self.routes.find(&request.target).id;
            let (stored, _) = self.rendered(&key, id, &response, lifetime, selecting, received);
            let (stored, sent) = (Arc::new(stored), Arc::new(sent.clone()));
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
    /// nothing stored can stand in: by the RFC alone it is an answer like others, and whoever asks is told what the origin says.
    pub(super) fn means_trouble(&self, request: &Request, cause: Cause, now: Now) -> bool {
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

    /// What the answer means in this home, where the route asks.
    fn judge_by_home(
        &self,
        request: &Request,
        rule: &Rule,
        response: &Response,
        now: Now,
    ) -> HomeVerdict {
        match rule.home {
            Some(kind) if request.method == Method::GET && response.status.is_success() => self
                .home
                .lock()
                .judge(request.target.as_str(), kind, &response.body, now),
            _ => HomeVerdict::Good,
        }
    }

    /// Makes the fields of an answer what the route wants them to be for its clients.
    pub(super) fn adapt(&self, errand: &Errand, fields: &mut HeaderMap) {
        let rule = self.routes.find(&errand.request.target).rule;
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

    /// A successful unsafe request makes what is stored for its target worthless, and for what else the response names
    /// (RFC 9111 §4.4).
    pub(super) fn after_unsafe(
        &self,
        flight: FlightId,
        errand: &Errand,
        status: StatusCode,
        fields: &HeaderMap,
    ) {
        if errand.safe || !(status.is_success() || status.is_redirection()) {
            return;
        }
        let target = &errand.request.target;
        self.invalidate(target, Some(flight));
        let also =
            invalidation::also_invalid(target.as_str(), fields, &self.authorities(&errand.request));
        for target in also
            .into_iter()
            .filter_map(|target| Target::parse(target.into()))
        {
            self.invalidate(&target, Some(flight));
        }
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

    /// The names this origin goes by: its own, and what its client calls it.
    fn authorities<'a>(&'a self, request: &'a Request) -> Vec<&'a str> {
        let own = self
            .config
            .backend
            .origin
            .authority()
            .map(Authority::as_str);
        let host = request
            .fields
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        own.into_iter().chain(host).collect()
    }
}

//! A request the store cannot answer: it joins the flight of its key, starts one, or is fetched alone.

use std::sync::Arc;

use http::{Method, StatusCode, header};

use super::find::shape;
use super::{Proxy, ROLE};
use crate::cache::flights::{Arrival, FetchRequest, Waiter, Work};
use crate::cache::key::Key;
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::config::ClientDirectives;
use crate::message::Request;
use crate::outcome::Fwd;
use crate::policy::request_directives::RequestDirectives;
use crate::policy::reuse::{Reuse, reuse};
use crate::policy::rule::Fallback;
use crate::policy::sharing::{Reason, RequestTraits, Sharing, is_conditional};
use crate::reply::Responder;

impl Proxy {
    /// Joins the flight of a request's key, or starts one. `selected`: what is stored for it.
    pub(super) fn join_or_start(
        &self,
        request: Request,
        responder: Box<dyn Responder>,
        traits: &RequestTraits,
        selected: Option<Arc<Stored>>,
        now: Now,
    ) {
        let rule = self.routes.find(&request.target).rule;
        let alone = why_alone(traits, selected.as_deref());
        let key =
            is_storable(&request.method, alone).then(|| Key::new(None, ROLE, &request.target));
        let known = key.as_ref().and_then(|key| self.store.peek(key.as_str()));
        let joins = match (&key, &known, alone) {
            (Some(key), Some(known), None) => Some(joins(key, known.newest(), &request)),
            (Some(key), None, None) => Some(key.clone()),
            (Some(key), _, Some(Reason::Range)) => joins_for_range(key, &request),
            _ => None,
        };
        let forced = selected.as_ref().is_some_and(|stored| {
            matches!(
                reuse(&stored.lifetime, &traits.directives, now),
                Reuse::Forward { .. }
            )
        }) || traits.directives.refresh;
        let fwd = match alone {
            Some(Reason::Method) => Fwd::Method,
            Some(Reason::Head) | None if forced => Fwd::Request,
            Some(Reason::Head) | None if selected.is_some() => Fwd::Stale,
            None if known.is_some() => Fwd::VaryMiss,
            Some(Reason::Head) | None => Fwd::UriMiss,
            Some(_) => Fwd::Bypass,
        };
        let strict = self.config.cache.client_directives == ClientDirectives::Strict;
        let stale = selected.filter(|stored| {
            !(strict && is_refused(stored, &traits.directives, now))
                && shape(stored, &request, traits.conditional, traits.range, now).is_some()
        });
        let safe = is_safe(&request.method);
        let poll = key
            .as_ref()
            .filter(|_| alone.is_none())
            .and_then(|_| self.polls.place_of(&request.target));
        let request = Arc::new(request);
        let shared = alone.is_none();
        let asked = Arc::clone(&request);
        let interim_sink = responder.interim_sink();
        let is_related = matches!(
            alone,
            Some(Reason::Head | Reason::Range | Reason::Conditional)
        );
        let related_key = is_related.then(|| Key::new(None, ROLE, &asked.target));
        let fetch_request = FetchRequest {
            request: asked,
            key,
            shared,
            related_key,
            joins,
            even_if_fresh: forced,
            poll,
            safe,
            plain: false,
            interim_sink,
        };
        // A request that is not shared gets the origin's real error, never a fallback body.
        let takes_fallback = matches!(alone, None | Some(Reason::Head));
        let fallback = if takes_fallback {
            rule.fallback
        } else {
            Fallback::Error
        };
        let alone = alone.map(Reason::detail);
        let cors = rule.cors;
        let waiter = Waiter {
            request,
            responder,
            stale,
            leads: false,
            cors,
            fallback,
            fwd,
            alone,
            again: false,
        };
        self.submit(Work::Arrived(Arrival {
            waiter: Some(waiter),
            fetch_request,
        }));
    }

    /// Fetches again for a waiter whose flight's answer was not for it, at once and in parallel. The first time it may still
    /// share with others like it.
    pub(super) fn retry_alone(&self, mut waiter: Waiter) {
        let shared = waiter.alone.is_none();
        let key = shared.then(|| Key::new(None, ROLE, &waiter.request.target));
        let known = key.as_ref().and_then(|key| self.store.peek(key.as_str()));
        let joins = match (&key, known) {
            (Some(key), Some(known)) if !waiter.again => {
                Some(joins(key, known.newest(), &waiter.request))
            }
            (Some(key), None) if !waiter.again => Some(key.clone()),
            _ => None,
        };
        waiter.leads = false;
        waiter.again = true;
        let poll = key
            .as_ref()
            .and_then(|_| self.polls.place_of(&waiter.request.target));
        let request = Arc::clone(&waiter.request);
        let interim_sink = waiter.responder.interim_sink();
        let fetch_request = FetchRequest {
            request,
            key,
            shared,
            related_key: None,
            joins,
            even_if_fresh: false,
            poll,
            safe: true,
            plain: false,
            interim_sink,
        };
        self.submit(Work::Arrived(Arrival {
            waiter: Some(waiter),
            fetch_request,
        }));
    }
}

/// What flights for this request are collapsed by: its key, and where it is known what the resource varies by, what this
/// request selects.
pub(super) fn joins(key: &Key, known: &Stored, request: &Request) -> Key {
    let Some(selecting) = &known.selecting else {
        return key.clone();
    };
    let mut text = format!("{key}\n");
    selecting.write_text(&request.fields, &mut text);
    Key::from(text.as_str())
}

/// What flights for this range are collapsed by: they bring the same part of the same thing.
fn joins_for_range(key: &Key, request: &Request) -> Option<Key> {
    let fields = &request.fields;
    let range = fields.get(header::RANGE)?.to_str().ok()?;
    let is_plain = !fields.contains_key(header::IF_RANGE) && !is_conditional(fields);
    is_plain.then(|| Key::from(format!("{key}\nrange {range}").as_str()))
}

/// Why a request is not shared. `None`: it is.
fn why_alone(traits: &RequestTraits, selected: Option<&Stored>) -> Option<Reason> {
    let is_part = |stored: &Stored| stored.status == StatusCode::PARTIAL_CONTENT;
    match (traits.sharing, selected) {
        (Sharing::Alone(reason), _) => Some(reason),
        (Sharing::Head, _) => Some(Reason::Head),
        (Sharing::Shared, None) if traits.range => Some(Reason::Range),
        (Sharing::Shared, None) if traits.conditional => Some(Reason::Conditional),
        // Another part than the one that is stored.
        (Sharing::Shared, Some(stored)) if traits.range && is_part(stored) => Some(Reason::Range),
        (Sharing::Shared, _) => None,
    }
}

/// Whether the answer may be stored at all: it is everybody's, or the origin may say that it is.
fn is_storable(method: &Method, alone: Option<Reason>) -> bool {
    match alone {
        None | Some(Reason::Identity | Reason::Range | Reason::Conditional) => {
            method == Method::GET
        }
        Some(Reason::Method) => method == Method::POST,
        Some(Reason::Head | Reason::Body | Reason::NoStore) => false,
    }
}

/// Whether the client, taken at its word, wants nothing of this response even from a cache whose origin fails (RFC 9111 §5.2.1).
fn is_refused(stored: &Stored, directives: &RequestDirectives, now: Now) -> bool {
    let is_unmet = matches!(
        reuse(&stored.lifetime, directives, now),
        Reuse::Forward { .. } | Reuse::Validate { .. }
    );
    is_unmet && !directives.is_none()
}

/// Whether the method asks for nothing to be changed (RFC 9110 §9.2.1).
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    )
}

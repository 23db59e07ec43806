//! A request the store cannot answer: it joins the flight of its key, starts one, or is fetched alone.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::find::shape;
use super::{Proxy, ROLE};
use crate::cache::flights::{Arrival, FetchRequest, Waiter, Work};
use crate::cache::key::Key;
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::config::ClientDirectives;
use crate::message::Request;
use crate::outcome::{FieldName, Fwd};
use crate::policy::accept;
use crate::policy::request_directives::RequestDirectives;
use crate::policy::reuse::{Reuse, reuse};
use crate::policy::rule::{Fallback, Rule};
use crate::policy::sharing::{
    Reason, RequestTraits, Sharing, custom_field, write_custom, write_keyed,
};
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
        // What is asked about one client's own copy or part answers nobody else.
        let is_shareable = match alone {
            None => true,
            Some(Reason::Identity | Reason::Custom) => !traits.range && !traits.conditional,
            Some(_) => false,
        };
        let joins = key.as_ref().filter(|_| is_shareable).map(|key| {
            let known = known.as_ref().map(|known| &**known.newest());
            joins(key, known, &request, rule, alone.is_some())
        });
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
        let related_key = related_key(&asked, alone);
        let unusual = !accept::is_usual(&asked.fields);
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
            unusual,
            interim_sink,
        };
        // A request that is not shared gets the origin's real error, never a fallback body.
        let takes_fallback = matches!(alone, None | Some(Reason::Head));
        let fallback = if takes_fallback {
            rule.fallback
        } else {
            Fallback::Error
        };
        let cors = rule.cors;
        let special = match alone {
            Some(Reason::Identity | Reason::Custom) => custom_field(&request.fields, rule),
            _ => None,
        };
        let special = special.map(FieldName::of);
        let waiter = Waiter {
            request,
            responder,
            stale,
            leads: false,
            cors,
            fallback,
            fwd,
            alone,
            special,
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
        let rule = self.routes.find(&waiter.request.target).rule;
        let joins = key.as_ref().filter(|_| !waiter.again).map(|key| {
            let known = known.as_ref().map(|known| &**known.newest());
            joins(key, known, &waiter.request, rule, false)
        });
        waiter.leads = false;
        waiter.again = true;
        let poll = key
            .as_ref()
            .and_then(|_| self.polls.place_of(&waiter.request.target));
        let request = Arc::clone(&waiter.request);
        let interim_sink = waiter.responder.interim_sink();
        let related_key = related_key(&request, waiter.alone);
        let unusual = !accept::is_usual(&request.fields);
        let fetch_request = FetchRequest {
            request,
            key,
            shared,
            related_key,
            joins,
            even_if_fresh: false,
            poll,
            safe: true,
            plain: false,
            unusual,
            interim_sink,
        };
        self.submit(Work::Arrived(Arrival {
            waiter: Some(waiter),
            fetch_request,
        }));
    }
}

/// What flights for this request are collapsed by: its key; where it is known what the resource varies by, what this request
/// selects; its keyed fields; and if it is a custom request, its custom ones.
pub(super) fn joins(
    key: &Key,
    known: Option<&Stored>,
    request: &Request,
    rule: &Rule,
    is_custom: bool,
) -> Key {
    let mut text = String::new();
    if let Some(selecting) = known.and_then(|known| known.selecting.as_ref()) {
        selecting.write_text(&request.fields, &mut text);
    }
    write_keyed(&request.fields, rule, &mut text);
    if is_custom {
        text.push_str("\ncustom");
        write_custom(&request.fields, rule, &mut text);
    }
    if text.is_empty() {
        return key.clone();
    }
    Key::from(format!("{key}\n{text}").as_str())
}

/// The key of the answer to everybody that a request alone is related to. `None`: it goes alone for another reason, or shares.
fn related_key(request: &Request, alone: Option<Reason>) -> Option<Key> {
    let is_related = matches!(
        alone,
        Some(Reason::Head | Reason::Range | Reason::Conditional)
    );
    is_related.then(|| Key::new(None, ROLE, &request.target))
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
        None | Some(Reason::Identity | Reason::Custom | Reason::Range | Reason::Conditional) => {
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

//! What the store has for a request, and whether it is sent at once (RFC 9111 §4).

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::join::is_safe;
use super::{Proxy, ROLE};
use crate::cache::key::Key;
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::config::ClientDirectives;
use crate::message::Request;
use crate::outcome::{Cause, Fwd, Outcome};
use crate::policy::accept;
use crate::policy::conditions::{self, Evaluation};
use crate::policy::directives::ResponseDirectives;
use crate::policy::freshness::LifetimeSource;
use crate::policy::ranges::{Serving, serving};
use crate::policy::request_directives::RequestDirectives;
use crate::policy::reuse::{self, Reuse, reuse};
use crate::policy::sharing::{Reason, RequestTraits, Sharing};
use crate::policy::vary::{Nominated, nominated};
use crate::reply::{Reply, Shape};

/// How often a client's word makes us fetch a key whose route says nothing of it.
const REFRESH_MIN_INTERVAL: Duration = Duration::from_secs(1);

/// What becomes of a request.
pub(super) enum Decision {
    /// It is answered at once.
    Send(Reply),
    /// The origin is asked; this is stored for it, and may help.
    Fetch(RequestTraits, Option<Arc<Stored>>),
}

impl Proxy {
    /// What a cache has to know of this request.
    pub(super) fn traits(&self, request: &Request) -> RequestTraits {
        let traits = self.traits_unless_named(request, |_| false);
        if !traits.custom {
            return traits;
        }
        // A field that a stored Vary names is not custom for that key.
        let known = self
            .store
            .peek(Key::new(None, ROLE, &request.target).as_str());
        match known.and_then(|known| known.newest().selecting.clone()) {
            Some(selecting) => self
                .traits_unless_named(request, |name| selecting.names().any(|named| named == name)),
            None => traits,
        }
    }

    /// The same, where Vary names these fields.
    pub(super) fn traits_unless_named(
        &self,
        request: &Request,
        is_named: impl Fn(&HeaderName) -> bool,
    ) -> RequestTraits {
        let rule = self.routes.find(&request.target).rule;
        let has_body = request.body.lease.is_some();
        RequestTraits::of(&request.method, &request.fields, has_body, rule, is_named)
    }

    /// Whether a request has a custom field that this response does not name in Vary.
    pub(super) fn is_custom_beside(&self, request: &Request, response: &HeaderMap) -> bool {
        let named = match nominated(response, |_| true) {
            Nominated::Fields(names) => names,
            Nominated::Nothing | Nominated::Everything => Vec::new(),
        };
        self.traits_unless_named(request, |name| named.contains(name))
            .custom
    }

    /// The stored response selected for this request, fresh or not.
    pub(super) fn selected(
        &self,
        request: &Request,
        traits: &RequestTraits,
    ) -> Option<Arc<Stored>> {
        let is_custom = matches!(
            traits.sharing,
            Sharing::Alone(Reason::Identity | Reason::Custom)
        );
        if matches!(traits.sharing, Sharing::Alone(_)) && !is_custom {
            return None;
        }
        let key = self.prefix.key_of(request.target.as_str().as_bytes());
        let stored = self
            .store
            .find_target(&key)?
            .into_selected(&request.fields)?;
        let may_have = !is_custom || self.is_for_custom(&stored, request);
        (may_have && !self.is_excluded(&stored, request)).then_some(stored)
    }

    /// Whether a request does not take a stored response for its type. Not where the origin has shown that it heeds no Accept
    /// (RFC 9110 §12.5.1): it would only be asked for the same again.
    pub(super) fn is_excluded(&self, stored: &Stored, request: &Request) -> bool {
        self.excludes(request, stored.content_type())
            && !self.unheeded.lock().has(&stored.key, self.clock.now())
    }

    /// Whether the Accept of a request says that this type is no answer, on a route where it counts.
    pub(super) fn excludes(&self, request: &Request, content_type: Option<&[u8]>) -> bool {
        let is_excluded = content_type.is_some_and(|kind| accept::excludes(&request.fields, kind));
        is_excluded
            && !self
                .routes
                .find(&request.target)
                .rule
                .ignore_fields
                .has(&ACCEPT)
    }

    /// A client with a custom field gets from the shared cache only what the origin itself declared fit for all; one with
    /// Authorization what §3.5 allows.
    pub(super) fn is_for_custom(&self, stored: &Stored, request: &Request) -> bool {
        let shares = || {
            ResponseDirectives::of(&stored.fields(), &self.config.cache.targeted_fields)
                .shares_authorized()
        };
        let is_origins = matches!(
            stored.lifetime.source(),
            LifetimeSource::Origin | LifetimeSource::Heuristic
        );
        is_origins && (!request.fields.contains_key(AUTHORIZATION) || shares())
    }

    /// The reply from this stored response, if it may be sent without asking the origin; begins its refresh when that is due.
    pub(super) fn reply_at_once(
        &self,
        stored: Arc<Stored>,
        request: &Request,
        traits: &RequestTraits,
        now: Now,
    ) -> Option<Reply> {
        let refresh_due = match reuse(&stored.lifetime, &traits.directives, now) {
            Reuse::Fresh { refresh_due, .. } => refresh_due,
            Reuse::Stale { reason, .. } => reason == reuse::Reason::WhileRevalidate,
            Reuse::Forward { .. }
                if self.is_reload_of_immutable(&stored, &traits.directives, now) =>
            {
                false
            }
            Reuse::Forward { .. } | Reuse::Validate { .. } => return None,
        };
        let shape = shape(&stored, request, traits.conditional, traits.range, now)?;
        if refresh_due {
            self.refresh(request, &stored, traits.custom);
        }
        stored.count_hit();
        stored.note_use(now.mono);
        Some(Reply::Stored {
            stored,
            outcome: Outcome::Hit,
            now,
            shape,
        })
    }

    /// A reload asks for what cannot have changed (RFC 8246 §2).
    fn is_reload_of_immutable(
        &self,
        stored: &Stored,
        directives: &RequestDirectives,
        now: Now,
    ) -> bool {
        let calm = RequestDirectives {
            refresh: false,
            ..*directives
        };
        directives.refresh
            && matches!(reuse(&stored.lifetime, &calm, now), Reuse::Fresh { .. })
            && ResponseDirectives::of(&stored.fields(), &self.config.cache.targeted_fields)
                .directives
                .immutable
    }

    /// Decides what becomes of a request that no endpoint of ours answers.
    pub(super) fn decide(&self, request: &Request, now: Now) -> Decision {
        let traits = self.traits(request);
        let selected = self.selected(request, &traits);
        if let Some(reply) = selected
            .clone()
            .and_then(|stored| self.reply_at_once(stored, request, &traits, now))
        {
            return Decision::Send(reply);
        }
        if traits.directives.only_if_cached {
            return Decision::Send(Reply::failed(
                Cause::OnlyIfCached,
                Some(self.missed(request, selected.as_deref())),
            ));
        }
        if let Some(reply) = self.answer_too_soon(request, &traits, now) {
            return Decision::Send(reply);
        }
        Decision::Fetch(traits, selected)
    }

    /// Why what is stored for a request is not its answer, where the origin is not asked either. `selected`: what that is.
    pub(super) fn missed(&self, request: &Request, selected: Option<&Stored>) -> Fwd {
        let is_known = || {
            self.store
                .peek(Key::new(None, ROLE, &request.target).as_str())
                .is_some()
        };
        match selected {
            _ if !is_safe(&request.method) => Fwd::Method,
            Some(_) => Fwd::Stale,
            None if is_known() => Fwd::VaryMiss,
            None => Fwd::UriMiss,
        }
    }

    /// A fetch that only the client's word demands happens once per key and `refreshMinInterval`; sooner, this is the answer.
    /// `None`: it happens, or nothing stored could answer.
    fn answer_too_soon(
        &self,
        request: &Request,
        traits: &RequestTraits,
        now: Now,
    ) -> Option<Reply> {
        let content = traits.content(&request.method);
        if content == *traits || self.config.cache.client_directives == ClientDirectives::Strict {
            return None;
        }
        let stored = self.selected(request, &content)?;
        let rule = self.routes.find(&request.target).rule;
        let interval = rule
            .refresh_min_interval
            .or(rule.stale_time)
            .unwrap_or(REFRESH_MIN_INTERVAL);
        if !matches!(
            reuse(&stored.lifetime, &content.directives, now),
            Reuse::Fresh { .. } | Reuse::Stale { .. }
        ) {
            return None;
        }
        let mut forced = self.forced.lock();
        if !forced.has(&stored.key, now) {
            forced.set(&stored.key, interval, now);
            return None;
        }
        drop(forced);
        self.reply_at_once(stored, request, &content, now)
    }
}

/// How much of a stored response answers this request: its preconditions first, then its range (RFC 9110 §13.2.2). `None`: it
/// is a part, and another one is asked for.
pub(super) fn shape(
    stored: &Stored,
    request: &Request,
    conditional: bool,
    range: bool,
    now: Now,
) -> Option<Shape> {
    let is_part = stored.status == StatusCode::PARTIAL_CONTENT;
    if !conditional && !range && !is_part {
        return Some(Shape::Whole);
    }
    let fields = stored.fields();
    if conditional {
        match conditions::evaluate(&request.fields, stored.status, &fields, now) {
            Evaluation::NotModified => return Some(Shape::NotModified),
            Evaluation::Failed => return Some(Shape::PreconditionFailed),
            Evaluation::Send => {}
        }
    }
    if !is_part && (!range || request.method != Method::GET) {
        return Some(Shape::Whole);
    }
    match serving(
        &request.fields,
        stored.status,
        &fields,
        stored.body.len() as u64,
        now,
    ) {
        Serving::Whole => Some(Shape::Whole),
        Serving::Part { body, of } => Some(Shape::Part { body, of }),
        Serving::Unsatisfiable { complete } => Some(Shape::Unsatisfiable { complete }),
        Serving::NotHere => None,
    }
}

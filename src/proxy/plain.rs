//! The stored answer that every plain GET of a target gets alike, and for how long.

use std::sync::Arc;
use std::time::Duration;

use super::Proxy;
use crate::cache::store::{self, Stored};
use crate::clock::Now;
use crate::message::Target;
use crate::policy::request_directives::RequestDirectives;
use crate::policy::reuse::{Reuse, reuse};
use crate::route;

/// A stored answer that every plain GET of its target gets, whole, until something changes. A request is plain if none of its
/// fields can change the reply from the store (`policy::request_fields::is_plain_for_hit`).
pub struct PlainHit {
    found: store::PlainHit,
    /// When the decision was made: the answer's age and lifetime are told from here.
    pub now: Now,
    /// Until this monotonic time neither the decision nor a word of the reply changes by itself.
    until: Duration,
}

impl PlainHit {
    /// The answer.
    pub fn stored(&self) -> &Arc<Stored> {
        &self.found.stored
    }
}

impl Proxy {
    /// The stored answer to plain GETs of this target. `None`: each has to be looked at by itself, by [`Proxy::hit`].
    pub fn plain_hit(&self, target: &Target, now: Now) -> Option<PlainHit> {
        if route::is_ours(target, self.config.admin.root_names) {
            return None;
        }
        self.polls.note_demand(target, now);
        let key = self.prefix.key_of(target.as_str().as_bytes());
        let found = self.store.find_plain(&key)?;
        let lifetime = &found.stored.lifetime;
        let Reuse::Fresh {
            age,
            refresh_due: false,
        } = reuse(lifetime, &RequestDirectives::default(), now)
        else {
            return None;
        };
        let next_age = Duration::from_secs(age.as_secs() + 1) - age;
        let left = lifetime.fresh_until().saturating_sub(age);
        let next_left = Duration::from_nanos(u64::from(left.subsec_nanos()));
        let next_left = if next_left.is_zero() {
            Duration::from_secs(1)
        } else {
            next_left
        };
        let until_refresh = lifetime.stale_time().saturating_sub(age);
        let lasts = next_age.min(next_left).min(left).min(until_refresh);
        Some(PlainHit {
            until: now.mono + lasts,
            found,
            now,
        })
    }

    /// Whether a plain hit is still what its target's requests get.
    pub fn holds(&self, hit: &PlainHit, now: Now) -> bool {
        now.mono < hit.until && self.store.is_current(&hit.found)
    }
}

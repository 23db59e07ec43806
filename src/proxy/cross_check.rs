//! Cross-checks: an answer that could be a false zero is pending until another answer, requested after it, confirms it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};

use super::{Proxy, ROLE};
use crate::cache::flights::{Arrival, FetchRequest, FetchResult, Waiter, Work};
use crate::cache::key::Key;
use crate::cache::shared_body::Reader;
use crate::message::{Body, Request, ResponseHead, Target};
use crate::origin::permits::FlightId;
use crate::outcome::{Cause, Fwd, Outcome};
use crate::policy::home::{PlausibilityCheck, PlausibilityResult, cross_check_agrees};
use crate::policy::rule::Fallback;
use crate::reply::{Reply, Responder};

/// What a pending answer needs to be confirmed.
pub(super) enum Unconfirmed {
    /// A battery level of zero, which another answer must confirm.
    Level,
    /// Nothing at all, which is this home's answer while its meters are well.
    Emptiness(PlausibilityCheck, Target),
}

/// An answer that waits for its cross-check.
pub(super) struct PendingConfirmation {
    /// What its flight ends with if the cross-check agrees.
    pub result: FetchResult,
    pub body: Bytes,
    pub unconfirmed: Unconfirmed,
}

/// Waits in the cross-check's flight, and completes the pending one by its answer.
struct CrossCheck {
    proxy: Arc<Proxy>,
    flight: FlightId,
    /// `None` once its flight was completed.
    pending: Option<PendingConfirmation>,
    /// The path that was asked.
    path: &'static str,
}

impl Proxy {
    /// Makes a flight wait for its cross-check. Its permit goes back meanwhile; the cross-check needs one of its own.
    pub(super) fn await_confirmation(
        self: &Arc<Proxy>,
        flight: FlightId,
        pending: PendingConfirmation,
    ) {
        self.submit(Work::Pending(flight));
        self.start_cross_check(flight, pending);
    }

    fn start_cross_check(self: &Arc<Proxy>, flight: FlightId, pending: PendingConfirmation) {
        let path = match pending.unconfirmed {
            Unconfirmed::Level => self.plausibility.lock().cross_check_path(),
            Unconfirmed::Emptiness(..) => "/aggregates",
        };
        let cross_check = CrossCheck {
            proxy: Arc::clone(self),
            flight,
            pending: Some(pending),
            path,
        };
        let Some(target) = Target::parse(Bytes::from_static(path.as_bytes())) else {
            return;
        };
        let key = Some(Key::new(None, ROLE, &target));
        let poll = self.polls.place_of(&target);
        let request = Arc::new(self.own_request(target));
        let waiter = Waiter {
            request: Arc::clone(&request),
            responder: Box::new(cross_check),
            stale: None,
            leads: false,
            cors: false,
            fallback: Fallback::Error,
            fwd: Fwd::UriMiss,
            alone: None,
            again: false,
        };
        // Not joinable: a fetch that began before the pending answer came cannot confirm it.
        let fetch_request = FetchRequest {
            request,
            key,
            shared: true,
            joins: None,
            related_key: None,
            even_if_fresh: true,
            poll,
            safe: true,
            plain: false,
            interim_sink: None,
        };
        self.submit(Work::Arrived(Arrival {
            waiter: Some(waiter),
            fetch_request,
        }));
    }

    /// A GET of our own.
    pub(super) fn own_request(&self, target: Target) -> Request {
        Request {
            method: Method::GET,
            target,
            version: Version::HTTP_11,
            fields: HeaderMap::new(),
            body: Body::default(),
            peer: Ipv4Addr::LOCALHOST.into(),
            id: self.next_id(),
        }
    }
}

impl CrossCheck {
    fn hear(&mut self, body: Option<&[u8]>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let agrees = match &pending.unconfirmed {
            Unconfirmed::Level => body.is_some_and(|body| cross_check_agrees(&pending.body, body)),
            Unconfirmed::Emptiness(kind, target) => {
                let now = self.proxy.clock.now();
                self.proxy
                    .plausibility
                    .lock()
                    .assess(target.as_str(), *kind, &pending.body, now)
                    == PlausibilityResult::Good
            }
        };
        // A home without a battery has just said so; then the meters are its cross-check.
        let other = matches!(pending.unconfirmed, Unconfirmed::Level)
            && self.proxy.plausibility.lock().cross_check_path() != self.path;
        if !agrees && other {
            return self.proxy.start_cross_check(self.flight, pending);
        }
        let result = if agrees {
            pending.result
        } else {
            FetchResult::failed(Cause::CheckFailed)
        };
        self.proxy.submit(Work::Completed(self.flight, result));
    }
}

impl Responder for CrossCheck {
    fn reply(&mut self, reply: Reply) {
        let fetched = match &reply {
            Reply::Stored {
                stored,
                outcome: Outcome::Fetched { .. } | Outcome::Validated { .. },
                ..
            } => Some((stored.status, &stored.body)),
            Reply::Relayed { response, .. } => Some((response.status, &response.body)),
            _ => None,
        };
        self.hear(
            fetched
                .filter(|(status, _)| status.is_success())
                .map(|(_, body)| &body[..]),
        );
    }

    fn open(&mut self, _: &ResponseHead, _: Outcome, _: Reader) {
        self.hear(None);
    }

    fn gone(&self) -> bool {
        false
    }
}

impl Drop for CrossCheck {
    fn drop(&mut self) {
        self.hear(None);
    }
}

//! Cross-checks: an answer that could be a false zero is pending until another answer, requested after it, confirms it.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};

use super::{Proxy, ROLE};
use crate::cache::flights::{Arrival, FetchRequest, FetchResult, Waiter, Work};
use crate::cache::key::Key;
use crate::message::{Body, Request, Target};
use crate::origin::Opening;
use crate::origin::permits::FlightId;
use crate::outcome::{Cause, Fwd, Outcome};
use crate::policy::judge::Verdict;
use crate::policy::rule::Fallback;
use crate::reply::{Nowhere, Reply, Responder, Sink};

/// An answer that waits for its cross-check.
pub(super) struct PendingConfirmation {
    /// What its flight ends with if the cross-check confirms it.
    pub result: FetchResult,
    /// What it is an answer of.
    pub target: Target,
    pub body: Bytes,
    /// The path of its cross-check.
    pub path: Cow<'static, str>,
}

/// Waits in the cross-check's flight, and completes the pending one by its answer.
struct CrossCheck {
    proxy: Arc<Proxy>,
    flight: FlightId,
    /// `None` once its flight was completed.
    pending: Option<PendingConfirmation>,
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
        let path = Bytes::copy_from_slice(pending.path.as_bytes());
        let cross_check = CrossCheck {
            proxy: Arc::clone(self),
            flight,
            pending: Some(pending),
        };
        let Some(target) = Target::parse(path) else {
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
            special: None,
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
            unusual: false,
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
        let Some(mut pending) = self.pending.take() else {
            return;
        };
        let now = self.proxy.clock.now();
        let verdict = self.proxy.judge.lock().confirm(
            pending.target.as_str(),
            &pending.body,
            (&pending.path, body),
            now,
        );
        let result = match verdict {
            Verdict::Good => pending.result,
            Verdict::Bad(_) => FetchResult::failed(Cause::CheckFailed),
            Verdict::NeedsCrossCheck(path) => {
                pending.path = path;
                return self.proxy.start_cross_check(self.flight, pending);
            }
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

    fn open(&mut self, _: &Opening, _: Outcome) -> Box<dyn Sink> {
        self.hear(None);
        Box::new(Nowhere)
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

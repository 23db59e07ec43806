//! The end of a flight: what everybody waiting is told.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};

use super::find::shape;
use super::{Proxy, plain};
use crate::cache::flights::{FetchResult, Shared, Waiter};
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::message::Response;
use crate::metrics::RejectReason;
use crate::outcome::{Cause, Fwd, Outcome};
use crate::policy::rule::Fallback;
use crate::policy::sharing::is_conditional;
use crate::reply::{Failure, Reply};

impl Proxy {
    /// Tells everybody waiting how the flight ended, each by what it may have.
    pub(super) fn answer_all(&self, waiters: Vec<Waiter>, result: &FetchResult, now: Now) {
        if let FetchResult::Shared(Shared { stored, .. }) = result {
            self.statistics.missed(&stored.key, waiters.len());
        }
        for mut waiter in waiters {
            match result {
                FetchResult::Found(stored) => match waiter.reply_from(stored, Outcome::Hit, now) {
                    Some(reply) => {
                        stored.count_hit();
                        waiter.responder.reply(reply);
                    }
                    None => self.retry_alone(waiter),
                },
                FetchResult::Shared(answer) => self.share(waiter, answer, now),
                FetchResult::Unshared(response)
                    if refuses_head(&waiter.request.method, response.status) =>
                {
                    self.ask_as_get(waiter);
                }
                FetchResult::Unshared(response) if waiter.leads => {
                    let outcome = waiter.fetched(false);
                    waiter.responder.reply(Reply::Relayed {
                        response: Arc::clone(response),
                        outcome,
                    });
                }
                FetchResult::Confirmed(stored) if waiter.leads => {
                    let outcome = Outcome::Validated {
                        forced: waiter.fwd == Fwd::Request,
                    };
                    match waiter.reply_of(stored, outcome, now) {
                        Some(reply) => waiter.responder.reply(reply),
                        None => self.retry_alone(waiter),
                    }
                }
                FetchResult::Unshared(_) | FetchResult::Confirmed(_) => self.retry_alone(waiter),
                FetchResult::Failed {
                    cause,
                    keeps: Some(answer),
                    ..
                } if !waiter.has_stale_for(*cause, now) => {
                    self.share(waiter, answer, now);
                }
                FetchResult::Failed {
                    cause,
                    response,
                    retry_after,
                    ..
                } => {
                    waiter.settle(*cause, response.as_ref(), *retry_after, now);
                }
            }
        }
    }

    /// Answers the waiters of a flight that does not start, or ends too late for them.
    pub(super) fn turn_away(
        &self,
        waiters: Vec<Waiter>,
        cause: Cause,
        wait: Option<Duration>,
        now: Now,
    ) {
        let reason = match cause {
            Cause::ParkedFull => Some(RejectReason::Parked),
            Cause::NoPermit => Some(RejectReason::Permits),
            _ => None,
        };
        for mut waiter in waiters {
            reason
                .into_iter()
                .for_each(|reason| self.counters.rejections.note(reason));
            waiter.settle(cause, None, wait, now);
        }
    }

    /// Tells one waiter an answer that was stored, if it is for a request like this one.
    fn share(&self, mut waiter: Waiter, answer: &Shared, now: Now) {
        let outcome = match answer.validated {
            true => Outcome::Validated {
                forced: waiter.fwd == Fwd::Request,
            },
            false => waiter.fetched(true),
        };
        let reply = match &answer.whole {
            Some(response) if waiter.leads => Some(Reply::Relayed {
                response: Arc::clone(response),
                outcome,
            }),
            // What came of its own request the second time is its answer, whatever the origin says that it differs by.
            _ if waiter.leads && waiter.again => waiter.reply_of(&answer.stored, outcome, now),
            _ => waiter.reply_from(&answer.stored, outcome, now),
        };
        match reply {
            Some(reply) => waiter.responder.reply(reply),
            None => self.retry_alone(waiter),
        }
    }

    /// The origin knows no HEAD: the answer to GET tells the same, and is stored.
    fn ask_as_get(&self, mut waiter: Waiter) {
        waiter.request = Arc::new(plain(&waiter.request));
        waiter.alone = None;
        waiter.fwd = if waiter.stale.is_some() {
            Fwd::Stale
        } else {
            Fwd::UriMiss
        };
        self.retry_alone(waiter);
    }
}

impl Waiter {
    /// Sends what is stored if the cause allows it; else what its route wants in place of errors, else what the origin said to
    /// its leader, else our error.
    /// `wait`: how long the origin is not asked again, where that is known.
    pub(super) fn settle(
        &mut self,
        cause: Cause,
        response: Option<&Arc<Response>>,
        wait: Option<Duration>,
        now: Now,
    ) {
        let stale = self
            .stale
            .take()
            .filter(|stored| stored.serves_despite(cause, now));
        let stale = stale.and_then(|stored| {
            let reply = self.reply_from(&stored, Outcome::Stale { reason: cause }, now)?;
            stored.count_hit();
            Some(reply)
        });
        let reply = match (stale, response) {
            (Some(reply), _) => reply,
            (None, Some(response)) if self.leads && self.fallback == Fallback::Error => {
                Reply::Relayed {
                    response: Arc::clone(response),
                    outcome: self.fetched(false),
                }
            }
            (None, _) => {
                let backoff = wait.map(|wait| wait.as_secs() + 1);
                let cors = self.cors;
                Reply::Failed(Failure {
                    cause,
                    fwd: Some(self.fwd),
                    backoff,
                    cors,
                    fallback: self.fallback,
                })
            }
        };
        self.responder.reply(reply);
    }

    /// The reply from what is stored. `None`: it is for other requests, or not the part this one asks for.
    fn reply_from(&self, stored: &Arc<Stored>, outcome: Outcome, now: Now) -> Option<Reply> {
        if stored.is_selected_by(&self.request.fields) {
            self.reply_of(stored, outcome, now)
        } else {
            None
        }
    }

    /// The same where it is known to be for this request.
    fn reply_of(&self, stored: &Arc<Stored>, outcome: Outcome, now: Now) -> Option<Reply> {
        let fields = &self.request.fields;
        let conditional = is_conditional(fields);
        let range = fields.contains_key(header::RANGE);
        let shape = shape(stored, &self.request, conditional, range, now)?;
        Some(Reply::Stored {
            stored: Arc::clone(stored),
            outcome,
            now,
            shape,
        })
    }

    pub(super) fn fetched(&self, stored: bool) -> Outcome {
        match self.alone {
            Some(detail) => Outcome::Alone {
                fwd: self.fwd,
                detail,
            },
            None => Outcome::Fetched {
                fwd: self.fwd,
                stored,
                collapsed: !self.leads,
            },
        }
    }
}

/// The origin has no HEAD: GET will tell (FEATURES C7; pypowerwall answers 501).
pub(super) fn refuses_head(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD
        && matches!(
            status,
            StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED
        )
}

//! What the flights are told, and what they tell: the words of [`super::Flights::step`].

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};

use crate::cache::key::Key;
use crate::cache::shared_body::SharedBody;
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::message::{Request, Response, ResponseHead};
use crate::origin::InterimSink;
use crate::origin::backoff::Whose;
use crate::origin::permits::{Class, FlightId};
use crate::outcome::{Cause, FetchError, Fwd};
use crate::policy::freshness::FailureKind;
use crate::policy::rule::Fallback;
use crate::reply::Responder;

/// Something that happened, or something to be done.
pub enum Work {
    // What happens.
    /// Somebody wants an answer.
    Arrived(Arrival),
    /// The second look found a fresh answer.
    Found(FlightId, Arc<Stored>),
    /// The second look found none.
    Missing(FlightId),
    /// The origin's answer begins, and only the leader may have its body; the flight keeps its permit until `Ended`.
    Opened(FlightId),
    /// As `Opened`, for a body that may last for hours: it gives its permit back, and counts as a stream until `Ended`.
    Streams(FlightId),
    /// The origin's answer begins, and everybody it is selected for may have its body as it grows. `Completed` follows, or
    /// `Outgrown` and `Ended`.
    Grows(FlightId, Arc<Growing>),
    /// A growing body is too large to be kept: it takes no new reader, and is not stored.
    Outgrown(FlightId),
    /// A body that was passed on is over.
    Ended(FlightId),
    /// The answer is here, but waits for a cross-check; the origin is not working on it any more.
    Pending(FlightId),
    /// The origin's answer to a request with conditions speaks of nothing that is stored: it is to be asked without.
    Plainly(FlightId),
    /// The flight is over.
    Completed(FlightId, FetchResult),
    /// `slowRequestTimeout` has passed since the flight began; or the next request may start, for [`FlightId::TURN`].
    Deadline(FlightId),
    /// Stored answers with these keys are no longer good.
    Invalidated {
        /// Which keys.
        matches: Box<dyn Fn(&str) -> bool + Send>,
        /// The flight whose answer made them so, and is good itself.
        but: Option<FlightId>,
    },
    /// The poll of this key should not wait behind others any longer.
    Hurry(Key),
    /// The server is being stopped: nobody waits any longer.
    Stop,
    // What is to be done.
    /// Look in the store for what this request would fetch, and report `Found` or `Missing`. An answer that a background flight
    /// should refresh does not count.
    Look(FlightId, FetchRequest, Class),
    /// Store this.
    Insert(Shared),
    /// Ask the origin.
    Fetch(FlightId, FetchRequest),
    /// Report `Deadline` at this monotonic time.
    Wake(Duration, FlightId),
    /// The deadline of this flight, at this monotonic time, is of no interest any more.
    Forget(Duration, FlightId),
    /// Answer these, each by what it may have.
    Answer(Vec<Waiter>, Arc<FetchResult>),
    /// Give these the body that grows, where they may have it.
    Attach(Vec<Waiter>, Arc<Growing>),
    /// Answer the first with the body that is coming, the others as after an answer that cannot be shared.
    Open(Option<Waiter>, Vec<Waiter>),
    /// Answer these with what is stored, or with an error; the origin is not asked before this monotonic time, if one is given.
    Overdue(Vec<Waiter>, Cause, Option<Duration>),
    /// A poll is over, however it went.
    Polled {
        /// Which.
        poll: usize,
        /// Its answer means there is nothing to poll.
        refused: bool,
        /// It failed; its probe is due then.
        again: Option<Duration>,
    },
    /// A poll that went well before has failed.
    PollFails(Key, Cause),
    /// The origin is failing: its breaker is open.
    OriginDown {
        /// Why.
        cause: Cause,
        /// It was before: its probe has failed.
        still: bool,
    },
    /// The failing origin is asked by its probe: its breaker is half-open.
    OriginProbed,
    /// The origin answers again: its breaker is closed.
    OriginUp,
}

/// A request that wants an answer the store does not have.
pub struct Arrival {
    /// Who waits. `None`: a background refresh.
    pub waiter: Option<Waiter>,
    /// What to ask the origin.
    pub fetch_request: FetchRequest,
}

/// What is asked of the origin.
#[derive(Clone)]
pub struct FetchRequest {
    /// The request that leads.
    pub request: Arc<Request>,
    /// The key its answer may be stored under. `None`: it is not stored.
    pub key: Option<Key>,
    /// The origin is asked on behalf of everybody.
    pub shared: bool,
    /// The key of the shared answer that this unshared request is about: that of a GET, for a HEAD, a range or a precondition.
    /// It is held back by failures of that key, too.
    /// `None`: it is asked for everybody, or somebody's alone.
    pub related_key: Option<Key>,
    /// What others name to join: the key, with what the request selects by where its Vary is known. `None`: nobody joins.
    pub joins: Option<Key>,
    /// The origin is asked whatever is stored, as a poll does; all others look once more.
    pub even_if_fresh: bool,
    /// Which poll this is the target of, if any.
    pub poll: Option<usize>,
    /// True for GET, HEAD and the other safe methods (RFC 9110 §9.2.1).
    pub safe: bool,
    /// It is asked without conditions of ours.
    pub plain: bool,
    /// Who is told of interim responses: the client whose request this is. `None`: nobody.
    pub interim_sink: Option<Arc<dyn InterimSink>>,
}

impl FetchRequest {
    /// The key, where the answer is everybody's: what one named client is told is not held against it.
    pub fn shared_key(&self) -> Option<&Key> {
        self.key.as_ref().filter(|_| self.shared)
    }

    /// Whose failures hold it back, and whom its own failure counts against.
    pub(super) fn whose(&self) -> Whose<&Key> {
        match (self.shared_key(), &self.related_key) {
            (Some(key), _) => Whose::Key(key),
            (None, Some(key)) => Whose::Related(key),
            (None, None) => Whose::Nobody,
        }
    }

    /// A GET or HEAD without a body: asking it twice is as asking it once (RFC 9110 §9.2.2).
    pub fn is_repeatable(&self) -> bool {
        self.request.body.lease.is_none()
            && matches!(self.request.method, Method::GET | Method::HEAD)
    }

    /// Whether it only cross-checks another answer: nobody joins it, and what is stored does not count.
    pub(super) fn is_cross_check(&self) -> bool {
        self.shared && self.joins.is_none() && self.even_if_fresh
    }
}

/// Somebody waiting in a flight.
pub struct Waiter {
    /// Their own request.
    pub request: Arc<Request>,
    /// Where the answer goes.
    pub responder: Box<dyn Responder>,
    /// What is stored for them, past its lifetime.
    pub stale: Option<Arc<Stored>>,
    /// True for the one whose request was sent.
    pub leads: bool,
    /// Every page may read what they are told.
    pub cors: bool,
    /// What they get when there is neither an answer nor a stale one that may serve.
    pub fallback: Fallback,
    /// Why the origin is asked for them.
    pub fwd: Fwd,
    /// Why the request goes alone. `None`: it may share.
    pub alone: Option<&'static str>,
    /// What was fetched for it before was for other requests than this one (RFC 9111 §4.1).
    pub again: bool,
}

/// An answer that everybody it is selected for may have.
#[derive(Clone)]
pub struct Shared {
    /// The answer.
    pub stored: Arc<Stored>,
    /// The request's fields as the origin saw them: it takes the place of what they select.
    pub sent: Arc<HeaderMap>,
    /// The origin only confirmed what was stored (RFC 9111 §4.3.4).
    pub validated: bool,
    /// The user says what a good answer is here: a good one gives way to no other while it may be used.
    pub checked: bool,
    /// The answer as it came, for the leader, where what is stored differs from it.
    pub whole: Option<Arc<Response>>,
}

/// A response that everybody it is selected for may have while its body grows.
pub struct Growing {
    /// Its head, for the leader.
    pub head: ResponseHead,
    /// Its head for all others, and what selects it.
    pub stored: Arc<Stored>,
    /// Its body.
    pub body: Arc<SharedBody>,
}

/// How a flight ended.
pub enum FetchResult {
    /// The second look found a fresh answer; the origin was not asked.
    Found(Arc<Stored>),
    /// An answer that everybody may have. Stored, unless an invalidation forbids.
    Shared(Shared),
    /// An answer for the leader only.
    Unshared(Arc<Response>),
    /// What is stored is confirmed, for the leader only: the confirmation itself may not be stored.
    Confirmed(Arc<Stored>),
    /// No good answer.
    Failed {
        /// Why.
        cause: Cause,
        /// What the origin said nevertheless.
        response: Option<Arc<Response>>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// An error the origin wants stored (RFC 9111 §4.2.1).
        keeps: Option<Shared>,
        /// The origin is to be left alone after it.
        counts_as_failure: bool,
    },
}

impl FetchResult {
    /// A failure of which nothing more is known.
    pub fn failed(cause: Cause) -> FetchResult {
        FetchResult::Failed {
            cause,
            response: None,
            retry_after: None,
            keeps: None,
            counts_as_failure: true,
        }
    }

    /// The status the origin answered with, if it did.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            FetchResult::Found(stored) | FetchResult::Confirmed(stored) => Some(stored.status),
            FetchResult::Shared(answer) => Some(answer.stored.status),
            FetchResult::Unshared(response) => Some(response.status),
            FetchResult::Failed { response, .. } => {
                response.as_ref().map(|response| response.status)
            }
        }
    }
}

impl Stored {
    /// Whether this answer may be sent although the origin has no good one, for this cause.
    pub fn serves_despite(&self, cause: Cause, now: Now) -> bool {
        self.lifetime.serves_despite(failure_kind(cause), now)
    }
}

/// What a cause means for stale answers.
fn failure_kind(cause: Cause) -> FailureKind {
    use FetchError::{ConnectTimeout, FirstByteTimeout, IdleTimeout, TotalTimeout};
    match cause {
        Cause::Fetch(ConnectTimeout | FirstByteTimeout | IdleTimeout | TotalTimeout) => {
            FailureKind::TimedOut
        }
        Cause::Fetch(_) => FailureKind::Unreachable,
        Cause::Slow | Cause::Quota | Cause::NoPermit | Cause::ParkedFull => FailureKind::Slow,
        _ => FailureKind::Failed,
    }
}

impl Waiter {
    /// Whether it takes a body while it grows. Not while there is a stale answer that a broken one must not cost it, nor where
    /// the place of its range is not known yet.
    pub(super) fn takes_growing(&self, growing: &Growing, now: Now) -> bool {
        !self.has_any_stale(now) && self.knows_its_place(growing)
    }

    /// Whether what is stored may be sent if a body is slow, or breaks.
    pub(super) fn has_any_stale(&self, now: Now) -> bool {
        self.has_stale_for(Cause::Slow, now)
            || self.has_stale_for(Cause::Fetch(FetchError::Truncated), now)
    }

    /// Whether it is known which bytes of a growing body answer it.
    pub(super) fn knows_its_place(&self, growing: &Growing) -> bool {
        growing.head.length.is_some() || !self.request.fields.contains_key(header::RANGE)
    }

    /// Whether what is stored may be sent instead of a good answer, for this cause.
    pub fn has_stale_for(&self, cause: Cause, now: Now) -> bool {
        self.stale
            .as_ref()
            .is_some_and(|stored| stored.serves_despite(cause, now))
    }
}

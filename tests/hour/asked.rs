//! One request at the origin, whose answer is due now.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use larder::cache::flights::FetchRequest;
use larder::message::Response;
use larder::origin::permits::FlightId;
use larder::origin::{Fetched, Opening, Origin, OriginRequest, Rest};
use larder::outcome::FetchError;

use crate::endpoints::{Kind, endpoint};
use crate::faults::Fate;
use crate::ledger::Worth;
use crate::schedule::{Asker, Heard};
use crate::world::World;

/// A drop of a dripping body each of these milliseconds.
const EACH: u64 = 1_000;
/// totalTimeout.
const TOTAL: u64 = 60_000;

pub struct Asked<'a> {
    world: Arc<World>,
    flight: FlightId,
    fetch_request: &'a FetchRequest,
    fate: Fate,
}

impl<'a> Asked<'a> {
    pub fn new(
        world: Arc<World>,
        flight: FlightId,
        fetch_request: &'a FetchRequest,
        fate: Fate,
    ) -> Asked<'a> {
        Asked {
            world,
            flight,
            fetch_request,
            fate,
        }
    }
}

impl Origin for Asked<'_> {
    fn fetch(&mut self, request: &OriginRequest) -> Result<Fetched, FetchError> {
        let now = self.world.now();
        let state = &mut *self.world.state();
        let known = state.fake.ledger.next();
        let answer = state.fake.answer(request, self.fate, &mut state.dice, now);
        let worth = state
            .fake
            .ledger
            .get(known)
            .map_or(Worth::Good, |said| said.worth);
        let heard = match &answer {
            Err(FetchError::Resolve | FetchError::Connect | FetchError::ConnectTimeout) => {
                Heard::Nobody
            }
            Err(FetchError::FirstByteTimeout) => Heard::Silence,
            Err(FetchError::IdleTimeout | FetchError::TotalTimeout | FetchError::Truncated) => {
                Heard::Failing(None)
            }
            Err(_) => Heard::Failure(None),
            Ok(response)
                if request.method == Method::HEAD
                    && response.status == StatusCode::NOT_IMPLEMENTED =>
            {
                Heard::Answer
            }
            Ok(response)
                if response.status.is_server_error() || response.status.as_u16() == 429 =>
            {
                let after = if let Fate::Status(_, after) = self.fate {
                    after
                } else {
                    None
                };
                let after = after.map(|seconds| seconds * 1_000);
                if response.status.is_server_error() {
                    Heard::Failing(after)
                } else {
                    Heard::Failure(after)
                }
            }
            Ok(_) => judged(worth, endpoint(request.target.as_str()).kind),
        };
        let again =
            state.quotas.may_repeat() && self.fetch_request.is_repeatable() && self.may_pass();
        let asker = Asker::of(self.fetch_request);
        let opens = answer
            .as_ref()
            .is_ok_and(|response| self.opens(request, response));
        // What comes drop by drop shows at its end what it is.
        if !opens || !asker.shared {
            state.schedule.heard(self.flight, &asker, heard, again, now);
        }
        state
            .traffic
            .answered(self.flight, self.fetch_request, self.fate, now);
        let response = answer?;
        let (Fate::Drip { seconds, cut }, true) = (self.fate, opens) else {
            return Ok(Fetched::Whole(response));
        };
        let length = response.body.len();
        let rest = Drip {
            world: Arc::clone(&self.world),
            flight: self.flight,
            rest: response.body,
            known,
            asker: asker.shared.then_some(asker),
            heard,
            total: now + TOTAL,
            unread: false,
            may_be_repeated: state.quotas.may_repeat() && self.fetch_request.is_repeatable(),
            drop: length.div_ceil(usize::try_from(seconds).unwrap_or(1)),
            cut_at: if cut { length / 2 } else { 0 },
        };
        let status = response.status;
        let fields = response.fields;
        let length = Some(length as u64);
        Ok(Fetched::Opening(Opening {
            status,
            fields,
            length,
            begun: Bytes::new(),
            rest: Box::new(rest),
        }))
    }
}

impl Asked<'_> {
    /// Whether the answer is passed on as it comes.
    fn opens(&self, request: &OriginRequest, response: &Response) -> bool {
        let is_drip = matches!(self.fate, Fate::Drip { .. }) && !response.body.is_empty();
        is_drip && response.status.is_success() && request.method == Method::GET
    }

    /// Whether the same may be asked once more: refused, cut, or said to be no fault of the request.
    fn may_pass(&self) -> bool {
        use FetchError::{Connect, Truncated};
        matches!(
            self.fate,
            Fate::Error(Connect | Truncated) | Fate::Status(502..=504, None)
        )
    }
}

/// What an answer with status 200 is, as far as it shows by itself.
fn judged(worth: Worth, kind: Kind) -> Heard {
    match worth {
        Worth::Good => Heard::Answer,
        Worth::Bad if !matches!(kind, Kind::Csv | Kind::Readings) => Heard::Failure(None),
        Worth::Bad | Worth::IfMetersAreWellSince(_) => Heard::Unconfirmed,
    }
}

/// A body that comes drop by drop, while the hour goes on.
struct Drip {
    world: Arc<World>,
    flight: FlightId,
    rest: Bytes,
    /// The number of what is said.
    known: usize,
    /// Who asked, where all might have shared it and its end has not been told.
    asker: Option<Asker>,
    heard: Heard,
    may_be_repeated: bool,
    /// When it is cut off if nobody reads it then, and whether nobody does.
    total: u64,
    unread: bool,
    /// Bytes at once.
    drop: usize,
    /// It breaks off with so many bytes to come; 0: it does not.
    cut_at: usize,
}

impl Drip {
    /// What came at last is said now, too.
    fn ends(&mut self, heard: Heard, again: bool) {
        let now = self.world.now();
        let state = &mut *self.world.state();
        state.fake.ledger.again(self.known, now);
        if let Some(asker) = self.asker.take() {
            state.schedule.heard(self.flight, &asker, heard, again, now);
        }
    }
}

impl Rest for Drip {
    fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        if self.rest.is_empty() {
            self.ends(self.heard, false);
            return Ok(None);
        }
        let flows = self.world.state().traffic.flows(self.flight);
        flows.unwrap_or_else(|problem| self.world.complain(problem));
        self.world.run_until(self.world.now() + EACH);
        self.world.state().traffic.ebbs(self.flight);
        if self.unread && self.world.now() >= self.total {
            self.ends(Heard::Failing(None), false);
            return Err(FetchError::TotalTimeout);
        }
        if self.rest.len() <= self.cut_at {
            self.ends(Heard::Failing(None), self.may_be_repeated);
            return Err(FetchError::Truncated);
        }
        Ok(Some(self.rest.split_to(self.drop.min(self.rest.len()))))
    }

    fn set_unread(&mut self, unread: bool) {
        self.unread = unread;
    }
}

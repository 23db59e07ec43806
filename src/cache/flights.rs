//! Flights: one fetch in progress for a key, and everybody waiting for it. PURE: a value stepped by work.
//!
//! ```text
//! Arrived ──▶ Look ──▶ Found ─────────────────────────▶ Answer
//!               │                    ┌─▶ Opened, Streams ──▶ Ended
//!               │                    │                        ▲
//!               │                    ├─▶ Grows ─▶ Attach ─▶ Outgrown
//!               │                    │            ▼
//!               └──▶ Missing ──▶ Fetch ─▶ Completed ▶ (Insert) Answer, or Fetch once more
//!                      (permit)      └─▶ Deadline ──▶ Overdue
//! ```
//!
//! Threads, clocks, sockets and the store are the caller's: it carries out what [`Flights::step`] returns. `Look` and `Insert`
//! must be carried out before any other work is stepped (the caller holds one lock around both), so that an answer is in the
//! store before its flight is gone, and a new flight looks again (I4); and so that an invalidation finds the one or the other (I8).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

mod failure;
mod flight;
mod report;
mod turns;
mod work;

pub use report::{FailureReport, UnderWay};
pub use work::{Arrival, FetchRequest, FetchResult, Growing, Shared, Waiter, Work};

use self::flight::{Flight, Stage, turn_away};
use super::expiring_set::ExpiringSet;
use super::key::Key;
use super::store::Stored;
use crate::clock::Now;
use crate::origin::backoff::{Backoff, Heard, Permission, ProbeToken, Schedule, Whose};
use crate::origin::breaker::Breaker;
use crate::origin::limits::{Limits, Restraint};
use crate::origin::permits::{Class, FlightId, Permits};
use crate::outcome::Cause;

/// Background refreshes at once, waiting ones included; more are left to the next request.
const MAX_BACKGROUND: usize = 256;

/// Streams at once, where nobody says otherwise.
const MAX_STREAMS: usize = 64;

/// How long a key whose answer could not be shared is not collapsed.
const NOT_COLLAPSED_FOR: Duration = Duration::from_secs(60);

/// Statuses of a poll that mean there is nothing to poll (SEMANTICS "Which preset").
const NOTHING_THERE: [u16; 5] = [401, 403, 404, 405, 501];

/// All flights of one origin, with its permits.
pub struct Flights {
    flights: HashMap<FlightId, Flight>,
    by_key: HashMap<Key, FlightId>,
    not_collapsed: ExpiringSet,
    permits: Permits,
    limits: Limits,
    backoff: Backoff<Key>,
    /// When the timer was last told to say that the next request may start.
    alarm: Option<Duration>,
    parked: usize,
    max_parked: usize,
    slow: Duration,
    /// Flights the origin has been working on for longer than `slow`.
    late: usize,
    /// Bodies that may last for hours, and how many there may be.
    streams: usize,
    max_streams: usize,
    next: u64,
    stopped: bool,
    /// Deadlines of flights that are over, to be told at the end of the step.
    past: Vec<(Duration, FlightId)>,
}

/// Numbers for /health and /queue/stats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Flights in progress.
    pub flights: usize,
    /// Requests waiting in them.
    pub parked: usize,
    /// Requests the origin is working on.
    pub active: usize,
    /// Flights waiting for a permit.
    pub queued: usize,
}

impl Flights {
    /// `permits` requests to the origin at once, `max_parked` requests waiting in all; `slow` is `slowRequestTimeout`; `backoff`
    /// is how often to ask what fails, and the seed of its jitter.
    pub fn new(
        permits: usize,
        max_parked: usize,
        slow: Duration,
        restraint: Restraint,
        backoff: (Schedule, u64),
    ) -> Flights {
        Flights {
            flights: HashMap::new(),
            by_key: HashMap::new(),
            not_collapsed: ExpiringSet::default(),
            permits: Permits::new(permits),
            limits: Limits::new(restraint),
            backoff: Backoff::new(backoff.0, backoff.1),
            alarm: None,
            parked: 0,
            max_parked,
            slow,
            late: 0,
            streams: 0,
            max_streams: MAX_STREAMS,
            next: 0,
            stopped: false,
            past: Vec::new(),
        }
    }

    /// The same with so many streams at once.
    pub fn with_max_streams(mut self, max_streams: usize) -> Flights {
        self.max_streams = max_streams;
        self
    }

    /// Takes in what happened and returns what is to be done, in order.
    pub fn step(&mut self, work: Work, now: Now) -> Vec<Work> {
        let mut todo = Vec::new();
        match work {
            Work::Arrived(arrival) => self.arrived(arrival, now, &mut todo),
            Work::Found(flight, stored) => self.found(flight, stored, &mut todo),
            Work::Missing(flight) => self.missing(flight),
            Work::Opened(flight) => self.opened(flight, false, now, &mut todo),
            Work::Streams(flight) => self.opened(flight, true, now, &mut todo),
            Work::Grows(flight, growing) => self.grows(flight, growing, now, &mut todo),
            Work::Outgrown(flight) => self.outgrown(flight, now, &mut todo),
            Work::Ended(flight) => drop(self.end(flight)),
            Work::Pending(flight) => self.pending(flight, now, &mut todo),
            Work::Plainly(flight) => self.ask_plainly(flight),
            Work::Completed(flight, result) => self.completed(flight, result, now, &mut todo),
            Work::Deadline(flight) => self.overdue(flight, now, &mut todo),
            Work::Invalidated { matches, but } => self.invalidated(&*matches, but),
            Work::Hurry(key) => self.hurry(&key),
            Work::Stop => self.stop(&mut todo),
            // What is to be done by others passes through.
            other => todo.push(other),
        }
        if !self.stopped {
            self.grant(now, &mut todo);
        }
        todo.extend(
            self.past
                .drain(..)
                .map(|(at, flight)| Work::Forget(at, flight)),
        );
        todo
    }

    /// Requests for this key are not collapsed for a while.
    pub fn do_not_collapse(&mut self, key: &Key, now: Now) {
        self.not_collapsed.set(key, NOT_COLLAPSED_FOR, now);
    }

    /// Whether one who waits in this flight has a stale answer, which a broken body must not cost it.
    pub fn waits_with_stale(&self, id: FlightId, now: Now) -> bool {
        self.flights
            .get(&id)
            .is_some_and(|flight| flight.waiters.iter().any(|p| p.has_any_stale(now)))
    }

    /// The numbers of this moment.
    pub fn gauges(&self) -> Gauges {
        let (active, queued) = self.permits.gauges();
        Gauges {
            flights: self.flights.len(),
            parked: self.parked,
            active,
            queued,
        }
    }

    fn arrived(&mut self, arrival: Arrival, now: Now, todo: &mut Vec<Work>) {
        let Arrival {
            waiter,
            fetch_request,
        } = arrival;
        let full = self.parked >= self.max_parked;
        if let Some(cause) = if self.stopped {
            Some(Cause::Stopping)
        } else {
            full.then_some(Cause::ParkedFull)
        } {
            return turn_away(waiter, &fetch_request, cause, None, todo);
        }
        let is_not_collapsed = fetch_request
            .key
            .as_ref()
            .is_some_and(|key| self.not_collapsed.has(key, now));
        let joinable = fetch_request.joins.as_ref().filter(|_| !is_not_collapsed);
        if let Some(flight) = joinable.and_then(|key| self.by_key.get(key)).copied() {
            return self.join(flight, waiter, now, todo);
        }
        // A refresh of a marked key would be one of many: every hit offers one, and these are not collapsed. What is polled
        // has one all the same.
        let is_polled_now = |poll| {
            self.flights
                .values()
                .any(|flight| flight.fetch_request.poll == Some(poll))
        };
        let many = self.flights.len() >= self.max_parked + MAX_BACKGROUND;
        if waiter.is_none()
            && (many || joinable.is_none() && fetch_request.poll.is_none_or(is_polled_now))
        {
            return turn_away(None, &fetch_request, Cause::ParkedFull, None, todo);
        }
        let class = if waiter.is_some() {
            Class::Client
        } else {
            Class::Background
        };
        if let Some(until) = self.limits.exhausted(class, now) {
            return turn_away(waiter, &fetch_request, Cause::Quota, Some(until), todo);
        }
        let breaker = self.backoff.breaker(now);
        let token = match self.backoff.permission(fetch_request.whose(), now) {
            Permission::Go(token) => token,
            Permission::Wait(cause, until) => {
                return turn_away(waiter, &fetch_request, cause, Some(until), todo);
            }
        };
        if breaker == Breaker::HalfOpen {
            todo.push(Work::OriginProbed);
        }
        let hung = self.late >= self.permits.limit();
        let joinable = joinable.cloned();
        match waiter {
            // With every permit held by a fetch that is late, nobody who has a stale answer waits to learn the same. What can
            // be refreshed for everybody is.
            Some(waiter) if hung && waiter.has_stale_for(Cause::Slow, now) => {
                todo.push(Work::Overdue(vec![waiter], Cause::Slow, None));
                match joinable {
                    Some(key) if !many => {
                        self.begin(None, fetch_request, token, Some(key), now, todo)
                    }
                    _ => self.backoff.withdraw(fetch_request.whose(), token),
                }
            }
            waiter => self.begin(waiter, fetch_request, token, joinable, now, todo),
        }
    }

    fn join(&mut self, id: FlightId, waiter: Option<Waiter>, now: Now, todo: &mut Vec<Work>) {
        let (Some(flight), Some(waiter)) = (self.flights.get_mut(&id), waiter) else {
            return;
        };
        let is_late = now.mono >= flight.began + self.slow;
        if let Some(growing) = &flight.growing {
            let growing = Arc::clone(growing);
            let takes_it = if is_late {
                !waiter.has_stale_for(Cause::Slow, now) && waiter.knows_its_place(&growing)
            } else {
                waiter.takes_growing(&growing, now)
            };
            if takes_it {
                flight.stage = Stage::Growing;
                return todo.push(Work::Attach(vec![waiter], growing));
            }
        }
        if is_late {
            return todo.push(Work::Overdue(vec![waiter], Cause::Slow, None));
        }
        flight.waiters.push(waiter);
        self.parked += 1;
        if flight.class == Class::Background {
            self.permits.promote(id);
        }
    }

    fn begin(
        &mut self,
        mut waiter: Option<Waiter>,
        fetch_request: FetchRequest,
        token: ProbeToken,
        joinable: Option<Key>,
        now: Now,
        todo: &mut Vec<Work>,
    ) {
        let id = FlightId(self.next);
        self.next += 1;
        if let Some(leader) = &mut waiter {
            leader.leads = true;
        }
        let class = if waiter.is_some() {
            Class::Client
        } else {
            Class::Background
        };
        let look =
            (joinable.is_some() && !fetch_request.even_if_fresh).then(|| fetch_request.clone());
        if let Some(key) = joinable {
            self.by_key.insert(key, id);
        }
        self.parked += usize::from(waiter.is_some());
        let waiters = Vec::from_iter(waiter);
        let stage = Stage::Looking;
        self.flights.insert(
            id,
            Flight {
                fetch_request,
                waiters,
                began: now.mono,
                class,
                stage,
                token,
                repeated: 0,
                late: false,
                invalidated_meanwhile: false,
                growing: None,
            },
        );
        todo.push(Work::Wake(now.mono + self.slow, id));
        match look {
            // A flight for this key may have ended between the request's look and now (I4).
            Some(fetch_request) => todo.push(Work::Look(id, fetch_request, class)),
            None => self.missing(id),
        }
    }

    fn found(&mut self, id: FlightId, stored: Arc<Stored>, todo: &mut Vec<Work>) {
        if let Some(flight) = self.abandon(id, None, todo) {
            todo.push(Work::Answer(
                flight.waiters,
                Arc::new(FetchResult::Found(stored)),
            ));
        }
    }

    /// Only the leader may have this body: it holds the permit, or is one of the streams.
    fn opened(&mut self, id: FlightId, streams: bool, now: Now, todo: &mut Vec<Work>) {
        self.is_nobody_elses(id, now, todo);
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let mut waiters = std::mem::take(&mut flight.waiters);
        self.parked -= waiters.len();
        let leader = waiters
            .first()
            .is_some_and(|p| p.leads)
            .then(|| waiters.remove(0));
        // A body nobody takes is not read: the flight ends at once.
        let Some(leader) = leader else {
            return todo.push(Work::Open(None, waiters));
        };
        if !streams {
            flight.stage = Stage::Relaying;
        } else if self.streams < self.max_streams {
            flight.stage = Stage::Streaming;
            self.streams += 1;
            self.late -= usize::from(std::mem::take(&mut flight.late));
            self.permits.release(flight.class);
        } else {
            todo.push(Work::Overdue(vec![leader], Cause::NoPermit, None));
            return todo.push(Work::Open(None, waiters));
        }
        todo.push(Work::Open(Some(leader), waiters));
    }

    /// Everybody it is selected for may have this body while it grows.
    fn grows(&mut self, id: FlightId, growing: Arc<Growing>, now: Now, todo: &mut Vec<Work>) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        flight.growing = Some(Arc::clone(&growing));
        let takes_it = |waiter: &Waiter| waiter.takes_growing(&growing, now);
        self.attach(id, &growing, takes_it, todo);
    }

    /// Gives a growing body to those who wait and want it so.
    fn attach(
        &mut self,
        id: FlightId,
        growing: &Arc<Growing>,
        takes_it: impl Fn(&Waiter) -> bool,
        todo: &mut Vec<Work>,
    ) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let all = std::mem::take(&mut flight.waiters);
        let (readers, others): (Vec<_>, Vec<_>) = all.into_iter().partition(takes_it);
        flight.waiters = others;
        self.parked -= readers.len();
        if !readers.is_empty() {
            flight.stage = Stage::Growing;
            todo.push(Work::Attach(readers, Arc::clone(growing)));
        }
    }

    /// A growing body is for those who read it already; who waits for all of it is fetched another.
    fn outgrown(&mut self, id: FlightId, now: Now, todo: &mut Vec<Work>) {
        self.is_nobody_elses(id, now, todo);
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        flight.growing = None;
        flight.stage = Stage::Relaying;
        let waiters = std::mem::take(&mut flight.waiters);
        self.parked -= waiters.len();
        todo.push(Work::Open(None, waiters));
    }

    /// The origin has answered, but not for everybody: nobody joins, and the key is not collapsed for a while.
    fn is_nobody_elses(&mut self, id: FlightId, now: Now, todo: &mut Vec<Work>) {
        self.unjoin(id);
        let Some(flight) = self.flights.get(&id) else {
            return;
        };
        let fetch_request = flight.fetch_request.clone();
        let token = flight.token;
        if let Some(key) = fetch_request.shared_key() {
            self.not_collapsed.set(key, NOT_COLLAPSED_FOR, now);
        }
        self.heard(&fetch_request, token, Heard::Answer, false, now, todo);
    }

    /// Takes a flight out, and back what it holds.
    fn end(&mut self, id: FlightId) -> Option<Flight> {
        let flight = self.remove(id)?;
        if !flight.stage.is_without_permit() {
            self.permits.release(flight.class);
        }
        self.late -= usize::from(flight.late);
        self.streams -= usize::from(flight.stage == Stage::Streaming);
        Some(flight)
    }

    fn completed(&mut self, id: FlightId, result: FetchResult, now: Now, todo: &mut Vec<Work>) {
        if self.retries(id, &result, now) {
            return;
        }
        let Some(flight) = self.end(id) else { return };
        if let Some(key) = &flight.fetch_request.key {
            match &result {
                FetchResult::Shared(answer)
                | FetchResult::Failed {
                    keeps: Some(answer),
                    ..
                } => {
                    self.not_collapsed.clear(key);
                    if !flight.invalidated_meanwhile {
                        todo.push(Work::Insert(answer.clone()));
                    }
                }
                // What a client with a name is told says nothing about the answer to all others.
                FetchResult::Unshared(_) | FetchResult::Confirmed(_)
                    if flight.fetch_request.shared =>
                {
                    self.not_collapsed.set(key, NOT_COLLAPSED_FOR, now);
                }
                FetchResult::Unshared(_)
                | FetchResult::Confirmed(_)
                | FetchResult::Found(_)
                | FetchResult::Failed { .. } => {}
            }
        }
        let heard = match &result {
            FetchResult::Failed { cause, .. } if flight.stage == Stage::Confirming => {
                Heard::Judged(Err(*cause))
            }
            _ if flight.stage == Stage::Confirming => Heard::Judged(Ok(())),
            FetchResult::Failed {
                cause,
                retry_after,
                counts_as_failure: true,
                ..
            } => Heard::Failure(*cause, *retry_after),
            _ => Heard::Answer,
        };
        let refused = result
            .status()
            .is_some_and(|status| NOTHING_THERE.contains(&status.as_u16()));
        self.heard(
            &flight.fetch_request,
            flight.token,
            heard,
            refused,
            now,
            todo,
        );
        todo.push(Work::Answer(flight.waiters, Arc::new(result)));
    }

    fn overdue(&mut self, id: FlightId, now: Now, todo: &mut Vec<Work>) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        match flight.stage {
            Stage::Waiting if !flight.waiters.is_empty() => {
                let waiters = std::mem::take(&mut flight.waiters);
                self.parked -= waiters.len();
                self.permits.withdraw(id);
                // What is worth refreshing is still refreshed when a permit is free; who asks meanwhile joins late.
                if flight.fetch_request.shared && waiters.iter().any(|p| p.stale.is_some()) {
                    flight.class = Class::Background;
                    self.permits.ask(id, Class::Background);
                } else {
                    drop(self.abandon(id, None, todo));
                }
                todo.push(Work::Overdue(waiters, Cause::NoPermit, None));
            }
            Stage::Fetching | Stage::Growing | Stage::Confirming => {
                flight.late = flight.stage == Stage::Fetching;
                self.late += usize::from(flight.late);
                let all = std::mem::take(&mut flight.waiters);
                let (with_stale, without): (Vec<_>, Vec<_>) = all
                    .into_iter()
                    .partition(|p| p.has_stale_for(Cause::Slow, now));
                flight.waiters = without;
                self.parked -= with_stale.len();
                let growing = flight.growing.clone();
                if !with_stale.is_empty() {
                    todo.push(Work::Overdue(with_stale, Cause::Slow, None));
                }
                // Nobody may be kept waiting now by an answer that could only replace a broken body.
                if let Some(growing) = growing {
                    let takes_it = |waiter: &Waiter| waiter.knows_its_place(&growing);
                    self.attach(id, &growing, takes_it, todo);
                }
            }
            _ => {}
        }
    }

    fn invalidated(&mut self, matches: &dyn Fn(&str) -> bool, but: Option<FlightId>) {
        let hit: Vec<FlightId> = self
            .flights
            .iter()
            .filter(|(id, f)| {
                Some(**id) != but
                    && f.fetch_request
                        .key
                        .as_ref()
                        .is_some_and(|k| matches(k.as_str()))
            })
            .map(|(id, _)| *id)
            .collect();
        for id in hit {
            self.unjoin(id);
            if let Some(flight) = self.flights.get_mut(&id) {
                flight.invalidated_meanwhile = true;
            }
        }
    }

    fn stop(&mut self, todo: &mut Vec<Work>) {
        self.stopped = true;
        self.send_back_the_waiting(Whose::Nobody, Cause::Stopping, None, todo);
        let all: Vec<Waiter> = self
            .flights
            .values_mut()
            .flat_map(|flight| flight.waiters.drain(..))
            .collect();
        self.parked = 0;
        todo.push(Work::Overdue(all, Cause::Stopping, None));
    }

    /// Takes a flight out that never asked the origin, and should not before `again`.
    fn abandon(
        &mut self,
        id: FlightId,
        again: Option<Duration>,
        todo: &mut Vec<Work>,
    ) -> Option<Flight> {
        let flight = self.remove(id)?;
        self.backoff
            .withdraw(flight.fetch_request.whose(), flight.token);
        todo.extend(flight.fetch_request.poll.map(|poll| Work::Polled {
            poll,
            refused: false,
            again,
        }));
        Some(flight)
    }

    /// Nobody new joins this flight.
    fn unjoin(&mut self, id: FlightId) {
        let key = self
            .flights
            .get(&id)
            .and_then(|flight| flight.fetch_request.joins.as_ref());
        if let Some(key) = key
            .filter(|key| self.by_key.get(*key) == Some(&id))
            .cloned()
        {
            self.by_key.remove(&key);
        }
    }

    fn remove(&mut self, id: FlightId) -> Option<Flight> {
        self.unjoin(id);
        let flight = self.flights.remove(&id)?;
        self.past.push((flight.began + self.slow, id));
        self.parked -= flight.waiters.len();
        Some(flight)
    }
}

#[cfg(test)]
mod tests;

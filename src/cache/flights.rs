//! Flights: one fetch in progress for a key, and everybody waiting for it. PURE: a value stepped by work.
//!
//! ```text
//! Arrived ──▶ Look ──▶ Found ─────────────────────────▶ Answer
//!               │                    ┌─▶ Opened ──▶ Ended
//!               └──▶ Missing ──▶ Fetch ─▶ Landed ──▶ (Insert) Answer
//!                      (permit)      └─▶ Deadline ──▶ Overdue
//! ```
//!
//! Threads, clocks, sockets and the store are the caller's: it carries out what [`Flights::step`] returns. `Look` and `Insert`
//! must be carried out before any other work is stepped (the caller holds one lock around both), so that an answer is in the
//! store before its flight is gone, and a new flight looks again (I4); and so that an invalidation finds the one or the other (I8).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::key::Key;
use super::store::Stored;
use crate::clock::Now;
use crate::message::Request;
use crate::origin::permits::{Class, FlightId, Permits};
use crate::outcome::{Cause, Fwd};
use crate::policy::reuse::{Reuse, reuse};
use crate::reply::Responder;

/// Background refreshes at once, waiting ones included; more are left to the next request.
const MAX_BACKGROUND: usize = 256;
/// How long a key whose answer could not be shared is not collapsed again, and how many such keys are remembered.
const MARKED_FOR: Duration = Duration::from_secs(60);
const MAX_MARKS: usize = 1024;

/// Something that happened, or something to be done.
pub enum Work {
    // What happens.
    /// Somebody wants an answer.
    Arrived(Arrival),
    /// The second look found a fresh answer.
    Found(FlightId, Arc<Stored>),
    /// The second look found none.
    Missing(FlightId),
    /// The origin's answer begins and will be passed on as it comes; the flight keeps its permit until `Ended`.
    Opened(FlightId),
    /// A body that was passed on is over.
    Ended(FlightId),
    /// The flight is over.
    Landed(FlightId, Landing),
    /// `slowRequestTimeout` has passed since the flight began.
    Deadline(FlightId),
    /// Stored answers with these keys are no longer good.
    Invalidated(Box<dyn Fn(&str) -> bool + Send>),
    /// The server is being stopped: nobody waits any longer.
    Stop,
    // What is to be done.
    /// Look for the key in the store, and report `Found` or `Missing`.
    Look(FlightId, Key),
    /// Store this.
    Insert(Arc<Stored>),
    /// Ask the origin.
    Fetch(FlightId, Errand),
    /// Report `Deadline` at this monotonic time.
    Wake(Duration, FlightId),
    /// Answer these, each by what it may have.
    Answer(Vec<Passenger>, Arc<Landing>),
    /// Answer the first with the body that is coming, the others as after an answer that cannot be shared.
    Open(Option<Passenger>, Vec<Passenger>),
    /// Answer these with what is stored, or with an error.
    Overdue(Vec<Passenger>, Cause),
}

/// A request that wants an answer the store does not have.
pub struct Arrival {
    /// Who waits. `None`: a background refresh.
    pub passenger: Option<Passenger>,
    /// What to ask the origin.
    pub errand: Errand,
}

/// What is asked of the origin.
#[derive(Clone)]
pub struct Errand {
    /// The request that leads.
    pub request: Arc<Request>,
    /// The key its answer may be stored under. `None`: it is not stored.
    pub key: Option<Key>,
    /// Others may join, and the origin is asked on behalf of everybody.
    pub shared: bool,
    /// True for GET, HEAD and the other safe methods (RFC 9110 §9.2.1).
    pub safe: bool,
}

/// Somebody waiting in a flight.
pub struct Passenger {
    /// Their own request.
    pub request: Arc<Request>,
    /// Where the answer goes.
    pub responder: Box<dyn Responder>,
    /// What is stored for them, past its lifetime.
    pub stale: Option<Arc<Stored>>,
    /// True for the one whose request was sent.
    pub leads: bool,
    /// Why the origin is asked for them.
    pub fwd: Fwd,
    /// Why the request goes alone. `None`: it may share.
    pub alone: Option<&'static str>,
}

/// How a flight ended.
pub enum Landing {
    /// The second look found a fresh answer; the origin was not asked.
    Found(Arc<Stored>),
    /// An answer that everybody may have. Stored, unless an invalidation forbids.
    Shared(Arc<Stored>, Arc<crate::message::Response>),
    /// An answer for the leader only.
    Unshared(Arc<crate::message::Response>),
    /// No good answer. `Some`: what the origin said nevertheless.
    Failed(Cause, Option<Arc<crate::message::Response>>),
}

/// All flights of one origin, with its permits.
pub struct Flights {
    flights: HashMap<FlightId, Flight>,
    by_key: HashMap<Key, FlightId>,
    marks: Marks,
    permits: Permits,
    parked: usize,
    max_parked: usize,
    slow: Duration,
    next: u64,
    stopped: bool,
}

struct Flight {
    errand: Errand,
    passengers: Vec<Passenger>,
    began: Duration,
    class: Class,
    stage: Stage,
    /// An invalidation came: what lands is not stored, and nobody new joins.
    marked: bool,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Looking,
    Waiting,
    Flying,
    Streaming,
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
    /// `permits` requests to the origin at once, `max_parked` requests waiting in all; `slow` is `slowRequestTimeout`.
    pub fn new(permits: usize, max_parked: usize, slow: Duration) -> Flights {
        Flights {
            flights: HashMap::new(),
            by_key: HashMap::new(),
            marks: Marks::default(),
            permits: Permits::new(permits),
            parked: 0,
            max_parked,
            slow,
            next: 0,
            stopped: false,
        }
    }

    /// Takes in what happened and returns what is to be done, in order.
    pub fn step(&mut self, work: Work, now: Now) -> Vec<Work> {
        let mut todo = Vec::new();
        match work {
            Work::Arrived(arrival) => self.arrived(arrival, now, &mut todo),
            Work::Found(flight, stored) => self.found(flight, stored, &mut todo),
            Work::Missing(flight) => self.missing(flight),
            Work::Opened(flight) => self.opened(flight, now, &mut todo),
            Work::Ended(flight) => drop(self.end(flight)),
            Work::Landed(flight, landing) => self.landed(flight, landing, now, &mut todo),
            Work::Deadline(flight) => self.overdue(flight, now, &mut todo),
            Work::Invalidated(matches) => self.invalidated(&*matches),
            Work::Stop => self.stop(&mut todo),
            // What is to be done by others passes through.
            other => todo.push(other),
        }
        if !self.stopped {
            self.grant(&mut todo);
        }
        todo
    }

    /// The numbers of this moment.
    pub fn gauges(&self) -> Gauges {
        let (active, queued) = self.permits.gauges();
        Gauges { flights: self.flights.len(), parked: self.parked, active, queued }
    }

    fn arrived(&mut self, arrival: Arrival, now: Now, todo: &mut Vec<Work>) {
        let Arrival { passenger, errand } = arrival;
        let full = self.parked >= self.max_parked;
        if let Some(cause) = if self.stopped { Some(Cause::Stopping) } else { full.then_some(Cause::ParkedFull) } {
            return todo.extend(passenger.map(|p| Work::Overdue(vec![p], cause)));
        }
        let joinable = errand.key.as_ref().filter(|key| errand.shared && !self.marks.has(key, now));
        if let Some(flight) = joinable.and_then(|key| self.by_key.get(key)).copied() {
            return self.join(flight, passenger, now, todo);
        }
        if passenger.is_none() && self.flights.len() >= self.max_parked + MAX_BACKGROUND {
            return;
        }
        let joinable = joinable.cloned();
        self.begin(passenger, errand, joinable, now, todo);
    }

    fn join(&mut self, id: FlightId, passenger: Option<Passenger>, now: Now, todo: &mut Vec<Work>) {
        let (Some(flight), Some(passenger)) = (self.flights.get_mut(&id), passenger) else { return };
        if now.mono >= flight.began + self.slow {
            return todo.push(Work::Overdue(vec![passenger], Cause::Slow));
        }
        flight.passengers.push(passenger);
        self.parked += 1;
        if flight.class == Class::Background {
            self.permits.promote(id);
        }
    }

    fn begin(
        &mut self,
        mut passenger: Option<Passenger>,
        errand: Errand,
        joinable: Option<Key>,
        now: Now,
        todo: &mut Vec<Work>,
    ) {
        let id = FlightId(self.next);
        self.next += 1;
        if let Some(leader) = &mut passenger {
            leader.leads = true;
        }
        let class = if passenger.is_some() { Class::Client } else { Class::Background };
        let look = joinable.clone();
        if let Some(key) = joinable {
            self.by_key.insert(key, id);
        }
        self.parked += usize::from(passenger.is_some());
        let passengers = Vec::from_iter(passenger);
        let stage = Stage::Looking;
        self.flights.insert(id, Flight { errand, passengers, began: now.mono, class, stage, marked: false });
        todo.push(Work::Wake(now.mono + self.slow, id));
        match look {
            // A flight for this key may have landed between the request's look and now (I4).
            Some(key) => todo.push(Work::Look(id, key)),
            None => self.missing(id),
        }
    }

    fn found(&mut self, id: FlightId, stored: Arc<Stored>, todo: &mut Vec<Work>) {
        if let Some(flight) = self.remove(id) {
            todo.push(Work::Answer(flight.passengers, Arc::new(Landing::Found(stored))));
        }
    }

    fn missing(&mut self, id: FlightId) {
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.stage = Stage::Waiting;
            self.permits.ask(id, flight.class);
        }
    }

    /// Hands out free permits. An unsafe request whose client has gone is not sent (I11).
    fn grant(&mut self, todo: &mut Vec<Work>) {
        while let Some((id, class)) = self.permits.grant() {
            let wanted = self.flights.get(&id).is_some_and(Flight::wanted);
            match self.flights.get_mut(&id).filter(|_| wanted) {
                Some(flight) => {
                    flight.stage = Stage::Flying;
                    flight.class = class;
                    todo.push(Work::Fetch(id, flight.errand.clone()));
                }
                None => {
                    self.permits.release(class);
                    drop(self.remove(id));
                }
            }
        }
    }

    fn opened(&mut self, id: FlightId, now: Now, todo: &mut Vec<Work>) {
        self.unjoin(id);
        let Some(flight) = self.flights.get_mut(&id) else { return };
        if let Some(key) = &flight.errand.key {
            self.marks.set(key, now);
        }
        let mut passengers = std::mem::take(&mut flight.passengers);
        self.parked -= passengers.len();
        let leader = passengers.first().is_some_and(|p| p.leads).then(|| passengers.remove(0));
        // A body nobody takes needs no permit to stream: the flight ends at once.
        if leader.is_some() && !self.permits.begin_stream() {
            todo.extend(leader.map(|leader| Work::Overdue(vec![leader], Cause::NoPermit)));
            return todo.push(Work::Open(None, passengers));
        }
        if leader.is_some() {
            flight.stage = Stage::Streaming;
        }
        todo.push(Work::Open(leader, passengers));
    }

    /// Takes a flight that had a permit out, and the permit back.
    fn end(&mut self, id: FlightId) -> Option<Flight> {
        let flight = self.remove(id)?;
        self.permits.release(flight.class);
        if flight.stage == Stage::Streaming {
            self.permits.end_stream();
        }
        Some(flight)
    }

    fn landed(&mut self, id: FlightId, landing: Landing, now: Now, todo: &mut Vec<Work>) {
        let Some(flight) = self.end(id) else { return };
        if let Some(key) = &flight.errand.key {
            match &landing {
                Landing::Shared(stored, _) => {
                    self.marks.clear(key);
                    if !flight.marked {
                        todo.push(Work::Insert(Arc::clone(stored)));
                    }
                }
                Landing::Unshared(_) => self.marks.set(key, now),
                Landing::Found(_) | Landing::Failed(..) => {}
            }
        }
        todo.push(Work::Answer(flight.passengers, Arc::new(landing)));
    }

    fn overdue(&mut self, id: FlightId, now: Now, todo: &mut Vec<Work>) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        match flight.stage {
            Stage::Looking | Stage::Waiting if flight.class == Class::Client || !flight.passengers.is_empty() => {
                self.permits.withdraw(id);
                if let Some(flight) = self.remove(id) {
                    todo.push(Work::Overdue(flight.passengers, Cause::NoPermit));
                }
            }
            Stage::Flying => {
                let all = std::mem::take(&mut flight.passengers);
                let (with_stale, without): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|p| p.has_stale_for(Cause::Slow, now));
                flight.passengers = without;
                self.parked -= with_stale.len();
                if !with_stale.is_empty() {
                    todo.push(Work::Overdue(with_stale, Cause::Slow));
                }
            }
            _ => {}
        }
    }

    fn invalidated(&mut self, matches: &dyn Fn(&str) -> bool) {
        let hit: Vec<FlightId> = self
            .flights
            .iter()
            .filter(|(_, f)| f.errand.key.as_ref().is_some_and(|k| matches(k.as_str())))
            .map(|(id, _)| *id)
            .collect();
        for id in hit {
            self.unjoin(id);
            if let Some(flight) = self.flights.get_mut(&id) {
                flight.marked = true;
            }
        }
    }

    fn stop(&mut self, todo: &mut Vec<Work>) {
        self.stopped = true;
        let all: Vec<Passenger> = self.flights.values_mut().flat_map(|flight| flight.passengers.drain(..)).collect();
        self.parked = 0;
        todo.push(Work::Overdue(all, Cause::Stopping));
    }

    /// Nobody new joins this flight.
    fn unjoin(&mut self, id: FlightId) {
        let key = self.flights.get(&id).and_then(|flight| flight.errand.key.as_ref());
        if let Some(key) = key.filter(|key| self.by_key.get(*key) == Some(&id)).cloned() {
            self.by_key.remove(&key);
        }
    }

    fn remove(&mut self, id: FlightId) -> Option<Flight> {
        self.unjoin(id);
        let flight = self.flights.remove(&id)?;
        self.parked -= flight.passengers.len();
        Some(flight)
    }
}

impl Stored {
    /// Whether this answer may be sent although the origin has no good one, for this cause: `slowGrace` applies while the
    /// origin may still be at work, `graceTime` after a failure.
    pub fn serves_despite(&self, cause: Cause, now: Now) -> bool {
        match reuse(&self.lifetime, now) {
            Reuse::Fresh { .. } => true,
            Reuse::Expired { when_slow, when_failed, .. } => {
                if cause.is_slowness() {
                    when_slow
                } else {
                    when_failed
                }
            }
        }
    }
}

impl Passenger {
    /// Whether what is stored may be sent instead of a good answer, for this cause.
    pub fn has_stale_for(&self, cause: Cause, now: Now) -> bool {
        self.stale.as_ref().is_some_and(|stored| stored.serves_despite(cause, now))
    }
}

impl Flight {
    /// Whether the origin should still be asked.
    fn wanted(&self) -> bool {
        self.errand.safe || self.passengers.iter().any(|p| !p.responder.gone())
    }
}

/// Keys whose answers could not be shared of late.
#[derive(Default)]
struct Marks {
    until: HashMap<Key, Duration>,
    order: VecDeque<Key>,
}

impl Marks {
    fn has(&self, key: &Key, now: Now) -> bool {
        self.until.get(key).is_some_and(|until| now.mono < *until)
    }

    fn set(&mut self, key: &Key, now: Now) {
        if self.until.insert(key.clone(), now.mono + MARKED_FOR).is_none() {
            self.order.push_back(key.clone());
        }
        while self.order.len() > MAX_MARKS {
            if let Some(oldest) = self.order.pop_front() {
                self.until.remove(&oldest);
            }
        }
    }

    fn clear(&mut self, key: &Key) {
        if self.until.remove(key).is_some() {
            self.order.retain(|marked| marked != key);
        }
    }
}

#[cfg(test)]
mod tests;

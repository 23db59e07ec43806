//! The hour itself: one queue of events in virtual time, one thread, and a real [`Proxy`] between clients and origin.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use larder::cache::flights::{FetchRequest, Gauges};
use larder::clock::Clock;
use larder::config::Config;
use larder::message::RequestId;
use larder::origin::permits::FlightId;
use larder::outcome::Outcome;
use larder::proxy::{PollEnd, Proxy, polls};
use larder::scheduler::plan::Plan;

use crate::asked::Asked;
use crate::clients::{Client, Question};
use crate::dice::Dice;
use crate::endpoints::{CONFIGURATION, ENDPOINTS, endpoint};
use crate::executor::Hands;
use crate::faults::{Fate, Faults};
use crate::origin::Fake;
use crate::quotas::Quotas;
use crate::schedule::Schedule;
use crate::traffic::Traffic;

/// Milliseconds of virtual time: the first fault, the last, and the end.
pub const BEGINS: u64 = 60_000;
pub const RECOVERS: u64 = 3_000_000;
pub const ENDS: u64 = 3_600_000;
/// How long after a recovery, and the last request that knew nothing of it, every polled path is fresh; with one request.
const NOTICED: u64 = 30_000 + 3_000;
const ONE_REQUEST: u64 = 1_000;
/// Whatever is under way at the end is over by then.
const DRAINED: u64 = 200_000;
/// Sat, 15 Nov 2025 00:00:00 GMT, when it begins.
const WALL: Duration = Duration::from_secs(1_763_164_800);
pub const PARKED: usize = 100;

/// What happens at a moment.
pub enum Event {
    RequestTraits,
    Leaves(usize),
    ChangesPace,
    Deadline(Duration, FlightId),
    Completes(FlightId, FetchRequest, Fate),
    /// A polled path, from this moment on.
    IsFreshAgain(&'static str, u64),
}

/// What the scheduler is told.
pub enum News {
    Ended(usize, PollEnd),
    OriginUp,
}

/// Somebody who asked.
pub struct Waiting {
    pub question: Question,
    pub request: RequestId,
    pub told: u32,
    pub gone: bool,
}

/// Everything that changes.
pub struct State {
    queue: BTreeMap<(u64, u64, u64), Event>,
    events: u64,
    pub dice: Dice,
    pub faults: Faults,
    pub fake: Fake,
    pub schedule: Schedule,
    pub quotas: Quotas,
    pub traffic: Traffic,
    plan: Plan,
    pub news: Vec<News>,
    pub deadlines: HashSet<(Duration, FlightId)>,
    pub clients: Vec<Waiting>,
    /// Clients that are not told yet.
    pub waiting: usize,
    /// Responders not yet dropped.
    pub held: usize,
    /// Between two requests of clients, on average.
    pace: u64,
    closing: bool,
    pub complaints: Vec<String>,
    /// What happens is printed.
    pub aloud: bool,
    /// Everything that was told, in short: the same for the same seed.
    pub trace: u64,
}

/// One hour.
pub struct World {
    pub clock: Clock,
    proxy: OnceLock<Weak<Proxy>>,
    state: Mutex<State>,
}

/// What came of an hour.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub complaints: Vec<String>,
    pub requests: usize,
    pub fetches: usize,
    pub trace: u64,
}

/// Lives through the hour of this seed; `aloud`: printing what happens.
pub fn hour(seed: u64, aloud: bool) -> Report {
    let mut config = Config::from_json(CONFIGURATION).expect("a configuration");
    let quotas = Quotas::any(seed);
    quotas.configure(&mut config);
    // What has no room in the quota stays as it is: how fresh, is not for us to say.
    let is_fresh_again = !quotas.counts();
    let mut dice = Dice::new(seed);
    let faults = Faults::new(&mut dice, BEGINS, RECOVERS);
    let state = State {
        queue: BTreeMap::new(),
        events: 0,
        dice,
        faults,
        fake: Fake::default(),
        schedule: Schedule::default(),
        quotas,
        traffic: Traffic::new(config.backend.max_concurrent_requests),
        plan: Plan::new(polls(&config), Duration::ZERO),
        news: Vec::new(),
        deadlines: HashSet::new(),
        clients: Vec::new(),
        waiting: 0,
        held: 0,
        pace: 1_000,
        closing: false,
        complaints: Vec::new(),
        aloud,
        trace: 0,
    };
    let world = Arc::new(World {
        clock: Clock::standing(WALL),
        proxy: OnceLock::new(),
        state: Mutex::new(state),
    });
    let executor = Box::new(Hands(Arc::clone(&world)));
    let proxy = Arc::new(Proxy::new(
        config,
        world.clock.clone(),
        seed as u32,
        PARKED,
        executor,
    ));
    assert!(world.proxy.set(Arc::downgrade(&proxy)).is_ok());
    world.later(1_000, Event::RequestTraits);
    world.later(BEGINS, Event::ChangesPace);
    for endpoint in ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.polled && is_fresh_again)
    {
        world.later(
            RECOVERS + NOTICED,
            Event::IsFreshAgain(endpoint.path, RECOVERS + NOTICED),
        );
    }
    world.run_until(ENDS);
    world.state().closing = true;
    world.run_until(ENDS + DRAINED);
    world.judge_the_end(&proxy);
    drop(proxy);
    let mut state = world.state();
    let complaints = std::mem::take(&mut state.complaints);
    Report {
        complaints,
        requests: state.clients.len(),
        fetches: state.traffic.fetches,
        trace: state.trace,
    }
}

impl World {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The virtual time in milliseconds.
    pub fn now(&self) -> u64 {
        milliseconds(self.clock.now().mono)
    }

    /// Lets happen what happens up to this moment. A body that drips does so in here, while everything else goes on.
    pub fn run_until(self: &Arc<World>, end: u64) {
        while self.state().complaints.is_empty() {
            self.learn();
            let turn = if self.state().closing {
                None
            } else {
                self.state().plan.next()
            };
            let turn = turn.map_or(u64::MAX, milliseconds);
            let event = self
                .state()
                .queue
                .keys()
                .next()
                .map_or(u64::MAX, |(at, ..)| *at);
            if turn.min(event) > end {
                break;
            }
            self.advance_to(turn.min(event));
            if turn <= event {
                self.offer();
            } else {
                let next = self.state().queue.pop_first();
                next.into_iter().for_each(|(_, event)| self.happens(event));
            }
            self.judge_the_moment();
        }
        self.advance_to(end);
    }

    pub fn proxy(&self) -> Option<Arc<Proxy>> {
        self.proxy.get().and_then(Weak::upgrade)
    }

    fn advance_to(&self, moment: u64) {
        self.clock
            .skip(Duration::from_millis(moment.saturating_sub(self.now())));
    }

    /// Of what happens at one moment, chance says what comes first.
    pub fn later(&self, at: u64, event: Event) {
        let mut state = self.state();
        let luck = state.dice.below(1 << 20);
        let number = state.events;
        state.events += 1;
        state.queue.insert((at, luck, number), event);
    }

    /// What the scheduler hears.
    fn learn(&self) {
        let now = self.clock.now().mono;
        let mut state = self.state();
        for news in std::mem::take(&mut state.news) {
            match news {
                News::OriginUp => state.plan.all_due(now),
                News::Ended(poll, end) => {
                    state.plan.ended(poll, end.refused);
                    if let Some(again) = end.again {
                        state.plan.probe(poll, again);
                    }
                }
            }
        }
    }

    /// The scheduler's turn.
    fn offer(&self) {
        let (Some(proxy), now) = (self.proxy(), self.clock.now().mono) else {
            return;
        };
        loop {
            let due = self.state().plan.due(now, |poll| proxy.last_wanted(poll));
            match due {
                Some(due) if due.overlaps => proxy.hurry(due.poll),
                Some(due) => proxy.poll(due.poll),
                None => return,
            }
        }
    }

    fn happens(self: &Arc<World>, event: Event) {
        let Some(proxy) = self.proxy() else { return };
        match event {
            Event::RequestTraits => self.ask(&proxy),
            Event::Leaves(number) => {
                if let Some(client) = self.state().clients.get_mut(number) {
                    client.gone = true;
                }
            }
            Event::ChangesPace => {
                proxy.sweep();
                let wait = {
                    let mut state = self.state();
                    state.pace = state.dice.of(&[500, 3_000, 3_000, 10_000, 40_000]);
                    state.dice.between(60_000, 480_000)
                };
                self.later(self.now() + wait, Event::ChangesPace);
            }
            Event::Deadline(at, flight) => {
                if flight == FlightId::TURN || self.state().deadlines.remove(&(at, flight)) {
                    proxy.deadline(flight);
                }
            }
            Event::Completes(flight, fetch_request, fate) => {
                if self.state().aloud {
                    println!("{:>8} {flight:?} completes", self.now());
                }
                proxy.fetch(
                    flight,
                    &fetch_request,
                    &mut Asked::new(Arc::clone(self), flight, &fetch_request, fate),
                );
            }
            Event::IsFreshAgain(path, due) => self.judge_recovery(&proxy, path, due),
        }
    }

    fn ask(self: &Arc<World>, proxy: &Arc<Proxy>) {
        let now = self.now();
        let (question, times, next) = {
            let state = &mut *self.state();
            let question = Question::any(&mut state.dice, state.fake.ledger.next(), now);
            let times = if state.dice.one_in(10) { 4 } else { 1 };
            (question, times, now + 1 + state.dice.below(2 * state.pace))
        };
        for _ in 0..times {
            self.ask_this(proxy, question.clone());
        }
        if next < ENDS {
            self.later(next, Event::RequestTraits);
        }
    }

    fn ask_this(self: &Arc<World>, proxy: &Arc<Proxy>, question: Question) {
        let id = proxy.next_id();
        let request = question.request(id);
        let number = self.await_reply(question, id);
        let client = Client {
            world: Arc::clone(self),
            number,
        };
        self.state().held += 1;
        match proxy.hit(&request, self.clock.now()) {
            Some(reply) => self.told(number, &reply),
            None => proxy.answer(request, client),
        }
    }

    /// One more client waits; one in five not for long.
    fn await_reply(&self, question: Question, request: RequestId) -> usize {
        let (number, patience) = {
            let mut state = self.state();
            state.clients.push(Waiting {
                question,
                request,
                told: 0,
                gone: false,
            });
            state.waiting += 1;
            let patience = state.dice.between(1, 6_000);
            (
                state.clients.len() - 1,
                Some(patience).filter(|patience| patience % 5 == 0),
            )
        };
        if let Some(patience) = patience {
            self.later(self.now() + patience, Event::Leaves(number));
        }
        number
    }

    pub fn complain(&self, problem: String) {
        let now = self.now();
        self.state().complaints.push(format!("{now} ms: {problem}"));
    }

    fn judge_the_moment(&self) {
        let Some(proxy) = self.proxy() else { return };
        let gauges = proxy.gauges();
        let state = self.state();
        let waiting = state.waiting;
        let deadlines = state.deadlines.len();
        drop(state);
        if gauges.parked < waiting || gauges.flights < deadlines {
            self.complain(format!(
                "{waiting} wait, with {deadlines} deadlines, in {gauges:?}"
            ));
        }
    }

    /// Whether a polled path is fresh again, as soon as it has to be.
    fn judge_recovery(self: &Arc<World>, proxy: &Arc<Proxy>, path: &'static str, due: u64) {
        let now = self.now();
        let (due, ends) = {
            let state = self.state();
            let waits = state
                .traffic
                .last_bad_end()
                .max(RECOVERS)
                .max(state.schedule.told_to_wait_until(path));
            let due = due.max(waits + NOTICED);
            // Where nothing failed since it last answered, its poll comes as that answer's lifetime ends: a little late for
            // one whose lifetime was shortened, or that dripped for nobody and was not stored.
            let said = state
                .fake
                .ledger
                .last(path, due)
                .filter(|_| state.schedule.is_well(path));
            (
                due,
                said.map_or(due, |at| due.max(at + endpoint(path).fresh * 1_000)) + ONE_REQUEST,
            )
        };
        if now < due {
            return self.later(due, Event::IsFreshAgain(path, due));
        }
        let fresh = proxy.hit(
            &Question::plain(path, now).request(proxy.next_id()),
            self.clock.now(),
        );
        if fresh.is_some_and(|reply| reply.status().is_success() && reply.outcome() == Outcome::Hit)
        {
            return;
        }
        if now < ends {
            self.later(ends, Event::IsFreshAgain(path, due));
        } else {
            self.complain(format!("{path} is not fresh again"));
        }
    }

    fn judge_the_end(&self, proxy: &Proxy) {
        let gauges = proxy.gauges();
        let state = self.state();
        let left = (state.waiting, state.held, state.deadlines.len());
        let broken = !state.complaints.is_empty();
        drop(state);
        if !broken && (gauges != Gauges::default() || left != (0, 0, 0)) {
            self.complain(format!(
                "left at the end: {gauges:?}, {left:?} waiting, held, deadlines"
            ));
        }
    }
}

/// Rounded up: what is due then is due.
pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

//! Everything at once, in random order: one seeded queue in virtual time, a store that does as it is told, and an account
//! of what flights promise, kept beside them.

use std::collections::BTreeMap;

use super::account::Account;
use super::harness::*;
use super::*;
use crate::origin::limits::Quota;
use crate::policy::sharing::Reason;

const SEEDS: u64 = 200;
const ARRIVALS: u64 = 1_000;
const KEYS: [&str; 4] = ["/a", "/b", "/c", "/d"];
/// The one that is polled.
const POLLED: &str = "/d";
const SILENT: Cause = Cause::Fetch(FetchError::FirstByteTimeout);
const CUT: Cause = Cause::Fetch(FetchError::Truncated);
const REFUSED: Cause = Cause::Fetch(FetchError::Connect);

#[test]
fn i7_whatever_happens_in_whatever_order_everybody_is_told_once() {
    for seed in 1..=SEEDS {
        let running = std::panic::AssertUnwindSafe(|| Simulation::new(seed).run());
        if let Err(panic) = std::panic::catch_unwind(running) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

struct Simulation {
    flights: Flights,
    permits: usize,
    restraint: Restraint,
    /// When requests to the origin began.
    asked: Vec<Duration>,
    /// How many were to be repeated.
    repeated: usize,
    random: Random,
    now: Duration,
    /// What will happen, by time and order of coming.
    queue: BTreeMap<(Duration, u64), Event>,
    /// Counts what has happened; also tells what came before what.
    turn: u64,
    store: HashMap<Key, Arc<Stored>>,
    clients: Vec<Client>,
    account: Account,
    /// When a poll was last asked for, and when one last ended.
    polled: u64,
    polls_ended: u64,
}

enum Event {
    Happens(Work),
    Arrives,
    Leaves(Arc<Tally>),
    Invalidated(Key),
    Completes(FlightId),
    Again(Waiter),
}

struct Client {
    tally: Arc<Tally>,
    safe: bool,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let permits = 1 + random.below(4) as usize;
        let max_parked = 5 + random.below(40) as usize;
        let restraint = any_restraint(&mut random);
        Simulation {
            flights: restrained(permits, max_parked, restraint),
            permits,
            restraint,
            asked: Vec::new(),
            repeated: 0,
            random,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            turn: 0,
            store: HashMap::new(),
            clients: Vec::new(),
            account: Account::default(),
            polled: 0,
            polls_ended: 0,
        }
    }

    fn run(mut self) {
        let mut time = Duration::ZERO;
        let hurry = 20 + self.random.below(400);
        for _ in 0..ARRIVALS {
            time += Duration::from_millis(self.random.below(hurry));
            self.later(time, Event::Arrives);
            if self.random.one_in(20) {
                let key = key(self.any_path());
                self.later(time, Event::Invalidated(key));
            }
        }
        // Some stop in the middle of it: what comes after is turned away, what is in progress completes.
        let stop = if self.random.one_in(2) {
            time / 2
        } else {
            time
        };
        self.later(stop, Event::Happens(Work::Stop));
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            self.happen(event);
        }
        self.judge_the_end();
    }

    fn later(&mut self, at: Duration, event: Event) {
        self.turn += 1;
        self.queue.insert((at, self.turn), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Happens(work) => self.step(work),
            Event::Arrives => self.arrive(),
            Event::Leaves(tally) => tally.gone.store(true, SeqCst),
            Event::Invalidated(key) => {
                self.account.invalidated(&key);
                let text = key.as_str().to_owned();
                self.step(Work::Invalidated {
                    matches: Box::new(move |other| other == text),
                    but: None,
                });
                self.store.remove(&key);
            }
            Event::Completes(flight) => self.complete(flight),
            Event::Again(waiter) => {
                let key = Some(Key::new(None, "anonymous", &waiter.request.target));
                let poll = (waiter.request.target.as_str() == POLLED).then_some(0);
                let request = Arc::clone(&waiter.request);
                let joins = key.clone();
                let fetch_request = FetchRequest {
                    request,
                    key,
                    joins,
                    poll,
                    ..shared("/")
                };
                self.join_or_start(Arrival {
                    waiter: Some(waiter),
                    fetch_request,
                });
            }
        }
    }

    fn arrive(&mut self) {
        let path = self.any_path();
        let fetch_request = match self.random.below(10) {
            0 => alone(path, false),
            1 => FetchRequest {
                related_key: Some(key(path)),
                ..alone(path, true)
            },
            // A client with a name: alone, but what the origin declares fit for all is stored.
            2 => FetchRequest {
                shared: false,
                joins: None,
                ..shared(path)
            },
            _ => FetchRequest {
                poll: (path == POLLED).then_some(0),
                ..shared(path)
            },
        };
        if fetch_request.shared && self.random.one_in(5) {
            self.polled = if fetch_request.poll.is_some() {
                self.turn
            } else {
                self.polled
            };
            return self.join_or_start(fetch_request.in_background());
        }
        let stored = self
            .store
            .get(&key(path))
            .filter(|_| fetch_request.shared)
            .cloned();
        let fresh = stored.as_ref().is_some_and(|stored| self.is_fresh(stored));
        // Half of those who would have had a hit looked just before it was there.
        if fresh && self.random.one_in(2) {
            return;
        }
        let tally = Arc::new(Tally::default());
        self.clients.push(Client {
            tally: Arc::clone(&tally),
            safe: fetch_request.safe,
        });
        if self.random.one_in(8) {
            let at = self.now + Duration::from_millis(self.random.below(3000));
            self.later(at, Event::Leaves(Arc::clone(&tally)));
        }
        let mut waiter = waiter(stored.filter(|_| !fresh), tally);
        waiter.request = Arc::clone(&fetch_request.request);
        waiter.alone = (!fetch_request.shared).then_some(Reason::Identity);
        self.join_or_start(Arrival {
            waiter: Some(waiter),
            fetch_request,
        });
    }

    /// Steps an arrival, and sees that it joined, began or was answered as the account says it should.
    fn join_or_start(&mut self, arrival: Arrival) {
        let background = arrival.waiter.is_none();
        let fetch_request = arrival.fetch_request.clone();
        let shared = fetch_request.key.clone().filter(|_| fetch_request.shared);
        let joins = shared
            .as_ref()
            .is_some_and(|key| self.account.joins(key, self.now));
        let slow = shared
            .as_ref()
            .is_some_and(|key| self.account.joins_slow(key, self.now));
        let apart = shared
            .as_ref()
            .is_some_and(|key| self.account.apart(key, self.now));
        let now = moment(self.now);
        let first = self.flights.step(Work::Arrived(arrival), now);
        let begun = first.iter().find_map(|work| match work {
            Work::Wake(_, flight) if *flight != FlightId::TURN => Some(*flight),
            _ => None,
        });
        // Anybody else who is told by an arrival is told that there was no permit, or had left before there was one.
        let others = |cause: &Cause| matches!(cause, Cause::NoPermit | Cause::ClientGone);
        let told = |work: &Work| matches!(work, Work::Overdue(_, cause, _) if !others(cause));
        let told = first.iter().any(told);
        if background {
            assert!(
                begun.is_none() || !(joins || apart && fetch_request.poll.is_none()),
                "one refresh of many"
            );
        } else if !told {
            assert_eq!(
                begun.is_some(),
                !joins,
                "joins or begins a flight for {:?}",
                fetch_request.key
            );
        }
        assert!(
            !slow || background || told,
            "joined a slow flight and waits"
        );
        if let Some(flight) = begun {
            self.account.begun(flight, &fetch_request, self.now);
        }
        self.carry_out_all(first);
    }

    fn step(&mut self, work: Work) {
        let todo = self.flights.step(work, moment(self.now));
        self.carry_out_all(todo);
    }

    /// Looks and insertions first, as the proxy does under its lock.
    fn carry_out_all(&mut self, mut todo: Vec<Work>) {
        let mut outside = Vec::new();
        while !todo.is_empty() {
            for work in std::mem::take(&mut todo) {
                match work {
                    Work::Look(flight, fetch_request, _) => {
                        let known = fetch_request
                            .key
                            .as_ref()
                            .and_then(|key| self.store.get(key));
                        let found = known.filter(|stored| self.is_fresh(stored)).cloned();
                        let looked = found
                            .map_or(Work::Missing(flight), |stored| Work::Found(flight, stored));
                        if let Work::Found(..) = looked {
                            self.account.ended(flight);
                        }
                        todo.extend(self.flights.step(looked, moment(self.now)));
                    }
                    Work::Insert(answer) => {
                        drop(self.store.insert(answer.stored.key.clone(), answer.stored))
                    }
                    other => outside.push(other),
                }
            }
        }
        for work in outside {
            self.carry_out(work);
        }
        self.judge();
    }

    fn carry_out(&mut self, work: Work) {
        match work {
            Work::Fetch(flight, fetch_request) => {
                let waited = self.account.flights[&flight].began < self.now;
                assert!(
                    fetch_request.safe
                        || !waited
                        || !self.flights.flights[&flight].waiters[0].responder.gone(),
                    "I11"
                );
                assert!(self.account.fetching.insert(flight), "fetched twice");
                self.keeps_restraint();
                let at = self.now + Duration::from_millis(self.random.below(4000));
                self.later(at, Event::Completes(flight));
            }
            Work::Wake(at, flight) => self.later(at, Event::Happens(Work::Deadline(flight))),
            Work::Answer(waiters, result) => {
                for waiter in waiters {
                    match &*result {
                        FetchResult::Unshared(_) if !waiter.leads => {
                            self.later(self.now, Event::Again(waiter))
                        }
                        _ => tell(waiter),
                    }
                }
            }
            Work::Overdue(waiters, cause, _) => {
                let now = moment(self.now);
                let all_have = waiters
                    .iter()
                    .all(|waiter| waiter.has_stale_for(cause, now));
                assert!(
                    cause != Cause::Slow || waiters.len() == 1 || all_have,
                    "told of slowness without an answer"
                );
                waiters.into_iter().for_each(tell);
            }
            Work::Open(leader, others) => {
                leader.into_iter().for_each(tell);
                for waiter in others {
                    self.later(self.now, Event::Again(waiter));
                }
            }
            Work::OriginDown { .. } => self.account.failing = true,
            Work::OriginUp => self.account.failing = false,
            Work::Polled { .. } => self.polls_ended = self.turn,
            Work::PollFails(..) | Work::OriginProbed | Work::Forget(..) => {}
            _ => panic!("not to be done by the caller"),
        }
    }

    /// Ends a fetch in one of the ways it may end.
    fn complete(&mut self, id: FlightId) {
        let key = self.account.flights[&id].key.clone();
        let dice = self.random.below(20);
        match key {
            Some(key) if dice < 10 => {
                let ttl = Duration::from_millis(self.random.below(5000));
                let result = fetched(stored_for(key, moment(self.now), ttl));
                self.completed(id, result);
            }
            _ if dice > 16 => {
                let causes = [
                    Cause::Panicked,
                    Cause::Status(500),
                    SILENT,
                    SILENT,
                    CUT,
                    REFUSED,
                ];
                let cause = causes[self.random.below(causes.len() as u64) as usize];
                self.completed(id, FetchResult::failed(cause));
            }
            _ if dice > 13 => {
                self.account.opened(id, self.now);
                let at = self.now + Duration::from_millis(self.random.below(9000));
                let ending = if self.random.one_in(3) {
                    Work::Completed(id, FetchResult::failed(Cause::Panicked))
                } else {
                    Work::Ended(id)
                };
                self.later(at, Event::Happens(ending));
                self.step(Work::Opened(id));
            }
            _ => self.completed(id, FetchResult::Unshared(response())),
        }
    }

    fn completed(&mut self, id: FlightId, result: FetchResult) {
        if let FetchResult::Failed { .. } = result {
            return self.failed(id, result);
        }
        let known = self.account.completed(id, &result, self.now);
        let storable = matches!(result, FetchResult::Shared(..));
        let todo = self
            .flights
            .step(Work::Completed(id, result), moment(self.now));
        let stores = todo.iter().any(|work| matches!(work, Work::Insert(_)));
        assert_eq!(
            stores,
            storable && !known.invalidated_meanwhile,
            "I8: flight {}",
            id.0
        );
        self.carry_out_all(todo);
    }

    /// A fetch fails, or is repeated.
    fn failed(&mut self, id: FlightId, result: FetchResult) {
        let before = self.flights.flights[&id].repeated;
        let failing = self.account.failing;
        let todo = self
            .flights
            .step(Work::Completed(id, result), moment(self.now));
        let repeats = self
            .flights
            .flights
            .get(&id)
            .is_some_and(|flight| flight.repeated > before);
        if repeats {
            self.account.fetching.remove(&id);
            self.repeated += 1;
            assert!(
                !failing && before < self.restraint.retries,
                "who is failing is not asked twice"
            );
        } else {
            self.account.ended(id);
        }
        self.carry_out_all(todo);
    }

    /// Distance, quota and budget, whenever the origin is asked.
    fn keeps_restraint(&mut self) {
        let Restraint { spacing, quota, .. } = self.restraint;
        let last = self.asked.last().copied();
        assert!(
            last.is_none_or(|last| self.now - last >= spacing),
            "asked after less than {spacing:?}"
        );
        self.asked.push(self.now);
        let minute = self
            .asked
            .iter()
            .filter(|at| self.now - **at < Duration::from_secs(60))
            .count();
        assert!(
            quota.per_minute.is_none_or(|most| minute <= most as usize),
            "{minute} in a minute"
        );
        let firsts = self.asked.len() - self.repeated;
        assert!(
            self.repeated * 10 <= firsts + 20,
            "{} retries of {firsts}",
            self.repeated
        );
    }

    /// What holds after every step.
    fn judge(&mut self) {
        let all = &self.flights.flights;
        self.account.keep(|flight| all.contains_key(&flight));
        let gauges = self.flights.gauges();
        assert_eq!(gauges.active, self.account.fetching.len());
        assert!(gauges.active <= self.permits, "{gauges:?}");
        assert_eq!(
            gauges.parked,
            all.values()
                .map(|flight| flight.waiters.len())
                .sum::<usize>()
        );
        let held = |flight: &&Flight| matches!(flight.stage, Stage::Fetching | Stage::Streaming);
        let background = all
            .values()
            .filter(held)
            .filter(|flight| flight.class == Class::Background)
            .count();
        assert!(
            background <= (self.permits - 1).max(1),
            "background holds {background} of {}",
            self.permits
        );
    }

    fn judge_the_end(&self) {
        for (number, client) in self.clients.iter().enumerate() {
            let told = client.tally.told.load(SeqCst);
            let dropped = told == 0 && !client.safe && client.tally.gone.load(SeqCst);
            assert!(
                told == 1 || dropped,
                "client {number} was told {told} times"
            );
        }
        assert_eq!(self.flights.gauges(), Gauges::default());
        assert!(self.polls_ended >= self.polled, "a poll that never ends");
    }

    fn is_fresh(&self, stored: &Stored) -> bool {
        matches!(
            reuse(
                &stored.lifetime,
                &RequestDirectives::default(),
                moment(self.now)
            ),
            Reuse::Fresh { .. }
        )
    }

    fn any_path(&mut self) -> &'static str {
        KEYS[self.random.below(KEYS.len() as u64) as usize]
    }
}

/// None in half of the runs.
fn any_restraint(random: &mut Random) -> Restraint {
    if random.one_in(2) {
        return Restraint::default();
    }
    let per_minute = random.one_in(2).then(|| 5 + random.below(200) as u32);
    Restraint {
        spacing: Duration::from_millis(random.below(500)),
        quota: Quota {
            per_minute,
            per_day: None,
        },
        retries: random.below(4) as u32,
    }
}

fn tell(mut waiter: Waiter) {
    waiter.responder.reply(Reply::failed(Cause::Slow, None));
}

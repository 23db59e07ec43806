//! The steps of a request: route, key, look-up, decision, then a reply or a flight.
//!
//! Nothing in here waits. Threads, sockets and timers are the [`Executor`]'s.

mod body;
mod complete;
mod cross_check;
mod fetch;
mod find;
mod health;
mod inspection;
mod interim;
mod invalidate;
mod join;
mod max_forwards;
mod plain;
mod polls;
mod rate;
mod response;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode, header};

use crate::cache::expiring_set::ExpiringSet;
use crate::cache::flights::{FetchRequest, Flights, Gauges, Shared, Work};
use crate::cache::key::{Key, KeyPrefix};
use crate::cache::store::{Inserted, Store, Stored};
use crate::cache::variant_churn::VariantChurn;
use crate::clock::{Clock, Now};
use crate::config::{Config, Preset};
use crate::message::{Body, Request, RequestId};
use crate::metrics::Counters;
use crate::origin::backoff::Schedule;
use crate::origin::forward;
use crate::origin::limits::Restraint;
use crate::origin::permits::{Class, FlightId};
use crate::outcome::Cause;
use crate::policy::freshness::LifetimeSource;
use crate::policy::home::Plausibility;
use crate::policy::rate::Buckets;
use crate::policy::request_directives::RequestDirectives;
use crate::policy::reuse::{Reuse, reuse};
use crate::policy::storing::is_failure;
use crate::reply::{Reply, Responder};
use crate::route::{self, BuiltIn, Routes};
use crate::statistics::Statistics;
use crate::sync::Mutex;

pub use inspection::EntrySummary;
pub use plain::PlainHit;
pub use polls::{Idle, Poll, polls};
pub use rate::network_of;

use body::GrowingBytes;
use find::Decision;
use join::joins;
use polls::Polls;

/// Until roles exist, everybody is anonymous.
const ROLE: &str = "anonymous";

/// The threads a proxy needs: those that ask the origin, and the one that watches the time.
pub trait Executor: Send + Sync {
    /// Asks the origin and completes the flight, on a thread that may wait. Never waits itself.
    fn fetch(&self, flight: FlightId, fetch_request: FetchRequest);
    /// Carries this out on a thread of its own: a body that may last for hours.
    fn stream(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
    /// Reports the deadline of a flight at this monotonic time.
    fn wake(&self, at: Duration, flight: FlightId);
    /// That deadline is of no interest any more; reporting it all the same does no harm.
    fn forget(&self, _at: Duration, _flight: FlightId) {}
    /// Answers a request for an endpoint of ours on the admin thread, or tells that too many wait for it. Never waits itself.
    fn administer(&self, request: Request, responder: Box<dyn Responder>);
    /// A poll is over.
    fn polled(&self, poll: usize, end: PollEnd);
    /// The origin answers again after failure.
    fn origin_up(&self);
}

/// How a poll ended.
#[derive(Clone, Copy, Debug)]
pub struct PollEnd {
    /// The answer means that there is nothing to poll.
    pub refused: bool,
    /// It failed, and its probe is due at this monotonic time.
    pub again: Option<Duration>,
}

/// A caching proxy before one origin.
pub struct Proxy {
    config: Config,
    routes: Routes,
    store: Store,
    /// What every key begins with.
    prefix: KeyPrefix,
    /// Protects: who waits for what. Look and Insert are carried out under it (I4, I8); replies never are (I2).
    flights: Mutex<Flights>,
    executor: Box<dyn Executor>,
    /// What is held by bodies that are not stored yet.
    growing: GrowingBytes,
    clock: Clock,
    counters: Arc<Counters>,
    statistics: Statistics,
    polls: Polls,
    /// What is known of the home behind a pypowerwall. Protects: what the last answers said.
    plausibility: Mutex<Plausibility>,
    /// Keys a client's word made us fetch of late. Protects: how often that happens.
    forced: Mutex<ExpiringSet>,
    /// Keys with too many variants. Protects: how often that happens.
    variant_churn: Mutex<VariantChurn>,
    /// Who had the origin asked how often, on routes with a `rateLimit`. Protects: what is left to whom.
    buckets: Mutex<Buckets>,
    /// This process in `Via` and in request ids.
    mark: u32,
    via: String,
    next_id: AtomicU64,
}

impl Proxy {
    /// A proxy with nothing stored. `parked` requests may wait for the origin in all; `mark` tells this process from others.
    pub fn new(
        config: Config,
        clock: Clock,
        mark: u32,
        parked: usize,
        executor: Box<dyn Executor>,
    ) -> Proxy {
        let cache = &config.cache;
        let backend = &config.backend;
        let schedule = Schedule {
            steps: backend.backoff.clone(),
            max_retry_after: backend.max_retry_after,
        };
        let permits = backend.max_concurrent_requests;
        let slow = cache.slow_request_timeout;
        let restraint = Restraint {
            spacing: backend.min_spacing,
            quota: backend.quota,
            retries: backend.retries,
        };
        let flights = Flights::new(
            permits,
            parked,
            slow,
            restraint,
            (schedule, u64::from(mark)),
        )
        .with_max_streams(max_streams(&config));
        let growing = GrowingBytes::new(cache.max_bytes);
        let store = Store::new(cache.max_bytes, cache.max_entries);
        let polls = Polls::new(&config);
        for key in polls.keys() {
            store.pin(key.clone());
        }
        Proxy {
            routes: Routes::new(config.routes.clone()),
            prefix: store.prefix(None, ROLE),
            store,
            flights: Mutex::new(flights),
            executor,
            growing,
            clock,
            counters: Arc::default(),
            statistics: Statistics::default(),
            plausibility: Mutex::new(Plausibility::new(
                polls.ttl_of("/aggregates").unwrap_or(cache.defaults.ttl),
            )),
            polls,
            forced: Mutex::default(),
            variant_churn: Mutex::default(),
            buckets: Mutex::default(),
            mark,
            via: format!("larder-{mark:08x}"),
            next_id: AtomicU64::new(1),
            config,
        }
    }

    /// The id for the next request.
    pub fn next_id(&self) -> RequestId {
        RequestId(self.next_ids(1).start)
    }

    /// The numbers of the ids for so many requests.
    pub fn next_ids(&self, count: u64) -> Range<u64> {
        let first = self.next_id.fetch_add(count, Ordering::Relaxed);
        first..first + count
    }

    /// This process's mark, as in request ids.
    pub fn mark(&self) -> u32 {
        self.mark
    }

    /// This process's name in `Via`.
    pub fn via(&self) -> &str {
        &self.via
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The clock everything here is timed by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The stored answer to this request, if the store has one that may be sent at once; begins its background refresh when
    /// that is due. Waits for nothing, and allocates nothing where the answer is sent whole.
    pub fn hit(&self, request: &Request, now: Now) -> Option<Reply> {
        if route::is_ours(&request.target, self.config.admin.root_names) {
            return None;
        }
        self.polls.note_demand(&request.target, now);
        let traits = self.traits(request);
        self.reply_at_once(self.selected(request, &traits)?, request, &traits, now)
    }

    /// What is counted.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Answers a request that [`Proxy::hit`] did not: as a built-in at once, otherwise when its flight ends.
    pub fn answer<R: Responder + 'static>(&self, request: Request, mut responder: R) {
        match route::builtin(&request.target, self.config.admin.root_names) {
            Some(BuiltIn::Health) => {
                return responder.reply(Reply::built_in(
                    StatusCode::OK,
                    self.health(self.clock.now()),
                ));
            }
            Some(BuiltIn::Admin(_) | BuiltIn::Unknown) => {
                return self.executor.administer(request, Box::new(responder));
            }
            None => {}
        }
        let request = under_its_own_name(request);
        if forward::seen_own_via(&request.fields, &self.via) {
            return responder.reply(Reply::failed(Cause::Loop, None));
        }
        if forward::forwards_left(&request) == Some(0) {
            return responder.reply(self.as_the_last(&request));
        }
        let now = self.clock.now();
        self.polls.note_demand(&request.target, now);
        match self.decide(&request, now) {
            Decision::Send(reply) => responder.reply(reply),
            Decision::Fetch(traits, selected) => {
                match self.asks_too_often(&request, selected.as_deref(), now) {
                    Some(reply) => responder.reply(reply),
                    None => {
                        self.join_or_start(request, Box::new(responder), &traits, selected, now)
                    }
                }
            }
        }
    }

    /// Fetches the answer to a GET again in the background, unless somebody already does.
    ///
    /// `identity`: the request names its client. What is fetched with its word is stored on the origin's own only, and is nobody
    /// else's failure if it fails.
    fn refresh(&self, request: &Request, stored: &Stored, identity: bool) {
        let joins = joins(&stored.key, stored, request);
        let mut request = plain(request);
        // What one client asks for itself, such as no-store, is no word on what is fetched for everybody.
        for name in [header::CACHE_CONTROL, header::PRAGMA] {
            request.fields.remove(name);
        }
        if identity {
            let joins = Key::from(format!("{joins}\nnamed").as_str());
            return self.fetch_for_nobody(request, stored.key.clone(), joins, polls::For::Named);
        }
        self.fetch_for_nobody(request, stored.key.clone(), joins, polls::For::Everybody);
    }

    /// Drops everything that is stored, and keeps what is being fetched from being stored; answers how many there were.
    /// Pinned keys stay pinned.
    pub fn clear(&self) -> usize {
        self.submit(Work::Invalidated {
            matches: Box::new(|_| true),
            but: None,
        });
        self.store.clear()
    }

    /// Ends the waiting of everybody: stale answers where there are, otherwise 503.
    pub fn stop(&self) {
        self.submit(Work::Stop);
    }

    /// Numbers about flights.
    pub fn gauges(&self) -> Gauges {
        self.flights.lock().gauges()
    }

    /// Drops stored answers that nothing could be done with any more, and says in the log when an overload is over. Bounded
    /// work; called now and then.
    pub fn sweep(&self) {
        self.store.sweep(self.clock.now().mono);
        self.counters.rejections.look();
    }

    /// Reports that a flight's `slowRequestTimeout` has passed.
    pub fn deadline(&self, flight: FlightId) {
        self.submit(Work::Deadline(flight));
    }

    /// Steps the flights and carries out what follows.
    fn submit(&self, work: Work) {
        let now = self.clock.now();
        for work in self.step(work, now) {
            self.carry_out(work, now);
        }
    }

    /// Steps the flights, with look-ups and insertions under their lock; returns the rest.
    fn step(&self, work: Work, now: Now) -> Vec<Work> {
        let mut outside = Vec::new();
        let mut inside = vec![work];
        let mut flights = self.flights.lock();
        while let Some(work) = inside.pop() {
            for next in flights.step(work, now) {
                match next {
                    Work::Look(flight, fetch_request, class) => {
                        inside.push(self.look(flight, &fetch_request, class, now))
                    }
                    Work::Insert(answer) => self.insert(&mut flights, answer, now),
                    other => outside.push(other),
                }
            }
        }
        outside
    }

    fn look(&self, flight: FlightId, fetch_request: &FetchRequest, class: Class, now: Now) -> Work {
        let found = fetch_request
            .key
            .as_ref()
            .and_then(|key| self.store.peek(key.as_str()));
        let found =
            found.and_then(|variants| variants.into_selected(&fetch_request.request.fields));
        let fresh = found.filter(|stored| {
            match reuse(&stored.lifetime, &RequestDirectives::default(), now) {
                Reuse::Fresh { refresh_due, .. } => class == Class::Client || !refresh_due,
                _ => false,
            }
        });
        let whole = fresh.filter(|stored| stored.status != StatusCode::PARTIAL_CONTENT);
        whole.map_or(Work::Missing(flight), |stored| Work::Found(flight, stored))
    }

    /// Stores an answer, unless it would replace a good one that may still be served by one that is not.
    fn insert(&self, flights: &mut Flights, answer: Shared, now: Now) {
        let Shared {
            stored,
            sent,
            checked,
            ..
        } = answer;
        let mut churn = self.variant_churn.lock();
        if churn.forbids(&stored.key, now) {
            return flights.do_not_collapse(&stored.key, now);
        }
        let known = self
            .store
            .peek(stored.key.as_str())
            .and_then(|variants| variants.into_selected(&sent));
        if let Some(known) = known {
            // By the RFC any answer but a failure is the new truth (RFC 9111 §4.3.3); where the user says how long answers
            // live, none but a good one takes the place of a good one.
            let is_users = checked
                || matches!(
                    known.lifetime.source(),
                    LifetimeSource::Rule | LifetimeSource::Default
                );
            let is_worse = !stored.status.is_success() && (is_users || is_failure(stored.status));
            let is_better = known.status.is_success() && is_worse;
            if is_better && known.serves_despite(Cause::CheckFailed, now) {
                return;
            }
            self.statistics.replaced(&known.key, known.hits());
        }
        let key = stored.key.clone();
        match self.store.insert(stored, &sent) {
            // The one before is of the past.
            Inserted::TooLarge => drop(self.store.remove(key.as_str())),
            Inserted::Crowded if churn.note(&key, now) => {
                self.store.remove(key.as_str());
                flights.do_not_collapse(&key, now);
            }
            _ => {}
        }
    }

    fn carry_out(&self, work: Work, now: Now) {
        match work {
            Work::Fetch(flight, fetch_request) => self.send_out(flight, fetch_request),
            Work::Wake(at, flight) => self.executor.wake(at, flight),
            Work::Forget(at, flight) => self.executor.forget(at, flight),
            Work::Attach(waiters, growing) => waiters
                .into_iter()
                .for_each(|waiter| self.attach(waiter, &growing, now)),
            Work::Open(_, others) => others
                .into_iter()
                .for_each(|waiter| self.retry_alone(waiter)),
            Work::Answer(waiters, result) => self.answer_all(waiters, &result, now),
            Work::Overdue(waiters, cause, until) => {
                let wait = until.map(|until| until.saturating_sub(now.mono));
                self.turn_away(waiters, cause, wait, now);
            }
            Work::Polled {
                poll,
                refused,
                again,
            } => self.executor.polled(poll, PollEnd { refused, again }),
            Work::PollFails(key, cause) => {
                log::warn!(
                    "polling {} fails: {}; what is stored is kept",
                    key.target(),
                    cause.message()
                );
            }
            Work::OriginDown {
                cause,
                still: false,
            } => {
                log::warn!(
                    "the origin is failing: {} ({}); its breaker is open",
                    cause.message(),
                    cause.detail()
                );
            }
            Work::OriginDown { cause, still: true } => {
                log::info!(
                    "the origin is still failing: {} ({}); its breaker is open",
                    cause.message(),
                    cause.detail()
                );
            }
            Work::OriginProbed => log::info!("the origin is probed; its breaker is half-open"),
            Work::OriginUp => {
                log::info!("the origin answers again; its breaker is closed");
                self.executor.origin_up();
            }
            // Nothing else comes out of a step.
            _ => {}
        }
    }
}

/// How many bodies that may last for hours there may be at once: a pypowerwall has a thread for each.
pub(crate) fn max_streams(config: &Config) -> usize {
    match config.preset {
        Preset::Pypowerwall => 2,
        Preset::Api => 64,
    }
}

/// `/_larder/origin/P` is the same request as `P`.
fn under_its_own_name(mut request: Request) -> Request {
    if let Some(target) = route::origin_target(&request.target) {
        request.target = target;
    }
    request
}

/// The plain GET for the same target: what HEAD, or a hit due for a refresh, asks on behalf of everybody.
fn plain(asked: &Request) -> Request {
    Request {
        method: Method::GET,
        target: asked.target.clone(),
        version: asked.version,
        fields: asked.fields.clone(),
        body: Body::default(),
        peer: asked.peer,
        id: asked.id,
    }
}

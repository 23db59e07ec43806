//! What is polled: the targets of the plan, and when clients last asked for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::board::joins;
use super::{Proxy, ROLE};
use crate::cache::flights::{Arrival, Errand, Work};
use crate::cache::key::Key;
use crate::clock::Now;
use crate::config::Config;
use crate::message::{Request, Target};
use crate::route::Route;

/// Variants of one target that a turn of its poll refreshes, the plain one not counted.
const MAX_VARIANTS_POLLED: usize = 4;

/// How a target is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Time from turn to turn.
    pub interval: Duration,
    /// Lifetime of its answers: a poll nobody wants keeps at least within it.
    pub ttl: Duration,
    /// Of the preset's own accord: it slows down when nobody asks. One the user wrote never does.
    pub own: bool,
}

/// The polls of one configuration, each with its place in the plan.
pub(super) struct Polls {
    all: Vec<Polled>,
    places: HashMap<String, usize>,
}

struct Polled {
    target: Target,
    key: Key,
    poll: Poll,
    /// Milliseconds of monotonic time, plus one, when a client last asked for it; 0 = never.
    wanted: AtomicU64,
}

/// What this configuration polls, in the order of the plan.
pub fn polls(config: &Config) -> Vec<Poll> {
    Polls::new(config).all.into_iter().map(|polled| polled.poll).collect()
}

impl Polls {
    /// The query-less target of each exact path that has an interval, and each exact target that has one.
    pub(super) fn new(config: &Config) -> Polls {
        let default = config.cache.defaults.ttl;
        let polled = |route: &Route| {
            let interval = route.rule.poll_interval?;
            let target = route.pattern.target()?;
            let poll = Poll { interval, ttl: route.rule.cache_ttl.unwrap_or(default), own: route.rule.own_poll };
            Some(Polled { key: Key::new(None, ROLE, &target), target, poll, wanted: AtomicU64::new(0) })
        };
        let all: Vec<Polled> = config.routes.iter().filter_map(polled).collect();
        let places = all.iter().enumerate().map(|(at, polled)| (polled.target.as_str().to_owned(), at)).collect();
        Polls { all, places }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.all.iter().map(|polled| &polled.key)
    }

    /// The lifetime of what is polled at this path.
    pub(super) fn ttl_of(&self, path: &str) -> Option<Duration> {
        self.places.get(path).and_then(|place| self.all.get(*place)).map(|polled| polled.poll.ttl)
    }

    /// How often this target is asked for without anybody's asking. `None`: never.
    pub(super) fn interval_of(&self, target: &str) -> Option<Duration> {
        self.places.get(target).and_then(|place| self.all.get(*place)).map(|polled| polled.poll.interval)
    }

    /// What is polled, in the order of the plan.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.all.iter().map(|polled| &polled.target)
    }

    /// The place of a target in the plan. `None`: it is not polled.
    pub(super) fn place_of(&self, target: &Target) -> Option<usize> {
        self.places.get(target.as_str()).copied()
    }

    /// A client asks: what is polled on demand goes at full pace.
    pub(super) fn note_demand(&self, target: &Target, now: Now) {
        if let Some(polled) = self.place_of(target).and_then(|place| self.all.get(place)) {
            polled.wanted.store(u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX - 1) + 1, Ordering::Relaxed);
        }
    }
}

impl Proxy {
    /// Polls what is at this place of the plan now, unless it is being fetched or in trouble.
    pub fn poll(&self, place: usize) {
        let Some(polled) = self.polls.all.get(place) else { return };
        let key = &polled.key;
        let request = self.own_request(polled.target.clone());
        self.fetch_for_nobody(request, key.clone(), key.clone(), true);
        self.poll_variants(polled);
    }

    /// What a poll's target varies by is refreshed for the requests that came since its last turn.
    fn poll_variants(&self, polled: &Polled) {
        let Some(variants) = self.store.peek(polled.key.as_str()) else { return };
        let since = self.clock.now().mono.saturating_sub(polled.poll.interval);
        let used = variants.iter().filter(|stored| stored.was_used_since(since));
        let selecting = used.filter_map(|stored| Some((stored, stored.selecting.as_ref()?)));
        for (stored, selecting) in selecting.take(MAX_VARIANTS_POLLED) {
            let mut request = self.own_request(polled.target.clone());
            selecting.repeat(&mut request.fields);
            let joins = joins(&polled.key, stored, &request);
            self.fetch_for_nobody(request, polled.key.clone(), joins, true);
        }
    }

    /// Fetches in the background what nobody waits for; joined by whoever asks meanwhile.
    pub(super) fn fetch_for_nobody(&self, request: Request, key: Key, joins: Key, even_if_fresh: bool) {
        let poll = self.polls.place_of(&request.target).filter(|_| key == joins);
        let (request, key, joins) = (Arc::new(request), Some(key), Some(joins));
        let errand =
            Errand { request, key, shared: true, joins, even_if_fresh, poll, safe: true, plain: false, herald: None };
        self.submit(Work::Arrived(Arrival { passenger: None, errand }));
    }

    /// The poll of this place has waited behind others for a whole interval: it goes first.
    pub fn hurry(&self, place: usize) {
        if let Some(polled) = self.polls.all.get(place) {
            self.submit(Work::Hurry(polled.key.clone()));
        }
    }

    /// When a client last asked for what is polled at this place. `None`: never.
    pub fn last_wanted(&self, place: usize) -> Option<Duration> {
        let wanted = self.polls.all.get(place)?.wanted.load(Ordering::Relaxed);
        wanted.checked_sub(1).map(Duration::from_millis)
    }
}

//! What is told about the proxy's inside to the endpoints of our own. Every walk is bounded, and slow only for its caller.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Proxy;
use crate::cache::flights::{FailureReport, FetchRequest, UnderWay};
use crate::cache::key::Key;
use crate::cache::store::{self, Stored};
use crate::clock::Now;
use crate::statistics::{Fetch, Statistics, Tally};

/// One stored answer, and what is known about its key.
pub struct EntrySummary {
    /// The answer.
    pub stored: Arc<Stored>,
    /// Its fetches. `None`: the key is neither polled nor among those used most.
    pub tally: Option<Tally>,
    /// How often it is polled. `None`: it is not.
    pub poll_interval: Option<Duration>,
}

impl Proxy {
    /// Stored answers, at most `limit`: those with a tally first.
    pub fn entries(&self, limit: usize) -> Vec<EntrySummary> {
        let mut seen: HashSet<Key> = HashSet::new();
        let watched = self
            .statistics
            .keys()
            .into_iter()
            .filter_map(|key| self.store.peek(key.as_str()))
            .map(|known| known.newest().clone());
        let others = std::iter::once_with(|| self.store.some(limit)).flatten();
        let distinct = watched
            .chain(others)
            .filter(|stored| seen.insert(stored.key.clone()))
            .take(limit);
        distinct.map(|stored| self.summary_of(stored)).collect()
    }

    /// The store in numbers.
    pub fn store_gauges(&self) -> store::Gauges {
        self.store.gauges()
    }

    /// What the origin is asked now, and what waits; at most `limit` of each.
    pub fn under_way(&self, limit: usize) -> UnderWay {
        self.flights.lock().under_way(limit)
    }

    /// Who is left alone because of failure, at most `limit` keys.
    pub fn failing(&self, limit: usize) -> FailureReport {
        self.flights.lock().failing(limit)
    }

    /// How the fetches went so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// A fetch is over.
    pub(super) fn note_fetch(&self, fetch_request: &FetchRequest, asked: Now, good: bool) {
        let target = &fetch_request.request.target;
        let key = fetch_request.shared_key();
        let ended = self.clock.now();
        let fetch = Fetch {
            target,
            key,
            polled: fetch_request.poll.is_some(),
            asked,
            ended,
            good,
        };
        self.statistics.fetched(&fetch, |key| {
            self.store
                .peek(key.as_str())
                .map_or(0, |known| known.newest().hits())
        });
    }

    fn summary_of(&self, stored: Arc<Stored>) -> EntrySummary {
        let tally = self.statistics.tally(&stored.key);
        let poll_interval = self.polls.interval_of(stored.key.target());
        EntrySummary {
            stored,
            tally,
            poll_interval,
        }
    }
}

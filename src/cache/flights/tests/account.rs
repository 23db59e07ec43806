//! What flights should be doing, kept beside them by the rules alone.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// How long a key whose answer could not be shared is not collapsed (SEMANTICS "Sharing a flight").
const APART: Duration = Duration::from_secs(60);

/// What is known of them from outside.
#[derive(Default)]
pub(super) struct Account {
    /// All that have not ended.
    pub(super) flights: BTreeMap<FlightId, Known>,
    pub(super) fetching: BTreeSet<FlightId>,
    joinable: HashMap<Key, FlightId>,
    /// The origin is failing: flights that begin now are its probes.
    pub(super) failing: bool,
    probes: BTreeSet<FlightId>,
    /// Keys not to be collapsed, until when.
    apart: HashMap<Key, Duration>,
}

pub(super) struct Known {
    pub(super) key: Option<Key>,
    pub(super) began: Duration,
    shared: bool,
    pub(super) invalidated_meanwhile: bool,
}

impl Account {
    pub(super) fn apart(&self, key: &Key, now: Duration) -> bool {
        self.apart.get(key).is_some_and(|until| now < *until)
    }

    /// Whether a plain GET for this key must not begin a flight.
    pub(super) fn joins(&self, key: &Key, now: Duration) -> bool {
        self.joinable.contains_key(key) && !self.apart(key, now)
    }

    /// Whether the flight it joins has been slow for longer than anybody waits.
    pub(super) fn joins_slow(&self, key: &Key, now: Duration) -> bool {
        let known = self
            .joinable
            .get(key)
            .and_then(|flight| self.flights.get(flight));
        known.is_some_and(|known| now >= known.began + SLOW) && self.joins(key, now)
    }

    pub(super) fn begun(&mut self, flight: FlightId, fetch_request: &FetchRequest, now: Duration) {
        if self.failing {
            self.probes.insert(flight);
            assert_eq!(
                self.probes.len(),
                1,
                "a failing origin is asked by one probe"
            );
        }
        let FetchRequest { key, shared, .. } = fetch_request.clone();
        if let Some(key) = key.clone().filter(|key| shared && !self.apart(key, now)) {
            assert!(
                self.joinable.insert(key, flight).is_none(),
                "two joinable flights for one key"
            );
        }
        self.flights.insert(
            flight,
            Known {
                key,
                began: now,
                shared,
                invalidated_meanwhile: false,
            },
        );
    }

    pub(super) fn invalidated(&mut self, key: &Key) {
        self.joinable.remove(key);
        self.flights
            .values_mut()
            .filter(|known| known.key.as_ref() == Some(key))
            .for_each(|known| known.invalidated_meanwhile = true);
    }

    pub(super) fn opened(&mut self, flight: FlightId, now: Duration) {
        self.joinable.retain(|_, joinable| *joinable != flight);
        self.keep_apart(flight, now);
    }

    pub(super) fn completed(
        &mut self,
        flight: FlightId,
        result: &FetchResult,
        now: Duration,
    ) -> Known {
        if let FetchResult::Unshared(_) = result {
            self.keep_apart(flight, now);
        }
        let known = self.ended(flight).expect("a flight that began");
        if let (FetchResult::Shared(..), Some(key)) = (result, &known.key) {
            self.apart.remove(key);
        }
        known
    }

    /// An answer for one only, where all might have shared it. What a client with a name is told says nothing about that.
    fn keep_apart(&mut self, flight: FlightId, now: Duration) {
        let known = self.flights.get(&flight).filter(|known| known.shared);
        if let Some(key) = known.and_then(|known| known.key.clone()) {
            self.apart.insert(key, now + APART);
        }
    }

    pub(super) fn ended(&mut self, flight: FlightId) -> Option<Known> {
        self.joinable.retain(|_, joinable| *joinable != flight);
        self.fetching.remove(&flight);
        self.probes.remove(&flight);
        self.flights.remove(&flight)
    }

    /// Forgets the flights that ended unlanded: over when their time or their client was.
    pub(super) fn keep(&mut self, there: impl Fn(FlightId) -> bool) {
        self.flights.retain(|flight, _| there(*flight));
        self.fetching.retain(|flight| there(*flight));
        self.probes.retain(|flight| there(*flight));
        self.joinable.retain(|_, flight| there(*flight));
    }
}

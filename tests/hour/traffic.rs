//! What is at the origin: how much at once, what twice, and until when.

use std::collections::{HashMap, HashSet};

use larder::cache::flights::FetchRequest;
use larder::origin::permits::FlightId;

use crate::endpoints::{Kind, endpoint};
use crate::faults::Fate;

/// How long a key whose answer could not be shared is not collapsed, in milliseconds.
const APART: u64 = 60_000;

/// The requests at the origin. All times in milliseconds.
pub struct Traffic {
    limit: usize,
    at_work: HashSet<FlightId>,
    /// Shared fetches, by what others name to join.
    shared: HashMap<String, FlightId>,
    /// When each flight began; from then on it was to be joined, or never.
    began: HashMap<FlightId, u64>,
    /// From when to when those for a target that began were on their own.
    apart: HashMap<String, Vec<(u64, u64)>>,
    unsafe_ones: HashSet<u64>,
    last_bad_end: u64,
    pub fetches: usize,
}

impl Traffic {
    pub fn new(limit: usize) -> Traffic {
        Traffic {
            limit,
            at_work: HashSet::new(),
            shared: HashMap::new(),
            began: HashMap::new(),
            apart: HashMap::new(),
            unsafe_ones: HashSet::new(),
            last_bad_end: 0,
            fetches: 0,
        }
    }

    /// A request goes out. `Err`: it should not.
    pub fn asked(&mut self, flight: FlightId, fetch_request: &FetchRequest) -> Result<(), String> {
        self.fetches += 1;
        self.begins(flight)?;
        if !fetch_request.safe && !self.unsafe_ones.insert(fetch_request.request.id.0) {
            return Err(format!("sent twice: {:?}", fetch_request.request));
        }
        let Some(joins) = fetch_request
            .joins
            .as_ref()
            .filter(|_| fetch_request.shared)
        else {
            return Ok(());
        };
        let target = fetch_request.request.target.as_str();
        if self.is_apart(target, flight) {
            return Ok(());
        }
        match self.shared.insert(joins.as_str().to_owned(), flight) {
            Some(other) if !self.is_apart(target, other) => {
                Err(format!("{target} is fetched twice at once"))
            }
            _ => Ok(()),
        }
    }

    /// A flight begins.
    pub fn takes_off(&mut self, flight: FlightId, now: u64) {
        self.began.insert(flight, now);
    }

    /// Its answer is there.
    pub fn answered(
        &mut self,
        flight: FlightId,
        fetch_request: &FetchRequest,
        fate: Fate,
        now: u64,
    ) {
        self.at_work.remove(&flight);
        self.shared.retain(|_, other| *other != flight);
        let target = fetch_request.request.target.as_str();
        let apart = match fate {
            // It may have made worthless what is being fetched.
            _ if !fetch_request.safe => Some((0, now)),
            Fate::Drip { .. } => Some((now, now + APART)),
            _ => None,
        };
        if let Some(apart) = apart {
            self.apart.entry(target.to_owned()).or_default().push(apart);
            // Nobody joins those any more that began before.
            self.shared.retain(|joins, _| !joins.contains(target));
        }
    }

    /// A request is at the origin, or its body comes on.
    fn begins(&mut self, flight: FlightId) -> Result<(), String> {
        self.at_work.insert(flight);
        let many = self.at_work.len() > self.limit;
        if many {
            Err(format!("too many requests at once: {:?}", self.at_work))
        } else {
            Ok(())
        }
    }

    /// A body that is passed on comes on.
    pub fn flows(&mut self, flight: FlightId) -> Result<(), String> {
        self.begins(flight)
    }

    /// It pauses for no time, or is over: until it comes on nobody knows which.
    pub fn ebbs(&mut self, flight: FlightId) {
        self.at_work.remove(&flight);
    }

    /// When the last request ends, or its body, that found the origin in no good health.
    pub fn ends_at(&mut self, due: u64, fate: Fate) {
        let drips = if let Fate::Drip { seconds, .. } = fate {
            (seconds + 2) * 1_000
        } else {
            0
        };
        if fate != Fate::Good {
            self.last_bad_end = self.last_bad_end.max(due + drips);
        }
    }

    pub fn last_bad_end(&self) -> u64 {
        self.last_bad_end
    }

    fn is_apart(&self, target: &str, flight: FlightId) -> bool {
        let Some(began) = self.began.get(&flight) else {
            return true;
        };
        let mut times = self.apart.get(target).into_iter().flatten();
        endpoint(target).kind == Kind::Personal
            || times.any(|(from, to)| (from..=to).contains(&began))
    }
}

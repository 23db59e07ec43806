//! What the tests of flights stand on: a harness that steps them, and waiters who count what they are told.

use super::*;
use crate::policy::rule::Fallback;

/// Flights, and the time.
pub(super) struct Harness {
    pub(super) flights: Flights,
    pub(super) now: Now,
}

impl Harness {
    pub(super) fn new(permits: usize) -> Harness {
        Harness {
            flights: flights(permits, 100),
            now: moment(Duration::ZERO),
        }
    }

    pub(super) fn at(&mut self, time: Duration) {
        self.now = moment(time);
    }

    /// Steps, with an empty store; says what is to be done, but for looking and waking.
    pub(super) fn step(&mut self, work: Work) -> Vec<String> {
        let mut todo = self.flights.step(work, self.now);
        let looks: Vec<FlightId> = todo.iter().filter_map(look).collect();
        for flight in looks {
            todo.extend(self.flights.step(Work::Missing(flight), self.now));
        }
        todo.retain(|work| !matches!(work, Work::Look(..) | Work::Wake(..) | Work::Forget(..)));
        seen(&todo)
    }

    pub(super) fn completes_shared(&self, flight: u64, path: &'static str) -> Work {
        Work::Completed(FlightId(flight), fetched(stored(path, self.now)))
    }
}

pub(super) fn flights(permits: usize, max_parked: usize) -> Flights {
    restrained(permits, max_parked, Restraint::default())
}

pub(super) fn restrained(permits: usize, max_parked: usize, restraint: Restraint) -> Flights {
    let schedule = Schedule {
        steps: vec![STEP],
        max_retry_after: STEP,
    };
    Flights::new(permits, max_parked, SLOW, restraint, (schedule, 1))
}

pub(super) fn look(work: &Work) -> Option<FlightId> {
    match work {
        Work::Look(flight, ..) => Some(*flight),
        _ => None,
    }
}

/// What is to be done, in words.
pub(super) fn seen(todo: &[Work]) -> Vec<String> {
    let word = |work: &Work| match work {
        Work::Look(flight, ..) => format!("Look {}", flight.0),
        Work::Insert(_) => "Insert".to_owned(),
        Work::Fetch(flight, _) => format!("Fetch {}", flight.0),
        Work::Wake(_, flight) => format!("Wake {}", flight.0),
        Work::Answer(waiters, _) => format!("Answer {}", waiters.len()),
        Work::Attach(waiters, _) => format!("Attach {}", waiters.len()),
        Work::Open(leader, others) => format!("Open {} + {}", leader.iter().len(), others.len()),
        Work::Overdue(waiters, cause, _) => {
            format!("Overdue {} {}", waiters.len(), cause.detail())
        }
        Work::Polled { .. } => "Polled".to_owned(),
        Work::OriginDown { still: false, .. } => "Down".to_owned(),
        Work::OriginDown { .. } => "Still down".to_owned(),
        Work::OriginProbed => "Probed".to_owned(),
        Work::OriginUp => "Up".to_owned(),
        _ => "something that happens".to_owned(),
    };
    // Who is over needs no deadline: that goes without saying.
    todo.iter()
        .filter(|work| !matches!(work, Work::Forget(..)))
        .map(word)
        .collect()
}

pub(super) fn moment(mono: Duration) -> Now {
    Now { mono, wall: mono }
}

pub(super) fn response() -> Arc<Response> {
    Arc::new(Response {
        status: StatusCode::OK,
        fields: HeaderMap::new(),
        body: Bytes::new(),
    })
}

/// An answer received now: good for 60 s, and for 60 s more when the origin is slow or fails.
pub(super) fn stored(path: &'static str, received: Now) -> Arc<Stored> {
    stored_for(key(path), received, Duration::from_secs(60))
}

pub(super) fn stored_for(key: Key, received: Now, ttl: Duration) -> Arc<Stored> {
    let lifetime = lifetime_of(ttl, ttl, received);
    Arc::new(Stored {
        key,
        status: StatusCode::OK,
        head: Box::default(),
        fields_end: 0,
        body: Bytes::new(),
        lifetime,
        selecting: None,
        hits: AtomicU32::new(0),
        uses: Default::default(),
        rule: Default::default(),
        used: AtomicU32::new(0),
    })
}

/// How a flight ends that fetched this.
pub(super) fn fetched(stored: Arc<Stored>) -> FetchResult {
    FetchResult::Shared(Shared {
        stored,
        sent: Arc::default(),
        validated: false,
        checked: false,
        whole: None,
    })
}

/// A plain GET.
pub(super) fn shared(path: &'static str) -> FetchRequest {
    FetchRequest {
        key: Some(key(path)),
        joins: Some(key(path)),
        shared: true,
        ..alone(path, true)
    }
}

/// A request whose answer is for its client only.
pub(super) fn alone(path: &'static str, safe: bool) -> FetchRequest {
    let request = Request {
        method: if safe { Method::GET } else { Method::POST },
        target: target(path),
        version: Version::HTTP_11,
        fields: HeaderMap::new(),
        body: Body::default(),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: RequestId(1),
    };
    FetchRequest {
        request: Arc::new(request),
        key: None,
        shared: false,
        joins: None,
        even_if_fresh: false,
        poll: None,
        safe,
        related_key: None,
        plain: false,
        interim_sink: None,
    }
}

impl FetchRequest {
    pub(super) fn with_client(self) -> Arrival {
        Arrival {
            waiter: Some(waiter(None, Arc::default())),
            fetch_request: self,
        }
    }

    pub(super) fn in_background(self) -> Arrival {
        Arrival {
            waiter: None,
            fetch_request: self,
        }
    }
}

pub(super) fn waiter(stale: Option<Arc<Stored>>, tally: Arc<Tally>) -> Waiter {
    let request = Arc::clone(&alone("/", true).request);
    Waiter {
        request,
        responder: Box::new(Slip(tally)),
        stale,
        leads: false,
        cors: false,
        fallback: Fallback::Error,
        fwd: Fwd::UriMiss,
        alone: None,
        again: false,
    }
}

pub(super) fn key(path: &'static str) -> Key {
    Key::new(None, "anonymous", &target(path))
}

pub(super) fn target(path: &'static str) -> Target {
    Target::parse(Bytes::from_static(path.as_bytes())).expect("a lawful target")
}

/// What one client has seen.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) told: AtomicUsize,
    pub(super) gone: AtomicBool,
}

pub(super) struct Slip(pub(super) Arc<Tally>);

impl Responder for Slip {
    fn reply(&mut self, _: Reply) {
        self.0.told.fetch_add(1, SeqCst);
    }

    fn open(&mut self, _: &ResponseHead, _: Outcome, _: Reader) {
        unreachable!("the simulation has no bodies")
    }

    fn gone(&self) -> bool {
        self.0.gone.load(SeqCst)
    }
}

/// xorshift64*: the same numbers for the same seed, everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    pub(super) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

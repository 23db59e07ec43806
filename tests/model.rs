//! The real proxy under shuttle: a checker that chooses, at every lock, which thread goes on.
//!
//! ```text
//! RUSTFLAGS="--cfg larder_shuttle" CARGO_TARGET_DIR=target/model CARGO_PROFILE_RELEASE_LTO=off \
//!     CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo test --release --test model
//! ```
//! No wait runs out of time in here, so whoever is forgotten is reported as a deadlock, with the schedule that led to it.
//! The schedules are the same in every run; `SHUTTLE_RANDOM_SEED` chooses others.
#![cfg(larder_shuttle)]
#![allow(clippy::expect_used, reason = "a test that ends is a test that fails")]

use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use larder::cache::flights::{FetchRequest, Gauges};
use larder::cache::shared_body::{Listener, Next, Reader, Room, SharedBody};
use larder::clock::Clock;
use larder::config::{Config, Preset};
use larder::message::{Body, Request, Response, ResponseHead, Target};
use larder::origin::permits::FlightId;
use larder::origin::{Fetched, Opening, Origin, OriginRequest, Rest};
use larder::outcome::{Cause, FetchError, Outcome};
use larder::proxy::{Executor, PollEnd, Proxy};
use larder::reply::{Reply, Responder};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use shuttle::sync::mpsc::{Sender, channel};
use shuttle::thread::{self, JoinHandle};

const SEED: u64 = 9111;
/// Schedules tried per scenario and scheduler: some 20 s for all of them on two cores.
const SCHEDULES: usize = 25_000;
/// Places where a schedule of the PCT scheduler goes against its priorities.
const DEPTH: usize = 3;
const PERMITS: usize = 2;

#[test]
fn concurrent_gets_of_one_key_are_one_fetch() {
    explore(|| {
        let house = House::new(Manner::Storable);
        for told in house.all(4, |house| house.ask(Method::GET)) {
            assert_eq!(told, Told::Version(0));
        }
        house.close();
        assert_eq!(house.origin.fetches.load(SeqCst), 1);
    });
}

#[test]
fn i4_who_has_been_told_finds_the_answer_stored() {
    explore(|| {
        let house = House::new(Manner::Storable);
        house.all(3, |house| {
            house.ask(Method::GET);
            assert_eq!(house.stored_version(), Some(0), "answered, but not stored");
        });
        house.close();
        assert_eq!(house.origin.fetches.load(SeqCst), 1);
    });
}

#[test]
fn i5_everybody_is_woken_when_the_fetch_panics() {
    explore(|| {
        let house = House::new(Manner::Panics);
        for told in house.all(3, |house| house.ask(Method::GET)) {
            assert_eq!(told, Told::Failed(Cause::Panicked));
        }
        house.close();
    });
}

#[test]
fn i8_nothing_older_than_an_invalidation_outlives_it() {
    explore(|| {
        let house = House::new(Manner::Storable);
        let readers = house.start(2, |house| house.ask(Method::GET));
        house.origin.version.fetch_add(1, SeqCst);
        house.proxy.invalidate(&target(), None);
        assert_ne!(
            house.stored_version(),
            Some(0),
            "stored before the invalidation"
        );
        assert_eq!(
            house.ask(Method::GET),
            Told::Version(1),
            "asked after the invalidation"
        );
        ended(readers);
        house.close();
        assert_ne!(
            house.stored_version(),
            Some(0),
            "stored after the invalidation"
        );
    });
}

#[test]
fn i8_a_client_reads_what_it_wrote() {
    explore(|| {
        let house = House::new(Manner::Storable);
        let readers = house.start(2, |house| house.ask(Method::GET));
        assert_eq!(house.ask(Method::POST), Told::Version(1));
        assert_eq!(house.ask(Method::GET), Told::Version(1));
        ended(readers);
        house.close();
        assert_ne!(house.stored_version(), Some(0));
    });
}

#[test]
fn an_answer_that_cannot_be_shared_is_fetched_for_each_client() {
    explore(|| {
        let house = House::new(Manner::Personal);
        let told = house.all(3, |house| house.ask(Method::GET));
        house.close();
        assert!(
            (1..=3).all(|fetch| told.contains(&Told::Version(fetch))),
            "{told:?}"
        );
        assert_eq!(house.origin.fetches.load(SeqCst), 3);
    });
}

#[test]
fn bodies_that_are_passed_on_give_their_permits_back() {
    explore(|| {
        let house = House::new(Manner::Streams);
        for told in house.all(3, |house| house.ask(Method::GET)) {
            // These clients have no use for a stream.
            assert_eq!(told, Told::Failed(Cause::Slow));
        }
        house.close();
    });
}

#[test]
fn a_deadline_at_any_moment_forgets_nobody() {
    explore(|| {
        let house = House::build(Manner::Personal, true);
        for told in house.all(4, |house| house.ask(Method::GET)) {
            assert!(
                matches!(told, Told::Version(_) | Told::Failed(Cause::NoPermit)),
                "{told:?}"
            );
        }
        house.close();
    });
}

#[test]
fn a_stop_at_any_moment_forgets_nobody() {
    explore(|| {
        let house = House::new(Manner::Personal);
        let clients = house.start(3, |house| house.ask(Method::GET));
        house.proxy.stop();
        for told in ended(clients) {
            assert!(
                matches!(told, Told::Version(_) | Told::Failed(Cause::Stopping)),
                "{told:?}"
            );
        }
    });
}

#[test]
fn a_growing_body_is_whole_for_each_reader_whenever_it_joins() {
    explore(|| {
        let body = SharedBody::new();
        let readers: Vec<_> = (0..3).map(|_| start_reading(&body)).collect();
        for part in [&b"one "[..], b"two ", b"three"] {
            body.push(Bytes::from_static(part));
        }
        body.complete();
        for read in ended(readers) {
            assert_eq!(read, Some((b"one two three".to_vec(), Next::End)));
        }
    });
}

#[test]
fn a_growing_body_that_fails_cuts_every_reader_behind_right_bytes() {
    explore(|| {
        let body = SharedBody::new();
        let readers: Vec<_> = (0..3).map(|_| start_reading(&body)).collect();
        body.push(Bytes::from_static(b"one "));
        body.push(Bytes::from_static(b"two"));
        body.fail();
        for read in ended(readers) {
            let Some((bytes, next)) = read else { continue };
            assert!(b"one two".starts_with(&bytes), "{bytes:?}");
            assert_eq!(next, Next::Cut);
        }
    });
}

#[test]
fn a_window_serves_its_leader_and_cuts_a_follower_or_serves_it_whole() {
    const PARTS: usize = 8;
    explore(|| {
        let part = Bytes::from(vec![7; 256 * 1024]);
        let body = SharedBody::new();
        let Some(leader) = body.reader() else {
            panic!("it is new")
        };
        let leader = thread::spawn(move || read_to_end(leader));
        let follower = start_reading(&body);
        let leaver = Arc::clone(&body);
        let leaver = thread::spawn(move || {
            if let Some(mut reader) = leaver.reader() {
                reader.take(1, &mut Vec::new());
            }
        });
        body.push(part.clone());
        body.window();
        for _ in 1..PARTS {
            while body.wait_for_room(Duration::ZERO) == Room::Full {
                thread::yield_now();
            }
            body.push(part.clone());
        }
        body.complete();
        let (bytes, next) = leader.join().expect("a reader");
        assert_eq!((bytes.len(), next), (PARTS * part.len(), Next::End));
        if let Some((bytes, next)) = follower.join().expect("a reader") {
            let is_whole = bytes.len() == PARTS * part.len();
            assert_eq!(next == Next::End, is_whole, "{} bytes", bytes.len());
            assert!(is_whole || next == Next::Cut);
        }
        leaver.join().expect("a reader");
    });
}

/// What a reader took, and how it ended. `None`: it came too late to begin.
type Read = Option<(Vec<u8>, Next)>;

fn start_reading(body: &Arc<SharedBody>) -> JoinHandle<Read> {
    let body = Arc::clone(body);
    thread::spawn(move || body.reader().map(read_to_end))
}

/// Takes all it is given, and sleeps until it is told of more.
fn read_to_end(mut reader: Reader) -> (Vec<u8>, Next) {
    let (bell, rung) = channel();
    let listener: Arc<dyn Listener> = Arc::new(Bell(shuttle::sync::Mutex::new(bell)));
    reader.listen(&listener);
    let mut chunks = Vec::new();
    loop {
        match reader.take(1, &mut chunks) {
            Next::More => {}
            Next::Wait => rung.recv().expect("a bell that is kept"),
            next => return (chunks.concat(), next),
        }
    }
}

/// Rings when a body has grown.
struct Bell(shuttle::sync::Mutex<Sender<()>>);

impl Listener for Bell {
    fn grew(&self) {
        // Nobody listens who has left.
        let _ = self.0.lock().expect("no panic").send(());
    }
}

/// Runs a scenario under two schedulers: one that finds what many switches lead to, one that finds what few do.
fn explore(scenario: fn()) {
    run(RandomScheduler::new_from_seed(SEED, SCHEDULES), scenario);
    run(
        PctScheduler::new_from_seed(SEED, DEPTH, SCHEDULES),
        scenario,
    );
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
    let mut config = shuttle::Config::new();
    config.stack_size = 256 * 1024;
    config.silence_warnings = true;
    shuttle::Runner::new(scheduler, config).run(scenario);
}

/// A proxy, its origin, and the threads between them.
struct House {
    proxy: Arc<Proxy>,
    origin: Arc<Fake>,
    executor: Arc<Hands>,
}

/// What a client was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Version(u64),
    Failed(Cause),
}

impl House {
    fn new(manner: Manner) -> Arc<House> {
        House::build(manner, false)
    }

    /// With `deadlines`, each flight's is reported at some moment; without, never.
    fn build(manner: Manner, deadlines: bool) -> Arc<House> {
        let origin = Arc::new(Fake {
            manner,
            version: AtomicU64::new(0),
            fetches: AtomicUsize::new(0),
            at_work: AtomicUsize::new(0),
        });
        let executor = Arc::new(Hands {
            proxy: OnceLock::new(),
            origin: Arc::clone(&origin),
            deadlines,
            threads: Mutex::default(),
        });
        let mut config = Config::of(Preset::Api);
        config.backend.max_concurrent_requests = PERMITS;
        let proxy = Arc::new(Proxy::new(
            config,
            Clock::new(),
            1,
            100,
            Box::new(Shared(Arc::clone(&executor))),
        ));
        assert!(executor.proxy.set(Arc::downgrade(&proxy)).is_ok());
        Arc::new(House {
            proxy,
            origin,
            executor,
        })
    }

    /// Starts so many clients that do the same.
    fn start<T: Send + 'static>(
        self: &Arc<House>,
        clients: usize,
        act: fn(&House) -> T,
    ) -> Vec<JoinHandle<T>> {
        let start = |_| {
            let house = Arc::clone(self);
            thread::spawn(move || act(&house))
        };
        (0..clients).map(start).collect()
    }

    fn all<T: Send + 'static>(self: &Arc<House>, clients: usize, act: fn(&House) -> T) -> Vec<T> {
        ended(self.start(clients, act))
    }

    fn ask(&self, method: Method) -> Told {
        let (replies, reply) = channel();
        self.proxy.answer(
            request(method),
            Once {
                replies,
                told: AtomicBool::new(false),
            },
        );
        told(
            reply
                .recv()
                .expect("a reply before the responder is dropped"),
        )
    }

    fn stored_version(&self) -> Option<u64> {
        self.proxy
            .hit(&request(Method::GET), self.proxy.clock().now())
            .map(|reply| match told(reply) {
                Told::Version(version) => version,
                Told::Failed(cause) => panic!("a hit that is an error: {cause:?}"),
            })
    }

    /// Waits for all threads, and sees that nothing is left of the flights.
    fn close(&self) {
        while let Some(thread) = self.executor.next_thread() {
            thread.join().expect("a worker that ends well");
        }
        assert_eq!(self.proxy.gauges(), Gauges::default());
    }
}

fn ended<T>(threads: Vec<JoinHandle<T>>) -> Vec<T> {
    threads
        .into_iter()
        .map(|thread| thread.join().expect("a client that ends well"))
        .collect()
}

fn told(reply: Reply) -> Told {
    let body = match reply {
        Reply::Stored { stored, .. } => stored.body.clone(),
        Reply::Relayed { response, .. } => response.body.clone(),
        Reply::Failed(failure) => return Told::Failed(failure.cause),
        Reply::BuiltIn { .. } => panic!("not asked for"),
    };
    Told::Version(
        std::str::from_utf8(&body)
            .expect("text")
            .parse()
            .expect("a number"),
    )
}

fn target() -> Target {
    Target::parse(Bytes::from_static(b"/soe")).expect("a lawful target")
}

fn request(method: Method) -> Request {
    Request {
        method,
        target: target(),
        version: Version::HTTP_11,
        fields: HeaderMap::new(),
        body: Body::default(),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: larder::message::RequestId(1),
    }
}

/// Origin workers and timer: a thread per fetch request, and one per deadline.
struct Hands {
    proxy: OnceLock<Weak<Proxy>>,
    origin: Arc<Fake>,
    deadlines: bool,
    /// std's lock: the threads are none of the checker's business, and nothing yields while it is held.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared(Arc<Hands>);

impl Hands {
    fn start(&self, act: impl FnOnce(&Arc<Proxy>) + Send + 'static) {
        let proxy = self
            .proxy
            .get()
            .and_then(Weak::upgrade)
            .expect("a proxy that is still there");
        let thread = thread::spawn(move || act(&proxy));
        self.threads
            .lock()
            .expect("no panic while it is held")
            .push(thread);
    }

    fn next_thread(&self) -> Option<JoinHandle<()>> {
        self.threads
            .lock()
            .expect("no panic while it is held")
            .pop()
    }
}

impl Executor for Shared {
    fn fetch(&self, flight: FlightId, fetch_request: FetchRequest) {
        let mut origin = Worker(Arc::clone(&self.0.origin));
        self.0.start(move |proxy| {
            let fetch = AssertUnwindSafe(|| proxy.fetch(flight, &fetch_request, &mut origin));
            // The worker of the program goes on after any panic; here only after the one that was planned.
            if let Err(panic) = catch_unwind(fetch)
                && !panic.is::<Planned>()
            {
                resume_unwind(panic);
            }
        });
    }

    fn wake(&self, _: Duration, flight: FlightId) {
        if self.0.deadlines {
            self.0.start(move |proxy| proxy.deadline(flight));
        }
    }

    /// None of our own endpoints is asked for here.
    fn administer(&self, _: Request, _: Box<dyn Responder>) {}

    /// Nothing is polled here.
    fn polled(&self, _: usize, _: PollEnd) {}

    fn origin_up(&self) {}
}

/// How the origin answers.
#[derive(Clone, Copy)]
enum Manner {
    /// With its version, which everybody may have.
    Storable,
    /// With a cookie, and the number of the fetch.
    Personal,
    /// With the beginning of a body.
    Streams,
    Panics,
}

struct Fake {
    manner: Manner,
    /// What a GET is answered with; a POST makes it one more.
    version: AtomicU64,
    fetches: AtomicUsize,
    at_work: AtomicUsize,
}

/// One connection to it. Every use of its numbers is a place where the checker may switch.
struct Worker(Arc<Fake>);

/// Thrown past the panic hook, which would print a schedule for each.
struct Planned;

impl Origin for Worker {
    fn fetch(&mut self, request: &OriginRequest) -> Result<Fetched, FetchError> {
        let at_work = self.0.at_work.fetch_add(1, SeqCst) + 1;
        assert!(at_work <= PERMITS, "{at_work} fetches at once");
        let number = self.0.fetches.fetch_add(1, SeqCst) + 1;
        let posted = u64::from(request.method == Method::POST);
        let version = self.0.version.fetch_add(posted, SeqCst) + posted;
        self.0.at_work.fetch_sub(1, SeqCst);
        let mut fields = HeaderMap::new();
        let body = match self.0.manner {
            Manner::Panics => resume_unwind(Box::new(Planned)),
            Manner::Streams => return Ok(Fetched::Opening(opening())),
            Manner::Personal => {
                fields.insert(header::SET_COOKIE, HeaderValue::from_static("mine=1"));
                number.to_string()
            }
            Manner::Storable => version.to_string(),
        };
        Ok(Fetched::Whole(Response {
            status: StatusCode::OK,
            fields,
            body: Bytes::from(body),
        }))
    }
}

fn opening() -> Opening {
    let begun = Bytes::from_static(b"begun");
    Opening {
        status: StatusCode::OK,
        fields: HeaderMap::from_iter([(header::SET_COOKIE, HeaderValue::from_static("mine=1"))]),
        length: None,
        begun,
        rest: Box::new(Over),
    }
}

struct Over;

impl Rest for Over {
    fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        Ok(None)
    }
}

/// A responder that is told once, or the test fails.
struct Once {
    replies: Sender<Reply>,
    told: AtomicBool,
}

impl Once {
    fn tell(&self, reply: Reply) {
        assert!(!self.told.swap(true, SeqCst), "told twice");
        self.replies.send(reply).expect("a client that waits");
    }
}

impl Responder for Once {
    fn reply(&mut self, reply: Reply) {
        self.tell(reply);
    }

    /// A body that is passed on is of no use to a client that waits for a whole one.
    fn open(&mut self, _: &ResponseHead, _: Outcome, _: Reader) {
        self.tell(Reply::failed(Cause::Slow, None));
    }

    fn gone(&self) -> bool {
        false
    }
}

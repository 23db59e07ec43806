//! The only wiring: builds the parts, owns the threads, ends them in order.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use parking_lot::Mutex;

use crate::cache::flights::FetchRequest;
use crate::clock::Clock;
use crate::config::{Config, OriginUrl};
use crate::control;
use crate::endpoints;
use crate::front::head;
use crate::front::limits::{self, Limits};
use crate::front::listener::{self, Front};
use crate::message::Request;
use crate::origin::Origin;
use crate::origin::http::HttpSettings;
use crate::origin::http::tls::Client;
use crate::origin::permits::FlightId;
use crate::origin::resolve::Addresses;
use crate::origin::sim::{self, SimSettings, Simulation};
use crate::origin::source::Source;
use crate::proxy::{self, Executor, PollEnd, Proxy};
use crate::reply::Responder;
use crate::scheduler::Scheduler;
use crate::scheduler::plan::Plan;
use crate::threads::spawn;
use crate::timer::Timer;

/// How often an origin's name is looked up again, and how long the start waits for the first time.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);
const RESOLVE_AT_START: Duration = Duration::from_secs(2);
/// A body that is whole so soon after its head is answered in one piece; half of what a first byte may be late.
const AT_ONCE: Duration = Duration::from_millis(20);
/// Below the 5 s after which many servers close an idle connection.
const MAX_IDLE_AGE: Duration = Duration::from_secs(4);
/// Requests for our own endpoints that may wait for the admin thread.
const QUESTIONS: usize = 16;
/// A stopping server still reads so long: a client that was told nothing of it yet may have sent its next request.
const STOP_LISTENING: Duration = Duration::from_millis(200);
/// A stopping server gives requests in progress so long; after that they get stale answers or 503.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// And so long for those answers to be taken.
const STOP_LAST: Duration = Duration::from_secs(1);

/// A running Larder. Dropping it stops it at once; [`App::stop`] is gentler.
pub struct App {
    front: Option<Front>,
    control: Option<control::Server>,
    proxy: Arc<Proxy>,
    timer: Arc<Timer>,
    scheduler: Arc<Scheduler>,
    fetch_requests: Sender<Order>,
    questions: Sender<Question>,
    /// Closing it ends the resolver.
    resolving: Option<Sender<()>>,
    origin_workers: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
}

/// Why it does not start.
#[derive(Debug)]
pub struct StartError {
    what: String,
    cause: io::Error,
}

/// What an origin worker is told.
enum Order {
    Fetch(FlightId, FetchRequest),
    Stop,
}

/// What the admin thread is told.
enum Question {
    Answer(Box<Request>, Box<dyn Responder>),
    Stop,
}

/// The threads, as the proxy sees them.
struct Threads {
    fetch_requests: Sender<Order>,
    questions: Sender<Question>,
    timer: Arc<Timer>,
    scheduler: Arc<Scheduler>,
}

impl App {
    /// Starts everything; it serves when this returns.
    pub fn start(config: Config, clock: Clock) -> Result<App, StartError> {
        let host = config.proxy.bind.clone();
        let port = config.proxy.port;
        let socket = listener::bind(&host, port).map_err(|cause| {
            let what = format!("cannot listen on {host} port {port}");
            StartError { what, cause }
        })?;
        let thread = |cause| StartError {
            what: "cannot start a thread".to_owned(),
            cause,
        };
        let limits = limits(&config);
        let source = source(&config, &clock)?;
        let permits = config.backend.max_concurrent_requests;
        let workers = config.proxy.workers;
        let timer = Arc::new(Timer::new(clock.clone()));
        let plan = Plan::new(proxy::polls(&config), clock.now().mono);
        let scheduler = Arc::new(Scheduler::new(plan, clock.clone()));
        // Permits bound what is sent, so it never fills.
        let (fetch_requests, orders) = bounded(2 * permits + 1);
        let (questions, asked) = bounded(QUESTIONS);
        let executor = Threads {
            fetch_requests: fetch_requests.clone(),
            questions: questions.clone(),
            timer: Arc::clone(&timer),
            scheduler: Arc::clone(&scheduler),
        };
        let proxy = Arc::new(Proxy::new(
            config,
            clock,
            mark(),
            limits.max_connections / 2,
            Box::new(executor),
        ));

        let mut origin_workers = Vec::new();
        for _ in 0..permits {
            let origin = source.connect();
            let proxy = Arc::clone(&proxy);
            let orders = orders.clone();
            origin_workers
                .push(spawn("origin", move || work(&proxy, &orders, origin)).map_err(thread)?);
        }
        let mut others = Vec::new();
        let resolving = resolve_in_background(&source, &mut others).map_err(thread)?;
        let front = Front::start(socket, Arc::clone(&proxy), limits, workers).map_err(thread)?;
        let ticking = Arc::clone(&timer);
        let served = Arc::clone(&proxy);
        others.push(spawn("timer", move || ticking.run(&served)).map_err(thread)?);
        let served = Arc::clone(&proxy);
        others.push(spawn("admin", move || administer(&served, &asked)).map_err(thread)?);
        let offering = Arc::clone(&scheduler);
        let served = Arc::clone(&proxy);
        others.push(spawn("scheduler", move || offering.run(&served)).map_err(thread)?);
        let control = Some(control::Server::start(
            &control::Settings::default(),
            &control::Environment::of_this_process(),
            front.addr().port(),
            &proxy,
        ));
        let front = Some(front);
        let resolving = Some(resolving);
        Ok(App {
            front,
            control,
            proxy,
            timer,
            scheduler,
            fetch_requests,
            questions,
            resolving,
            origin_workers,
            others,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.front
            .as_ref()
            .map_or(SocketAddr::from(([0, 0, 0, 0], 0)), Front::addr)
    }

    /// The proxy itself, for what is asked of it without a socket.
    pub fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    /// Moves time forward instead of waiting, for tests.
    pub fn skip_time(&self, by: Duration) {
        self.proxy.clock().skip(by);
        self.timer.look_again();
        self.scheduler.look_again();
        if let Some(front) = &self.front {
            front.look_again();
        }
    }

    /// Stops gently: nobody new, requests in progress get 5 s, then stale answers or 503. Takes at most 8 s.
    pub fn stop(mut self) {
        if let Some(front) = &self.front {
            front.stop_accepting();
            std::thread::sleep(STOP_LISTENING);
            front.stop_reading();
            if !wait_until_idle(front, STOP_PATIENCE) {
                self.proxy.stop();
                wait_until_idle(front, STOP_LAST);
            }
        }
        self.end();
    }

    fn end(&mut self) {
        drop(self.control.take());
        self.proxy.stop();
        if let Some(front) = self.front.take() {
            front.stop();
        }
        self.timer.stop();
        self.scheduler.stop();
        drop(self.resolving.take());
        for _ in &self.origin_workers {
            let _ = self.fetch_requests.try_send(Order::Stop);
        }
        let _ = self.questions.send_timeout(Question::Stop, STOP_LAST);
        // A worker may be waiting for the origin, and the resolver for the network: they end with the process.
        for thread in self
            .others
            .drain(..)
            .chain(self.origin_workers.drain(..))
            .filter(JoinHandle::is_finished)
        {
            let _ = thread.join();
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)?;
        match self.cause.kind() {
            io::ErrorKind::AddrInUse => f.write_str(
                "; another program has this port: stop it, or choose another with --port",
            ),
            io::ErrorKind::PermissionDenied => {
                f.write_str("; ports below 1024 need a privilege: choose a higher one with --port")
            }
            io::ErrorKind::AddrNotAvailable => {
                f.write_str("; this machine has no such address: see proxy.bind")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for StartError {}

impl Executor for Threads {
    fn fetch(&self, flight: FlightId, fetch_request: FetchRequest) {
        if self
            .fetch_requests
            .try_send(Order::Fetch(flight, fetch_request))
            .is_err()
        {
            log::error!("no origin worker takes a fetch; permits and workers disagree");
        }
    }

    fn stream(&self, work: Box<dyn FnOnce() + Send>) {
        // What was not started is dropped, and so its client is shown that the body is cut.
        if let Err(error) = spawn("stream", work) {
            log::error!("cannot start a thread for a stream: {error}");
        }
    }

    fn wake(&self, at: Duration, flight: FlightId) {
        self.timer.wake(at, flight);
    }

    fn forget(&self, at: Duration, flight: FlightId) {
        self.timer.forget(at, flight);
    }

    fn administer(&self, request: Request, responder: Box<dyn Responder>) {
        let asked = self
            .questions
            .try_send(Question::Answer(Box::new(request), responder));
        if let Err(Question::Answer(_, mut responder)) = asked.map_err(TrySendError::into_inner) {
            responder.reply(endpoints::busy());
        }
    }

    fn polled(&self, poll: usize, end: PollEnd) {
        self.scheduler.ended(poll, end);
    }

    fn origin_up(&self) {
        self.scheduler.origin_up();
    }
}

/// An origin worker: one fetch at a time, on a connection of its own.
fn work(proxy: &Arc<Proxy>, orders: &Receiver<Order>, mut origin: Box<dyn Origin>) {
    while let Ok(Order::Fetch(flight, fetch_request)) = orders.recv() {
        let fetch =
            std::panic::AssertUnwindSafe(|| proxy.fetch(flight, &fetch_request, &mut *origin));
        if std::panic::catch_unwind(fetch).is_err() {
            proxy.counters().panics.bump();
            log::error!(
                "a fault while fetching {}; those waiting were told",
                fetch_request.request.target.path()
            );
        }
    }
}

/// The admin thread: one question at a time.
fn administer(proxy: &Proxy, questions: &Receiver<Question>) {
    while let Ok(Question::Answer(request, mut responder)) = questions.recv() {
        let answer =
            std::panic::AssertUnwindSafe(|| responder.reply(endpoints::reply(proxy, &request)));
        if std::panic::catch_unwind(answer).is_err() {
            // The responder, dropped unused, answers 500 (I10).
            proxy.counters().panics.bump();
            log::error!(
                "a fault while answering {}; the client was told 500",
                request.target.path()
            );
        }
    }
}

fn resolve_in_background(
    source: &Source,
    threads: &mut Vec<JoinHandle<()>>,
) -> io::Result<Sender<()>> {
    let (stop, stopped) = bounded::<()>(0);
    let Some(addresses) = source.name().cloned() else {
        return Ok(stop);
    };
    let (first, looked) = bounded(1);
    threads.push(spawn("resolve", move || {
        loop {
            look_up(&addresses);
            let _ = first.try_send(());
            if stopped.recv_timeout(RESOLVE_EVERY)
                != Err(crossbeam_channel::RecvTimeoutError::Timeout)
            {
                return;
            }
        }
    })?);
    let _ = looked.recv_timeout(RESOLVE_AT_START);
    Ok(stop)
}

fn look_up(addresses: &Addresses) {
    match addresses.resolve_now() {
        Ok(outside) if outside.is_empty() => {}
        Ok(outside) => {
            let outside: Vec<String> = outside.iter().map(ToString::to_string).collect();
            log::warn!(
                "the origin's name leads to {}, outside of backend.allow: not asked there",
                outside.join(", ")
            );
        }
        Err(_) => {
            let remedy = if addresses.is_local_name() {
                "; a static build knows no .local names: use its address, or /etc/hosts"
            } else {
                ""
            };
            log::warn!(
                "the origin's name has no address now{remedy}; looking again in {} s",
                RESOLVE_EVERY.as_secs()
            );
        }
    }
}

fn wait_until_idle(front: &Front, at_most: Duration) -> bool {
    let slices = at_most.as_millis() / listener::STOP_SLICE.as_millis();
    (0..slices).any(|_| {
        let idle = front.is_idle();
        if !idle {
            std::thread::sleep(listener::STOP_SLICE);
        }
        idle
    })
}

fn limits(config: &Config) -> Limits {
    let front = &config.proxy;
    Limits {
        max_connections: limits::connection_limit(
            front.max_connections,
            config.backend.max_concurrent_requests + proxy::max_streams(config),
        ),
        max_connections_per_client: front.max_connections_per_client,
        head: head::Limits {
            max_head_bytes: front.max_header_bytes,
            ..head::Limits::default()
        },
        max_body_bytes: front.max_body_bytes,
        header_timeout: front.header_timeout,
        body_timeout: front.body_timeout,
        keep_alive_timeout: front.keep_alive_timeout,
        write_timeout: front.write_timeout,
    }
}

fn source(config: &Config, clock: &Clock) -> Result<Source, StartError> {
    let backend = &config.backend;
    let (authority, tls) = match &backend.origin {
        OriginUrl::Http(authority) => (authority.clone(), None),
        OriginUrl::Https(authority) => {
            let client =
                Client::new(&backend.tls.trust, authority).map_err(|problem| StartError {
                    what: format!("cannot ask {}", backend.origin),
                    cause: io::Error::new(io::ErrorKind::InvalidInput, problem),
                })?;
            (authority.clone(), Some(client))
        }
        OriginUrl::Sim(query) => {
            let wrong = |problem| StartError {
                what: format!("cannot simulate {}", backend.origin),
                cause: io::Error::new(io::ErrorKind::InvalidInput, problem),
            };
            let limits = sim::Limits {
                first_byte: backend.first_byte_timeout,
                at_once: AT_ONCE,
                idle: backend.idle_timeout,
                total: backend.total_timeout,
            };
            let settings = SimSettings {
                limits,
                ..SimSettings::parse(query).map_err(wrong)?
            };
            return Ok(Source::Sim(
                clock.clone(),
                Arc::new(Mutex::new(Simulation::new(settings, clock.now()))),
            ));
        }
    };
    let addresses = Addresses::new(
        authority.host(),
        backend.origin.port(),
        backend.allow.clone(),
    );
    let settings = HttpSettings {
        tls,
        authority,
        connect_timeout: backend.connect_timeout,
        first_byte_timeout: backend.first_byte_timeout,
        idle_timeout: backend.idle_timeout,
        total_timeout: backend.total_timeout,
        at_once: AT_ONCE,
        max_object_bytes: config.cache.max_object_bytes,
        max_idle_age: MAX_IDLE_AGE,
    };
    Ok(Source::Http(settings, Arc::new(addresses)))
}

/// A number that tells this process from others: the seed of std's hash maps is random.
fn mark() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

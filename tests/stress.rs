//! 64 threads of the system before one proxy: nobody is forgotten, and the origin is asked no more than it must.
#![cfg(not(larder_shuttle))]
#![allow(clippy::expect_used, reason = "a test that ends is a test that fails")]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Sender, unbounded};
use http::{HeaderMap, Method, StatusCode, Version};

use larder::cache::flights::{FetchRequest, Gauges};
use larder::cache::shared_body::Reader;
use larder::clock::Clock;
use larder::config::{Config, Preset};
use larder::message::{Body, Request, RequestId, Response, ResponseHead, Target};
use larder::origin::permits::FlightId;
use larder::origin::{Fetched, Origin, OriginRequest};
use larder::outcome::{FetchError, Outcome};
use larder::proxy::{Executor, PollEnd, Proxy};
use larder::reply::{Reply, Responder};

const CLIENTS: usize = 64;
const REQUESTS_EACH: usize = 500;
const KEYS: [&str; 4] = ["/soe", "/aggregates", "/vitals", "/strings"];
const PERMITS: usize = 3;
/// So often one client moves the clock past every lifetime.
const SKIP_EVERY: usize = 100;
const LIFETIME: Duration = Duration::from_secs(300);
/// Longer than the slowest machine needs; whoever waits so long was forgotten.
const FORGOTTEN: Duration = Duration::from_secs(30);

#[test]
fn the_origin_is_asked_once_per_key_and_lifetime_however_many_ask() {
    let clock = Clock::new();
    let origin = Arc::new(Counting::default());
    let proxy = proxy(&clock, &origin);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let proxy = Arc::clone(&proxy);
            let clock = clock.clone();
            thread::spawn(move || hammer(&proxy, &clock, client))
        })
        .collect();
    let skips: usize = clients
        .into_iter()
        .map(|client| client.join().expect("a client that is always answered"))
        .sum();
    assert_eq!(proxy.gauges(), Gauges::default());
    let fetches = origin.fetches.load(SeqCst);
    let at_once = origin.most_at_once.load(SeqCst);
    println!(
        "{} requests, {skips} expirations, {fetches} fetches, {at_once} at once",
        CLIENTS * REQUESTS_EACH
    );
    assert!(
        (KEYS.len()..=KEYS.len() * (1 + skips)).contains(&fetches),
        "{fetches} fetches, {skips} expirations"
    );
    assert!(at_once <= PERMITS, "{at_once} fetches at once");
    assert_eq!(
        origin.doubled.load(SeqCst),
        0,
        "two fetches for one key at once"
    );
}

/// Asks for all keys in turn; the first client moves the clock now and then. Answers how often it did.
fn hammer(proxy: &Proxy, clock: &Clock, client: usize) -> usize {
    let mut skips = 0;
    for number in 0..REQUESTS_EACH {
        let path = KEYS[(client + number) % KEYS.len()];
        let (replies, reply) = unbounded();
        proxy.answer(request(path), Client(replies));
        let body = match reply.recv_timeout(FORGOTTEN).expect("an answer in time") {
            Reply::Stored { stored, .. } => stored.body.clone(),
            _ => panic!("an answer that is not a stored one"),
        };
        assert_eq!(body, path.as_bytes());
        if client == 0 && number % SKIP_EVERY == SKIP_EVERY - 1 {
            clock.skip(LIFETIME);
            skips += 1;
        }
    }
    skips
}

fn proxy(clock: &Clock, origin: &Arc<Counting>) -> Arc<Proxy> {
    let mut config = Config::of(Preset::Api);
    config.backend.max_concurrent_requests = PERMITS;
    config.cache.defaults.ttl = LIFETIME;
    // No background refreshes and no slowness, so that each fetch has an expiration behind it.
    config.cache.defaults.stale_time = LIFETIME;
    config.cache.slow_request_timeout = LIFETIME * 1000;
    config.cache.defaults.jitter = 0;
    let (fetch_requests, orders) = unbounded();
    let proxy = Arc::new(Proxy::new(
        config,
        clock.clone(),
        1,
        CLIENTS,
        Box::new(Threads(fetch_requests)),
    ));
    for _ in 0..PERMITS {
        let proxy = Arc::downgrade(&proxy);
        let orders = orders.clone();
        let mut origin = Worker(Arc::clone(origin));
        // Ends with the proxy, which owns the other end.
        thread::spawn(move || {
            while let Ok((flight, fetch_request)) = orders.recv() {
                let Some(proxy) = proxy.upgrade() else { return };
                proxy.fetch(flight, &fetch_request, &mut origin);
            }
        });
    }
    proxy
}

fn request(path: &'static str) -> Request {
    Request {
        method: Method::GET,
        target: Target::parse(Bytes::from_static(path.as_bytes())).expect("a lawful target"),
        version: Version::HTTP_11,
        fields: HeaderMap::new(),
        body: Body::default(),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: RequestId(1),
    }
}

/// Where one client's reply goes.
struct Client(Sender<Reply>);

impl Responder for Client {
    fn reply(&mut self, reply: Reply) {
        self.0.send(reply).expect("a client that waits");
    }

    fn open(&mut self, _: &ResponseHead, _: Outcome, _: Reader) {
        panic!("every answer here is whole")
    }

    fn gone(&self) -> bool {
        false
    }
}

struct Threads(Sender<(FlightId, FetchRequest)>);

impl Executor for Threads {
    fn fetch(&self, flight: FlightId, fetch_request: FetchRequest) {
        self.0
            .send((flight, fetch_request))
            .expect("workers that listen");
    }

    /// Nothing here is slow: no deadline is ever due.
    fn wake(&self, _: Duration, _: FlightId) {}

    /// None of our own endpoints is asked for here.
    fn administer(&self, _: Request, _: Box<dyn Responder>) {}

    /// Nothing is polled here.
    fn polled(&self, _: usize, _: PollEnd) {}

    fn origin_up(&self) {}
}

#[derive(Default)]
struct Counting {
    fetches: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    /// Fetches that began while another one for the same key was going on.
    doubled: AtomicUsize,
    asked_for: Mutex<HashSet<Target>>,
}

struct Worker(Arc<Counting>);

impl Origin for Worker {
    fn fetch(&mut self, request: &OriginRequest) -> Result<Fetched, FetchError> {
        let origin = &self.0;
        let asked_for = || origin.asked_for.lock().expect("no panic while it is held");
        origin.fetches.fetch_add(1, SeqCst);
        origin
            .most_at_once
            .fetch_max(origin.at_once.fetch_add(1, SeqCst) + 1, SeqCst);
        let doubled = !asked_for().insert(request.target.clone());
        origin.doubled.fetch_add(usize::from(doubled), SeqCst);
        // Time for others to come: a fetch without any would never be joined.
        (0..100).for_each(|_| thread::yield_now());
        asked_for().remove(&request.target);
        origin.at_once.fetch_sub(1, SeqCst);
        let body = Bytes::copy_from_slice(request.target.as_str().as_bytes());
        Ok(Fetched::Whole(Response {
            status: StatusCode::OK,
            fields: HeaderMap::new(),
            body,
        }))
    }
}

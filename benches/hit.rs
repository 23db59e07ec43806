//! Where the time of a hit goes: nanoseconds a call of each of its steps takes, sockets left out.
//!
//! `cargo bench --bench hit`. The steps take turns, so that whatever disturbs the machine disturbs all of them; the median
//! of the rounds is printed, and the fastest.
#![allow(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to say"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use larder::cache::flights::FetchRequest;
use larder::cache::key::Key;
use larder::cache::store::{Store, Stored};
use larder::clock::{Clock, Now};
use larder::config::Config;
use larder::front::head::{self, Limits, Parsed};
use larder::message::{Body, IdText, Request, RequestId, Response, Target};
use larder::origin::permits::FlightId;
use larder::origin::{FetchError, Fetched, Opening, Origin, OriginRequest};
use larder::outcome::Outcome;
use larder::policy::directives::ResponseDirectives;
use larder::policy::freshness::{Allowed, Lifetime, Received, lifetime};
use larder::policy::rule::{Defaults, Rule};
use larder::proxy::{Executor, PollEnd, Proxy};
use larder::reply::{self, Nowhere, Reply, Responder, Sink};
use larder::route::{Pattern, Route, Routes};

const ROUNDS: usize = 15;
const CALLS: u32 = 20_000;

/// What a browser sends for a page it has open.
const HEAD: &[u8] = b"GET /aggregates HTTP/1.1\r\n\
    Host: larder.example:8676\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: application/json, text/plain, */*\r\n\
    Accept-Language: en-GB,en;q=0.8,de;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: http://larder.example:8676/dashboard\r\n\
    DNT: 1\r\n\
    Connection: keep-alive\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Priority: u=4\r\n\r\n";

const CONFIG: &str = r#"{ "preset": "api", "urlConfigs": [
    { "path": "/aggregates", "cacheTTL": 30, "staleTime": 30 }, { "path": "/soe", "cacheTTL": 30 },
    { "path": "/vitals", "cacheTTL": 60 }, { "path": "/api/*", "cacheTTL": 30 }, { "path": "/csv/v2", "cacheTTL": 10 } ] }"#;

fn main() {
    let config = Config::from_json(CONFIG).expect("a lawful configuration");
    let limits = Limits::default();
    let raw = Bytes::from_static(HEAD);
    let below = Target::parse(Bytes::from_static(b"/prefix/2500/below?x=1")).expect("a target");
    let request = request(&raw, &limits);
    let routes = Routes::new(config.routes.clone());
    let built = Instant::now();
    let many_routes = Routes::new(many_routes());
    let built = built.elapsed();
    let small = filled(1_000);
    let large = filled(1_000_000);
    let prefix = small.prefix(None, "anonymous");
    let kept = small
        .find_plain(&prefix.key_of(b"/0000000"))
        .expect("plain");
    let proxy = proxy_that_has(config, &request);
    let now = proxy.clock().now();
    let hit = proxy.hit(&request, now).expect("what was fetched is fresh");
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut whole = Vec::with_capacity(64 * 1024);
    let mut steps = [
        Step::new("head::parse, 12 fields", || {
            drop(black_box(head::parse(black_box(&raw), &limits)))
        }),
        Step::new("routes.find", || {
            _ = black_box(routes.find(black_box(&request.target)))
        }),
        Step::new("store.find, 1,000 entries", visitor(&small, 1_000)),
        Step::new("store.find, 1,000,000 entries", visitor(&large, 1_000_000)),
        Step::new("store.find_plain, 1,000 entries, one key", || {
            let key = prefix.key_of(black_box(b"/0000000"));
            drop(black_box(small.find_plain(&key)));
        }),
        Step::new("store.is_current, for what is kept", || {
            _ = black_box(small.is_current(black_box(&kept)));
            kept.stored.count_use();
        }),
        Step::new("routes.find, exact, of 10,000 routes", || {
            _ = black_box(many_routes.find(black_box(&request.target)))
        }),
        Step::new("routes.find, by prefix, of 10,000 routes", || {
            _ = black_box(many_routes.find(black_box(&below)))
        }),
        Step::new("clock.now", || _ = black_box(proxy.clock().now())),
        Step::new("proxy.hit (routes.find, store.find, reuse)", || {
            drop(black_box(proxy.hit(black_box(&request), now)))
        }),
        Step::new("reply::head and body", || {
            render(black_box(&hit), &proxy, &mut buffer)
        }),
        Step::new("all of a hit: parse, clock, hit, render", || {
            let request = self::request(black_box(&raw), &limits);
            let hit = proxy
                .hit(&request, proxy.clock().now())
                .expect("still fresh");
            render(&hit, &proxy, &mut whole);
        }),
    ];
    for _ in 0..ROUNDS {
        steps.iter_mut().for_each(Step::round);
    }
    steps.iter().for_each(Step::print);
    println!("10,000 routes are built in {built:.1?}");
    println!(
        "store.find at 1,000,000 entries costs {:.2} times as much as at 1,000",
        steps[3].median() / steps[2].median()
    );
}

/// 5,000 exact paths, one of them that of the request, and 5,000 prefixes.
fn many_routes() -> Vec<Route> {
    let route = |text: String| Route {
        pattern: Pattern::parse(&text).expect("a pattern"),
        rule: Rule::default(),
    };
    let exact = (1..5000).map(|number| route(format!("/exact/{number}")));
    let prefixes = (0..5000).map(|number| route(format!("/prefix/{number}/*")));
    let own = std::iter::once(route("/aggregates".to_string()));
    own.chain(exact).chain(prefixes).collect()
}

/// Something that is timed.
struct Step<'a> {
    name: &'static str,
    call: Box<dyn FnMut(u32) -> Duration + 'a>,
    /// Nanoseconds a call, one for each round.
    rounds: Vec<f64>,
}

impl<'a> Step<'a> {
    fn new(name: &'static str, mut once: impl FnMut() + 'a) -> Step<'a> {
        let call = move |calls| {
            let start = Instant::now();
            (0..calls).for_each(|_| once());
            start.elapsed()
        };
        Step {
            name,
            call: Box::new(call),
            rounds: Vec::new(),
        }
    }

    fn round(&mut self) {
        self.rounds
            .push((self.call)(CALLS).as_secs_f64() * 1e9 / f64::from(CALLS));
    }

    fn median(&self) -> f64 {
        self.sorted()[ROUNDS / 2]
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn print(&self) {
        println!(
            "{:<45} {:>8.1} ns   (fastest round {:.1})",
            self.name,
            self.median(),
            self.sorted()[0]
        );
    }
}

fn render(reply: &Reply, proxy: &Proxy, out: &mut Vec<u8>) {
    out.clear();
    let id = IdText::new(proxy.mark(), RequestId(1_234_567), None);
    reply::head(out, reply, false, &id, proxy.via(), proxy.clock());
    out.extend_from_slice(&reply::body(reply, &id));
    black_box(out);
}

fn request(raw: &Bytes, limits: &Limits) -> Request {
    let Ok(Parsed::Head { head, .. }) = head::parse(raw, limits) else {
        panic!("the head is lawful")
    };
    Request {
        method: head.method,
        target: head.target,
        version: head.version,
        fields: head.fields,
        body: Body::default(),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: RequestId(1),
    }
}

/// Looks up one entry after the other in random order. The key is put together for each, as a request's is, so that no list
/// of keys competes with the store for the processor's caches.
fn visitor(store: &Store, entries: u64) -> impl FnMut() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut key = String::new();
    move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        write_key(&mut key, random % entries);
        assert!(black_box(store.find(black_box(&key))).is_some());
    }
}

fn filled(entries: u64) -> Store {
    let store = Store::new(1 << 30, entries as usize);
    let mut key = String::new();
    for number in 0..entries {
        write_key(&mut key, number);
        let head = Box::from(*b"HTTP/1.1 200 OK\r\n");
        let body = Bytes::from_static(b"{\"site\":1}");
        let stored = Stored {
            key: Key::from(key.as_str()),
            status: StatusCode::OK,
            head,
            fields_end: 17,
            body,
            lifetime: a_lifetime(),
            selecting: None,
            hits: AtomicU32::new(0),
            uses: Default::default(),
            rule: Default::default(),
            used: AtomicU32::new(0),
        };
        store.insert(Arc::new(stored), &HeaderMap::new());
    }
    assert_eq!(store.gauges().entries as u64, entries);
    store
}

/// `cache:GET:anonymous:/0012345`, without the formatting that would cost more than the lookup.
fn write_key(key: &mut String, mut number: u64) {
    key.clear();
    key.push_str("cache:GET:anonymous:/");
    for _ in 0..7 {
        key.push(char::from(b'0' + (number % 10) as u8));
        number /= 10;
    }
}

fn a_lifetime() -> Lifetime {
    let at = Now {
        mono: Duration::ZERO,
        wall: Duration::ZERO,
    };
    let fields = HeaderMap::new();
    let response = Received {
        status: StatusCode::OK,
        fields: &fields,
        response_directives: ResponseDirectives::default(),
        asked: at,
        at,
    };
    lifetime(
        &response,
        &Rule::default(),
        &Defaults::default(),
        Allowed::Any,
    )
    .expect("the default one")
}

/// A proxy that has the answer to `request`.
fn proxy_that_has(config: Config, request: &Request) -> Arc<Proxy> {
    let (sender, fetch_requests) = channel();
    let proxy = Arc::new(Proxy::new(
        config,
        Clock::new(),
        0x5EED_CAFE,
        10,
        Box::new(Later(sender)),
    ));
    let target = request.target.clone();
    let asked = Request {
        method: Method::GET,
        target,
        fields: HeaderMap::new(),
        body: Body::default(),
        ..*request
    };
    proxy.answer(asked, Nobody);
    let (flight, fetch_request) = fetch_requests.try_recv().expect("a fetch for the origin");
    proxy.fetch(flight, &fetch_request, &mut Ready);
    assert!(proxy.hit(request, proxy.clock().now()).is_some());
    proxy
}

/// A client that does not look at its reply.
struct Nobody;

impl Responder for Nobody {
    fn reply(&mut self, _: Reply) {}

    fn open(&mut self, _: &Opening, _: Outcome) -> Box<dyn Sink> {
        Box::new(Nowhere)
    }

    fn gone(&self) -> bool {
        false
    }
}

/// Keeps the fetch requests for whoever asks.
struct Later(Sender<(FlightId, FetchRequest)>);

impl Executor for Later {
    fn fetch(&self, flight: FlightId, fetch_request: FetchRequest) {
        // The receiver lives until the one fetch request was taken.
        let _ = self.0.send((flight, fetch_request));
    }

    fn wake(&self, _: Duration, _: FlightId) {}
    fn administer(&self, _: Request, _: Box<dyn Responder>) {}
    fn polled(&self, _: usize, _: PollEnd) {}
    fn origin_up(&self) {}
}

/// An origin that has 1.5 KB ready.
struct Ready;

impl Origin for Ready {
    fn fetch(&mut self, _: &OriginRequest) -> Result<Fetched, FetchError> {
        let fields =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Ok(Fetched::Whole(Response {
            status: StatusCode::OK,
            fields,
            body: vec![b'7'; 1500].into(),
        }))
    }
}

//! Invariants of docs/ARCHITECTURE.md that no other test shows.

#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::panic::RefUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use larder::cache::flights::FetchRequest;
use larder::cache::shared_body::Reader;
use larder::cache::store::Stored;
use larder::clock::Clock;
use larder::config::{Config, Preset};
use larder::front::head;
use larder::front::limits::Limits;
use larder::front::listener::Front;
use larder::message::{Body, Request, Response, ResponseHead, Target};
use larder::origin::permits::FlightId;
use larder::origin::{Fetched, Origin, OriginRequest};
use larder::outcome::{FetchError, Outcome};
use larder::proxy::{Executor, PollEnd, Proxy};
use larder::reply::{Reply, Responder};

#[test]
fn i2_replies_are_given_outside_the_locks() {
    let fetches = Arc::new(Mutex::new(Vec::new()));
    let proxy = proxy(Keeping(Arc::clone(&fetches)));
    let told = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        proxy.answer(
            request(&proxy),
            Asking {
                proxy: Arc::clone(&proxy),
                told: Arc::clone(&told),
            },
        );
    }
    let (flight, fetch_request) = fetches
        .lock()
        .expect("nobody panics")
        .pop()
        .expect("one fetch for both");
    proxy.fetch(flight, &fetch_request, &mut Ready);
    assert_eq!(told.load(Ordering::SeqCst), 2);
}

#[test]
fn i3_a_stored_answer_cannot_change_behind_its_arc() {
    // Cells and locks are not RefUnwindSafe, atomics are: the two inside tell of its use, which no reply shows.
    fn frozen<T: Send + Sync + RefUnwindSafe>() {}
    frozen::<Stored>();
    frozen::<Response>();
}

#[test]
fn i10_a_panic_on_a_front_worker_is_answered_500_and_the_thread_lives() {
    let proxy = proxy(Panicking);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let patience = Duration::from_secs(5);
    let limits = Limits {
        max_connections: 32,
        max_connections_per_client: None,
        head: head::Limits::default(),
        max_body_bytes: 1024,
        header_timeout: patience,
        body_timeout: patience,
        keep_alive_timeout: patience,
        write_timeout: patience,
    };
    let front = Front::start(listener, Arc::clone(&proxy), limits, 1).expect("a front");
    for turn in 1..=3 {
        assert!(ask(&front, &format!("/{turn}")).starts_with("HTTP/1.1 500 "));
        assert!(
            ask(&front, "/health").starts_with("HTTP/1.1 200 "),
            "by the same, only worker"
        );
        assert_eq!(proxy.counters().panics.count(), turn);
    }
    front.stop();
}

fn ask(front: &Front, target: &str) -> String {
    let mut client = TcpStream::connect(front.addr()).expect("connects");
    write!(
        client,
        "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut reply = String::new();
    client.read_to_string(&mut reply).expect("a reply of text");
    reply
}

fn proxy(executor: impl Executor + 'static) -> Arc<Proxy> {
    Arc::new(Proxy::new(
        Config::of(Preset::Api),
        Clock::new(),
        1,
        100,
        Box::new(executor),
    ))
}

fn request(proxy: &Proxy) -> Request {
    Request {
        method: Method::GET,
        target: Target::parse(Bytes::from_static(b"/a")).expect("a lawful target"),
        version: Version::HTTP_11,
        fields: HeaderMap::new(),
        body: Body::default(),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: proxy.next_id(),
    }
}

/// Takes every lock of the proxy while it is told.
struct Asking {
    proxy: Arc<Proxy>,
    told: Arc<AtomicUsize>,
}

impl Responder for Asking {
    fn reply(&mut self, _: Reply) {
        let request = request(&self.proxy);
        self.proxy.gauges();
        assert!(self.proxy.hit(&request, self.proxy.clock().now()).is_some());
        self.told.fetch_add(1, Ordering::SeqCst);
    }

    fn open(&mut self, _: &ResponseHead, _: Outcome, _: Reader) {}

    fn gone(&self) -> bool {
        false
    }
}

struct Ready;

impl Origin for Ready {
    fn fetch(&mut self, _: &OriginRequest) -> Result<Fetched, FetchError> {
        Ok(Fetched::Whole(Response {
            status: StatusCode::OK,
            fields: HeaderMap::new(),
            body: Bytes::from_static(b"a"),
        }))
    }
}

struct Keeping(Arc<Mutex<Vec<(FlightId, FetchRequest)>>>);

impl Executor for Keeping {
    fn fetch(&self, flight: FlightId, fetch_request: FetchRequest) {
        self.0
            .lock()
            .expect("nobody panics")
            .push((flight, fetch_request));
    }
    fn wake(&self, _: Duration, _: FlightId) {}
    fn administer(&self, _: Request, _: Box<dyn Responder>) {}
    fn polled(&self, _: usize, _: PollEnd) {}
    fn origin_up(&self) {}
}

struct Panicking;

impl Executor for Panicking {
    fn fetch(&self, _: FlightId, _: FetchRequest) {
        panic!("on the thread that asked");
    }
    fn wake(&self, _: Duration, _: FlightId) {}
    fn administer(&self, _: Request, _: Box<dyn Responder>) {}
    fn polled(&self, _: usize, _: PollEnd) {}
    fn origin_up(&self) {}
}

//! Invariant: a request that is recognised as plain is lawful to the strict parser, which reads the same target and length; and
//! the stored answer that plain requests for its target get is the one the full path answers it with, whole.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use larder::cache::flights::FetchRequest;
use larder::clock::Clock;
use larder::config::{Config, Preset};
use larder::front::head::{Limits, Parsed, parse};
use larder::front::plain::{Memo, recognise};
use larder::message::{Body, Request, RequestId, Response, Target};
use larder::origin::permits::FlightId;
use larder::origin::{FetchError, Fetched, Opening, Origin, OriginRequest};
use larder::outcome::Outcome;
use larder::proxy::{Executor, PollEnd, Proxy};
use larder::reply::{Nowhere, Reply, Responder, Shape, Sink};
use libfuzzer_sys::fuzz_target;

/// A proxy with an answer of each kind in its store.
static PROXY: LazyLock<Arc<Proxy>> = LazyLock::new(|| {
    let (sender, fetches) = channel();
    let proxy = Arc::new(Proxy::new(
        Config::of(Preset::Api),
        // Time stands, so that nothing ages while it is compared.
        Clock::standing(Duration::from_secs(1_800_000_000)),
        1,
        100,
        Box::new(Later(sender)),
    ));
    for target in ["/a", "/vary", "/no-cache", "/private", "/missing"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let request = full(&Bytes::from(head)).expect("a lawful request");
        proxy.answer(request, Nobody);
        let (flight, fetch) = fetches.try_recv().expect("a fetch");
        proxy.fetch(flight, &fetch, &mut Ready);
    }
    proxy
});

fuzz_target!(|input: &[u8]| {
    // Most of what is tried is a request for one of the answers, with some fields.
    let raw = [b"GET /".as_slice(), input].concat();
    let limits = Limits::default();
    let mut memo = Memo::new();
    let Some(plain) = recognise(&raw, &limits) else {
        assert_eq!(memo.find(&raw), None);
        return;
    };
    let request = full(&Bytes::copy_from_slice(&raw)).expect("recognised, so lawful");
    assert_eq!(request.target.as_str().as_bytes(), plain.target(&raw));
    memo.keep(&raw, plain);
    if plain.length == raw.len() && memo.find(&raw).is_some() {
        assert_eq!(memo.find(&raw), Some(plain));
    }
    let now = PROXY.clock().now();
    let target = Target::parse(Bytes::copy_from_slice(plain.target(&raw))).expect("lawful");
    let Some(short) = PROXY.plain_hit(&target, now) else {
        return;
    };
    let Some(Reply::Stored {
        stored,
        outcome: Outcome::Hit,
        shape: Shape::Whole,
        ..
    }) = PROXY.hit(&request, now)
    else {
        panic!("the full path answers it otherwise");
    };
    assert!(Arc::ptr_eq(&stored, short.stored()));
    assert!(request.own_id().is_none(), "the reply would name its id");
});

fn full(raw: &Bytes) -> Option<Request> {
    let Ok(Parsed::Head { head, .. }) = parse(raw, &Limits::default()) else {
        return None;
    };
    Some(Request {
        method: head.method,
        target: head.target,
        version: head.version,
        fields: head.fields,
        body: Body::default(),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: RequestId(1),
    })
}

struct Ready;

impl Origin for Ready {
    fn fetch(&mut self, request: &OriginRequest) -> Result<Fetched, FetchError> {
        let mut fields = HeaderMap::new();
        let control = match request.target.as_str() {
            "/no-cache" => "no-cache, max-age=60",
            "/private" => "private, max-age=60",
            _ => "max-age=60",
        };
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
        fields.insert(header::ETAG, HeaderValue::from_static("\"a\""));
        if request.target.as_str() == "/vary" {
            fields.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
        }
        let status = match request.target.as_str() {
            "/missing" => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        };
        Ok(Fetched::Whole(Response {
            status,
            fields,
            body: Bytes::from_static(b"body"),
        }))
    }
}

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

struct Later(Sender<(FlightId, FetchRequest)>);

impl Executor for Later {
    fn fetch(&self, flight: FlightId, fetch: FetchRequest) {
        let _ = self.0.send((flight, fetch));
    }
    fn wake(&self, _: Duration, _: FlightId) {}
    fn administer(&self, _: Request, _: Box<dyn Responder>) {}
    fn polled(&self, _: usize, _: PollEnd) {}
    fn origin_up(&self) {}
}

//! The seam between the core and who knows a program: a judge that has nothing to do with any house, in the whole proxy.

#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use larder::cache::flights::FetchRequest;
use larder::clock::{Clock, Now};
use larder::config::{Config, Preset};
use larder::message::{Body, Request, Response, Target};
use larder::origin::permits::FlightId;
use larder::origin::{Fetched, Opening, Origin, OriginRequest};
use larder::outcome::{FetchError, Outcome};
use larder::policy::check::CheckFailure;
use larder::policy::judge::{BodyJudge, Verdict};
use larder::policy::rule::Rule;
use larder::proxy::{Executor, PollEnd, Proxy};
use larder::reply::{Nowhere, Reply, Responder, Sink};
use larder::route::{Pattern, Route};

/// Where the program tells how many items there are.
const COUNT: &str = "/count";

/// Knows a program whose lists go empty when its database is gone: one that was never empty is suddenly so only if it is
/// counted so, too.
#[derive(Default)]
struct Lists {
    full: HashMap<String, bool>,
    returned: bool,
}

impl BodyJudge for Lists {
    fn judge(&mut self, target: &str, body: &[u8], _: Now) -> Verdict {
        let was_empty = self.full.values().all(|full| !full);
        let is_full = body.starts_with(b"[") && body != b"[]";
        let was_full = self.full.insert(target.to_owned(), is_full) == Some(true);
        self.returned = was_empty && is_full;
        match (body, was_full) {
            (b"[]", true) => Verdict::NeedsCrossCheck(COUNT.into()),
            (b"", _) => Verdict::Bad(CheckFailure::Empty),
            _ => Verdict::Good,
        }
    }

    fn confirm(
        &mut self,
        target: &str,
        held: &[u8],
        (asked, answer): (&str, Option<&[u8]>),
        _: Now,
    ) -> Verdict {
        assert_eq!((target, held, asked), ("/items", &b"[]"[..], COUNT));
        if answer == Some(b"0") {
            return Verdict::Good;
        }
        // What it says is still remembered.
        self.full.insert(target.to_owned(), true);
        Verdict::Bad(CheckFailure::Unconfirmed)
    }

    fn has_returned(&self) -> bool {
        self.returned
    }
}

/// Says these bodies, by target.
#[derive(Default)]
struct Program {
    bodies: HashMap<&'static str, &'static str>,
    asked: Vec<String>,
}

impl Origin for Program {
    fn fetch(&mut self, request: &OriginRequest) -> Result<Fetched, FetchError> {
        let target = request.target.as_str();
        self.asked.push(target.to_owned());
        let body = self.bodies.get(target).copied().unwrap_or_default();
        Ok(Fetched::Whole(Response {
            status: StatusCode::OK,
            fields: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        }))
    }
}

#[derive(Clone, Default)]
struct Orders(Arc<Mutex<Vec<(FlightId, FetchRequest)>>>);

impl Executor for Orders {
    fn fetch(&self, flight: FlightId, fetch_request: FetchRequest) {
        let mut orders = self.0.lock().expect("nobody panics");
        orders.push((flight, fetch_request));
    }
    fn wake(&self, _: Duration, _: FlightId) {}
    fn administer(&self, _: Request, _: Box<dyn Responder>) {}
    fn polled(&self, _: usize, _: PollEnd) {}
    fn origin_up(&self) {}
}

/// The body a client was told; `None`: an error of ours.
struct Told(Arc<Mutex<Option<Bytes>>>);

impl Responder for Told {
    fn reply(&mut self, reply: Reply) {
        *self.0.lock().expect("nobody panics") = match reply {
            Reply::Stored { stored, .. } => Some(stored.body.clone()),
            Reply::Relayed { response, .. } => Some(response.body.clone()),
            Reply::Failed(_) | Reply::BuiltIn { .. } => None,
        };
    }
    fn open(&mut self, _: &Opening, _: Outcome) -> Box<dyn Sink> {
        Box::new(Nowhere)
    }
    fn gone(&self) -> bool {
        false
    }
}

struct Scene {
    proxy: Arc<Proxy>,
    orders: Orders,
    program: Program,
}

impl Scene {
    fn new() -> Scene {
        let orders = Orders::default();
        let mut config = Config::of(Preset::Api);
        let judged = |path| Route {
            pattern: Pattern::parse(path).expect("a pattern"),
            rule: Rule {
                cache_ttl: Some(Duration::from_secs(5)),
                grace_time: Some(Duration::from_secs(30)),
                judged: true,
                ..Rule::default()
            },
        };
        config.routes = vec![judged("/items"), judged("/others"), judged(COUNT)];
        let executor = Box::new(orders.clone());
        let proxy = Proxy::new(config, Clock::new(), 1, 100, executor);
        Scene {
            proxy: Arc::new(proxy.judged_by(Box::<Lists>::default())),
            orders,
            program: Program::default(),
        }
    }

    fn get(&mut self, target: &'static str) -> Option<Bytes> {
        let told = Arc::default();
        let request = Request {
            method: Method::GET,
            target: Target::parse(Bytes::from_static(target.as_bytes())).expect("a lawful target"),
            version: Version::HTTP_11,
            fields: HeaderMap::new(),
            body: Body::default(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            id: self.proxy.next_id(),
        };
        self.proxy.answer(request, Told(Arc::clone(&told)));
        // An answer that waits for its cross-check has another one asked for.
        for _ in 0..10 {
            let order = self.orders.0.lock().expect("nobody panics").pop();
            let Some((flight, fetch_request)) = order else {
                break;
            };
            self.proxy.fetch(flight, &fetch_request, &mut self.program);
        }
        told.lock().expect("nobody panics").clone()
    }

    /// The program says this now; nothing is fresh any more.
    fn says(&mut self, items: &'static str, count: &'static str) {
        self.program.bodies =
            HashMap::from([("/items", items), ("/others", items), (COUNT, count)]);
        self.program.asked.clear();
        self.proxy.clock().skip(Duration::from_secs(6));
    }
}

#[test]
fn a_list_that_was_never_empty_is_suddenly_empty() {
    let mut scene = Scene::new();
    scene.says("[1]", "1");
    assert_eq!(scene.get("/items").as_deref(), Some(&b"[1]"[..]));

    // The database is gone: the last good list is served, and then nothing.
    scene.says("[]", "1");
    assert_eq!(scene.get("/items").as_deref(), Some(&b"[1]"[..]));
    assert_eq!(scene.program.asked, ["/items", COUNT]);
    scene.proxy.clock().skip(Duration::from_secs(60));
    assert_eq!(scene.get("/items"), None);

    // The list is empty indeed.
    scene.says("[]", "0");
    scene.proxy.clock().skip(Duration::from_secs(60));
    assert_eq!(scene.get("/items").as_deref(), Some(&b"[]"[..]));
    assert_eq!(scene.program.asked, ["/items", COUNT]);
}

#[test]
fn a_source_that_is_back_is_asked_for_all_that_failed() {
    let mut scene = Scene::new();
    scene.says("", "0");
    for target in ["/items", "/others"] {
        assert_eq!(scene.get(target), None);
        assert_eq!(scene.get(target), None);
    }
    assert_eq!(scene.program.asked, ["/items", "/others"], "then they rest");
    // After its second failure this one rests for 10 s.
    scene.says("", "0");
    assert_eq!(scene.get("/others"), None);
    // The first is asked for again in its time, and has the other asked for before its own.
    scene.says("[1]", "1");
    assert_eq!(scene.get("/others"), None);
    assert!(scene.get("/items").is_some());
    assert!(scene.get("/others").is_some());
}

//! One cell of the matrix, played: a Larder and an origin of its own, and two equal requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::blocked_listener::BlockedListener;
use super::expected::{Expected, From, Method, Turn, expected};
use super::fault::{Does, Fault, GOOD, NEXT};
use super::table::Table;
use crate::support::{Answer, App, Origin, PATIENCE, Reply, config, eventually};

/// How far a busy machine may be behind, in seconds.
const BEHIND: i64 = 3;

/// Fields are dropped in this order: Larder, what stands at the origin's port, the origin.
struct Stage {
    app: App,
    _blocked: Option<BlockedListener>,
    origin: Origin,
}

/// Plays a cell. A text tells what is not as expected.
pub fn play(table: &Table, fault: &Fault, age: Option<u64>, method: Method) -> Option<String> {
    let Stage {
        app,
        _blocked,
        origin,
    } = &Stage::set(table, fault, age);
    let mut wrong = String::new();
    for turn in [Turn::First, Turn::Second] {
        let expected = expected(&table.life, fault, age, method, turn);
        let before = origin.requests();
        let read = Seen::of(app.addr(), method);
        let is_over = || app.active() == 0 && app.parked() == 0;
        assert!(eventually(is_over), "{}: never over", fault.name);
        let asks = origin.requests() - before;
        if !read.is(&expected, method) || asks != expected.asks {
            wrong += &format!(
                "\n  {turn:?}: expected {expected:?}\n    and got {asks} requests, {read:?}"
            );
        }
    }
    (!wrong.is_empty()).then(|| {
        format!(
            "{} / {} / {age:?} / {method:?}{wrong}",
            table.name, fault.name
        )
    })
}

impl Stage {
    /// A good answer was stored `age` seconds ago, and the origin fails from now on.
    fn set(table: &Table, fault: &Fault, age: Option<u64>) -> Stage {
        let failing = Arc::new(AtomicBool::new(false));
        let mut origin = origin(table, fault, Arc::clone(&failing));
        let url = match fault.does {
            // No resolver asks anybody for a name with a label of 64 characters (RFC 1035 §2.3.4).
            Does::HasNoAddress => format!("http://{}.invalid", "x".repeat(64)),
            _ => origin.url(),
        };
        let mut configuration = json!({ "cache": { "slowRequestTimeout": 30_000 }, "backend": {
            "connectTimeout": 30_000, "firstByteTimeout": 30_000, "idleTimeout": 30_000, "totalTimeout": 60_000 } });
        lay_over(&mut configuration, (table.configuration)());
        lay_over(&mut configuration, (fault.limits)());
        let app = App::start(&config(&url, configuration));
        if let Some(age) = age {
            store(&app);
            app.skip_seconds(age);
            app.sweep();
        }
        failing.store(true, Ordering::Release);
        let blocked = match fault.does {
            Does::Refuses => Some(BlockedListener::shut(&mut origin)),
            Does::AcceptsNobody => Some(BlockedListener::full(&mut origin)),
            Does::HasNoAddress | Does::Answers(_) | Does::AnswersLate => None,
        };
        Stage {
            app,
            _blocked: blocked,
            origin,
        }
    }
}

fn origin(table: &Table, fault: &Fault, failing: Arc<AtomicBool>) -> Origin {
    let says = match fault.does {
        Does::Answers(says) => Some(says),
        _ => None,
    };
    let fields = table.fields;
    let good = move |body: &str| {
        let with = |answer: Answer, (name, value): &(&str, &str)| answer.field(name, value);
        // A connection for every request: none is kept over the beginning of the fault.
        fields.iter().fold(Answer::ok(body).closing(), with)
    };
    Origin::answering(move |_| match (failing.load(Ordering::Acquire), says) {
        (false, _) => good(GOOD),
        (true, Some(says)) => says(),
        (true, None) => good(NEXT).taking(Duration::from_millis(300)),
    })
}

/// Has a good answer stored. Short limits may run out on a busy machine: then once more, when the backoff is over.
fn store(app: &App) {
    let stored = || {
        let reply = app.client().get("/a");
        let is_good = reply.status == 200 && reply.text() == GOOD;
        if !is_good {
            app.skip_seconds(60);
        }
        is_good
    };
    assert!(eventually(stored), "nothing stored");
}

fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// What a client read until its connection ended.
#[derive(Debug)]
struct Seen {
    reply: Reply,
    is_whole: bool,
}

impl Seen {
    fn of(addr: SocketAddr, method: Method) -> Seen {
        let mut stream = TcpStream::connect(addr).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let (name, content) = match method {
            Method::Get => ("GET", ""),
            Method::Head => ("HEAD", ""),
            Method::Post => ("POST", "Content-Length: 4\r\n\r\nonce"),
        };
        let end = if content.is_empty() { "\r\n" } else { content };
        write!(
            stream,
            "{name} /a HTTP/1.1\r\nHost: larder.test\r\nConnection: close\r\n{end}"
        )
        .expect("sent");
        let mut bytes = Vec::new();
        // A reset is one of the ways a cut body ends.
        let _ = stream.read_to_end(&mut bytes);
        let mut input = bytes.as_slice();
        let mut rest = Vec::new();
        let head = Reply::read(&mut input, &mut rest, true)
            .expect("a head")
            .expect("a reply");
        let whole = Reply::read(
            &mut bytes.as_slice(),
            &mut Vec::new(),
            method == Method::Head,
        );
        match whole {
            Ok(Some(reply)) => Seen {
                reply,
                is_whole: true,
            },
            _ => Seen {
                reply: head,
                is_whole: false,
            },
        }
    }

    fn is(&self, expected: &Expected, method: Method) -> bool {
        let (cache_status, ttl) = self.cache_status();
        let number = |name| {
            self.reply
                .field(name)
                .map(|text| text.parse::<i64>().expect("a number"))
        };
        let signed =
            |number: Option<u64>| number.map(|number| i64::try_from(number).expect("a few days"));
        self.reply.status == expected.status
            && self.says(expected, method)
            && is_near(number("Age"), signed(expected.age), 0..=BEHIND)
            && is_near(
                number("Retry-After"),
                signed(expected.retry_after),
                -BEHIND..=0,
            )
            && cache_status == expected.cache_status
            && is_near(ttl, expected.ttl, -BEHIND..=0)
            && self.reply.cache_status() == expected.x_cache_status()
    }

    /// `Cache-Status` without its `ttl`, and that.
    fn cache_status(&self) -> (String, Option<i64>) {
        let text = self.reply.field("Cache-Status").expect("Cache-Status");
        let (ttl, others): (Vec<&str>, Vec<&str>) =
            text.split("; ").partition(|part| part.starts_with("ttl="));
        (
            others.join("; "),
            ttl.first()
                .map(|text| text["ttl=".len()..].parse().expect("a number")),
        )
    }

    /// Whether the body is the one that is expected, and whole; to a HEAD there is none.
    fn says(&self, expected: &Expected, method: Method) -> bool {
        let text = self.reply.text();
        let is_ours = |word: &str| {
            let body: Value = serde_json::from_slice(&self.reply.body).unwrap_or_default();
            body["error"] == word.replace('-', "_")
                && body["message"].is_string()
                && body["request_id"].is_string()
        };
        let is_it = match expected.body {
            _ if method == Method::Head => text.is_empty(),
            From::Stored => text == GOOD,
            From::Next => text == NEXT,
            From::Origins if expected.status == 200 => !text.contains("request_id"),
            From::Origins => text == expected.status.to_string(),
            From::Ours(word) => is_ours(word),
            From::CutShort => true,
        };
        is_it && self.is_whole == (expected.body != From::CutShort)
    }
}

/// Whether a number is as expected, or as little off as a busy machine makes it.
fn is_near(seen: Option<i64>, expected: Option<i64>, off: RangeInclusive<i64>) -> bool {
    match (seen, expected) {
        (Some(seen), Some(expected)) => off.contains(&(seen - expected)),
        (seen, expected) => seen == expected,
    }
}

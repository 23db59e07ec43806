//! The ways an origin fails: what it does, and what that is by the documents.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Gate};

/// The body of a good answer.
pub const GOOD: &str = r#"{"power":1}"#;
/// The body of the next good answer.
pub const NEXT: &str = r#"{"power":2,"is":"new"}"#;

/// One way to fail.
pub struct Fault {
    /// Its row in the page.
    pub name: &'static str,
    /// How the scripted origin does it.
    pub does: Does,
    /// What it is.
    pub means: Means,
    /// Limits it is to run into, laid over generous ones.
    pub limits: fn() -> Value,
}

/// What the origin does.
pub enum Does {
    /// Its name has no address.
    HasNoAddress,
    /// Nobody listens on its port.
    Refuses,
    /// Its backlog is full: nobody accepts, nobody refuses.
    AcceptsNobody,
    /// It takes the request.
    Answers(fn() -> Answer),
    /// It takes its time for the next good answer.
    AnswersLate,
}

/// What a fault is (SEMANTICS "Checks, statuses, errors", "Slow and stale", "Scope of backoff").
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// No answer at all.
    Silence {
        /// The word of its `detail`.
        word: &'static str,
        /// What took place.
        how: How,
        /// Whose failure it is.
        whose: Whose,
        /// Only a body can have it: the answer to a HEAD is whole.
        in_body: bool,
    },
    /// An error status, with its `Retry-After`.
    Status(u16, Option<u64>),
    /// A 200 whose body fails the route's Check.
    Rubbish,
    /// A good answer, later than `slowRequestTimeout`.
    Late,
    /// A body that breaks off after it was passed on.
    BreaksOff,
}

/// How an origin stays silent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Refused, unresolved, cut, not HTTP: 502.
    Unreachable,
    /// A limit ran out: 504.
    TimedOut,
}

/// Who is left alone after a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Origin,
    Key,
}

/// All of them, in the order of the page.
pub fn all() -> Vec<Fault> {
    let mut faults = vec![
        of_origin(
            "its name has no address",
            Does::HasNoAddress,
            "unresolved",
            How::Unreachable,
        ),
        of_origin(
            "it refuses connections",
            Does::Refuses,
            "refused",
            How::Unreachable,
        ),
        Fault {
            limits: || json!({ "backend": { "connectTimeout": 250 } }),
            ..of_origin(
                "it accepts no connection",
                Does::AcceptsNobody,
                "connect-timeout",
                How::TimedOut,
            )
        },
        Fault {
            limits: first_byte,
            ..in_head("it accepts and is silent", "first-byte-timeout", silent)
        },
        Fault {
            limits: first_byte,
            ..in_head("its head stops half-way", "first-byte-timeout", half_a_head)
        },
        in_head("it closes without a word", "truncated", Answer::nothing),
        in_head("it cuts its head", "truncated", || half_a_head().closing()),
        in_head("it talks nonsense", "protocol", || {
            Answer::verbatim("220 mail.test ESMTP\r\n\r\n").closing()
        }),
        in_head("its head is too large", "protocol", || {
            Answer::ok(GOOD).field("X-Large", "x".repeat(20_000))
        }),
        Fault {
            limits: || json!({ "backend": { "idleTimeout": 200 } }),
            ..in_body(
                "its body pauses for longer than `idleTimeout`",
                "idle-timeout",
                pausing,
            )
        },
        Fault {
            limits: || json!({ "backend": { "idleTimeout": 250, "totalTimeout": 350 } }),
            ..in_body(
                "its body drips for longer than `totalTimeout`",
                "total-timeout",
                dripping,
            )
        },
        in_body("it cuts its body", "truncated", || {
            Answer::ok(NEXT).cut_after(5)
        }),
        in_body("it cuts its chunked body", "truncated", || {
            Answer::ok(NEXT)
                .field("ETag", "\"new\"")
                .chunked()
                .cut_after(5)
        }),
        heard(
            "it cuts a body that was passed on",
            Means::BreaksOff,
            breaking_off,
        ),
    ];
    faults.extend([
        heard("500", Means::Status(500, None), || error(500)),
        heard("502", Means::Status(502, None), || error(502)),
        heard("503", Means::Status(503, None), || error(503)),
        heard("504", Means::Status(504, None), || error(504)),
        heard(
            "503 with `Retry-After: 120`",
            Means::Status(503, Some(120)),
            || error(503).field("Retry-After", "120"),
        ),
        heard("429", Means::Status(429, None), || error(429)),
        heard(
            "429 with `Retry-After: 120`",
            Means::Status(429, Some(120)),
            || error(429).field("Retry-After", "120"),
        ),
        heard("200, rubbish", Means::Rubbish, || {
            Answer::ok("<html>it works</html>")
        }),
        heard("200, empty", Means::Rubbish, || Answer::ok("")),
        heard("200, `null`", Means::Rubbish, || Answer::ok("null")),
        Fault {
            limits: || json!({ "cache": { "slowRequestTimeout": 100 } }),
            name: "it answers after `slowRequestTimeout`",
            does: Does::AnswersLate,
            means: Means::Late,
        },
    ]);
    faults
}

fn of_origin(name: &'static str, does: Does, word: &'static str, how: How) -> Fault {
    let means = Means::Silence {
        word,
        how,
        whose: Whose::Origin,
        in_body: false,
    };
    Fault {
        name,
        does,
        means,
        limits: generous,
    }
}

fn in_head(name: &'static str, word: &'static str, answer: fn() -> Answer) -> Fault {
    heard(name, silence(word, false), answer)
}

fn in_body(name: &'static str, word: &'static str, answer: fn() -> Answer) -> Fault {
    heard(name, silence(word, true), answer)
}

fn silence(word: &'static str, in_body: bool) -> Means {
    let how = if word.ends_with("timeout") {
        How::TimedOut
    } else {
        How::Unreachable
    };
    Means::Silence {
        word,
        how,
        whose: Whose::Key,
        in_body,
    }
}

fn heard(name: &'static str, means: Means, answer: fn() -> Answer) -> Fault {
    Fault {
        name,
        does: Does::Answers(answer),
        means,
        limits: generous,
    }
}

fn generous() -> Value {
    json!({})
}

fn first_byte() -> Value {
    json!({ "backend": { "firstByteTimeout": 300 } })
}

fn error(status: u16) -> Answer {
    Answer::status(status).body(status.to_string())
}

fn half_a_head() -> Answer {
    Answer::verbatim("HTTP/1.1 200 OK\r\nContent-Len")
}

fn silent() -> Answer {
    Answer::ok(NEXT).after(&Gate::closed())
}

/// Half of a body, and then nothing until the other side ends it.
fn pausing() -> Answer {
    Answer::ok("{\"power\":")
        .claiming(NEXT.len() as u64)
        .by_hand(until_gone)
}

fn until_gone(stream: &mut TcpStream) -> std::io::Result<()> {
    std::io::Read::read(stream, &mut [0; 1]).map(drop)
}

/// A byte every 20 ms, 40 times, and then nothing.
fn dripping() -> Answer {
    Answer::ok("").claiming(1000).by_hand(|stream| {
        for _ in 0..40 {
            stream.write_all(b" ")?;
            std::thread::sleep(Duration::from_millis(20));
        }
        until_gone(stream)
    })
}

/// It breaks off some time after its head.
fn breaking_off() -> Answer {
    Answer::ok("{\"power\":")
        .claiming(NEXT.len() as u64)
        .by_hand(|_| {
            std::thread::sleep(Duration::from_millis(900));
            Ok(())
        })
}

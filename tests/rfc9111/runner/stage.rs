//! Larder and its origin, ready to play scenarios: in this process with a clock that is moved, or the real program.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::scenario::Step;
use super::script::{Script, field_lines};
use super::times::Moment;
use crate::support::{App, Client, Origin, PATIENCE, Proc, Reply, eventually, home_for};

/// Larder before an origin of its own.
pub struct Stage {
    /// Dropped first: its requests need the origin.
    larder: Larder,
    origin: Origin,
    /// What the origin does.
    pub script: Arc<Script>,
    /// How far Larder's clock is ahead of ours.
    skipped: Duration,
}

enum Larder {
    App(App),
    Proc(Proc),
}

/// What a client read.
pub struct Read {
    /// Responses of 1xx.
    pub interim: Vec<Reply>,
    /// The final response, or how the connection ended without a whole one.
    pub reply: Result<Reply, io::Error>,
}

impl Stage {
    /// In this process, its clock at the very start of a second.
    pub fn in_process(overlay: &Value) -> Stage {
        let mut stage = Stage::new(
            |configuration| Larder::App(App::start(&configuration)),
            overlay,
        );
        let into_second = Duration::from_nanos(stage.clock().subsec_nanos().into());
        // The clock is moved in whole milliseconds.
        stage.skip(Duration::from_millis(1001) - into_second);
        stage
    }

    /// The real program.
    pub fn real_binary(overlay: &Value) -> Stage {
        Stage::new(
            |configuration| Larder::Proc(Proc::start(configuration)),
            overlay,
        )
    }

    fn new(start: impl FnOnce(Value) -> Larder, overlay: &Value) -> Stage {
        let script = Arc::new(Script::default());
        let theirs = Arc::clone(&script);
        let origin = Origin::answering(move |seen| {
            theirs.answer(&seen.method, &seen.target, &seen.head, &seen.body)
        });
        let cache = json!({ "defaultTTL": 0, "defaultStaleTime": 0, "jitter": 0 });
        let rfc = json!({ "preset": "api", "backend": { "retries": 0 }, "cache": cache });
        let mut configuration = home_for(&origin, rfc);
        lay_over(&mut configuration, overlay);
        Stage {
            larder: start(configuration),
            origin,
            script,
            skipped: Duration::ZERO,
        }
    }

    /// What Larder takes for the time since the Unix epoch.
    pub fn clock(&self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock set after 1970")
            + self.skipped
    }

    /// Moves Larder's clock forward. The real program's cannot be moved.
    pub fn skip(&mut self, by: Duration) {
        if let (Larder::App(app), false) = (&self.larder, by.is_zero()) {
            // What Larder drops is dropped here too.
            let by = Duration::from_millis(by.as_millis().try_into().expect("a few years at most"));
            app.skip_time(by);
            self.skipped += by;
        }
    }

    /// The origin's URL, without a path.
    pub fn origin(&self) -> String {
        self.origin.url()
    }

    /// The origin's port refuses connections from here on.
    pub fn stop_origin(&mut self) {
        self.origin.stop();
    }

    /// Waits until Larder asks nothing and means to ask nothing.
    pub fn await_idle(&self) {
        let idle = || {
            let health = Client::connect(self.addr()).get("/health").text();
            let health: Value =
                serde_json::from_str(&health).unwrap_or_else(|_| panic!("no health: {health}"));
            let queue = &health["queue"];
            [&queue["activeRequestCount"], &queue["queueLength"]]
                .iter()
                .all(|count| count.as_u64() == Some(0))
        };
        assert!(eventually(idle), "never idle");
    }

    /// Sends the step's request on a connection of its own and reads what comes.
    pub fn ask(&self, step: &Step, moment: &Moment) -> Read {
        let mut read = Read {
            interim: Vec::new(),
            reply: Err(io::ErrorKind::UnexpectedEof.into()),
        };
        read.reply = self.converse(step, moment, &mut read.interim);
        read
    }

    fn converse(
        &self,
        step: &Step,
        moment: &Moment,
        interim: &mut Vec<Reply>,
    ) -> io::Result<Reply> {
        let mut stream = TcpStream::connect_timeout(&self.addr(), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // A request that is refused may be cut off while it is written; the refusal counts.
        let _ = stream.write_all(&request_bytes(step, moment));
        let mut buffer = Vec::new();
        loop {
            let reply = Reply::read(&mut stream, &mut buffer, step.method == "HEAD")?;
            let reply = reply.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
            if reply.status >= 200 {
                return Ok(reply);
            }
            interim.push(reply);
        }
    }

    fn addr(&self) -> SocketAddr {
        match &self.larder {
            Larder::App(app) => app.addr(),
            Larder::Proc(proc) => proc.addr(),
        }
    }
}

fn request_bytes(step: &Step, moment: &Moment) -> Vec<u8> {
    let names = |name: &str| {
        step.fields
            .iter()
            .any(|(field, _)| field.eq_ignore_ascii_case(name))
    };
    let mut bytes = format!(
        "{} {} HTTP/{}\r\n",
        step.method, moment.target, step.version
    )
    .into_bytes();
    if !names("Host") {
        bytes.extend_from_slice(b"Host: larder.test\r\n");
    }
    bytes.extend(field_lines(&step.fields, moment));
    if !step.body.is_empty() && !names("Content-Length") && !names("Transfer-Encoding") {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", step.body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(step.body.as_bytes());
    bytes
}

/// Objects are merged, all else is replaced.
fn lay_over(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

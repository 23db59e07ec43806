//! An origin that does what it is told: right, slowly, wrongly, or not at all.

mod answer;
mod connection;

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

pub use answer::Answer;

use super::eventually;

/// A scripted origin on a free port of 127.0.0.1, one thread per connection. Dropping it ends it.
pub struct Origin {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// A request as the origin received it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The request target, as it stood on the line.
    pub target: String,
    /// The head's bytes, first line and final empty line included.
    pub head: Vec<u8>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
}

/// Requests beyond these are counted but not kept.
const KEPT: usize = 8192;

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

struct Shared {
    script: Box<Script>,
    /// Overrides the script, by target.
    table: Mutex<HashMap<String, Answer>>,
    seen: Mutex<Vec<Seen>>,
    requests: AtomicUsize,
    /// Every open connection's socket, to end it with the origin.
    open: Mutex<HashMap<usize, TcpStream>>,
    peak: AtomicUsize,
    ever: AtomicUsize,
    stopped: AtomicBool,
}

impl Seen {
    /// The values of every field of that name, in order.
    pub fn values(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.head).into_owned();
        let fields = text
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    }
}

impl Origin {
    /// An origin that answers by table; what is not in the table is 404.
    pub fn serving<const N: usize>(table: [(&str, Answer); N]) -> Origin {
        let origin = Origin::answering(|_| Answer::status(404).body("nothing here"));
        for (target, answer) in table {
            origin.set(target, answer);
        }
        origin
    }

    /// An origin that answers by a closure.
    pub fn answering(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            table: Mutex::default(),
            seen: Mutex::default(),
            requests: AtomicUsize::new(0),
            open: Mutex::default(),
            peak: AtomicUsize::new(0),
            ever: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &theirs));
        Origin {
            addr,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// Sets the answer to one target, from the next request on.
    pub fn set(&self, target: &str, answer: Answer) {
        held(&self.shared.table).insert(target.to_owned(), answer);
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The requests it received, in order of arrival, the first 8,192.
    pub fn seen(&self) -> Vec<Seen> {
        held(&self.shared.seen).clone()
    }

    /// The last request it received for `target`.
    #[track_caller]
    pub fn last(&self, target: &str) -> Seen {
        self.seen()
            .into_iter()
            .rfind(|seen| seen.target == target)
            .expect("the origin was asked for it")
    }

    /// How many requests it received.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Acquire)
    }

    /// How many requests it received for `target`.
    pub fn count(&self, target: &str) -> usize {
        held(&self.shared.seen)
            .iter()
            .filter(|seen| seen.target == target)
            .count()
    }

    /// Waits until it received `count` requests for `target`.
    #[track_caller]
    pub fn await_requests(&self, target: &str, count: usize) {
        assert!(
            eventually(|| self.count(target) >= count),
            "{} of {count} for {target}",
            self.count(target)
        );
    }

    /// The most connections it had at one time.
    pub fn connections_peak(&self) -> usize {
        self.shared.peak.load(Ordering::Acquire)
    }

    /// All connections it ever accepted.
    pub fn connections_ever(&self) -> usize {
        self.shared.ever.load(Ordering::Acquire)
    }

    /// Ends it: open connections are cut, new ones refused.
    pub fn stop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the acceptor, which then closes the listener.
        let _ = TcpStream::connect(self.addr);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in held(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = shared.ever.fetch_add(1, Ordering::AcqRel);
        let mut open = held(&shared.open);
        open.insert(number, stream.try_clone().expect("a second handle"));
        shared.peak.fetch_max(open.len(), Ordering::AcqRel);
        drop(open);
        let theirs = Arc::clone(shared);
        let serve = move || {
            connection::serve(stream, &theirs);
            held(&theirs.open).remove(&number);
        };
        Builder::new()
            .stack_size(128 * 1024)
            .spawn(serve)
            .expect("a thread");
    }
}

impl Shared {
    /// Takes down the request and finds its answer.
    fn answer(&self, seen: Seen) -> Answer {
        let by_table = held(&self.table).get(&seen.target).cloned();
        let answer = by_table.unwrap_or_else(|| (self.script)(&seen));
        self.requests.fetch_add(1, Ordering::AcqRel);
        let mut kept = held(&self.seen);
        if kept.len() < KEPT {
            kept.push(seen);
        }
        answer
    }
}

/// A test that failed while holding a lock must not hide its own message.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

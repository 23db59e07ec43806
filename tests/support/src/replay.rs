//! An origin that replays a folder of recordings, byte for byte and with the manners of the program that was recorded:
//! the proxy speaks HTTP/1.0, closes every connection and lets five wait at its door; the server keeps connections and
//! sets its cookies. A virtual second the test chooses says how far a recorded outage has gone.

mod recording;
mod serving;
mod timeline;

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

pub use recording::{Folder, Recording, with_field};
use timeline::Timeline;

use super::eventually;

/// Connections that may wait to be accepted: `http.server`'s.
const BACKLOG: i32 = 5;

/// Requests beyond these are answered and not taken down.
const KEPT: usize = 100_000;

/// How an origin answers one target.
#[derive(Clone)]
pub enum Behaviour {
    /// These bytes, after that long.
    Says(Arc<[u8]>, Duration),
    /// The request is taken; no answer ever comes.
    Hangs,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// The head, first line included.
    pub head: String,
    /// When, on the clock [`Replay::now`] reads.
    pub at: Duration,
    /// Whether the answer was that of a healthy gateway.
    pub good: bool,
}

/// The replaying origin, on a port of 127.0.0.1 that stays its own while it is closed. Dropping it ends it.
pub struct Replay {
    addr: SocketAddr,
    /// Bound and never listening: nobody else gets the port.
    _port: Socket,
    shared: Arc<Shared>,
    listening: Mutex<Option<(Socket, JoinHandle<()>)>>,
}

struct Shared {
    healthy: Folder,
    timeline: Option<Timeline>,
    /// The second of the outage; 0 while all is well.
    second: AtomicU64,
    /// Overrides by target.
    told: Mutex<HashMap<String, Behaviour>>,
    asked: Mutex<Vec<Asked>>,
    open: Mutex<HashMap<usize, TcpStream>>,
    /// Requests whose answer is kept back on purpose.
    withheld: AtomicUsize,
    peak: AtomicUsize,
    ever: AtomicUsize,
    started: Instant,
    /// Milliseconds the test has skipped.
    skipped: AtomicU64,
}

impl Replay {
    /// The program of that folder, its gateway well.
    pub fn of(folder: &str) -> Replay {
        Replay::new(Folder::read(folder), None)
    }

    /// As [`Replay::of`], with the outage of `down`'s file `TIMELINE-{kind}.csv` ahead. The slowness in it passes
    /// `speed` times as fast as it did.
    pub fn outage(folder: &str, down: &str, kind: &str, speed: u32) -> Replay {
        let healthy = Folder::read(folder);
        let timeline = Timeline::read(&healthy, &Folder::read(down), kind, speed);
        Replay::new(healthy, Some(timeline))
    }

    fn new(healthy: Folder, timeline: Option<Timeline>) -> Replay {
        let port = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
        let addr = port.local_addr().unwrap().as_socket().unwrap();
        let shared = Arc::new(Shared {
            healthy,
            timeline,
            second: AtomicU64::new(0),
            told: Mutex::default(),
            asked: Mutex::default(),
            open: Mutex::default(),
            withheld: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            ever: AtomicUsize::new(0),
            started: Instant::now(),
            skipped: AtomicU64::new(0),
        });
        let replay = Replay {
            addr,
            _port: port,
            shared,
            listening: Mutex::new(None),
        };
        replay.open();
        replay
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What was recorded of its healthy self.
    pub fn healthy(&self) -> &Folder {
        &self.shared.healthy
    }

    /// From now on every target answers as it did in that second of the outage; 0: as before it.
    pub fn at(&self, second: u64) {
        self.shared.second.store(second, Ordering::Release);
    }

    /// Answers `target` this way, whatever was recorded.
    pub fn set(&self, target: &str, behaviour: Behaviour) {
        held(&self.shared.told).insert(target.to_owned(), behaviour);
    }

    /// Answers `target` with what another recording says.
    pub fn set_recorded(&self, target: &str, recording: &Recording) {
        self.set(
            target,
            Behaviour::Says(recording.wire.clone(), Duration::ZERO),
        );
    }

    /// Answers `target` as it was recorded again.
    pub fn unset(&self, target: &str) {
        held(&self.shared.told).remove(target);
    }

    /// Closes the port: open connections are cut, new ones refused.
    pub fn close(&self) {
        let Some((socket, acceptor)) = held(&self.listening).take() else {
            return;
        };
        // On Linux this ends a wait in accept, and the port refuses from here on.
        let _ = socket.shutdown(std::net::Shutdown::Both);
        drop(socket);
        let _ = acceptor.join();
        for stream in held(&self.shared.open).values() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Opens the port.
    pub fn open(&self) {
        let mut listening = held(&self.listening);
        if listening.is_some() {
            return;
        }
        let socket = bound(self.addr);
        socket.listen(BACKLOG).expect("listens");
        let listener: TcpListener = socket.try_clone().unwrap().into();
        let shared = Arc::clone(&self.shared);
        *listening = Some((
            socket,
            std::thread::spawn(move || serving::accept(&listener, &shared)),
        ));
    }

    /// Time as the test tells it: real time since the start, and what was skipped.
    pub fn now(&self) -> Duration {
        self.shared.now()
    }

    /// Moves its clock forward, as the test moves Larder's.
    pub fn skip(&self, by: Duration) {
        self.shared
            .skipped
            .fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::AcqRel);
    }

    /// Every request so far, in order of arrival, the first 100,000.
    pub fn asked(&self) -> Vec<Asked> {
        held(&self.shared.asked).clone()
    }

    /// How many requests came so far.
    pub fn requests(&self) -> usize {
        held(&self.shared.asked).len()
    }

    /// How many requests came for `target`.
    pub fn count(&self, target: &str) -> usize {
        held(&self.shared.asked)
            .iter()
            .filter(|asked| asked.target == target)
            .count()
    }

    /// When the requests for `target` came.
    pub fn times(&self, target: &str) -> Vec<Duration> {
        held(&self.shared.asked)
            .iter()
            .filter(|asked| asked.target == target)
            .map(|asked| asked.at)
            .collect()
    }

    /// When `target` was last given a healthy gateway's answer.
    pub fn last_good(&self, target: &str) -> Option<Duration> {
        held(&self.shared.asked)
            .iter()
            .rfind(|asked| asked.good && asked.target == target)
            .map(|asked| asked.at)
    }

    /// Waits until `count` requests for `target` came.
    #[track_caller]
    pub fn await_requests(&self, target: &str, count: usize) {
        assert!(
            eventually(|| self.count(target) >= count),
            "{} of {count} for {target}",
            self.count(target)
        );
    }

    /// Requests whose answer it keeps back, being slow or hung; all others are answered at once.
    pub fn withheld(&self) -> usize {
        self.shared.withheld.load(Ordering::Acquire)
    }

    /// The most connections it had at one time.
    pub fn connections_peak(&self) -> usize {
        self.shared.peak.load(Ordering::Acquire)
    }

    /// All connections it ever accepted.
    pub fn connections_ever(&self) -> usize {
        self.shared.ever.load(Ordering::Acquire)
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.started.elapsed() + Duration::from_millis(self.skipped.load(Ordering::Acquire))
    }

    /// Takes the request down and finds its answer.
    fn answer(&self, method: &str, target: &str, head: &str) -> Behaviour {
        let second = self.second.load(Ordering::Acquire);
        let told = held(&self.told).get(target).cloned();
        let down = self
            .timeline
            .as_ref()
            .filter(|_| second > 0 && method == "GET");
        let (behaviour, good) = match (told, down.and_then(|timeline| timeline.at(target, second)))
        {
            (Some(told), _) => (told, false),
            (None, Some(behaviour)) => {
                let well = self
                    .healthy
                    .find("GET", target)
                    .is_some_and(|recording| behaviour.says(&recording.wire));
                (behaviour, well)
            }
            (None, None) => (
                Behaviour::Says(self.healthy.answer(method, target, head), Duration::ZERO),
                true,
            ),
        };
        let method = method.to_owned();
        let target = target.to_owned();
        let head = head.to_owned();
        let mut asked = held(&self.asked);
        if asked.len() < KEPT {
            asked.push(Asked {
                method,
                target,
                head,
                at: self.now(),
                good,
            });
        }
        behaviour
    }
}

impl Behaviour {
    /// Whether it says these bytes.
    pub fn says(&self, wire: &[u8]) -> bool {
        matches!(self, Behaviour::Says(said, _) if **said == *wire)
    }
}

fn bound(addr: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // Two sockets may be bound to one port while only one listens.
    socket.set_reuse_address(true).unwrap();
    socket.bind(&addr.into()).expect("binds");
    socket
}

/// A test that failed while holding a lock must not hide its own message.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

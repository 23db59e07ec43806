//! Requests over a number of connections: as fast as the server answers, or at a fixed rate.
//!
//! At a fixed rate each request has a time at which it is due, and its latency counts from there, also where it waited for a
//! connection because those before it were late.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::arguments::Arguments;
use crate::connection::{Connection, Progress};
use crate::figures::Figures;
use crate::request::Request;

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;
/// A poll cannot wait less than this; a shorter wait is spent asking.
const SHORTEST_WAIT: Duration = Duration::from_millis(2);

/// Runs the load that the arguments describe and prints its figures.
///
/// `--connections`, `--requests` in all, `--each` per connection (0: no limit), `--rate` a second (0: as fast as it goes),
/// `--limit` in seconds, and the request. When half of the responses are there, it prints `half`.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let mut load = Load::new(arguments)?;
    load.drive()?;
    let took = load.started.elapsed();
    load.figures.print(took);
    Ok(())
}

struct Load {
    address: SocketAddr,
    request: Request,
    total: usize,
    each: usize,
    interval: Option<Duration>,
    limit: Duration,
    poll: Poll,
    slots: Vec<Option<Connection>>,
    /// Slots without a request on its way, for a load at a fixed rate.
    idle: Vec<usize>,
    begun: usize,
    told_half: bool,
    figures: Figures,
    started: Instant,
    buffer: Vec<u8>,
}

impl Load {
    fn new(arguments: &Arguments) -> Result<Load, String> {
        let connections: usize = arguments.or("connections", 1)?;
        let rate: f64 = arguments.or("rate", 0.0)?;
        let limit: f64 = arguments.or("limit", 60.0)?;
        Ok(Load {
            address: arguments.required("address")?,
            request: Request::from_arguments(arguments)?,
            total: arguments.required("requests")?,
            each: arguments.or("each", 0)?,
            interval: (rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate)),
            limit: Duration::from_secs_f64(limit),
            poll: Poll::new().map_err(|error| format!("no poll: {error}"))?,
            slots: (0..connections).map(|_| None).collect(),
            idle: (0..connections).rev().collect(),
            begun: 0,
            told_half: false,
            figures: Figures::default(),
            started: Instant::now(),
            buffer: vec![0; BUFFER],
        })
    }

    fn drive(&mut self) -> Result<(), String> {
        let mut events = Events::with_capacity(1024);
        if self.interval.is_none() {
            // All at once: each is due now.
            self.idle.clear();
            let due = self.started;
            for slot in 0..self.slots.len() {
                self.begin(slot, due);
            }
        }
        while self.figures.ended() < self.total {
            if self.started.elapsed() >= self.limit {
                let missing = self.total - self.figures.ended();
                (0..missing).for_each(|_| self.figures.failure("the time limit".to_owned()));
                break;
            }
            self.begin_what_is_due();
            let wait = self.wait();
            self.poll
                .poll(&mut events, Some(wait))
                .map_err(|error| format!("the poll failed: {error}"))?;
            for event in &events {
                self.advance(event.token().0);
            }
        }
        Ok(())
    }

    /// How long to wait for sockets.
    fn wait(&self) -> Duration {
        let longest = Duration::from_millis(200);
        match self.next_due() {
            Some(due) if !self.idle.is_empty() => {
                let left = due.saturating_duration_since(Instant::now());
                if left < SHORTEST_WAIT {
                    Duration::ZERO
                } else {
                    (left - SHORTEST_WAIT / 2).min(longest)
                }
            }
            _ => longest,
        }
    }

    /// When the next request of a load at a fixed rate is due.
    fn next_due(&self) -> Option<Instant> {
        let interval = self.interval?;
        let number = u32::try_from(self.begun).ok()?;
        (self.begun < self.total).then(|| self.started + interval * number)
    }

    fn begin_what_is_due(&mut self) {
        while let Some(due) = self.next_due().filter(|due| *due <= Instant::now()) {
            let Some(slot) = self.idle.pop() else { return };
            self.begin(slot, due);
        }
    }

    /// Begins the next request in a slot, and goes on while the server answers at once.
    fn begin(&mut self, slot: usize, due: Instant) {
        if self.send(slot, due) {
            self.advance(slot);
        }
    }

    /// Makes the next request the one of this slot; false when there is none left, or no connection.
    fn send(&mut self, slot: usize, due: Instant) -> bool {
        if self.begun >= self.total {
            return false;
        }
        let number = self.begun;
        self.begun += 1;
        let connection = match self.slots[slot].take() {
            Some(connection) => Ok(connection),
            None => Connection::open(self.address, self.poll.registry(), slot),
        };
        match connection {
            Ok(mut connection) => {
                self.request.render(number, connection.begin(due));
                self.slots[slot] = Some(connection);
                true
            }
            Err(error) => {
                self.figures.failure(format!("not connected: {error}"));
                self.idle.push(slot);
                false
            }
        }
    }

    fn advance(&mut self, slot: usize) {
        while self.step(slot) {
            if self.interval.is_some() {
                self.idle.push(slot);
                return;
            }
            if !self.send(slot, Instant::now()) {
                return;
            }
        }
    }

    /// Goes on with the request of a slot; true when it has ended.
    fn step(&mut self, slot: usize) -> bool {
        let Some(connection) = self.slots[slot].as_mut() else {
            return false;
        };
        let Some(due) = connection.due else {
            return false;
        };
        let closes = match connection.advance(&mut self.buffer) {
            Ok(Progress::Waiting) => return false,
            Ok(Progress::Complete(complete)) => {
                if complete.status == 200 {
                    self.figures.success(due.elapsed());
                } else {
                    self.figures.refused(complete.status);
                }
                complete.closes || connection.begun == self.each
            }
            Ok(Progress::Closed) => {
                self.figures.failure("closed before a response".to_owned());
                true
            }
            Err(why) => {
                self.figures.failure(why);
                true
            }
        };
        connection.due = None;
        if closes && let Some(connection) = self.slots[slot].take() {
            connection.close(self.poll.registry());
        }
        self.tell_half();
        true
    }

    fn tell_half(&mut self) {
        if !self.told_half && self.figures.ended() >= self.total.div_ceil(2) {
            self.told_half = true;
            println!("half");
        }
    }
}

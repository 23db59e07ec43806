//! Connections that were used once and then stay idle, or that wait for an answer, until stdin ends.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use crate::arguments::Arguments;
use crate::connection::{Connection, Progress};
use crate::request::Request;

/// Connections that are opened at the same time.
const STEP: usize = 100;

/// Connections that are not answered for so long are given up, and stay open.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens `--connections` and sends one request on each. Prints `ready` and how many are missing, when all are answered or given
/// up; with `--answered no`, when all are sent. Then waits until stdin ends.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let address: SocketAddr = arguments.required("address")?;
    let count: usize = arguments.required("connections")?;
    let answered: String = arguments.or("answered", "yes".to_owned())?;
    let request = Request::from_arguments(arguments)?;
    let mut poll = Poll::new().map_err(|error| format!("no poll: {error}"))?;
    let mut holding = Holding {
        connections: Vec::new(),
        buffer: vec![0; 64 * 1024],
        until_sent: answered == "no",
        waiting: 0,
        missing: 0,
    };
    let mut events = Events::with_capacity(1024);
    while holding.connections.len() < count {
        let first = holding.connections.len();
        for number in first..count.min(first + STEP) {
            let mut connection = Connection::open(address, poll.registry(), number)
                .map_err(|error| format!("connection {number}: {error}"))?;
            request.render(number, connection.begin(Instant::now()));
            holding.connections.push(connection);
            holding.waiting += 1;
            holding.advance(number);
        }
        // Once some are given up, no others are worth a long wait.
        let patience = if holding.missing == 0 {
            PATIENCE
        } else {
            PATIENCE / 30
        };
        let until = Instant::now() + patience;
        while holding.waiting > 0 && Instant::now() < until {
            poll.poll(&mut events, Some(Duration::from_millis(20)))
                .map_err(|error| format!("the poll failed: {error}"))?;
            for event in &events {
                holding.advance(event.token().0);
            }
        }
        holding.give_up_from(first);
    }
    println!("ready missing={}", holding.missing);
    let _ = io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

struct Holding {
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// A connection is done when its request is sent.
    until_sent: bool,
    /// Connections that are neither done nor given up.
    waiting: usize,
    /// Connections that were refused, closed, or given up.
    missing: usize,
}

impl Holding {
    fn advance(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        if connection.due.is_none() {
            return;
        }
        let answered = match connection.advance(&mut self.buffer) {
            Ok(Progress::Waiting) if self.until_sent && connection.is_sent() => true,
            Ok(Progress::Waiting) => return,
            Ok(Progress::Complete(complete)) => complete.status == 200,
            Ok(Progress::Closed) | Err(_) => false,
        };
        connection.due = None;
        self.waiting -= 1;
        self.missing += usize::from(!answered);
    }

    fn give_up_from(&mut self, first: usize) {
        for connection in &mut self.connections[first..] {
            if connection.due.take().is_some() {
                self.waiting -= 1;
                self.missing += 1;
            }
        }
    }
}

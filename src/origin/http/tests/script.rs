//! An origin that does exactly what a test tells it, one list of steps per connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use socket2::SockRef;

/// What the origin does next on a connection. After its last step it closes the connection.
pub enum Step {
    /// Receives one request, whole, and reports it.
    Hear,
    /// Sends bytes.
    Say(Vec<u8>),
    /// Sends these bytes again and again until the proxy closes the connection.
    Flood(Vec<u8>),
    /// Sends single bytes until the proxy closes the connection.
    Drip,
    /// Waits until the test says so.
    Await(Receiver<()>),
    /// Keeps the connection open until the proxy closes it.
    Stay,
    /// Ends the connection by a reset.
    Reset,
}

/// A running script.
pub struct Script {
    pub port: u16,
    /// The requests heard, in order: the number of the connection, from 0, and the bytes.
    heard: Receiver<(usize, Vec<u8>)>,
}

/// Longer than any test waits; a hung script fails its test instead of hanging it.
const LIMIT: Duration = Duration::from_secs(20);

impl Script {
    /// Starts an origin that accepts one connection per list and then stops listening.
    pub fn play(connections: Vec<Vec<Step>>) -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (report, heard) = channel();
        std::thread::spawn(move || {
            for (number, steps) in connections.into_iter().enumerate() {
                let (stream, _) = listener.accept().unwrap();
                let report = report.clone();
                std::thread::spawn(move || perform(stream, steps, number, &report));
            }
        });
        Script { port, heard }
    }

    /// One connection that hears one request, sends `answer` and closes.
    pub fn answer(answer: &[u8]) -> Script {
        Script::play(vec![vec![Step::Hear, say(answer)]])
    }

    /// The next request: the number of its connection, and its bytes.
    pub fn next_heard(&self) -> (usize, String) {
        let (number, bytes) = self.heard.recv_timeout(LIMIT).unwrap();
        (number, String::from_utf8(bytes).unwrap())
    }

    /// The connections on which requests have come that nobody has asked for yet.
    pub fn connections(&self) -> Vec<usize> {
        self.heard.try_iter().map(|(number, _)| number).collect()
    }
}

pub fn say(bytes: &[u8]) -> Step {
    Step::Say(bytes.to_vec())
}

fn perform(
    mut stream: TcpStream,
    steps: Vec<Step>,
    number: usize,
    report: &Sender<(usize, Vec<u8>)>,
) {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    for step in steps {
        match step {
            Step::Hear => {
                let Some(request) = hear(&mut stream) else {
                    return;
                };
                // The test may be over.
                let _ = report.send((number, request));
            }
            Step::Say(bytes) => {
                // The proxy may have closed, as it should on a bad answer.
                let _ = stream.write_all(&bytes);
            }
            Step::Flood(bytes) => while stream.write_all(&bytes).is_ok() {},
            Step::Drip => while stream.write_all(b"x").is_ok() {},
            Step::Await(gate) => gate.recv_timeout(LIMIT).unwrap(),
            Step::Stay => {
                let _ = stream.read(&mut [0]);
            }
            Step::Reset => SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap(),
        }
    }
}

/// A request, whole by its Content-Length; `None` if the connection ends before.
fn hear(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.extend(body);
    Some(request)
}

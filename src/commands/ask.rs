//! One HTTP/1.1 request to a running Larder, over TCP or on its control socket, so that a container needs no curl. In scope:
//! `http://`, one small answer that ends with its connection. Out of scope: everything else.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use http::Uri;
use larder::clock::Clock;
use larder::control::Found;

/// For a connection to open, and then for the whole answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// More of an answer is not read.
const LARGEST_ANSWER: usize = 64 * 1024;
/// More of its first line is not shown.
const SHOWN: usize = 200;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code (RFC 9110 §15).
    pub status: u16,
    /// `Server`, or the empty text.
    pub server: String,
    /// `Via`, or the empty text.
    pub via: String,
    /// The first line of the body, cut short where it is long.
    pub first_line: String,
}

impl Answer {
    /// Whether a Larder answered: its own endpoints say so in `Server`, what it relays says so in `Via`.
    pub fn is_larder(&self) -> bool {
        self.server.starts_with("larder/") || self.via.contains(" larder-")
    }

    /// The port a Larder that answers on its control socket serves its clients on.
    pub fn port(&self) -> Option<u16> {
        let (_, port) = self.server.split_once("(port ")?;
        port.strip_suffix(')')?.parse().ok()
    }
}

/// Why nothing came back.
#[derive(Debug)]
pub enum Failure {
    /// The URL is not one that can be asked.
    Url,
    /// Nobody listens there.
    Refused,
    /// Something else went wrong on the way.
    Io(io::Error),
    /// What came back is not HTTP.
    NotHttp,
}

/// A connection whose waiting has an end.
trait Stream: Read + Write {
    fn limit(&self, read: Duration, write: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn limit(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(read))?;
        self.set_write_timeout(Some(write))
    }
}

impl Stream for UnixStream {
    fn limit(&self, read: Duration, write: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(read))?;
        self.set_write_timeout(Some(write))
    }
}

/// Sends a request without a body to a URL and reads its answer.
pub fn ask(method: &str, url: &str) -> Result<Answer, Failure> {
    let uri: Uri = url.parse().map_err(|_| Failure::Url)?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(Failure::Url);
    };
    if authority.as_str().contains('@') {
        return Err(Failure::Url);
    }
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let stream = connect(host, authority.port_u16().unwrap_or(80))?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    exchange(stream, method, target, authority.as_str())
}

/// The same on a control socket.
pub fn ask_socket(method: &str, socket: &Found, target: &str) -> Result<Answer, Failure> {
    let stream = socket.connect().map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Failure::Refused,
        _ => Failure::Io(error),
    })?;
    exchange(stream, method, target, "localhost")
}

fn exchange(
    mut stream: impl Stream,
    method: &str,
    target: &str,
    host: &str,
) -> Result<Answer, Failure> {
    stream.limit(PATIENCE, PATIENCE).map_err(Failure::Io)?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(Failure::Io)?;
    answer(&read(&mut stream).map_err(Failure::Io)?).ok_or(Failure::NotHttp)
}

fn connect(host: &str, port: u16) -> Result<TcpStream, Failure> {
    let mut failed = Failure::Url;
    for addr in (host, port).to_socket_addrs().map_err(Failure::Io)? {
        match TcpStream::connect_timeout(&addr, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                failed = Failure::Refused
            }
            Err(error) => failed = Failure::Io(error),
        }
    }
    Err(failed)
}

/// Everything up to the end of the connection, the largest answer, or the end of patience.
fn read(stream: &mut impl Stream) -> io::Result<Vec<u8>> {
    let clock = Clock::new();
    let deadline = clock.now().mono + PATIENCE;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    while bytes.len() < LARGEST_ANSWER {
        let left = deadline.saturating_sub(clock.now().mono);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.limit(left, PATIENCE)?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(size) => bytes.extend_from_slice(&part[..size]),
            // How Linux calls a read that ran out of time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head
        .strip_prefix("HTTP/1.")?
        .get(1..)?
        .strip_prefix(' ')?
        .get(..3)?
        .parse()
        .ok()?;
    let first_line = body
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(SHOWN)
        .collect();
    Some(Answer {
        status,
        server: field(head, "server"),
        via: field(head, "via"),
        first_line,
    })
}

/// The first field of this name, or the empty text.
fn field(head: &str, name: &str) -> String {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    values
        .next()
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Url => f.write_str("not a URL that can be asked: http://host:port/path is"),
            Failure::Refused => f.write_str("nobody listens there"),
            Failure::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                f.write_str("no answer within 3 s")
            }
            Failure::Io(error) => error.fmt(f),
            Failure::NotHttp => f.write_str("what came back is not HTTP"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let cases = [
            (
                "HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"ok\":1}\nmore",
                Some((200, "{\"ok\":1}")),
            ),
            ("HTTP/1.0 503 \r\n\r\n", Some((503, ""))),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", None),
            ("HTTP/2 200\r\n\r\n", None),
            ("SSH-2.0-x\r\n\r\n", None),
            ("HTTP/1.1 2é0\r\n\r\n", None),
            ("", None),
        ];
        for (bytes, expected) in cases {
            let found = answer(bytes.as_bytes());
            let found = found
                .as_ref()
                .map(|found| (found.status, found.first_line.as_str()));
            assert_eq!(found, expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_larder_is_known_by_its_own_fields() {
        let cases = [
            ("server: larder/1.0.0", true, None),
            ("Server: larder/1.0.0 (port 8676)", true, Some(8676)),
            ("Server: larder/1.0.0 (port 86760)", true, None),
            ("Via: 1.1 larder-0000beef", true, None),
            ("Server: nginx", false, None),
            ("X: larder/1.0.0", false, None),
        ];
        for (line, is_larder, port) in cases {
            let bytes = format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
            let found = answer(bytes.as_bytes()).expect("an answer");
            assert_eq!(
                (found.is_larder(), found.port()),
                (is_larder, port),
                "{line}"
            );
        }
    }

    #[test]
    fn what_cannot_be_asked() {
        for url in [
            "",
            "localhost",
            "https://localhost/",
            "/health",
            "http://u@localhost/",
            "http://",
        ] {
            assert!(matches!(ask("GET", url), Err(Failure::Url)), "{url}");
        }
    }
}

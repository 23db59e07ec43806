//! An HTTP origin: a thread per connection, as the caches before it open few.
//!
//! | path | answer |
//! |---|---|
//! | `/bytes/N` | N bytes that may not be stored |
//! | `/stored/N` | N bytes, fresh for an hour |
//! | `/slow/...` | the page, after one second |
//! | `/count/...` | how often `/...` was asked for, below `/slow/` only |
//! | `/count` | how often anything was asked for |
//! | anything else | the page: 1.5 KB of JSON, fresh for an hour |

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::arguments::Arguments;

/// How long what lies below `/slow/` takes.
const SLOW: Duration = Duration::from_secs(1);
/// The largest body of `/bytes/` and `/stored/`.
const MAX_BODY: usize = 512 * 1024 * 1024;
/// A body is written in parts of this size.
const PART: usize = 64 * 1024;
/// The longest head of a request.
const MAX_HEAD: usize = 64 * 1024;

type Counts = Arc<Mutex<HashMap<String, u64>>>;

/// Listens at `--address`, prints `listening on ADDRESS`, and answers until it is ended.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let address: SocketAddr = arguments.required("address")?;
    let listener = TcpListener::bind(address)
        .map_err(|error| format!("cannot listen at {address}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    println!("listening on {bound}");
    let page = Arc::new(page());
    let counts = Counts::default();
    for stream in listener.incoming().flatten() {
        let connection = Serving {
            stream,
            buffer: Vec::new(),
            page: Arc::clone(&page),
            counts: Arc::clone(&counts),
        };
        // A connection that ends in an error is over: the client is told nothing more.
        std::thread::spawn(move || connection.serve());
    }
    Ok(())
}

fn page() -> Vec<u8> {
    format!("{{{}\"z\": 0}}", "\"a\": 1, ".repeat(187)).into_bytes()
}

struct Serving {
    stream: TcpStream,
    buffer: Vec<u8>,
    page: Arc<Vec<u8>>,
    counts: Counts,
}

impl Serving {
    fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some(head) = self.read_head()? {
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            self.skip_body(length(&head))?;
            self.answer(&target)?;
        }
        Ok(())
    }

    /// The next head, or `None` when the client has ended the connection.
    fn read_head(&mut self) -> io::Result<Option<String>> {
        loop {
            let end = self
                .buffer
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
            }
            if self.buffer.len() > MAX_HEAD || self.read_more()? == 0 {
                return Ok(None);
            }
        }
    }

    fn skip_body(&mut self, length: usize) -> io::Result<()> {
        while self.buffer.len() < length {
            if self.read_more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.buffer.drain(..length);
        Ok(())
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut block = [0; 16 * 1024];
        let count = self.stream.read(&mut block)?;
        self.buffer.extend_from_slice(&block[..count]);
        Ok(count)
    }

    fn answer(&mut self, target: &str) -> io::Result<()> {
        if let Some(path) = target.strip_prefix("/count") {
            let count = self.counts().get(path).copied().unwrap_or(0);
            return self.write("no-store", count.to_string().as_bytes());
        }
        *self.counts().entry(String::new()).or_default() += 1;
        if target.starts_with("/slow/") {
            *self.counts().entry(target.to_owned()).or_default() += 1;
            std::thread::sleep(SLOW);
        }
        if let Some(size) = target.strip_prefix("/bytes/") {
            return self.write_large("no-store", size);
        }
        if let Some(size) = target.strip_prefix("/stored/") {
            return self.write_large("max-age=3600", size);
        }
        let page = Arc::clone(&self.page);
        self.write("max-age=3600", &page)
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&mut self, cache_control: &str, body: &[u8]) -> io::Result<()> {
        let mut whole = head(cache_control, body.len());
        whole.extend_from_slice(body);
        self.stream.write_all(&whole)
    }

    /// Writes `size` bytes, which may have a number behind a slash: `1048576/7`.
    fn write_large(&mut self, cache_control: &str, size: &str) -> io::Result<()> {
        let digits = size.split('/').next().unwrap_or_default();
        let mut left = digits.parse().unwrap_or(0).min(MAX_BODY);
        self.stream.write_all(&head(cache_control, left))?;
        let part = [b'a'; PART];
        while left > 0 {
            let count = left.min(PART);
            self.stream.write_all(&part[..count])?;
            left -= count;
        }
        Ok(())
    }
}

fn head(cache_control: &str, length: usize) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: {cache_control}\r\nContent-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

/// What `Content-Length` says, else 0.
fn length(head: &str) -> usize {
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

//! Connections to the replaying origin.

use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::{Behaviour, Shared, held};
use crate::reply::{exactly, fill, find};

/// Serves until the door is closed.
pub fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        let number = shared.ever.fetch_add(1, Ordering::AcqRel);
        let mut open = held(&shared.open);
        open.insert(number, stream.try_clone().expect("a second handle"));
        shared.peak.fetch_max(open.len(), Ordering::AcqRel);
        drop(open);
        let theirs = Arc::clone(shared);
        let serve = move || {
            serve(stream, number, &theirs);
            held(&theirs.open).remove(&number);
        };
        Builder::new()
            .stack_size(128 * 1024)
            .spawn(serve)
            .expect("a thread");
    }
}

fn serve(mut stream: TcpStream, number: usize, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Ok(Some(head)) = read_request(&mut stream, &mut buffer) {
        let mut words = head.split(' ');
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        match shared.answer(method, target, &head) {
            Behaviour::Hangs => withhold(&mut stream, &mut buffer, None, shared),
            Behaviour::Says(wire, pause) => {
                if !pause.is_zero() {
                    withhold(&mut stream, &mut buffer, Some(pause), shared);
                }
                // What speaks HTTP/1.0 closes: whoever has the answer may open the next connection.
                let last = wire.starts_with(b"HTTP/1.0");
                if last {
                    held(&shared.open).remove(&number);
                }
                if stream.write_all(&wire).is_err() || last {
                    break;
                }
            }
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// Keeps an answer back so long, or for ever: until the other side has had enough, or the door is closed.
fn withhold(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    pause: Option<Duration>,
    shared: &Shared,
) {
    shared.withheld.fetch_add(1, Ordering::AcqRel);
    let until = pause.map(|pause| Instant::now() + pause);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        let _ = stream.set_read_timeout(left);
        match fill(stream, buffer) {
            Ok(count) if count > 0 => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            _ => break,
        }
    }
    let _ = stream.set_read_timeout(None);
    shared.withheld.fetch_sub(1, Ordering::AcqRel);
}

/// The head of the next request; its body is read and forgotten. `None`: there is none.
fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<String>> {
    let end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        if fill(stream, buffer)? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end);
    let lower = head.to_ascii_lowercase();
    let length = lower
        .split("\r\ncontent-length:")
        .nth(1)
        .and_then(|rest| rest.lines().next()?.trim().parse().ok());
    exactly(stream, buffer, length.unwrap_or(0))?;
    Ok(Some(head))
}

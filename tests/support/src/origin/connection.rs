//! One connection to the scripted origin.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};

use super::{Answer, Seen, Shared};
use crate::reply::{chunked, exactly, fill, find};

/// Answers every request on `stream` until either side ends it.
pub(super) fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Ok(Some(seen)) = read_request(&mut stream, &mut buffer) {
        let bodiless = seen.method == "HEAD";
        let answer = shared.answer(seen);
        if write_answer(&mut stream, &answer, bodiless).is_err() || answer.closes {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Seen>> {
    let end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        if fill(stream, buffer)? == 0 {
            return Ok(None);
        }
    };
    let head: Vec<u8> = buffer.drain(..end).collect();
    let line = String::from_utf8_lossy(&head)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut words = line.split(' ').map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let mut seen = Seen {
        method,
        target,
        head,
        body: Vec::new(),
    };
    if !seen.values("Transfer-Encoding").is_empty() {
        seen.body = chunked(stream, buffer)?;
    } else if let Some(length) = seen
        .values("Content-Length")
        .first()
        .and_then(|text| text.parse().ok())
    {
        seen.body = exactly(stream, buffer, length)?;
    }
    Ok(Some(seen))
}

fn write_answer(stream: &mut TcpStream, answer: &Answer, bodiless: bool) -> io::Result<()> {
    let (mut head, body) = answer.on_the_wire(bodiless);
    std::thread::sleep(answer.taking);
    if answer.before_head.as_ref().is_some_and(|gate| !gate.pass()) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.write_all(&answer.interim)?;
    if answer
        .after_interim
        .as_ref()
        .is_some_and(|gate| !gate.pass())
    {
        return Err(io::ErrorKind::TimedOut.into());
    }
    match &answer.before_body {
        None => {
            head.extend_from_slice(&body);
            stream.write_all(&head)?;
        }
        Some(gate) => {
            stream.write_all(&head)?;
            if !gate.pass() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.write_all(&body)?;
        }
    }
    answer
        .by_hand
        .as_ref()
        .filter(|_| !bodiless)
        .map_or(Ok(()), |hand| hand(stream))
}

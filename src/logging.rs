//! The log: simplelog writes lines into a bounded channel, one thread owns standard error. A full channel drops and counts:
//! nobody waits for a terminal.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::LevelFilter;
use simplelog::{ConfigBuilder, WriteLogger};

use crate::secret::redacted;
use crate::threads::spawn;

/// Lines that may wait for the terminal.
const WAITING_LINES: usize = 1024;

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Keeps the log alive; dropping it writes what is left.
pub struct Log {
    lines: Sender<Vec<u8>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A line on its way into the channel.
struct Lines {
    to: Sender<Vec<u8>>,
    line: Vec<u8>,
}

/// Starts logging at this level. Once in a process.
pub fn start(level: LevelFilter) -> io::Result<Log> {
    let (to, from) = bounded(WAITING_LINES);
    let thread = spawn("log", move || write_lines(&from))?;
    let config = ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .add_filter_allow_str("larder")
        .build();
    WriteLogger::init(
        level,
        config,
        Lines {
            to: to.clone(),
            line: Vec::new(),
        },
    )
    .map_err(io::Error::other)?;
    Ok(Log {
        lines: to,
        thread: Some(thread),
    })
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            // Here, where every line passes, whoever wrote it and whatever it quotes.
            let line = without_secrets(std::mem::take(&mut self.line));
            if self.to.try_send(line).is_err() {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // An empty line ends the thread; a full channel is given a moment.
        let told = self
            .lines
            .send_timeout(Vec::new(), Duration::from_millis(500))
            .is_ok();
        if let Some(thread) = self.thread.take().filter(|_| told) {
            let _ = thread.join();
        }
    }
}

fn without_secrets(line: Vec<u8>) -> Vec<u8> {
    match redacted(&String::from_utf8_lossy(&line)) {
        Cow::Owned(shown) => shown.into_bytes(),
        Cow::Borrowed(_) => line,
    }
}

fn write_lines(from: &Receiver<Vec<u8>>) {
    let mut told = 0;
    while let Ok(line) = from.recv() {
        if line.is_empty() {
            return;
        }
        let mut out = io::stderr().lock();
        let dropped = DROPPED.load(Ordering::Relaxed);
        if dropped > told {
            let _ = writeln!(
                out,
                "{} log lines were dropped: standard error is slow",
                dropped - told
            );
            told = dropped;
        }
        let _ = out.write_all(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_written_in_pieces_loses_its_secrets_and_nothing_else() {
        let (to, from) = bounded(2);
        let mut lines = Lines {
            to,
            line: Vec::new(),
        };
        for piece in [
            &b"polling /a?tok"[..],
            b"en=abc",
            b"&b=1 fails\n",
            b"nothing to hide \xFF\n",
        ] {
            assert_eq!(lines.write(piece).expect("taken"), piece.len());
        }
        let written: Vec<Vec<u8>> = from.try_iter().collect();
        assert_eq!(
            written,
            [
                "polling /a?token=\u{2026}&b=1 fails\n".as_bytes(),
                b"nothing to hide \xFF\n"
            ]
        );
    }
}

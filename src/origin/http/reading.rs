//! A response body, read with a limit on each wait: first into memory, then, if it pauses or grows too large, piece by
//! piece.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::cause;
use super::wire::Exchange;
use crate::origin::{FetchError, Rest};

/// At most so many bytes are read at once.
const PIECE: usize = 16 * 1024;

/// How long a body is gathered in memory, and what ends the attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A longer silence opens the body.
    pub(super) pause: Duration,
    /// A longer silence, or one that comes before a pause is noticed, is an error.
    pub(super) idle: Duration,
    /// The whole exchange, from its beginning.
    pub(super) total: Duration,
}

/// A body in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gathered {
    /// All of it.
    Whole(Bytes),
    /// Its beginning: it is larger than allowed, or has paused.
    Begun(Bytes),
}

/// A body still being read. Dropping it unfinished closes the connection.
pub(super) struct Reading {
    body: ureq::BodyReader<'static>,
    exchange: Arc<Exchange>,
    /// The longest silence once the body is passed on as it comes.
    idle: Duration,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Open,
    Ended,
    /// For good: after an error ureq would report an honest end.
    Failed(FetchError),
}

/// What one read brought.
enum Step {
    Bytes(usize),
    End,
    Silence,
}

impl Reading {
    pub(super) fn new(body: ureq::Body, exchange: Arc<Exchange>, idle: Duration) -> Reading {
        Reading {
            body: body.into_reader(),
            exchange,
            idle,
            state: State::Open,
        }
    }

    /// Reads into memory until the end, a pause, or more than `max` bytes. `length`: what the origin announced.
    pub(super) fn gather(
        &mut self,
        length: Option<u64>,
        max: usize,
        patience: Patience,
    ) -> Result<Gathered, FetchError> {
        let expected = length
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(0);
        let mut gathered = Vec::with_capacity(expected.min(max));
        let mut piece = [0; PIECE];
        while gathered.len() <= max {
            let (wait, silence) = patience.next(self.exchange.elapsed());
            let room = PIECE.min((max - gathered.len()).saturating_add(1));
            match self.step(&mut piece[..room], wait)? {
                Step::Bytes(count) => gathered.extend_from_slice(&piece[..count]),
                Step::End => return Ok(Gathered::Whole(gathered.into_boxed_slice().into())),
                Step::Silence => match silence {
                    Silence::Pause => break,
                    Silence::Error(error) => return Err(error),
                },
            }
        }
        Ok(Gathered::Begun(gathered.into()))
    }

    /// One read, awaited for at most `wait`. After [`Step::Silence`] reading may go on.
    fn step(&mut self, piece: &mut [u8], wait: Duration) -> Result<Step, FetchError> {
        match self.state {
            State::Open => {}
            State::Ended => return Ok(Step::End),
            State::Failed(error) => return Err(error),
        }
        self.exchange.allow(wait);
        match self.body.read(piece).map_err(ureq::Error::from) {
            // A body that ends at close has ended well only if the close was orderly (RFC 9112 §8).
            Ok(0) if self.exchange.is_reset() => Err(self.fail(FetchError::Truncated)),
            Ok(0) => {
                self.state = State::Ended;
                Ok(Step::End)
            }
            Ok(count) => Ok(Step::Bytes(count)),
            Err(ureq::Error::Timeout(_)) => Ok(Step::Silence),
            Err(error) => Err(self.fail(cause(&error, &self.exchange))),
        }
    }

    fn fail(&mut self, error: FetchError) -> FetchError {
        self.state = State::Failed(error);
        error
    }
}

impl Rest for Reading {
    fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let mut piece = [0; PIECE];
        match self.step(&mut piece, self.idle)? {
            Step::Bytes(count) => Ok(Some(Bytes::copy_from_slice(&piece[..count]))),
            Step::End => Ok(None),
            Step::Silence => Err(self.fail(FetchError::IdleTimeout)),
        }
    }
}

/// What a silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    Pause,
    Error(FetchError),
}

impl Patience {
    /// How long to wait for the next bytes, `elapsed` after the beginning, and what it means if none come.
    fn next(&self, elapsed: Duration) -> (Duration, Silence) {
        let left = self.total.saturating_sub(elapsed);
        if left <= self.pause.min(self.idle) {
            (left, Silence::Error(FetchError::TotalTimeout))
        } else if self.idle < self.pause {
            (self.idle, Silence::Error(FetchError::IdleTimeout))
        } else {
            (self.pause, Silence::Pause)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_limit_decides_what_a_silence_means() {
        const fn ms(ms: u64) -> Duration {
            Duration::from_millis(ms)
        }
        let usual = Patience {
            pause: ms(500),
            idle: ms(10_000),
            total: ms(60_000),
        };
        let hasty = Patience {
            pause: ms(500),
            idle: ms(300),
            total: ms(60_000),
        };
        for (patience, elapsed, expected) in [
            (usual, 0, (500, Silence::Pause)),
            (usual, 59_499, (500, Silence::Pause)),
            (
                usual,
                59_500,
                (500, Silence::Error(FetchError::TotalTimeout)),
            ),
            (
                usual,
                59_900,
                (100, Silence::Error(FetchError::TotalTimeout)),
            ),
            (usual, 99_000, (0, Silence::Error(FetchError::TotalTimeout))),
            (hasty, 0, (300, Silence::Error(FetchError::IdleTimeout))),
        ] {
            assert_eq!(
                patience.next(ms(elapsed)),
                (ms(expected.0), expected.1),
                "{patience:?} after {elapsed} ms"
            );
        }
    }
}

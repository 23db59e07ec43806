//! A response body, read with a limit on each wait: in one piece where it comes at once, else piece by piece.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::cause;
use super::wire::Exchange;
use crate::origin::{FetchError, Rest};

/// At most so many bytes are read at once.
const PIECE: usize = 16 * 1024;
/// A body without a length that is still coming after this time is taken for one that goes on for ever.
const LONG_LIVED: Duration = Duration::from_secs(5);

/// The longest silences of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silences {
    /// Of most bodies.
    pub(super) idle: Duration,
    /// Of one that may go on for ever, and of one without a length that has lived for [`LONG_LIVED`].
    pub(super) stream: Duration,
    /// The limit of the whole exchange, from its beginning, while nobody reads the body.
    pub(super) total: Duration,
}

/// What came of a body at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gathered {
    /// All of it.
    Whole(Bytes),
    /// Its beginning: it is larger than allowed, or takes its time.
    Begun(Bytes),
}

/// A body still being read. Dropping it unfinished closes the connection.
pub(super) struct Reading {
    body: ureq::BodyReader<'static>,
    exchange: Arc<Exchange>,
    silences: Silences,
    /// It may go on for ever, or may turn out to.
    is_endless: bool,
    has_length: bool,
    /// When its head had come.
    began: Duration,
    unread: bool,
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
    /// `has_length`: the origin announced one. `is_endless`: its kind of content goes on for ever.
    pub(super) fn new(
        body: ureq::Body,
        exchange: Arc<Exchange>,
        silences: Silences,
        has_length: bool,
        is_endless: bool,
    ) -> Reading {
        Reading {
            body: body.into_reader(),
            began: exchange.elapsed(),
            exchange,
            silences,
            is_endless,
            has_length,
            unread: false,
            state: State::Open,
        }
    }

    /// Reads for `most` at the most, until the end or more than `max` bytes. `length`: what the origin announced.
    pub(super) fn gather(
        &mut self,
        length: Option<u64>,
        max: usize,
        most: Duration,
    ) -> Result<Gathered, FetchError> {
        let expected = length
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(0);
        let until = self.began.saturating_add(most);
        let mut gathered = Vec::with_capacity(expected.min(max));
        let mut piece = [0; PIECE];
        while gathered.len() <= max {
            let left = until.saturating_sub(self.exchange.elapsed());
            let room = PIECE.min((max - gathered.len()).saturating_add(1));
            match self.step(&mut piece[..room], left)? {
                Step::Bytes(count) => gathered.extend_from_slice(&piece[..count]),
                Step::End => return Ok(Gathered::Whole(gathered.into_boxed_slice().into())),
                Step::Silence => break,
            }
        }
        Ok(Gathered::Begun(gathered.into()))
    }

    /// How long to wait for the next bytes, and what it means if none come.
    fn patience(&self) -> (Duration, FetchError) {
        let elapsed = self.exchange.elapsed();
        let is_long = !self.has_length && elapsed.saturating_sub(self.began) >= LONG_LIVED;
        let idle = if self.is_endless || is_long {
            self.silences.stream
        } else {
            self.silences.idle
        };
        let left = self.silences.total.saturating_sub(elapsed);
        if self.unread && left < idle {
            (left, FetchError::TotalTimeout)
        } else {
            (idle, FetchError::IdleTimeout)
        }
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
        let (wait, error) = self.patience();
        match self.step(&mut piece, wait)? {
            Step::Bytes(count) => Ok(Some(Bytes::copy_from_slice(&piece[..count]))),
            Step::End => Ok(None),
            Step::Silence => Err(self.fail(error)),
        }
    }

    fn set_unread(&mut self, unread: bool) {
        self.unread = unread;
    }
}

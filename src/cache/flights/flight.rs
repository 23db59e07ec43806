//! One fetch in progress.

use std::sync::Arc;
use std::time::Duration;

use super::work::{FetchRequest, Growing, Waiter, Work};
use crate::clock::Now;
use crate::origin::backoff::ProbeToken;
use crate::origin::permits::Class;
use crate::outcome::Cause;

/// One fetch in progress, and everybody waiting for it.
pub(super) struct Flight {
    pub fetch_request: FetchRequest,
    pub waiters: Vec<Waiter>,
    pub began: Duration,
    pub class: Class,
    pub stage: Stage,
    /// Whose probe it is.
    pub token: ProbeToken,
    /// How often the origin was asked once more.
    pub repeated: u32,
    /// The origin has been working on it for longer than `slow`.
    pub late: bool,
    /// An invalidation came: what is fetched is not stored, and nobody new joins.
    pub invalidated_meanwhile: bool,
    /// The body that grows, while it takes new readers.
    pub growing: Option<Arc<Growing>>,
}

/// How far a flight has come.
#[derive(PartialEq, Eq)]
pub(super) enum Stage {
    Looking,
    Waiting,
    Fetching,
    /// Its body grows, and somebody reads it.
    Growing,
    /// Only its leader may have its body.
    Relaying,
    /// As `Relaying`, without a permit.
    Streaming,
    /// Its answer waits for a cross-check; it has no permit.
    Confirming,
}

impl Stage {
    /// Whether a flight this far holds no permit any more.
    pub(super) fn is_without_permit(&self) -> bool {
        matches!(self, Stage::Confirming | Stage::Streaming)
    }
}

impl Flight {
    /// Whether the origin should still be asked.
    pub(super) fn wanted(&self, now: Now) -> bool {
        let waited = now.mono > self.began;
        self.fetch_request.safe || !waited || self.waiters.iter().any(|p| !p.responder.gone())
    }
}

/// Answers a request that gets no flight, and ends a poll that gets none.
pub(super) fn turn_away(
    waiter: Option<Waiter>,
    fetch_request: &FetchRequest,
    cause: Cause,
    until: Option<Duration>,
    todo: &mut Vec<Work>,
) {
    match waiter {
        Some(waiter) => todo.push(Work::Overdue(vec![waiter], cause, until)),
        None => todo.extend(fetch_request.poll.map(|poll| Work::Polled {
            poll,
            refused: false,
            again: until,
        })),
    }
}

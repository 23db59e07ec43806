//! How often an origin may be asked, and how often once more. PURE: values told of every request that starts.
//!
//! Times are monotonic: a day's quota holds whatever is done to the clock on the wall.

use std::collections::VecDeque;
use std::time::Duration;

use super::permits::Class;
use crate::clock::Now;

/// Parts a window slides by. A request counts for a window's length at least, and for one part more at most.
const PARTS: u64 = 60;
/// What a retry costs, in tenths: each request earns one.
const RETRY: u32 = 10;
/// The most tenths that are saved up: ten retries.
const MOST_SAVED: u32 = 100;

/// What the user allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restraint {
    /// The least time between the starts of two requests; zero: none.
    pub spacing: Duration,
    /// Requests in a span of time.
    pub quota: Quota,
    /// How often one request is repeated after a failure that may pass.
    pub retries: u32,
}

/// How many requests may start in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// In any 60 s. `None`: as many as may be.
    pub per_minute: Option<u32>,
    /// In any 24 h. `None`: as many as may be.
    pub per_day: Option<u32>,
}

/// The limits of one origin, and what counts towards them.
#[derive(Debug)]
pub struct Limits {
    spacing: Duration,
    /// The monotonic time before which none may start.
    next: Duration,
    windows: Vec<Window>,
    retries: u32,
    /// Tenths of a retry.
    saved: u32,
}

/// A quota over a span that slides.
#[derive(Debug)]
struct Window {
    limit: u32,
    /// Seconds in a part.
    part: u64,
    /// What started in each part, the oldest first; parts without a start are left out.
    started: VecDeque<(u64, u32)>,
}

impl Limits {
    /// Nothing has started yet.
    pub fn new(restraint: Restraint) -> Limits {
        let Restraint {
            spacing,
            quota,
            retries,
        } = restraint;
        let spans = [(quota.per_minute, 60), (quota.per_day, 24 * 60 * 60)];
        let windows = spans
            .into_iter()
            .filter_map(|(limit, span)| Some(Window::new(limit?, span)));
        Limits {
            spacing,
            next: Duration::ZERO,
            windows: windows.collect(),
            retries,
            saved: RETRY,
        }
    }

    /// The monotonic time of the next turn. `None`: it is now.
    pub fn turn(&self, now: Now) -> Option<Duration> {
        (now.mono < self.next).then_some(self.next)
    }

    /// The monotonic time before which the quota has no room for this class. `None`: it has.
    pub fn exhausted(&self, class: Class, now: Now) -> Option<Duration> {
        self.windows
            .iter()
            .filter_map(|window| window.full_until(class, now))
            .max()
    }

    /// A request starts: a first one, or a repetition.
    pub fn start(&mut self, is_first: bool, now: Now) {
        // Moments come out of order: each thread looks at the clock before it waits for the flights.
        if !self.spacing.is_zero() {
            self.next = self.next.max(now.mono + self.spacing);
        }
        self.saved = (self.saved + u32::from(is_first)).min(MOST_SAVED);
        self.windows.iter_mut().for_each(|window| window.start(now));
    }

    /// Takes a retry out of the budget, for a request that was repeated so often; false where none is left for it.
    pub fn take_retry(&mut self, repeated: u32) -> bool {
        let may = repeated < self.retries && self.saved >= RETRY;
        self.saved -= if may { RETRY } else { 0 };
        may
    }
}

impl Window {
    fn new(limit: u32, span: u64) -> Window {
        Window {
            limit,
            part: span / PARTS,
            started: VecDeque::new(),
        }
    }

    /// What counts at this moment: any span ends in the part of its last moment and begins at most `PARTS` parts before.
    fn counting(&self, now: Now) -> impl Iterator<Item = &(u64, u32)> {
        let current = now.mono.as_secs() / self.part;
        self.started
            .iter()
            .filter(move |(part, _)| part + PARTS >= current)
    }

    fn full_until(&self, class: Class, now: Now) -> Option<Duration> {
        // Whom nobody waits for leaves the last tenth to clients.
        let reserved = if class == Class::Background {
            self.limit.div_ceil(10)
        } else {
            0
        };
        let room = self.limit - reserved;
        let mut left: u32 = self.counting(now).map(|(_, count)| count).sum();
        if left < room {
            return None;
        }
        for (part, count) in self.counting(now) {
            left -= count;
            if left < room {
                return Some(Duration::from_secs((part + PARTS + 1) * self.part));
            }
        }
        // No room ever: the whole quota is reserved.
        Some(now.mono + Duration::from_secs(self.part * PARTS))
    }

    fn start(&mut self, now: Now) {
        let current = now.mono.as_secs() / self.part;
        self.started.retain(|(part, _)| part + PARTS >= current);
        match self.started.back_mut().filter(|(part, _)| *part == current) {
            Some((_, count)) => *count += 1,
            None => self.started.push_back((current, 1)),
        }
    }
}

#[cfg(test)]
mod tests;

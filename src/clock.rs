//! Time. The only place that reads a clock; everything else is told what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// One moment, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since the [`Clock`] was made. Ages and deadlines are reckoned in it: a Raspberry Pi has no clock of
    /// its own and its wall time jumps when NTP answers.
    pub mono: Duration,
    /// Wall time since the Unix epoch, for what people and HTTP dates read. Zero if the system clock stands before 1970.
    pub wall: Duration,
}

/// The source of [`Now`]. Clones share one time.
#[derive(Clone, Debug)]
pub struct Clock {
    began: Began,
    /// Milliseconds a test has skipped; always 0 in production.
    skipped: Arc<AtomicU64>,
}

/// Where a clock began, and so whether it runs.
#[derive(Clone, Copy, Debug)]
enum Began {
    /// At this moment, and it has run since.
    Running(Instant),
    /// At this wall time, and it stands but for what is skipped.
    Standing(Duration),
}

impl Clock {
    /// A clock whose monotonic time starts now, at zero.
    #[expect(
        clippy::new_without_default,
        reason = "reading the clock is not a default"
    )]
    pub fn new() -> Clock {
        Clock {
            began: Began::Running(Instant::now()),
            skipped: Arc::default(),
        }
    }

    /// A clock that stands at this wall time since the Unix epoch, its monotonic time at zero, and moves by [`Clock::skip`]
    /// alone: a simulation's, which then goes the same way each time.
    pub fn standing(wall: Duration) -> Clock {
        Clock {
            began: Began::Standing(wall),
            skipped: Arc::default(),
        }
    }

    /// What time it is.
    pub fn now(&self) -> Now {
        let skipped = Duration::from_millis(self.skipped.load(Ordering::Acquire));
        match self.began {
            Began::Standing(wall) => Now {
                mono: skipped,
                wall: wall + skipped,
            },
            Began::Running(since) => {
                let wall = SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or(Duration::ZERO);
                Now {
                    mono: since.elapsed() + skipped,
                    wall: wall + skipped,
                }
            }
        }
    }

    /// Moves both clocks forward at once, in whole milliseconds. Tests use it instead of waiting.
    pub fn skip(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.skipped.fetch_add(by, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipping_moves_both_clocks() {
        let clock = Clock::new();
        let before = clock.now();
        clock.skip(Duration::from_secs(3600));
        let after = clock.now();
        assert!(after.mono - before.mono >= Duration::from_secs(3600));
        assert!(after.wall - before.wall >= Duration::from_secs(3600));
    }

    #[test]
    fn a_standing_clock_moves_by_skipping_alone() {
        let clock = Clock::standing(Duration::from_secs(7));
        let hour = Duration::from_secs(3600);
        assert_eq!(
            clock.now(),
            Now {
                mono: Duration::ZERO,
                wall: Duration::from_secs(7)
            }
        );
        clock.skip(hour);
        assert_eq!(
            clock.now(),
            Now {
                mono: hour,
                wall: hour + Duration::from_secs(7)
            }
        );
    }
}

//! Deadlines of connections, kept so that one that moves later costs nothing: an entry that comes up early is asked again.

use std::time::Duration;

/// Length of a tick. A deadline is seen at most so late.
const TICK: Duration = Duration::from_millis(64);
/// Ticks the wheel reaches ahead, 65 s; later deadlines are looked at again then.
const TICKS: u64 = 1024;
/// No tick: nothing is scheduled.
pub(super) const NEVER: u64 = u64::MAX;

/// A timing wheel of connection indexes. Each entry stands at the tick it was scheduled for; whether it still means anything
/// is the caller's to know.
pub(super) struct Wheel {
    ticks: Vec<Vec<u32>>,
    /// The last tick that was looked at.
    now: u64,
    /// The next tick that has entries; [`NEVER`] when there is none.
    next: u64,
}

impl Wheel {
    /// An empty wheel.
    pub(super) fn new() -> Wheel {
        Wheel {
            ticks: (0..TICKS).map(|_| Vec::new()).collect(),
            now: 0,
            next: NEVER,
        }
    }

    /// The tick at which a deadline at this monotonic time is due.
    pub(super) fn tick_of(at: Duration) -> u64 {
        let tick = at.as_nanos().div_ceil(TICK.as_nanos());
        u64::try_from(tick).unwrap_or(NEVER - 1)
    }

    /// Schedules a connection for this tick, or for the furthest the wheel reaches; answers the tick it stands at.
    pub(super) fn schedule(&mut self, index: u32, tick: u64) -> u64 {
        let at = tick.clamp(self.now + 1, self.now + TICKS - 1);
        self.entries(at).push(index);
        self.next = self.next.min(at);
        at
    }

    /// How long until something may be due. `None`: nothing is scheduled.
    pub(super) fn wait(&self, mono: Duration) -> Option<Duration> {
        if self.next == NEVER {
            return None;
        }
        let due = TICK.saturating_mul(u32::try_from(self.next).unwrap_or(u32::MAX));
        Some(due.saturating_sub(mono))
    }

    /// Takes out what is due by this monotonic time: pairs of a connection's index and the tick it stood at.
    pub(super) fn due(&mut self, mono: Duration, due: &mut Vec<(u32, u64)>) {
        let now = u64::try_from(mono.as_nanos() / TICK.as_nanos()).unwrap_or(NEVER - 1);
        if now < self.next {
            self.now = self.now.max(now);
            return;
        }
        // Nothing stands further ahead, however far the clock jumped (a machine that slept, a test).
        let last = now.min(self.now + TICKS - 1);
        let mut tick = self.next;
        while tick <= last {
            due.extend(self.entries(tick).drain(..).map(|index| (index, tick)));
            tick += 1;
        }
        self.now = now;
        let ahead = (now + 1..now + TICKS).find(|tick| !self.entries(*tick).is_empty());
        self.next = ahead.unwrap_or(NEVER);
    }

    fn entries(&mut self, tick: u64) -> &mut Vec<u32> {
        // The remainder of a division by TICKS is an index of the wheel.
        &mut self.ticks[(tick % TICKS) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(wheel: &mut Wheel, millis: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.due(Duration::from_millis(millis), &mut due);
        due.into_iter().map(|(index, _)| index).collect()
    }

    fn schedule(wheel: &mut Wheel, index: u32, millis: u64) -> u64 {
        wheel.schedule(index, Wheel::tick_of(Duration::from_millis(millis)))
    }

    #[test]
    fn what_is_scheduled_comes_up_once_and_not_early() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.wait(Duration::ZERO), None);
        schedule(&mut wheel, 1, 100);
        schedule(&mut wheel, 2, 1_000);
        let wait = wheel.wait(Duration::from_millis(10)).expect("something");
        assert!((90..=154).contains(&wait.as_millis()), "{wait:?}");
        assert!(due(&mut wheel, 99).is_empty());
        assert_eq!(due(&mut wheel, 164), [1]);
        assert!(due(&mut wheel, 999).is_empty());
        assert_eq!(due(&mut wheel, 1_100), [2]);
        assert_eq!(wheel.wait(Duration::from_secs(2)), None);
        assert!(due(&mut wheel, 900_000).is_empty());
    }

    #[test]
    fn a_deadline_beyond_the_wheel_is_looked_at_when_the_wheel_ends() {
        let mut wheel = Wheel::new();
        let stands = schedule(&mut wheel, 7, 600_000);
        assert!(stands < Wheel::tick_of(Duration::from_secs(66)));
        assert!(due(&mut wheel, 64_000).is_empty());
        assert_eq!(due(&mut wheel, 66_000), [7]);
    }

    #[test]
    fn a_jump_of_the_clock_finds_everything() {
        let mut wheel = Wheel::new();
        for index in 0..500 {
            schedule(&mut wheel, index, u64::from(index) * 120 + 1);
        }
        assert_eq!(due(&mut wheel, 3_600_000).len(), 500);
        schedule(&mut wheel, 1, 3_600_100);
        assert_eq!(due(&mut wheel, 3_600_200), [1]);
    }
}

//! Which poll is due when. PURE: a value told the time.
//!
//! The tick is fixed: a poll's next turn is its last turn plus its interval, however long anything took, so the cadence never
//! drifts. Turns that were missed altogether are counted and left out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::proxy::Poll;

/// Answers of 401, 403, 404, 405 or 501 in a row after which one of the preset's own polls rests.
const REFUSALS: u32 = 3;
/// Gap between the first turns, so that a start is not a burst.
const STAGGER: Duration = Duration::from_millis(250);

/// The polls of one origin.
#[derive(Debug)]
pub struct Plan {
    polls: Vec<State>,
    /// Turns to come, by monotonic time; the flag tells a regular turn from an extra one. Of the extra ones of a poll only
    /// [`State::extra`] counts.
    turns: BinaryHeap<Reverse<(Duration, usize, bool)>>,
    gauges: Gauges,
}

/// How well the plan is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Polls offered.
    pub offered: u64,
    /// Turns left out because they were already over.
    pub missed: u64,
    /// Turns left out because the poll before had not ended.
    pub overlapped: u64,
    /// The latest a poll was offered after its turn.
    pub latest: Duration,
}

#[derive(Debug)]
struct State {
    poll: Poll,
    /// The turn at which it was last offered, not the moment: that comes a little later each time, and a pace reckoned from
    /// it would be a whole interval too fast.
    last: Option<Duration>,
    /// Its next extra turn.
    extra: Option<Duration>,
    wanted: Option<Duration>,
    refusals: u32,
    under_way: bool,
}

/// A poll whose turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which one, by its place in the plan.
    pub poll: usize,
    /// The one before has waited a whole interval and has not ended: hurry that one instead.
    pub overlaps: bool,
}

impl Plan {
    /// All polls due one after another from `start` on.
    pub fn new(polls: Vec<Poll>, start: Duration) -> Plan {
        let state = |poll| State {
            poll,
            last: None,
            extra: None,
            wanted: None,
            refusals: 0,
            under_way: false,
        };
        let mut plan = Plan {
            polls: polls.into_iter().map(state).collect(),
            turns: BinaryHeap::new(),
            gauges: Gauges::default(),
        };
        for at in 0..plan.polls.len() {
            plan.turns
                .push(Reverse((start + plan.stagger(at), at, true)));
        }
        plan
    }

    /// When to look again. `None`: nothing is polled.
    pub fn next(&self) -> Option<Duration> {
        self.turns.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next poll to offer now, if one is due. `wanted` tells when a client last asked for it. Call until `None`.
    pub fn due(
        &mut self,
        now: Duration,
        wanted: impl Fn(usize) -> Option<Duration>,
    ) -> Option<Due> {
        loop {
            let Reverse((turn, at, regular)) = self
                .turns
                .peek()
                .copied()
                .filter(|Reverse((turn, ..))| *turn <= now)?;
            self.turns.pop();
            let begun = if regular {
                self.advance(turn, at, now)
            } else {
                turn
            };
            let Some(state) = self.polls.get_mut(at) else {
                continue;
            };
            if !regular && state.extra.take_if(|extra| *extra == turn).is_none() {
                continue;
            }
            state.wanted = wanted(at);
            if state.rests() || regular && !state.is_wanted(begun, now) {
                continue;
            }
            self.gauges.latest = self.gauges.latest.max(now - turn);
            if state.under_way {
                self.gauges.overlapped += 1;
                return Some(Due {
                    poll: at,
                    overlaps: true,
                });
            }
            state.under_way = true;
            state.last = Some(begun);
            self.gauges.offered += 1;
            return Some(Due {
                poll: at,
                overlaps: false,
            });
        }
    }

    /// A poll has ended. `refused`: its answer was one of those that mean there is nothing to poll.
    pub fn ended(&mut self, poll: usize, refused: bool) {
        if let Some(state) = self.polls.get_mut(poll) {
            state.under_way = false;
            state.refusals = if refused { state.refusals + 1 } else { 0 };
        }
    }

    /// An extra turn: the probe of a poll that failed. Everybody who is refused says when it is due; it is one turn, the
    /// soonest told.
    pub fn probe(&mut self, poll: usize, at: Duration) {
        let Some(state) = self.polls.get_mut(poll) else {
            return;
        };
        if state.extra.is_none_or(|extra| at < extra) {
            state.extra = Some(at);
            self.turns.push(Reverse((at, poll, false)));
        }
    }

    /// Everything is due again, one after another: the origin is back.
    pub fn all_due(&mut self, now: Duration) {
        for at in 0..self.polls.len() {
            self.probe(at, now + self.stagger(at));
        }
    }

    /// How well it went so far.
    pub fn gauges(&self) -> Gauges {
        self.gauges
    }

    /// How many polls there are.
    pub fn len(&self) -> usize {
        self.polls.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.polls.is_empty()
    }

    /// Polls that are not resting.
    pub fn active(&self) -> usize {
        self.polls.iter().filter(|state| !state.rests()).count()
    }

    fn stagger(&self, at: usize) -> Duration {
        let shortest = self
            .polls
            .iter()
            .map(|state| state.poll.interval)
            .min()
            .unwrap_or(STAGGER);
        let gap =
            (shortest / u32::try_from(self.polls.len().max(1)).unwrap_or(u32::MAX)).min(STAGGER);
        gap * u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Plans the next regular turn, the first that is still to come; returns the one that has begun.
    fn advance(&mut self, turn: Duration, at: usize, now: Duration) -> Duration {
        let Some(state) = self.polls.get(at) else {
            return turn;
        };
        let interval = state.poll.interval.max(Duration::from_millis(1));
        let mut next = turn + interval;
        if next <= now {
            let missed = (now - next).as_nanos() / interval.as_nanos() + 1;
            self.gauges.missed += u64::try_from(missed).unwrap_or(u64::MAX);
            next += interval * u32::try_from(missed).unwrap_or(u32::MAX);
        }
        self.turns.push(Reverse((next, at, true)));
        next - interval
    }
}

impl State {
    /// Full pace for what never slows down, or a client asked for of late; else once per idle interval.
    fn is_wanted(&self, turn: Duration, now: Duration) -> bool {
        let Some(idle) = self.poll.idle else {
            return true;
        };
        let fresh_demand = self
            .wanted
            .is_some_and(|asked| now.saturating_sub(asked) < idle.after);
        // At the next turn it would be too late.
        let is_last = |last: Duration| {
            turn.saturating_sub(last).saturating_add(self.poll.interval) > idle.interval
        };
        fresh_demand || self.last.is_none_or(is_last)
    }

    fn rests(&self) -> bool {
        self.poll.own && self.refusals >= REFUSALS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Idle;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One of the preset's own slows down to once in 30 s, a minute after a client asked.
    fn poll(interval: u64, own: bool) -> Poll {
        Poll {
            interval: secs(interval),
            idle: own.then(|| idle(60, 30)),
            own,
        }
    }

    fn idle(after: u64, interval: u64) -> Idle {
        Idle {
            after: secs(after),
            interval: secs(interval),
        }
    }

    /// Steps a plan to `end`, every poll ending at once; returns when each was offered.
    fn offered(
        plan: &mut Plan,
        end: Duration,
        wanted: impl Fn(usize) -> Option<Duration> + Copy,
    ) -> Vec<(Duration, usize)> {
        let mut all = Vec::new();
        while let Some(now) = plan.next().filter(|next| *next < end) {
            while let Some(due) = plan.due(now, wanted) {
                all.push((now, due.poll));
                plan.ended(due.poll, false);
            }
        }
        all
    }

    #[test]
    fn must_show_4_the_cadence_has_no_drift_over_simulated_hours() {
        let mut plan = Plan::new(vec![poll(5, false), poll(10, false)], secs(0));
        let all = offered(&mut plan, secs(4 * 3600), |_| None);
        let first: Vec<Duration> = all
            .iter()
            .filter(|(_, which)| *which == 0)
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(first.len(), 4 * 3600 / 5);
        for (turn, at) in first.iter().enumerate() {
            let error = at.abs_diff(secs(5) * turn as u32);
            assert!(error < Duration::from_millis(50), "turn {turn}: {error:?}");
        }
    }

    #[test]
    fn a_plan_looked_at_late_leaves_missed_turns_out_and_keeps_its_beat() {
        let mut plan = Plan::new(vec![poll(5, false)], secs(0));
        assert_eq!(
            plan.due(secs(23), |_| None),
            Some(Due {
                poll: 0,
                overlaps: false
            })
        );
        plan.ended(0, false);
        assert_eq!(plan.due(secs(23), |_| None), None);
        assert_eq!(plan.next(), Some(secs(25)));
        assert_eq!((plan.gauges().missed, plan.gauges().latest), (4, secs(23)));
    }

    #[test]
    fn a_poll_that_has_not_ended_is_not_offered_again() {
        let mut plan = Plan::new(vec![poll(5, false)], secs(0));
        assert_eq!(
            plan.due(secs(0), |_| None),
            Some(Due {
                poll: 0,
                overlaps: false
            })
        );
        assert_eq!(
            plan.due(secs(5), |_| None),
            Some(Due {
                poll: 0,
                overlaps: true
            })
        );
        assert_eq!(
            plan.gauges(),
            Gauges {
                offered: 1,
                overlapped: 1,
                ..Gauges::default()
            }
        );
    }

    #[test]
    fn the_presets_own_polls_slow_down_when_nobody_asks_and_stay_within_the_lifetime() {
        let mut plan = Plan::new(vec![poll(5, true)], secs(0));
        let quiet: Vec<Duration> = offered(&mut plan, secs(300), |_| None)
            .iter()
            .map(|(at, _)| *at)
            .collect();
        assert!(
            quiet.windows(2).all(|two| two[1] - two[0] <= secs(30)),
            "{quiet:?}"
        );
        assert!(quiet.len() <= 12, "{quiet:?}");
        let asked = secs(300);
        let busy = offered(&mut plan, secs(360), |_| Some(asked));
        assert!(busy.len() >= 11, "{busy:?}");
    }

    #[test]
    fn e19_idle_polls_come_once_per_lifetime_however_late_each_is_offered() {
        let mut plan = Plan::new(
            vec![
                poll(5, true),
                Poll {
                    idle: Some(idle(60, 60)),
                    ..poll(30, true)
                },
            ],
            secs(0),
        );
        let mut counts = [0, 0];
        let mut late = Duration::ZERO;
        while let Some(turn) = plan.next().filter(|turn| *turn < secs(600)) {
            // Threads wake a little after the time, now more, now less.
            late = if late.is_zero() {
                Duration::from_millis(3)
            } else {
                Duration::ZERO
            };
            while let Some(due) = plan.due(turn + late, |_| None) {
                counts[due.poll] += 1;
                plan.ended(due.poll, false);
            }
        }
        assert_eq!(counts, [20, 10]);
    }

    #[test]
    fn a_poll_the_user_wrote_is_always_kept() {
        let mut plan = Plan::new(vec![poll(5, false)], secs(0));
        assert_eq!(offered(&mut plan, secs(300), |_| None).len(), 60);
    }

    #[test]
    fn a_poll_with_an_idle_pace_is_back_at_the_full_one_at_the_first_request_and_never_leaves_its_beat()
     {
        let slow = Poll {
            idle: Some(idle(20, 300)),
            ..poll(5, false)
        };
        let mut plan = Plan::new(vec![slow], secs(0));
        let times = |all: Vec<(Duration, usize)>| {
            all.iter().map(|(at, _)| at.as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(
            times(offered(&mut plan, secs(699), |_| None)),
            [0, 300, 600]
        );
        let asked = Duration::from_millis(698_200);
        assert_eq!(
            times(offered(&mut plan, secs(1100), |_| Some(asked))),
            [700, 705, 710, 715, 1015]
        );
    }

    #[test]
    fn an_idle_pace_that_is_no_multiple_of_the_interval_is_kept_within() {
        let slow = Poll {
            idle: Some(idle(20, 33)),
            ..poll(10, false)
        };
        let all = offered(&mut Plan::new(vec![slow], secs(0)), secs(100), |_| None);
        assert_eq!(
            all.iter().map(|(at, _)| at.as_secs()).collect::<Vec<_>>(),
            [0, 30, 60, 90]
        );
    }

    #[test]
    fn an_own_poll_refused_three_times_rests_until_a_good_answer() {
        let mut plan = Plan::new(vec![poll(5, true)], secs(0));
        for turn in [0, 30, 60] {
            assert!(plan.due(secs(turn), |_| Some(secs(turn))).is_some());
            plan.ended(0, true);
        }
        assert_eq!(plan.active(), 0);
        assert_eq!(plan.due(secs(600), |_| Some(secs(600))), None);
        plan.ended(0, false);
        assert!(plan.due(secs(700), |_| None).is_some());
    }

    #[test]
    fn all_who_are_refused_together_make_one_probe() {
        let mut plan = Plan::new(vec![poll(60, false)], secs(0));
        offered(&mut plan, secs(1), |_| None);
        for told in [9, 7, 7, 8] {
            plan.probe(0, secs(told));
        }
        assert_eq!(offered(&mut plan, secs(20), |_| None), [(secs(7), 0)]);
    }

    #[test]
    fn probes_and_a_return_come_between_the_turns() {
        let mut plan = Plan::new(vec![poll(60, false), poll(60, false)], secs(0));
        offered(&mut plan, secs(1), |_| None);
        plan.probe(0, secs(5));
        assert_eq!(plan.next(), Some(secs(5)));
        offered(&mut plan, secs(6), |_| None);
        plan.all_due(secs(10));
        let all = offered(&mut plan, secs(12), |_| None);
        assert_eq!(
            all.iter().map(|(_, which)| *which).collect::<Vec<_>>(),
            [0, 1]
        );
        assert!(all[1].0 > all[0].0, "staggered");
    }
}

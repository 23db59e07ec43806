//! How seldom the user wants the origin asked, in some hours: their distance, quota and retries, and whether they are kept.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use larder::config::Config;
use larder::origin::permits::FlightId;

use crate::dice::Dice;

/// A minute, in milliseconds.
const MINUTE: u64 = 60_000;
/// One request in so many is repeated at most, the first a little early.
const REQUESTS_FOR_A_RETRY: u32 = 10;

/// What the user allows, and what was asked. All times in milliseconds.
#[derive(Default)]
pub struct Quotas {
    spacing: u64,
    per_minute: Option<u32>,
    per_day: Option<u32>,
    retries: u32,
    /// What began within the last minute.
    begun: VecDeque<u64>,
    /// All that began in this hour, and those of them that were repetitions.
    all: u32,
    repeated: u32,
    /// How often each flight has asked, with conditions and without.
    asked: HashMap<(FlightId, bool), u32>,
}

impl Quotas {
    /// What this hour allows: half of them anything.
    pub fn any(seed: u64) -> Quotas {
        // Dice of its own: it is not to change what else happens.
        let dice = &mut Dice::new(seed ^ 0x7417);
        if dice.one_in(2) {
            return Quotas::default();
        }
        Quotas {
            spacing: dice.of(&[0, 20, 100, 250]),
            per_minute: dice.of(&[None, None, Some(1), Some(10), Some(60), Some(120)]),
            per_day: dice.of(&[None, None, None, Some(30), Some(1_000)]),
            retries: dice.of(&[0, 1, 2, 3]),
            ..Quotas::default()
        }
    }

    pub fn configure(&self, config: &mut Config) {
        config.backend.min_spacing = Duration::from_millis(self.spacing);
        config.backend.quota.per_minute = self.per_minute;
        config.backend.quota.per_day = self.per_day;
        config.backend.retries = self.retries;
    }

    /// Whether what is polled may be past its lifetime because nothing more may be asked.
    pub fn counts(&self) -> bool {
        self.per_minute.is_some() || self.per_day.is_some()
    }

    pub fn may_repeat(&self) -> bool {
        self.retries > 0
    }

    /// A request goes out. `Err`: too soon, or one too many.
    pub fn asked(&mut self, flight: FlightId, plain: bool, now: u64) -> Result<(), String> {
        let last = self.begun.back().copied();
        self.begun.push_back(now);
        self.begun.retain(|at| now < at + MINUTE);
        self.all += 1;
        let times = self.asked.entry((flight, plain)).or_default();
        *times += 1;
        self.repeated += u32::from(*times > 1);
        let in_a_minute = u32::try_from(self.begun.len()).unwrap_or(u32::MAX);
        if let Some(last) = last.filter(|last| now < last + self.spacing) {
            return Err(format!(
                "asked {} ms after the last, not {}",
                now - last,
                self.spacing
            ));
        }
        if self.per_minute.is_some_and(|most| in_a_minute > most)
            || self.per_day.is_some_and(|most| self.all > most)
        {
            return Err(format!(
                "beyond the quota: {in_a_minute} in a minute, {} in all",
                self.all
            ));
        }
        if *times > self.retries + 1 {
            return Err(format!("asked {times} times by {flight:?}"));
        }
        let first = self.all - self.repeated;
        if self.repeated * REQUESTS_FOR_A_RETRY > first + REQUESTS_FOR_A_RETRY {
            return Err(format!("{} of {} are repetitions", self.repeated, self.all));
        }
        Ok(())
    }
}

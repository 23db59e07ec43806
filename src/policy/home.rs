//! What one home answers, and what it therefore cannot mean.
//!
//! A gateway that is gone is reported with status 200, by bodies that another home sends in good health: firmware 23.44 has
//! no vitals and no strings, a solar-only home no battery. So an empty body is refused only when it is news, and a battery
//! level of zero is believed only from a cross-check. See [`Plausibility`].
//!
//! | [`PlausibilityCheck`] | bad | held for a cross-check |
//! |---|---|---|
//! | `Aggregates` | no number at `/site/instant_power` | |
//! | `EmptyIsNews` | says nothing while `/aggregates` is bad, or 10 minutes after it said something | says nothing, and `/aggregates` is old or unknown |
//! | `CrossChecked` | no readings at all | a level of 0, null or none; power alone while `/aggregates` is bad or old |
//!
//! On all three an empty body and the texts `Not Found`, `TIMEOUT!` and `ERROR!` are bad.

mod reading;

use std::time::Duration;

use super::check::{CheckFailure, WHOLE_UP_TO};
use crate::clock::Now;

pub use reading::cross_check_agrees;

/// The texts pypowerwall sends, with status 200, instead of an answer.
pub const NO_ANSWER: [&str; 3] = ["Not Found", "TIMEOUT!", "ERROR!"];

/// How long after an answer that said something an empty one is news.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Paths remembered; more than the preset has. The one longest silent is forgotten first.
const PATHS: usize = 64;

/// How a body is judged by what is known of the home it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlausibilityCheck {
    /// The meters, on which everything else leans: `/site/instant_power` is a number, in every home.
    Aggregates,
    /// Null, nothing but nulls, `SolarOnly` and the like are an answer unless they are news.
    EmptyIsNews,
    /// A CSV or an object with a battery level or powers, whose zero needs a cross-check.
    CrossChecked,
}

/// What a body is, in this home, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlausibilityResult {
    /// An answer.
    Good,
    /// No answer, whatever its status says.
    Bad(CheckFailure),
    /// An answer if [`Plausibility::cross_check_path`], requested after it, is Good and [`cross_check_agrees`]; otherwise none.
    NeedsCrossCheck,
    /// An answer if `/aggregates`, requested after it, is Good; of late nothing was heard of it. Judge again then.
    NeedsMeters,
}

/// What is known of one home. Bounded; only targets without a query teach it anything, since others are made by clients.
#[derive(Clone, Debug)]
pub struct Plausibility {
    aggregates_every: Duration,
    /// The last body of `/aggregates`: when it came, on the monotonic clock, and whether it was good.
    aggregates: Option<(Duration, bool)>,
    /// Whether `/soe` ever told a level; `None` until it was asked.
    has_soe: Option<bool>,
    /// Paths that said something, and when last.
    spoken: Vec<(Box<str>, Duration)>,
}

impl Plausibility {
    /// A home of which nothing is known. `/aggregates` is expected at least this often; twice as old, it confirms nothing.
    pub fn new(aggregates_every: Duration) -> Plausibility {
        Plausibility {
            aggregates_every,
            aggregates: None,
            has_soe: None,
            spoken: Vec::new(),
        }
    }

    /// Judges the body of a 2xx answer, and learns from it.
    pub fn assess(
        &mut self,
        target: &str,
        kind: PlausibilityCheck,
        body: &[u8],
        now: Now,
    ) -> PlausibilityResult {
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        let sight = look(kind, body);
        if query.is_none() {
            self.learn(path, kind, &sight, now);
        }
        match sight {
            Ok(Sight::Something) => PlausibilityResult::Good,
            Ok(Sight::Nothing) if self.spoke_lately(path, now) => {
                PlausibilityResult::Bad(CheckFailure::SuddenlyEmpty)
            }
            Ok(Sight::Nothing) => match self.meters(now) {
                Some(true) => PlausibilityResult::Good,
                Some(false) => PlausibilityResult::Bad(CheckFailure::SuddenlyEmpty),
                None => PlausibilityResult::NeedsMeters,
            },
            Ok(Sight::PowerOnly) if self.has_good_aggregates(now) => PlausibilityResult::Good,
            Ok(Sight::PowerOnly | Sight::ZeroLevel) => PlausibilityResult::NeedsCrossCheck,
            Err(failure) => PlausibilityResult::Bad(failure),
        }
    }

    /// The target that confirms a zero: the battery's own, or the meters where that has no level to tell (no battery).
    pub fn cross_check_path(&self) -> &'static str {
        if self.has_soe == Some(false) {
            "/aggregates"
        } else {
            "/soe"
        }
    }

    fn learn(
        &mut self,
        path: &str,
        kind: PlausibilityCheck,
        sight: &Result<Sight, CheckFailure>,
        now: Now,
    ) {
        let spoke = matches!(sight, Ok(Sight::Something));
        match kind {
            PlausibilityCheck::Aggregates => self.aggregates = Some((now.mono, spoke)),
            PlausibilityCheck::EmptyIsNews => {
                if path == "/soe" {
                    self.has_soe = Some(spoke || self.has_soe == Some(true));
                }
                if spoke {
                    self.note_spoken(path, now.mono);
                }
            }
            PlausibilityCheck::CrossChecked => {}
        }
    }

    fn note_spoken(&mut self, path: &str, at: Duration) {
        if let Some((_, last)) = self.spoken.iter_mut().find(|(known, _)| **known == *path) {
            *last = at;
            return;
        }
        if self.spoken.len() == PATHS {
            let longest_silent = self
                .spoken
                .iter()
                .enumerate()
                .min_by_key(|(_, (_, last))| *last)
                .map(|(at, _)| at);
            longest_silent.map(|at| self.spoken.swap_remove(at));
        }
        self.spoken.push((path.into(), at));
    }

    fn spoke_lately(&self, path: &str, now: Now) -> bool {
        let lately = |last: Duration| now.mono.saturating_sub(last) < REMEMBERED;
        self.spoken
            .iter()
            .any(|(known, last)| **known == *path && lately(*last))
    }

    /// Whether the last `/aggregates` was good. `None`: there was none, or too long ago.
    fn meters(&self, now: Now) -> Option<bool> {
        let (at, good) = self.aggregates?;
        (now.mono.saturating_sub(at) <= 2 * self.aggregates_every).then_some(good)
    }

    fn has_good_aggregates(&self, now: Now) -> bool {
        self.meters(now) == Some(true)
    }
}

/// What a body shows by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// An answer in any home.
    Something,
    /// Null, or nothing but nulls.
    Nothing,
    /// Powers that are not all zero, where no level is to be expected.
    PowerOnly,
    /// A battery level of zero, null or none; or powers all zero.
    ZeroLevel,
}

fn look(kind: PlausibilityCheck, body: &[u8]) -> Result<Sight, CheckFailure> {
    let text = body.trim_ascii();
    if NO_ANSWER.iter().any(|refused| refused.as_bytes() == text) {
        return Err(CheckFailure::RefusedText);
    }
    match (kind, text.first()) {
        (_, None) => Err(CheckFailure::Empty),
        (_, Some(b'{' | b'[')) if body.len() > WHOLE_UP_TO => Ok(Sight::Something),
        (PlausibilityCheck::Aggregates, _) if reading::has_site_power(text) => Ok(Sight::Something),
        (PlausibilityCheck::Aggregates, _) => {
            Err(CheckFailure::Missing("/site/instant_power".to_owned()))
        }
        (PlausibilityCheck::EmptyIsNews, _) => match reading::says_nothing(text) {
            Some(true) => Ok(Sight::Nothing),
            Some(false) => Ok(Sight::Something),
            None => Err(CheckFailure::NotJson),
        },
        (PlausibilityCheck::CrossChecked, _) => reading::of(text)
            .map(|readings| readings.sight())
            .ok_or(CheckFailure::NoReadings),
    }
}

#[cfg(test)]
mod tests;

//! What one home answers, and what it therefore cannot mean. PURE.
//!
//! A gateway that is gone is reported with status 200, by bodies that another home sends in good health: firmware 23.44 has
//! no vitals and no strings, a solar-only home no battery. So an empty body is refused only when it is news, and a battery
//! level of zero is believed only from a cross-check. See [`Plausibility`].
//!
//! | [`PlausibilityCheck`] | bad | held for a cross-check |
//! |---|---|---|
//! | `Aggregates` | no number at `/site/instant_power` | |
//! | `EmptyIsNews` | says nothing while the meters are bad, 10 minutes after it said something, or in place of a level while a battery works | says nothing, and the meters are old or unknown; zeros where it said more lately |
//! | `Unlisted` | the same | the same |
//! | `CrossChecked` | no readings at all | a level of 0, null or none; power alone while `/aggregates` is bad or old |
//! | `Totals` | sums of no gateway: `num_online` is 0 | zeros that do not say of how many gateways |
//!
//! On all but `Unlisted` an empty body and the texts `Not Found`, `TIMEOUT!` and `ERROR!` are bad; there they say nothing.
//!
//! The meters that a path is judged by are those of the `Source` it reads: the default gateway's, those of the gateway it
//! names, or the sums of all.

mod reading;

use std::borrow::Cow;
use std::time::Duration;

use super::preset::check_of;
use crate::clock::Now;
use crate::policy::check::{CheckFailure, WHOLE_UP_TO};
use crate::policy::judge::{BodyJudge, Verdict};

/// The texts pypowerwall sends, with status 200, instead of an answer.
pub const NO_ANSWER: [&str; 3] = ["Not Found", "TIMEOUT!", "ERROR!"];

/// How long after an answer that said something an empty one is news.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Paths remembered; more than the preset has. The one longest silent is forgotten first.
const PATHS: usize = 64;
/// Gateways whose meters are remembered, the sums of all among them. The one longest not asked is forgotten first.
const SOURCES: usize = 64;
/// A home that said nothing for so long was away, if it has been asked.
const SILENCE: Duration = Duration::from_secs(15);
/// Where a home tells its battery's level.
const SOE: &str = "/soe";

/// How a body is judged by what is known of the home it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlausibilityCheck {
    /// The meters, on which everything else leans: `/site/instant_power` is a number, in every home.
    Aggregates,
    /// Null, nothing but nulls, `SolarOnly` and the like are an answer unless they are news.
    EmptyIsNews,
    /// As `EmptyIsNews`, on a path of which nothing is known: it need not be JSON.
    Unlisted,
    /// A CSV or an object with a battery level or powers, whose zero needs a cross-check.
    CrossChecked,
    /// Sums of several gateways, which are judged by themselves: one gateway that is gone leaves the others' sums valid.
    Totals,
}

/// Whose readings a path has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source<'a> {
    /// The default gateway.
    Default,
    /// The gateway of this id.
    Gateway(&'a str),
    /// All gateways together.
    All,
}

/// What the meters of one source said last.
#[derive(Clone, Debug)]
struct Meters {
    /// Their path.
    path: Box<str>,
    /// When, on the monotonic clock.
    at: Duration,
    /// Whether that was an answer.
    good: bool,
    /// Whether they ever measured a battery.
    has_battery: bool,
}

/// What is known of one home. Bounded; only targets without a query teach it anything, since others are made by clients.
#[derive(Clone, Debug)]
pub struct Plausibility {
    aggregates_every: Duration,
    /// What the meters said last, by source.
    meters: Vec<Meters>,
    /// Whether `/soe` ever told a level; `None` until it was asked.
    has_soe: Option<bool>,
    /// Paths that said something, and when last.
    spoken: Vec<(Box<str>, Duration)>,
    /// When any of them did.
    last_spoken: Option<Duration>,
    /// Whether the last body judged was the first in a while to say something.
    returned: bool,
}

impl Plausibility {
    /// A home of which nothing is known. `/aggregates` is expected at least this often; twice as old, it confirms nothing.
    pub fn new(aggregates_every: Duration) -> Plausibility {
        Plausibility {
            aggregates_every,
            meters: Vec::new(),
            has_soe: None,
            spoken: Vec::new(),
            last_spoken: None,
            returned: false,
        }
    }

    /// Judges the body of a 2xx answer, and learns from it.
    fn assess(&mut self, target: &str, kind: PlausibilityCheck, body: &[u8], now: Now) -> Verdict {
        let (path, is_plain) = path_of(target);
        let source = Source::of(path);
        let kind = kind.on(path, source);
        let sight = look(kind, body);
        self.returned = false;
        if is_plain {
            self.learn(path, kind, &sight, body, now);
        }
        let by_meters = || Verdict::NeedsCrossCheck(source.meters());
        match sight {
            Ok(Sight::Something) => Verdict::Good,
            Ok(Sight::Nothing) if self.is_news(path, source, now) => {
                Verdict::Bad(CheckFailure::SuddenlyEmpty)
            }
            Ok(Sight::Zeros) if self.spoke_lately(path, now) => by_meters(),
            Ok(Sight::Nothing | Sight::Zeros) => match self.are_well(source, now) {
                Some(true) => Verdict::Good,
                Some(false) => Verdict::Bad(CheckFailure::SuddenlyEmpty),
                None => by_meters(),
            },
            Ok(Sight::PowerOnly) if self.are_well(source, now) == Some(true) => Verdict::Good,
            Ok(Sight::PowerOnly | Sight::ZeroLevel) if kind == PlausibilityCheck::Totals => {
                by_meters()
            }
            Ok(Sight::PowerOnly | Sight::ZeroLevel) => {
                Verdict::NeedsCrossCheck(self.level_path().into())
            }
            Err(failure) => Verdict::Bad(failure),
        }
    }

    /// Judges a held body again, by the 2xx answer of the target its first judgement named, which was requested after it.
    /// `None`: there was none. That answer has been judged before.
    fn reassess(
        &mut self,
        target: &str,
        kind: PlausibilityCheck,
        held: &[u8],
        (asked, answer): (&str, Option<&[u8]>),
        now: Now,
    ) -> Verdict {
        let (path, _) = path_of(target);
        let source = Source::of(path);
        let kind = kind.on(path, source);
        let is_confirmed = match kind {
            PlausibilityCheck::Aggregates => false,
            PlausibilityCheck::EmptyIsNews | PlausibilityCheck::Unlisted => {
                let is_zeros = look(kind, held) == Ok(Sight::Zeros);
                answer.is_some()
                    && self.are_well(source, now) == Some(true)
                    && (is_zeros || !self.is_news(path, source, now))
            }
            PlausibilityCheck::CrossChecked | PlausibilityCheck::Totals => {
                answer.is_some_and(|answer| reading::cross_check_agrees(held, answer))
            }
        };
        if is_confirmed {
            return Verdict::Good;
        }
        // A home without a battery has just said so; then the meters are its cross-check.
        let other = self.level_path();
        if kind == PlausibilityCheck::CrossChecked && asked == SOE && other != SOE {
            return Verdict::NeedsCrossCheck(other.into());
        }
        Verdict::Bad(CheckFailure::Unconfirmed)
    }

    /// The target that confirms a level of zero: the battery's own, or the meters where that has no level to tell (no battery).
    fn level_path(&self) -> &'static str {
        if self.has_soe == Some(false) {
            "/aggregates"
        } else {
            SOE
        }
    }

    fn learn(
        &mut self,
        path: &str,
        kind: PlausibilityCheck,
        sight: &Result<Sight, CheckFailure>,
        body: &[u8],
        now: Now,
    ) {
        let spoke = matches!(sight, Ok(Sight::Something));
        // A CSV may be made of what was read before the gateway went.
        if spoke && kind != PlausibilityCheck::CrossChecked {
            let last = self.last_spoken.replace(now.mono);
            self.returned = last.is_none_or(|last| now.mono.saturating_sub(last) >= SILENCE);
        }
        if path == Source::of(path).meters() {
            self.note_meters(path, spoke, reading::has_battery(body), now.mono);
        }
        match kind {
            PlausibilityCheck::EmptyIsNews | PlausibilityCheck::Unlisted => {
                let told = matches!(sight, Ok(Sight::Something | Sight::Zeros));
                if path == SOE {
                    self.has_soe = Some(told || self.has_soe == Some(true));
                }
                if spoke {
                    self.note_spoken(path, now.mono);
                }
            }
            PlausibilityCheck::Aggregates
            | PlausibilityCheck::CrossChecked
            | PlausibilityCheck::Totals => {}
        }
    }

    fn note_meters(&mut self, path: &str, good: bool, has_battery: bool, at: Duration) {
        if let Some(known) = self.meters.iter_mut().find(|known| *known.path == *path) {
            known.at = at;
            known.good = good;
            known.has_battery |= has_battery;
            return;
        }
        if self.meters.len() == SOURCES {
            forget_first_by(&mut self.meters, |meters| meters.at);
        }
        self.meters.push(Meters {
            path: path.into(),
            at,
            good,
            has_battery,
        });
    }

    fn note_spoken(&mut self, path: &str, at: Duration) {
        if let Some((_, last)) = self.spoken.iter_mut().find(|(known, _)| **known == *path) {
            *last = at;
            return;
        }
        if self.spoken.len() == PATHS {
            forget_first_by(&mut self.spoken, |(_, last)| *last);
        }
        self.spoken.push((path.into(), at));
    }

    /// Whether saying nothing is news from this path: it said something lately, or there is a battery that has a level.
    fn is_news(&self, path: &str, source: Source<'_>, now: Now) -> bool {
        let has_battery = || {
            self.meters_of(source)
                .is_some_and(|meters| meters.has_battery)
        };
        self.spoke_lately(path, now) || (path.ends_with(SOE) && has_battery())
    }

    fn spoke_lately(&self, path: &str, now: Now) -> bool {
        let lately = |last: Duration| now.mono.saturating_sub(last) < REMEMBERED;
        self.spoken
            .iter()
            .any(|(known, last)| **known == *path && lately(*last))
    }

    fn meters_of(&self, source: Source<'_>) -> Option<&Meters> {
        let path = source.meters();
        self.meters.iter().find(|known| *known.path == *path)
    }

    /// Whether the last answer of a source's meters was good. `None`: there was none, or too long ago.
    fn are_well(&self, source: Source<'_>, now: Now) -> Option<bool> {
        let meters = self.meters_of(source)?;
        (now.mono.saturating_sub(meters.at) <= 2 * self.aggregates_every).then_some(meters.good)
    }
}

impl BodyJudge for Plausibility {
    fn judge(&mut self, target: &str, body: &[u8], now: Now) -> Verdict {
        match check_of(path_of(target).0) {
            Some(kind) => self.assess(target, kind, body, now),
            None => Verdict::Good,
        }
    }

    fn confirm(
        &mut self,
        target: &str,
        held: &[u8],
        cross_check: (&str, Option<&[u8]>),
        now: Now,
    ) -> Verdict {
        match check_of(path_of(target).0) {
            Some(kind) => self.reassess(target, kind, held, cross_check, now),
            None => Verdict::Good,
        }
    }

    /// The first body to say something after `SILENCE`. At most once in that time, lest a home that says only some things is
    /// asked for the others as often.
    fn has_returned(&self) -> bool {
        self.returned
    }
}

impl<'a> Source<'a> {
    fn of(path: &'a str) -> Source<'a> {
        let below = |prefix: &str| {
            path.strip_prefix(prefix)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if below("/api/aggregate").is_some() {
            return Source::All;
        }
        match below("/api/gateways").and_then(|rest| rest.get(1..)?.split_once('/')) {
            Some((id, part)) if !id.is_empty() && !part.is_empty() => Source::Gateway(id),
            _ => Source::Default,
        }
    }

    /// The path that tells whether this source is there.
    fn meters(self) -> Cow<'static, str> {
        match self {
            Source::Default => "/aggregates".into(),
            Source::Gateway(id) => format!("/api/gateways/{id}/aggregates").into(),
            Source::All => "/api/aggregate/battery".into(),
        }
    }
}

impl PlausibilityCheck {
    /// The meters of each gateway are judged as those of the default one, whatever pattern they are found by.
    fn on(self, path: &str, source: Source<'_>) -> PlausibilityCheck {
        match source {
            Source::Gateway(_) if path == source.meters() => PlausibilityCheck::Aggregates,
            _ => self,
        }
    }
}

/// The path of a target, and whether that is all of it.
fn path_of(target: &str) -> (&str, bool) {
    match target.split_once('?') {
        Some((path, _)) => (path, false),
        None => (target, true),
    }
}

/// Forgets the element whose time comes first.
fn forget_first_by<T>(all: &mut Vec<T>, time: impl Fn(&T) -> Duration) {
    let first = (0..all.len()).min_by_key(|at| all.get(*at).map(&time));
    if let Some(at) = first {
        all.swap_remove(at);
    }
}

/// What a body shows by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// An answer in any home.
    Something,
    /// Null, or nothing but nulls.
    Nothing,
    /// Nothing but zeros, and perhaps nulls.
    Zeros,
    /// Powers that are not all zero, where no level is to be expected.
    PowerOnly,
    /// A battery level of zero, null or none; or powers all zero.
    ZeroLevel,
}

fn look(kind: PlausibilityCheck, body: &[u8]) -> Result<Sight, CheckFailure> {
    let text = body.trim_ascii();
    if kind == PlausibilityCheck::Unlisted {
        return Ok(look_at_anything(text));
    }
    if is_no_answer(text) {
        return Err(CheckFailure::RefusedText);
    }
    match (kind, text.first()) {
        (_, None) => Err(CheckFailure::Empty),
        (_, Some(b'{' | b'[')) if body.len() > WHOLE_UP_TO => Ok(Sight::Something),
        (PlausibilityCheck::Aggregates, _) if reading::has_site_power(text) => Ok(Sight::Something),
        (PlausibilityCheck::Aggregates, _) => {
            Err(CheckFailure::Missing("/site/instant_power".to_owned()))
        }
        (PlausibilityCheck::EmptyIsNews | PlausibilityCheck::Unlisted, _) => {
            reading::sight_of(text).ok_or(CheckFailure::NotJson)
        }
        (PlausibilityCheck::CrossChecked, _) => reading::of(text)
            .map(|readings| readings.sight())
            .ok_or(CheckFailure::NoReadings),
        (PlausibilityCheck::Totals, _) => match (reading::online(text), reading::of(text)) {
            (Some(0.0), _) => Err(CheckFailure::NoSource),
            (Some(_), Some(_)) => Ok(Sight::Something),
            (None, Some(readings)) => Ok(readings.sight_of_sums()),
            (_, None) => Err(CheckFailure::NoReadings),
        },
    }
}

/// The same where nothing is known of the path.
fn look_at_anything(text: &[u8]) -> Sight {
    if text.is_empty() || is_no_answer(text) {
        return Sight::Nothing;
    }
    let is_judged = text.len() <= WHOLE_UP_TO;
    let sight = is_judged.then(|| reading::sight_of(text)).flatten();
    sight.unwrap_or(Sight::Something)
}

fn is_no_answer(text: &[u8]) -> bool {
    NO_ANSWER.iter().any(|refused| refused.as_bytes() == text)
}

#[cfg(test)]
mod tests;

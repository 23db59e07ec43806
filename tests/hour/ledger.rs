//! Everything the origin ever said, and whether it was worth saying: reckoned here once more, from the documents alone.

use std::collections::HashMap;

use bytes::Bytes;

use crate::endpoints::{Kind, endpoint};

/// How long after an answer that said something an empty one is news, and how long the meters confirm others: two of
/// their slowest intervals.
const REMEMBERED: u64 = 600_000;
const VOUCHED: u64 = 60_000;

/// Whether a body may be told to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    Good,
    Bad,
    /// It says nothing, which is an answer if the meters are well, asked for after this moment.
    IfMetersAreWellSince(u64),
}

/// One thing the origin said, perhaps several times. All times in milliseconds.
#[derive(Debug)]
pub struct Said {
    /// Its place in the ledger, which its tag names.
    pub number: usize,
    /// The Accept-Language it is for.
    pub language: String,
    pub body: Bytes,
    pub worth: Worth,
    /// When it was sent or confirmed.
    pub times: Vec<u64>,
}

/// All of it.
#[derive(Default)]
pub struct Ledger {
    said: Vec<Said>,
    by_target: HashMap<String, Vec<usize>>,
    /// When each path last said something.
    spoken: HashMap<String, u64>,
    /// The last word of the meters, and the last good one.
    meters: Option<(u64, bool)>,
    meters_well: Option<u64>,
}

impl Ledger {
    /// The number the next new entry will have.
    pub fn next(&self) -> usize {
        self.said.len()
    }

    pub fn get(&self, number: usize) -> Option<&Said> {
        self.said.get(number)
    }

    /// The origin says it again, or confirms it.
    pub fn again(&mut self, number: usize, now: u64) {
        if let Some(said) = self.said.get_mut(number) {
            said.times.push(now);
        }
    }

    /// The origin says something new.
    pub fn note(
        &mut self,
        target: &str,
        language: &str,
        body: &Bytes,
        worth: Worth,
        now: u64,
    ) -> usize {
        let language = language.to_owned();
        self.by_target
            .entry(target.to_owned())
            .or_default()
            .push(self.said.len());
        let number = self.said.len();
        self.said.push(Said {
            number,
            language,
            body: body.clone(),
            worth,
            times: vec![now],
        });
        number
    }

    /// What was said for this target at that moment, in these words.
    pub fn find(
        &self,
        target: &str,
        words: impl Fn(&Said) -> bool,
        at: impl Fn(u64) -> bool,
    ) -> Option<&Said> {
        let all = self
            .by_target
            .get(target)
            .into_iter()
            .flatten()
            .rev()
            .filter_map(|number| self.said.get(*number));
        all.filter(|said| words(said))
            .find(|said| said.times.iter().any(|time| at(*time)))
    }

    /// When anything was last said for this target, up to this moment.
    pub fn last(&self, target: &str, until: u64) -> Option<u64> {
        let all = self
            .by_target
            .get(target)
            .into_iter()
            .flatten()
            .filter_map(|number| self.said.get(*number));
        all.flat_map(|said| &said.times)
            .copied()
            .filter(|at| *at <= until)
            .max()
    }

    pub fn may_be_told(&self, said: &Said) -> bool {
        match said.worth {
            Worth::Good => true,
            Worth::Bad => false,
            Worth::IfMetersAreWellSince(moment) => {
                self.meters_well.is_some_and(|well| well >= moment)
            }
        }
    }

    /// What a whole answer is worth, which is then known of this home.
    pub fn worth(&mut self, target: &str, body: &[u8], rubbish: bool, now: u64) -> Worth {
        let kind = endpoint(target).kind;
        if kind == Kind::Meters {
            self.meters = Some((now, !rubbish));
            self.meters_well = if rubbish { self.meters_well } else { Some(now) };
        }
        let may_be_empty = matches!(kind, Kind::MaybeEmpty | Kind::Level);
        if !rubbish {
            if may_be_empty {
                self.spoken.insert(target.to_owned(), now);
            }
            return Worth::Good;
        }
        let spoke = self
            .spoken
            .get(target)
            .is_some_and(|at| now - at < REMEMBERED);
        if !may_be_empty || spoke || !matches!(body.first(), Some(b'n' | b'{')) {
            return Worth::Bad;
        }
        match self.meters {
            Some((at, well)) if now - at <= VOUCHED => {
                if well {
                    Worth::Good
                } else {
                    Worth::Bad
                }
            }
            _ => Worth::IfMetersAreWellSince(now),
        }
    }
}

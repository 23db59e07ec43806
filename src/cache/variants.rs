//! What is stored under one key: one response, or several that Vary tells apart (RFC 9111 §4.1).

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::store::{Inserted, Stored};

/// The most variants of one key.
const MOST: usize = 16;

/// The stored responses of one key, at least one. Cloning shares them.
#[derive(Clone)]
pub enum Variants {
    /// A single one.
    One(Arc<Stored>),
    /// More than one.
    Several(Arc<Several>),
}

/// More than one stored response of one key. Behind one thin pointer, because a slot of the store has 16 bytes for it.
pub struct Several {
    newest: Arc<Stored>,
    /// The others, newest first; never none.
    older: Box<[Arc<Stored>]>,
    /// What all of them are charged, reckoned once: entries are moved between queues under the store's lock.
    charge: usize,
}

/// What is left of some variants.
pub(super) enum Left {
    /// All of them.
    All,
    /// Some of them.
    Some(Variants),
    /// None of them.
    Nothing,
}

impl Variants {
    /// The most recent one that this request selects (RFC 9111 §4). `None`: the origin has to be asked.
    pub fn select(&self, asked: &HeaderMap) -> Option<&Arc<Stored>> {
        let selected = self.iter().filter(|stored| stored.is_selected_by(asked));
        selected.reduce(|best, older| {
            if is_more_recent(older, best) {
                older
            } else {
                best
            }
        })
    }

    /// The same, without counting a reference where there is a single one.
    pub fn into_selected(self, asked: &HeaderMap) -> Option<Arc<Stored>> {
        match self {
            Variants::One(stored) => stored.is_selected_by(asked).then_some(stored),
            Variants::Several(_) => self.select(asked).cloned(),
        }
    }

    /// The one that was stored last.
    pub fn newest(&self) -> &Arc<Stored> {
        match self {
            Variants::One(stored) => stored,
            Variants::Several(several) => &several.newest,
        }
    }

    /// All of them, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Stored>> {
        let older = match self {
            Variants::One(_) => &[],
            Variants::Several(several) => &several.older[..],
        };
        slice::from_ref(self.newest()).iter().chain(older)
    }

    /// How many there are, at least one.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        match self {
            Variants::One(_) => 1,
            Variants::Several(several) => 1 + several.older.len(),
        }
    }

    /// What they count towards `maxBytes`, all together.
    pub fn charge(&self) -> usize {
        match self {
            Variants::One(stored) => stored.charge(),
            Variants::Several(several) => several.charge,
        }
    }

    /// `known` with a newcomer, which takes the place of every one that `sent` selects. While they are too many, or are
    /// charged more than `room`, the least recently used one goes; the newcomer never does.
    pub(super) fn with(
        known: Option<&Variants>,
        newcomer: Arc<Stored>,
        sent: &HeaderMap,
        room: usize,
    ) -> (Variants, Inserted) {
        let unselected = known
            .into_iter()
            .flat_map(Variants::iter)
            .filter(|stored| !stored.is_selected_by(sent));
        let mut older: Vec<_> = unselected.cloned().collect();
        let what = match known {
            _ if older.len() >= MOST => Inserted::Crowded,
            Some(known) if known.len() > older.len() => Inserted::Replaced,
            _ => Inserted::New,
        };
        while older.len() >= MOST || newcomer.charge() + charge(&older) > room {
            let Some(least) = least_recently_used(&older) else {
                break;
            };
            older.remove(least);
        }
        (Variants::of(newcomer, older), what)
    }

    /// What is left without those that `unwanted` says.
    pub(super) fn without(&self, mut unwanted: impl FnMut(&Stored) -> bool) -> Left {
        if let Variants::One(stored) = self {
            return if unwanted(stored) {
                Left::Nothing
            } else {
                Left::All
            };
        }
        let mut wanted = self.iter().filter(|stored| !unwanted(stored)).cloned();
        let Some(newest) = wanted.next() else {
            return Left::Nothing;
        };
        let older: Vec<_> = wanted.collect();
        if 1 + older.len() == self.len() {
            Left::All
        } else {
            Left::Some(Variants::of(newest, older))
        }
    }

    fn of(newest: Arc<Stored>, older: Vec<Arc<Stored>>) -> Variants {
        if older.is_empty() {
            return Variants::One(newest);
        }
        let charge = newest.charge() + charge(&older);
        Variants::Several(Arc::new(Several {
            newest,
            older: older.into(),
            charge,
        }))
    }
}

fn charge(variants: &[Arc<Stored>]) -> usize {
    variants.iter().map(|stored| stored.charge()).sum()
}

/// Whether the origin made the one after the other, as far as their Date tells: it is in whole seconds.
fn is_more_recent(one: &Stored, other: &Stored) -> bool {
    let one = &one.lifetime;
    let other = &other.lifetime;
    one.received() + other.initial_age()
        > other.received() + one.initial_age() + Duration::from_millis(500)
}

/// Among several used in the same second, the oldest.
fn least_recently_used(newest_first: &[Arc<Stored>]) -> Option<usize> {
    let used = newest_first.iter().map(|stored| stored.last_used());
    used.enumerate()
        .rev()
        .min_by_key(|(_, used)| *used)
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests;

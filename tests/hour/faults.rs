//! What ails the origin, and when: windows of time from the seed, over the whole origin or a few of its paths.

use larder::outcome::FetchError;

use crate::dice::Dice;
use crate::endpoints::ENDPOINTS;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Refused,
    Unplugged,
    Hangs,
    Drips,
    Cuts,
    Fails,
    Limits,
    Lies,
    Flaps,
    Slow,
}

const ALL: [Fault; 10] = [
    Fault::Refused,
    Fault::Unplugged,
    Fault::Hangs,
    Fault::Drips,
    Fault::Cuts,
    Fault::Fails,
    Fault::Limits,
    Fault::Lies,
    Fault::Flaps,
    Fault::Slow,
];

/// What comes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// What there is to tell.
    Good,
    /// Status 200, and nothing in it.
    Rubbish,
    /// This status, with this Retry-After in seconds.
    Status(u16, Option<u64>),
    Error(FetchError),
    /// A good answer a byte or so each second, whole or cut.
    Drip {
        seconds: u64,
        cut: bool,
    },
}

struct Window {
    from: u64,
    to: u64,
    fault: Fault,
    /// Which endpoints; bits by their place.
    endpoints: u32,
}

/// The faults of one hour. All times in milliseconds.
pub struct Faults {
    windows: Vec<Window>,
}

impl Faults {
    /// Windows between these moments, most of them over everything.
    pub fn new(dice: &mut Dice, from: u64, until: u64) -> Faults {
        let mut windows = Vec::new();
        let mut at = from;
        while at < until {
            let fault = dice.of(&ALL);
            let to = (at + dice.between(5_000, 400_000)).min(until);
            let some = dice.between(1, (1 << ENDPOINTS.len()) - 1)
                & dice.between(1, (1 << ENDPOINTS.len()) - 1);
            let endpoints = if dice.one_in(3) {
                some as u32
            } else {
                u32::MAX
            };
            windows.push(Window {
                from: at,
                to,
                fault,
                endpoints,
            });
            // Now and then one fault follows on the other, or lies over it.
            at = if dice.one_in(4) {
                at + dice.between(1_000, 60_000)
            } else {
                to + dice.between(5_000, 240_000)
            };
        }
        Faults { windows }
    }

    /// How long a request takes that begins now, and what comes of it.
    pub fn fate(&self, dice: &mut Dice, path: &str, now: u64) -> (u64, Fate) {
        let place = ENDPOINTS
            .iter()
            .position(|endpoint| endpoint.path == path)
            .unwrap_or(0);
        let of_now = |window: &&Window| {
            (window.from..window.to).contains(&now) && window.endpoints >> place & 1 == 1
        };
        match self.windows.iter().rev().find(of_now) {
            Some(window) => window.fault.fate(dice),
            None => (dice.between(5, 400), Fate::Good),
        }
    }
}

impl Fault {
    fn fate(self, dice: &mut Dice) -> (u64, Fate) {
        let soon = dice.between(1, 300);
        match self {
            Fault::Refused => (dice.between(1, 20), Fate::Error(FetchError::Connect)),
            Fault::Unplugged => (2_000, Fate::Error(FetchError::ConnectTimeout)),
            Fault::Hangs => (10_000, Fate::Error(FetchError::FirstByteTimeout)),
            Fault::Drips => match dice.below(4) {
                0 => (60_000, Fate::Error(FetchError::TotalTimeout)),
                1 => (10_000 + soon, Fate::Error(FetchError::IdleTimeout)),
                _ => (
                    500 + soon,
                    Fate::Drip {
                        seconds: dice.between(2, 90),
                        cut: dice.one_in(2),
                    },
                ),
            },
            Fault::Cuts if dice.one_in(4) => (soon, Fate::Error(FetchError::Protocol)),
            Fault::Cuts => (soon, Fate::Error(FetchError::Truncated)),
            Fault::Fails => (soon, Fate::Status(dice.of(&[500, 502, 503, 504]), None)),
            Fault::Limits => (
                soon,
                Fate::Status(
                    dice.of(&[429, 503]),
                    Some(dice.of(&[1, 7, 20, 60, 120, 900])),
                ),
            ),
            Fault::Lies => (soon, Fate::Rubbish),
            Fault::Flaps if dice.one_in(2) => (soon, Fate::Good),
            Fault::Flaps => dice.of(&ALL[..8]).fate(dice),
            Fault::Slow => (dice.between(1_800, 9_500), Fate::Good),
        }
    }
}

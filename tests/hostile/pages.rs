//! What the origin of the mixed load says: every byte of a body tells its target, the time it was made, and its place.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::support::{Answer, Seen};

/// How long what lies below `/brief/` is fresh, ms.
pub const BRIEF: u64 = 1000;
/// How long it stays the same, ms: within this time it is confirmed by a 304.
const BRIEF_STAYS: u64 = 3000;
/// The origin takes at most so long.
const SLOWEST_MS: u64 = 300;
/// Pages below `/large/`.
pub const LARGE_PAGES: u64 = 2;
const LARGE: usize = 1024 * 1024;

/// The pages, and what was asked of them that must not have been.
pub struct Pages {
    begun: Instant,
    seed: u64,
    asked: AtomicU64,
    /// Targets of unsafe requests that were each to come once.
    changed: Mutex<HashSet<String>>,
    complaints: Mutex<Vec<String>>,
}

impl Pages {
    pub fn new(seed: u64) -> Pages {
        Pages {
            begun: Instant::now(),
            seed,
            asked: AtomicU64::new(0),
            changed: Mutex::default(),
            complaints: Mutex::default(),
        }
    }

    /// The time of the pages, ms.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).expect("a test is shorter")
    }

    /// The origin's answer: right, and one in eight slowly.
    pub fn answer(&self, seen: &Seen) -> Answer {
        let mut dice = Dice::new(self.seed ^ self.asked.fetch_add(1, Ordering::Relaxed));
        let target = seen.target.as_str();
        let answer = match target.split('/').nth(1) {
            Some("steady" | "once" | "large" | "left") => whole(target, self.now()),
            Some("brief") => self.brief(seen),
            Some("echo") => self.echo(seen),
            Some("failing") => Answer::status(dice.of(&[200, 500, 502, 503])).body(target),
            Some("never" | "in-body") => {
                self.complain(format!("{} {target} reached the origin", seen.method));
                Answer::status(500)
            }
            _ => Answer::ok(target),
        };
        if dice.one_in(8) {
            answer.taking(Duration::from_millis(dice.between(1, SLOWEST_MS)))
        } else {
            answer
        }
    }

    /// What came although it must not have, and unsafe requests that came twice.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    fn brief(&self, seen: &Seen) -> Answer {
        let made = self.now() / BRIEF_STAYS * BRIEF_STAYS;
        let answer = if seen.values("If-None-Match").contains(&tag(made)) {
            Answer::status(304).field("ETag", tag(made))
        } else {
            whole(&seen.target, made)
        };
        answer.field("Cache-Control", format!("max-age={}", BRIEF / 1000))
    }

    /// Says what it was sent, and that it must not be sent again.
    fn echo(&self, seen: &Seen) -> Answer {
        if !self.changed.lock().unwrap().insert(seen.target.clone()) {
            self.complain(format!("{} {} came twice", seen.method, seen.target));
        }
        Answer::ok([seen.target.as_bytes(), b" ", &seen.body].concat())
    }

    fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap().push(complaint);
    }
}

/// The least time at which the page of a target that is asked for at `asked` may have been made.
pub fn oldest(target: &str, asked: u64) -> u64 {
    match target.split('/').nth(1) {
        // Nobody asked for it before.
        Some("once") => asked,
        Some("brief") => asked.saturating_sub(BRIEF + BRIEF_STAYS),
        _ => 0,
    }
}

/// The entity tag of a page made at that time.
pub fn tag(made: u64) -> String {
    format!("\"{made}\"")
}

/// The page of `target` as it was made at that time.
pub fn page(target: &str, made: u64) -> Vec<u8> {
    let size = size(target);
    let mut body = Vec::with_capacity(size + 64);
    while body.len() < size {
        let place = body.len();
        body.extend_from_slice(format!("{target} made {made} at {place}\n").as_bytes());
    }
    body.truncate(size);
    body
}

/// The bytes of the page of `target`, whenever it is made: few or many, by its number.
pub fn size(target: &str) -> usize {
    if target.starts_with("/large/") {
        return LARGE;
    }
    let number: usize = target
        .rsplit('/')
        .next()
        .and_then(|last| last.parse().ok())
        .expect("a number at its end");
    let part = number % 32;
    100 + part * part * 64
}

fn whole(target: &str, made: u64) -> Answer {
    Answer::ok(page(target, made)).field("ETag", tag(made))
}

//! What became of every request of the regular clients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use crate::scene::Waits;

/// Why a client is not content.
pub enum Failure {
    /// It got no answer, or was told to come again.
    Lost(String),
    /// It got an answer that is not the one to its request.
    Wrong(String),
}

/// All requests, by kind. Shared by the clients.
#[derive(Default)]
pub struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    waits: BTreeMap<&'static str, Waits>,
    hits: u64,
    lost: Vec<String>,
    wrong: Vec<String>,
}

impl Ledger {
    /// Notes how one request, or one pair, of that kind went.
    pub fn note(&self, kind: &'static str, took: Duration, went: Result<(), Failure>) {
        let mut entries = self.0.lock().unwrap();
        entries.waits.entry(kind).or_default().add(took);
        match went {
            Ok(()) => {}
            Err(Failure::Lost(why)) => entries.lost.push(format!("{kind}: {why}")),
            Err(Failure::Wrong(why)) => entries.wrong.push(format!("{kind}: {why}")),
        }
    }

    /// Notes that an answer came out of the store.
    pub fn hit(&self) {
        self.0.lock().unwrap().hits += 1;
    }

    /// The kinds of requests there were.
    pub fn kinds(&self) -> usize {
        self.0.lock().unwrap().waits.len()
    }

    /// Requests lost, and wrong answers; of each the first ten.
    pub fn failures(&self) -> (Vec<String>, Vec<String>) {
        let entries = self.0.lock().unwrap();
        let first = |all: &Vec<String>| all.iter().take(10).cloned().collect();
        (first(&entries.lost), first(&entries.wrong))
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.0.lock().unwrap();
        for (kind, waits) in &entries.waits {
            writeln!(f, "{kind}: {waits}")?;
        }
        let Entries {
            hits, lost, wrong, ..
        } = &*entries;
        write!(
            f,
            "{hits} answers from the store; lost: {}, wrong: {}",
            lost.len(),
            wrong.len()
        )
    }
}

//! The tables: whose word an answer lives by, and how old it is when its origin fails.

use serde_json::{Value, json};

use super::expected::{Life, MAX_AGE, RULE, STALE_IF_ERROR};
use super::fault::{Fault, Means};

/// One table of the page.
pub struct Table {
    /// Its heading.
    pub name: &'static str,
    /// The same in one word or two, for the headings below it.
    pub short: &'static str,
    /// What stands below that.
    pub about: &'static str,
    /// How the stored answer lives.
    pub life: Life,
    /// What is configured.
    pub configuration: fn() -> Value,
    /// What the origin says with a good answer.
    pub fields: &'static [(&'static str, &'static str)],
    /// The columns: a heading, and the age of what is stored in seconds. `None`: nothing is.
    pub columns: &'static [(&'static str, Option<u64>)],
}

/// All of them, in the order of the page.
pub static TABLES: [Table; 3] = [
    Table {
        name: "A route with lifetimes and a check",
        short: "on such a route",
        about: "`cacheTTL` 100, `staleTime` 50, `slowGrace` 300, `graceTime` 200, `check` `{ \"json\": \"object\", \"require\": [\"/power\"] }`.",
        life: RULE,
        configuration: || {
            json!({ "urlConfigs": [{ "path": "/a", "cacheTTL": 100, "staleTime": 50, "slowGrace": 300, "graceTime": 200,
                "check": { "json": "object", "require": ["/power"] } }] })
        },
        fields: &[],
        columns: &[
            ("nothing stored", None),
            ("fresh, 10 s", Some(10)),
            ("past `staleTime`, 60 s", Some(60)),
            ("past `cacheTTL`, 150 s", Some(150)),
            ("past `graceTime`, 350 s", Some(350)),
            ("past `slowGrace`, 1000 s", Some(1000)),
        ],
    },
    Table {
        name: "An answer with `max-age=100`",
        short: "with `max-age`",
        about: "No route and no defaults (`defaultTTL` and `defaultStaleTime` 0): the origin's word alone.",
        life: MAX_AGE,
        configuration: pure,
        fields: &[("Cache-Control", "max-age=100")],
        columns: OF_THE_ORIGIN,
    },
    Table {
        name: "An answer with `max-age=100, stale-if-error=200`",
        short: "with `stale-if-error`",
        about: "As before; the origin allows its answer to stand in for an error for 200 s.",
        life: STALE_IF_ERROR,
        configuration: pure,
        fields: &[("Cache-Control", "max-age=100, stale-if-error=200")],
        columns: OF_THE_ORIGIN,
    },
];

const OF_THE_ORIGIN: &[(&str, Option<u64>)] = &[
    ("nothing stored", None),
    ("fresh, 10 s", Some(10)),
    ("50 s past it", Some(150)),
    ("900 s past it", Some(1000)),
    ("over a day old", Some(90_000)),
];

fn pure() -> Value {
    json!({ "cache": { "defaultTTL": 0, "defaultStaleTime": 0 } })
}

impl Table {
    /// Why a cell is not there, if it is not.
    pub fn leaves_out(&self, fault: &Fault, age: Option<u64>) -> bool {
        let is_rubbish = fault.means == Means::Rubbish;
        let is_nameless = matches!(
            fault.means,
            Means::Silence {
                word: "unresolved",
                ..
            }
        );
        // Without a check every body is an answer. Addresses that were known once are kept: nothing can be stored.
        (is_rubbish && !self.life.is_users) || (is_nameless && age.is_some())
    }
}

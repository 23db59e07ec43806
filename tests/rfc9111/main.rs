//! Scenarios: what a correct cache does at a given time with a given request, as data.
//!
//! Each file of `tests/rfc9111` is a list of scenarios. A scenario runs through the whole proxy between a client and a scripted
//! origin, in this process with a clock that is moved; one that needs no waiting runs once more before the real program.
//!
//! ```sh
//! cargo test --test rfc9111 storing::                # one file, both ways; storing::in_process is the first
//! cargo test --test rfc9111 the_report               # every case, in target/reports/RFC9111.md
//! ```
//!
//! One whole scenario. All but `t`, `status`, `fields` and `expect` could be shorter: what is left out is not looked at, or has
//! the value in brackets.
//!
//! ```json
//! {
//!   "name": "a-confirmed-answer-is-sent-with-its-new-fields",
//!   "rfc": "9111 §4.3.4",
//!   "kind": "must",
//!   "says": "After a 304 the stored body is sent with the fields the 304 brought.",
//!   "bullet": "validation-304-replaces-fields",
//!   "steps": [
//!     { "origin": { "fields": [["Cache-Control", "max-age=10"], ["ETag", "\"a\""], ["X-Turn", "1"]], "body": "one" },
//!       "expect": { "status": 200, "from": "origin" } },
//!     { "t": 20,
//!       "origin": { "status": 304, "fields": [["Cache-Control", "max-age=30"], ["ETag", "\"a\""], ["X-Turn", "2"]] },
//!       "origin_saw": { "fields": { "If-None-Match": "\"a\"" } },
//!       "expect": { "status": 200, "body": "one", "from": "validated", "fields": { "X-Turn": "2", "Date": "{now}" } } },
//!     { "t": 40, "expect": { "from": "store", "body": "one", "age": 20, "fields": { "Date": "{start+20}" } } }
//!   ]
//! }
//! ```
//!
//! - **Scenario.** `name` is distinct in all files. `kind` is must, should or choice. `bullet` is an id of
//!   `bullets.json`, or several. `config` (`{}`) is laid over pure RFC 9111:
//!   `{"preset":"api","backend":{"retries":0},"cache":{"defaultTTL":0,"defaultStaleTime":0}}`. `"sockets": false`: not before the real program;
//!   neither is one with a `t` above 0 or with `gone`.
//! - **Step.** `t` is in seconds since the scenario began (as before, at first 0). `method` (GET). `path` (`""`)
//!   follows the scenario's own prefix `/file/name`; scenarios never meet. `fields` is a list of pairs, Host and
//!   Content-Length come by themselves. `body`. `version` (`"1.1"`). `"gone": true`: the origin's port refuses
//!   connections from here on. `settle`: n waits after the reply until the origin has been asked n times for this
//!   target since the scenario began, and nothing is under way: for what happens in the background.
//! - **`origin`** is one answer or a list: the origin must be asked exactly so often in this step, not at all without
//!   it. An answer has `status` (200), `fields`, `body`, `interim` (a list of `status` and `fields`), and what may be
//!   odd about it: `cut` (ends after half of the body), `refuse` (closes without a byte, however often it is asked),
//!   `silent` (never answers; set `backend.firstByteTimeout`, which is real time), `length` (announced, not true),
//!   `close` (the body ends with the connection), `chunked`. `Date: {now}` is added unless `no_date`, or there is a
//!   Date.
//! - **`origin_saw`** has `method`, `path`, `fields`, `absent`, `body`. One is about the last request of the step; a
//!   list, about each.
//! - **`expect`** has `status`, `body`, `x` (X-Cache-Status), `cache_status` (texts in Cache-Status), `absent` (field
//!   names), `age` (n or [least, most]), `interim` (all of them; of the fields those named), `cut` (the connection ends
//!   before the reply is whole), and `fields`: a text is exactly one line, a list is all lines. `from` is read off
//!   Cache-Status: `origin`; `store` (fresh); `validated` (after a 304); `stale` (past its lifetime, `ttl` 0 or below,
//!   or the fetch failed); `larder` (our own error).
//! - **Placeholders** in field values, everywhere: `{now}`, `{now-3600}` (the time of the step), `{start+10}` (of the
//!   scenario's beginning), as IMF-fixdate; `{rfc850:now}`, `{asctime:now}`; `{path}` the step's target, `{prefix}` the
//!   scenario's prefix (`{prefix}/b` is the target of path `/b`), `{origin}` the origin's URL. Any other brace is an
//!   error. A char of a value is one byte (Latin-1).
//!
//! Times are to the second: Larder's clock stands at the start of one, so `{now}` and ages are exact, and a step is at
//! `t` plus the few milliseconds that it takes. A scenario a busy machine held up beyond that second is played again.
//! Still, stay two seconds away from an edge that is not the point.
//!
//! Backoff is on, as it always is: after a 5xx, a dropped connection or a silence the origin is not asked for that
//! target for 5 s; after a refused connection it is not asked for anything for 5 s.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod runner;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use larder_test_support as support;
use runner::page::{self, Elsewhere};
use runner::{Scenario, folder, load};
use serde::Deserialize;

/// The files, in the order of the sheet.
macro_rules! files {
    ($($file:ident)*) => {
        const FILES: &[&str] = &[$(stringify!($file)),*];

        $(mod $file {
            #[test]
            fn in_process() {
                crate::runner::in_process(stringify!($file));
            }

            #[test]
            fn real_binary() {
                crate::runner::real_binary(stringify!($file));
            }
        })*
    };
}

files! { storing directives freshness vary validation conditions ranges stale request_directives invalidation targeted relay }

/// One claim of the sheet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bullet {
    id: String,
    text: String,
    /// What no scenario can say is shown by these tests: `file: function`.
    #[serde(default)]
    elsewhere: Vec<String>,
}

#[test]
fn every_bullet_of_the_sheet_is_covered() {
    let bullets = bullets();
    let known: BTreeSet<&str> = bullets.iter().map(|bullet| bullet.id.as_str()).collect();
    assert_eq!(
        known.len(),
        bullets.len(),
        "an id stands twice in bullets.json"
    );
    let scenarios: Vec<Scenario> = FILES.iter().flat_map(|file| load(file)).collect();
    let named: BTreeSet<&str> = scenarios
        .iter()
        .flat_map(|scenario| &scenario.bullet)
        .map(String::as_str)
        .collect();
    let unknown: Vec<&&str> = named.difference(&known).collect();
    assert!(
        unknown.is_empty(),
        "scenarios name what is not in bullets.json: {unknown:?}"
    );
    let tests = bullets.iter().flat_map(|bullet| &bullet.elsewhere);
    let missing: Vec<&String> = tests.filter(|test| !is_a_test(test)).collect();
    assert!(
        missing.is_empty(),
        "bullets.json names tests that are not there: {missing:?}"
    );
    let shown =
        |bullet: &&Bullet| !bullet.elsewhere.is_empty() || named.contains(bullet.id.as_str());
    let open: Vec<&str> = bullets
        .iter()
        .filter(|bullet| !shown(bullet))
        .map(|bullet| bullet.id.as_str())
        .collect();
    assert!(
        open.is_empty(),
        "{} of {} are not covered: {open:#?}",
        open.len(),
        bullets.len()
    );
}

#[test]
fn there_are_250_scenarios_with_names_of_their_own() {
    let scenarios: Vec<Scenario> = FILES.iter().flat_map(|file| load(file)).collect();
    let mut names = BTreeSet::new();
    let twice: Vec<&String> = scenarios
        .iter()
        .map(|scenario| &scenario.name)
        .filter(|name| !names.insert(*name))
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(scenarios.len() >= 250, "{}", scenarios.len());
}

#[test]
fn every_file_is_played() {
    let files = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let json = files.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    let found: BTreeSet<String> = json
        .map(|path| stem(&path))
        .filter(|name| name != "bullets")
        .collect();
    assert_eq!(found, FILES.iter().map(|file| (*file).to_owned()).collect());
}

#[test]
fn the_report_is_written_and_the_page_has_its_counts() {
    let files: Vec<(&str, Vec<Scenario>)> = FILES.iter().map(|file| (*file, load(file))).collect();
    let elsewhere: Vec<Elsewhere> = bullets()
        .into_iter()
        .filter(|bullet| !bullet.elsewhere.is_empty())
        .map(|bullet| Elsewhere {
            text: bullet.text,
            tests: bullet.elsewhere,
        })
        .collect();
    support::write_report("RFC9111.md", &page::markdown(&files, &elsewhere));
    support::expect_in_document("RFC9111.md", &page::summary(&files));
}

fn bullets() -> Vec<Bullet> {
    serde_json::from_str(&fs::read_to_string(folder().join("bullets.json")).unwrap()).unwrap()
}

/// Whether the file has a function of that name.
fn is_a_test(test: &str) -> bool {
    let Some((file, function)) = test.split_once(": ") else {
        return false;
    };
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
    text.contains(&format!("fn {function}("))
}

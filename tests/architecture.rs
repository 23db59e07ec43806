//! The shape of the source, read from the source: who may know whom, and which file alone may name what.
//!
//! Test code is left out of everything but the length of files: it ends each file, or stands in a file of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a file that cannot be read is a failed test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every part of the crate, top-down, with the parts it knows. An arrow points down in this table, but for [`KNOT`].
const ARROWS: [(&str, &[&str]); 29] = [
    ("main", &["app", "clock", "config", "logging", "threads"]),
    ("commands", &["arguments", "clock", "config", "control"]),
    ("arguments", &["config"]),
    ("systemd", &[]),
    (
        "app",
        &[
            "cache",
            "clock",
            "config",
            "control",
            "endpoints",
            "front",
            "message",
            "origin",
            "powerwall",
            "proxy",
            "reply",
            "scheduler",
            "threads",
            "timer",
        ],
    ),
    ("timer", &["clock", "origin", "proxy"]),
    ("scheduler", &["clock", "proxy"]),
    ("logging", &["secret", "threads"]),
    (
        "control",
        &[
            "config",
            "endpoints",
            "message",
            "proxy",
            "reply",
            "threads",
        ],
    ),
    (
        "endpoints",
        &[
            "cache",
            "clock",
            "config",
            "message",
            "proxy",
            "reply",
            "route",
            "secret",
            "statistics",
        ],
    ),
    (
        "front",
        &[
            "budget", "clock", "message", "metrics", "origin", "outcome", "policy", "proxy",
            "reply", "sync", "threads",
        ],
    ),
    (
        "proxy",
        &[
            "cache",
            "clock",
            "config",
            "message",
            "metrics",
            "origin",
            "outcome",
            "policy",
            "reply",
            "route",
            "secret",
            "statistics",
            "sync",
        ],
    ),
    ("statistics", &["cache", "clock", "message", "sync"]),
    (
        "config",
        &["origin", "policy", "powerwall", "route", "secret"],
    ),
    (
        "powerwall",
        &["clock", "message", "origin", "policy", "route"],
    ),
    (
        "cache",
        &[
            "clock", "message", "origin", "outcome", "policy", "reply", "route", "sync",
        ],
    ),
    (
        "reply",
        &["cache", "clock", "message", "origin", "outcome", "policy"],
    ),
    ("route", &["message", "policy"]),
    ("origin", &["clock", "message", "outcome", "policy"]),
    ("outcome", &[]),
    ("policy", &["clock"]),
    ("message", &["budget"]),
    ("budget", &[]),
    ("secret", &[]),
    ("metrics", &[]),
    ("clock", &[]),
    ("sync", &[]),
    ("threads", &[]),
    ("lib", &[]),
];

/// The one arrow up: a stored answer is one kind of reply, and who waits in a flight is told one.
const KNOT: (&str, &str) = ("reply", "cache");

/// What `policy` may name from outside itself.
const POLICY_MAY_NAME: [&str; 11] = [
    "crate::clock::Now",
    "http::",
    "memchr::",
    "serde::",
    "sfv::",
    "std::borrow::Cow",
    "std::convert::Infallible",
    "std::fmt",
    "std::ops::Range",
    "std::time::Duration",
    // A constant to reckon from; what time it is it does not say.
    "std::time::{Duration, UNIX_EPOCH}",
];

/// Words that no pure code has: clocks, locks, threads, files, sockets, the environment, the log.
const IMPURE: [&str; 22] = [
    "Instant",
    "SystemTime",
    "Clock",
    "elapsed",
    "Mutex",
    "RwLock",
    "Condvar",
    "RefCell",
    "thread",
    "thread_local",
    "parking_lot",
    "crossbeam_channel",
    "fs",
    "io",
    "env",
    "process",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "libc",
    "log",
    "simplelog",
];

/// Words of an older vocabulary: no identifier of src or tests has one of them. docs/ARCHITECTURE.md has the words in use.
const OLD_WORDS: &[&str] = &[
    "passenger",
    "passengers",
    "errand",
    "errands",
    "aboard",
    "board",
    "boards",
    "fly",
    "flies",
    "flying",
    "landing",
    "landed",
    "lands",
    "judgement",
    "judgements",
    "witness",
    "witnesses",
    "witnessed",
    "doubt",
    "herald",
    "heralds",
    "insight",
    "marks",
    "crowds",
    "shed",
    "sheds",
    "crew",
    "hops",
    "tower",
    "ears",
    "roads",
    "road",
    "thrift",
    "wishes",
    "trouble",
    "troubles",
    "ticket",
    "outbox",
    "door",
    "owed",
];

/// Where an old word may stay, and why. An empty word: all of them.
const MAY_STAY: &[(&str, &str, &str)] = &[
    ("tests/architecture.rs", "", "lists them"),
    ("src/metrics/rejections.rs", "outbox", "a member of /health"),
    ("src/proxy/health.rs", "shed", "a member of /health"),
    ("tests/hostile", "shed", "a member of /health"),
    ("tests/hostile", "outbox", "a member of /health"),
    ("src/policy/ranges/tests.rs", "marks", "quotation marks"),
    ("src/front/head/tests.rs", "doubt", "what framing is in"),
    ("src/policy/request_fields", "fly", "the fields of fly.io"),
    ("src/origin/forward/tests.rs", "fly", "the fields of fly.io"),
    (
        "src/cache/variants/tests.rs",
        "sheds",
        "drops entries: the verb",
    ),
];

/// One file below `src`.
struct Source {
    /// Below `src`, with `/`.
    path: String,
    text: String,
    /// Without comments and test code; empty for a file of tests.
    code: String,
}

#[test]
fn arrows_point_down() {
    let depth = |part: &str| ARROWS.iter().position(|(name, _)| *name == part);
    for (from, known) in ARROWS {
        for to in known {
            let down = depth(from) < depth(to) && depth(to).is_some();
            assert!(down || (from, *to) == KNOT, "{from} may not know {to}");
        }
    }
}

#[test]
fn the_arrows_in_the_code_are_those_of_the_table() {
    let sources = sources();
    let parts: BTreeSet<&str> = sources.iter().map(Source::part).collect();
    assert_eq!(
        parts,
        ARROWS.iter().map(|(part, _)| *part).collect(),
        "a part of src without a row, or the reverse"
    );
    for (part, expected) in ARROWS {
        let own = sources.iter().filter(|source| source.part() == part);
        let known: BTreeSet<&str> = own
            .flat_map(Source::arrows)
            .filter(|to| *to != part)
            .collect();
        assert_eq!(
            known,
            expected.iter().copied().collect(),
            "what {part} knows, and what the table says"
        );
    }
}

#[test]
fn i1_policy_never_reads_a_clock_lock_socket_or_log() {
    for source in sources().iter().filter(|source| source.part() == "policy") {
        source.has_none_of(&IMPURE);
        for line in source
            .code
            .lines()
            .map(str::trim_start)
            .filter(|line| line.starts_with("use "))
        {
            let named = &line["use ".len()..];
            let allowed = named.starts_with("super::")
                || POLICY_MAY_NAME.iter().any(|name| named.starts_with(name));
            assert!(allowed, "{}: {line}", source.path);
        }
        let ours = source.code.matches("crate::").count();
        assert_eq!(
            ours,
            source.code.matches("crate::clock::Now").count(),
            "{}: only Now is known",
            source.path
        );
    }
}

#[test]
fn the_core_names_no_powerwall() {
    let core = ["proxy", "cache", "policy", "origin", "reply", "scheduler"];
    let foreign = [
        "powerwall",
        "aggregates",
        "soe",
        "vitals",
        "battery",
        "gateway",
    ];
    for source in sources()
        .iter()
        .filter(|source| core.contains(&source.part()))
    {
        let named = words(&source.code)
            .flat_map(parts)
            .find(|part| foreign.iter().any(|word| part.contains(word)));
        assert_eq!(named, None, "{}", source.path);
    }
}

#[test]
fn i1_what_calls_itself_pure_is() {
    let sources = sources();
    let pure = |source: &&Source| {
        source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .any(|line| {
                let mut words = words(line);
                words.any(|word| matches!(word, "PURE" | "Pure"))
            })
    };
    let pure: Vec<&Source> = sources.iter().filter(pure).collect();
    assert!(
        pure.len() >= 7,
        "the files that said so when this was written"
    );
    pure.iter().for_each(|source| source.has_none_of(&IMPURE));
}

#[test]
fn each_foreign_thing_has_one_home() {
    let homes: [(&[&str], &[&str]); 5] = [
        (&["ureq"], &["origin/http.rs", "origin/http/"]),
        (&["rustls", "webpki"], &["origin/http/tls/"]),
        (&["tiny_http"], &["control/"]),
        (&["mio"], &["front/"]),
        // The origin's sockets have deadlines of their own, which no test skips.
        (&["Instant", "SystemTime"], &["clock.rs", "origin/http/"]),
    ];
    let sources = sources();
    for (things, homes) in homes {
        let at_home = |source: &&Source| homes.iter().any(|home| source.path.starts_with(home));
        let (inside, outside): (Vec<&Source>, Vec<&Source>) = sources.iter().partition(at_home);
        outside.iter().for_each(|source| source.has_none_of(things));
        assert!(
            inside.iter().any(|source| source.names(things).is_some()),
            "{things:?} is not at home in {homes:?}"
        );
    }
}

#[test]
fn no_identifier_has_an_old_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "tests"] {
        for file in files_below(&root.join(folder)) {
            let path = file
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let is_comment = line.trim_start().starts_with("//");
                let code = line
                    .split(" //")
                    .next()
                    .filter(|_| !is_comment)
                    .unwrap_or_default();
                let old = words(code)
                    .flat_map(parts)
                    .filter(|part| is_old(part, &path));
                found.extend(old.map(|part| format!("{path}:{}: {part}", number + 1)));
            }
        }
    }
    assert!(found.is_empty(), "old words:\n{}", found.join("\n"));
}

impl Source {
    fn read(root: &Path, file: &Path) -> Source {
        let path = file
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .expect("a path of text")
            .replace('\\', "/");
        let text = fs::read_to_string(file).unwrap();
        let is_test = path.split('/').any(|part| part == "tests") || path.ends_with("tests.rs");
        let code = if is_test {
            String::new()
        } else {
            product_code(&path, &text)
        };
        Source { path, text, code }
    }

    /// The part of the crate it belongs to.
    fn part(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The parts it names. Below `src` itself, `super` is the crate; deeper, only one step up is taken.
    fn arrows(&self) -> Vec<&str> {
        assert!(
            !self.code.contains("super::super"),
            "{}: say `crate::`",
            self.path
        );
        let mut roots = vec!["crate::", "larder::"];
        if !self.path.contains('/') {
            roots.push("super::");
        }
        let named = |root| {
            self.code
                .split(root)
                .skip(1)
                .map(|rest| words(rest).next().unwrap_or_default())
        };
        let braces = roots
            .iter()
            .find(|root| self.code.contains(&format!("{root}{{")));
        assert_eq!(braces, None, "{}: one `use` for each part", self.path);
        roots.into_iter().flat_map(named).collect()
    }

    fn names(&self, things: &[&str]) -> Option<&str> {
        words(&self.code).find(|word| things.contains(word))
    }

    fn has_none_of(&self, things: &[&str]) {
        assert_eq!(self.names(things), None, "{}", self.path);
    }
}

/// The text without comments, up to its tests.
fn product_code(path: &str, text: &str) -> String {
    let (code, tests) = text
        .split_once("#[cfg(test)]")
        .unwrap_or((text, "mod tests"));
    let declared = tests
        .trim_start()
        .lines()
        .take(2)
        .any(|line| line.contains("mod tests"));
    assert!(
        declared,
        "{path}: test code stands at the end, in `mod tests`"
    );
    let uncommented = |line: &str| match line.find("//") {
        Some(0) => String::new(),
        // Not the `//` of a URL.
        Some(at) if line[..at].ends_with(' ') => line[..at].to_owned(),
        _ => line.to_owned(),
    };
    // What the compiler is asked is not the environment of the program.
    code.lines()
        .map(uncommented)
        .collect::<Vec<String>>()
        .join("\n")
        .replace("env!", "")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// The words of an identifier: split at `_` and before capitals.
fn parts(identifier: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut previous_is_lower = false;
    for c in identifier.chars() {
        let begins = c == '_' || (c.is_uppercase() && previous_is_lower) || parts.is_empty();
        if begins {
            parts.push(String::new());
        }
        if let Some(last) = parts.last_mut().filter(|_| c != '_') {
            last.extend(c.to_lowercase());
        }
        previous_is_lower = c.is_lowercase();
    }
    parts
}

fn is_old(part: &str, path: &str) -> bool {
    let may_stay = MAY_STAY
        .iter()
        .any(|(place, word, _)| path.starts_with(place) && (word.is_empty() || *word == part));
    OLD_WORDS.contains(&part) && !may_stay
}

/// All of them; that none is missed is the business of [`fs::read_dir`].
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files_below(&root);
    files.iter().map(|file| Source::read(&root, file)).collect()
}

fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

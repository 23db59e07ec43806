//! `docs/FAULTS.md`, made from what is expected.

use std::fmt::Write;

use super::expected::{Expected, From, Method, Turn, expected};
use super::fault::{Fault, How, Means, Whose, all};
use super::table::{TABLES, Table};

const HEAD: &str = "# When the origin fails

What a client gets, by what the origin does, by how old the stored answer is, and by method. This page is generated:
`LARDER_BLESS=1 cargo test --test faults the_page` writes it, and `cargo test --test faults` plays every cell of it between a client and an
origin that fails.

Each cell says what two equal requests get, one after the other, and how many requests the origin got for each:

- **200 stored**: the last good answer, with its true `Age`. `Cache-Status` says `hit`, or `fwd=stale` and the detail below.
- **200 new**: a good answer, however late.
- **503 theirs**: what the origin said; to GET and HEAD with a `Retry-After` of ours where it has none and its address is left alone.
- **502 ours**: JSON with `error`, `message` and `request_id`, and `Retry-After`; `Cache-Status` has the detail.
- **200 cut**: what came of the origin's answer, and then the connection ends: the client sees that it is not whole.
- `1 + 0`: the origin was asked for the first request, and left alone at the second. Where two requests get different things, both are named.

";

const KINDS: &str = "
What becomes of the second request depends on whose failure it is. An origin that cannot be reached is left alone altogether; after any
other failure only that address is. By the origin's word alone an error status is an answer like others: its address is left
alone only where the origin said `Retry-After`, or something stored stands in. A HEAD is held back by the failure of its GET, and by that of other
HEADs; how it fares says nothing of the GET. A POST is its client's own will: it goes out unless the origin itself is left alone, is never
answered from the store, and never sent twice.

A body fault means nothing to HEAD, whose answer has no body. A body that takes its time is passed on as it comes: what follows can
only be cut short. Not where it has to pass a check, nor to a client that something stored could answer: they wait for all of it.
`totalTimeout` ends only bodies that nobody reads.

Not in the tables: an origin whose name has no address, once there is something stored, because addresses that were known are kept;
and rubbish where there is no check, which is an answer like any other.
";

/// The page.
pub fn markdown() -> String {
    let mut out = HEAD.to_owned();
    causes(&mut out);
    out.push_str(KINDS);
    for table in &TABLES {
        let _ = write!(out, "\n## {}\n\n{}\n", table.name, table.about);
        for method in [Method::Get, Method::Head, Method::Post] {
            rows(&mut out, table, method);
        }
    }
    out
}

/// What our own errors are called.
fn causes(out: &mut String) {
    out.push_str(
        "| the origin | detail | our status | left alone afterwards |\n|---|---|---|---|\n",
    );
    for Fault { name, means, .. } in all() {
        let (detail, status, whose) = match means {
            Means::Silence {
                word, how, whose, ..
            } => (word, if how == How::Unreachable { 502 } else { 504 }, whose),
            Means::Status(code, _) => ("status", code, Whose::Key),
            Means::Rubbish => ("check-failed", 503, Whose::Key),
            Means::Late | Means::BreaksOff => continue,
        };
        let whose = if whose == Whose::Origin {
            "the origin"
        } else {
            "the address"
        };
        let _ = writeln!(out, "| {name} | `{detail}` | {status} | {whose} |");
    }
}

fn rows(out: &mut String, table: &Table, method: Method) {
    let _ = write!(
        out,
        "\n### {} {}\n\n| the origin |",
        method.name(),
        table.short
    );
    table.columns.iter().for_each(|(heading, _)| {
        let _ = write!(out, " {heading} |");
    });
    let _ = writeln!(out, "\n|---|{}", "---|".repeat(table.columns.len()));
    for fault in all() {
        let ages = table.columns.iter().map(|(_, age)| *age);
        if ages.clone().all(|age| table.leaves_out(&fault, age)) {
            continue;
        }
        let _ = write!(out, "| {} |", fault.name);
        for age in ages {
            let cell = if table.leaves_out(&fault, age) {
                "—".to_owned()
            } else {
                cell(table, &fault, age, method)
            };
            let _ = write!(out, " {cell} |");
        }
        out.push('\n');
    }
}

fn cell(table: &Table, fault: &Fault, age: Option<u64>, method: Method) -> String {
    let [first, second] =
        [Turn::First, Turn::Second].map(|turn| expected(&table.life, fault, age, method, turn));
    let one = first.short();
    let two = second.short();
    let what = if one == two {
        one
    } else {
        format!("{one}, then {two}")
    };
    format!("{what}, {} + {}", first.asks, second.asks)
}

impl Expected {
    fn short(&self) -> String {
        let whose = match self.body {
            From::Stored => "stored",
            From::Next => "new",
            From::Origins => "theirs",
            From::Ours(_) => "ours",
            From::CutShort => "cut",
        };
        format!("{} {whose}", self.status)
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
        }
    }
}

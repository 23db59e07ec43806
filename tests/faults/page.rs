//! The report `target/reports/FAULTS.md`, made from what is expected, and the tables of it in `docs/FAULTS.md`.

use std::fmt::Write;

use super::expected::{Expected, From, Method, Turn, expected};
use super::fault::{Fault, How, Means, Whose, all};
use super::table::{TABLES, Table};

const METHODS: [Method; 3] = [Method::Get, Method::Head, Method::Post];

/// Every cell.
pub fn markdown() -> String {
    let mut out = "# When the origin fails, cell by cell\n\n".to_owned();
    out.push_str(&causes());
    out.push('\n');
    out.push_str(&summary());
    for table in &TABLES {
        let _ = write!(out, "\n## {}\n\n{}\n", table.name, table.about);
        for method in METHODS {
            rows(&mut out, table, method);
        }
    }
    out
}

/// How many first requests get what, by table and method.
pub fn summary() -> String {
    let mut out = "| stored answer | method | cases | stored or new answer | origin's error | error of Larder | cut |\n\
        |---|---|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for table in &TABLES {
        for method in METHODS {
            let mut good = 0;
            let mut origins = 0;
            let mut ours = 0;
            let mut cut = 0;
            for fault in all() {
                for (_, age) in table.columns {
                    if table.leaves_out(&fault, *age) {
                        continue;
                    }
                    match expected(&table.life, &fault, *age, method, Turn::First).body {
                        From::Stored | From::Next => good += 1,
                        From::Origins => origins += 1,
                        From::Ours(_) => ours += 1,
                        From::CutShort => cut += 1,
                    }
                }
            }
            let cases = good + origins + ours + cut;
            let _ = writeln!(
                out,
                "| {} | {} | {cases} | {good} | {origins} | {ours} | {cut} |",
                table.name,
                method.name()
            );
        }
    }
    out
}

/// What our own errors are called.
pub fn causes() -> String {
    let mut out =
        "| the origin | detail | our status | not asked for a while |\n|---|---|---|---|\n"
            .to_owned();
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
    out
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

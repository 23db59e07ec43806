//! The report `target/reports/RFC9111.md`, made from the scenarios, and the counts in `docs/RFC9111.md`.

use std::fmt::Write;

use super::scenario::{Kind, Scenario};

/// A claim of the sheet that a test other than a scenario shows.
pub struct Elsewhere {
    /// What is shown.
    pub text: String,
    /// The tests, as `file: function`.
    pub tests: Vec<String>,
}

/// The table of counts that `docs/RFC9111.md` shows. `files`: each file's name with its scenarios, in the order of the report.
pub fn summary(files: &[(&str, Vec<Scenario>)]) -> String {
    let mut out =
        String::from("| file | must | should | choice | all |\n|---|---:|---:|---:|---:|\n");
    for (file, scenarios) in files {
        counts(&mut out, file, scenarios);
    }
    let all: Vec<Scenario> = files
        .iter()
        .flat_map(|(_, scenarios)| scenarios.clone())
        .collect();
    counts(&mut out, "all", &all);
    out
}

/// The whole report: every scenario.
pub fn markdown(files: &[(&str, Vec<Scenario>)], elsewhere: &[Elsewhere]) -> String {
    let mut out = String::from("# What of RFC 9111 is shown, case by case\n\n");
    out.push_str(&summary(files));
    for (file, scenarios) in files {
        let _ = write!(
            out,
            "\n## {file}\n\n| RFC | kind | what is shown | scenario |\n|---|---|---|---|\n"
        );
        for Scenario {
            rfc,
            kind,
            says,
            name,
            ..
        } in scenarios
        {
            let _ = writeln!(
                out,
                "| {rfc} | {} | {} | `{name}` |",
                kind.word(),
                cell(says)
            );
        }
    }
    let _ = write!(
        out,
        "\n## Shown by other tests\n\n| what is shown | test |\n|---|---|\n"
    );
    for Elsewhere { text, tests } in elsewhere {
        let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
        let _ = writeln!(out, "| {} | {} |", cell(text), tests.join(", "));
    }
    out
}

fn counts(out: &mut String, what: &str, scenarios: &[Scenario]) {
    let of = |kind| {
        scenarios
            .iter()
            .filter(|scenario| scenario.kind == kind)
            .count()
    };
    let must = of(Kind::Must);
    let should = of(Kind::Should);
    let choice = of(Kind::Choice);
    let _ = writeln!(
        out,
        "| {what} | {must} | {should} | {choice} | {} |",
        scenarios.len()
    );
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Must => "must",
            Kind::Should => "should",
            Kind::Choice => "choice",
        }
    }
}

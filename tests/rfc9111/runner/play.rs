//! One scenario from its first step to its end.

use std::time::Duration;

use super::scenario::{Scenario, Step};
use super::script::Heard;
use super::stage::{Read, Stage};
use super::times::Moment;
use super::verdict;
use crate::support::{Reply, eventually};

/// How often a scenario is played that did not keep its time.
const ATTEMPTS: usize = 3;

/// Plays the scenario; what is wrong, for people. `stage` makes or lends the stage of one attempt.
///
/// A busy machine may hold a scenario up for so long that Larder's clock is no longer at the second the scenario says. What it
/// then does wrong says nothing, so it is played again under other targets, and judged the last time in any case.
pub fn play(
    file: &str,
    scenario: &Scenario,
    mut with_stage: impl FnMut(&mut dyn FnMut(&mut Stage)),
) -> Option<String> {
    for attempt in 1..=ATTEMPTS {
        let prefix = match attempt {
            1 => format!("/{file}/{}", scenario.name),
            _ => format!("/{file}/{}~{attempt}", scenario.name),
        };
        let mut failure = None;
        let mut on_time = true;
        with_stage(&mut |stage| {
            let start = stage.clock().as_secs();
            failure = perform(scenario, stage, &prefix, start);
            let last = scenario
                .steps
                .iter()
                .filter_map(|step| step.t)
                .max()
                .unwrap_or(0);
            on_time = stage.clock().as_secs() <= start + last;
        });
        if failure.is_none() || on_time || attempt == ATTEMPTS {
            let told = |failure| {
                format!(
                    "{file}/{}, RFC {}: {}\n{failure}",
                    scenario.name, scenario.rfc, scenario.says
                )
            };
            return failure.map(told);
        }
    }
    None
}

fn perform(scenario: &Scenario, stage: &mut Stage, prefix: &str, start: u64) -> Option<String> {
    stage.script.begin(prefix);
    let mut t = 0;
    let mut failure = None;
    for (number, step) in scenario.steps.iter().enumerate() {
        let since = step.t.unwrap_or(t);
        stage.skip(Duration::from_secs(since - t));
        t = since;
        let start = i64::try_from(start).expect("seconds fit");
        let moment = Moment {
            start,
            now: start + i64::try_from(t).expect("seconds fit"),
            prefix: prefix.to_owned(),
            target: format!("{prefix}{}", step.path),
            origin: stage.origin(),
        };
        failure = one_step(stage, step, &moment)
            .map(|told| format!("  step {} at {t} s: {told}", number + 1));
        if failure.is_some() {
            break;
        }
    }
    stage.script.end();
    stage.await_idle();
    let unexpected = || {
        let heard: Vec<Heard> = stage
            .script
            .heard()
            .into_iter()
            .filter(|heard| heard.unexpected)
            .collect();
        (!heard.is_empty())
            .then(|| format!("  requests the origin had no answer for:\n{}", all(&heard)))
    };
    failure.or_else(unexpected)
}

fn one_step(stage: &mut Stage, step: &Step, moment: &Moment) -> Option<String> {
    if step.gone {
        stage.stop_origin();
    }
    let before = stage.script.heard().len();
    stage.script.expect(&step.origin, moment);
    let read = stage.ask(step, moment);
    let mut problems = verdict::of_reply(&step.expect, &read, moment);
    if let Some(count) = step.settle {
        let asked = || {
            stage
                .script
                .heard()
                .iter()
                .filter(|heard| heard.target == moment.target)
                .count()
        };
        // A reply that is wrong already may mean that nothing is going to happen.
        if problems.is_empty() && !eventually(|| asked() >= count) {
            problems.push(format!(
                "the origin was asked {} times, expected {count}",
                asked()
            ));
        }
        stage.await_idle();
    }
    let heard = stage.script.heard().split_off(before);
    problems.extend(verdict::of_requests(
        step,
        &heard,
        stage.script.left(),
        moment,
    ));
    if heard.iter().any(|heard| heard.unexpected) {
        problems.push("the origin was asked too often".to_owned());
    }
    let asked = format!("{} {} {:?}", step.method, moment.target, step.fields);
    (!problems.is_empty()).then(|| {
        let problems = problems.join("\n    ");
        format!(
            "{asked}\n    {problems}\n  the reply:\n{}\n  the origin heard:\n{}",
            told(&read),
            all(&heard)
        )
    })
}

fn told(read: &Read) -> String {
    let interim = read.interim.iter().map(head);
    let last = match &read.reply {
        Ok(reply) => format!(
            "{}    {:?}",
            head(reply),
            reply.text().chars().take(400).collect::<String>()
        ),
        Err(error) => format!("    {error}"),
    };
    interim.chain([last]).collect()
}

fn head(reply: &Reply) -> String {
    let fields: String = reply
        .fields
        .iter()
        .map(|(name, value)| format!("    {name}: {value}\n"))
        .collect();
    format!("    {} {}\n{fields}", reply.version, reply.status)
}

fn all(heard: &[Heard]) -> String {
    let one = |heard: &Heard| {
        let fields: String = heard
            .fields
            .iter()
            .map(|(name, value)| format!("; {name}: {value}"))
            .collect();
        let unexpected = if heard.unexpected {
            " (not expected)"
        } else {
            ""
        };
        format!("    {} {}{unexpected}{fields}", heard.method, heard.target)
    };
    if heard.is_empty() {
        "    nothing".to_owned()
    } else {
        heard.iter().map(one).collect::<Vec<_>>().join("\n")
    }
}

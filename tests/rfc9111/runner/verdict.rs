//! What was read and heard, held against what the scenario says. Every difference is told, not only the first.

use std::collections::BTreeMap;

use super::scenario::{Expect, Lines, Provenance, Saw, Step};
use super::script::Heard;
use super::stage::Read;
use super::times::{Moment, resolve};
use crate::support::Reply;

/// How the reply differs from what the step expects.
pub fn of_reply(expect: &Expect, read: &Read, moment: &Moment) -> Vec<String> {
    let mut problems = Vec::new();
    let reply = match (&read.reply, expect.cut) {
        (Err(_), true) => return problems,
        (Err(error), false) => return vec![format!("expected a whole reply, got none: {error}")],
        (Ok(_), true) => {
            return vec!["expected the connection to end before the reply was whole".to_owned()];
        }
        (Ok(reply), false) => reply,
    };
    let cache_status = reply.values("Cache-Status").join(", ");
    differs(&mut problems, "status", expect.status, reply.status);
    differs(&mut problems, "body", expect.body.clone(), reply.text());
    differs(&mut problems, "from", expect.from, provenance(reply));
    differs(
        &mut problems,
        "X-Cache-Status",
        expect.x.clone(),
        reply.cache_status().to_owned(),
    );
    for text in expect
        .cache_status
        .iter()
        .filter(|text| !cache_status.contains(*text))
    {
        problems.push(format!(
            "Cache-Status: expected {text:?} in {cache_status:?}"
        ));
    }
    of_fields(
        &mut problems,
        &expect.fields,
        &expect.absent,
        |name| reply.values(name),
        moment,
    );
    if let (Some(least), Some(most)) = (expect.age.first(), expect.age.last()) {
        let ages = reply.values("Age");
        let lawful = matches!(&ages[..], [age] if age.parse().is_ok_and(|age| (*least..=*most).contains(&age)));
        if !lawful {
            problems.push(format!(
                "Age: expected one line from {least} to {most}, got {ages:?}"
            ));
        }
    }
    problems.extend(of_interim(expect, &read.interim, moment));
    problems
}

/// How the origin's requests of this step differ from what the step says of them.
pub fn of_requests(step: &Step, heard: &[Heard], left: usize, moment: &Moment) -> Vec<String> {
    let mut problems = Vec::new();
    if left > 0 {
        problems.push(format!(
            "the origin was asked too seldom: {left} of its {} answers are left",
            step.origin.len()
        ));
    }
    let about = if step.origin_saw.len() == 1 {
        heard.len().saturating_sub(1)
    } else {
        0
    };
    if heard.len() < about + step.origin_saw.len() {
        problems.push(format!(
            "origin_saw is about {} requests, {} came",
            step.origin_saw.len(),
            heard.len()
        ));
    }
    for (saw, heard) in step.origin_saw.iter().zip(&heard[about..]) {
        of_request(&mut problems, saw, heard, moment);
    }
    problems
}

/// Whose answer a reply is. What has come no way is ours; of all else Cache-Status tells.
fn provenance(reply: &Reply) -> Provenance {
    if reply.values("Via").is_empty() {
        return Provenance::Larder;
    }
    let line = reply.values("Cache-Status").join(",");
    let Some(ours) = line
        .split(',')
        .map(str::trim)
        .rfind(|member| member.starts_with("larder"))
    else {
        return Provenance::Larder;
    };
    let parameter = |name: &str| {
        ours.split(';')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let from_store = reply.field("X-Cache") == Some("HIT");
    let over = parameter("ttl").is_some_and(|ttl| ttl == "0" || ttl.starts_with('-'));
    match parameter("fwd") {
        None if ours.split(';').any(|part| part.trim() == "hit") && over => Provenance::Stale,
        None if ours.split(';').any(|part| part.trim() == "hit") => Provenance::Store,
        None => Provenance::Larder,
        Some(_) if from_store && parameter("fwd-status") == Some("304") => Provenance::Validated,
        Some(_) if from_store => Provenance::Stale,
        Some(_) => Provenance::Origin,
    }
}

fn of_interim(expect: &Expect, interim: &[Reply], moment: &Moment) -> Vec<String> {
    let mut problems = Vec::new();
    let Some(expected) = &expect.interim else {
        return problems;
    };
    let statuses = |list: &[Reply]| list.iter().map(|reply| reply.status).collect::<Vec<u16>>();
    let wanted = expected.iter().map(|one| one.status).collect::<Vec<u16>>();
    differs(
        &mut problems,
        "responses before the final one",
        Some(wanted),
        statuses(interim),
    );
    for (expected, reply) in expected.iter().zip(interim) {
        for (name, value) in &expected.fields {
            let value = known(value, moment);
            if !reply.values(name).contains(&value.as_str()) {
                problems.push(format!(
                    "{name} of {}: expected {value:?}, got {reply:?}",
                    expected.status
                ));
            }
        }
    }
    problems
}

fn of_request(problems: &mut Vec<String>, saw: &Saw, heard: &Heard, moment: &Moment) {
    let path = heard
        .target
        .strip_prefix(&moment.prefix)
        .unwrap_or(&heard.target);
    differs(
        problems,
        "the origin's method",
        saw.method.clone(),
        heard.method.clone(),
    );
    differs(
        problems,
        "the origin's path",
        saw.path.clone(),
        path.to_owned(),
    );
    differs(
        problems,
        "the origin's body",
        saw.body.clone(),
        String::from_utf8_lossy(&heard.body).into_owned(),
    );
    let mut fields = Vec::new();
    of_fields(
        &mut fields,
        &saw.fields,
        &saw.absent,
        |name| heard.values(name),
        moment,
    );
    problems.extend(
        fields
            .into_iter()
            .map(|problem| format!("at the origin, {problem}")),
    );
}

fn of_fields<'a>(
    problems: &mut Vec<String>,
    expected: &BTreeMap<String, Lines>,
    absent: &[String],
    got: impl Fn(&str) -> Vec<&'a str>,
    moment: &Moment,
) {
    for (name, lines) in expected {
        let lines: Vec<String> = lines.0.iter().map(|line| known(line, moment)).collect();
        if got(name) != lines {
            problems.push(format!("{name}: expected {lines:?}, got {:?}", got(name)));
        }
    }
    for name in absent.iter().filter(|name| !got(name).is_empty()) {
        problems.push(format!("{name}: expected none, got {:?}", got(name)));
    }
}

fn differs<T: PartialEq + std::fmt::Debug>(
    problems: &mut Vec<String>,
    what: &str,
    expected: Option<T>,
    got: T,
) {
    if let Some(expected) = expected.filter(|expected| *expected != got) {
        problems.push(format!("{what}: expected {expected:?}, got {got:?}"));
    }
}

fn known(text: &str, moment: &Moment) -> String {
    resolve(text, moment).expect("placeholders were looked at when the file was read")
}

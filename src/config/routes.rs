//! `urlConfigs`: routes and their rules.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use super::section::Section;
use crate::policy::check::{Check, JsonKind};
use crate::policy::rule::{Defaults, Force, Rule, SetCookie};
use crate::route::{Pattern, Route};

/// A word of `force`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forced {
    NoStore,
    Private,
    Authorization,
    MustRevalidate,
}

/// The words of `force`, as the configuration spells them.
const FORCED: [(&str, Forced); 4] = [
    ("no-store", Forced::NoStore),
    ("private", Forced::Private),
    ("authorization", Forced::Authorization),
    ("must-revalidate", Forced::MustRevalidate),
];

/// Reads `urlConfigs`. A route without a usable path is a problem and is left out.
pub fn read_routes(top: &mut Section<'_>, defaults: &Defaults, routes: &mut Vec<Route>, warnings: &mut Vec<String>) {
    let mut seen = HashSet::new();
    top.sections("urlConfigs", |section| {
        let rule = read_rule(section, defaults, warnings);
        if let Some(pattern) = read_pattern(section) {
            if seen.insert(pattern.clone()) {
                routes.push(Route { pattern, rule });
            } else {
                section.problem("path", "a path that stands here twice", "each path once");
            }
        }
    });
}

fn read_pattern(section: &mut Section<'_>) -> Option<Pattern> {
    let mut pattern = None;
    let parse = |value: &Value| value.as_str().and_then(Pattern::parse).map(Some);
    section.set("path", &mut pattern, "\"/path\", \"/path?query\" or \"/prefix*\"", parse);
    if !section.has("path") {
        section.problem("path", "nothing", "\"/path\", \"/path?query\" or \"/prefix*\"");
    }
    pattern
}

fn read_rule(section: &mut Section<'_>, defaults: &Defaults, warnings: &mut Vec<String>) -> Rule {
    let mut rule = Rule::default();
    section.some_duration("cacheTTL", &mut rule.cache_ttl);
    section.some_duration("staleTime", &mut rule.stale_time);
    section.some_duration("slowGrace", &mut rule.slow_grace);
    section.some_duration("graceTime", &mut rule.grace_time);
    section.section("check", |check| rule.check = Some(read_check(check)));
    rule.force = read_force(section, warnings);
    let set_cookie = [("refuse", SetCookie::Refuse), ("strip", SetCookie::Strip), ("store", SetCookie::Store)];
    section.word("setCookie", &mut rule.set_cookie, &set_cookie);
    section.word("cookies", &mut rule.strip_cookies, &[("strip", true)]);
    let ttl: Duration = rule.cache_ttl.unwrap_or(defaults.ttl);
    if rule.stale_time.is_some_and(|stale_time| stale_time > ttl) {
        let path = section.path_of("staleTime");
        warnings.push(format!("{path} is above cacheTTL: nothing is refreshed before it expires"));
    }
    rule
}

fn read_force(section: &mut Section<'_>, warnings: &mut Vec<String>) -> Force {
    let mut forced = Vec::new();
    section.words("force", &mut forced, &FORCED);
    for (word, _) in FORCED.iter().filter(|(_, meaning)| forced.contains(meaning)) {
        warnings.push(format!("{} sets the origin's {word} aside", section.path_of("force")));
    }
    Force {
        no_store: forced.contains(&Forced::NoStore),
        private: forced.contains(&Forced::Private),
        authorization: forced.contains(&Forced::Authorization),
        must_revalidate: forced.contains(&Forced::MustRevalidate),
    }
}

fn read_check(section: &mut Section<'_>) -> Check {
    let mut check = Check::default();
    let kinds = [("any", JsonKind::Any), ("object", JsonKind::Object), ("array", JsonKind::Array)];
    section.word("json", &mut check.json, &kinds.map(|(word, kind)| (word, Some(kind))));
    let pointer = |text: &str| is_pointer(text).then(|| text.to_string());
    section.list("require", &mut check.require, "a JSON pointer such as \"/site/power\"", pointer);
    section.flag("nonEmpty", &mut check.non_empty);
    section.list("notText", &mut check.not_text, "a text", |text| Some(text.to_string()));
    check
}

/// Whether it is a JSON pointer (RFC 6901 §3) to something inside a document.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/') && text.split('~').skip(1).all(|escaped| escaped.starts_with(['0', '1']))
}

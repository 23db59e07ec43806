//! `urlConfigs`: routes and their rules, laid over those of the preset.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use super::Config;
use super::problems::{Problems, shown};
use super::read;
use super::source::find;
use super::table::Table;
use crate::policy::check::Check;
use crate::policy::rule::Rule;
use crate::route::{Pattern, Route};

/// Reads `urlConfigs` over the preset's routes: a key that a member does not have stays as the preset has it. One `pollInterval`
/// anywhere turns off the preset's own polls. A member without a usable path is a problem.
pub fn read(table: &Table, value: &Value, config: &mut Config, problems: &mut Problems) {
    let members = match find(value, "urlConfigs") {
        None => return,
        Some(Value::Array(members)) => members,
        Some(other) => {
            let message = format!("is {}. Write a list of objects in [ and ].", shown(other));
            return problems.add("urlConfigs", message);
        }
    };
    let known: Vec<&str> = table.routes.iter().map(|key| key.path).collect();
    let mut seen = HashSet::new();
    let mut places: HashMap<Pattern, usize> = HashMap::new();
    for (place, route) in config.routes.iter().enumerate() {
        places.entry(route.pattern.clone()).or_insert(place);
    }
    let mut polls_itself = true;
    for (at, member) in members.iter().enumerate() {
        let at = format!("urlConfigs[{at}].");
        read::names(&known, member, &at, "", table, problems);
        if !member.is_object() {
            continue;
        }
        let text = member.get("path").and_then(Value::as_str);
        let pattern = text.and_then(Pattern::parse);
        let place = pattern
            .as_ref()
            .and_then(|pattern| places.get(pattern).copied());
        let mut route = match place {
            Some(place) => config.routes[place].clone(),
            None => Route {
                pattern: Pattern::ExactPath(String::new()),
                rule: Rule::default(),
            },
        };
        // These two are replaced as a whole.
        if find(member, "check").is_some() {
            route.rule.check = Some(Check::default());
        }
        if find(member, "rateLimit").is_some() {
            route.rule.rate_limit = None;
        }
        read::keys(&table.routes, member, &at, &mut route, problems);
        route.rule.rate_limit = route.rule.rate_limit.filter(|limit| limit.per_minute > 0);
        if find(member, "pollInterval").is_some() {
            polls_itself = false;
            route.rule.own_poll = false;
            let is_prefix = matches!(route.pattern, Pattern::Prefix(_));
            if is_prefix && route.rule.poll_interval.is_some() {
                let message = "is for one path, and this one has a *. Poll a path without *, or remove this key.";
                problems.add(&format!("{at}pollInterval"), message);
            }
        }
        warn(member, &at, &route.rule, config);
        if pattern.is_some_and(|pattern| !seen.insert(pattern)) {
            let message =
                "is the path of an earlier member. Write each path once, with all its keys.";
            problems.add(&format!("{at}path"), message);
        }
        match place {
            Some(place) => config.routes[place] = route,
            None => {
                places.insert(route.pattern.clone(), config.routes.len());
                config.routes.push(route);
            }
        }
    }
    for rule in config.routes.iter_mut().map(|route| &mut route.rule) {
        if rule.own_poll && !polls_itself {
            rule.poll_interval = None;
            rule.own_poll = false;
        }
    }
}

/// What a member may say, but probably does not mean.
fn warn(member: &Value, at: &str, rule: &Rule, config: &mut Config) {
    let warnings = &mut config.warnings;
    let ttl = rule.cache_ttl.unwrap_or(config.cache.defaults.ttl);
    if rule
        .stale_time
        .is_some_and(|stale| is_never_refreshed(stale, ttl))
    {
        warnings.push(format!(
            "{at}staleTime is not below cacheTTL: nothing is refreshed before it expires"
        ));
    }
    let slow = rule.poll_idle_interval.filter(|slow| !slow.is_zero());
    if slow.is_some_and(|slow| rule.poll_interval.is_none_or(|interval| slow <= interval)) {
        warnings.push(format!(
            "{at}pollIdleInterval is not above pollInterval: no poll slows down"
        ));
    }
    let forced = find(member, "force").and_then(Value::as_array);
    for word in forced.into_iter().flatten().filter_map(Value::as_str) {
        warnings.push(format!("{at}force ignores the origin's {word}"));
    }
}

/// Whether a response expires before a hit could refresh it in the background. Both zero mean that nobody wants it to.
pub fn is_never_refreshed(stale_time: Duration, ttl: Duration) -> bool {
    stale_time >= ttl && !stale_time.is_zero()
}

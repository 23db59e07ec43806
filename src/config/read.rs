//! From the text of a configuration file to a [`Config`]: each row of the table reads its key, then what keys mean together is
//! checked.

use std::path::Path;

use serde_json::Value;

use super::document::Document;
use super::file::{self, Unreadable};
use super::key::Key;
use super::nearest::nearest;
use super::problems::shown;
use super::source::{Setting, Sources, find};
use super::table::Table;
use super::{Backend, Config, Loaded, OriginUrl, Overrides, Preset, Problems, Source};
use super::{Surroundings, Variables, environment, routes};
use crate::origin::http::tls;
use crate::secret::Secret;

/// Keys that Larder had once, and what to do instead.
const NO_LONGER: [(&str, &str); 1] = [(
    "cache.identityFields",
    "Remove it: every field that Larder does not know keeps clients apart. On a route, varyOn lists fields that responses \
     depend on, and ignoreFields those that they do not.",
)];

/// Keys of this design that Larder does not have yet, wherever they occur.
const NOT_YET: [&str; 14] = [
    "auth",
    "burstMs",
    "cors",
    "format",
    "hotTTLFactor",
    "ignoreVary",
    "invalidation",
    "keyName",
    "methods",
    "metrics",
    "preserveHost",
    "roles",
    "stripTrailingSlash",
    "tier",
];

/// A valid configuration, or everything that is wrong with it. `name` is what the file is called.
pub fn config(
    table: &Table,
    name: &str,
    text: Result<String, Unreadable>,
    overrides: &Overrides,
    surroundings: &Surroundings,
) -> Result<Loaded, Problems> {
    let variables = &overrides.variables;
    let mut problems = variables.problems.clone();
    let document = match text {
        Ok(text) => Document::read(name, &text, &mut problems),
        Err(unreadable) => {
            // The variables and options are still read: all problems are reported in one run.
            problems.add_at(name, unreadable.message());
            Document::empty(name)
        }
    };
    let mut settings = environment::settings(table, variables);
    settings.extend(command_line(table, overrides));
    let sources = Sources::new(document, settings);
    let value = sources.value();
    let (implied, because) = implied_preset(&sources, variables);
    let mut config = Config::with(table, preset(table, value).unwrap_or(implied));
    names(&paths(table), value, "", "", table, &mut problems);
    keys(&table.keys, value, "", &mut config, &mut problems);
    warn_of_lifetimes(&mut config);
    routes::read(table, value, &mut config, &mut problems);
    read_authorities(&mut config.backend, &mut problems);
    judge_backend(&mut config, &mut problems);
    let token = variables.find(&config.admin.token_env);
    config.admin.token = token.map(|(text, _)| Secret::new(text.to_owned()));
    config.warnings.extend(config.admin.weak_token());
    surroundings.judge(&mut config, &mut problems);
    let warnings = environment::warnings(table, variables, &config.admin.token_env);
    config.warnings.extend(warnings);
    sources.locate(&mut problems);
    let preset_because = match sources.of("preset") {
        Source::Preset => because,
        source => format!("named by {source}"),
    };
    problems.or(Loaded {
        config,
        sources,
        preset_because,
    })
}

/// Reads each key that is given. `at` precedes its path in problems.
pub fn keys<C: Clone + 'static>(
    rows: &[Key<C>],
    value: &Value,
    at: &str,
    to: &mut C,
    problems: &mut Problems,
) {
    for key in rows {
        let path = key.path;
        match find(value, path) {
            Some(value) => {
                for refusal in key.read(value, to).err().into_iter().flatten() {
                    let place = format!("{at}{path}{}", refusal.member);
                    problems.add(&place, refusal.message);
                }
            }
            None => {
                let section = path.rsplit_once('.').map_or("", |(section, _)| section);
                if key.is_required && (section.is_empty() || find(value, section).is_some()) {
                    let name = path.rsplit('.').next().unwrap_or_default();
                    let message =
                        format!("is missing. Add it, such as \"{name}\": {}.", key.example);
                    problems.add(&format!("{at}{path}"), message);
                }
            }
        }
    }
}

/// Checks that each section is an object, and that each name in it is one of the known paths.
pub fn names(
    known: &[&str],
    value: &Value,
    at: &str,
    section: &str,
    table: &Table,
    problems: &mut Problems,
) {
    let inside = match section {
        "" => String::new(),
        section => format!("{section}."),
    };
    let Value::Object(members) = value else {
        let whole = format!("{at}{section}");
        let message = format!("is {}. Write an object in {{ and }}.", shown(value));
        return match whole.trim_end_matches('.') {
            "" => problems.add("", format!("the configuration {message}")),
            place => problems.add(place, message),
        };
    };
    for (name, member) in members.iter().filter(|(name, _)| *name != "comment") {
        let path = format!("{inside}{name}");
        let place = format!("{at}{path}");
        let below = format!("{path}.");
        if known.contains(&path.as_str()) {
            continue;
        }
        if known.iter().any(|known| known.starts_with(&below)) {
            if !member.is_null() {
                names(known, member, at, &path, table, problems);
            }
        } else if let Some((_, remedy)) = NO_LONGER.iter().find(|(gone, _)| *gone == path) {
            problems.add(&place, format!("is no longer a key. {remedy}"));
        } else if NOT_YET.contains(&name.as_str()) {
            if !member.is_null() {
                let message = "is a key that Larder does not have yet. Remove it.";
                problems.add(&place, message);
            }
        } else {
            let siblings = known.iter().filter_map(|known| known.strip_prefix(&inside));
            let siblings = siblings.filter_map(|rest| rest.split('.').next());
            let mut siblings: Vec<&str> = siblings.collect();
            siblings.dedup();
            let remedy = meant(name, &siblings, table);
            problems.add(&place, format!("is not a known key. {remedy}."));
        }
    }
}

/// What to do about an unknown key.
fn meant(name: &str, siblings: &[&str], table: &Table) -> String {
    let near = nearest(name, siblings.iter().copied());
    let is_same = near.is_some_and(|near| near.eq_ignore_ascii_case(name));
    match (near, elsewhere(name, table)) {
        (_, Some(place)) if !is_same => format!("Move it to {place}"),
        (Some(near), _) => format!("The nearest known key is \"{near}\""),
        (None, _) => format!("The keys known here are {}", siblings.join(", ")),
    }
}

/// Where there is a key of this name.
fn elsewhere(name: &str, table: &Table) -> Option<String> {
    let mut sections = table
        .keys
        .iter()
        .filter_map(|key| key.path.rsplit_once('.'));
    let section = sections.find(|(_, key)| *key == name);
    let is_of_route = table.routes.iter().any(|key| key.path == name);
    let route = || is_of_route.then(|| "a member of \"urlConfigs\"".to_owned());
    section
        .map(|(section, _)| format!("\"{section}\""))
        .or_else(route)
}

/// Every path that the top of a file knows.
fn paths(table: &Table) -> Vec<&'static str> {
    table
        .keys
        .iter()
        .map(|key| key.path)
        .chain(["urlConfigs"])
        .collect()
}

/// What the command line says.
fn command_line(table: &Table, overrides: &Overrides) -> Vec<Setting> {
    let given = overrides.given();
    let of = |key: &Key<Config>| {
        let (_, text) = given.iter().find(|(flag, _)| *flag == key.flag)?;
        let source = Source::CommandLine(key.flag);
        Some(Setting::new(key.path, text.as_deref()?, source))
    };
    table.keys.iter().filter_map(of).collect()
}

/// The preset that is named. `None`: none is, or its row reports it as a problem.
fn preset(table: &Table, value: &Value) -> Option<Preset> {
    let row = table.keys.iter().find(|key| key.path == "preset")?;
    let mut named = Config::with(table, Preset::Pypowerwall);
    row.read(find(value, "preset")?, &mut named).ok()?;
    Some(named.preset)
}

/// The preset where none is named, and why.
fn implied_preset(sources: &Sources, variables: &Variables) -> (Preset, String) {
    let url = find(sources.value(), "backend.url").and_then(Value::as_str);
    let origin = url.and_then(|url| OriginUrl::parse(url).ok());
    let api_variable = environment::speaks_of_an_api(variables);
    let because = if origin.is_some_and(|origin| origin.is_sim()) {
        "the origin is sim://powerwall".to_owned()
    } else if sources.of("backend.url") == Source::CommandLine("--origin") {
        return (
            Preset::Api,
            "because the origin comes from --origin".to_owned(),
        );
    } else if let Some(name) = api_variable {
        return (Preset::Api, format!("because {name} is set"));
    } else {
        "the default".to_owned()
    };
    (Preset::Pypowerwall, because)
}

/// Reads the certificates of `caFile`.
fn read_authorities(backend: &mut Backend, problems: &mut Problems) {
    let Some(path) = &backend.tls.ca_file else {
        return;
    };
    let authorities = file::bytes(Path::new(path)).map_err(Unreadable::message);
    let authorities = authorities.and_then(|bytes| {
        tls::authorities(&bytes).map_err(|expected| format!("no certificates. Name {expected}."))
    });
    match authorities {
        Ok(authorities) => backend.tls.trust.authorities = authorities,
        Err(message) => {
            let shown = shown(&Value::from(path.as_str()));
            problems.add("backend.tls.caFile", format!("is {shown}: {message}"));
        }
    }
}

/// What the keys of `backend` mean together.
fn judge_backend(config: &mut Config, problems: &mut Problems) {
    let Backend {
        origin, allow, tls, ..
    } = &config.backend;
    if problems.touch("backend.url") {
        return;
    }
    let host = origin.authority().map(|authority| authority.host());
    if !problems.touch("backend.allow") && host.is_some_and(|host| !allow.may_admit(host)) {
        let message = format!(
            "does not contain the origin, {origin}. Add the name or address in backend.url, or a block around it."
        );
        problems.add("backend.allow", message);
    }
    let given = [
        ("caFile", tls.ca_file.is_some()),
        ("pinSha256", !tls.trust.pins.is_empty()),
        ("insecure", tls.trust.is_insecure),
    ];
    let given = given.into_iter().filter(|(_, is_given)| *is_given);
    let given: Vec<&str> = given.map(|(key, _)| key).collect();
    match given[..] {
        [key, ..] if !origin.is_https() => {
            let message = format!(
                "is only for https://, and backend.url is {origin}. Write an https:// URL there, or remove this key."
            );
            problems.add(&format!("backend.tls.{key}"), message);
        }
        [first, .., last] => {
            let message = format!("is given beside {first}. Keep the one you want.");
            problems.add(&format!("backend.tls.{last}"), message);
        }
        ["insecure"] => config.warnings.push(format!(
            "backend.tls.insecure is true: anybody who answers for {origin} is believed, and can read and change everything. \
             Use backend.tls.pinSha256 instead"
        )),
        _ => {}
    }
}

fn warn_of_lifetimes(config: &mut Config) {
    let cache = &config.cache;
    if routes::is_never_refreshed(cache.defaults.stale_time, cache.defaults.ttl) {
        config.warnings.push(
            "cache.defaultStaleTime is not below cache.defaultTTL: nothing is refreshed before it expires".to_owned(),
        );
    }
    if cache.max_object_bytes > cache.max_bytes {
        config.warnings.push(
            "cache.maxObjectBytes is above cache.maxBytes: the largest bodies are never stored"
                .to_owned(),
        );
    }
}

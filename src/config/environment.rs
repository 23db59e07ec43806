//! What each environment variable means: those that set a key, and those of the programs Larder replaces.

use std::fmt;

use super::key::When;
use super::nearest::nearest;
use super::source::Setting;
use super::table::Table;
use super::variables::Variables;

/// What a variable means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It sets this key, under this condition.
    Sets(&'static str, When),
    /// It names the configuration file.
    File,
    /// It is the token of `admin.tokenEnv`.
    Token,
    /// It waits for this part, which Larder does not have yet.
    NotYet(&'static str),
    /// It changes nothing, for this reason.
    Nothing(&'static str),
}

use Meaning::{File, NotYet, Nothing, Sets, Token};

const SHARED: &str = "a store shared through Redis";
const DATABASE: &str = "mysql:// origins";
const GATEWAYS: &str = "several gateways";
const LIVE: &str = "live updates";
const MQTT: &str = "publishing to MQTT";
const POWERWALL: &str = "the pypowerwall server behind Larder reads it";
const OUTAGE: &str = "Larder always logs one line when an outage begins and one when it ends";
const NODE: &str = "Larder does not use Node.js";

/// Variables that set no key; a name that ends in `*` is every name that begins so.
const OTHERS: [(&str, Meaning); 42] = [
    ("CONFIG_PATH", File),
    ("ADMIN_TOKEN", Token),
    ("CACHE_URL", NotYet(SHARED)),
    ("REDIS_HOST", NotYet(SHARED)),
    ("REDIS_PORT", NotYet(SHARED)),
    ("REDIS_PASSWORD", NotYet(SHARED)),
    ("METRIX_PREFIX", NotYet("metrics")),
    ("METRICS_PREFIX", NotYet("metrics")),
    ("JWT_SECRET", NotYet("roles")),
    ("FRONTEND_URL", NotYet(LIVE)),
    ("REALTIME_API_SECRET", NotYet(LIVE)),
    ("CORS_ORIGINS", NotYet(LIVE)),
    ("DB_HOST", NotYet(DATABASE)),
    ("DB_PORT", NotYet(DATABASE)),
    ("DB_USERNAME", NotYet(DATABASE)),
    ("DB_PASSWORD", NotYet(DATABASE)),
    ("DB_DATABASE", NotYet(DATABASE)),
    ("MQTT_PASSWORD", NotYet(MQTT)),
    ("MQTT_*", NotYet(MQTT)),
    ("PW_GATEWAYS", NotYet(GATEWAYS)),
    ("PW_CONTROL_SECRET", NotYet(GATEWAYS)),
    ("PW_NEG_SOLAR", NotYet(GATEWAYS)),
    (
        "XDG_CACHE_HOME",
        Nothing("Larder stores responses in memory"),
    ),
    (
        "CACHE_DIRECTORY",
        Nothing("systemd sets it, and Larder stores responses in memory"),
    ),
    ("PW_CACHE_EXPIRE", Nothing("use pollInterval in urlConfigs")),
    (
        "PW_GRACEFUL_DEGRADATION",
        Nothing("Larder always serves the last good response, for cache.graceTime"),
    ),
    ("PW_SUPPRESS_NETWORK_ERRORS", Nothing(OUTAGE)),
    ("PW_NETWORK_ERROR_RATE_LIMIT", Nothing(OUTAGE)),
    (
        "PW_FAIL_FAST",
        Nothing("Larder always pauses after failures: backend.backoff"),
    ),
    ("PW_HOST", Nothing(POWERWALL)),
    ("PW_GW_PWD", Nothing(POWERWALL)),
    ("PW_PASSWORD", Nothing(POWERWALL)),
    ("PW_TIMEOUT", Nothing(POWERWALL)),
    ("PW_POOL_MAXSIZE", Nothing(POWERWALL)),
    ("PW_BROWSER_CACHE", Nothing(POWERWALL)),
    ("PW_HEALTH_CHECK", Nothing(POWERWALL)),
    ("PW_HTTPS", Nothing(POWERWALL)),
    ("PROXY_BASE_URL", Nothing(POWERWALL)),
    ("PW_*", Nothing(POWERWALL)),
    ("KEYDB_PORT", Nothing("only the compose file reads it")),
    ("NODE_ENV", Nothing(NODE)),
    ("NODE_OPTIONS", Nothing(NODE)),
];

/// Variables with a secret: never shown, and `NAME_FILE` may name a file that holds it.
pub const SECRETS: [&str; 10] = [
    "ADMIN_TOKEN",
    "JWT_SECRET",
    "REDIS_PASSWORD",
    "REALTIME_API_SECRET",
    "DB_PASSWORD",
    "MQTT_PASSWORD",
    "PW_GATEWAYS",
    "PW_CONTROL_SECRET",
    "PW_GW_PWD",
    "PW_PASSWORD",
];

/// A variable that begins so and is not known was probably meant for Larder.
const OURS: [&str; 7] = [
    "LARDER_",
    "PROXY_",
    "BACKEND_",
    "CACHE_",
    "ADMIN_",
    "SLOW_REQUEST_",
    "MAX_CONCURRENT_",
];

/// Every known variable. Of two that set one key, the later wins.
pub fn all(table: &Table) -> Vec<(&'static str, Meaning)> {
    let sets = table.keys.iter().flat_map(|key| {
        let sets = |(name, when): &(&'static str, When)| (*name, Sets(key.path, *when));
        key.variables.iter().map(sets)
    });
    sets.chain(OTHERS).collect()
}

/// What the variables that are set say, the strongest last.
pub fn settings(table: &Table, variables: &Variables) -> Vec<Setting> {
    let of = |(name, _): (&'static str, Meaning)| {
        let (text, source) = variables.find(name)?;
        match meaning(table, name, variables)? {
            Sets(_, When::True(_)) if !is_true(text) => None,
            Sets(path, When::True(word)) => Some(Setting::new(path, word, source)),
            Sets(path, _) => Some(Setting::new(path, text, source)),
            _ => None,
        }
    };
    all(table).into_iter().filter_map(of).collect()
}

/// The variable of a program for any API, if one is set (docs/decisions/0014).
pub fn speaks_of_an_api(variables: &Variables) -> Option<&'static str> {
    let names = ["CACHE_URL", "CACHE_TTL_SECONDS", "REDIS_HOST", "DB_HOST"];
    names
        .into_iter()
        .find(|name| variables.find(name).is_some())
}

/// Every known variable that is set, with what it means: first those that set something. A secret in a file goes by the name of
/// the variable that names the file.
pub fn explained(variables: &Variables) -> Vec<(&str, String)> {
    let known = known(&Table::larder(), variables);
    let is_idle = |(_, meaning): &(&str, Meaning)| matches!(meaning, NotYet(_) | Nothing(_));
    let (nothing, something): (Vec<_>, Vec<_>) = known.into_iter().partition(is_idle);
    let all = something.into_iter().chain(nothing);
    all.map(|(name, meaning)| (name, meaning.to_string()))
        .collect()
}

/// Warnings about the variables: one for all that wait for something, one for each that is probably misspelt. `token` is the
/// name of the variable with the token.
pub fn warnings(table: &Table, variables: &Variables, token: &str) -> Vec<String> {
    let known = known(table, variables);
    let waits = |(name, meaning): &(&str, Meaning)| match meaning {
        NotYet(part) => Some(format!("{name} ({part})")),
        _ => None,
    };
    let waiting: Vec<String> = known.iter().filter_map(waits).collect();
    let mut warnings = Vec::new();
    if !waiting.is_empty() {
        let waiting = waiting.join(", ");
        warnings.push(format!(
            "these variables are set, but Larder does not use them yet: {waiting}"
        ));
    }
    let names = all(table);
    let is_ours = |name: &&str| OURS.iter().any(|prefix| name.starts_with(prefix));
    for name in variables.names().into_iter().filter(is_ours) {
        if name == token || meaning(table, name, variables).is_some() {
            continue;
        }
        let meant = nearest(name, names.iter().map(|(known, _)| *known));
        let meant = meant.map_or(String::new(), |meant| format!(". Did you mean {meant}?"));
        let place = variables
            .find(name)
            .map_or(String::new(), |(_, source)| source.place());
        warnings.push(format!(
            "{place}: Larder has no variable of this name{meant}"
        ));
    }
    warnings
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sets(path, When::Set) => write!(f, "sets {path}"),
            Sets(path, When::True(word)) => write!(f, "sets {path} to {word} if it is true or 1"),
            Sets(path, When::WithGateways) => write!(f, "sets {path} if PW_GATEWAYS is set"),
            File => f.write_str("names the configuration file"),
            Token => f.write_str("bearer token for Larder's own endpoints"),
            NotYet(part) => write!(f, "changes nothing: Larder does not have {part} yet"),
            Nothing(reason) => write!(f, "changes nothing: {reason}"),
        }
    }
}

/// The known variables that are set. A secret in a file goes by the name of the variable that names the file.
fn known<'a>(table: &Table, variables: &'a Variables) -> Vec<(&'a str, Meaning)> {
    let is_in_file =
        |name: &str| SECRETS.contains(&name) && variables.find(&format!("{name}_FILE")).is_some();
    let names = variables
        .names()
        .into_iter()
        .filter(|name| !is_in_file(name));
    names
        .filter_map(|name| Some((name, meaning(table, name, variables)?)))
        .collect()
}

/// What a name means beside the others that are set. `None`: it is not known.
fn meaning(table: &Table, name: &str, variables: &Variables) -> Option<Meaning> {
    let secret = name
        .strip_suffix("_FILE")
        .filter(|secret| SECRETS.contains(secret));
    let name = secret.unwrap_or(name);
    let fits = |known: &str| match known.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => known == name,
    };
    let (_, meaning) = all(table).into_iter().find(|(known, _)| fits(known))?;
    match meaning {
        Sets(_, When::WithGateways) if variables.find("PW_GATEWAYS").is_none() => Some(Nothing(
            "without PW_GATEWAYS it is for the pypowerwall server",
        )),
        Sets(path, When::WithGateways) => Some(Sets(path, When::Set)),
        other => Some(other),
    }
}

fn is_true(text: &str) -> bool {
    ["1", "true", "yes", "on"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use log::LevelFilter;

    use super::super::{Config, Overrides};
    use super::*;

    fn variables(environment: &[(&str, &str)]) -> Variables {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Variables {
            environment: environment.iter().map(owned).collect(),
            ..Variables::default()
        }
    }

    fn load(environment: &[(&str, &str)]) -> Config {
        let overrides = Overrides {
            variables: variables(environment),
            ..Overrides::default()
        };
        Config::load(None, &overrides).expect("valid")
    }

    #[test]
    fn each_variable_once_and_every_secret_among_them() {
        let all = all(&Table::larder());
        let names: HashSet<&str> = all.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), all.len());
        assert!(SECRETS.iter().all(|name| names.contains(name)));
    }

    #[test]
    fn k7_variables_set_keys_and_the_later_of_two_wins() {
        let both = [("PW_PORT", "9"), ("PORT", "8"), ("PW_GATEWAYS", "[]")];
        let cases: [(&[(&str, &str)], u16); 5] = [
            (&[("PW_PORT", "9")], 8676),
            (&both[..2], 8),
            (&both, 9),
            (
                &[("PW_PORT", "9"), ("PROXY_PORT", "7"), ("PW_GATEWAYS", "[]")],
                7,
            ),
            (&[("PROXY_PORT", "")], 8676),
        ];
        for (environment, port) in cases {
            assert_eq!(load(environment).proxy.port, port, "{environment:?}");
        }
        assert_eq!(load(&[("PROXY_BIND", "127.0.0.1")]).proxy.bind, "127.0.0.1");
        assert_eq!(load(&[("PW_BIND_ADDRESS", "127.0.0.1")]).proxy.bind, "::");
    }

    #[test]
    fn c29_levels_of_the_log() {
        for (environment, level) in [
            (&[("DEBUG", "true")][..], LevelFilter::Debug),
            (&[("PW_DEBUG", "Yes")], LevelFilter::Debug),
            (&[("DEBUG", "express:*")], LevelFilter::Info),
            (
                &[("LOG_LEVEL", "WARNING"), ("DEBUG", "1")],
                LevelFilter::Warn,
            ),
        ] {
            assert_eq!(load(environment).log.level, level, "{environment:?}");
        }
    }

    #[test]
    fn f3_a_misspelt_variable_is_a_warning_with_the_nearest_name() {
        let given = variables(&[
            ("PROXY_PROT", "1"),
            ("LARDER_SOMETHING_ELSE", "1"),
            ("LARDER_TOKEN", "x"),
            ("PW_PROT", "1"),
            ("HOME", "/"),
            ("CACHE_DIRECTORY", "/var/cache/larder"),
        ]);
        assert_eq!(
            warnings(&Table::larder(), &given, "LARDER_TOKEN"),
            [
                "environment variable LARDER_SOMETHING_ELSE: Larder has no variable of this name",
                "environment variable PROXY_PROT: Larder has no variable of this name. Did you mean PROXY_PORT?",
            ]
        );
    }

    #[test]
    fn every_known_variable_is_explained_and_those_that_change_nothing_come_last() {
        let given = variables(&[
            ("PW_HOST", "x"),
            ("HOME", "/"),
            ("MQTT_HOST", "x"),
            ("ADMIN_TOKEN_FILE", "/x"),
            ("PW_PORT", "1"),
            ("PROXY_PORT", "1"),
        ]);
        let message = explained(&given)
            .into_iter()
            .map(|(name, meaning)| format!("{name} {meaning}"));
        assert_eq!(
            message.collect::<Vec<String>>(),
            [
                "ADMIN_TOKEN_FILE bearer token for Larder's own endpoints",
                "PROXY_PORT sets proxy.port",
                "MQTT_HOST changes nothing: Larder does not have publishing to MQTT yet",
                "PW_HOST changes nothing: the pypowerwall server behind Larder reads it",
                "PW_PORT changes nothing: without PW_GATEWAYS it is for the pypowerwall server",
            ]
        );
        assert_eq!(
            warnings(&Table::larder(), &given, "ADMIN_TOKEN"),
            [
                "these variables are set, but Larder does not use them yet: MQTT_HOST (publishing to MQTT)"
            ]
        );
    }
}

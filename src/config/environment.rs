//! What each environment variable means: those of the programs Larder replaces, and a few of its own.

use std::fmt;

use serde_json::Value;

use super::settings::Setting;
use super::variables::Variables;

/// What a variable means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It stands for this key.
    Sets(&'static str),
    /// It stands for this key if `PW_GATEWAYS` is set; otherwise it is pypowerwall's own.
    SetsWithGateways(&'static str),
    /// True or 1 stands for `log.level` debug; other texts mean nothing.
    Verbose,
    /// It names the configuration file.
    File,
    /// It opens our own endpoints to who has it (`admin.tokenEnv`).
    Token,
    /// It waits for this part.
    NotBuilt(&'static str),
    /// It has nothing to say here, for this reason.
    Nothing(&'static str),
}

use Meaning::{File, NotBuilt, Nothing, Sets, SetsWithGateways, Token, Verbose};

const SHARED: &str = "a store shared through Redis";
const DATABASE: &str = "mysql:// origins";
const GATEWAYS: &str = "several gateways";
const MQTT: &str = "publishing to MQTT";
const POWERWALL: &str = "it belongs to the pypowerwall server behind";
const NODE: &str = "there is no Node.js here";

/// Every known variable; a name that ends in `*` is every name that begins so. Where two stand for one key, the later wins.
pub const VARIABLES: [(&str, Meaning); 56] = [
    ("LARDER_PRESET", Sets("preset")),
    ("CONFIG_PATH", File),
    ("BACKEND_URL", Sets("backend.url")),
    (
        "MAX_CONCURRENT_REQUESTS",
        Sets("backend.maxConcurrentRequests"),
    ),
    ("PORT", Sets("proxy.port")),
    ("PW_PORT", SetsWithGateways("proxy.port")),
    ("PROXY_PORT", Sets("proxy.port")),
    ("PW_BIND_ADDRESS", SetsWithGateways("proxy.bind")),
    ("CACHE_TTL_SECONDS", Sets("cache.defaultTTL")),
    ("DEFAULT_TTL", Sets("cache.defaultTTL")),
    ("DEFAULT_STALE_TIME", Sets("cache.defaultStaleTime")),
    ("SLOW_REQUEST_TIMEOUT", Sets("cache.slowRequestTimeout")),
    ("PW_CACHE_TTL", Sets("cache.graceTime")),
    ("PW_DEBUG", Verbose),
    ("DEBUG", Verbose),
    ("LOG_LEVEL", Sets("log.level")),
    ("CACHE_URL", NotBuilt(SHARED)),
    ("REDIS_HOST", NotBuilt(SHARED)),
    ("REDIS_PORT", NotBuilt(SHARED)),
    ("REDIS_PASSWORD", NotBuilt(SHARED)),
    ("XDG_CACHE_HOME", Nothing("answers are kept in memory")),
    ("METRIX_PREFIX", NotBuilt("metrics")),
    ("METRICS_PREFIX", NotBuilt("metrics")),
    ("ADMIN_TOKEN", Token),
    ("JWT_SECRET", NotBuilt("roles")),
    ("FRONTEND_URL", NotBuilt("live updates")),
    ("REALTIME_API_SECRET", NotBuilt("live updates")),
    ("CORS_ORIGINS", NotBuilt("live updates")),
    ("DB_HOST", NotBuilt(DATABASE)),
    ("DB_PORT", NotBuilt(DATABASE)),
    ("DB_USERNAME", NotBuilt(DATABASE)),
    ("DB_PASSWORD", NotBuilt(DATABASE)),
    ("DB_DATABASE", NotBuilt(DATABASE)),
    ("MQTT_PASSWORD", NotBuilt(MQTT)),
    ("MQTT_*", NotBuilt(MQTT)),
    ("PW_GATEWAYS", NotBuilt(GATEWAYS)),
    ("PW_CONTROL_SECRET", NotBuilt(GATEWAYS)),
    ("PW_NEG_SOLAR", NotBuilt(GATEWAYS)),
    (
        "PW_CACHE_EXPIRE",
        Nothing("how often to ask is pollInterval of a member of urlConfigs"),
    ),
    (
        "PW_GRACEFUL_DEGRADATION",
        Nothing("the last good answer is always served, for cache.graceTime"),
    ),
    (
        "PW_SUPPRESS_NETWORK_ERRORS",
        Nothing("an outage is always one line when it begins and one when it ends"),
    ),
    (
        "PW_NETWORK_ERROR_RATE_LIMIT",
        Nothing("an outage is always one line when it begins and one when it ends"),
    ),
    (
        "PW_FAIL_FAST",
        Nothing("a failing origin is always left alone for a while: backend.backoff"),
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
    ("KEYDB_PORT", Nothing("the compose file reads it")),
    ("NODE_ENV", Nothing(NODE)),
    ("NODE_OPTIONS", Nothing(NODE)),
];

/// Variables with a secret: never shown, and `NAME_FILE` may name a file it stands in.
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

/// What the variables that are set say, in the order in which they win.
pub fn settings(variables: &Variables) -> Vec<Setting> {
    let of = |(name, _): &(&str, Meaning)| {
        let (text, source) = variables.find(name)?;
        let (path, value) = match meaning(name, variables)? {
            Sets("log.level") => ("log.level", Value::from(text.to_ascii_lowercase())),
            Sets(path) => (
                path,
                text.trim()
                    .parse::<u64>()
                    .map_or_else(|_| Value::from(text), Value::from),
            ),
            Verbose if is_true(text) => ("log.level", Value::from("debug")),
            _ => return None,
        };
        Some(Setting {
            path,
            value,
            source,
        })
    };
    VARIABLES.iter().filter_map(of).collect()
}

/// The variable of a program that stands before any API, if one is set (SEMANTICS "Which preset").
pub fn speaks_of_an_api(variables: &Variables) -> Option<&'static str> {
    ["CACHE_URL", "CACHE_TTL_SECONDS", "REDIS_HOST", "DB_HOST"]
        .into_iter()
        .find(|name| variables.find(name).is_some())
}

/// Every known variable that is set, with what it means. A secret that stands in a file goes by the name of the variable that
/// names the file.
pub fn known(variables: &Variables) -> Vec<(&str, Meaning)> {
    let of = |name| {
        let secret = |name: &str| {
            name.strip_suffix("_FILE")
                .filter(|secret| SECRETS.contains(secret))
                .map(str::to_owned)
        };
        let is_in_file =
            SECRETS.contains(&name) && variables.find(&format!("{name}_FILE")).is_some();
        let known = secret(name).unwrap_or_else(|| name.to_owned());
        meaning(&known, variables)
            .filter(|_| !is_in_file)
            .map(|meaning| (name, meaning))
    };
    variables.names().into_iter().filter_map(of).collect()
}

/// One sentence on the variables that wait for something. `None`: no such variable is set.
pub fn waiting(variables: &Variables) -> Option<String> {
    let waits = |(name, meaning)| match meaning {
        NotBuilt(part) => Some(format!("{name} ({part})")),
        _ => None,
    };
    let names: Vec<String> = known(variables).into_iter().filter_map(waits).collect();
    (!names.is_empty()).then(|| {
        format!(
            "set, but waiting for what is not built yet: {}",
            names.join(", ")
        )
    })
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sets(path) => write!(f, "stands for {path}"),
            SetsWithGateways(path) => write!(f, "stands for {path} where PW_GATEWAYS is set"),
            Verbose => f.write_str("true or 1 stands for log.level debug"),
            File => f.write_str("names the configuration file"),
            Token => f.write_str("opens our own endpoints to who has it"),
            NotBuilt(part) => write!(f, "not built yet: {part}"),
            Nothing(reason) => write!(f, "means nothing here: {reason}"),
        }
    }
}

/// What a name means beside the others that are set. `None`: it is not known.
fn meaning(name: &str, variables: &Variables) -> Option<Meaning> {
    let fits = |known: &str| {
        known
            .strip_suffix('*')
            .map_or(known == name, |prefix| name.starts_with(prefix))
    };
    let (_, meaning) = VARIABLES.iter().find(|(known, _)| fits(known))?;
    match meaning {
        SetsWithGateways(path) if variables.find("PW_GATEWAYS").is_some() => Some(Sets(path)),
        SetsWithGateways(_) => Some(Nothing(
            "without PW_GATEWAYS it is the pypowerwall server's own",
        )),
        other => Some(*other),
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
    use std::time::Duration;

    use log::LevelFilter;

    use super::super::{Config, Overrides, Preset, Problems};
    use super::*;

    fn variables(environment: &[(&str, &str)]) -> Variables {
        let environment = environment
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        Variables {
            environment,
            ..Variables::default()
        }
    }

    fn load(environment: &[(&str, &str)]) -> Result<Config, Problems> {
        Config::load(
            None,
            &Overrides {
                variables: variables(environment),
                ..Overrides::default()
            },
        )
    }

    #[test]
    fn each_variable_once_and_every_secret_among_them() {
        let names: HashSet<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), VARIABLES.len());
        assert!(SECRETS.iter().all(|name| names.contains(name)));
    }

    #[test]
    fn k7_variables_of_the_seeds_are_understood() {
        let config = load(&[
            ("BACKEND_URL", "http://10.0.0.9:80"),
            ("PROXY_PORT", "2"),
            ("PORT", "1"),
            ("DEFAULT_TTL", "9"),
            ("DEFAULT_STALE_TIME", "8"),
            ("SLOW_REQUEST_TIMEOUT", "7"),
            ("PW_CACHE_TTL", "6"),
            ("MAX_CONCURRENT_REQUESTS", "5"),
        ]);
        let config = config.expect("lawful");
        assert_eq!(config.backend.origin.to_string(), "http://10.0.0.9:80");
        assert_eq!(
            (config.proxy.port, config.backend.max_concurrent_requests),
            (2, 5)
        );
        let defaults = &config.cache.defaults;
        let times = [defaults.ttl, defaults.stale_time, defaults.grace_time];
        assert_eq!(times, [9, 8, 6].map(Duration::from_secs));
        assert_eq!(config.cache.slow_request_timeout, Duration::from_millis(7));
        assert_eq!(config.preset, Preset::Pypowerwall);
    }

    #[test]
    fn c1_a_port_of_pypowerwall_counts_only_beside_gateways() {
        let port = |environment: &[(&str, &str)]| load(environment).expect("lawful").proxy.port;
        assert_eq!(port(&[("PW_PORT", "9")]), 8676);
        assert_eq!(port(&[("PW_PORT", "9"), ("PORT", "8")]), 8);
        assert_eq!(
            port(&[("PW_PORT", "9"), ("PORT", "8"), ("PW_GATEWAYS", "[]")]),
            9
        );
        assert_eq!(
            port(&[("PW_PORT", "9"), ("PROXY_PORT", "7"), ("PW_GATEWAYS", "[]")]),
            7
        );
    }

    #[test]
    fn c29_levels_of_the_log() {
        let level = |environment: &[(&str, &str)]| load(environment).expect("lawful").log.level;
        assert_eq!(level(&[("DEBUG", "true")]), LevelFilter::Debug);
        assert_eq!(level(&[("PW_DEBUG", "Yes")]), LevelFilter::Debug);
        assert_eq!(level(&[("DEBUG", "express:*")]), LevelFilter::Info);
        assert_eq!(
            level(&[("LOG_LEVEL", "WARNING"), ("DEBUG", "1")]),
            LevelFilter::Warn
        );
    }

    #[test]
    fn a_variable_of_an_api_program_selects_its_preset() {
        for name in ["CACHE_URL", "CACHE_TTL_SECONDS", "REDIS_HOST", "DB_HOST"] {
            assert_eq!(
                load(&[(name, "1800")]).expect("lawful").preset,
                Preset::Api,
                "{name}"
            );
        }
        let named = load(&[
            ("CACHE_TTL_SECONDS", "1800"),
            ("LARDER_PRESET", "pypowerwall"),
        ]);
        assert_eq!(named.expect("lawful").preset, Preset::Pypowerwall);
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let problems = load(&[("PROXY_PORT", "eighty"), ("DEFAULT_TTL", "")]).expect_err("no port");
        assert_eq!(problems.0.len(), 1);
        assert_eq!(
            problems.0[0].path,
            "proxy.port (from environment PROXY_PORT)"
        );
    }

    #[test]
    fn g1_every_known_variable_tells_what_it_means() {
        let given = variables(&[
            ("PW_HOST", "x"),
            ("HOME", "/"),
            ("MQTT_HOST", "x"),
            ("ADMIN_TOKEN_FILE", "/x"),
            ("PW_PORT", "1"),
        ]);
        let told: Vec<String> = known(&given)
            .iter()
            .map(|(name, meaning)| format!("{name} {meaning}"))
            .collect();
        assert_eq!(
            told,
            [
                "ADMIN_TOKEN_FILE opens our own endpoints to who has it",
                "MQTT_HOST not built yet: publishing to MQTT",
                "PW_HOST means nothing here: it belongs to the pypowerwall server behind",
                "PW_PORT means nothing here: without PW_GATEWAYS it is the pypowerwall server's own",
            ]
        );
        let waiting = waiting(&variables(&[("MQTT_HOST", "x"), ("PW_HOST", "x")]));
        assert_eq!(
            waiting.as_deref(),
            Some("set, but waiting for what is not built yet: MQTT_HOST (publishing to MQTT)")
        );
    }
}

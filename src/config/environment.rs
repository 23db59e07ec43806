//! Environment variables as a layer between file and command line, under the names of the programs Larder replaces.

use serde_json::{Map, Value};

use super::Problems;

/// Variable, section, key. Where two name one key, the later wins.
const NAMES: [(&str, &str, &str); 10] = [
    ("BACKEND_URL", "backend", "url"),
    ("MAX_CONCURRENT_REQUESTS", "backend", "maxConcurrentRequests"),
    ("PORT", "proxy", "port"),
    ("PROXY_PORT", "proxy", "port"),
    ("CACHE_TTL_SECONDS", "cache", "defaultTTL"),
    ("DEFAULT_TTL", "cache", "defaultTTL"),
    ("DEFAULT_STALE_TIME", "cache", "defaultStaleTime"),
    ("SLOW_REQUEST_TIMEOUT", "cache", "slowRequestTimeout"),
    ("LOG_LEVEL", "log", "level"),
    ("LARDER_PRESET", "", "preset"),
];

/// Lays the variables that mean something over the document of a file. Empty ones count as unset.
pub fn lay_over(document: &mut Value, environment: &[(String, String)]) {
    for (name, section, key) in NAMES {
        let Some(text) = set(environment, name) else { continue };
        let Value::Object(mut place) = std::mem::take(document) else { return };
        let value = text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from);
        match section {
            "" => drop(place.insert(key.to_owned(), value)),
            _ => {
                let inner = place.entry(section).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(inner) = inner {
                    inner.insert(key.to_owned(), value);
                }
            }
        }
        *document = Value::Object(place);
    }
}

/// Whether a variable of those programs that stand before any API is set (SEMANTICS "Which preset").
pub fn speaks_of_an_api(environment: &[(String, String)]) -> bool {
    ["CACHE_URL", "CACHE_TTL_SECONDS", "REDIS_HOST", "DB_HOST"].iter().any(|name| set(environment, name).is_some())
}

/// Names the variable in each problem that came from one.
pub fn name_sources(problems: &mut Problems, environment: &[(String, String)]) {
    for problem in &mut problems.0 {
        let from = NAMES.iter().rev().find(|(name, section, key)| {
            set(environment, name).is_some() && problem.path == format!("{section}.{key}").trim_start_matches('.')
        });
        if let Some((name, ..)) = from {
            problem.path = format!("{} (from {name})", problem.path);
        }
    }
}

fn set<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment.iter().find(|(known, text)| known == name && !text.is_empty()).map(|(_, text)| text.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Config, Overrides, Preset};

    fn load(environment: &[(&str, &str)]) -> Result<Config, super::Problems> {
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Config::load(None, &Overrides { environment, ..Overrides::default() })
    }

    #[test]
    fn k7_variables_of_the_seeds_are_understood() {
        let config =
            load(&[("BACKEND_URL", "http://10.0.0.9:80"), ("PORT", "1"), ("PROXY_PORT", "2"), ("DEFAULT_TTL", "9")]);
        let config = config.expect("lawful");
        assert_eq!(config.backend.authority.as_str(), "10.0.0.9:80");
        assert_eq!((config.proxy.port, config.cache.defaults.ttl), (2, Duration::from_secs(9)));
        assert_eq!(config.preset, Preset::Pypowerwall);
    }

    #[test]
    fn a_variable_of_an_api_program_selects_its_preset() {
        assert_eq!(load(&[("CACHE_TTL_SECONDS", "1800")]).expect("lawful").preset, Preset::Api);
        let named = load(&[("CACHE_TTL_SECONDS", "1800"), ("LARDER_PRESET", "pypowerwall")]);
        assert_eq!(named.expect("lawful").preset, Preset::Pypowerwall);
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let problems = load(&[("PROXY_PORT", "eighty"), ("DEFAULT_TTL", "")]).expect_err("no port");
        assert_eq!(problems.0.len(), 1);
        assert_eq!(problems.0[0].path, "proxy.port (from PROXY_PORT)");
    }
}

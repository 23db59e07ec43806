//! Tests of the whole configuration: text in, values or problems out.

use proptest::prelude::*;

use super::*;
use crate::policy::check::JsonKind;
use crate::policy::rule::SetCookie;
use crate::route::Pattern;

fn read(text: &str) -> Config {
    Config::from_json(text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str) -> Vec<String> {
    let problems = Config::from_json(text).expect_err("problems");
    problems.to_string().lines().map(str::to_string).collect()
}

fn overridden(text: &str, overrides: &Overrides) -> Result<Config, Problems> {
    read::config(text, overrides)
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(read("{}"), Config::default());
    assert_eq!(Config::load(None, &Overrides::default()), Ok(Config::default()));
    let config = Config::default();
    assert_eq!(config.backend.authority, "localhost:8675");
    assert_eq!((config.proxy.port, config.backend.max_concurrent_requests), (8676, 2));
    assert_eq!(config.cache.slow_request_timeout, Duration::from_secs(2));
}

#[test]
fn the_example_says_nothing_but_the_defaults_and_its_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.json");
    let example = Config::load(Some(&path), &Overrides::default()).unwrap_or_else(|problems| panic!("{problems}"));
    let patterns: Vec<_> = example.routes.iter().map(|route| route.pattern.clone()).collect();
    assert_eq!(patterns, [Pattern::ExactPath("/aggregates".to_string()), Pattern::Prefix("/api/".to_string())]);
    assert!(example.warnings.is_empty(), "{:?}", example.warnings);
    assert_eq!(Config { routes: Vec::new(), ..example }, Config::default());
}

#[test]
fn the_example_of_the_first_seed_without_its_polls() {
    let config = read(
        r#"{ "backend": { "url": "http://localhost:8675/" }, "proxy": { "port": 8676 },
             "cache": { "defaultTTL": 300, "defaultStaleTime": 60, "slowRequestTimeout": 5000 },
             "urlConfigs": [{ "path": "/api/status", "cacheTTL": 30, "staleTime": 10 }] }"#,
    );
    assert_eq!(config.cache.slow_request_timeout, Duration::from_secs(5));
    assert_eq!(config.routes[0].rule.cache_ttl, Some(Duration::from_secs(30)));
    assert_eq!(config.routes[0].rule.stale_time, Some(Duration::from_secs(10)));
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn every_key_of_backend_and_proxy_reaches_its_place() {
    let config = read(
        r#"{ "backend": { "url": "HTTP://[::1]:81", "maxConcurrentRequests": 3, "connectTimeout": 1, "timeout": 2,
                          "idleTimeout": 3, "totalTimeout": 4 },
             "proxy": { "port": 0, "bind": "127.0.0.1", "workers": 2, "maxConnections": 5, "maxHeaderBytes": "2KiB",
                        "maxBodyBytes": 0, "headerTimeout": 1, "bodyTimeout": 2, "keepAliveTimeout": 3,
                        "writeTimeout": "4s", "trustedProxies": ["10.0.0.0/8"] } }"#,
    );
    let Config { backend, proxy, .. } = config;
    assert_eq!((backend.authority.as_str(), backend.max_concurrent_requests), ("[::1]:81", 3));
    let times = [backend.connect_timeout, backend.first_byte_timeout, backend.idle_timeout, backend.total_timeout];
    assert_eq!(times, [ms(1), ms(2), ms(3), ms(4)]);
    assert_eq!((proxy.port, proxy.bind.as_str(), proxy.workers, proxy.max_connections), (0, "127.0.0.1", 2, 5));
    assert_eq!((proxy.max_header_bytes, proxy.max_body_bytes), (2048, 0));
    assert_eq!([proxy.header_timeout, proxy.body_timeout, proxy.keep_alive_timeout], [ms(1), ms(2), ms(3)]);
    assert_eq!(proxy.write_timeout, ms(4000));
    assert!(proxy.trusts([10, 0, 0, 1].into()) && !proxy.trusts([127, 0, 0, 1].into()));
    let both = read(r#"{ "backend": { "timeout": 1, "firstByteTimeout": 2 } }"#);
    assert_eq!(both.backend.first_byte_timeout, ms(2), "the proper name wins over its alias");
}

#[test]
fn every_key_of_cache_and_log_reaches_its_place() {
    let config = read(
        r#"{ "cache": { "defaultTTL": 1, "defaultStaleTime": 0.5, "slowRequestTimeout": 0, "slowGrace": 3, "graceTime": 4,
                        "maxBytes": "1GiB", "maxEntries": 6, "maxObjectBytes": 7, "statusTTL": { "410": "1m" },
                        "identityFields": ["X-Who"] },
             "log": { "level": "debug" } }"#,
    );
    let cache = config.cache;
    assert_eq!((cache.max_bytes, cache.max_entries, cache.max_object_bytes), (1 << 30, 6, 7));
    assert_eq!(cache.identity_fields, ["x-who"]);
    assert_eq!(cache.slow_request_timeout, ms(0));
    let defaults = cache.defaults;
    assert_eq!((defaults.ttl, defaults.stale_time, defaults.grace_time), (ms(1000), ms(500), ms(4000)));
    assert_eq!(
        (defaults.slow_grace, defaults.status_ttl),
        (Some(ms(3000)), vec![(http::StatusCode::GONE, ms(60_000))])
    );
    assert_eq!(config.log.level, LevelFilter::Debug);
}

#[test]
fn every_key_of_a_route_reaches_its_place() {
    let config = read(
        r#"{ "urlConfigs": [{ "path": "/a?b", "cacheTTL": "1m", "staleTime": 2, "slowGrace": 3, "graceTime": 4,
                              "check": { "json": "array", "require": ["/0/a~1b"], "nonEmpty": true, "notText": ["x"] },
                              "force": ["private", "no-store"], "setCookie": "store", "cookies": "strip" }] }"#,
    );
    let Route { pattern, rule } = &config.routes[0];
    assert_eq!(pattern, &Pattern::ExactTarget("/a?b".to_string()));
    assert_eq!([rule.cache_ttl, rule.stale_time], [Some(ms(60_000)), Some(ms(2000))]);
    assert_eq!([rule.slow_grace, rule.grace_time], [Some(ms(3000)), Some(ms(4000))]);
    assert!(rule.force.private && rule.force.no_store && !rule.force.authorization && !rule.force.must_revalidate);
    assert!(rule.strip_cookies && rule.set_cookie == SetCookie::Store);
    let check = rule.check.as_ref().expect("a check");
    assert_eq!((check.json, check.non_empty), (Some(JsonKind::Array), true));
    assert_eq!(
        (check.require.as_slice(), check.not_text.as_slice()),
        (&["/0/a~1b".to_string()][..], &["x".to_string()][..])
    );
    assert_eq!(
        config.warnings,
        ["urlConfigs[0].force sets the origin's no-store aside", "urlConfigs[0].force sets the origin's private aside"]
    );
}

#[test]
fn all_problems_are_reported_in_one_run() {
    let found = problems(
        r#"{ "preset": "home",
             "backend": { "url": "https://x", "maxConcurrentRequests": 0, "connectTimeout": 0, "ulr": 1 },
             "proxy": { "port": 65536, "trustedProxies": ["10.0.0.0/33"] },
             "cache": { "defaultTTL": "soon", "statusTTL": { "503": 5, "x": 1 }, "tier": "redis://x" },
             "urlConfigs": [{ "pollInterval": 5 }, { "path": "/a", "check": { "require": ["a"] } }, { "path": "/a" }, 7],
             "unknown": {} }"#,
    );
    let places: Vec<&str> = found.iter().map(|line| line.split(':').next().unwrap_or_default()).collect();
    let expected = [
        "preset",
        "backend.url",
        "backend.maxConcurrentRequests",
        "backend.connectTimeout",
        "backend.ulr",
        "proxy.port",
        "proxy.trustedProxies[0]",
        "cache.defaultTTL",
        "cache.statusTTL.503",
        "cache.statusTTL.x",
        "cache.tier",
        "urlConfigs[0].path",
        "urlConfigs[0].pollInterval",
        "urlConfigs[1].check.require[0]",
        "urlConfigs[2].path",
        "urlConfigs[3]",
        "unknown",
    ];
    assert_eq!(places, expected, "{found:#?}");
    assert_eq!(found[4], "backend.ulr: found an unknown key, expected a known one; the nearest is \"url\"");
    assert_eq!(found[7], "cache.defaultTTL: found \"soon\", expected a number of seconds, or a text such as \"5s\"");
    assert_eq!(found[12], "urlConfigs[0].pollInterval: found 5, expected nothing: pollInterval is not built yet");
}

#[test]
fn origins() {
    for url in ["http://a", "http://a/", "http://a.b:1", "HTTP://10.0.0.1:65535", "http://[fd00::1]:80"] {
        overridden("{}", &Overrides { origin: Some(url.to_string()), ..Overrides::default() })
            .unwrap_or_else(|p| panic!("{p}"));
    }
    let wrong = [
        "",
        "a",
        "a:80",
        "http:",
        "http://",
        "http:///",
        "http://a//",
        "http://a/b",
        "http://a?b",
        "http://a#b",
        "http://u@a",
        "http://u@a:80",
        "http://u:p@a",
        "http://a:",
        "http://a:0",
        "http://a:65536",
        "http://a:x",
        "http://:80",
        "http://a b",
        "https://a",
        "sim://",
        "http://[::1",
    ];
    for url in wrong {
        let problems =
            overridden("{}", &Overrides { origin: Some(url.to_string()), ..Overrides::default() }).expect_err(url);
        assert_eq!(problems.0[0].path, "--origin", "{url}");
    }
}

#[test]
fn the_command_line_wins_and_an_origin_selects_the_preset_api_unless_one_is_named() {
    let overrides = Overrides { port: Some(1), origin: Some("http://a:2".to_string()), ..Overrides::default() };
    let silent = overridden(r#"{ "proxy": { "port": 3 }, "cache": { "graceTime": 7 } }"#, &overrides).expect("valid");
    assert_eq!((silent.preset, silent.proxy.port, silent.backend.authority.as_str()), (Preset::Api, 1, "a:2"));
    assert_eq!(silent.backend.max_concurrent_requests, 16);
    assert_eq!(silent.cache.slow_request_timeout, Duration::from_secs(5));
    assert_eq!(silent.cache.defaults.grace_time, Duration::from_secs(7), "the file's own value stays");
    let named = overridden(r#"{ "preset": "pypowerwall" }"#, &overrides).expect("valid");
    assert_eq!((named.preset, named.backend.max_concurrent_requests), (Preset::Pypowerwall, 2));
    assert_eq!(read(r#"{ "preset": "api" }"#), Config::of(Preset::Api));
}

#[test]
fn what_is_lawful_but_odd_is_a_warning() {
    let config = read(
        r#"{ "cache": { "defaultTTL": 5, "maxBytes": 1 },
             "urlConfigs": [{ "path": "/a", "cacheTTL": 1, "staleTime": 2 }, { "path": "/b", "cacheTTL": 1, "staleTime": 1 }] }"#,
    );
    let places: Vec<&str> = config.warnings.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(places, ["cache.defaultStaleTime", "cache.maxObjectBytes", "urlConfigs[0].staleTime"]);
}

#[test]
fn what_is_no_json_names_its_line() {
    let found = problems("{ // all is well\n  \"proxy\": }");
    assert!(found.len() == 1 && found[0].contains("line 2 column 12"), "{found:?}");
    assert!(problems("[]")[0].contains("expected an object"));
    assert_eq!(problems(&"[".repeat(100_000)).len(), 1);
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let problems = Config::load(Some(Path::new("/nowhere/larder.json")), &Overrides::default()).expect_err("a problem");
    assert_eq!(problems.0[0].path, "/nowhere/larder.json");
}

proptest! {
    #[test]
    fn no_text_panics(text in "[\\[\\]{}:,\"/a-z0-9. \n\\\\-]{0,60}") {
        let _ = Config::from_json(&text);
    }

    #[test]
    fn no_value_panics(key in "(url|port|statusTTL|path|maxBytes)", value in "(-?[0-9]{1,25}|\"\\PC{0,20}\"|\\[\\]|\\{\\}|null|true)") {
        for section in ["backend", "proxy", "cache"] {
            let _ = Config::from_json(&format!("{{\"{section}\": {{\"{key}\": {value}}}}}"));
        }
        let _ = Config::from_json(&format!("{{\"urlConfigs\": [{{\"{key}\": {value}}}]}}"));
    }
}

//! Tests of the whole configuration: text in, values or problems out.

use proptest::prelude::*;

use super::*;
use crate::policy::check::JsonKind;
use crate::policy::rule::{Rule, SetCookie};
use crate::route::Pattern;

fn read(text: &str) -> Config {
    Config::from_json(text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str) -> Vec<String> {
    let problems = Config::from_json(text).expect_err("problems");
    problems.to_string().lines().map(str::to_string).collect()
}

fn overridden(text: &str, overrides: &Overrides) -> Result<Config, Problems> {
    of_text(text, overrides, &Surroundings::default()).map(|loaded| loaded.config)
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(read("{}"), Config::default());
    assert_eq!(
        Config::load(None, &Overrides::default()),
        Ok(Config::default())
    );
    let config = Config::default();
    assert_eq!(config.backend.origin.to_string(), "http://localhost:8675");
    assert_eq!(
        (config.proxy.port, config.backend.max_concurrent_requests),
        (8676, 2)
    );
    assert_eq!(config.cache.slow_request_timeout, Duration::from_secs(2));
}

#[test]
fn the_example_says_nothing_but_the_defaults_and_its_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.json");
    let example = Config::load(Some(&path), &Overrides::default())
        .unwrap_or_else(|problems| panic!("{problems}"));
    let mut own = example.routes.clone();
    own.retain(|route| !Config::default().routes.contains(route));
    let patterns: Vec<_> = own.into_iter().map(|route| route.pattern).collect();
    assert_eq!(
        patterns,
        [Pattern::Prefix("/shop/".to_string())],
        "the others say what the preset says"
    );
    assert!(example.warnings.is_empty(), "{:?}", example.warnings);
    assert_eq!(
        Config {
            routes: Config::default().routes,
            ..example
        },
        Config::default()
    );
}

/// What the configuration says about a path.
fn rule<'a>(config: &'a Config, path: &str) -> &'a Rule {
    let found = config
        .routes
        .iter()
        .find(|route| Some(&route.pattern) == Pattern::parse(path).as_ref());
    &found.unwrap_or_else(|| panic!("no route for {path}")).rule
}

#[test]
fn the_example_of_the_first_seed() {
    let config = read(
        r#"{ "backend": { "url": "http://localhost:8675/" }, "proxy": { "port": 8676 },
             "cache": { "defaultTTL": 300, "defaultStaleTime": 60, "slowRequestTimeout": 5000 },
             "urlConfigs": [{ "path": "/api/status", "pollInterval": 15, "cacheTTL": 30, "staleTime": 10 }] }"#,
    );
    assert_eq!(config.cache.slow_request_timeout, Duration::from_secs(5));
    let Rule {
        cache_ttl,
        stale_time,
        poll_interval,
        own_poll,
        ..
    } = rule(&config, "/api/status");
    assert_eq!(
        [*cache_ttl, *stale_time, *poll_interval],
        [30, 10, 15].map(|seconds| Some(Duration::from_secs(seconds)))
    );
    assert!(!own_poll);
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn every_key_of_backend_and_proxy_reaches_its_place() {
    let config = read(
        r#"{ "backend": { "url": "HTTP://[::1]:81", "maxConcurrentRequests": 3, "connectTimeout": 1, "timeout": 2,
                          "idleTimeout": 3, "totalTimeout": 4, "backoff": [1, "2s", 0.5], "maxRetryAfter": "1m" },
             "proxy": { "port": 0, "bind": "127.0.0.1", "workers": 2, "maxConnections": 5, "maxConnectionsPerClient": 3, "maxHeaderBytes": "2KiB",
                        "maxBodyBytes": 0, "headerTimeout": 1, "bodyTimeout": 2, "keepAliveTimeout": 3,
                        "writeTimeout": "4s", "trustedProxies": ["10.0.0.0/8"] } }"#,
    );
    let Config { backend, proxy, .. } = config;
    assert_eq!(
        (
            backend.origin.to_string().as_str(),
            backend.max_concurrent_requests
        ),
        ("http://[::1]:81", 3)
    );
    assert_eq!(backend.backoff, [ms(1000), ms(2000), ms(500)]);
    assert_eq!(backend.max_retry_after, ms(60_000));
    let times = [
        backend.connect_timeout,
        backend.first_byte_timeout,
        backend.idle_timeout,
        backend.total_timeout,
    ];
    assert_eq!(times, [ms(1), ms(2), ms(3), ms(4)]);
    assert_eq!(
        (
            proxy.port,
            proxy.bind.as_str(),
            proxy.workers,
            proxy.max_connections
        ),
        (0, "127.0.0.1", 2, 5)
    );
    assert_eq!(proxy.max_connections_per_client, Some(3));
    assert_eq!((proxy.max_header_bytes, proxy.max_body_bytes), (2048, 0));
    assert_eq!(
        [
            proxy.header_timeout,
            proxy.body_timeout,
            proxy.keep_alive_timeout
        ],
        [ms(1), ms(2), ms(3)]
    );
    assert_eq!(proxy.write_timeout, ms(4000));
    assert!(proxy.trusts([10, 0, 0, 1].into()) && !proxy.trusts([127, 0, 0, 1].into()));
    let both = read(r#"{ "backend": { "timeout": 1, "firstByteTimeout": 2 } }"#);
    assert_eq!(
        both.backend.first_byte_timeout,
        ms(2),
        "the proper name wins over its alias"
    );
}

#[test]
fn every_key_of_cache_and_log_reaches_its_place() {
    let config = read(
        r#"{ "cache": { "defaultTTL": 1, "defaultStaleTime": 0.5, "slowRequestTimeout": 0, "slowGrace": 3, "graceTime": 4,
                        "maxBytes": "1GiB", "maxEntries": 6, "maxObjectBytes": 7, "statusTTL": { "410": "1m" },
                        "identityFields": ["X-Who"], "targetedFields": [], "clientDirectives": "strict", "storeSetCookie": true },
             "log": { "level": "debug" } }"#,
    );
    let cache = config.cache;
    assert_eq!(
        (cache.max_bytes, cache.max_entries, cache.max_object_bytes),
        (1 << 30, 6, 7)
    );
    assert_eq!(
        (cache.identity_fields, cache.targeted_fields),
        (vec![HeaderName::from_static("x-who")], vec![])
    );
    assert_eq!(
        (cache.client_directives, cache.defaults.set_cookie),
        (ClientDirectives::Strict, SetCookie::Store)
    );
    assert_eq!(cache.slow_request_timeout, ms(0));
    let defaults = cache.defaults;
    assert_eq!(
        (defaults.ttl, defaults.stale_time, defaults.grace_time),
        (ms(1000), ms(500), ms(4000))
    );
    assert_eq!(
        (defaults.slow_grace, defaults.status_ttl),
        (Some(ms(3000)), vec![(http::StatusCode::GONE, ms(60_000))])
    );
    assert_eq!(config.log.level, LevelFilter::Debug);
}

#[test]
fn every_key_of_a_route_reaches_its_place() {
    let config = read(
        r#"{ "preset": "api",
             "urlConfigs": [{ "path": "/a?b", "pollInterval": "90s", "cacheTTL": "1m", "staleTime": 2, "slowGrace": 3, "graceTime": 4,
                              "refreshMinInterval": 5,
                              "check": { "json": "array", "require": ["/0/a~1b"], "nonEmpty": true, "notText": ["x"] },
                              "force": ["private", "no-store"], "setCookie": "store", "cookies": "strip" }] }"#,
    );
    let Route { pattern, rule } = &config.routes[0];
    assert_eq!(pattern, &Pattern::ExactTarget("/a?b".to_string()));
    assert_eq!(
        [rule.cache_ttl, rule.stale_time],
        [Some(ms(60_000)), Some(ms(2000))]
    );
    assert_eq!(
        [rule.slow_grace, rule.grace_time],
        [Some(ms(3000)), Some(ms(4000))]
    );
    assert!(
        rule.force.private
            && rule.force.no_store
            && !rule.force.authorization
            && !rule.force.must_revalidate
    );
    assert_eq!(
        (rule.strip_cookies, rule.set_cookie),
        (true, Some(SetCookie::Store))
    );
    assert_eq!(rule.refresh_min_interval, Some(ms(5000)));
    assert_eq!(
        (rule.poll_interval, rule.own_poll),
        (Some(ms(90_000)), false)
    );
    let check = rule.check.as_ref().expect("a check");
    assert_eq!((check.json, check.non_empty), (Some(JsonKind::Array), true));
    assert_eq!(
        (check.require.as_slice(), check.not_text.as_slice()),
        (&["/0/a~1b".to_string()][..], &["x".to_string()][..])
    );
    assert_eq!(
        config.warnings,
        [
            "urlConfigs[0].force sets the origin's no-store aside",
            "urlConfigs[0].force sets the origin's private aside"
        ]
    );
}

#[test]
fn all_problems_are_reported_in_one_run() {
    let found = problems(
        r#"{ "preset": "home",
             "backend": { "url": "ftp://x", "maxConcurrentRequests": 0, "connectTimeout": 0, "backoff": [5, 0],
                          "ulr": 1 },
             "proxy": { "port": 65536, "trustedProxies": ["10.0.0.0/33"] },
             "cache": { "defaultTTL": "soon", "statusTTL": { "503": 5, "x": 1 }, "tier": "redis://x" },
             "urlConfigs": [{ "pollInterval": -5 }, { "path": "/a", "check": { "require": ["a"] } }, { "path": "/a" }, 7,
                            { "path": "/b*", "pollInterval": 5 }],
             "unknown": {} }"#,
    );
    let places: Vec<&str> = found
        .iter()
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    let expected = [
        "preset",
        "backend.url",
        "backend.maxConcurrentRequests",
        "backend.connectTimeout",
        "backend.backoff",
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
        "urlConfigs[4].pollInterval",
        "unknown",
    ];
    assert_eq!(places, expected, "{found:#?}");
    assert_eq!(
        found[5],
        "backend.ulr: found an unknown key, expected a known one; the nearest is \"url\""
    );
    assert_eq!(
        found[8],
        "cache.defaultTTL: found \"soon\", expected a number of seconds, or a text such as \"5s\""
    );
    assert_eq!(
        found[17],
        "urlConfigs[4].pollInterval: found a path with *, expected one path to poll"
    );
}

#[test]
fn origins() {
    for url in [
        "http://a",
        "http://a/",
        "http://a.b:1",
        "HTTP://10.0.0.1:65535",
        "http://[fd00::1]:80",
        "sim://powerwall?seed=7",
    ] {
        overridden(
            "{}",
            &Overrides {
                origin: Some(url.to_string()),
                ..Overrides::default()
            },
        )
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
        "https://a:x",
        "https://u:p@a",
        "sim://",
        "sim://house",
        "http://[::1",
    ];
    for url in wrong {
        let problems = overridden(
            "{}",
            &Overrides {
                origin: Some(url.to_string()),
                ..Overrides::default()
            },
        )
        .expect_err(url);
        assert_eq!(
            problems.0[0].path, "backend.url (from command line --origin)",
            "{url}"
        );
    }
}

#[test]
fn the_command_line_wins_and_an_origin_selects_the_preset_api_unless_one_is_named() {
    let overrides = Overrides {
        port: Some(1),
        origin: Some("http://a:2".to_string()),
        ..Overrides::default()
    };
    let silent = overridden(
        r#"{ "proxy": { "port": 3 }, "cache": { "graceTime": 7 } }"#,
        &overrides,
    )
    .expect("valid");
    assert_eq!(
        (
            silent.preset,
            silent.proxy.port,
            silent.backend.origin.to_string().as_str()
        ),
        (Preset::Api, 1, "http://a:2")
    );
    assert_eq!(silent.backend.max_concurrent_requests, 16);
    assert_eq!(silent.cache.slow_request_timeout, Duration::from_secs(5));
    assert_eq!(
        silent.cache.defaults.grace_time,
        Duration::from_secs(7),
        "the file's own value stays"
    );
    let named = overridden(r#"{ "preset": "pypowerwall" }"#, &overrides).expect("valid");
    assert_eq!(
        (named.preset, named.backend.max_concurrent_requests),
        (Preset::Pypowerwall, 2)
    );
    assert_eq!(read(r#"{ "preset": "api" }"#), Config::of(Preset::Api));
}

#[test]
fn every_option_of_the_command_line_reaches_its_place() {
    let text = |text: &str| Some(text.to_string());
    let overrides = Overrides {
        preset: text("api"),
        cache_ttl: text("90s"),
        ..Overrides::default()
    };
    let config = overridden(
        r#"{ "preset": "pypowerwall", "cache": { "defaultTTL": 5 } }"#,
        &overrides,
    )
    .expect("valid");
    assert_eq!(
        (config.preset, config.cache.defaults.ttl),
        (Preset::Api, Duration::from_secs(90))
    );
    let bare = Overrides {
        cache_ttl: text("90"),
        ..Overrides::default()
    };
    assert_eq!(
        overridden("{}", &bare).expect("valid").cache.defaults.ttl,
        Duration::from_secs(90)
    );
    let wrong = Overrides {
        preset: text("home"),
        cache_ttl: text("soon"),
        ..Overrides::default()
    };
    let problems = overridden("{", &wrong).expect_err("three problems");
    let paths: Vec<&str> = problems
        .0
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    let expected = [
        "the configuration line 1 column 1",
        "preset (from command line --preset)",
        "cache.defaultTTL (from command line --cache-ttl)",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn why_a_preset_holds_is_told() {
    let because = |text: &str, environment: &[(&str, &str)], origin: Option<&str>| {
        let environment = environment
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_string()))
            .collect();
        let variables = Variables {
            environment,
            ..Variables::default()
        };
        let overrides = Overrides {
            origin: origin.map(str::to_string),
            variables,
            ..Overrides::default()
        };
        let loaded = of_text(text, &overrides, &Surroundings::default()).expect("valid");
        format!("{}: {}", loaded.config.preset.name(), loaded.preset_because)
    };
    assert_eq!(because("{}", &[], None), "pypowerwall: the default");
    assert_eq!(
        because("{}", &[("DB_HOST", "x")], None),
        "api: because DB_HOST is set"
    );
    assert_eq!(
        because("{}", &[], Some("http://a")),
        "api: because the origin comes from --origin"
    );
    assert_eq!(
        because("{}", &[("DB_HOST", "x")], Some("sim://powerwall")),
        "pypowerwall: the origin is sim://powerwall"
    );
    assert_eq!(
        because(r#"{ "preset": "api" }"#, &[], None),
        "api: named by file"
    );
    assert_eq!(
        because("{}", &[("LARDER_PRESET", "api")], None),
        "api: named by environment LARDER_PRESET"
    );
}

#[test]
fn debug_in_the_file_is_a_level_of_the_log_unless_that_is_named() {
    assert_eq!(
        read(r#"{ "proxy": { "debug": true } }"#).log.level,
        LevelFilter::Debug
    );
    assert_eq!(
        read(r#"{ "proxy": { "debug": true }, "log": { "level": "warn" } }"#)
            .log
            .level,
        LevelFilter::Warn
    );
    assert_eq!(
        read(r#"{ "proxy": { "debug": false } }"#).log.level,
        LevelFilter::Info
    );
}

#[test]
fn the_simulated_house_selects_its_preset_wherever_it_is_named() {
    let sim = "sim://powerwall?latency=200ms&hang=/freq".to_string();
    let environment = vec![("CACHE_TTL_SECONDS".to_string(), "9".to_string())];
    let variables = Variables {
        environment,
        ..Variables::default()
    };
    let named = overridden(
        "{}",
        &Overrides {
            origin: Some(sim.clone()),
            variables: variables.clone(),
            ..Overrides::default()
        },
    );
    let config = named.expect("valid");
    let query = "latency=200ms&hang=/freq".to_string();
    assert_eq!(
        (config.preset, config.backend.origin),
        (Preset::Pypowerwall, OriginUrl::Sim(query))
    );
    let file = format!(r#"{{ "backend": {{ "url": "{sim}" }} }}"#);
    let filed = overridden(
        &file,
        &Overrides {
            variables,
            ..Overrides::default()
        },
    );
    assert_eq!(filed.expect("valid").preset, Preset::Pypowerwall);
    let other = Overrides {
        origin: Some("http://a".to_string()),
        ..Overrides::default()
    };
    assert_eq!(
        overridden(&file, &other).expect("valid").preset,
        Preset::Api,
        "the command line's origin decides"
    );
    let api = overridden(
        r#"{ "preset": "api" }"#,
        &Overrides {
            origin: Some(sim),
            ..Overrides::default()
        },
    );
    assert_eq!(api.expect("valid").preset, Preset::Api);
}

#[test]
fn a_route_of_the_users_changes_the_presets_field_by_field() {
    let untouched = Config::default();
    let config = read(
        r#"{ "urlConfigs": [{ "path": "/freq", "staleTime": 7, "pollInterval": null, "force": null },
                            { "path": "/soe", "check": { "nonEmpty": true }, "setCookie": "refuse", "cookies": "keep" },
                            { "path": "/mine", "cacheTTL": 9 }] }"#,
    );
    let preset = rule(&untouched, "/freq").clone();
    assert_eq!(
        rule(&config, "/freq"),
        &Rule {
            stale_time: Some(ms(7000)),
            ..preset
        },
        "its poll too is the preset's"
    );
    let soe = rule(&config, "/soe");
    assert_eq!(
        (soe.set_cookie, soe.strip_cookies, soe.plausibility),
        (
            Some(SetCookie::Refuse),
            false,
            rule(&untouched, "/soe").plausibility
        )
    );
    assert!(
        soe.check
            .as_ref()
            .is_some_and(|check| check.non_empty && check.json.is_none()),
        "a check is one field"
    );
    assert_eq!(
        rule(&config, "/mine"),
        &Rule {
            cache_ttl: Some(ms(9000)),
            ..Rule::default()
        }
    );
    assert_eq!(config.routes.len(), untouched.routes.len() + 1);
    assert_eq!(
        rule(&config, "/aggregates"),
        rule(&untouched, "/aggregates")
    );
    assert!(read(r#"{ "preset": "api" }"#).routes.is_empty());
}

#[test]
fn one_poll_of_the_users_ends_the_presets_own() {
    let polled = |text: &str| {
        let polled = read(text).routes.into_iter().filter_map(|route| {
            route
                .rule
                .poll_interval
                .map(|interval| (route.pattern, interval.as_secs(), route.rule.own_poll))
        });
        polled.collect::<Vec<_>>()
    };
    let path = |path: &str| Pattern::ExactPath(path.to_string());
    assert_eq!(polled("{}").len(), 9);
    assert!(polled("{}").iter().all(|(_, _, own)| *own));
    let mine = polled(
        r#"{ "urlConfigs": [{ "path": "/soe", "pollInterval": 20 }, { "path": "/x", "pollInterval": 40 }] }"#,
    );
    assert_eq!(mine, [(path("/soe"), 20, false), (path("/x"), 40, false)]);
    assert_eq!(
        polled(r#"{ "urlConfigs": [{ "path": "/soe", "pollInterval": 0 }] }"#),
        []
    );
}

#[test]
fn what_is_lawful_but_odd_is_a_warning() {
    let config = read(
        r#"{ "cache": { "defaultTTL": 5, "maxBytes": 1 },
             "urlConfigs": [{ "path": "/a", "cacheTTL": 1, "staleTime": 2 }, { "path": "/b", "cacheTTL": 2, "staleTime": 1 }] }"#,
    );
    let places: Vec<&str> = config
        .warnings
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        places,
        [
            "cache.defaultStaleTime",
            "cache.maxObjectBytes",
            "urlConfigs[0].staleTime"
        ]
    );
}

#[test]
fn what_is_no_json_names_its_line() {
    let found = problems("{ // all is well\n  \"proxy\": }");
    assert!(
        found.len() == 1 && found[0].contains("line 2 column 12"),
        "{found:?}"
    );
    assert!(problems("[]")[0].contains("expected an object"));
    assert_eq!(problems(&"[".repeat(100_000)).len(), 1);
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let problems = Config::load(
        Some(Path::new("/nowhere/larder.json")),
        &Overrides::default(),
    )
    .expect_err("a problem");
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

//! Tests of the whole configuration: text in, values or problems out. The message for each mistake is in
//! tests/fixtures/wrong-configurations.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::policy::rule::{Rule, SetCookie};
use crate::route::Pattern;

fn read(text: &str) -> Config {
    Config::from_json(text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn overridden(text: &str, overrides: &Overrides) -> Loaded {
    of_text(text, overrides, &Surroundings::default())
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn variables(environment: &[(&str, &str)]) -> Variables {
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    Variables {
        environment: environment.iter().map(owned).collect(),
        ..Variables::default()
    }
}

#[test]
fn an_empty_file_is_the_default() {
    let config = read("{}");
    assert_eq!(config, Config::default());
    assert_eq!(config.backend.origin.to_string(), "http://localhost:8675");
    assert_eq!(config.proxy.port, 8676);
    assert_eq!(
        config.cache.defaults,
        Defaults::default(),
        "the policy is tested with the numbers of the table"
    );
    assert_eq!(read(r#"{ "preset": "api" }"#), Config::of(Preset::Api));
    assert_eq!(Config::of(Preset::Api).backend.max_concurrent_requests, 16);
}

#[test]
fn the_example_says_nothing_but_the_defaults_and_its_route() {
    let mut example = read(&pages::example(&Table::larder()));
    let own = example.routes.pop().map(|route| route.pattern);
    assert_eq!(own, Some(Pattern::Prefix("/shop/".to_owned())));
    assert!(example == Config::default(), "{example:#?}");
}

/// Every key with a value that is not its default, as it is printed.
const EVERY_KEY: &str = r#"{
    "preset": "api", "plugins": {},
    "backend": { "url": "http://[::1]:81", "allow": ["::1", "powerwall.lan"],
        "tls": { "caFile": null, "pinSha256": [], "insecure": false },
        "maxConcurrentRequests": 3, "connectTimeout": 1, "timeout": 9, "firstByteTimeout": 2, "idleTimeout": 3, "totalTimeout": 4,
        "backoff": [1, 2, 0.5], "maxRetryAfter": 60, "minSpacingMs": 0.5, "quota": { "perMinute": 5, "perDay": 6 }, "retries": 2 },
    "proxy": { "port": 0, "bind": "127.0.0.1", "workers": 2, "maxConnections": 5, "maxConnectionsPerClient": 3,
        "maxHeaderBytes": "2KiB", "maxBodyBytes": 0, "headerTimeout": 11, "bodyTimeout": 12, "keepAliveTimeout": 13,
        "writeTimeout": 14, "trustedProxies": ["10.0.0.0/8"], "debug": true },
    "cache": { "defaultTTL": 11, "defaultStaleTime": 0.25, "slowRequestTimeout": 0, "slowGrace": 3, "graceTime": 4, "jitter": 1,
        "maxBytes": "1GiB", "maxEntries": 6, "maxObjectBytes": 7, "statusTTL": { "410": 60 },
        "targetedFields": [], "clientDirectives": "strict", "storeSetCookie": true },
    "control": { "socket": "/run/l.sock", "listen": "[::1]:9" },
    "admin": { "rootNames": false, "allow": ["loopback"], "tokenEnv": "OTHER", "hosts": ["cache.example.com"] },
    "log": { "level": "warn" },
    "urlConfigs": [{ "path": "/a?b", "pollInterval": 90, "pollIdleInterval": 99, "pollIdleAfter": 98, "cacheTTL": 60, "staleTime": 2,
        "refreshMinInterval": 5, "slowGrace": 3, "graceTime": 4, "onExhausted": "empty",
        "check": { "json": "array", "require": ["/0/a~1b"], "nonEmpty": true, "notText": ["x"] },
        "force": ["no-store", "private"], "setCookie": "store", "cookies": "strip", "varyOn": ["X-Tenant"], "ignoreFields": ["X-Noise"],
        "rateLimit": { "perMinute": 7, "unsafeOnly": true } }]
}"#;

#[test]
fn every_key_reaches_a_place_of_its_own_and_is_printed_from_there() {
    let table = Table::larder();
    let loaded = overridden(EVERY_KEY, &Overrides::default());
    let given: Value = serde_json::from_str(EVERY_KEY).expect("JSON");
    let printed = loaded.listing();
    let blank = Config::of(Preset::Pypowerwall);
    for key in table.keys.iter().filter(|key| key.is_listed) {
        let value = source::find(&given, key.path).unwrap_or(&Value::Null);
        let line = format!("{} = {value}   (", key.path);
        assert!(printed.contains(&line), "{line} is not in\n{printed}");
        // They are for https:// only.
        let is_tls = key.path.starts_with("backend.tls.");
        assert!(
            is_tls || key.print(&blank) != *value,
            "{} is the default",
            key.path
        );
    }
    let route = &given["urlConfigs"][0];
    for key in &table.routes[1..] {
        let value = source::find(route, key.path).expect(key.path);
        let line = format!(
            "urlConfigs[\"/a?b\"].{} = {value}   (from file)\n",
            key.path
        );
        assert!(printed.contains(&line), "{line} is not in\n{printed}");
    }
    assert_eq!(
        loaded.config.warnings,
        [
            "urlConfigs[0].force ignores the origin's no-store",
            "urlConfigs[0].force ignores the origin's private"
        ]
    );
}

#[test]
fn texts_have_units_and_other_names_are_weaker() {
    let config = read(
        r#"{ "backend": { "timeout": "2 s" }, "proxy": { "debug": true },
             "cache": { "defaultTTL": "1.5m", "slowRequestTimeout": "1", "graceTime": "2h", "maxBytes": "1.5 KiB", "maxEntries": null },
             "log": { "level": null } }"#,
    );
    assert_eq!(config.backend.first_byte_timeout, Duration::from_secs(2));
    assert_eq!(config.log.level, LevelFilter::Debug);
    assert_eq!(config.cache.defaults.ttl, Duration::from_secs(90));
    assert_eq!(config.cache.slow_request_timeout, Duration::from_millis(1));
    assert_eq!(config.cache.defaults.grace_time, Duration::from_secs(7200));
    assert_eq!(config.cache.max_bytes, 1536);
    assert_eq!(
        config.cache.max_entries,
        Config::default().cache.max_entries
    );
}

#[test]
fn every_option_of_the_command_line_has_a_row_and_wins() {
    let text = |text: &str| Some(text.to_owned());
    let overrides = Overrides {
        port: Some(1),
        bind: text("127.0.0.1"),
        origin: text("http://a:2"),
        preset: text("api"),
        cache_ttl: text("90s"),
        variables: variables(&[
            ("PROXY_PORT", "2"),
            ("PROXY_BIND", "::1"),
            ("DEFAULT_TTL", "8"),
        ]),
    };
    let file = r#"{ "preset": "pypowerwall", "proxy": { "port": 3 }, "cache": { "defaultTTL": 5, "graceTime": 7 } }"#;
    let printed = overridden(file, &overrides).listing();
    for line in [
        "proxy.port = 1   (from command line --port)\n",
        "proxy.bind = \"127.0.0.1\"   (from command line --bind)\n",
        "backend.url = \"http://a:2\"   (from command line --origin)\n",
        "preset = \"api\"   (from command line --preset)\n",
        "cache.defaultTTL = 90   (from command line --cache-ttl)\n",
        "cache.graceTime = 7   (from file)\n",
        "cache.jitter = 5   (from preset)\n",
    ] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
    let flags: BTreeSet<&str> = Table::larder().keys.iter().map(|key| key.flag).collect();
    let given: BTreeSet<&str> = overrides.given().iter().map(|(flag, _)| *flag).collect();
    assert_eq!(
        flags
            .into_iter()
            .filter(|flag| !flag.is_empty())
            .collect::<BTreeSet<_>>(),
        given
    );
}

#[test]
fn why_a_preset_holds_is_told() {
    let sim = r#"{ "backend": { "url": "sim://powerwall?latency=200ms" } }"#;
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, &'a str);
    let cases: [Case<'_>; 9] = [
        ("{}", &[], None, "pypowerwall: the default"),
        (
            "{}",
            &[("DB_HOST", "x")],
            None,
            "api: because DB_HOST is set",
        ),
        (
            "{}",
            &[("CACHE_TTL_SECONDS", "9")],
            None,
            "api: because CACHE_TTL_SECONDS is set",
        ),
        (
            "{}",
            &[],
            Some("http://a"),
            "api: because the origin comes from --origin",
        ),
        (
            "{}",
            &[("DB_HOST", "x")],
            Some("sim://powerwall"),
            "pypowerwall: the origin is sim://powerwall",
        ),
        (
            sim,
            &[("DB_HOST", "x")],
            None,
            "pypowerwall: the origin is sim://powerwall",
        ),
        (
            sim,
            &[],
            Some("http://a"),
            "api: because the origin comes from --origin",
        ),
        (
            r#"{ "preset": "API" }"#,
            &[],
            Some("sim://powerwall"),
            "api: named by file",
        ),
        (
            "{}",
            &[("LARDER_PRESET", "api")],
            None,
            "api: named by environment LARDER_PRESET",
        ),
    ];
    for (text, environment, origin, expected) in cases {
        let overrides = Overrides {
            origin: origin.map(str::to_owned),
            variables: variables(environment),
            ..Overrides::default()
        };
        let Loaded {
            config,
            preset_because,
            ..
        } = overridden(text, &overrides);
        assert_eq!(
            format!("{}: {preset_because}", config.preset.name()),
            expected
        );
    }
}

/// What the configuration says about a path.
fn rule(config: &Config, path: &str) -> Rule {
    let found = config
        .routes
        .iter()
        .find(|route| Some(&route.pattern) == Pattern::parse(path).as_ref());
    found
        .unwrap_or_else(|| panic!("no route for {path}"))
        .rule
        .clone()
}

#[test]
fn a_route_of_the_users_changes_the_presets_field_by_field() {
    let untouched = Config::default();
    let config = read(
        r#"{ "urlConfigs": [{ "path": "/freq", "staleTime": 7, "pollInterval": null, "force": null },
                            { "path": "/soe", "check": { "nonEmpty": true }, "setCookie": "refuse", "cookies": "keep" },
                            { "path": "/control/*", "rateLimit": { "perMinute": 0 } },
                            { "path": "/mine", "cacheTTL": 9 }] }"#,
    );
    let freq = Rule {
        stale_time: Some(Duration::from_secs(7)),
        ..rule(&untouched, "/freq")
    };
    assert_eq!(rule(&config, "/freq"), freq, "its poll too is the preset's");
    let soe = rule(&config, "/soe");
    assert_eq!(soe.set_cookie, Some(SetCookie::Refuse));
    assert!(!soe.strip_cookies && soe.judged && rule(&untouched, "/soe").judged);
    let check = soe.check.expect("a check");
    assert!(
        check.non_empty && check.json.is_none(),
        "a check is replaced as a whole"
    );
    assert_eq!(rule(&config, "/control/*").rate_limit, None);
    let mine = Rule {
        cache_ttl: Some(Duration::from_secs(9)),
        ..Rule::default()
    };
    assert_eq!(rule(&config, "/mine"), mine);
    assert_eq!(config.routes.len(), untouched.routes.len() + 1);
}

#[test]
fn one_poll_of_the_users_ends_the_presets_own() {
    let polled = |text: &str| {
        let routes = read(text).routes.into_iter();
        let polled = routes
            .filter_map(|route| Some((route.rule.poll_interval?.as_secs(), route.rule.own_poll)));
        polled.collect::<Vec<(u64, bool)>>()
    };
    assert_eq!(polled("{}").iter().filter(|(_, own)| *own).count(), 9);
    let mine = r#"{ "urlConfigs": [{ "path": "/soe", "pollInterval": 20 }, { "path": "/x", "pollInterval": 40 }] }"#;
    assert_eq!(polled(mine), [(20, false), (40, false)]);
    assert_eq!(
        polled(r#"{ "urlConfigs": [{ "path": "/soe", "pollInterval": 0 }] }"#),
        []
    );
}

#[test]
fn what_is_valid_but_odd_is_a_warning() {
    let route = |keys: &str| format!(r#"{{ "urlConfigs": [{{ "path": "/a", {keys} }}] }}"#);
    let cache = |keys: &str| format!(r#"{{ "cache": {{ {keys} }} }}"#);
    let never = "nothing is refreshed before it expires";
    let slows = "no poll slows down";
    for (text, warning) in [
        (route(r#""staleTime": 60, "cacheTTL": 60"#), never),
        (route(r#""staleTime": 59, "cacheTTL": 60"#), ""),
        (route(r#""staleTime": 0, "cacheTTL": 0"#), ""),
        (cache(r#""defaultStaleTime": 61, "defaultTTL": 60"#), never),
        (cache(r#""defaultStaleTime": 0, "defaultTTL": 0"#), ""),
        (
            cache(r#""maxBytes": 1"#),
            "the largest bodies are never stored",
        ),
        (route(r#""pollInterval": 5, "pollIdleInterval": 5"#), slows),
        (route(r#""pollInterval": 5, "pollIdleInterval": 6"#), ""),
        (route(r#""pollInterval": 5, "pollIdleInterval": 0"#), ""),
        (route(r#""pollIdleInterval": 60"#), slows),
    ] {
        let warnings = read(&text).warnings.join("\n");
        assert_eq!(warnings.rsplit(": ").next(), Some(warning), "{text}");
    }
}

#[test]
fn zero_and_words_that_take_away() {
    let proxy = read(r#"{ "proxy": { "maxConnectionsPerClient": 0 } }"#).proxy;
    assert_eq!(proxy.max_connections_per_client, None);
    let control = read(r#"{ "control": { "socket": "off" } }"#).control;
    assert_eq!(control.socket, ControlSocket::Off);
}

#[test]
fn the_token_is_in_the_variable_that_is_named_and_nowhere_printed() {
    let token = |text: &str, environment: &[(&str, &str)]| {
        let overrides = Overrides {
            variables: variables(environment),
            ..Overrides::default()
        };
        let loaded = overridden(text, &overrides);
        assert!(!format!("{loaded:?}{}", loaded.listing()).contains("swordfish"));
        loaded
            .config
            .admin
            .token
            .is_some_and(|token| token.is(b"swordfish"))
    };
    assert!(token("{}", &[("ADMIN_TOKEN", "swordfish")]));
    assert!(token(
        r#"{"admin":{"tokenEnv":"OTHER"}}"#,
        &[("OTHER", "swordfish")]
    ));
    assert!(!token(
        r#"{"admin":{"tokenEnv":"OTHER"}}"#,
        &[("ADMIN_TOKEN", "swordfish")]
    ));
    assert!(!token("{}", &[("ADMIN_TOKEN", "")]));
}

#[test]
fn fault_f10_a_short_token_is_a_warning() {
    let warnings = |token| {
        let overrides = Overrides {
            variables: variables(&[("ADMIN_TOKEN", token)]),
            ..Overrides::default()
        };
        overridden("{}", &overrides).config.warnings.join("\n")
    };
    let message = warnings("fifteen-letters");
    assert!(
        message.starts_with("ADMIN_TOKEN has fewer than 16"),
        "{message}"
    );
    assert!(!message.contains("fifteen-letters"), "{message}");
    assert_eq!(warnings("sixteen-letters!"), "");
}

#[test]
fn a_key_in_one_row_is_read_printed_documented_and_exemplified() {
    let mut table = Table::larder();
    let shelves = key::key(
        "cache.shelves",
        kinds::number(1, 9),
        |c| &mut c.proxy.workers,
        3,
    )
    .doc("How many shelves there are.")
    .variable("LARDER_SHELVES", key::When::Set);
    table.keys.push(shelves);
    let load = |text: &str| {
        let text = Ok(text.to_owned());
        read::config(
            &table,
            "f",
            text,
            &Overrides::default(),
            &Surroundings::default(),
        )
    };
    let loaded = load(r#"{ "cache": { "shelves": 7 } }"#).expect("valid");
    assert_eq!(loaded.config.proxy.workers, 7);
    assert_eq!(load("{}").expect("valid").config.proxy.workers, 3);
    let row = "| `cache.shelves` | number from 1 to 9 | `3` | How many shelves there are. Also `LARDER_SHELVES`. |\n";
    for (page, line) in [
        (
            pages::listing(&table, &loaded),
            "cache.shelves = 7   (from file)\n",
        ),
        (pages::reference(&table), row),
        (
            pages::dotenv(&table),
            "# sets cache.shelves\n# LARDER_SHELVES=\n",
        ),
        (
            pages::example(&table),
            "    // How many shelves there are.\n    \"shelves\": 3\n",
        ),
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    let schema: Value = serde_json::from_str(&pages::schema(&table)).expect("JSON");
    let expected = json!({ "description": "How many shelves there are.", "maximum": 9, "minimum": 1, "type": ["integer", "null"] });
    assert_eq!(
        schema["properties"]["cache"]["properties"]["shelves"],
        expected
    );
    let wrong = load(r#"{ "cache": { "shelves": 10, "shelfs": 1 } }"#).expect_err("two problems");
    assert_eq!(
        wrong.to_string(),
        "f line 1, column 14: cache.shelves is 10. Write a whole number from 1 to 9.\n\
         f line 1, column 29: cache.shelfs is not a known key. The nearest known key is \"shelves\"."
    );
}

#[test]
fn the_unit_of_a_key_is_in_its_name() {
    let table = Table::larder();
    let keys = table.keys.iter().map(|key| (key.path, &key.kind));
    for (path, kind) in keys.chain(table.routes.iter().map(|key| (key.path, &key.kind))) {
        let is_short = ["Timeout", "timeout", "Ms"]
            .iter()
            .any(|end| path.ends_with(end));
        assert_eq!(kind.contains("milliseconds"), is_short, "{path}");
    }
}

proptest! {
    #[test]
    fn no_value_panics(key in "(url|port|statusTTL|path|maxBytes|force|check)", value in "(-?[0-9]{1,25}|\"\\PC{0,20}\"|\\[\\]|\\{\\}|null|true)") {
        for section in ["backend", "proxy", "cache"] {
            let _ = Config::from_json(&format!("{{\"{section}\": {{\"{key}\": {value}}}}}"));
        }
        let _ = Config::from_json(&format!("{{\"urlConfigs\": [{{\"{key}\": {value}}}]}}"));
    }
}

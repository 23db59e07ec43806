//! From the text of a configuration file to a [`Config`]: each section over the defaults of the preset.

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use http::{HeaderName, StatusCode};
use log::LevelFilter;
use serde_json::{Map, Value};

use super::admin;
use super::problems::shown;
use super::routes::{is_never_refreshed, read_routes};
use super::section::Section;
use super::settings::Setting;
use super::units::{self, TimeUnit};
use super::{
    Backend, Cache, ClientDirectives, Config, Loaded, Log, Network, OriginUrl, Overrides, Preset,
    Problems,
};
use super::{Proxy, Source, Sources, Surroundings, Variables, document, environment, tls};
use crate::origin::allow::{Allow, Allowed};
use crate::policy::rule::SetCookie;
use crate::policy::storing::may_have_own_ttl;
use crate::secret::Secret;

/// A configuration file is refused beyond this many bytes.
const LARGEST_FILE: u64 = 1024 * 1024;

/// A schedule of backoff has at most so many steps.
const MOST_STEPS: usize = 32;

/// A request is asked once more so often at most.
const MOST_RETRIES: u32 = 3;

/// The text of a configuration file.
pub fn file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let size = File::open(path)?
        .take(LARGEST_FILE + 1)
        .read_to_string(&mut text)?;
    if size as u64 > LARGEST_FILE {
        Err(io::Error::other("more than 1 MiB"))
    } else {
        Ok(text)
    }
}

/// A valid configuration, or everything that is wrong with it.
///
/// `name` is what the file is called, `text` what stands in it, or why nothing can be read.
pub fn config(
    name: &str,
    text: io::Result<String>,
    overrides: &Overrides,
    surroundings: &Surroundings,
) -> Result<Loaded, Problems> {
    let variables = &overrides.variables;
    let mut problems = variables.problems.clone();
    let document = match text {
        Ok(text) => document::read(name, &text, &mut problems),
        Err(error) => {
            problems.add(name, error.to_string(), "a readable text file");
            None
        }
    };
    // Without a file, what the others say is still read: all problems are told in one run.
    let document = document.unwrap_or_else(|| Value::Object(Map::new()));
    let mut settings = environment::settings(variables);
    settings.extend(command_line(overrides));
    let sources = Sources::new(document, settings);
    let (implied, because) = implied_preset(&sources, variables);
    let mut config = Config::default();
    Section::read(String::new(), sources.document(), &mut problems, |top| {
        read_top(top, implied, &mut config)
    });
    config.admin.token = variables
        .find(&config.admin.token_env)
        .map(|(text, _)| Secret::new(text.to_owned()));
    config.warnings.extend(config.admin.weak_token());
    surroundings.judge(&mut config, &mut problems);
    config.warnings.extend(environment::waiting(variables));
    sources.name_in(&mut problems);
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

/// What the command line says.
fn command_line(overrides: &Overrides) -> Vec<Setting> {
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let given = [
        ("preset", "--preset", text(&overrides.preset)),
        ("backend.url", "--origin", text(&overrides.origin)),
        ("proxy.port", "--port", overrides.port.map(Value::from)),
        ("proxy.bind", "--bind", text(&overrides.bind)),
        (
            "cache.defaultTTL",
            "--cache-ttl",
            text(&overrides.cache_ttl),
        ),
    ];
    let settings = given.into_iter().filter_map(|(path, option, value)| {
        Some(Setting {
            path,
            value: value?,
            source: Source::CommandLine(option),
        })
    });
    settings.collect()
}

/// The preset where none is named, and why.
fn implied_preset(sources: &Sources, variables: &Variables) -> (Preset, String) {
    let url = sources
        .document()
        .pointer("/backend/url")
        .and_then(Value::as_str);
    let is_sim = url
        .and_then(|url| OriginUrl::parse(url).ok())
        .is_some_and(|origin| origin.is_sim());
    let from_option = sources.of("backend.url") == Source::CommandLine("--origin");
    match environment::speaks_of_an_api(variables) {
        _ if is_sim => (
            Preset::Pypowerwall,
            "the origin is sim://powerwall".to_owned(),
        ),
        _ if from_option => (
            Preset::Api,
            "because the origin comes from --origin".to_owned(),
        ),
        Some(name) => (Preset::Api, format!("because {name} is set")),
        None => (Preset::Pypowerwall, "the default".to_owned()),
    }
}

fn read_top(top: &mut Section<'_>, mut preset: Preset, config: &mut Config) {
    top.word(
        "preset",
        &mut preset,
        &[("pypowerwall", Preset::Pypowerwall), ("api", Preset::Api)],
    );
    *config = Config::of(preset);
    let Config {
        backend,
        proxy,
        cache,
        routes,
        admin,
        log,
        warnings,
        ..
    } = config;
    top.section("backend", |section| {
        read_backend(section, backend, warnings)
    });
    let mut debug = false;
    top.section("proxy", |section| read_proxy(section, proxy, &mut debug));
    if debug {
        log.level = LevelFilter::Debug;
    }
    top.section("cache", |section| read_cache(section, cache, warnings));
    read_routes(top, &cache.defaults, routes, warnings);
    top.section("admin", |section| admin::read(section, admin));
    top.section("log", |section| read_log(section, log));
    // The program that this file is read for too publishes with it.
    if top
        .find("plugins")
        .is_some_and(|plugins| *plugins != Value::Object(Map::new()))
    {
        warnings.push("plugins is not built yet: nothing is published to MQTT".to_owned());
    }
}

fn read_backend(section: &mut Section<'_>, backend: &mut Backend, warnings: &mut Vec<String>) {
    let mut is_clear = true;
    if let Some(url) = section.find("url") {
        match OriginUrl::parse(url.as_str().unwrap_or_default()) {
            Ok(origin) => backend.origin = origin,
            Err(expected) => {
                is_clear = false;
                section.problem("url", &shown(url), &expected);
            }
        }
    }
    let origin = Some(&backend.origin).filter(|_| is_clear);
    read_allow(section, origin, &mut backend.allow);
    section.section("tls", |section| {
        tls::read(section, origin, &mut backend.tls, warnings)
    });
    section.count(
        "maxConcurrentRequests",
        &mut backend.max_concurrent_requests,
        1,
        1024,
    );
    section.limit("connectTimeout", &mut backend.connect_timeout);
    section.limit("timeout", &mut backend.first_byte_timeout);
    section.limit("firstByteTimeout", &mut backend.first_byte_timeout);
    section.limit("idleTimeout", &mut backend.idle_timeout);
    section.limit("totalTimeout", &mut backend.total_timeout);
    let expected =
        "a list of 1 to 32 durations above zero: numbers of seconds, or texts such as \"5s\"";
    section.set("backoff", &mut backend.backoff, expected, |value| {
        let steps = value
            .as_array()
            .filter(|steps| (1..=MOST_STEPS).contains(&steps.len()))?;
        let step = |value| units::duration(value, TimeUnit::Seconds).filter(|step| !step.is_zero());
        steps.iter().map(step).collect()
    });
    section.duration("maxRetryAfter", &mut backend.max_retry_after);
    section.duration("minSpacingMs", &mut backend.min_spacing);
    section.section("quota", |quota| {
        quota.some_count("perMinute", &mut backend.quota.per_minute);
        quota.some_count("perDay", &mut backend.quota.per_day);
    });
    let retries = |value: &Value| {
        value
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n <= MOST_RETRIES)
    };
    section.set(
        "retries",
        &mut backend.retries,
        "a whole number from 0 to 3",
        retries,
    );
}

/// Reads where the origin may be, this one. `None`: its URL is a problem of its own.
fn read_allow(section: &mut Section<'_>, origin: Option<&OriginUrl>, allow: &mut Allow) {
    let expected =
        "an IP address, a block such as \"192.168.0.0/16\", or a name such as \"powerwall.lan\"";
    section.list("allow", &mut allow.0, expected, Allowed::parse);
    let is_understood = section.find("allow").is_none_or(|list| {
        list.as_array()
            .is_some_and(|list| list.len() == allow.0.len())
    });
    let Some(origin) = origin.filter(|_| is_understood) else {
        return;
    };
    if origin
        .authority()
        .is_some_and(|authority| !allow.may_admit(authority.host()))
    {
        let found = format!("no place for {origin}");
        section.problem(
            "allow",
            &found,
            "the name or address in backend.url, or a block around it; an empty list allows any",
        );
    }
}

fn read_proxy(section: &mut Section<'_>, proxy: &mut Proxy, debug: &mut bool) {
    let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    section.set(
        "port",
        &mut proxy.port,
        "a port: a number from 1 to 65535, or 0 for any free one",
        port,
    );
    let expected =
        "an address or name of this machine, without a port, such as \"::\" or \"127.0.0.1\"";
    section.set("bind", &mut proxy.bind, expected, |value| {
        value
            .as_str()
            .filter(|host| is_host(host))
            .map(str::to_string)
    });
    section.count("workers", &mut proxy.workers, 0, 64);
    section.count("maxConnections", &mut proxy.max_connections, 1, 1_000_000);
    section.set(
        "maxConnectionsPerClient",
        &mut proxy.max_connections_per_client,
        "a whole number from 1",
        |value| {
            value
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
                .filter(|count| *count > 0)
                .map(Some)
        },
    );
    section.bytes("maxHeaderBytes", &mut proxy.max_header_bytes, 1024);
    section.bytes("maxBodyBytes", &mut proxy.max_body_bytes, 0);
    section.limit("headerTimeout", &mut proxy.header_timeout);
    section.limit("bodyTimeout", &mut proxy.body_timeout);
    section.limit("keepAliveTimeout", &mut proxy.keep_alive_timeout);
    section.limit("writeTimeout", &mut proxy.write_timeout);
    let expected = "an IP address or a block such as \"10.0.0.0/8\"";
    section.list(
        "trustedProxies",
        &mut proxy.trusted_proxies,
        expected,
        Network::parse,
    );
    section.flag("debug", debug);
}

/// Whether it is an IP address or may be a name.
fn is_host(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    text.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.bytes().all(is_name))
}

fn read_cache(section: &mut Section<'_>, cache: &mut Cache, warnings: &mut Vec<String>) {
    let defaults = &mut cache.defaults;
    section.duration("defaultTTL", &mut defaults.ttl);
    section.duration("defaultStaleTime", &mut defaults.stale_time);
    section.some_duration("slowGrace", &mut defaults.slow_grace);
    section.duration("graceTime", &mut defaults.grace_time);
    let expected =
        "a status code that may be stored, with a number of seconds or a text such as \"5s\"";
    section.members(
        "statusTTL",
        &mut defaults.status_ttl,
        expected,
        |code, value| {
            let code = StatusCode::from_bytes(code.as_bytes())
                .ok()
                .filter(|code| may_have_own_ttl(*code))?;
            Some((code, units::duration(value, TimeUnit::Seconds)?))
        },
    );
    section.set(
        "storeSetCookie",
        &mut defaults.set_cookie,
        "true or false",
        |value| {
            value.as_bool().map(|store| {
                if store {
                    SetCookie::Store
                } else {
                    SetCookie::Refuse
                }
            })
        },
    );
    section.duration("slowRequestTimeout", &mut cache.slow_request_timeout);
    let percent = |value: &Value| {
        value
            .as_u64()
            .and_then(|percent| u8::try_from(percent).ok())
            .filter(|p| *p <= 5)
    };
    section.set(
        "jitter",
        &mut defaults.jitter,
        "a whole number of percent from 0 to 5",
        percent,
    );
    section.bytes("maxBytes", &mut cache.max_bytes, 0);
    section.count("maxEntries", &mut cache.max_entries, 1, usize::MAX);
    section.bytes("maxObjectBytes", &mut cache.max_object_bytes, 1);
    let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).ok();
    section.list(
        "identityFields",
        &mut cache.identity_fields,
        "a field name",
        name,
    );
    section.list(
        "targetedFields",
        &mut cache.targeted_fields,
        "a field name",
        name,
    );
    let words = [
        ("limited", ClientDirectives::Limited),
        ("strict", ClientDirectives::Strict),
    ];
    section.word("clientDirectives", &mut cache.client_directives, &words);
    if is_never_refreshed(defaults.stale_time, defaults.ttl) {
        let path = section.path_of("defaultStaleTime");
        warnings.push(format!(
            "{path} is not below defaultTTL: nothing is refreshed before it expires"
        ));
    }
    if cache.max_object_bytes > cache.max_bytes {
        let path = section.path_of("maxObjectBytes");
        warnings.push(format!(
            "{path} is above maxBytes: the largest bodies are never stored"
        ));
    }
}

fn read_log(section: &mut Section<'_>, log: &mut Log) {
    let levels = [
        ("off", LevelFilter::Off),
        ("fatal", LevelFilter::Error),
        ("error", LevelFilter::Error),
        ("warn", LevelFilter::Warn),
        ("warning", LevelFilter::Warn),
        ("info", LevelFilter::Info),
        ("debug", LevelFilter::Debug),
        ("trace", LevelFilter::Trace),
    ];
    section.word("level", &mut log.level, &levels);
}

//! From the text of a configuration file to a [`Config`]: each section over the defaults of the preset.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use http::{HeaderName, StatusCode};
use log::LevelFilter;
use serde_json::Value;

use super::admin;
use super::comments::blanked;
use super::environment;
use super::network::Network;
use super::problems::shown;
use super::routes::read_routes;
use super::section::Section;
use super::units::{self, TimeUnit};
use super::{Backend, Cache, Config, Log, OriginUrl, Overrides, Preset, Problems, Proxy};
use crate::policy::storing::is_never_stored;

/// A configuration file is refused beyond this many bytes.
const LARGEST_FILE: u64 = 1024 * 1024;

/// A schedule of backoff has at most so many steps.
const MOST_STEPS: usize = 32;

/// The text of a configuration file.
pub fn file(path: &Path) -> Result<String, Problems> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text));
    let mut problems = Problems::default();
    match read {
        Err(error) => problems.add(path.display().to_string(), error.to_string(), "a readable text file"),
        Ok(size) if size as u64 > LARGEST_FILE => {
            problems.add(path.display().to_string(), "more than 1 MiB", "a configuration file");
        }
        Ok(_) => {}
    }
    problems.or(text)
}

/// A valid configuration, or everything that is wrong with it.
pub fn config(text: &str, overrides: &Overrides) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let mut config = Config::default();
    match serde_json::from_str(&blanked(text)) {
        Ok(mut document) => {
            environment::lay_over(&mut document, &overrides.environment);
            let preset = implied_preset(&document, overrides);
            Section::read(String::new(), &document, &mut problems, |top| read_top(top, preset, &mut config));
        }
        Err(error) => problems.add("the configuration", error.to_string(), "JSON, with or without // comments"),
    }
    environment::name_sources(&mut problems, &overrides.environment);
    admin::find_token(&mut config.admin, &overrides.environment);
    apply(overrides, &mut config, &mut problems);
    problems.or(config)
}

fn apply(overrides: &Overrides, config: &mut Config, problems: &mut Problems) {
    if let Some(port) = overrides.port {
        config.proxy.port = port;
    }
    if let Some(url) = &overrides.origin {
        match OriginUrl::parse(url) {
            Ok(origin) => config.backend.origin = origin,
            Err(expected) => problems.add("--origin", url, expected),
        }
    }
}

/// The preset where none is named.
fn implied_preset(document: &Value, overrides: &Overrides) -> Preset {
    let url = overrides.origin.as_deref().or_else(|| document.pointer("/backend/url")?.as_str());
    let is_sim = url.and_then(|url| OriginUrl::parse(url).ok()).is_some_and(|origin| origin.is_sim());
    let is_api = overrides.origin.is_some() || environment::speaks_of_an_api(&overrides.environment);
    if is_api && !is_sim { Preset::Api } else { Preset::Pypowerwall }
}

fn read_top(top: &mut Section<'_>, mut preset: Preset, config: &mut Config) {
    top.word("preset", &mut preset, &[("pypowerwall", Preset::Pypowerwall), ("api", Preset::Api)]);
    *config = Config::of(preset);
    let Config { backend, proxy, cache, routes, admin, log, warnings, .. } = config;
    top.section("backend", |section| read_backend(section, backend));
    top.section("proxy", |section| read_proxy(section, proxy));
    top.section("cache", |section| read_cache(section, cache, warnings));
    read_routes(top, &cache.defaults, routes, warnings);
    top.section("admin", |section| admin::read(section, admin));
    top.section("log", |section| read_log(section, log));
}

fn read_backend(section: &mut Section<'_>, backend: &mut Backend) {
    if let Some(url) = section.find("url") {
        match OriginUrl::parse(url.as_str().unwrap_or_default()) {
            Ok(origin) => backend.origin = origin,
            Err(expected) => section.problem("url", &shown(url), expected),
        }
    }
    section.count("maxConcurrentRequests", &mut backend.max_concurrent_requests, 1, 1024);
    section.limit("connectTimeout", &mut backend.connect_timeout);
    section.limit("timeout", &mut backend.first_byte_timeout);
    section.limit("firstByteTimeout", &mut backend.first_byte_timeout);
    section.limit("idleTimeout", &mut backend.idle_timeout);
    section.limit("totalTimeout", &mut backend.total_timeout);
    let expected = "a list of 1 to 32 durations above zero: numbers of seconds, or texts such as \"5s\"";
    section.set("backoff", &mut backend.backoff, expected, |value| {
        let steps = value.as_array().filter(|steps| (1..=MOST_STEPS).contains(&steps.len()))?;
        let step = |value| units::duration(value, TimeUnit::Seconds).filter(|step| !step.is_zero());
        steps.iter().map(step).collect()
    });
    section.duration("maxRetryAfter", &mut backend.max_retry_after);
}

fn read_proxy(section: &mut Section<'_>, proxy: &mut Proxy) {
    let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    section.set("port", &mut proxy.port, "a port from 1 to 65535, or 0 for any free one", port);
    section.text("bind", &mut proxy.bind);
    section.count("workers", &mut proxy.workers, 0, 64);
    section.count("maxConnections", &mut proxy.max_connections, 1, 1_000_000);
    section.bytes("maxHeaderBytes", &mut proxy.max_header_bytes, 1024);
    section.bytes("maxBodyBytes", &mut proxy.max_body_bytes, 0);
    section.limit("headerTimeout", &mut proxy.header_timeout);
    section.limit("bodyTimeout", &mut proxy.body_timeout);
    section.limit("keepAliveTimeout", &mut proxy.keep_alive_timeout);
    section.limit("writeTimeout", &mut proxy.write_timeout);
    let expected = "an IP address or a block such as \"10.0.0.0/8\"";
    section.list("trustedProxies", &mut proxy.trusted_proxies, expected, Network::parse);
}

fn read_cache(section: &mut Section<'_>, cache: &mut Cache, warnings: &mut Vec<String>) {
    let defaults = &mut cache.defaults;
    section.duration("defaultTTL", &mut defaults.ttl);
    section.duration("defaultStaleTime", &mut defaults.stale_time);
    section.some_duration("slowGrace", &mut defaults.slow_grace);
    section.duration("graceTime", &mut defaults.grace_time);
    let expected = "a status code that may be stored, with a number of seconds or a text such as \"5s\"";
    section.members("statusTTL", &mut defaults.status_ttl, expected, |code, value| {
        let code = StatusCode::from_bytes(code.as_bytes()).ok().filter(|code| !is_never_stored(*code))?;
        Some((code, units::duration(value, TimeUnit::Seconds)?))
    });
    section.duration("slowRequestTimeout", &mut cache.slow_request_timeout);
    section.bytes("maxBytes", &mut cache.max_bytes, 0);
    section.count("maxEntries", &mut cache.max_entries, 1, usize::MAX);
    section.bytes("maxObjectBytes", &mut cache.max_object_bytes, 1);
    let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).ok();
    section.list("identityFields", &mut cache.identity_fields, "a field name", name);
    if defaults.stale_time > defaults.ttl {
        let path = section.path_of("defaultStaleTime");
        warnings.push(format!("{path} is above defaultTTL: nothing is refreshed before it expires"));
    }
    if cache.max_object_bytes > cache.max_bytes {
        let path = section.path_of("maxObjectBytes");
        warnings.push(format!("{path} is above maxBytes: the largest bodies are never stored"));
    }
}

fn read_log(section: &mut Section<'_>, log: &mut Log) {
    let levels = [
        ("off", LevelFilter::Off),
        ("fatal", LevelFilter::Error),
        ("error", LevelFilter::Error),
        ("warn", LevelFilter::Warn),
        ("info", LevelFilter::Info),
        ("debug", LevelFilter::Debug),
        ("trace", LevelFilter::Trace),
    ];
    section.word("level", &mut log.level, &levels);
}

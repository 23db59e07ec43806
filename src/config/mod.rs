//! What the user decides: preset < file < environment < command line.
//!
//! `//` comments, `comment` keys and `null` (leave it as it is) are tolerated anywhere; everything else that is not
//! understood is a [`Problem`], and all problems are found in one run. Bare numbers are seconds, or milliseconds where the
//! key ends in `Timeout` or `Ms`; texts such as `"5s"`, `"250ms"` and `"8MiB"` name their unit.
//!
//! Single values of environment and command line are laid over the file's document, which then is read once; each value's
//! [`Source`] is known. `keys` lists every key, for `--print-config` and `docs/CONFIGURATION.md`.

mod admin;
mod clients;
mod comments;
mod document;
mod dotenv;
mod environment;
mod keys;
pub mod nearest;
mod origin;
mod print;
mod problems;
mod read;
pub mod reference;
mod routes;
pub mod schema;
mod section;
mod settings;
mod surroundings;
mod tls;
mod units;
mod variables;

use std::path::Path;
use std::time::Duration;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use log::LevelFilter;

pub use admin::{Admin, Zone};
pub use origin::OriginUrl;
pub use problems::{Problem, Problems};
pub use settings::{Source, Sources};
pub use surroundings::Surroundings;
pub use tls::Tls;
pub use variables::Variables;

use crate::origin::allow::Allow;
use crate::origin::limits::Quota;
pub use crate::origin::network::Network;
use crate::policy::rule::Defaults;
use crate::preset::pypowerwall_routes;
use crate::route::Route;

/// The whole configuration, valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whose numbers hold where the file is silent.
    pub preset: Preset,
    /// The origin, and how it is asked.
    pub backend: Backend,
    /// The side clients see.
    pub proxy: Proxy,
    /// What is stored, and for how long.
    pub cache: Cache,
    /// The preset's routes, each with what `urlConfigs` says of it, then the other `urlConfigs`.
    pub routes: Vec<Route>,
    /// Our own endpoints.
    pub admin: Admin,
    /// What is logged.
    pub log: Log,
    /// What is lawful but probably not meant, a sentence each. To be logged at start.
    pub warnings: Vec<String>,
}

/// A set of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// For a pypowerwall server: 2 requests at once, 2 s until an answer counts as slow, 30 s of grace, no retries, routes of its own.
    Pypowerwall,
    /// For any other API: 16 requests at once, 5 s until an answer counts as slow, 60 s of grace, 1 retry, no routes.
    Api,
}

/// `backend`: the origin, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `url`: what is asked. Default `http://localhost:8675`.
    pub origin: OriginUrl,
    /// `allow`: where it may be. Default: anywhere.
    pub allow: Allow,
    /// `tls`: how an `https://` origin is known. Default: by the public roots.
    pub tls: Tls,
    /// Requests at the origin at one time. Default by preset.
    pub max_concurrent_requests: usize,
    /// Time to connect. Default 2 s.
    pub connect_timeout: Duration,
    /// Time until the response head is complete; `timeout` is another name for it. Default 10 s.
    pub first_byte_timeout: Duration,
    /// Longest pause in a body. Default 10 s.
    pub idle_timeout: Duration,
    /// Time until a buffered body is complete. Default 60 s.
    pub total_timeout: Duration,
    /// How long a failing key or origin is left alone after its first failure, its second, ..., its last and all later ones.
    /// Never empty, never zero. Default 5, 10, 30, 60, 120 s.
    pub backoff: Vec<Duration>,
    /// The longest Retry-After of the origin that is kept to; longer ones count as this. Default 300 s.
    pub max_retry_after: Duration,
    /// `minSpacingMs`: the least time between the starts of two requests; zero: none. Default 0.
    pub min_spacing: Duration,
    /// `quota`: how many requests may start in a minute and in a day. Default: as many as may be.
    pub quota: Quota,
    /// How often a GET or HEAD is asked once more after a failure that may pass. Default by preset.
    pub retries: u32,
}

/// `proxy`: the side clients see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// TCP port to listen on; 0 lets the system choose. Default 8676.
    pub port: u16,
    /// Address to listen on. Default `::`, which takes IPv4 too.
    pub bind: String,
    /// Front workers; 0 lets the program choose. Default 0.
    pub workers: usize,
    /// Client connections at one time. Default 1024.
    pub max_connections: usize,
    /// Client connections of one address at one time; an IPv6 address counts by its /64, [`trusted_proxies`](Self::trusted_proxies)
    /// do not count. `None`: half of all that there may be, at least 4. Default `None`.
    pub max_connections_per_client: Option<usize>,
    /// Largest request head in bytes. Default 16 KiB.
    pub max_header_bytes: usize,
    /// Largest request body in bytes. Default 1 MiB.
    pub max_body_bytes: usize,
    /// Time for a request head to be complete. Default 10 s.
    pub header_timeout: Duration,
    /// Time for a request body to be complete. Default 30 s.
    pub body_timeout: Duration,
    /// How long an idle connection is kept. Default 75 s.
    pub keep_alive_timeout: Duration,
    /// How long a client may take nothing of its reply. Default 10 s.
    pub write_timeout: Duration,
    /// Peers whose word about the client is believed. Default: nobody.
    pub trusted_proxies: Vec<Network>,
}

/// `cache`: what is stored, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Lifetimes where neither a route nor the origin gives one.
    pub defaults: Defaults,
    /// Time from the start of a fetch until a stale answer takes its place. Default by preset.
    pub slow_request_timeout: Duration,
    /// Memory for stored responses in bytes. Default 16 MiB.
    pub max_bytes: usize,
    /// Number of stored responses. Default 10 000.
    pub max_entries: usize,
    /// Largest body that is held whole, in bytes. Default 4 MiB.
    pub max_object_bytes: usize,
    /// Request fields that name one client. Default Authorization, Cookie, Proxy-Authorization, X-Api-Key, X-Auth-Token.
    pub identity_fields: Vec<HeaderName>,
    /// Response fields that speak to caches like this one before Cache-Control does, the first first (RFC 9213 §2.1). Empty:
    /// none does. Default CDN-Cache-Control.
    pub targeted_fields: Vec<HeaderName>,
    /// How a client's Cache-Control is taken.
    pub client_directives: ClientDirectives,
}

/// How a client's own directives are taken, which state what it prefers (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDirectives {
    /// So that they do not hurt the origin: a fetch of a key is forced once per [`Rule::refresh_min_interval`] at most, and a
    /// stored answer may stand in for one that is slow or fails.
    ///
    /// [`Rule::refresh_min_interval`]: crate::policy::rule::Rule::refresh_min_interval
    #[default]
    Limited,
    /// Word for word.
    Strict,
}

/// `log`: what is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is still logged. Default info.
    pub level: LevelFilter,
}

/// What stands over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--port`. `None`: as below it.
    pub port: Option<u16>,
    /// `--bind`. `None`: as below it.
    pub bind: Option<String>,
    /// `--origin`. `None`: as below it. `http://` selects the preset `api` where none is named.
    pub origin: Option<String>,
    /// `--preset`. `None`: as below it.
    pub preset: Option<String>,
    /// `--cache-ttl`: `cache.defaultTTL`. `None`: as below it.
    pub cache_ttl: Option<String>,
    /// Environment variables, between file and command line.
    pub variables: Variables,
}

/// A valid configuration, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Where its values come from.
    pub sources: Sources,
    /// Why it has its preset, to be read after "preset api: ".
    pub preset_because: String,
}

/// Reads a file under environment and command line, in these surroundings. `None` as path: no file.
pub fn load(
    path: Option<&Path>,
    overrides: &Overrides,
    surroundings: &Surroundings,
) -> Result<Loaded, Problems> {
    let Some(path) = path else {
        return of_text("{}", overrides, surroundings);
    };
    let name = match overrides
        .variables
        .find("CONFIG_PATH")
        .filter(|(named, _)| Path::new(named) == path)
    {
        Some((_, source)) => format!("{} (from {source})", path.display()),
        None => path.display().to_string(),
    };
    read::config(&name, read::file(path), overrides, surroundings)
}

/// The same for a text that stands in no file.
fn of_text(
    text: &str,
    overrides: &Overrides,
    surroundings: &Surroundings,
) -> Result<Loaded, Problems> {
    read::config(
        "the configuration",
        Ok(text.to_owned()),
        overrides,
        surroundings,
    )
}

impl Loaded {
    /// Every key with its value and where that comes from, a line each.
    pub fn listing(&self) -> String {
        print::listing(self)
    }
}

impl Config {
    /// Reads a file under environment and command line, without a look around. `None` as path: no file.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, Problems> {
        load(path, overrides, &Surroundings::default()).map(|loaded| loaded.config)
    }

    /// Reads the text of a file.
    pub fn from_json(text: &str) -> Result<Config, Problems> {
        of_text(text, &Overrides::default(), &Surroundings::default()).map(|loaded| loaded.config)
    }

    /// The defaults of a preset.
    pub fn of(preset: Preset) -> Config {
        let (max_concurrent_requests, slow_request_timeout, grace_time, jitter) = preset.numbers();
        let retries = preset.retries();
        Config {
            preset,
            backend: Backend {
                max_concurrent_requests,
                retries,
                ..Backend::default()
            },
            proxy: Proxy::default(),
            cache: Cache {
                slow_request_timeout,
                defaults: Defaults {
                    grace_time,
                    jitter,
                    ..Defaults::default()
                },
                ..Cache::default()
            },
            routes: preset.routes(),
            admin: Admin::default(),
            log: Log {
                level: LevelFilter::Info,
            },
            warnings: Vec::new(),
        }
    }
}

impl Default for Config {
    /// The preset `pypowerwall`, in front of `http://localhost:8675`.
    fn default() -> Config {
        Config::of(Preset::Pypowerwall)
    }
}

impl Preset {
    /// `maxConcurrentRequests`, `slowRequestTimeout`, `graceTime` and `jitter`.
    fn numbers(self) -> (usize, Duration, Duration, u8) {
        let (requests, slow, grace, jitter) = match self {
            Preset::Pypowerwall => (2, 2, 30, 0),
            Preset::Api => (16, 5, 60, 5),
        };
        (
            requests,
            Duration::from_secs(slow),
            Duration::from_secs(grace),
            jitter,
        )
    }

    /// `retries`: a gateway is to be spared, an API to be told from its moods.
    fn retries(self) -> u32 {
        match self {
            Preset::Pypowerwall => 0,
            Preset::Api => 1,
        }
    }

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Pypowerwall => "pypowerwall",
            Preset::Api => "api",
        }
    }

    fn routes(self) -> Vec<Route> {
        match self {
            Preset::Pypowerwall => pypowerwall_routes(),
            Preset::Api => Vec::new(),
        }
    }
}

impl Default for Backend {
    fn default() -> Backend {
        Backend {
            origin: OriginUrl::default(),
            allow: Allow::default(),
            tls: Tls::default(),
            max_concurrent_requests: Preset::Pypowerwall.numbers().0,
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(60),
            backoff: [5, 10, 30, 60, 120].map(Duration::from_secs).into(),
            max_retry_after: Duration::from_secs(300),
            min_spacing: Duration::ZERO,
            quota: Quota::default(),
            retries: Preset::Pypowerwall.retries(),
        }
    }
}

impl Default for Proxy {
    fn default() -> Proxy {
        Proxy {
            port: 8676,
            bind: "::".to_string(),
            workers: 0,
            max_connections: 1024,
            max_connections_per_client: None,
            max_header_bytes: 16 * 1024,
            max_body_bytes: 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(10),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Cache {
    fn default() -> Cache {
        let own = ["x-api-key", "x-auth-token"].map(HeaderName::from_static);
        Cache {
            defaults: Defaults::default(),
            slow_request_timeout: Preset::Pypowerwall.numbers().1,
            max_bytes: 16 * 1024 * 1024,
            max_entries: 10_000,
            max_object_bytes: 4 * 1024 * 1024,
            identity_fields: [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION]
                .into_iter()
                .chain(own)
                .collect(),
            targeted_fields: vec![HeaderName::from_static("cdn-cache-control")],
            client_directives: ClientDirectives::default(),
        }
    }
}

#[cfg(test)]
mod tests;

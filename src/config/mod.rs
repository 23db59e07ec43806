//! What the user decides: preset < file < `.env` < environment < command line.
//!
//! Everything about a key is in one row of [`table`]: reading, printing, the reference, the schema and the example follow from
//! it. The file is JSON with `//` comments and `comment` keys; `null` leaves a key as it is. Everything that is not understood is a [`Problem`],
//! and all problems are found in one run, each with its line and column.
//!
//! Single values of environment and command line are laid over the file's document, which then is read once; each value's
//! [`Source`] is known.

mod admin;
mod clients;
mod document;
mod dotenv;
mod environment;
mod file;
mod key;
mod kinds;
pub mod nearest;
mod origin;
pub mod pages;
mod problems;
mod read;
mod routes;
mod source;
mod surroundings;
pub mod table;
mod variables;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use log::LevelFilter;

pub use admin::{Admin, Zone};
pub use dotenv::DotEnv;
pub use origin::OriginUrl;
pub use problems::{Problem, Problems};
pub use source::{Source, Sources};
pub use surroundings::Surroundings;
pub use variables::Variables;

use self::table::Table;
use crate::origin::allow::Allow;
use crate::origin::http::tls::Trust;
use crate::origin::limits::Quota;
pub use crate::origin::network::Network;
use crate::policy::judge::{BodyJudge, Trusting};
use crate::policy::rule::Defaults;
use crate::powerwall::plausibility::Plausibility;
use crate::powerwall::preset::{METERS_PATH, pypowerwall_routes};
use crate::route::Route;

/// The whole configuration, valid. What each key means, and its default: [`table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The set of defaults.
    pub preset: Preset,
    /// The origin, and how it is asked.
    pub backend: Backend,
    /// The side clients see.
    pub proxy: Proxy,
    /// What is stored, and for how long.
    pub cache: Cache,
    /// The preset's routes, changed by `urlConfigs`, then the other members of `urlConfigs`.
    pub routes: Vec<Route>,
    /// Where commands reach a running Larder.
    pub control: Control,
    /// Larder's own endpoints.
    pub admin: Admin,
    /// What is logged.
    pub log: Log,
    /// What is valid but probably not meant, a sentence each. To be logged at start.
    pub warnings: Vec<String>,
}

/// A set of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// For a pypowerwall server: gentle numbers, and routes of its own.
    Pypowerwall,
    /// For any other API: no routes.
    Api,
}

/// `backend`. The default is blank: [`Config::of`] has the defaults of the keys, here and below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// `url`.
    pub origin: OriginUrl,
    /// `allow`: where the origin may be.
    pub allow: Allow,
    /// `tls`.
    pub tls: Tls,
    /// `maxConcurrentRequests`.
    pub max_concurrent_requests: usize,
    /// `connectTimeout`.
    pub connect_timeout: Duration,
    /// `firstByteTimeout`: until the response head is complete.
    pub first_byte_timeout: Duration,
    /// `idleTimeout`: longest pause in a body.
    pub idle_timeout: Duration,
    /// `totalTimeout`: until a buffered body is complete.
    pub total_timeout: Duration,
    /// `backoff`: the pause after the first failure, the second, and so on. Never empty, never zero.
    pub backoff: Vec<Duration>,
    /// `maxRetryAfter`: longer ones count as this.
    pub max_retry_after: Duration,
    /// `minSpacingMs`: zero means none.
    pub min_spacing: Duration,
    /// `quota`.
    pub quota: Quota,
    /// `retries`.
    pub retries: u32,
}

/// `backend.tls`: how an `https://` origin is recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `caFile`, whose certificates are in `trust`. `None`: the public authorities only.
    pub ca_file: Option<String>,
    /// What all keys mean together.
    pub trust: Trust,
}

/// `proxy`: the side clients see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// `port`: 0 lets the system choose.
    pub port: u16,
    /// `bind`: an address or a name.
    pub bind: String,
    /// `workers`: 0 means automatic.
    pub workers: usize,
    /// `maxConnections`.
    pub max_connections: usize,
    /// `maxConnectionsPerClient`: an IPv6 address counts by its /64. `None`: half of all, at least 4.
    pub max_connections_per_client: Option<usize>,
    /// `maxHeaderBytes`.
    pub max_header_bytes: usize,
    /// `maxBodyBytes`.
    pub max_body_bytes: usize,
    /// `headerTimeout`.
    pub header_timeout: Duration,
    /// `bodyTimeout`.
    pub body_timeout: Duration,
    /// `keepAliveTimeout`.
    pub keep_alive_timeout: Duration,
    /// `writeTimeout`: how long a client may take nothing of its response.
    pub write_timeout: Duration,
    /// `trustedProxies`.
    pub trusted_proxies: Vec<Network>,
}

/// `cache`: what is stored, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Lifetimes where neither a route nor the origin gives one.
    pub defaults: Defaults,
    /// `slowRequestTimeout`.
    pub slow_request_timeout: Duration,
    /// `maxBytes`.
    pub max_bytes: usize,
    /// `maxEntries`.
    pub max_entries: usize,
    /// `maxObjectBytes`.
    pub max_object_bytes: usize,
    /// `targetedFields`: the strongest first (RFC 9213 §2.1). Empty: none.
    pub targeted_fields: Vec<HeaderName>,
    /// `clientDirectives`.
    pub client_directives: ClientDirectives,
}

/// How a client's own directives are obeyed, which state what it prefers (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDirectives {
    /// So that they do not hurt the origin: a fetch of a key is forced once per [`Rule::refresh_min_interval`] at most, and a
    /// stored response may replace one that is slow or fails.
    ///
    /// [`Rule::refresh_min_interval`]: crate::policy::rule::Rule::refresh_min_interval
    #[default]
    Limited,
    /// To the letter.
    Strict,
}

/// `control`: where commands reach a running Larder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `socket`.
    pub socket: ControlSocket,
    /// `listen`. `None`: no address.
    pub listen: Option<SocketAddr>,
}

/// `control.socket`: the Unix socket for commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ControlSocket {
    /// `$RUNTIME_DIRECTORY/larder.sock`, else `$XDG_RUNTIME_DIR/larder-<port>.sock`, else in a directory of its user below the
    /// system's directory for temporary files.
    #[default]
    Auto,
    /// At this path.
    Path(PathBuf),
    /// Nowhere.
    Off,
}

/// `log`: what is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// `level`: the least important that is logged.
    pub level: LevelFilter,
}

/// The command line and the environment. `None` leaves what is below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--port`.
    pub port: Option<u16>,
    /// `--bind`.
    pub bind: Option<String>,
    /// `--origin`. `http://` selects the preset `api` where none is named.
    pub origin: Option<String>,
    /// `--preset`.
    pub preset: Option<String>,
    /// `--cache-ttl`.
    pub cache_ttl: Option<String>,
    /// Environment variables, between file and command line.
    pub variables: Variables,
}

impl Overrides {
    /// What each option says. The rows of [`table`] name the options.
    fn given(&self) -> [(&'static str, Option<String>); 5] {
        [
            ("--port", self.port.map(|port| port.to_string())),
            ("--bind", self.bind.clone()),
            ("--origin", self.origin.clone()),
            ("--preset", self.preset.clone()),
            ("--cache-ttl", self.cache_ttl.clone()),
        ]
    }
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
    let named = overrides.variables.find("CONFIG_PATH");
    let name = match named.filter(|(named, _)| Path::new(named) == path) {
        Some((_, source)) => format!("{} (from {source})", path.display()),
        None => path.display().to_string(),
    };
    let table = Table::larder();
    read::config(&table, &name, file::text(path), overrides, surroundings)
}

/// The same for a text that is in no file.
fn of_text(
    text: &str,
    overrides: &Overrides,
    surroundings: &Surroundings,
) -> Result<Loaded, Problems> {
    let table = Table::larder();
    read::config(
        &table,
        "the configuration",
        Ok(text.to_owned()),
        overrides,
        surroundings,
    )
}

impl Loaded {
    /// Every key with its value and where that comes from, a line each.
    pub fn listing(&self) -> String {
        pages::listing(&Table::larder(), self)
    }
}

impl Config {
    /// Who knows what bodies are worth here, on the routes whose rule is `judged`.
    pub fn judge(&self) -> Box<dyn BodyJudge> {
        match self.preset {
            Preset::Api => Box::new(Trusting),
            Preset::Pypowerwall => Box::new(Plausibility::new(self.meters_every())),
        }
    }

    /// The lifetime of the meters, where they are polled.
    fn meters_every(&self) -> Duration {
        let is_meters = |route: &&Route| {
            let target = route.pattern.target();
            target.is_some_and(|target| target.as_str() == METERS_PATH)
                && route.rule.poll_interval.is_some()
        };
        let meters = self.routes.iter().find(is_meters);
        meters
            .and_then(|route| route.rule.cache_ttl)
            .unwrap_or(self.cache.defaults.ttl)
    }

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
        Config::with(&Table::larder(), preset)
    }

    /// The defaults that the rows of a table have in a preset.
    fn with(table: &Table, preset: Preset) -> Config {
        let mut config = Config {
            preset,
            backend: Backend::default(),
            proxy: Proxy::default(),
            cache: Cache::default(),
            routes: preset.routes(),
            control: Control::default(),
            admin: Admin::default(),
            log: Log {
                level: LevelFilter::Off,
            },
            warnings: Vec::new(),
        };
        for key in &table.keys {
            key.reset(&mut config, preset);
        }
        config
    }
}

impl Default for Config {
    /// The preset `pypowerwall`, in front of `http://localhost:8675`.
    fn default() -> Config {
        Config::of(Preset::Pypowerwall)
    }
}

impl Preset {
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

#[cfg(test)]
mod tests;

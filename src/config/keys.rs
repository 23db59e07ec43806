//! Every key of the configuration, once: its path, its unit, what it does, and its value in a [`Config`].

mod route;

use std::time::Duration;

use http::HeaderName;
use serde_json::{Map, Value, json};

pub use self::route::ROUTE_KEYS;
use super::{ClientDirectives, Config};
use crate::policy::rule::SetCookie;
use crate::route::Pattern;

/// A key outside `urlConfigs`.
pub struct Key {
    /// Its place, such as `cache.maxBytes`.
    pub path: &'static str,
    /// The unit of a bare number, or what else it holds.
    pub kind: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Its value as the file would have it. `None`: it is another name of a key that has one.
    pub value: Option<fn(&Config) -> Value>,
}

/// Every key outside `urlConfigs`, in the order of the example.
pub const KEYS: [Key; 51] = [
    key(
        "preset",
        "pypowerwall, api",
        "whose numbers hold where nothing else is said",
        |c| json!(c.preset.name()),
    ),
    key(
        "backend.url",
        "URL",
        "the origin: `http://host:port`, `https://host:port`, or `sim://powerwall`, a simulated house",
        |c| json!(c.backend.origin.to_string()),
    ),
    key(
        "backend.allow",
        "list of names, addresses and CIDR blocks",
        "where the origin may be; it is never asked at another address, whatever its name leads to, unless the name itself stands here; `[]`: anywhere",
        |c| {
            c.backend
                .allow
                .0
                .iter()
                .map(|allowed| Value::from(allowed.to_string()))
                .collect()
        },
    ),
    key(
        "backend.tls.caFile",
        "path",
        "PEM certificates that count beside the public roots: of the authority that signed the origin's, or the origin's own",
        |c| json!(c.backend.tls.ca_file),
    ),
    key(
        "backend.tls.pinSha256",
        "fingerprint, or list of them",
        "the SHA-256 of the origin's certificate, 64 hexadecimal digits: exactly this one is accepted, whoever signed it, whatever its names and dates",
        |c| {
            c.backend
                .tls
                .trust
                .pins
                .iter()
                .map(|pin| Value::from(pin.to_string()))
                .collect()
        },
    ),
    key(
        "backend.tls.insecure",
        "true or false",
        "true accepts any certificate: whoever is between can read and change everything; a warning at each start",
        |c| json!(c.backend.tls.trust.is_insecure),
    ),
    key(
        "backend.maxConcurrentRequests",
        "count",
        "requests at the origin at one time, 1 to 1024",
        |c| json!(c.backend.max_concurrent_requests),
    ),
    key("backend.connectTimeout", MS, "to open a connection", |c| {
        milliseconds(c.backend.connect_timeout)
    }),
    key(
        "backend.firstByteTimeout",
        MS,
        "until the response head is complete",
        |c| milliseconds(c.backend.first_byte_timeout),
    ),
    alias(
        "backend.timeout",
        MS,
        "another name of `backend.firstByteTimeout`, which wins over it",
    ),
    key(
        "backend.idleTimeout",
        MS,
        "longest silence within a body; six times that once it is passed on as it comes",
        |c| milliseconds(c.backend.idle_timeout),
    ),
    key(
        "backend.totalTimeout",
        MS,
        "until a body that is awaited whole is complete",
        |c| milliseconds(c.backend.total_timeout),
    ),
    key(
        "backend.backoff",
        "list of s",
        "how long what fails is left alone: after the first time, the second, ..., all later",
        |c| {
            c.backend
                .backoff
                .iter()
                .map(|step| seconds(*step))
                .collect()
        },
    ),
    key(
        "backend.maxRetryAfter",
        S,
        "the longest `Retry-After` of the origin that is kept to",
        |c| seconds(c.backend.max_retry_after),
    ),
    key(
        "backend.minSpacingMs",
        MS,
        "the least time between the starts of two requests to the origin; 0: none",
        |c| milliseconds(c.backend.min_spacing),
    ),
    key(
        "backend.quota.perMinute",
        "count",
        "requests to the origin in any minute, polls and refreshes too, which leave the last tenth to clients; null: no limit",
        |c| json!(c.backend.quota.per_minute),
    ),
    key(
        "backend.quota.perDay",
        "count",
        "the same for any 24 hours, counted anew after a restart",
        |c| json!(c.backend.quota.per_day),
    ),
    key(
        "backend.retries",
        "count",
        "how often, up to 3, a GET or HEAD is asked once more when it is refused, cut, or answered 502, 503 or 504 without `Retry-After`; one in ten requests at most",
        |c| json!(c.backend.retries),
    ),
    key(
        "proxy.port",
        "port",
        "the port to listen on; 0 takes a free one",
        |c| json!(c.proxy.port),
    ),
    key(
        "proxy.bind",
        "address",
        "the address to listen on; `::` is all of them, IPv4 too",
        |c| json!(c.proxy.bind),
    ),
    key(
        "proxy.workers",
        "count",
        "front workers, up to 64; 0 means one, which is enough",
        |c| json!(c.proxy.workers),
    ),
    key(
        "proxy.maxConnections",
        "count",
        "client connections at one time; 16 of them only from this machine",
        |c| json!(c.proxy.max_connections),
    ),
    key(
        "proxy.maxConnectionsPerClient",
        "count",
        "of one address, or of one IPv6 /64; `proxy.trustedProxies` are not counted; null: half of all, at least 4",
        |c| json!(c.proxy.max_connections_per_client),
    ),
    key(
        "proxy.maxHeaderBytes",
        BYTES,
        "the largest request head, 1 KiB at least",
        |c| size(c.proxy.max_header_bytes),
    ),
    key(
        "proxy.maxBodyBytes",
        BYTES,
        "the largest request body",
        |c| size(c.proxy.max_body_bytes),
    ),
    key(
        "proxy.headerTimeout",
        MS,
        "for a request head to arrive",
        |c| milliseconds(c.proxy.header_timeout),
    ),
    key(
        "proxy.bodyTimeout",
        MS,
        "for a request body to arrive",
        |c| milliseconds(c.proxy.body_timeout),
    ),
    key(
        "proxy.keepAliveTimeout",
        MS,
        "how long an idle connection is kept",
        |c| milliseconds(c.proxy.keep_alive_timeout),
    ),
    key(
        "proxy.writeTimeout",
        MS,
        "a client that takes nothing for so long is cut off",
        |c| milliseconds(c.proxy.write_timeout),
    ),
    key(
        "proxy.trustedProxies",
        "list of addresses",
        "peers whose `X-Forwarded-*` and `Forwarded` are believed: addresses, or blocks such as `10.0.0.0/8`",
        |c| {
            c.proxy
                .trusted_proxies
                .iter()
                .map(|network| Value::from(network.to_string()))
                .collect()
        },
    ),
    alias(
        "proxy.debug",
        "true, false",
        "true is another way to say `log.level` debug, which wins over it",
    ),
    key(
        "cache.defaultTTL",
        S,
        "how long an answer is fresh when neither a route nor the origin says; 0 together with `defaultStaleTime` 0: only what the origin allows is stored",
        |c| seconds(c.cache.defaults.ttl),
    ),
    key(
        "cache.defaultStaleTime",
        S,
        "the age from which a hit is refreshed in the background",
        |c| seconds(c.cache.defaults.stale_time),
    ),
    key(
        "cache.slowRequestTimeout",
        MS,
        "after so long a stored answer past its TTL takes the place of a slow one",
        |c| milliseconds(c.cache.slow_request_timeout),
    ),
    key(
        "cache.slowGrace",
        S,
        "how far past its TTL that answer may be; null: once more its TTL; 0: never",
        |c| c.cache.defaults.slow_grace.map_or(Value::Null, seconds),
    ),
    key(
        "cache.graceTime",
        S,
        "the same when the origin has failed",
        |c| seconds(c.cache.defaults.grace_time),
    ),
    key(
        "cache.jitter",
        "percent",
        "by up to so much, 0 to 5, each lifetime of a route or a default is shortened by chance, so that what was stored together does not expire together; not what is polled",
        |c| json!(c.cache.defaults.jitter),
    ),
    key("cache.maxBytes", BYTES, "memory for stored answers", |c| {
        size(c.cache.max_bytes)
    }),
    key(
        "cache.maxEntries",
        "count",
        "number of stored answers",
        |c| json!(c.cache.max_entries),
    ),
    key(
        "cache.maxObjectBytes",
        BYTES,
        "larger bodies are passed on and not stored",
        |c| size(c.cache.max_object_bytes),
    ),
    key(
        "cache.statusTTL",
        "s by status",
        "lifetimes of single status codes, before `defaultTTL`",
        |c| {
            let members = c
                .cache
                .defaults
                .status_ttl
                .iter()
                .map(|(code, ttl)| (code.as_str().to_owned(), seconds(*ttl)));
            Value::Object(members.collect::<Map<String, Value>>())
        },
    ),
    key(
        "cache.identityFields",
        "list of field names",
        "request fields that name one client: only the origin's own word lets such answers be shared",
        |c| names(&c.cache.identity_fields),
    ),
    key(
        "cache.targetedFields",
        "list of field names",
        "response fields of RFC 9213: the first that is there and valid counts in place of `Cache-Control` and `Expires`; `[]`: none does",
        |c| names(&c.cache.targeted_fields),
    ),
    key(
        "cache.clientDirectives",
        "limited, strict",
        "a client's own `Cache-Control`: limited forces a fetch once per `refreshMinInterval` at most, and what is stored may stand in for it; strict takes it word for word",
        |c| match c.cache.client_directives {
            ClientDirectives::Limited => json!("limited"),
            ClientDirectives::Strict => json!("strict"),
        },
    ),
    key(
        "cache.storeSetCookie",
        "true or false",
        "true is `setCookie` store on every path that has no `setCookie` of its own",
        |c| json!(c.cache.defaults.set_cookie == SetCookie::Store),
    ),
    key(
        "admin.rootNames",
        "true or false",
        "whether our endpoints have their names at the root too, beside `/_larder/`",
        |c| json!(c.admin.root_names),
    ),
    key(
        "admin.allow",
        "list of loopback, private, addresses and CIDR blocks",
        "who may use our endpoints without the token; `/health` is for everybody",
        |c| {
            c.admin
                .allow
                .iter()
                .map(|zone| Value::from(zone.text.as_str()))
                .collect()
        },
    ),
    key(
        "admin.tokenEnv",
        "name",
        "the environment variable that holds the token for who asks from elsewhere",
        |c| json!(c.admin.token_env),
    ),
    key(
        "admin.hosts",
        "list of names",
        "names our endpoints may be asked for under, beside addresses and local names",
        |c| json!(c.admin.hosts),
    ),
    key(
        "log.level",
        "off, error, warn, info, debug, trace",
        "the least important that is logged; `fatal` is error, `warning` is warn; a release build stops at debug",
        |c| json!(c.log.level.as_str().to_ascii_lowercase()),
    ),
    alias(
        "plugins",
        "object",
        "of the file of pypowerwall-caching-proxy: accepted, and a warning unless it is empty",
    ),
];

/// The first section in which there is a key of this name. `None`: in none.
pub fn section_of(key: &str) -> Option<&'static str> {
    let place = |path: &'static str| {
        path.rsplit_once('.')
            .filter(|(_, name)| *name == key)
            .map(|(section, _)| section)
    };
    let in_route = || {
        ROUTE_KEYS
            .iter()
            .any(|route| route.path == key)
            .then_some("a member of urlConfigs")
    };
    KEYS.iter()
        .find_map(|key| place(key.path))
        .or_else(in_route)
}

/// A pattern as the file has it.
pub fn path_of(pattern: &Pattern) -> String {
    match pattern {
        Pattern::ExactTarget(text) | Pattern::ExactPath(text) => text.clone(),
        Pattern::Prefix(prefix) => format!("{prefix}*"),
    }
}

const S: &str = "s";
const MS: &str = "ms";
const BYTES: &str = "bytes";

const fn key(
    path: &'static str,
    kind: &'static str,
    what: &'static str,
    value: fn(&Config) -> Value,
) -> Key {
    Key {
        path,
        kind,
        what,
        value: Some(value),
    }
}

const fn alias(path: &'static str, kind: &'static str, what: &'static str) -> Key {
    Key {
        path,
        kind,
        what,
        value: None,
    }
}

fn seconds(duration: Duration) -> Value {
    if duration.subsec_nanos() == 0 {
        json!(duration.as_secs())
    } else {
        json!(duration.as_secs_f64())
    }
}

fn milliseconds(duration: Duration) -> Value {
    let is_whole = duration.subsec_nanos().is_multiple_of(1_000_000);
    if is_whole {
        json!(duration.as_millis() as u64)
    } else {
        json!(duration.as_secs_f64() * 1000.0)
    }
}

/// In the largest unit in which it is whole.
fn size(bytes: usize) -> Value {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units
        .into_iter()
        .find(|(_, bits)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    unit.map_or_else(
        || json!(bytes),
        |(name, bits)| json!(format!("{}{name}", bytes >> bits)),
    )
}

/// Field names in their usual capitals (RFC 9110 §5.1: letter case means nothing).
fn names(names: &[HeaderName]) -> Value {
    names
        .iter()
        .map(|name| Value::from(capitals(name)))
        .collect()
}

fn capitals(name: &HeaderName) -> String {
    let word = |word: &str| {
        if word == "cdn" {
            return word.to_ascii_uppercase();
        }
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    name.as_str()
        .split('-')
        .map(word)
        .collect::<Vec<String>>()
        .join("-")
}

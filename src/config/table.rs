//! Every key of the configuration, once. What is read, printed, checked and documented comes from these rows.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use log::LevelFilter;

use super::admin::Zone;
use super::key::When::{Set, True, WithGateways};
use super::key::{Key, by_preset, key, other_name, route_key};
use super::kinds::{
    Kind, flag, force, ignored, list, list_of, milliseconds, none_at_zero, number, one_or_list,
    optional, origin, pause, plugins, seconds, size, status_times, string, text, timeout, words,
};
use super::{ClientDirectives, Config, ControlSocket, Network, OriginUrl, Preset};
use crate::origin::allow::Allowed;
use crate::origin::http::tls::Pin;
use crate::policy::check::{Check, JsonKind};
use crate::policy::rate::RateLimit;
use crate::policy::rule::{Fallback, SetCookie};
use crate::route::{Pattern, Route};

/// All keys.
pub struct Table {
    /// Those of the configuration itself, in the order of the example.
    pub keys: Vec<Key<Config>>,
    /// Those of a member of `urlConfigs`.
    pub routes: Vec<Key<Route>>,
}

/// The sections, with a sentence each.
pub const SECTIONS: [(&str, &str); 10] = [
    ("backend", "The origin: the server that Larder asks."),
    (
        "backend.tls",
        "How an `https://` origin is recognised if no public authority signed its certificate. Use one of the three.",
    ),
    ("backend.quota", "How many requests the origin gets."),
    ("proxy", "The side that clients see."),
    ("cache", "What is stored, and for how long."),
    ("control", "Where `larder` commands reach a running Larder."),
    ("admin", "Larder's own endpoints, such as `/cache/stats`."),
    ("log", "What is logged."),
    (
        "urlConfigs[].check",
        "What a good body looks like. A body that fails is a failure, whatever its status.",
    ),
    (
        "urlConfigs[].rateLimit",
        "How often one client may cause a request to the origin; beyond that it gets 429.",
    ),
];

impl Table {
    /// The keys Larder has.
    pub fn larder() -> Table {
        let mut keys = origin_side();
        keys.extend(client_side());
        keys.extend(cache());
        keys.extend(own_side());
        Table {
            keys,
            routes: routes(),
        }
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn origin_side() -> Vec<Key<Config>> {
    vec![
        by_preset("preset", words(&PRESETS), |c| &mut c.preset, Preset::Pypowerwall, Preset::Api)
            .doc("The set of defaults: `pypowerwall` for a pypowerwall server, with its paths, polls and checks; `api` for any other API.")
            .variable("LARDER_PRESET", Set)
            .flag("--preset"),
        other_name("plugins", plugins(), |c| &mut c.warnings, "")
            .doc("A section of pypowerwall-caching-proxy, accepted so that its file can be kept. Larder warns if it is not empty."),
        key("backend.url", origin(), |c| &mut c.backend.origin, OriginUrl::default())
            .doc("Address of the origin: `http://host:port`, `https://host:port`, or `sim://powerwall` for a simulated house.")
            .variable("BACKEND_URL", Set)
            .flag("--origin"),
        key("backend.allow", list(allowed()), |c| &mut c.backend.allow.0, Vec::new())
            .doc("Where the origin may be. Larder never connects to another address, whatever the origin's name resolves to, unless the name itself is in this list. `[]` allows every address."),
        key("backend.tls.caFile", optional(file()), |c| &mut c.backend.tls.ca_file, None)
            .doc("PEM file with certificates to trust in addition to the public authorities: of the authority that signed the origin's certificate, or the origin's own."),
        key("backend.tls.pinSha256", one_or_list(pin), |c| &mut c.backend.tls.trust.pins, Vec::new())
            .doc("SHA-256 fingerprint of the origin's certificate, or a list of them. Larder accepts exactly these certificates, whatever their names, dates and signatures."),
        key("backend.tls.insecure", flag(false, true), |c| &mut c.backend.tls.trust.is_insecure, false)
            .doc("`true` accepts any certificate. Anybody between Larder and the origin can then read and change everything. Larder warns about it at each start."),
        by_preset("backend.maxConcurrentRequests", number(1, 1024), |c| &mut c.backend.max_concurrent_requests, 2, 16)
            .doc("Most requests to the origin at the same time.")
            .variable("MAX_CONCURRENT_REQUESTS", Set),
        key("backend.connectTimeout", timeout(), |c| &mut c.backend.connect_timeout, secs(2))
            .doc("Longest wait for a connection to the origin."),
        other_name("backend.timeout", timeout(), |c| &mut c.backend.first_byte_timeout, "backend.firstByteTimeout")
            .doc("Another name of `backend.firstByteTimeout`, which wins if both are given."),
        key("backend.firstByteTimeout", timeout(), |c| &mut c.backend.first_byte_timeout, secs(10))
            .doc("Longest wait for the complete head of a response."),
        key("backend.idleTimeout", timeout(), |c| &mut c.backend.idle_timeout, secs(10))
            .doc("Longest pause within a response body. A body that clients receive while it arrives may pause six times as long."),
        key("backend.totalTimeout", timeout(), |c| &mut c.backend.total_timeout, secs(60))
            .doc("Longest time for a body that Larder reads completely before it answers."),
        key("backend.backoff", list_of(pause(), 1, 32), |c| &mut c.backend.backoff, [5, 10, 30, 60, 120].map(secs).into())
            .doc("How long Larder does not ask again after a failure: after the first, the second, and so on. The last value holds for all later failures."),
        key("backend.maxRetryAfter", seconds(), |c| &mut c.backend.max_retry_after, secs(300))
            .doc("Longest `Retry-After` of the origin that Larder obeys. A longer one is cut to this."),
        key("backend.minSpacingMs", milliseconds(), |c| &mut c.backend.min_spacing, Duration::ZERO)
            .doc("Shortest time between the starts of two requests to the origin."),
        key("backend.quota.perMinute", optional(number(1, u32::MAX)), |c| &mut c.backend.quota.per_minute, None)
            .doc("Most requests in any minute, polls and refreshes included. The last tenth is kept for clients. `null` means no limit."),
        key("backend.quota.perDay", optional(number(1, u32::MAX)), |c| &mut c.backend.quota.per_day, None)
            .doc("The same for any 24 hours. A restart begins a new count."),
        by_preset("backend.retries", number(0, 3), |c| &mut c.backend.retries, 0, 1)
            .doc("How often a GET or HEAD is repeated if it is refused, cut off, or answered 502, 503 or 504 without `Retry-After`. At most one request in ten is repeated."),
    ]
}

fn client_side() -> Vec<Key<Config>> {
    vec![
        key("proxy.port", number(0, u16::MAX), |c| &mut c.proxy.port, 8676)
            .doc("TCP port to listen on. 0 picks a free port.")
            .variable("PORT", Set)
            .variable("PW_PORT", WithGateways)
            .variable("PROXY_PORT", Set)
            .flag("--port"),
        key("proxy.bind", host(), |c| &mut c.proxy.bind, "::".to_owned())
            .doc("Address to listen on. `::` means every address of this machine, IPv4 included; `127.0.0.1` means this machine only.")
            .variable("PW_BIND_ADDRESS", WithGateways)
            .variable("PROXY_BIND", Set)
            .flag("--bind"),
        key("proxy.workers", number(0, 64), |c| &mut c.proxy.workers, 0)
            .doc("Number of event-loop workers, the threads that serve clients. 0 means automatic: half of the processor's cores, at least 1, at most 4."),
        key("proxy.maxConnections", number(1, 1_000_000), |c| &mut c.proxy.max_connections, 4096)
            .doc("Most client connections at the same time. 16 of them are for this machine only."),
        key("proxy.maxConnectionsPerClient", none_at_zero(number(0, usize::MAX)), |c| &mut c.proxy.max_connections_per_client, None)
            .doc("Most connections of one IPv4 address or one IPv6 /64 network. The limit does not apply to `proxy.trustedProxies`. 0 means half of `proxy.maxConnections`, at least 4."),
        key("proxy.maxHeaderBytes", size(KIB), |c| &mut c.proxy.max_header_bytes, 16 * KIB)
            .doc("Largest request head, at least 1 KiB."),
        key("proxy.maxBodyBytes", size(0), |c| &mut c.proxy.max_body_bytes, MIB)
            .doc("Largest request body."),
        key("proxy.headerTimeout", timeout(), |c| &mut c.proxy.header_timeout, secs(10))
            .doc("Longest time for a request head to arrive."),
        key("proxy.bodyTimeout", timeout(), |c| &mut c.proxy.body_timeout, secs(30))
            .doc("Longest time for a request body to arrive."),
        key("proxy.keepAliveTimeout", timeout(), |c| &mut c.proxy.keep_alive_timeout, secs(75))
            .doc("How long an idle client connection stays open."),
        key("proxy.writeTimeout", timeout(), |c| &mut c.proxy.write_timeout, secs(30))
            .doc("A client that takes no byte of its response for this long is disconnected."),
        key("proxy.trustedProxies", list(network()), |c| &mut c.proxy.trusted_proxies, Vec::new())
            .doc("Proxies in front of Larder. Larder believes what they say about the client in `X-Forwarded-*` and `Forwarded`."),
        other_name("proxy.debug", flag(LevelFilter::Info, LevelFilter::Debug), |c| &mut c.log.level, "log.level")
            .doc("`true` is another name of `log.level` `debug`. `log.level` wins if both are given."),
    ]
}

fn cache() -> Vec<Key<Config>> {
    vec![
        key("cache.defaultTTL", seconds(), |c| &mut c.cache.defaults.ttl, secs(300))
            .doc("How long a response is fresh if neither a route nor the origin says it. 0 together with `cache.defaultStaleTime` 0 stores only what the origin allows.")
            .variable("CACHE_TTL_SECONDS", Set)
            .variable("DEFAULT_TTL", Set)
            .flag("--cache-ttl"),
        key("cache.defaultStaleTime", seconds(), |c| &mut c.cache.defaults.stale_time, secs(60))
            .doc("Age at which a hit starts a refresh in the background.")
            .variable("DEFAULT_STALE_TIME", Set),
        by_preset("cache.slowRequestTimeout", milliseconds(), |c| &mut c.cache.slow_request_timeout, secs(2), secs(5))
            .doc("If the origin takes longer than this, the client gets the stored response even though it is no longer fresh.")
            .variable("SLOW_REQUEST_TIMEOUT", Set),
        key("cache.slowGrace", optional(seconds()), |c| &mut c.cache.defaults.slow_grace, None)
            .doc("How long after its lifetime a response may replace a slow one. `null` means as long as the lifetime itself, 0 means never."),
        by_preset("cache.graceTime", seconds(), |c| &mut c.cache.defaults.grace_time, secs(30), secs(60))
            .doc("How long after its lifetime a response may be served if the origin fails.")
            .variable("PW_CACHE_TTL", Set),
        by_preset("cache.jitter", number(0, 5), |c| &mut c.cache.defaults.jitter, 0, 5)
            .doc("Shortens each lifetime by a random share of up to this percentage, so that responses stored together do not expire together. Polled paths are excepted."),
        key("cache.maxBytes", size(0), |c| &mut c.cache.max_bytes, 16 * MIB)
            .doc("Memory for stored responses."),
        key("cache.maxEntries", number(1, usize::MAX), |c| &mut c.cache.max_entries, 10_000)
            .doc("Most stored responses."),
        key("cache.maxObjectBytes", size(1), |c| &mut c.cache.max_object_bytes, 4 * MIB)
            .doc("Largest body that is stored. Larger ones are passed on."),
        key("cache.statusTTL", status_times(), |c| &mut c.cache.defaults.status_ttl, vec![(StatusCode::NOT_FOUND, secs(10))])
            .doc("Lifetimes of single status codes, used before `cache.defaultTTL`."),
        key("cache.targetedFields", list(field()), |c| &mut c.cache.targeted_fields, vec![HeaderName::from_static("cdn-cache-control")])
            .doc("Response fields for caches like this one (RFC 9213). The first valid one replaces `Cache-Control` and `Expires`. `[]` ignores them."),
        key("cache.clientDirectives", words(&CLIENT_DIRECTIVES), |c| &mut c.cache.client_directives, ClientDirectives::Limited)
            .doc("How a client's own `Cache-Control` is obeyed. `limited`: it forces a request to the origin once per `refreshMinInterval`, and a stored response may replace a slow or failed one. `strict`: to the letter."),
        key("cache.storeSetCookie", flag(SetCookie::Refuse, SetCookie::Store), |c| &mut c.cache.defaults.set_cookie, SetCookie::Refuse)
            .doc("`true` sets `setCookie` to `store` on every path that has no `setCookie` of its own."),
    ]
}

fn own_side() -> Vec<Key<Config>> {
    vec![
        key("control.socket", socket(), |c| &mut c.control.socket, ControlSocket::Auto)
            .doc("Unix socket for `larder` commands: a path, `auto` for the usual place, or `off`.")
            .variable("LARDER_CONTROL", Set),
        key("control.listen", optional(address()), |c| &mut c.control.listen, None)
            .doc("Address and port for `larder` commands from other machines. `null` means none."),
        key("admin.rootNames", flag(false, true), |c| &mut c.admin.root_names, true)
            .doc("Whether Larder's endpoints have names at the root, such as `/cache/stats`, in addition to `/_larder/cache/stats`."),
        key("admin.allow", list(zone()), |c| &mut c.admin.allow, ["loopback", "private"].iter().filter_map(|zone| Zone::parse(zone)).collect())
            .doc("Clients that need no token: `loopback`, `private`, addresses, blocks of addresses. `/health` is open to everybody."),
        key("admin.tokenEnv", variable(), |c| &mut c.admin.token_env, "ADMIN_TOKEN".to_owned())
            .doc("Environment variable that holds the token for all other clients."),
        key("admin.hosts", list(admin_host()), |c| &mut c.admin.hosts, Vec::new())
            .doc("Host names under which the endpoints answer, in addition to addresses and local names."),
        key(
            "log.level",
            words(&LEVELS),
            |c| &mut c.log.level,
            LevelFilter::Info,
        )
        .doc("Least important messages that are logged. Release builds have no `trace`.")
        .variable("PW_DEBUG", True("debug"))
        .variable("DEBUG", True("debug"))
        .variable("LOG_LEVEL", Set),
    ]
}

fn routes() -> Vec<Key<Route>> {
    vec![
        route_key("path", pattern(), |r| &mut r.pattern)
            .doc("Which requests: `/path?query`, `/path` (with any query), or `/prefix*`. The most specific path wins, in any order.")
            .required()
            .otherwise("required")
            .example("\"/shop/*\""),
        route_key("pollInterval", none_at_zero(seconds()), |r| &mut r.rule.poll_interval)
            .doc("How often Larder asks for this path in the background. 0 means never. Setting it on any route turns off the preset's own polls; list every path you want polled.")
            .otherwise("the preset's own poll")
            .example("null"),
        route_key("pollIdleInterval", optional(seconds()), |r| &mut r.rule.poll_idle_interval)
            .doc("How often instead while no client asks for the path. The next request brings back the full pace. 0 means no slower pace.")
            .otherwise("no slower pace; the preset's own polls: once per `cacheTTL`"),
        route_key("pollIdleAfter", optional(seconds()), |r| &mut r.rule.poll_idle_after)
            .doc("How long after a client's request the full pace lasts.")
            .otherwise("12 times `pollInterval`; the preset's own polls: 60 s"),
        route_key("cacheTTL", optional(seconds()), |r| &mut r.rule.cache_ttl)
            .doc("How long a response is fresh, whatever the origin says. 0 stores nothing.")
            .otherwise("what the origin says, else `cache.defaultTTL`")
            .example("30"),
        route_key("staleTime", optional(seconds()), |r| &mut r.rule.stale_time)
            .doc("Age at which a hit starts a refresh in the background.")
            .otherwise("`cache.defaultStaleTime`")
            .example("5"),
        route_key("refreshMinInterval", optional(seconds()), |r| &mut r.rule.refresh_min_interval)
            .doc("How often a client's reload may force a request to the origin. An earlier reload gets the usual answer. 0 means always.")
            .otherwise("`staleTime`, else 1 s")
            .example("10"),
        route_key("slowGrace", optional(seconds()), |r| &mut r.rule.slow_grace)
            .doc("How long after its lifetime a response may replace a slow one.")
            .otherwise("`cache.slowGrace`")
            .example("\"1m\""),
        route_key("graceTime", optional(seconds()), |r| &mut r.rule.grace_time)
            .doc("How long after its lifetime a response may be served if the origin fails.")
            .otherwise("`cache.graceTime`")
            .example("\"1m\""),
        route_key("onExhausted", words(&FALLBACKS), |r| &mut r.rule.fallback)
            .doc("What GET and HEAD get if the origin fails and nothing stored may be served: an error, 200 with `{}`, or 200 with `null`. It is never stored.")
            .otherwise("`error503`"),
        route_key("check.json", optional(words(&JSON_KINDS)), |r| &mut check(r).json)
            .doc("The body must be JSON of this kind.")
            .otherwise("not checked")
            .example("\"any\""),
        route_key("check.require", list(pointer()), |r| &mut check(r).require)
            .doc("Values that must be in the body and not be null.")
            .otherwise("none"),
        route_key("check.nonEmpty", flag(false, true), |r| &mut check(r).non_empty)
            .doc("`true` refuses an empty body, and in JSON also `{}`, `[]`, `\"\"` and `null`.")
            .otherwise("`false`")
            .example("true"),
        route_key("check.notText", list(any_text()), |r| &mut check(r).not_text)
            .doc("Bodies that mean failure, such as `timeout()!`.")
            .otherwise("none"),
        route_key("force", force(), |r| &mut r.rule.force)
            .doc("Rules of HTTP that Larder ignores here. Larder warns about each at start.")
            .otherwise("none"),
        route_key("setCookie", optional(words(&SET_COOKIE)), |r| &mut r.rule.set_cookie)
            .doc("What happens to a response with `Set-Cookie`. `refuse`: it is not stored. `strip`: it is stored without the field. `store`: it is stored, and every client gets the cookie.")
            .otherwise("`refuse`, or `store` with `cache.storeSetCookie`; the preset's paths: `strip`")
            .example("\"strip\""),
        route_key("cookies", words(&COOKIES), |r| &mut r.rule.strip_cookies)
            .doc("`strip` removes `Cookie` from requests, so that clients with cookies share responses.")
            .otherwise("`keep`; the preset's paths: `strip`")
            .example("\"strip\""),
        route_key("varyOn", list(field()), |r| &mut r.rule.vary_on)
            .doc("Request fields that responses depend on, besides those Larder knows. They are sent to the origin, and each value has a stored response of its own.")
            .otherwise("none")
            .example("[\"X-Tenant\"]"),
        route_key("ignoreFields", ignored(field()), |r| &mut r.rule.ignore_fields)
            .doc("Request fields that no response depends on, so that clients with different values share responses. `[\"*\"]` means all of them, but not `Authorization`.")
            .otherwise("none; the preset's paths: `[\"*\"]`")
            .example("[\"X-Session-Id\"]"),
        route_key("rateLimit.perMinute", number(0, u32::MAX), |r| &mut rate_limit(r).per_minute)
            .doc("Most requests of one client address in a minute that are not answered from memory. 0 means no limit.")
            .required()
            .example("60")
            .otherwise("no limit; the preset's `/control/*`: 10"),
        route_key("rateLimit.unsafeOnly", flag(false, true), |r| &mut rate_limit(r).unsafe_only)
            .doc("`true` counts only requests that may change something, such as POST.")
            .otherwise("`false`; the preset's `/control/*`: `true`"),
    ]
}

fn check(route: &mut Route) -> &mut Check {
    route.rule.check.get_or_insert_default()
}

fn rate_limit(route: &mut Route) -> &mut RateLimit {
    route.rule.rate_limit.get_or_insert(RateLimit {
        per_minute: 0,
        unsafe_only: false,
        route: 0,
    })
}

const PRESETS: [(&str, Preset); 2] = [("pypowerwall", Preset::Pypowerwall), ("api", Preset::Api)];

const CLIENT_DIRECTIVES: [(&str, ClientDirectives); 2] = [
    ("limited", ClientDirectives::Limited),
    ("strict", ClientDirectives::Strict),
];

const LEVELS: [(&str, LevelFilter); 8] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("fatal", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("warning", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

const FALLBACKS: [(&str, Fallback); 3] = [
    ("error503", Fallback::Error),
    ("empty", Fallback::Empty),
    ("null", Fallback::Null),
];

const JSON_KINDS: [(&str, JsonKind); 3] = [
    ("any", JsonKind::Any),
    ("object", JsonKind::Object),
    ("array", JsonKind::Array),
];

const SET_COOKIE: [(&str, SetCookie); 3] = [
    ("refuse", SetCookie::Refuse),
    ("strip", SetCookie::Strip),
    ("store", SetCookie::Store),
];

const COOKIES: [(&str, bool); 2] = [("keep", false), ("strip", true)];

fn pin() -> Kind<Pin> {
    text(
        "fingerprint",
        "the 64 hexadecimal digits, with or without colons, that openssl x509 -fingerprint -sha256 -noout prints",
        Pin::parse,
        Pin::to_string,
    )
}

fn allowed() -> Kind<Allowed> {
    text(
        "name, address or block",
        "an IP address, a block such as \"192.168.0.0/16\", or a name such as \"powerwall.lan\"",
        Allowed::parse,
        Allowed::to_string,
    )
}

fn network() -> Kind<Network> {
    text(
        "address or block",
        "an IP address, or a block such as \"10.0.0.0/8\"",
        Network::parse,
        Network::to_string,
    )
}

fn zone() -> Kind<Zone> {
    text(
        "zone, address or block",
        "\"loopback\", \"private\", an IP address, or a block such as \"100.64.0.0/10\"",
        Zone::parse,
        |zone| zone.text.clone(),
    )
}

fn file() -> Kind<String> {
    string("path", "the path of a PEM file", |_| true)
}

fn any_text() -> Kind<String> {
    string("text", "a text in double quotes", |_| true)
}

fn variable() -> Kind<String> {
    let write = "the name of an environment variable";
    string("name of a variable", write, |text| !text.is_empty())
}

fn host() -> Kind<String> {
    let write =
        "an address or name of this machine without a port, such as \"::\" or \"127.0.0.1\"";
    string("address", write, |text| {
        text.parse::<IpAddr>().is_ok() || is_name(text)
    })
}

fn pointer() -> Kind<String> {
    // RFC 6901 §3, to something inside a document.
    string(
        "JSON pointer",
        "a JSON pointer, such as \"/site/power\"",
        |text| {
            let mut escaped = text.split('~').skip(1);
            text.starts_with('/') && escaped.all(|rest| rest.starts_with(['0', '1']))
        },
    )
}

fn admin_host() -> Kind<String> {
    text(
        "name",
        "a name without a port, such as \"cache.example.com\"",
        |text| is_name(text).then(|| text.to_ascii_lowercase()),
        String::clone,
    )
}

fn is_name(text: &str) -> bool {
    let is_lawful = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !text.is_empty() && text.bytes().all(is_lawful)
}

/// In their usual capitals (RFC 9110 §5.1: letter case means nothing).
fn field() -> Kind<HeaderName> {
    text(
        "field name",
        "the name of a header field, such as \"X-Api-Key\"",
        |text| HeaderName::from_bytes(text.as_bytes()).ok(),
        |name| {
            let words = name.as_str().split('-').map(|word| match word {
                "cdn" => "CDN".to_owned(),
                word => word[..1.min(word.len())].to_ascii_uppercase() + &word[1.min(word.len())..],
            });
            words.collect::<Vec<String>>().join("-")
        },
    )
}

fn pattern() -> Kind<Pattern> {
    text(
        "path",
        "\"/path\", \"/path?query\" or \"/prefix*\"",
        Pattern::parse,
        |pattern| match pattern {
            Pattern::ExactTarget(text) | Pattern::ExactPath(text) => text.clone(),
            Pattern::Prefix(prefix) => format!("{prefix}*"),
        },
    )
}

fn socket() -> Kind<ControlSocket> {
    text(
        "path, `auto` or `off`",
        "\"auto\", \"off\", or the path of a socket, such as \"/run/larder/larder.sock\"",
        |text| match text {
            "" => None,
            "auto" => Some(ControlSocket::Auto),
            "off" => Some(ControlSocket::Off),
            path => Some(ControlSocket::Path(PathBuf::from(path))),
        },
        |socket| match socket {
            ControlSocket::Auto => "auto".to_owned(),
            ControlSocket::Off => "off".to_owned(),
            ControlSocket::Path(path) => path.display().to_string(),
        },
    )
}

fn address() -> Kind<SocketAddr> {
    text(
        "address and port",
        "an address and a port, such as \"127.0.0.1:8677\"",
        |text| text.parse().ok(),
        SocketAddr::to_string,
    )
}

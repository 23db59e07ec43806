//! What the configuration says about requests, applied over what the RFC says.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderName, StatusCode};

use super::check::Check;
use super::rate::RateLimit;

/// The word of the user on one route. The default says nothing: pure RFC 9111, then the [`Defaults`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// How long a response is fresh, whatever its origin says. Zero: nothing is stored. `None`: the origin's word, else the default.
    pub cache_ttl: Option<Duration>,
    /// The age from which a hit is refreshed in the background. `None`: the default.
    pub stale_time: Option<Duration>,
    /// How long past its lifetime a response may stand in for a slow origin. `None`: the default.
    pub slow_grace: Option<Duration>,
    /// How long past its lifetime a response may stand in for a failed origin. `None`: the default.
    pub grace_time: Option<Duration>,
    /// What a good body looks like. `None`: every body is good.
    pub check: Option<Check>,
    /// Whether a body is judged by what is known of its source, after `check`: see [`super::judge`]. Preset only.
    pub judged: bool,
    /// How often the target without a query is asked for without anybody's asking. `None`: never.
    pub poll_interval: Option<Duration>,
    /// Whether `poll_interval` is the preset's own: slower while nobody asks even where `poll_idle_interval` does not say so, and
    /// given up where the origin refuses it.
    pub own_poll: bool,
    /// How often it is asked for instead while nobody asks. Zero: never slower. `None`: the preset's own once per lifetime, the
    /// user's never slower.
    pub poll_idle_interval: Option<Duration>,
    /// How long after a client's request the pace stays full. `None`: 12 poll intervals; the preset's own 60 s.
    pub poll_idle_after: Option<Duration>,
    /// What a client gets when there is neither an answer nor a stale one that may serve.
    pub fallback: Fallback,
    /// Which words of the origin do not count here.
    pub force: Force,
    /// What becomes of Set-Cookie. `None`: the default.
    pub set_cookie: Option<SetCookie>,
    /// How long after a forced fetch of a key clients cannot force another. Zero: always. `None`: `stale_time`, else 1 s.
    pub refresh_min_interval: Option<Duration>,
    /// Whether Cookie is taken off requests, so that it names nobody.
    pub strip_cookies: bool,
    /// How often one client may have the origin asked. `None`: as often as it likes.
    pub rate_limit: Option<RateLimit>,
    /// Request fields whose value is part of the key, besides those that always are.
    pub vary_on: Vec<HeaderName>,
    /// Request fields that no answer depends on here.
    pub ignore_fields: IgnoreFields,
    /// Whether Origin is taken off requests. Preset only.
    pub strip_origin: bool,
    /// Request fields by which Vary does not count. Preset only.
    pub ignore_vary: Vec<HeaderName>,
    /// Whether every reply says `Access-Control-Allow-Origin: *`, whatever the origin says of it. Preset only.
    pub cors: bool,
    /// Paths whose stored answers, whatever their query, are worthless after a successful unsafe request here. One that ends in
    /// `*` stands for all that begin so. Preset only.
    pub also_invalidates: Vec<&'static str>,
    /// Whether a Location whose authority is the origin's is made path-absolute. Preset only.
    pub own_location: bool,
}

/// Request fields that no answer depends on, beside those known to be harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IgnoreFields {
    /// These.
    These(Vec<HeaderName>),
    /// All of them but Authorization.
    All,
}

impl Default for IgnoreFields {
    fn default() -> IgnoreFields {
        IgnoreFields::These(Vec::new())
    }
}

impl IgnoreFields {
    /// Whether this field is among them.
    pub fn has(&self, name: &HeaderName) -> bool {
        match self {
            IgnoreFields::These(names) => names.contains(name),
            IgnoreFields::All => name != AUTHORIZATION,
        }
    }
}

/// The origin's words a route sets aside. None by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Force {
    /// A response with `no-store` is stored all the same.
    pub no_store: bool,
    /// A response with `private` is stored and shared.
    pub private: bool,
    /// A request with Authorization is answered from the store, and its response is stored (RFC 9111 §3.5 set aside).
    pub authorization: bool,
    /// `must-revalidate`, `proxy-revalidate` and `s-maxage` do not forbid stale answers.
    pub must_revalidate: bool,
}

/// What a client gets when there is neither an answer nor a stale one that may serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// An error that tells the cause.
    #[default]
    Error,
    /// 200 with an empty JSON object, for programs that cannot bear errors.
    Empty,
    /// 200 with JSON's `null`, for the same.
    Null,
}

impl Fallback {
    /// The JSON that takes the place of an answer. `None`: an error does.
    pub fn body(self) -> Option<&'static str> {
        match self {
            Fallback::Error => None,
            Fallback::Empty => Some("{}"),
            Fallback::Null => Some("null"),
        }
    }
}

/// What becomes of a response with Set-Cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetCookie {
    /// It is relayed and not stored.
    #[default]
    Refuse,
    /// It is stored and relayed without the field.
    Strip,
    /// It is stored, and its cookies are given to everybody.
    Store,
}

/// What holds where neither a [`Rule`] nor the origin gives a lifetime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// How long a response is fresh. Default 300 s.
    pub ttl: Duration,
    /// The age from which a hit is refreshed in the background. Default 60 s.
    pub stale_time: Duration,
    /// How long past its lifetime a response may stand in for a slow origin. `None`: as long as it was fresh.
    pub slow_grace: Option<Duration>,
    /// How long past its lifetime a response may stand in for a failed origin. Default 30 s.
    pub grace_time: Duration,
    /// Lifetimes of single status codes, before `ttl`. Default: 404 for 10 s.
    pub status_ttl: Vec<(StatusCode, Duration)>,
    /// What becomes of Set-Cookie. Default: a response with it is refused.
    pub set_cookie: SetCookie,
    /// By how many percent at the most a lifetime of a rule or a default is shortened, each stored response by its own share,
    /// so that what was stored together does not expire together. Default 0.
    pub jitter: u8,
}

impl Defaults {
    /// Whether there are no defaults, only the RFC: `ttl` and `stale_time` are both zero. `status_ttl` is then off.
    pub fn pure(&self) -> bool {
        self.ttl.is_zero() && self.stale_time.is_zero()
    }
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            ttl: Duration::from_secs(300),
            stale_time: Duration::from_secs(60),
            slow_grace: None,
            grace_time: Duration::from_secs(30),
            status_ttl: vec![(StatusCode::NOT_FOUND, Duration::from_secs(10))],
            set_cookie: SetCookie::Refuse,
            jitter: 0,
        }
    }
}

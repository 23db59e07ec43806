//! What the configuration says about requests, applied over what the RFC says.

use std::time::Duration;

use http::StatusCode;

use super::check::Check;

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
    /// Which words of the origin do not count here.
    pub force: Force,
    /// What becomes of Set-Cookie.
    pub set_cookie: SetCookie,
    /// Whether Cookie is taken off requests, so that it names nobody.
    pub strip_cookies: bool,
    /// How often the target is fetched without being asked for. `None`: never.
    pub poll_interval: Option<Duration>,
    /// The interval is the preset's own: it slows down when nobody asks.
    pub own_poll: bool,
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
        }
    }
}

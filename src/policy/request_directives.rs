//! What a client wants of the cache (RFC 9111 §5.2.1, §5.4).

use std::time::Duration;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};

use super::directives::{Directives, Members};

/// `true` in it asks for a newer answer.
const CACHE_REFRESH: HeaderName = HeaderName::from_static("cache-refresh");
/// As [`CACHE_REFRESH`].
const X_CACHE_REFRESH: HeaderName = HeaderName::from_static("x-cache-refresh");

/// What a request wants of the cache. Garbage asks for nothing: an invalid value of a directive is as if the directive
/// were absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// The origin is to be asked: `no-cache` (§5.2.1.4), `max-age=0` (§5.2.1.1), `Pragma: no-cache` in a request without
    /// Cache-Control (§5.4), or the word `true` in Cache-Refresh or X-Cache-Refresh.
    pub refresh: bool,
    /// Nothing of the exchange is to be stored (§5.2.1.5).
    pub no_store: bool,
    /// The origin is not to be asked (§5.2.1.7).
    pub only_if_cached: bool,
    /// The oldest response wanted, in whole seconds (§5.2.1.1). `None`: any age will do, or `refresh` says it.
    pub max_age: Option<Duration>,
    /// How long the response has to stay fresh, in whole seconds (§5.2.1.3). `None`: not said.
    pub min_fresh: Option<Duration>,
    /// How long past its lifetime a response will do, in whole seconds (§5.2.1.2). `None`: not said;
    /// [`LONGEST`](super::directives::LONGEST): any stale response will do.
    pub max_stale: Option<Duration>,
}

impl RequestDirectives {
    /// Reads the fields of a request. Allocates nothing.
    pub fn of(fields: &HeaderMap) -> RequestDirectives {
        let mut directives = RequestDirectives::default();
        if fields.contains_key(CACHE_CONTROL) {
            let said = Directives::of_request(fields);
            directives = RequestDirectives {
                refresh: said.no_cache || said.max_age.is_some_and(|age| age.is_zero()),
                no_store: said.no_store,
                only_if_cached: said.only_if_cached,
                max_age: said.max_age.filter(|age| !age.is_zero()),
                min_fresh: said.min_fresh,
                max_stale: said.max_stale,
            };
        } else if fields.contains_key(PRAGMA) {
            directives.refresh = Members::of(fields, PRAGMA)
                .any(|(name, value)| name.eq_ignore_ascii_case(b"no-cache") && value.is_none());
        }
        directives.refresh = directives.refresh
            || is_true(fields, CACHE_REFRESH)
            || is_true(fields, X_CACHE_REFRESH);
        directives
    }

    /// The same without what only a request to the origin can fulfil.
    pub fn content(self) -> RequestDirectives {
        RequestDirectives {
            only_if_cached: self.only_if_cached,
            max_stale: self.max_stale,
            ..RequestDirectives::default()
        }
    }

    /// Whether it asks for nothing.
    pub fn is_none(&self) -> bool {
        *self == RequestDirectives::default()
    }
}

fn is_true(fields: &HeaderMap, name: HeaderName) -> bool {
    fields
        .get_all(name)
        .iter()
        .any(|line| line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"true"))
}

#[cfg(test)]
mod tests;

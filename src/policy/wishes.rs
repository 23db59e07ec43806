//! Stub.
use std::time::Duration;
use http::HeaderMap;
/// Stub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Stub.
    pub refresh: bool,
    /// Stub.
    pub no_store: bool,
    /// Stub.
    pub only_if_cached: bool,
    /// Stub.
    pub max_age: Option<Duration>,
    /// Stub.
    pub min_fresh: Option<Duration>,
    /// Stub.
    pub max_stale: Option<Duration>,
}
impl Wishes {
    /// Stub.
    pub fn of(_fields: &HeaderMap) -> Wishes {
        Wishes::default()
    }
    /// Stub.
    pub fn is_none(&self) -> bool {
        *self == Wishes::default()
    }
}

//! Selecting among stored responses by Vary (RFC 9111 §4.1).

use http::{HeaderMap, HeaderName, HeaderValue};

/// The request fields a response was selected by, with their values in the request the origin saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selecting(Box<[(HeaderName, Option<HeaderValue>)]>);

impl Selecting {
    /// What `names` had in the request the origin saw. `coded`: the response has Content-Encoding.
    pub fn of(names: Vec<HeaderName>, sent: &HeaderMap, _coded: bool) -> Selecting {
        Selecting(names.into_iter().map(|name| (name.clone(), sent.get(&name).cloned())).collect())
    }

    /// Whether a request selects this response.
    pub fn matches(&self, asked: &HeaderMap) -> bool {
        self.0.iter().all(|(name, value)| asked.get(name) == value.as_ref())
    }

    /// Bytes it holds.
    pub fn charge(&self) -> usize {
        self.0.iter().map(|(name, value)| name.as_str().len() + value.as_ref().map_or(0, |value| value.len())).sum()
    }
}

//! Which kind of origin the URL's scheme picked, and how each origin worker gets its own connection to it.

use std::sync::Arc;

use super::Origin;
use super::http::{HttpOrigin, HttpSettings};
use super::resolve::Addresses;

/// What an origin worker connects to.
pub enum Source {
    /// `http://` or `https://`: a server, asked over HTTP/1.1.
    Http(HttpSettings, Arc<Addresses>),
    /// Inside this process: how a worker gets its way to it.
    Within(Box<dyn Fn() -> Box<dyn Origin> + Send + Sync>),
}

impl Source {
    /// A connection for one worker; nothing is opened yet.
    pub fn connect(&self) -> Box<dyn Origin> {
        match self {
            Source::Http(settings, addresses) => {
                Box::new(HttpOrigin::new(settings, Arc::clone(addresses)))
            }
            Source::Within(connect) => connect(),
        }
    }

    /// The name that must be looked up now and then. `None`: there is none.
    pub fn name(&self) -> Option<&Arc<Addresses>> {
        match self {
            Source::Http(_, addresses) => Some(addresses).filter(|addresses| !addresses.is_fixed()),
            Source::Within(_) => None,
        }
    }
}

//! What becomes worthless when something was changed (RFC 9111 §4.4).

use http::uri::Authority;
use http::{HeaderMap, StatusCode, header};

use super::{Proxy, ROLE};
use crate::cache::flights::{FetchRequest, Work};
use crate::cache::key::Key;
use crate::message::{Request, Target};
use crate::origin::permits::FlightId;
use crate::policy::invalidation;

impl Proxy {
    /// Drops what is stored for a target, and keeps what is being fetched for it from being stored (RFC 9111 §4.4), but by the
    /// flight that made it worthless.
    pub fn invalidate(&self, target: &Target, but: Option<FlightId>) {
        let mut text = String::new();
        Key::write(&mut text, None, ROLE, target);
        let key = text.clone();
        self.submit(Work::Invalidated {
            matches: Box::new(move |other| other == key),
            but,
        });
        self.store.remove(&text);
    }

    /// A successful unsafe request makes what is stored for its target worthless, and for what else the response names
    /// (RFC 9111 §4.4).
    pub(super) fn invalidate_after(
        &self,
        flight: FlightId,
        fetch_request: &FetchRequest,
        status: StatusCode,
        fields: &HeaderMap,
    ) {
        if fetch_request.safe || !(status.is_success() || status.is_redirection()) {
            return;
        }
        let target = &fetch_request.request.target;
        self.invalidate(target, Some(flight));
        self.invalidate_paths(&self.routes.find(target).rule.also_invalidates, flight);
        let also = invalidation::also_invalid(
            target.as_str(),
            fields,
            &self.authorities(&fetch_request.request),
        );
        for target in also
            .into_iter()
            .filter_map(|target| Target::parse(target.into()))
        {
            self.invalidate(&target, Some(flight));
        }
    }

    /// Drops what is stored for these paths, as [`Proxy::invalidate`] does for a target.
    fn invalidate_paths(&self, paths: &[&'static str], but: FlightId) {
        if paths.is_empty() {
            return;
        }
        let paths = paths.to_vec();
        let matches = move |key: &str| {
            // A flight's key may go on with what it selects by.
            let target = key.splitn(4, ':').last().unwrap_or_default();
            let path = target.split(['?', '\n']).next().unwrap_or_default();
            paths.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None => path == *pattern,
            })
        };
        self.submit(Work::Invalidated {
            matches: Box::new(matches.clone()),
            but: Some(but),
        });
        self.store.remove_matching(matches);
    }

    /// The names this origin goes by: its own, and what its client calls it.
    pub(super) fn authorities<'a>(&'a self, request: &'a Request) -> Vec<&'a str> {
        let own = self
            .config
            .backend
            .origin
            .authority()
            .map(Authority::as_str);
        let host = request
            .fields
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        own.into_iter().chain(host).collect()
    }
}

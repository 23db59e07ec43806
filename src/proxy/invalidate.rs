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

//! A held answer and its witness: what could be a false zero is an answer only when another one, asked for after it, agrees.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};

use super::{Proxy, ROLE};
use crate::cache::flights::{Arrival, Errand, Landing, Passenger, Work};
use crate::cache::key::Key;
use crate::message::{Body, Request, Target};
use crate::origin::Opening;
use crate::origin::permits::FlightId;
use crate::outcome::{Cause, Fwd, Outcome};
use crate::policy::home::witness_agrees;
use crate::reply::{Nowhere, Reply, Responder, Sink};

/// Waits in the witness's flight, and ends the held one by what it hears.
struct Witness {
    proxy: Arc<Proxy>,
    flight: FlightId,
    /// What the held flight lands with if the witness agrees. `None` once it was told.
    landing: Option<Landing>,
    held: Bytes,
    /// Who was asked.
    path: &'static str,
}

impl Proxy {
    /// Holds a flight, and asks its witness. The permit goes back meanwhile; the witness needs one of its own.
    pub(super) fn hold(self: &Arc<Proxy>, flight: FlightId, landing: Landing, held: Bytes) {
        self.submit(Work::Held(flight));
        self.ask_witness(flight, landing, held);
    }

    fn ask_witness(self: &Arc<Proxy>, flight: FlightId, landing: Landing, held: Bytes) {
        let path = self.home.lock().witness_path();
        let witness = Witness { proxy: Arc::clone(self), flight, landing: Some(landing), held, path };
        let Some(target) = Target::parse(Bytes::from_static(path.as_bytes())) else { return };
        let key = Some(Key::new(None, ROLE, &target));
        let poll = self.polls.place_of(&target);
        let request = Arc::new(self.own_request(target));
        let passenger = Passenger {
            request: Arc::clone(&request),
            responder: Box::new(witness),
            stale: None,
            leads: false,
            cors: false,
            fwd: Fwd::UriMiss,
            alone: None,
        };
        // Not joinable: a fetch that began before the held answer came is no witness of it.
        let errand = Errand { request, key, shared: true, joinable: false, even_if_fresh: true, poll, safe: true };
        self.submit(Work::Arrived(Arrival { passenger: Some(passenger), errand }));
    }

    /// A GET of our own.
    pub(super) fn own_request(&self, target: Target) -> Request {
        Request {
            method: Method::GET,
            target,
            version: Version::HTTP_11,
            fields: HeaderMap::new(),
            body: Body::default(),
            peer: Ipv4Addr::LOCALHOST.into(),
            id: self.next_id(),
        }
    }
}

impl Witness {
    fn tell(&mut self, agrees: bool) {
        if let Some(landing) = self.landing.take() {
            // A home without a battery has just said so; then the meters are its witness.
            if !agrees && self.proxy.home.lock().witness_path() != self.path {
                return self.proxy.ask_witness(self.flight, landing, self.held.clone());
            }
            let landing = if agrees { landing } else { Landing::failed(Cause::CheckFailed) };
            self.proxy.submit(Work::Landed(self.flight, landing));
        }
    }
}

impl Responder for Witness {
    fn reply(&mut self, reply: Reply) {
        let agrees = match &reply {
            Reply::Stored { stored, outcome: Outcome::Fetched { .. }, .. } => {
                stored.status.is_success() && witness_agrees(&self.held, &stored.body)
            }
            Reply::Relayed { response, .. } => {
                response.status.is_success() && witness_agrees(&self.held, &response.body)
            }
            _ => false,
        };
        self.tell(agrees);
    }

    fn open(&mut self, _: &Opening, _: Outcome) -> Box<dyn Sink> {
        self.tell(false);
        Box::new(Nowhere)
    }

    fn gone(&self) -> bool {
        false
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.tell(false);
    }
}

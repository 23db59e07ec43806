//! `POST /cache/clear`: everything stored goes.

use serde_json::{Value, json};

use super::{Effect, Endpoint};
use crate::message::Request;
use crate::proxy::Proxy;

pub(super) const ENDPOINT: Endpoint = Endpoint {
    name: "/cache/clear",
    effect: Effect::Changes,
    answer,
};

fn answer(proxy: &Proxy, request: &Request) -> Value {
    let cleared = proxy.clear();
    log::info!(
        "{} cleared the cache: {cleared} answers",
        request.peer.to_canonical()
    );
    json!({ "success": true, "message": "Cache cleared", "cleared": cleared })
}

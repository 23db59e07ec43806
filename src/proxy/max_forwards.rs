//! The end of a way that its client has limited (RFC 9110 §7.6.2): what is not to be forwarded, we answer ourselves.

use http::{Method, StatusCode};
use serde_json::json;

use super::Proxy;
use crate::message::{IdText, Request};
use crate::reply::Reply;

/// What may be asked through here, of the usual methods. TRACE passes, too, but is not answered here.
const ALLOW: (&str, &str) = ("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

impl Proxy {
    /// The answer to an OPTIONS or TRACE that no proxy may forward any more.
    ///
    /// To TRACE the last one asked should send the request back (RFC 9110 §9.3.8). We do not: it holds what proxies before us have
    /// added, credentials among it, and their names are nobody's business but theirs.
    pub(super) fn as_the_last(&self, request: &Request) -> Reply {
        let id = IdText::new(self.mark, request.id, request.own_id()).to_string();
        let message = "Max-Forwards is 0: Larder, not the origin, has answered";
        let (status, body) = match request.method {
            Method::OPTIONS => (
                StatusCode::OK,
                json!({ "message": message, "request_id": id }),
            ),
            _ => {
                let error =
                    json!({ "error": "method_not_allowed", "message": message, "request_id": id });
                (StatusCode::METHOD_NOT_ALLOWED, error)
            }
        };
        Reply::BuiltIn {
            status,
            field: Some(ALLOW),
            body: body.to_string(),
        }
    }
}

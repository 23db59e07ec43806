//! Interim responses on their way from the origin to the client that leads.

use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};

use crate::origin::Herald;
use crate::policy::rule::{Rule, SetCookie};

/// Tells without Set-Cookie.
struct Stripping(Arc<dyn Herald>);

/// `herald`, told what clients of this route may have.
pub(super) fn as_the_route_wants(herald: Arc<dyn Herald>, rule: &Rule) -> Arc<dyn Herald> {
    match rule.set_cookie {
        Some(SetCookie::Strip) => Arc::new(Stripping(herald)),
        _ => herald,
    }
}

impl Herald for Stripping {
    fn interim(&self, status: StatusCode, fields: &HeaderMap) {
        let mut fields = fields.clone();
        fields.remove(header::SET_COOKIE);
        self.0.interim(status, &fields);
    }
}

//! Interim responses on their way from the origin to the client that leads.

use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};

use crate::origin::InterimSink;
use crate::policy::rule::{Rule, SetCookie};

/// Tells without Set-Cookie.
struct Stripping(Arc<dyn InterimSink>);

/// `interim_sink`, told what clients of this route may have.
pub(super) fn as_the_route_wants(
    interim_sink: Arc<dyn InterimSink>,
    rule: &Rule,
) -> Arc<dyn InterimSink> {
    match rule.set_cookie {
        Some(SetCookie::Strip) => Arc::new(Stripping(interim_sink)),
        _ => interim_sink,
    }
}

impl InterimSink for Stripping {
    fn interim(&self, status: StatusCode, fields: &HeaderMap) {
        let mut fields = fields.clone();
        fields.remove(header::SET_COOKIE);
        self.0.interim(status, &fields);
    }
}

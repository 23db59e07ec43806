//! `GET /health`: counters and gauges, no walk through what is stored. On the data port a front worker answers the same.

use super::{Answer, Ask};

pub(super) fn answer(ask: &Ask<'_>) -> Answer {
    Answer {
        status: http::StatusCode::OK,
        field: None,
        body: ask.proxy.health(ask.proxy.clock().now()),
    }
}

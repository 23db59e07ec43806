//! `GET /queue/stats`: what the origin is asked now, what waits, and how the last fetches went.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Ask, limit, milliseconds};
use crate::clock::Now;
use crate::secret::redacted;
use crate::statistics::Completed;

pub(super) fn answer(ask: &Ask<'_>) -> Answer {
    let proxy = ask.proxy;
    let gauges = proxy.gauges();
    let now = proxy.clock().now();
    let under_way = proxy.under_way(limit(ask.target));
    let queued: Vec<_> = under_way
        .queued
        .iter()
        .map(|target| redacted(target.as_str()))
        .collect();
    let active: Vec<Value> = under_way
        .active
        .iter()
        .map(|(target, began)| running(target.as_str(), *began, now))
        .collect();
    Answer::json(&json!({
        "queueLength": gauges.queued,
        "activeRequestCount": gauges.active,
        "maxConcurrentRequests": proxy.config().backend.max_concurrent_requests,
        "parked": gauges.parked,
        "queuedUrls": queued,
        "activeUrls": active,
        "truncated": under_way.truncated,
        "recentlyCompleted": proxy.statistics().recent().iter().map(completed).collect::<Vec<Value>>(),
    }))
}

fn running(target: &str, began: Duration, now: Now) -> Value {
    let runtime = now.mono.saturating_sub(began);
    let started = now.wall.saturating_sub(runtime);
    json!({ "url": redacted(target), "startTime": milliseconds(started), "runtimeMs": milliseconds(runtime) })
}

fn completed(fetch: &Completed) -> Value {
    json!({
        "fullUrl": redacted(&fetch.target),
        "startTime": milliseconds(fetch.asked),
        "endTime": milliseconds(fetch.asked + fetch.took),
        "runtimeMs": milliseconds(fetch.took),
        "success": fetch.good,
    })
}

//! What `/health` tells: numbers of this moment, no walk through anything that grows with the traffic.

use serde_json::{Value, json};

use super::Proxy;
use crate::clock::Now;
use crate::metrics::RejectReason;
use crate::policy::dates;
use crate::secret::redacted;

/// Polls that are named.
const MAX_NAMED: usize = 1000;

impl Proxy {
    /// The JSON of `/health`. Bounded work: no walk through what is stored.
    pub fn health(&self, now: Now) -> String {
        let flights = self.gauges();
        let store = self.store.gauges();
        let counters = &self.counters;
        let polls: Vec<_> = self
            .polls
            .targets()
            .take(MAX_NAMED)
            .map(|target| redacted(target.as_str()))
            .collect();
        json!({
            "status": "ok",
            "timestamp": dates::iso8601(now.wall).as_str(),
            "version": env!("CARGO_PKG_VERSION"),
            "uptimeSeconds": now.mono.as_secs(),
            "activePolls": polls,
            "cache": {
                "size": store.entries, "entries": store.entries, "bytes": store.bytes, "evictions": store.evictions,
                "errorRate": self.statistics.errors_a_minute(now),
            },
            "queue": {
                "activeRequestCount": flights.active,
                "maxConcurrentRequests": self.config.backend.max_concurrent_requests,
                "queueLength": flights.queued,
                "parked": flights.parked,
            },
            "upstreams": { "default": self.upstream(now) },
            "counters": {
                "refusedConnections": counters.rejections.count(RejectReason::Connections),
                "acceptFailures": counters.accept_failures.count(),
                "refusedRequests": counters.refused_requests.count(),
                "slowHeads": counters.slow_heads.count(),
                "slowBodies": counters.slow_bodies.count(),
                "cutClients": counters.cut_clients.count(),
                "failedFetches": counters.failed_fetches.count(),
                "panics": counters.panics.count(),
            },
            "shed": self.rejections(),
        })
        .to_string()
    }

    /// How many were turned away, by cause.
    fn rejections(&self) -> Value {
        let counts = RejectReason::ALL.map(|reason| {
            (
                reason.name().to_owned(),
                Value::from(self.counters.rejections.count(reason)),
            )
        });
        Value::Object(counts.into_iter().collect())
    }

    /// Whether the origin is asked, and if not, why and for how long.
    fn upstream(&self, now: Now) -> Value {
        let flights = self.flights.lock();
        let ((failure, keys), breaker) = (flights.failure_summary(), flights.breaker(now).word());
        drop(flights);
        match failure {
            None => json!({ "status": "ok", "breaker": breaker, "keysInBackoff": keys }),
            Some((cause, until)) => json!({
                "status": "backoff",
                "breaker": breaker,
                "cause": cause.detail(),
                "message": cause.message(),
                "retryInSeconds": until.saturating_sub(now.mono).as_secs_f64().ceil(),
                "keysInBackoff": keys,
            }),
        }
    }
}

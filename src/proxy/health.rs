//! What `/health` tells: numbers of this moment, no walk through anything.

use serde_json::json;

use super::Proxy;
use crate::clock::Now;
use crate::policy::dates;

impl Proxy {
    pub(super) fn health(&self, now: Now) -> String {
        let (flights, store, counters) = (self.gauges(), self.store.gauges(), &self.counters);
        json!({
            "status": "ok",
            "timestamp": dates::iso8601(now.wall).as_str(),
            "version": env!("CARGO_PKG_VERSION"),
            "uptimeSeconds": now.mono.as_secs(),
            "activePolls": self.polls.len(),
            "cache": { "entries": store.entries, "bytes": store.bytes, "evictions": store.evictions },
            "queue": {
                "activeRequestCount": flights.active,
                "maxConcurrentRequests": self.config.backend.max_concurrent_requests,
                "queueLength": flights.queued,
                "parked": flights.parked,
            },
            "counters": {
                "refusedConnections": counters.refused_connections.count(),
                "acceptFailures": counters.accept_failures.count(),
                "refusedRequests": counters.refused_requests.count(),
                "cutClients": counters.cut_clients.count(),
                "failedFetches": counters.failed_fetches.count(),
                "panics": counters.panics.count(),
            },
        })
        .to_string()
    }
}

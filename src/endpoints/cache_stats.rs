//! `GET /cache/stats`: what is stored, how it is used, and what fails.
//!
//! Keys and types are those of the Node proxy: `lastFetchTime` in milliseconds since the epoch, `pollInterval` in seconds, all
//! other times in milliseconds, error rates in failures a minute. Times of fetches are told of keys that are polled or among
//! those used most; of others nobody keeps them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Answer, Ask, limit, milliseconds};
use crate::cache::key::Key;
use crate::clock::Now;
use crate::proxy::EntrySummary;
use crate::secret::redacted;

pub(super) fn answer(ask: &Ask<'_>) -> Answer {
    let proxy = ask.proxy;
    let limit = limit(ask.target);
    let now = proxy.clock().now();
    let store = proxy.store_gauges();
    let keys: Map<String, Value> = proxy
        .entries(limit)
        .iter()
        .map(|kept| (shown(&kept.stored.key), described(kept, now)))
        .collect();
    let failures = proxy.failing(limit);
    let resting = failures.keys.iter().map(|(key, pause)| {
        let left = pause.until.saturating_sub(now.mono);
        let state = json!({
            "consecutiveErrors": pause.failures,
            "backoffDelayMs": milliseconds(left),
            "nextRetryTime": milliseconds(now.wall.saturating_add(left)),
            "cause": pause.cause.detail(),
        });
        (shown(key), state)
    });
    let failing = proxy.statistics().errors_by_key(now);
    let truncated = keys.len() < store.entries || failures.truncated || failing.len() > limit;
    Answer::json(&json!({
        "size": store.entries,
        "bytes": store.bytes,
        "evictions": store.evictions,
        "keys": keys,
        "truncated": truncated,
        "errorRate": proxy.statistics().errors_a_minute(now),
        "errorRateByPath": failing.iter().take(limit).map(|(key, rate)| (shown(key), json!(rate))).collect::<Map<_, _>>(),
        "backoffStates": resting.collect::<Map<_, _>>(),
    }))
}

fn described(kept: &EntrySummary, now: Now) -> Value {
    let lifetime = &kept.stored.lifetime;
    let stored = &kept.stored;
    let since = now.mono.saturating_sub(lifetime.received());
    let mut described = Map::from_iter([
        (
            "lastFetchTime".to_owned(),
            json!(milliseconds(now.wall.saturating_sub(since))),
        ),
        ("size".to_owned(), json!(stored.body.len())),
        ("status".to_owned(), json!(stored.status.as_u16())),
        (
            "hits".to_owned(),
            json!(stored.hits() + kept.tally.map_or(0, |tally| tally.hits)),
        ),
        ("ttl".to_owned(), json!(milliseconds(lifetime.ttl()))),
        (
            "staleTime".to_owned(),
            json!(milliseconds(lifetime.stale_time())),
        ),
    ]);
    if let Some(tally) = kept.tally {
        described.insert("misses".to_owned(), json!(tally.misses));
        // With their fraction: a maximum cut to whole milliseconds would be below its average.
        let longest = tally.average().map(|_| tally.longest);
        for (name, time) in [
            ("avgResponseTime", tally.average()),
            ("maxResponseTime", longest),
        ] {
            described
                .extend(time.map(|time| (name.to_owned(), json!(time.as_secs_f64() * 1000.0))));
        }
    }
    described.extend(
        kept.poll_interval
            .map(|every| ("pollInterval".to_owned(), json!(seconds(every)))),
    );
    Value::Object(described)
}

/// Whole seconds as an integer, others with their fraction.
fn seconds(time: Duration) -> Value {
    if time.subsec_nanos() == 0 {
        json!(time.as_secs())
    } else {
        json!(time.as_secs_f64())
    }
}

/// How a key is named in reports.
fn shown(key: &Key) -> String {
    redacted(key.target()).into_owned()
}

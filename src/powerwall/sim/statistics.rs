//! PURE. What the simulated pypowerwall counts, and `/stats`, which tells it.

use std::time::Duration;

use super::json::{Json, object};
use super::pages::PAGES;

/// Counts since the beginning.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// When it began, since 1970.
    began: Duration,
    /// How often each of [`PAGES`] was shown, by its index.
    shown: [i64; PAGES.len()],
    /// POST requests.
    pub posts: i64,
    /// Requests answered with a simulated 500.
    pub errors: i64,
    /// Requests answered as in an outage.
    pub timeouts: i64,
}

impl Statistics {
    /// Nothing counted.
    pub fn new(began: Duration) -> Statistics {
        Statistics {
            began,
            shown: [0; PAGES.len()],
            posts: 0,
            errors: 0,
            timeouts: 0,
        }
    }

    /// Counts that the page of this index was shown.
    pub fn count(&mut self, index: usize) {
        self.shown[index] += 1;
    }

    /// The answer of `/stats` at a moment since 1970.
    pub fn show(&self, at: Duration) -> Json {
        let shown = PAGES.iter().zip(self.shown).filter(|(_, count)| *count > 0);
        let uri = shown
            .map(|(page, count)| (page.path.to_owned(), Json::Whole(count)))
            .collect();
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let up = at.saturating_sub(self.began);
        object! {
            "pypowerwall": "0.16.2 Proxy t97", "mode": "Simulation", "gets": self.shown.iter().sum::<i64>(),
            "posts": self.posts, "errors": self.errors, "timeout": self.timeouts, "uri": Json::Object(uri),
            "ts": seconds(at), "start": seconds(self.began), "clear": seconds(self.began),
            "uptime": python_time(up.as_secs()).as_str(), "mem": 48752, "site_name": "Simulated Powerwall",
            "cloudmode": false, "fleetapi": false, "tedapi": false, "pw3": false, "tedapi_mode": "off",
            "tedapi_api_version": "V2024_06", "siteid": Json::Null, "counter": 0, "cf": "/app/.auth/.powerwall",
            "config": config(), "connection_health": health(at, self.shown.iter().sum()),
            "fallback_mode": object! {
                "is_fallback_mode": false, "fallback_since": Json::Null, "fallback_duration_seconds": Json::Null,
                "recovery_attempts": 0, "last_recovery_attempt": Json::Null, "recovery_enabled": true,
            },
            "mem_cache": object! {
                "error_counts": entries(0, 64), "network_error_summary": entries(0, 64),
                "degradation_cache": entries(5, 16328), "performance_cache": entries(12, 21994),
                "endpoint_stats": entries(4, 2914), "total_cache_bytes": 41364, "total_cache_mb": 0.04,
            },
        }
    }
}

fn health(at: Duration, successes: i64) -> Json {
    object! {
        "consecutive_failures": 0, "total_failures": 0, "total_successes": successes, "is_degraded": false,
        "last_success_time": at.as_secs_f64(), "cache_size": 5,
    }
}

fn entries(count: i64, bytes: i64) -> Json {
    object! { "entries": count, "size_bytes": bytes }
}

fn config() -> Json {
    object! {
        "PW_BIND_ADDRESS": "127.0.0.1", "PW_PASSWORD": "********", "PW_EMAIL": "me@example.com",
        "PW_HOST": "simulation", "PW_TIMEZONE": "UTC", "PW_DEBUG": false, "PW_CACHE_EXPIRE": 5,
        "PW_BROWSER_CACHE": 0, "PW_TIMEOUT": 5, "PW_POOL_MAXSIZE": 15, "PW_HTTPS": "no", "PW_PORT": 8675,
        "PW_STYLE": "clear.js", "PW_SITEID": Json::Null, "PW_AUTH_PATH": "/app/.auth", "PW_AUTH_MODE": "cookie",
        "PW_CACHE_FILE": "/app/.auth/.powerwall", "PW_CONTROL_SECRET": Json::Null, "PW_GW_PWD": Json::Null,
        "PW_RSA_KEY_PATH": Json::Null, "PW_WIFI_HOST": Json::Null, "PW_NEG_SOLAR": true,
        "PW_SITE_ZERO_THRESHOLD": 0, "PW_SUPPRESS_NETWORK_ERRORS": false, "PW_NETWORK_ERROR_RATE_LIMIT": 5,
        "PW_FAIL_FAST": false, "PW_GRACEFUL_DEGRADATION": true, "PW_HEALTH_CHECK": true, "PW_CACHE_TTL": 30,
        "PW_TEDAPI_RECOVERY": true, "PW_TEDAPI_PROBE_INTERVAL": 30,
    }
}

/// As Python prints a time span: `0:00:37`, `1 day, 0:00:00`.
fn python_time(seconds: u64) -> String {
    let days = seconds / 86_400;
    let seconds = seconds % 86_400;
    let time = format!(
        "{}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
    match days {
        0 => time,
        1 => format!("1 day, {time}"),
        _ => format!("{days} days, {time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans() {
        for (seconds, text) in [
            (37, "0:00:37"),
            (86_400, "1 day, 0:00:00"),
            (180_061, "2 days, 2:01:01"),
        ] {
            assert_eq!(python_time(seconds), text);
        }
    }
}

//! What a load measured, printed as one line of `name=value`.

use std::time::Duration;

/// Latencies and failures.
#[derive(Default)]
pub struct Figures {
    latencies: Vec<u32>,
    failures: u64,
    first_failure: Option<String>,
    statuses: u64,
}

impl Figures {
    /// Adds a response with status 200.
    pub fn success(&mut self, latency: Duration) {
        let micros = u32::try_from(latency.as_nanos() / 100).unwrap_or(u32::MAX);
        self.latencies.push(micros);
    }

    /// Adds a response with another status.
    pub fn refused(&mut self, status: u16) {
        self.statuses += 1;
        self.first_failure
            .get_or_insert_with(|| format!("status {status}"));
    }

    /// Adds a request without a response.
    pub fn failure(&mut self, why: String) {
        self.failures += 1;
        self.first_failure.get_or_insert(why);
    }

    /// Requests that ended, one way or another.
    pub fn ended(&self) -> usize {
        self.latencies.len() + usize::try_from(self.failures + self.statuses).unwrap_or(usize::MAX)
    }

    /// Prints the figures of a load that took so long.
    pub fn print(mut self, took: Duration) {
        self.latencies.sort_unstable();
        let seconds = took.as_secs_f64();
        let ok = self.latencies.len();
        print!(
            "ok={ok} refused={} failed={} seconds={seconds:.6} rate={:.1}",
            self.statuses,
            self.failures,
            ok as f64 / seconds
        );
        for (name, share) in [
            ("p50", 0.5),
            ("p90", 0.9),
            ("p99", 0.99),
            ("p999", 0.999),
            ("max", 1.0),
        ] {
            print!(" {name}={:.1}", self.quantile(share));
        }
        println!();
        if let Some(why) = self.first_failure {
            eprintln!("bench-client: the first failure: {why}");
        }
    }

    /// Microseconds that this share of the responses did not exceed.
    fn quantile(&self, share: f64) -> f64 {
        let Some(last) = self.latencies.len().checked_sub(1) else {
            return f64::NAN;
        };
        // Tenths of a microsecond are kept.
        f64::from(self.latencies[(last as f64 * share).round() as usize]) / 10.0
    }
}

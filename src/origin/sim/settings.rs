//! What `sim://powerwall?latency=200ms&fail=0.1` asks for.

use std::ops::Range;
use std::time::Duration;

use http::StatusCode;

/// The parameters there are, for whoever wrote another one.
const ALLOWED: &str = "latency=200ms, seed=a whole number, down=30s..90s; fail, null, rubbish, refuse, hang, drop, lie and \
     drip, each with a share from 0 to 1 or a path such as /strings; status=429, 500 or 503 and retry=30s for fail; \
     rate=bytes a second for drip";
/// What may follow `status=`.
const STATUSES: [StatusCode; 3] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// How the simulation behaves. The default has no faults.
#[derive(Clone, Debug, PartialEq)]
pub struct SimSettings {
    /// Every answer takes so long. Default 0.
    pub latency: Duration,
    /// From when to when after its start it refuses all connections. `None`: never.
    pub down: Option<Range<Duration>>,
    /// Which requests are answered with `status`.
    pub fail: Strikes,
    /// 429, 500 or 503. Default 500.
    pub status: StatusCode,
    /// Seconds in the Retry-After that goes with it. `None`: it has none.
    pub retry_after: Option<u64>,
    /// Which requests are answered as in an outage: 200 with the body `null`.
    pub null: Strikes,
    /// Which requests are answered 200 with what is neither JSON nor a reading.
    pub rubbish: Strikes,
    /// Which requests find the port closed.
    pub refuse: Strikes,
    /// Which requests get no answer.
    pub hang: Strikes,
    /// Which requests' answers are cut.
    pub drop: Strikes,
    /// Which answers are shorter than they say they are, on a connection that stays open.
    pub lie: Strikes,
    /// Which answers come byte by byte, `rate` bytes a second.
    pub drip: Strikes,
    /// Default 10.
    pub rate: u32,
    /// Weather, appliances and faults follow from it. Default 0.
    pub seed: u64,
    /// How long an origin is waited for; not a parameter, it is the backend's.
    pub limits: Limits,
}

/// Which requests a fault is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Strikes {
    /// This share of all. Default none.
    Share(f64),
    /// Those for this path, whatever their query.
    Path(String),
}

/// The limits of waiting for an origin, as `origin::http` keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// After so long a request without an answer ends. Default 10 s.
    pub first_byte: Duration,
    /// A body that is whole so soon comes in one piece. Default 20 ms.
    pub at_once: Duration,
    /// A body is cut off after such a silence. Default 10 s.
    pub idle: Duration,
    /// A body nobody reads is cut off after so long. Default 60 s.
    pub total: Duration,
}

impl Default for SimSettings {
    fn default() -> SimSettings {
        SimSettings {
            latency: Duration::ZERO,
            down: None,
            fail: Strikes::default(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            retry_after: None,
            null: Strikes::default(),
            rubbish: Strikes::default(),
            refuse: Strikes::default(),
            hang: Strikes::default(),
            drop: Strikes::default(),
            lie: Strikes::default(),
            drip: Strikes::default(),
            rate: 10,
            seed: 0,
            limits: Limits::default(),
        }
    }
}

impl Default for Strikes {
    fn default() -> Strikes {
        Strikes::Share(0.0)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        let [first_byte, idle] = [Duration::from_secs(10); 2];
        Limits {
            first_byte,
            at_once: Duration::from_millis(20),
            idle,
            total: Duration::from_secs(60),
        }
    }
}

impl SimSettings {
    /// Reads the query of a `sim://` URL, empty for none. The error says what is wrong and what is allowed.
    pub fn parse(query: &str) -> Result<SimSettings, String> {
        let mut settings = SimSettings::default();
        let mut seen = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if seen.contains(&name) {
                return Err(format!("{name} is given twice"));
            }
            seen.push(name);
            settings.set(name, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = |expected: &str| format!("{name}={value}: expected {expected}");
        if let Some(fault) = self.fault(name) {
            *fault = strikes(value)
                .ok_or_else(|| wrong("a number from 0 to 1, or a path such as /strings"))?;
            return Ok(());
        }
        match name {
            "latency" => {
                self.latency = duration(value)
                    .ok_or_else(|| wrong("a time up to 1h, such as 200ms or 1.5s"))?
            }
            "down" => {
                self.down = Some(
                    window(value).ok_or_else(|| wrong("two times up to 1h, such as 30s..90s"))?,
                )
            }
            "status" => self.status = status(value).ok_or_else(|| wrong("429, 500 or 503"))?,
            "retry" => {
                self.retry_after = Some(
                    seconds(value).ok_or_else(|| wrong("whole seconds up to 1h, such as 30s"))?,
                )
            }
            "rate" => {
                self.rate =
                    rate(value).ok_or_else(|| wrong("bytes a second, a whole number from 1"))?
            }
            "seed" => {
                self.seed = value
                    .parse()
                    .map_err(|_| wrong("a whole number from 0 to 2^64-1"))?
            }
            _ => {
                return Err(format!(
                    "{name} is no parameter of sim://; allowed are {ALLOWED}"
                ));
            }
        }
        Ok(())
    }

    fn fault(&mut self, name: &str) -> Option<&mut Strikes> {
        match name {
            "fail" => Some(&mut self.fail),
            "null" => Some(&mut self.null),
            "rubbish" => Some(&mut self.rubbish),
            "refuse" => Some(&mut self.refuse),
            "hang" => Some(&mut self.hang),
            "drop" => Some(&mut self.drop),
            "lie" => Some(&mut self.lie),
            "drip" => Some(&mut self.drip),
            _ => None,
        }
    }
}

fn strikes(value: &str) -> Option<Strikes> {
    if value.starts_with('/') {
        return Some(Strikes::Path(value.to_owned()));
    }
    value
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .map(Strikes::Share)
}

fn status(value: &str) -> Option<StatusCode> {
    value
        .parse()
        .ok()
        .filter(|status| STATUSES.contains(status))
}

fn rate(value: &str) -> Option<u32> {
    value.parse().ok().filter(|rate| *rate > 0)
}

fn seconds(value: &str) -> Option<u64> {
    value
        .strip_suffix('s')?
        .parse()
        .ok()
        .filter(|seconds| *seconds <= 3_600)
}

/// Two times with their units, the second after the first.
fn window(value: &str) -> Option<Range<Duration>> {
    let (from, to) = value.split_once("..")?;
    let time = |text: &str| duration(text).filter(|_| text.ends_with('s'));
    let window = time(from)?..time(to)?;
    (!window.is_empty()).then_some(window)
}

/// A number with its unit; milliseconds without.
fn duration(value: &str) -> Option<Duration> {
    let (number, milliseconds) = match value.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => value
            .strip_suffix('s')
            .map_or((value, 1.0), |number| (number, 1_000.0)),
    };
    let milliseconds = number.parse::<f64>().ok()? * milliseconds;
    (0.0..=3_600_000.0)
        .contains(&milliseconds)
        .then(|| Duration::from_micros((milliseconds * 1_000.0) as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_asked_for_is_a_house_without_faults() {
        assert_eq!(SimSettings::parse(""), Ok(SimSettings::default()));
    }

    #[test]
    fn all_parameters() {
        let settings = SimSettings::parse(
            "latency=200ms&down=1.5s..90s&fail=0.1&status=429&retry=30s&null=0.25&rubbish=/soe&refuse=0.125&hang=0.5\
             &drop=1&lie=0.75&drip=/vitals&rate=1&seed=18446744073709551615",
        );
        let expected = SimSettings {
            latency: Duration::from_millis(200),
            down: Some(Duration::from_millis(1_500)..Duration::from_secs(90)),
            fail: Strikes::Share(0.1),
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(30),
            null: Strikes::Share(0.25),
            rubbish: Strikes::Path("/soe".to_owned()),
            refuse: Strikes::Share(0.125),
            hang: Strikes::Share(0.5),
            drop: Strikes::Share(1.0),
            lie: Strikes::Share(0.75),
            drip: Strikes::Path("/vitals".to_owned()),
            rate: 1,
            seed: u64::MAX,
            limits: Limits::default(),
        };
        assert_eq!(settings, Ok(expected));
        for (text, milliseconds) in [("1.5s", 1_500), ("70", 70), ("0", 0), ("3600s", 3_600_000)] {
            let latency = SimSettings::parse(&format!("latency={text}"))
                .unwrap()
                .latency;
            assert_eq!(latency, Duration::from_millis(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let cases = [
            (
                "colour=red",
                "colour is no parameter of sim://; allowed are latency=200ms, seed=a whole number, down=",
            ),
            ("seed", "seed=: expected a whole number"),
            ("seed=-1", "seed=-1: expected a whole number"),
            ("fail=2", "fail=2: expected a number from 0 to 1"),
            ("null=-0.1", "null=-0.1: expected a number from 0 to 1"),
            ("drop=NaN", "drop=NaN: expected a number from 0 to 1"),
            (
                "hang=strings",
                "hang=strings: expected a number from 0 to 1, or a path",
            ),
            (
                "refuse=1.5",
                "refuse=1.5: expected a number from 0 to 1, or a path such as /strings",
            ),
            (
                "rubbish",
                "rubbish=: expected a number from 0 to 1, or a path",
            ),
            ("status=404", "status=404: expected 429, 500 or 503"),
            ("status=many", "status=many: expected 429, 500 or 503"),
            ("retry=soon", "retry=soon: expected whole seconds"),
            ("retry=500ms", "retry=500ms: expected whole seconds"),
            ("retry=3601s", "retry=3601s: expected whole seconds"),
            ("rate=0", "rate=0: expected bytes a second"),
            ("rate=0.5", "rate=0.5: expected bytes a second"),
            (
                "down=30s",
                "down=30s: expected two times up to 1h, such as 30s..90s",
            ),
            ("down=30..90", "down=30..90: expected two times"),
            ("down=90s..30s", "down=90s..30s: expected two times"),
            ("down=30s..2h", "down=30s..2h: expected two times"),
            ("latency=soon", "latency=soon: expected a time up to 1h"),
            ("latency=inf", "latency=inf: expected a time"),
            ("latency=2h", "latency=2h: expected a time"),
            ("latency=-5ms", "latency=-5ms: expected a time"),
            ("seed=1&seed=2", "seed is given twice"),
        ];
        for (query, expected) in cases {
            let error = SimSettings::parse(query).expect_err(query);
            assert!(error.starts_with(expected), "{query}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics(query in any::<String>(), value in any::<String>()) {
            let _ = SimSettings::parse(&query);
            for name in ["latency", "fail", "hang", "seed", "down", "retry", "rate", "status"] {
                let _ = SimSettings::parse(&format!("{name}={value}"));
            }
        }
    }
}

//! What `sim://powerwall?latency=200ms&fail=0.1` asks for.

use std::time::Duration;

/// The parameters there are, for whoever wrote another one.
const ALLOWED: &str =
    "latency=200ms, fail=0..1, null=0..1, drop=0..1, hang=0..1 or hang=/path, and seed=a whole number";

/// How the simulation behaves. The default has no faults.
#[derive(Clone, Debug, PartialEq)]
pub struct SimSettings {
    /// Every answer takes so long. Default 0.
    pub latency: Duration,
    /// Share of requests answered with 500. Default 0.
    pub fail: f64,
    /// Share of requests answered as in an outage: 200 with the body `null`. Default 0.
    pub null: f64,
    /// Share of requests whose answer is cut. Default 0.
    pub drop: f64,
    /// Which requests get no answer. Default none.
    pub hang: Hang,
    /// Weather, appliances and faults follow from it. Default 0.
    pub seed: u64,
    /// After so long a request without an answer ends. Default 10 s; not a parameter, it is the backend's.
    pub first_byte_timeout: Duration,
}

/// Requests that get no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Hang {
    /// This share of all.
    Share(f64),
    /// Those for this path, whatever their query.
    Path(String),
}

impl Default for SimSettings {
    fn default() -> SimSettings {
        SimSettings {
            latency: Duration::ZERO,
            fail: 0.0,
            null: 0.0,
            drop: 0.0,
            hang: Hang::Share(0.0),
            seed: 0,
            first_byte_timeout: Duration::from_secs(10),
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
        let share_of = |value: &str| share(value).ok_or_else(|| wrong("a number from 0 to 1, such as 0.1"));
        match name {
            "latency" => {
                self.latency = duration(value).ok_or_else(|| wrong("a time up to 1h, such as 200ms or 1.5s"))?
            }
            "fail" => self.fail = share_of(value)?,
            "null" => self.null = share_of(value)?,
            "drop" => self.drop = share_of(value)?,
            "hang" if value.starts_with('/') => self.hang = Hang::Path(value.to_owned()),
            "hang" => {
                let share = share(value).ok_or_else(|| wrong("a number from 0 to 1, or a path such as /strings"))?;
                self.hang = Hang::Share(share);
            }
            "seed" => self.seed = value.parse().map_err(|_| wrong("a whole number from 0 to 2^64-1"))?,
            _ => return Err(format!("{name} is no parameter of sim://; allowed are {ALLOWED}")),
        }
        Ok(())
    }
}

fn share(value: &str) -> Option<f64> {
    value.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

/// A number with its unit; milliseconds without.
fn duration(value: &str) -> Option<Duration> {
    let (number, milliseconds) = match value.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => value.strip_suffix('s').map_or((value, 1.0), |number| (number, 1_000.0)),
    };
    let milliseconds = number.parse::<f64>().ok()? * milliseconds;
    (0.0..=3_600_000.0).contains(&milliseconds).then(|| Duration::from_micros((milliseconds * 1_000.0) as u64))
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
        let settings = SimSettings::parse("latency=200ms&fail=0.1&null=0.25&drop=1&hang=0.5&seed=18446744073709551615");
        let expected = SimSettings {
            latency: Duration::from_millis(200),
            fail: 0.1,
            null: 0.25,
            drop: 1.0,
            hang: Hang::Share(0.5),
            seed: u64::MAX,
            ..SimSettings::default()
        };
        assert_eq!(settings, Ok(expected));
        assert_eq!(SimSettings::parse("hang=/strings").unwrap().hang, Hang::Path("/strings".to_owned()));
        for (text, milliseconds) in [("1.5s", 1_500), ("70", 70), ("0", 0), ("3600s", 3_600_000)] {
            let latency = SimSettings::parse(&format!("latency={text}")).unwrap().latency;
            assert_eq!(latency, Duration::from_millis(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        let cases = [
            ("colour=red", "colour is no parameter of sim://; allowed are latency=200ms, fail=0..1,"),
            ("seed", "seed=: expected a whole number"),
            ("seed=-1", "seed=-1: expected a whole number"),
            ("fail=2", "fail=2: expected a number from 0 to 1"),
            ("null=-0.1", "null=-0.1: expected a number from 0 to 1"),
            ("drop=NaN", "drop=NaN: expected a number from 0 to 1"),
            ("hang=strings", "hang=strings: expected a number from 0 to 1, or a path"),
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
            for name in ["latency", "fail", "hang", "seed"] {
                let _ = SimSettings::parse(&format!("{name}={value}"));
            }
        }
    }
}

//! Values with a unit: durations and sizes, as numbers or as texts such as `"250ms"` and `"8MiB"`.

use std::time::Duration;

use serde_json::Value;

use crate::policy::directives::LONGEST;

/// What a number without a unit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

impl TimeUnit {
    /// The unit of a key: milliseconds where its name ends in `Timeout` or `Ms`, or is `timeout`; else seconds.
    pub fn of_key(key: &str) -> TimeUnit {
        let is_short = key.ends_with("Timeout") || key.ends_with("Ms") || key == "timeout";
        if is_short {
            TimeUnit::Milliseconds
        } else {
            TimeUnit::Seconds
        }
    }

    fn in_seconds(self) -> f64 {
        match self {
            TimeUnit::Seconds => 1.0,
            TimeUnit::Milliseconds => 0.001,
        }
    }
}

/// A duration from zero to 2^31 s. `None`: anything else.
pub fn duration(value: &Value, bare: TimeUnit) -> Option<Duration> {
    let (number, unit) = amount(value)?;
    let seconds = match unit {
        "" => bare.in_seconds(),
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    // Whole microseconds: 1.001 s is 1001 ms exactly, whatever its binary fraction.
    let microseconds = (number * seconds * 1e6).round();
    (0.0..=LONGEST.as_secs_f64() * 1e6)
        .contains(&microseconds)
        .then(|| Duration::from_micros(microseconds as u64))
}

/// A size in bytes, whole, up to 1 TiB or what a `usize` holds. `None`: anything else.
pub fn bytes(value: &Value) -> Option<usize> {
    let (number, unit) = amount(value)?;
    let scale = match unit {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let size = number * scale;
    let is_whole = size.fract() == 0.0 && (0.0..=(1u64 << 40) as f64).contains(&size);
    is_whole
        .then(|| usize::try_from(size as u64).ok())
        .flatten()
}

/// A number and the unit behind it, empty where there is none.
fn amount(value: &Value) -> Option<(f64, &str)> {
    match value {
        Value::Number(number) => number.as_f64().map(|number| (number, "")),
        Value::String(text) => {
            let end = text
                .bytes()
                .position(|byte| !byte.is_ascii_digit() && byte != b'.')
                .unwrap_or(text.len());
            let (number, unit) = text.split_at(end);
            Some((number.parse().ok()?, unit.trim_start()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn durations() {
        let cases = [
            (json!(5), TimeUnit::Seconds, Some(5_000)),
            (json!(5), TimeUnit::Milliseconds, Some(5)),
            (json!(1.001), TimeUnit::Seconds, Some(1_001)),
            (json!("5"), TimeUnit::Milliseconds, Some(5)),
            (json!("5s"), TimeUnit::Milliseconds, Some(5_000)),
            (json!("250ms"), TimeUnit::Seconds, Some(250)),
            (json!("1.5 m"), TimeUnit::Seconds, Some(90_000)),
            (json!("2h"), TimeUnit::Seconds, Some(7_200_000)),
            (json!("1d"), TimeUnit::Seconds, Some(86_400_000)),
            (json!(0), TimeUnit::Seconds, Some(0)),
            (json!(1u64 << 31), TimeUnit::Seconds, Some(1_000 << 31)),
            (json!((1u64 << 31) + 1), TimeUnit::Seconds, None),
            (json!(1e300), TimeUnit::Seconds, None),
            (json!(-1), TimeUnit::Seconds, None),
            (json!("-1s"), TimeUnit::Seconds, None),
            (json!("5 parsecs"), TimeUnit::Seconds, None),
            (json!("s"), TimeUnit::Seconds, None),
            (json!("1.2.3s"), TimeUnit::Seconds, None),
            (json!(""), TimeUnit::Seconds, None),
            (json!(true), TimeUnit::Seconds, None),
            (json!([5]), TimeUnit::Seconds, None),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(
                duration(&value, unit),
                expected.map(Duration::from_millis),
                "{value} {unit:?}"
            );
        }
    }

    #[test]
    fn the_unit_of_a_key() {
        for key in ["slowRequestTimeout", "minSpacingMs", "timeout"] {
            assert_eq!(TimeUnit::of_key(key), TimeUnit::Milliseconds, "{key}");
        }
        for key in ["cacheTTL", "staleTime", "graceTime", "items"] {
            assert_eq!(TimeUnit::of_key(key), TimeUnit::Seconds, "{key}");
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            (json!(1024), Some(1024)),
            (json!("1024"), Some(1024)),
            (json!("8MiB"), Some(8 << 20)),
            (json!("8 MiB"), Some(8 << 20)),
            (json!("1.5KiB"), Some(1536)),
            (json!("2MB"), Some(2_000_000)),
            (json!("1kB"), Some(1_000)),
            (json!(1.5), None),
            (json!(-1), None),
            (json!("2048GiB"), None),
            (json!("8mib"), None),
            (json!(null), None),
        ];
        for (value, expected) in cases {
            assert_eq!(bytes(&value), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), number in any::<f64>()) {
            for value in [json!(text), json!(number)] {
                duration(&value, TimeUnit::Seconds);
                bytes(&value);
            }
        }
    }
}

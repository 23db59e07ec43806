//! How old a response is when it arrives (RFC 9111 §4.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, DATE};

use super::dates;
use super::directives::{LONGEST, delta_seconds};
use crate::clock::Now;

/// `corrected_initial_age`: the larger of what the Date shows and what the caches before us say, the time of the request
/// included. `asked` is when the request was sent, `received` when its response was complete.
///
/// A Date that is missing, invalid or ahead of our clock shows nothing.
pub fn initial_age(fields: &HeaderMap, asked: Now, received: Now) -> Duration {
    let apparent = date(fields, received)
        .and_then(|date| {
            i64::try_from(received.wall.as_secs())
                .ok()?
                .checked_sub(date)
        })
        .and_then(|behind| u64::try_from(behind).ok())
        .map_or(Duration::ZERO, Duration::from_secs);
    let delay = received.mono.saturating_sub(asked.mono);
    apparent
        .max(age_value(fields).saturating_add(delay))
        .min(LONGEST)
}

/// The Date field in seconds since the Unix epoch (RFC 9110 §6.6.1). `None`: missing, or not a date.
pub fn date(fields: &HeaderMap, now: Now) -> Option<i64> {
    dates::parse(fields.get(DATE)?.as_bytes(), now)
}

/// The first member of the first Age line; anything but digits counts as zero (§5.1).
fn age_value(fields: &HeaderMap) -> Duration {
    let first = fields
        .get(AGE)
        .and_then(|line| line.as_bytes().split(|byte| *byte == b',').next());
    first
        .and_then(|member| delta_seconds(member.trim_ascii()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const DATED: u64 = 784_111_777;

    fn at(mono: u64, wall: u64) -> Now {
        Now {
            mono: Duration::from_secs(mono),
            wall: Duration::from_secs(wall),
        }
    }

    fn age(lines: &[(&'static str, &'static str)], asked: Now, received: Now) -> u64 {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        initial_age(&fields, asked, received).as_secs()
    }

    #[test]
    fn only_digits_in_the_first_member_count() {
        let cases = [
            ("7", 7),
            ("007", 7),
            (" 7 , 9", 7),
            ("-7", 0),
            ("7.0", 0),
            ("7s", 0),
            ("", 0),
            ("x, 7", 0),
            ("2147483647", (1 << 31) - 1),
            ("2147483648", 1 << 31),
            ("99999999999999999999999999", 1 << 31),
        ];
        for (value, expected) in cases {
            assert_eq!(
                age(&[("age", value)], at(0, 0), at(0, 0)),
                expected,
                "{value:?}"
            );
        }
        assert_eq!(age(&[("age", "1"), ("age", "9")], at(0, 0), at(0, 0)), 1);
    }

    #[test]
    fn the_larger_of_date_and_age_with_delay_counts() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(age(&[date], at(0, DATED), at(0, DATED + 20)), 20);
        assert_eq!(
            age(&[date, ("age", "30")], at(0, DATED), at(3, DATED + 20)),
            33
        );
        assert_eq!(
            age(&[date, ("age", "5")], at(0, DATED), at(3, DATED + 20)),
            20
        );
    }

    #[test]
    fn a_date_that_shows_nothing_is_no_age() {
        assert_eq!(
            age(
                &[("date", "Sun, 06 Nov 1994 08:49:37 GMT")],
                at(0, 0),
                at(0, 0)
            ),
            0,
            "our clock at 1970"
        );
        assert_eq!(
            age(&[("date", "yesterday")], at(0, DATED), at(2, DATED)),
            2,
            "the delay alone"
        );
        assert_eq!(
            age(&[], at(5, DATED), at(2, DATED)),
            0,
            "moments out of order"
        );
    }
}

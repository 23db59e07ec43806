//! Times in few bytes: every stored response holds five lengths and a moment, for which [`Duration`] would take 96.

use std::time::Duration;

use super::directives::LONGEST;

/// A length of time in four bytes: the nearest whole millisecond below 2^31 ms (24 days), the nearest whole second from
/// there. Longer than [`LONGEST`] becomes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(u32);

/// The bit of a [`Span`] that says its other bits are seconds.
const IN_SECONDS: u32 = 1 << 31;

/// A moment on the monotonic clock in eight bytes: whole nanoseconds up to 584 years, so nothing is rounded. Later ones
/// saturate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(u64);

impl From<Duration> for Span {
    fn from(length: Duration) -> Span {
        let millis = length
            .saturating_add(Duration::from_micros(500))
            .as_millis();
        if let Some(millis) = u32::try_from(millis)
            .ok()
            .filter(|millis| *millis < IN_SECONDS)
        {
            return Span(millis);
        }
        let seconds = length
            .saturating_add(Duration::from_millis(500))
            .as_secs()
            .min(LONGEST.as_secs());
        // One less than they are, which is never below zero here: so LONGEST fits, too.
        Span(IN_SECONDS | (seconds - 1) as u32)
    }
}

impl From<Span> for Duration {
    fn from(Span(bits): Span) -> Duration {
        match bits.checked_sub(IN_SECONDS) {
            Some(seconds) => Duration::from_secs(u64::from(seconds) + 1),
            None => Duration::from_millis(bits.into()),
        }
    }
}

impl From<Duration> for Moment {
    fn from(since_start: Duration) -> Moment {
        Moment(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Moment> for Duration {
    fn from(Moment(nanos): Moment) -> Duration {
        Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(length: Duration) -> Duration {
        Duration::from(Span::from(length))
    }

    #[test]
    fn a_length_is_kept_to_the_millisecond_then_to_the_second() {
        let ms = Duration::from_millis;
        let secs = Duration::from_secs;
        let micros = Duration::from_micros;
        let limit = 1 << 31;
        let cases = [
            (Duration::ZERO, ms(0)),
            (micros(499), ms(0)),
            (micros(500), ms(1)),
            (micros(1_499), ms(1)),
            (ms(limit - 1), ms(limit - 1)),
            (ms(limit), secs(2_147_484)),
            (ms(limit) - Duration::from_nanos(1), secs(2_147_484)),
            (secs(31_536_000), secs(31_536_000)),
            (ms(31_536_000_499), secs(31_536_000)),
            (ms(31_536_000_500), secs(31_536_001)),
            (LONGEST - secs(1), LONGEST - secs(1)),
            (LONGEST, LONGEST),
            (LONGEST + secs(1), LONGEST),
            (Duration::MAX, LONGEST),
        ];
        for (length, expected) in cases {
            assert_eq!(kept(length), expected, "{length:?}");
        }
        assert_eq!(size_of::<Span>(), 4);
    }

    #[test]
    fn a_moment_is_kept_as_it_was() {
        let year_2500 = Duration::new(16_725_225_600, 999_999_999);
        for moment in [Duration::ZERO, Duration::from_nanos(1), LONGEST, year_2500] {
            assert_eq!(Duration::from(Moment::from(moment)), moment);
        }
        assert_eq!(
            Duration::from(Moment::from(Duration::MAX)),
            Duration::from_nanos(u64::MAX)
        );
    }

    proptest! {
        #[test]
        fn a_longer_one_is_never_kept_shorter(lengths in proptest::array::uniform2(0..3_000_000_000_000_000_000_u64)) {
            let [shorter, longer] = [lengths[0].min(lengths[1]), lengths[0].max(lengths[1])].map(Duration::from_nanos);
            prop_assert!(kept(shorter) <= kept(longer));
        }
    }
}

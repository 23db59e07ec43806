//! A length of time in eight bytes, half of what a [`Duration`] takes: every stored response holds six of them.

use std::time::Duration;

/// Whole nanoseconds up to 584 years, so nothing a cache reckons with is rounded. Longer ones saturate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(u64);

impl From<Duration> for Span {
    fn from(length: Duration) -> Span {
        Span(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Span> for Duration {
    fn from(Span(nanos): Span) -> Duration {
        Duration::from_nanos(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::directives::LONGEST;

    #[test]
    fn what_a_cache_reckons_with_comes_back_as_it_was() {
        let year_2500 = Duration::new(16_725_225_600, 999_999_999);
        for length in [Duration::ZERO, Duration::from_nanos(1), LONGEST, year_2500] {
            assert_eq!(Duration::from(Span::from(length)), length);
        }
        assert_eq!(Duration::from(Span::from(Duration::MAX)), Duration::from_nanos(u64::MAX));
    }
}

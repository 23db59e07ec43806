//! Lifetimes made a little shorter, each by its own share, so that what was stored together does not expire together.

use std::time::Duration;

use super::freshness::{Lifetime, LifetimeSource};

impl Lifetime {
    /// This lifetime shortened by up to `percent` of it, as `dice` falls, where it is the user's own; never where it is the
    /// origin's word. The age from which it is refreshed shrinks in proportion; how far it stretches past its end does not.
    pub fn jittered(self, percent: u8, dice: u64) -> Lifetime {
        if matches!(
            self.source,
            LifetimeSource::Origin | LifetimeSource::Heuristic
        ) {
            return self;
        }
        // 32 bits of the dice are 0 up to, not including, 1; at most all of it is taken away.
        let share = (dice >> 32) as f64 / (1u64 << 32) as f64 * f64::from(percent.min(100)) / 100.0;
        let shorter = |length: Duration| length.mul_f64(1.0 - share).into();
        Lifetime {
            stale_time: shorter(self.stale_time()),
            ttl: shorter(self.ttl()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode, header};
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Now;
    use crate::policy::directives::ResponseDirectives;
    use crate::policy::freshness::{Allowed, Received, lifetime};
    use crate::policy::rule::{Defaults, Rule};

    /// What a response with this Cache-Control gets under a route with this TTL, refreshed at a third of it.
    fn lifetime_of(cache_control: &str, ttl: Option<Duration>) -> Lifetime {
        let fields = HeaderMap::from_iter([(
            header::CACHE_CONTROL,
            cache_control.parse().expect("a value"),
        )]);
        let now = Now {
            mono: Duration::from_secs(7),
            wall: Duration::from_secs(1_750_000_500),
        };
        let response_directives = ResponseDirectives::of(&fields, &[]);
        let received = Received {
            status: StatusCode::OK,
            fields: &fields,
            response_directives,
            asked: now,
            at: now,
        };
        let rule = Rule {
            cache_ttl: ttl,
            stale_time: ttl.map(|ttl| ttl / 3),
            ..Rule::default()
        };
        lifetime(&received, &rule, &Defaults::default(), Allowed::Any).expect("a lifetime")
    }

    fn ruled(seconds: u64) -> Lifetime {
        lifetime_of("max-age=9", Some(Duration::from_secs(seconds)))
    }

    #[test]
    fn the_dice_take_away_from_nothing_to_the_whole_percentage_and_the_refresh_keeps_its_place() {
        let cases = [
            (0, 100_000, 33_333),
            (1 << 63, 97_500, 32_500),
            (u64::MAX, 95_000, 31_666),
        ];
        for (dice, ttl, stale_time) in cases {
            let found = ruled(100).jittered(5, dice);
            let times = [found.ttl(), found.stale_time()].map(|time| time.as_millis());
            assert_eq!(times, [ttl, stale_time], "{dice}");
            assert_eq!(
                found.fresh_for(),
                found.ttl(),
                "what is printed is what holds"
            );
            let plain = ruled(100);
            let allowances = |l: Lifetime| (l.slow_grace(), l.grace_time());
            assert_eq!(allowances(found), allowances(plain), "{dice}");
        }
        assert_eq!(ruled(100).jittered(0, u64::MAX), ruled(100));
    }

    #[test]
    fn a_default_is_shortened_and_the_origins_word_never() {
        assert_eq!(
            lifetime_of("public", None).jittered(5, u64::MAX).ttl(),
            Duration::from_secs(285)
        );
        let origin = lifetime_of("max-age=100, stale-while-revalidate=50", None);
        assert_eq!(origin.source(), LifetimeSource::Origin);
        assert_eq!(origin.jittered(5, u64::MAX), origin);
    }

    proptest! {
        #[test]
        fn none_lives_longer_than_its_ttl_or_shorter_than_the_percentage_allows(
            seconds in 1..1_000_000u64, percent: u8, dice: u64,
        ) {
            let plain = ruled(seconds);
            let found = ruled(seconds).jittered(percent, dice);
            prop_assert!(found.ttl() <= plain.ttl() && found.stale_time() <= plain.stale_time());
            let least = plain.ttl().mul_f64(1.0 - f64::from(percent.min(100)) / 100.0);
            prop_assert!(found.ttl() + Duration::from_secs(1) >= least);
        }
    }
}

//! How often one client may have the origin asked on a route: token buckets. Ours, not of RFC 9111.
//!
//! A bucket holds as many tokens as a minute allows and fills up in a minute. Instead of tokens it keeps the moment when it
//! will be full, so nobody has to pour anything in; one that is full again is as good as none.

use std::time::Duration;

use crate::clock::Now;

const MINUTE: Duration = Duration::from_secs(60);

/// Buckets kept at one time, of all clients and routes.
pub const MAX_BUCKETS: usize = 4096;

/// How often one client may have the origin asked on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests at once, and in each minute after that. Zero counts as one.
    pub per_minute: u32,
    /// Whether only requests count that may change something (RFC 9110 §9.2.1).
    pub unsafe_only: bool,
    /// Tells its route from others that have a limit, so that each has buckets of its own.
    pub route: usize,
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The client's address, or the network it stands for.
    pub client: u128,
    /// [`RateLimit::route`].
    pub route: usize,
}

/// The buckets of all clients. Bounded: beyond [`MAX_BUCKETS`] a full one is forgotten, else any; always the one unused longest.
#[derive(Debug, Default)]
pub struct Buckets {
    /// Sorted by owner.
    all: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    owner: Owner,
    /// When it will be full, or was, on the monotonic clock.
    full_at: Duration,
    /// When its owner asked last, in vain or not.
    used: Duration,
}

impl Buckets {
    /// Takes a token from the bucket of this owner; or says how long it takes until there is one, never zero.
    pub fn take(&mut self, owner: Owner, limit: &RateLimit, now: Now) -> Result<(), Duration> {
        let held = limit.per_minute.max(1);
        let per_token = MINUTE / held;
        let bucket = self.bucket_of(owner, now);
        bucket.used = now.mono;
        let full_at = bucket.full_at.max(now.mono).saturating_add(per_token);
        // Not a minute: what a token takes is rounded, and there is never one too many.
        let wait = full_at.saturating_sub(now.mono.saturating_add(per_token.saturating_mul(held)));
        if wait.is_zero() {
            bucket.full_at = full_at;
            return Ok(());
        }
        Err(wait)
    }

    fn bucket_of(&mut self, owner: Owner, now: Now) -> &mut Bucket {
        let find = |all: &[Bucket]| all.binary_search_by_key(&owner, |bucket| bucket.owner);
        let place = find(&self.all).unwrap_or_else(|_| {
            self.make_room(now);
            let place = find(&self.all).unwrap_or_else(|place| place);
            self.all.insert(
                place,
                Bucket {
                    owner,
                    full_at: now.mono,
                    used: now.mono,
                },
            );
            place
        });
        &mut self.all[place]
    }

    fn make_room(&mut self, now: Now) {
        if self.all.len() < MAX_BUCKETS {
            return;
        }
        let places = self.all.iter().enumerate();
        let least = places.min_by_key(|(_, bucket)| (bucket.full_at > now.mono, bucket.used));
        if let Some((place, _)) = least {
            self.all.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN: RateLimit = RateLimit {
        per_minute: 10,
        unsafe_only: false,
        route: 0,
    };

    fn at(millis: u64) -> Now {
        Now {
            mono: Duration::from_millis(millis),
            wall: Duration::ZERO,
        }
    }

    fn owner(client: u128) -> Owner {
        Owner { client, route: 0 }
    }

    #[test]
    fn r13_ten_at_once_then_one_every_six_seconds() {
        let mut buckets = Buckets::default();
        for _ in 0..10 {
            assert_eq!(buckets.take(owner(1), &TEN, at(1000)), Ok(()));
        }
        assert_eq!(
            buckets.take(owner(1), &TEN, at(1000)),
            Err(Duration::from_secs(6))
        );
        assert_eq!(
            buckets.take(owner(1), &TEN, at(6999)),
            Err(Duration::from_millis(1)),
            "a refusal costs nothing"
        );
        assert_eq!(buckets.take(owner(1), &TEN, at(7000)), Ok(()));
        assert_eq!(
            buckets.take(owner(1), &TEN, at(7000)),
            Err(Duration::from_secs(6))
        );
        // However long it rests, it holds ten.
        for _ in 0..10 {
            assert_eq!(buckets.take(owner(1), &TEN, at(3_600_000)), Ok(()));
        }
        assert!(buckets.take(owner(1), &TEN, at(3_600_000)).is_err());
    }

    #[test]
    fn r13_each_client_and_each_route_has_a_bucket_of_its_own() {
        let mut buckets = Buckets::default();
        let one = RateLimit {
            per_minute: 1,
            ..TEN
        };
        for owner in [
            owner(1),
            owner(2),
            Owner {
                client: 1,
                route: 1,
            },
        ] {
            assert_eq!(buckets.take(owner, &one, at(0)), Ok(()));
            assert_eq!(buckets.take(owner, &one, at(0)), Err(MINUTE));
        }
    }

    #[test]
    fn r13_a_full_table_forgets_a_full_bucket_and_only_else_one_in_use() {
        let mut buckets = Buckets::default();
        let one = RateLimit {
            per_minute: 1,
            ..TEN
        };
        // The first fills up within 6 s, all others within a minute.
        assert_eq!(buckets.take(owner(9), &TEN, at(1000)), Ok(()));
        assert_eq!(buckets.take(owner(8), &one, at(0)), Ok(()));
        for client in 0..MAX_BUCKETS as u128 - 2 {
            assert_eq!(buckets.take(owner(100 + client), &one, at(2000)), Ok(()));
        }
        assert_eq!(buckets.take(owner(1), &one, at(10_000)), Ok(()));
        let has = |buckets: &Buckets, client| {
            buckets
                .all
                .iter()
                .any(|bucket| bucket.owner == owner(client))
        };
        assert_eq!(
            (has(&buckets, 9), has(&buckets, 8)),
            (false, true),
            "the one that is full"
        );
        assert_eq!(buckets.take(owner(2), &one, at(10_000)), Ok(()));
        assert_eq!(
            (has(&buckets, 8), has(&buckets, 1)),
            (false, true),
            "the one unused longest"
        );
        assert_eq!(buckets.all.len(), MAX_BUCKETS);
        assert!(buckets.all.is_sorted_by_key(|bucket| bucket.owner));
        // Who is refused is still heard of.
        assert!(buckets.take(owner(100), &one, at(11_000)).is_err());
        for client in 0..MAX_BUCKETS as u128 - 3 {
            assert_eq!(
                buckets.take(owner(10_000 + client), &one, at(12_000)),
                Ok(())
            );
        }
        assert!(has(&buckets, 100));
    }

    proptest! {
        #[test]
        fn r13_no_minute_sees_more_than_the_bucket_and_what_flows_in(
            per_minute in 0_u32..200,
            steps in proptest::collection::vec(0_u64..3000, 1..300),
        ) {
            let mut buckets = Buckets::default();
            let limit = RateLimit { per_minute, ..TEN };
            let mut now = 0;
            let mut taken = 0_u64;
            for step in steps {
                now += step;
                match buckets.take(owner(1), &limit, at(now)) {
                    Ok(()) => taken += 1,
                    Err(wait) => prop_assert!(!wait.is_zero() && wait <= MINUTE),
                }
                let held = u64::from(per_minute.max(1));
                prop_assert!(taken <= held + now * held / 60_000 + 1);
            }
        }

        #[test]
        fn no_number_panics(per_minute in any::<u32>(), client in any::<u128>(), nanos in any::<u64>()) {
            let now = Now { mono: Duration::from_nanos(nanos), wall: Duration::ZERO };
            let mut buckets = Buckets::default();
            let limit = RateLimit { per_minute, ..TEN };
            let last = Now { mono: Duration::MAX, ..now };
            for (at, taken) in [(now, true), (last, true), (now, false)] {
                prop_assert_eq!(buckets.take(owner(client), &limit, at).is_ok(), taken);
            }
        }
    }
}

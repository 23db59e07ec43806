//! What is polled: the targets of the plan, and when clients last asked for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::join::joins;
use super::{Proxy, ROLE};
use crate::cache::flights::{Arrival, FetchRequest, Work};
use crate::cache::key::Key;
use crate::clock::Now;
use crate::config::Config;
use crate::message::{Request, Target};
use crate::policy::accept;
use crate::policy::rule::Rule;
use crate::route::Route;

/// Variants of one target that a turn of its poll refreshes, the plain one not counted.
const MAX_VARIANTS_POLLED: usize = 4;

/// How long a client's request keeps one of the preset's own polls at full pace.
const OWN_WANTED_FOR: Duration = Duration::from_secs(60);
/// How many intervals it keeps any other at full pace, where the route says nothing of it.
const WANTED_INTERVALS: u32 = 12;

/// On whose behalf something is fetched that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Its time has come, whatever is stored.
    Clock,
    /// What is stored ages.
    Everybody,
    /// What is stored ages, and a client with a custom field has asked: its fields go along, and stay its own.
    Custom,
}

/// How a target is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Time from turn to turn.
    pub interval: Duration,
    /// How it slows down when nobody asks. `None`: never.
    pub idle: Option<Idle>,
    /// Of the preset's own accord: it rests where the origin refuses it. One the user wrote never does.
    pub own: bool,
}

/// The pace of a poll nobody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// It is kept to from so long after a client's last request on.
    pub after: Duration,
    /// Of the turns, those are left out that are not needed to keep within so long.
    pub interval: Duration,
}

/// The polls of one configuration, each with its place in the plan.
pub(super) struct Polls {
    all: Vec<Polled>,
    places: HashMap<String, usize>,
}

struct Polled {
    target: Target,
    key: Key,
    poll: Poll,
    /// Milliseconds of monotonic time, plus one, when a client last asked for it; 0 = never.
    wanted: AtomicU64,
}

/// What this configuration polls, in the order of the plan.
pub fn polls(config: &Config) -> Vec<Poll> {
    Polls::new(config)
        .all
        .into_iter()
        .map(|polled| polled.poll)
        .collect()
}

impl Polls {
    /// The query-less target of each exact path that has an interval, and each exact target that has one.
    pub(super) fn new(config: &Config) -> Polls {
        let default = config.cache.defaults.ttl;
        let polled = |route: &Route| {
            let interval = route.rule.poll_interval?;
            let target = route.pattern.target()?;
            let ttl = route.rule.cache_ttl.unwrap_or(default);
            let poll = Poll {
                interval,
                idle: idle(&route.rule, interval, ttl),
                own: route.rule.own_poll,
            };
            Some(Polled {
                key: Key::new(None, ROLE, &target),
                target,
                poll,
                wanted: AtomicU64::new(0),
            })
        };
        let all: Vec<Polled> = config.routes.iter().filter_map(polled).collect();
        let places = all
            .iter()
            .enumerate()
            .map(|(at, polled)| (polled.target.as_str().to_owned(), at))
            .collect();
        Polls { all, places }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.all.iter().map(|polled| &polled.key)
    }

    /// How often this target is asked for without anybody's asking. `None`: never.
    pub(super) fn interval_of(&self, target: &str) -> Option<Duration> {
        self.places
            .get(target)
            .and_then(|place| self.all.get(*place))
            .map(|polled| polled.poll.interval)
    }

    /// What is polled, in the order of the plan.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.all.iter().map(|polled| &polled.target)
    }

    /// The place of a target in the plan. `None`: it is not polled.
    pub(super) fn place_of(&self, target: &Target) -> Option<usize> {
        self.places.get(target.as_str()).copied()
    }

    /// A client asks: what is polled on demand goes at full pace.
    pub(super) fn note_demand(&self, target: &Target, now: Now) {
        if let Some(polled) = self.place_of(target).and_then(|place| self.all.get(place)) {
            polled.wanted.store(
                u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX - 1) + 1,
                Ordering::Relaxed,
            );
        }
    }
}

/// The pace of a poll while nobody asks; the preset's own then only keep their answers within their lifetime.
fn idle(rule: &Rule, interval: Duration, ttl: Duration) -> Option<Idle> {
    let slow = rule
        .poll_idle_interval
        .or(rule.own_poll.then_some(ttl))
        .filter(|slow| !slow.is_zero())?;
    let usual = if rule.own_poll {
        OWN_WANTED_FOR
    } else {
        interval.saturating_mul(WANTED_INTERVALS)
    };
    Some(Idle {
        after: rule.poll_idle_after.unwrap_or(usual),
        interval: slow,
    })
}

impl Proxy {
    /// Polls what is at this place of the plan now, unless it is being fetched or failing.
    pub fn poll(&self, place: usize) {
        let Some(polled) = self.polls.all.get(place) else {
            return;
        };
        let key = &polled.key;
        let request = self.own_request(polled.target.clone());
        self.fetch_for_nobody(request, key.clone(), key.clone(), For::Clock);
        self.poll_variants(polled);
    }

    /// What a poll's target varies by is refreshed for the requests that came since its last turn.
    fn poll_variants(&self, polled: &Polled) {
        let Some(variants) = self.store.peek(polled.key.as_str()) else {
            return;
        };
        let since = self.clock.now().mono.saturating_sub(polled.poll.interval);
        let used = variants
            .iter()
            .filter(|stored| stored.was_used_since(since));
        let selecting = used.filter_map(|stored| Some((stored, stored.selecting.as_ref()?)));
        for (stored, selecting) in selecting.take(MAX_VARIANTS_POLLED) {
            let mut request = self.own_request(polled.target.clone());
            selecting.repeat(&mut request.fields);
            let rule = self.routes.find(&polled.target).rule;
            let joins = joins(&polled.key, Some(stored), &request, rule, false);
            self.fetch_for_nobody(request, polled.key.clone(), joins, For::Clock);
        }
    }

    /// Fetches in the background what nobody waits for; joined by whoever asks meanwhile.
    pub(super) fn fetch_for_nobody(&self, request: Request, key: Key, joins: Key, on_behalf: For) {
        let poll = self
            .polls
            .place_of(&request.target)
            .filter(|_| key == joins);
        let unusual = !accept::is_usual(&request.fields);
        let request = Arc::new(request);
        let key = Some(key);
        let joins = Some(joins);
        let shared = on_behalf != For::Custom;
        let even_if_fresh = on_behalf == For::Clock;
        let fetch_request = FetchRequest {
            request,
            key,
            shared,
            related_key: None,
            joins,
            even_if_fresh,
            poll,
            safe: true,
            plain: false,
            unusual,
            interim_sink: None,
        };
        self.submit(Work::Arrived(Arrival {
            waiter: None,
            fetch_request,
        }));
    }

    /// The poll of this place has waited behind others for a whole interval: it goes first.
    pub fn hurry(&self, place: usize) {
        if let Some(polled) = self.polls.all.get(place) {
            self.submit(Work::Hurry(polled.key.clone()));
        }
    }

    /// When a client last asked for what is polled at this place. `None`: never.
    pub fn last_wanted(&self, place: usize) -> Option<Duration> {
        let wanted = self.polls.all.get(place)?.wanted.load(Ordering::Relaxed);
        wanted.checked_sub(1).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polls_of(routes: &str) -> Vec<Poll> {
        let text = format!("{{ \"preset\": \"pypowerwall\", \"urlConfigs\": {routes} }}");
        polls(&Config::from_json(&text).expect("a valid configuration"))
    }

    fn idle(after: u64, interval: u64) -> Option<Idle> {
        Some(Idle {
            after: Duration::from_secs(after),
            interval: Duration::from_secs(interval),
        })
    }

    #[test]
    fn a_poll_of_the_users_slows_down_only_where_the_route_says_how_far() {
        let cases = [
            ("", None),
            (r#", "pollIdleInterval": 0"#, None),
            (r#", "pollIdleAfter": 7"#, None),
            (r#", "pollIdleInterval": 90"#, idle(60, 90)),
            (
                r#", "pollIdleInterval": "5m", "pollIdleAfter": 7"#,
                idle(7, 300),
            ),
        ];
        for (more, expected) in cases {
            let polls = polls_of(&format!(
                r#"[{{ "path": "/soe", "pollInterval": 5{more} }}]"#
            ));
            assert_eq!(
                polls,
                [Poll {
                    interval: Duration::from_secs(5),
                    idle: expected,
                    own: false
                }],
                "{more}"
            );
        }
    }

    #[test]
    fn the_presets_own_keep_within_the_lifetime_unless_the_user_says_otherwise() {
        let first = |routes: &str| polls_of(routes).swap_remove(0);
        let of_meters = |more: &str| first(&format!(r#"[{{ "path": "/aggregates"{more} }}]"#));
        let cases = [
            ("", idle(60, 30)),
            (r#", "cacheTTL": 20"#, idle(60, 20)),
            (
                r#", "pollIdleInterval": 120, "pollIdleAfter": 300"#,
                idle(300, 120),
            ),
            (r#", "pollIdleInterval": 0"#, None),
        ];
        for (more, expected) in cases {
            let found = of_meters(more);
            assert_eq!((found.idle, found.own), (expected, true), "{more}");
        }
    }
}

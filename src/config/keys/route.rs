//! The keys of a member of `urlConfigs`.

use serde_json::{Value, json};

use super::{S, seconds};
use crate::config::routes::{ON_EXHAUSTED, SET_COOKIE};
use crate::policy::check::JsonKind;
use crate::policy::rule::Rule;

/// A key of a member of `urlConfigs`.
pub struct RouteKey {
    /// Its place in the member.
    pub path: &'static str,
    /// The unit of a bare number, or what else it holds.
    pub kind: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What holds without it, in words.
    pub otherwise: &'static str,
    /// Its value as the file would have it. `None`: nobody said anything.
    pub value: fn(&Rule) -> Option<Value>,
}

/// Every key of a member of `urlConfigs`.
pub const ROUTE_KEYS: [RouteKey; 19] = [
    route(
        "path",
        "path",
        "`/path?query`, `/path` (with any query) or `/prefix*`; the most specific wins, in any order",
        "required",
        |_| None,
    ),
    route(
        "pollInterval",
        S,
        "how often the path is asked for by itself; 0: never. One here ends the preset's own polls",
        "as the preset has it",
        |r| r.poll_interval.map(seconds),
    ),
    route(
        "pollIdleInterval",
        S,
        "how often instead while no client asks for the path; its first request brings the full pace back; 0: never slower",
        "never slower; the preset's own polls keep within `cacheTTL`",
        |r| r.poll_idle_interval.map(seconds),
    ),
    route(
        "pollIdleAfter",
        S,
        "how long after a client's request the pace stays full",
        "12 times `pollInterval`; 60 s for the preset's own polls",
        |r| r.poll_idle_after.map(seconds),
    ),
    route(
        "cacheTTL",
        S,
        "how long an answer is fresh, whatever the origin says; 0: nothing is stored",
        "the origin's word, else `cache.defaultTTL`",
        |r| r.cache_ttl.map(seconds),
    ),
    route(
        "staleTime",
        S,
        "the age from which a hit is refreshed in the background",
        "`cache.defaultStaleTime`",
        |r| r.stale_time.map(seconds),
    ),
    route(
        "refreshMinInterval",
        S,
        "how often a client's reload may force a fetch; one that comes sooner gets the normal answer; 0: always",
        "the route's `staleTime`, else 1 s",
        |r| r.refresh_min_interval.map(seconds),
    ),
    route(
        "slowGrace",
        S,
        "how far past its TTL an answer may stand in for a slow one",
        "`cache.slowGrace`",
        |r| r.slow_grace.map(seconds),
    ),
    route(
        "graceTime",
        S,
        "how far past its TTL an answer may stand in for a failed one",
        "`cache.graceTime`",
        |r| r.grace_time.map(seconds),
    ),
    route(
        "onExhausted",
        "error503, empty, null",
        "what GET and HEAD get when there is neither an answer nor an old one that may serve: an error (502, 503 or 504 by its cause, or the origin's own); 200 and `{}`; 200 and `null`. Never stored",
        "error503",
        |r| {
            ON_EXHAUSTED
                .iter()
                .skip(1)
                .find(|(_, meaning)| *meaning == r.fallback)
                .map(|(word, _)| json!(word))
        },
    ),
    route(
        "check.json",
        "any, object, array",
        "the body must be JSON of this kind; what fails its check is no answer, whatever its status",
        "not checked",
        |r| {
            let kind = match r.check.as_ref()?.json? {
                JsonKind::Any => "any",
                JsonKind::Object => "object",
                JsonKind::Array => "array",
            };
            Some(json!(kind))
        },
    ),
    route(
        "check.require",
        "list of JSON pointers",
        "each must lead to something other than null",
        "none",
        |r| {
            r.check
                .as_ref()
                .map(|check| &check.require)
                .filter(|list| !list.is_empty())
                .map(|list| json!(list))
        },
    ),
    route(
        "check.nonEmpty",
        "true, false",
        "a blank body is no answer; in JSON neither are `{}`, `[]`, `\"\"` and `null`",
        "false",
        |r| {
            r.check
                .as_ref()
                .filter(|check| check.non_empty)
                .map(|_| json!(true))
        },
    ),
    route(
        "check.notText",
        "list of texts",
        "bodies that mean failure, such as `TIMEOUT!`",
        "none",
        |r| {
            r.check
                .as_ref()
                .map(|check| &check.not_text)
                .filter(|list| !list.is_empty())
                .map(|list| json!(list))
        },
    ),
    route(
        "force",
        "list of no-store, private, authorization, must-revalidate",
        "words of HTTP that do not count here; each is a warning at start",
        "none",
        |r| {
            let force = r.force;
            let words = [
                (force.no_store, "no-store"),
                (force.private, "private"),
                (force.authorization, "authorization"),
                (force.must_revalidate, "must-revalidate"),
            ];
            let words: Vec<&str> = words
                .iter()
                .filter(|(holds, _)| *holds)
                .map(|(_, word)| *word)
                .collect();
            (!words.is_empty()).then(|| json!(words))
        },
    ),
    route(
        "setCookie",
        "refuse, strip, store",
        "answers with Set-Cookie: not stored; stored without the field; stored, and everybody gets the cookie",
        "refuse, or store with `cache.storeSetCookie`; strip on the preset's paths",
        |r| {
            SET_COOKIE
                .iter()
                .find(|(_, meaning)| Some(*meaning) == r.set_cookie)
                .map(|(word, _)| json!(word))
        },
    ),
    route(
        "cookies",
        "keep, strip",
        "strip takes Cookie off the requests, so that they can share",
        "keep; strip on the preset's paths",
        |r| r.strip_cookies.then(|| json!("strip")),
    ),
    route(
        "rateLimit.perMinute",
        "count",
        "how many requests of one client address that are not answered from memory, at once and in each minute after; beyond: 429; 0: no limit",
        "no limit; 10 on the preset's `/control/*`",
        |r| r.rate_limit.map(|limit| json!(limit.per_minute)),
    ),
    route(
        "rateLimit.unsafeOnly",
        "true, false",
        "whether only requests count that may change something: not GET, HEAD, OPTIONS or TRACE",
        "false; true on the preset's `/control/*`",
        |r| {
            r.rate_limit
                .filter(|limit| limit.unsafe_only)
                .map(|_| json!(true))
        },
    ),
];

const fn route(
    path: &'static str,
    kind: &'static str,
    what: &'static str,
    otherwise: &'static str,
    value: fn(&Rule) -> Option<Value>,
) -> RouteKey {
    RouteKey {
        path,
        kind,
        what,
        otherwise,
        value,
    }
}

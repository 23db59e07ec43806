//! Which [`Rule`] a request target falls under, and which targets are our own. Pure.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use crate::message::Target;
use crate::policy::rate::RateLimit;
use crate::policy::rule::Rule;

/// Which targets a rule is for. Of several that fit, the most specific wins: exact target, exact path, longest prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This path with this query, byte for byte.
    ExactTarget(String),
    /// This path with any query or none.
    ExactPath(String),
    /// Every path that begins with this text, with any query or none. Never an odd path: see [`Match::default_applies`].
    Prefix(String),
}

impl Pattern {
    /// Reads `/path?query`, `/path` or `/prefix*`. `None`: anything else, `*` elsewhere than at the end of a path included.
    pub fn parse(text: &str) -> Option<Pattern> {
        if !text.starts_with('/') {
            return None;
        }
        Target::parse(Bytes::copy_from_slice(text.as_bytes()))?;
        if text.contains('?') {
            return Some(Pattern::ExactTarget(text.to_string()));
        }
        match text.split_once('*') {
            None => Some(Pattern::ExactPath(text.to_string())),
            Some((prefix, "")) => Some(Pattern::Prefix(prefix.to_string())),
            Some(_) => None,
        }
    }

    /// The one target a poll of this pattern asks for: the exact one, or the path without a query. `None` for a prefix.
    pub fn target(&self) -> Option<Target> {
        match self {
            Pattern::ExactTarget(text) | Pattern::ExactPath(text) => {
                Target::parse(Bytes::copy_from_slice(text.as_bytes()))
            }
            Pattern::Prefix(_) => None,
        }
    }
}

/// A pattern and its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which targets.
    pub pattern: Pattern,
    /// What holds for them.
    pub rule: Rule,
}

/// All routes, ready to be looked up. The order they were given in does not matter; of two with one pattern the later wins.
#[derive(Debug)]
pub struct Routes {
    /// Tells the rules of this table from those of every other one: see [`RuleId`].
    table: u32,
    /// The empty rule, for targets no pattern fits; then one for each route.
    rules: Vec<Rule>,
    /// Exact targets and exact paths, by their text: only a target holds a `?`.
    exact: HashMap<String, u32>,
    /// In the order of their text, each once.
    prefixes: Vec<Prefix>,
}

/// A prefix and where its rule is.
#[derive(Debug)]
struct Prefix {
    text: String,
    rule: u32,
    /// The place of the longest other prefix that this one begins with. `None`: there is none.
    parent: Option<u32>,
}

/// Names a rule of one [`Routes`], without a reference to it. Another table, made from settings that were read again, does not
/// know it: [`Routes::rule`] is then `None`, and the target has to be looked up once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleId {
    /// The number of its table. Zero: of none.
    table: u32,
    place: u32,
}

/// The number of the next table.
static NEXT_TABLE: AtomicU32 = AtomicU32::new(1);

/// The place of the empty rule.
const NO_RULE: u32 = 0;

/// What the routes say about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// The rule; the empty one where no pattern fits.
    pub rule: &'a Rule,
    /// Its name, for who keeps it.
    pub id: RuleId,
    /// Whether the rule's pattern is exact.
    pub explicit: bool,
    /// False for an odd path without an exact rule: origins disagree on what it names, so nothing under it is stored.
    ///
    /// A path is odd if it has dot segments, `//`, `\`, `;` or an encoded `/`, `.` or `\`.
    pub default_applies: bool,
}

impl Routes {
    /// Sorts the routes for looking up.
    pub fn new(routes: Vec<Route>) -> Routes {
        let mut rules = vec![Rule::default()];
        let mut exact = HashMap::new();
        let mut prefixes = HashMap::new();
        for (place, Route { pattern, mut rule }) in routes.into_iter().enumerate() {
            if let Some(limit) = &mut rule.rate_limit {
                limit.route = place;
            }
            // As many routes as do not fit into 32 bits fit into no memory either.
            let at = u32::try_from(rules.len()).unwrap_or(NO_RULE);
            rules.push(rule);
            match pattern {
                Pattern::ExactTarget(text) | Pattern::ExactPath(text) => exact.insert(text, at),
                Pattern::Prefix(text) => prefixes.insert(text, at),
            };
        }
        Routes {
            table: NEXT_TABLE.fetch_add(1, Ordering::Relaxed),
            rules,
            exact,
            prefixes: sorted(prefixes),
        }
    }

    /// The rule of a target. Allocates nothing. Costs one or two hash look-ups where an exact pattern fits, and a binary search
    /// in the prefixes where none does.
    pub fn find(&self, target: &Target) -> Match<'_> {
        let whole = target.as_str();
        let (path, exact_target) = match whole.split_once('?') {
            Some((path, _)) => (path, self.exact.get(whole)),
            None => (whole, None),
        };
        let exact = exact_target.or_else(|| self.exact.get(path));
        if let Some(place) = exact {
            return self.found(*place, true, true);
        }
        if is_odd(path) {
            return self.found(NO_RULE, false, false);
        }
        self.found(self.by_prefix(path).unwrap_or(NO_RULE), false, true)
    }

    /// The rule with this name. `None`: it is one of another table.
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules
            .get(id.place as usize)
            .filter(|_| id.table == self.table)
    }

    /// The rate limit of a target. A path that is spelled in an odd way has that of its plain spelling: what the origin takes
    /// for the same is limited, not stored as the same.
    pub fn rate_limit(&self, target: &Target) -> Option<&RateLimit> {
        if let Some(limit) = &self.find(target).rule.rate_limit {
            return Some(limit);
        }
        let path = target.path();
        let plain = Some(plain(path)).filter(|plain| plain != path)?;
        let place = self
            .exact
            .get(&plain)
            .copied()
            .or_else(|| self.by_prefix(&plain))?;
        self.rules.get(place as usize)?.rate_limit.as_ref()
    }

    fn found(&self, place: u32, explicit: bool, default_applies: bool) -> Match<'_> {
        Match {
            rule: &self.rules[place as usize],
            id: RuleId {
                table: self.table,
                place,
            },
            explicit,
            default_applies,
        }
    }

    /// Where the rule of the longest prefix of `path` is.
    ///
    /// The last prefix that sorts at or before `path` begins with every prefix of `path` that is in the list: so the one that
    /// is looked for is this one or the nearest of its parents that is no longer than what it shares with `path`.
    fn by_prefix(&self, path: &str) -> Option<u32> {
        let after = self
            .prefixes
            .partition_point(|prefix| prefix.text.as_str() <= path);
        let mut prefix = self.prefixes.get(after.checked_sub(1)?)?;
        let shared = prefix
            .text
            .bytes()
            .zip(path.bytes())
            .take_while(|(one, other)| one == other)
            .count();
        while prefix.text.len() > shared {
            prefix = self.prefixes.get(prefix.parent? as usize)?;
        }
        Some(prefix.rule)
    }
}

impl Default for Routes {
    /// Without any route.
    fn default() -> Routes {
        Routes::new(Vec::new())
    }
}

/// The prefixes in the order of their text, each with the place of its parent.
fn sorted(prefixes: HashMap<String, u32>) -> Vec<Prefix> {
    let mut texts: Vec<(String, u32)> = prefixes.into_iter().collect();
    texts.sort_unstable();
    let mut sorted: Vec<Prefix> = Vec::with_capacity(texts.len());
    // The places of those that the next one may begin with, each a prefix of the one after it.
    let mut open: Vec<u32> = Vec::new();
    for (place, (text, rule)) in (0..).zip(texts) {
        while let Some(last) = open.last() {
            if text.starts_with(sorted[*last as usize].text.as_str()) {
                break;
            }
            open.pop();
        }
        let parent = open.last().copied();
        sorted.push(Prefix { text, rule, parent });
        open.push(place);
    }
    sorted
}

/// Targets answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// How this proxy is: `/health`.
    Health,
    /// One of [`ADMIN_NAMES`].
    Admin(&'static str),
    /// Below our own prefix, but nothing of ours: 404.
    Unknown,
}

/// The endpoints the admin thread answers. Each has its row in the table of `endpoints`.
pub const ADMIN_NAMES: [&str; 3] = ["/cache/clear", "/cache/stats", "/queue/stats"];

/// Below this path every name of ours stands, whatever the origin has there.
const OURS: &str = "/_larder";
/// Below this path is the origin's whole tree, our names in it not shadowed.
const ORIGINS: &str = "/_larder/origin/";

/// Whether a target is answered here or is another name of the origin's, below `/_larder/`. Cheap: the first test of every
/// request. `root_names`: our names stand at the root too.
pub fn is_ours(target: &Target, root_names: bool) -> bool {
    let path = target.path();
    below_ours(path).is_some() || (root_names && named(path).is_some())
}

/// The built-in a target names. `None`: the target is the origin's. `root_names`: our names stand at the root too.
pub fn builtin(target: &Target, root_names: bool) -> Option<BuiltIn> {
    let path = target.path();
    match below_ours(path) {
        Some(_) if path.starts_with(ORIGINS) => None,
        Some(name) => Some(named(name).unwrap_or(BuiltIn::Unknown)),
        None => named(path).filter(|_| root_names),
    }
}

/// What follows our prefix, its slash included.
fn below_ours(path: &str) -> Option<&str> {
    path.strip_prefix(OURS).filter(|rest| rest.starts_with('/'))
}

fn named(name: &str) -> Option<BuiltIn> {
    match name {
        "/health" => Some(BuiltIn::Health),
        _ => ADMIN_NAMES
            .into_iter()
            .find(|known| *known == name)
            .map(BuiltIn::Admin),
    }
}

/// The target the origin is asked for when `target` is below `/_larder/origin/`. `None`: it is not.
pub fn origin_target(target: &Target) -> Option<Target> {
    let whole = target.as_str();
    whole
        .starts_with(ORIGINS)
        .then(|| &whole[ORIGINS.len() - 1..])
        .and_then(|rest| Target::parse(Bytes::copy_from_slice(rest.as_bytes())))
}

/// Whether a path can be read in two ways: see [`Match::default_applies`].
fn is_odd(path: &str) -> bool {
    let mut before = 0;
    let is_suspect = path.bytes().any(|byte| {
        let pair = (std::mem::replace(&mut before, byte), byte);
        matches!(pair, (_, b';' | b'\\' | b'%') | (b'/', b'/' | b'.'))
    });
    is_suspect && is_odd_indeed(path.as_bytes())
}

/// The same, for the few paths that hold any of the bytes it takes.
fn is_odd_indeed(path: &[u8]) -> bool {
    path.iter().enumerate().any(|(at, byte)| {
        let rest = &path[at + 1..];
        match byte {
            b';' | b'\\' => true,
            b'/' => rest.first() == Some(&b'/') || begins_with_dots(rest),
            b'%' => ENCODED.iter().any(|code| {
                let two = rest.get(..2);
                two.is_some_and(|two| two.eq_ignore_ascii_case(*code))
            }),
            _ => false,
        }
    })
}

/// `/`, `.` and `\\`, as they are after the `%` (RFC 3986 §2.1).
const ENCODED: [&[u8; 2]; 3] = [b"2f", b"2e", b"5c"];

/// Whether the segment at the beginning is `.` or `..`.
fn begins_with_dots(rest: &[u8]) -> bool {
    let end = rest
        .iter()
        .take(3)
        .take_while(|byte| **byte == b'.')
        .count();
    (1..=2).contains(&end) && matches!(rest.get(end), None | Some(b'/'))
}

/// What the most lenient origin takes a path for: decoded, `\\` for `/`, without parameters, dot segments and empty ones.
fn plain(path: &str) -> String {
    let decoded = decoded(path);
    let mut segments = Vec::new();
    for segment in decoded
        .split(['/', '\\'])
        .map(|segment| segment.split(';').next().unwrap_or_default())
    {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let end = if decoded.ends_with(['/', '\\']) && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", segments.join("/"))
}

/// Without percent-encoding (RFC 3986 §2.1); what is none stays as it is.
fn decoded(path: &str) -> String {
    let digit = |byte: Option<&u8>| {
        byte.and_then(|byte| char::from(*byte).to_digit(16))
            .and_then(|d| u8::try_from(d).ok())
    };
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let pair = digit(bytes.get(at + 1)).zip(digit(bytes.get(at + 2)));
        let (byte, length) = match pair.filter(|_| *byte == b'%') {
            Some((high, low)) => (high * 16 + low, 3),
            None => (*byte, 1),
        };
        out.push(byte);
        at += length;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn target(text: &str) -> Target {
        Target::parse(Bytes::copy_from_slice(text.as_bytes())).expect("a target")
    }

    fn route(pattern: &str, seconds: u64) -> Route {
        let rule = Rule {
            cache_ttl: Some(Duration::from_secs(seconds)),
            ..Rule::default()
        };
        Route {
            pattern: Pattern::parse(pattern).expect("a pattern"),
            rule,
        }
    }

    /// Seconds the rule gives, whether it is exact, whether the default applies.
    fn found(routes: &Routes, text: &str) -> (Option<u64>, bool, bool) {
        let found = routes.find(&target(text));
        (
            found.rule.cache_ttl.map(|ttl| ttl.as_secs()),
            found.explicit,
            found.default_applies,
        )
    }

    #[test]
    fn the_most_specific_wins_in_any_order() {
        let mut list = vec![
            route("/*", 1),
            route("/api/*", 2),
            route("/api/meters/*", 3),
            route("/api/meters/now", 4),
            route("/api/meters/now?x=1", 5),
            route("/odd;path", 6),
        ];
        for _ in 0..list.len() {
            list.rotate_left(1);
            let routes = Routes::new(list.clone());
            let cases = [
                ("/", (Some(1), false, true)),
                ("/api", (Some(1), false, true)),
                ("/api/", (Some(2), false, true)),
                ("/api/meters/then?x=1", (Some(3), false, true)),
                ("/api/meters/now", (Some(4), true, true)),
                ("/api/meters/now?", (Some(4), true, true)),
                ("/api/meters/now?x=2", (Some(4), true, true)),
                ("/api/meters/now?x=1", (Some(5), true, true)),
                ("/odd;path?a", (Some(6), true, true)),
                ("/odd;paths", (None, false, false)),
            ];
            for (text, expected) in cases {
                assert_eq!(found(&routes, text), expected, "{text}");
            }
        }
        assert_eq!(found(&Routes::default(), "/x"), (None, false, true));
    }

    #[test]
    fn neither_glob_nor_default_covers_an_odd_path() {
        let routes = Routes::new(vec![route("/*", 1)]);
        let odd = [
            "//",
            "/a//b",
            "/a/..",
            "/../a",
            "/a/./b",
            "/.",
            "/a;b",
            "/a\\b",
            "/%2e%2E/a",
            "/a%2Fb",
            "/a%5c",
            "/%2e",
        ];
        for text in odd {
            assert_eq!(found(&routes, text), (None, false, false), "{text}");
            assert_eq!(
                found(&routes, &format!("{text}?q")),
                (None, false, false),
                "{text}?q"
            );
        }
        for text in [
            "/a.b",
            "/...",
            "/.well-known/x",
            "/a?b=http://c/../d;e\\%2f",
            "/a%20b",
            "/a%2",
            "/%",
        ] {
            assert_eq!(found(&routes, text), (Some(1), false, true), "{text}");
        }
    }

    #[test]
    fn r13_no_spelling_of_a_path_gets_past_its_limit() {
        let limited = |pattern, limit: Option<u32>| {
            let rate_limit = limit.map(|per_minute| RateLimit {
                per_minute,
                unsafe_only: false,
                route: 0,
            });
            Route {
                rule: Rule {
                    rate_limit,
                    ..Rule::default()
                },
                ..route(pattern, 1)
            }
        };
        let free = limited("/control/free", None);
        let routes = Routes::new(vec![
            limited("/control/*", Some(5)),
            limited("/one", Some(6)),
            free,
            route("/*", 1),
        ]);
        let found = |text: &str| {
            routes
                .rate_limit(&target(text))
                .map(|limit| (limit.per_minute, limit.route))
        };
        let under = [
            "/control/x",
            "//control/x",
            "/control//x",
            "/control/x;y",
            "/a/../control/x",
            "/%63ontrol/x",
            "/control%2Fx",
            "/control/x?y",
            "/.%5Ccontrol\\%78",
        ];
        for text in under {
            assert_eq!(found(text), Some((5, 0)), "{text}");
        }
        for text in ["/one", "/one?x", "//one", "/%6f%6e%65", "/one;x"] {
            assert_eq!(found(text), Some((6, 1)), "{text}");
        }
        for text in [
            "/control/free",
            "/control/free?x",
            "//control/free",
            "/control",
            "/other",
            "/one/",
            "/%zz",
            "*",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn patterns() {
        assert_eq!(
            Pattern::parse("/a"),
            Some(Pattern::ExactPath("/a".to_string()))
        );
        assert_eq!(
            Pattern::parse("/a?b=*"),
            Some(Pattern::ExactTarget("/a?b=*".to_string()))
        );
        assert_eq!(
            Pattern::parse("/a*"),
            Some(Pattern::Prefix("/a".to_string()))
        );
        for text in ["", "a", "*", "/a*b", "/*/b", "/**", "/a b", "/a#b", "/ä"] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn our_own_targets_and_the_way_past_them() {
        let cases = [
            ("/health", Some(BuiltIn::Health)),
            ("/health?x", Some(BuiltIn::Health)),
            ("/_larder/health", Some(BuiltIn::Health)),
            ("/cache/stats", Some(BuiltIn::Admin("/cache/stats"))),
            (
                "/_larder/cache/stats?limit=5",
                Some(BuiltIn::Admin("/cache/stats")),
            ),
            ("/cache", None),
            ("/cache/stats/", None),
            ("/_larder/_larder/health", Some(BuiltIn::Unknown)),
            ("/_larder/", Some(BuiltIn::Unknown)),
            ("/_larder/origin", Some(BuiltIn::Unknown)),
            ("/_larder/origins/x", Some(BuiltIn::Unknown)),
            ("/_larder/origin/health", None),
            ("/healthy", None),
            ("/health/", None),
            ("/_larderx", None),
            ("*", None),
        ];
        for (text, expected) in cases {
            assert_eq!(builtin(&target(text), true), expected, "{text}");
            let below = expected.filter(|_| text.starts_with("/_larder/"));
            assert_eq!(
                builtin(&target(text), false),
                below,
                "{text} without root names"
            );
            let ours = |root_names| is_ours(&target(text), root_names);
            let way_past = text.starts_with(ORIGINS);
            assert_eq!(
                (ours(true), ours(false)),
                (expected.is_some() || way_past, below.is_some() || way_past),
                "{text}"
            );
        }
        assert_eq!(
            origin_target(&target("/_larder/origin/health?x=1")),
            Some(target("/health?x=1"))
        );
        assert_eq!(
            origin_target(&target("/_larder/origin/?x")),
            Some(target("/?x"))
        );
        assert_eq!(origin_target(&target("/_larder/origin")), None);
        assert_eq!(origin_target(&target("/health")), None);
    }

    /// What the routes say about a target, by looking at each of them.
    fn by_linear_scan(routes: &[Route], target: &Target) -> (Option<u64>, bool, bool) {
        let path = target.path();
        // Of two that are as specific the later one wins, as it does in `max_by_key`.
        let best = |fits: &dyn Fn(&Pattern) -> Option<usize>| {
            routes
                .iter()
                .filter_map(|route| Some((fits(&route.pattern)?, route)))
                .max_by_key(|(length, _)| *length)
                .map(|(_, route)| route.rule.cache_ttl.expect("given").as_secs())
        };
        let exact_target = best(&|pattern| {
            (*pattern == Pattern::ExactTarget(target.as_str().to_string())).then_some(0)
        });
        let exact_path =
            best(&|pattern| (*pattern == Pattern::ExactPath(path.to_string())).then_some(0));
        if let Some(seconds) = exact_target.or(exact_path) {
            return (Some(seconds), true, true);
        }
        let lower = path.to_ascii_lowercase();
        let odd = [";", "\\", "//", "%2f", "%2e", "%5c"];
        let is_dots = |segment: &str| matches!(segment, "." | "..");
        if odd.iter().any(|text| lower.contains(text)) || path.split('/').any(is_dots) {
            return (None, false, false);
        }
        let prefix = best(&|pattern| match pattern {
            Pattern::Prefix(text) => path.starts_with(text.as_str()).then_some(text.len()),
            _ => None,
        });
        (prefix, false, true)
    }

    #[test]
    fn a_rule_is_known_by_its_name_to_its_own_table_only() {
        let list = vec![route("/a", 1), route("/b*", 2)];
        let routes = Routes::new(list.clone());
        let others = Routes::new(list);
        for text in ["/a", "/bc", "/none"] {
            let target = target(text);
            let found = routes.find(&target);
            assert_eq!(routes.rule(found.id), Some(found.rule), "{text}");
            assert_eq!(others.rule(found.id), None, "{text}");
        }
        assert_eq!(routes.rule(RuleId::default()), None);
    }

    /// Few letters, so that prefixes nest and paths meet them.
    fn a_path(most: usize) -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            20 => proptest::sample::select(vec!["a", "b", "/a", "/b"]),
            1 => proptest::sample::select(vec!["/", ".", "..", ";", "%2", "%2E", "f", "A"]),
        ];
        proptest::collection::vec(piece, 0..most).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_is_found_is_what_a_linear_scan_finds(
            patterns in proptest::collection::vec((a_path(8), proptest::sample::select(vec!["", "*", "?x", "?"])), 0..40),
            paths in proptest::collection::vec((a_path(10), proptest::sample::select(vec!["", "?", "?x", "?y"])), 1..20),
        ) {
            let list: Vec<Route> = (1..)
                .zip(&patterns)
                .map(|(seconds, (path, end))| route(&format!("{path}{end}"), seconds))
                .collect();
            let routes = Routes::new(list.clone());
            for (path, query) in paths {
                let text = format!("{path}{query}");
                prop_assert_eq!(found(&routes, &text), by_linear_scan(&list, &target(&text)), "{}", text);
            }
        }
    }

    proptest! {
        #[test]
        fn no_target_panics(text in "/[!-~]{0,30}") {
            let routes = Routes::new(vec![route("/a*", 1), route("/b", 2)]);
            if let Some(target) = Target::parse(Bytes::from(text)) {
                routes.find(&target);
                routes.rate_limit(&target);
                builtin(&target, true);
                origin_target(&target);
            }
        }
    }
}

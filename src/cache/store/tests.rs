use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;

use http::header::ACCEPT_LANGUAGE;
use proptest::prelude::*;

use super::*;
use crate::clock::Now;
use crate::policy::directives::ResponseDirectives;
use crate::policy::freshness::{Allowed, Received, lifetime};
use crate::policy::rule::{Defaults, Rule};

/// A response that may be used for 60 s from time zero.
pub(in crate::cache) fn stored(key: &str, body_bytes: usize) -> Arc<Stored> {
    stored_with(key, Bytes::from(vec![b'x'; body_bytes]), 60)
}

fn stored_with(key: &str, body: Bytes, ttl: u64) -> Arc<Stored> {
    stored_as(key, b"HTTP/1.1 200 OK\r\n", body, ttl, None)
}

/// The head is the origin's to its end.
pub(in crate::cache) fn stored_as(
    key: &str,
    head: &[u8],
    body: Bytes,
    ttl: u64,
    selecting: Option<Selecting>,
) -> Arc<Stored> {
    let start = Now {
        mono: Duration::ZERO,
        wall: Duration::ZERO,
    };
    let lifetime = lifetime_of(Duration::from_secs(ttl), Duration::ZERO, start);
    Arc::new(Stored {
        key: Key::from(key),
        status: StatusCode::OK,
        head: head.into(),
        fields_end: head.len() as u32,
        body,
        lifetime,
        selecting: selecting.map(Box::new),
        hits: AtomicU32::new(0),
        uses: Default::default(),
        rule: Default::default(),
        used: AtomicU32::new(0),
    })
}

/// The fields of a request in this language; `None`: it says none.
pub(in crate::cache) fn asked(language: Option<&str>) -> HeaderMap {
    language
        .into_iter()
        .map(|language| (ACCEPT_LANGUAGE, language.parse().expect("a value")))
        .collect()
}

/// The answer to [`asked`], selected by the language.
pub(in crate::cache) fn variant(
    key: &str,
    language: Option<&str>,
    body_bytes: usize,
    ttl: u64,
) -> Arc<Stored> {
    variant_with(key, language, Bytes::from(vec![b'x'; body_bytes]), ttl)
}

fn variant_with(key: &str, language: Option<&str>, body: Bytes, ttl: u64) -> Arc<Stored> {
    let selecting = Selecting::of(vec![ACCEPT_LANGUAGE], &asked(language), false);
    stored_as(key, b"HTTP/1.1 200 OK\r\n", body, ttl, Some(selecting))
}

/// As the answer to a request without fields.
fn put(store: &Store, stored: Arc<Stored>) -> Inserted {
    store.insert(stored, &HeaderMap::new())
}

/// A lifetime as a rule gives it: fresh for `ttl`, then good for `grace` more when the origin is slow or has failed.
pub(in crate::cache) fn lifetime_of(ttl: Duration, grace: Duration, received: Now) -> Lifetime {
    // The user's word: a lifetime of zero would switch storing off.
    let cache_ttl = Some(ttl.max(Duration::from_nanos(1)));
    let rule = Rule {
        cache_ttl,
        slow_grace: Some(grace),
        grace_time: Some(grace),
        ..Rule::default()
    };
    let fields = HeaderMap::new();
    let response_directives = ResponseDirectives::of(&fields, &[]);
    let response = Received {
        status: StatusCode::OK,
        fields: &fields,
        response_directives,
        asked: received,
        at: received,
    };
    lifetime(&response, &rule, &Defaults::default(), Allowed::Any).expect("the rule says how long")
}

/// What a response of `stored` with this key is charged.
fn charge(key: &str, body_bytes: usize) -> usize {
    key.len() + 17 + body_bytes + 200
}

#[test]
fn a_stored_response_is_found_until_it_is_removed() {
    let store = Store::new(1 << 20, 100);
    let first = stored("a", 10);
    assert_eq!(put(&store, Arc::clone(&first)), Inserted::New);
    assert!(
        store
            .find("a")
            .is_some_and(|found| Arc::ptr_eq(found.newest(), &first))
    );
    assert!(store.find("b").is_none());
    assert_eq!(store.gauges().bytes, charge("a", 10));
    assert!(
        store
            .remove("a")
            .is_some_and(|removed| Arc::ptr_eq(removed.newest(), &first))
    );
    assert!(store.remove("a").is_none() && store.peek("a").is_none());
    assert_eq!(store.gauges(), Gauges::default());
}

#[test]
fn a_replacement_keeps_the_place_in_line() {
    let store = Store::new(1 << 20, 3);
    for key in ["a", "b", "c"] {
        put(&store, stored(key, 10));
    }
    let newer = stored("a", 500);
    assert_eq!(put(&store, Arc::clone(&newer)), Inserted::Replaced);
    assert!(
        store
            .peek("a")
            .is_some_and(|found| Arc::ptr_eq(found.newest(), &newer))
    );
    assert_eq!(store.gauges().bytes, charge("a", 500) + 2 * charge("b", 10));
    put(&store, stored("d", 10));
    assert!(
        store.peek("a").is_none(),
        "the oldest, for all that it was replaced last"
    );
    assert!(store.peek("b").is_some());
}

#[test]
fn a_replacement_that_needs_room_makes_it_from_others() {
    let store = Store::new(3 * charge("a", 100), 10);
    for key in ["a", "b", "c"] {
        put(&store, stored(key, 100));
    }
    assert_eq!(put(&store, stored("a", 101)), Inserted::Replaced);
    assert_eq!(
        store.peek("a").map(|found| found.newest().body.len()),
        Some(101)
    );
    assert_eq!(
        (store.gauges().entries, store.peek("b").is_none()),
        (2, true)
    );
}

#[test]
fn what_can_never_fit_is_refused_and_leaves_all_as_it_was() {
    let store = Store::new(1000, 10);
    put(&store, stored("a", 300));
    assert_eq!(put(&store, stored("a", 1000)), Inserted::TooLarge);
    assert_eq!(put(&store, stored("b", 1000)), Inserted::TooLarge);
    assert_eq!(
        store.peek("a").map(|found| found.newest().body.len()),
        Some(300)
    );
    assert_eq!((store.gauges().entries, store.gauges().refusals), (1, 2));
    assert_eq!(
        put(&store, stored("b", 1000 - charge("b", 0))),
        Inserted::New,
        "exactly maxBytes fits"
    );
    assert_eq!(put(&Store::new(0, 10), stored("a", 1)), Inserted::TooLarge);
    assert_eq!(
        put(&Store::new(1000, 0), stored("a", 1)),
        Inserted::TooLarge
    );
}

#[test]
fn some_are_listed_across_slices_and_gaps_and_never_more_than_asked() {
    let store = Store::new(1 << 30, 10_000);
    for number in 0..3000 {
        put(&store, stored(&format!("/{number}"), 1));
    }
    store.remove_matching(|key| key.ends_with('7'));
    let listed = |limit| {
        let some = store.some(limit);
        let distinct: HashMap<String, usize> = some
            .iter()
            .map(|stored| (stored.key.to_string(), 1))
            .collect();
        assert_eq!(distinct.len(), some.len(), "one twice");
        some.len()
    };
    assert_eq!([0, 1, 257, 2700, 9000].map(listed), [0, 1, 257, 2700, 2700]);
}

#[test]
fn matching_keys_go_and_the_others_stay() {
    let store = Store::new(1 << 30, 10_000);
    for number in 0..3000 {
        put(&store, stored(&format!("/{number}"), 1));
    }
    assert_eq!(store.remove_matching(|key| key.ends_with('7')), 300);
    assert_eq!(store.gauges().entries, 2700);
    assert!(store.peek("/2997").is_none() && store.peek("/2998").is_some());
    assert_eq!(store.clear(), 2700);
    assert_eq!((store.gauges().entries, store.gauges().bytes), (0, 0));
    assert_eq!(put(&store, stored("/2998", 1)), Inserted::New);
}

#[test]
fn a_sweep_takes_what_nothing_may_use_any_more() {
    let store = Store::new(1 << 20, 100);
    for ttl in [10, 20, 30] {
        put(&store, stored_with(&format!("/{ttl}"), Bytes::new(), ttl));
    }
    store.pin(Key::from("/10"));
    assert_eq!(store.sweep(Duration::from_secs(10)), 0);
    assert_eq!(store.sweep(Duration::from_secs(21)), 2);
    assert!(store.peek("/30").is_some());
}

#[test]
fn a_hot_set_stays_through_a_million_keys_that_nobody_wants_twice() {
    let store = Store::new(1 << 20, 10_000);
    let hot: Vec<String> = (0..500).map(|number| format!("/hot/{number}")).collect();
    store.pin(Key::from("/pinned"));
    put(&store, stored("/pinned", 100));
    for key in &hot {
        put(&store, stored(key, 100));
    }
    for number in 0..1_000_000_usize {
        put(&store, stored(&format!("/scan/{number}"), 100));
        if number % 2 == 0 {
            store.find(&hot[number / 2 % hot.len()]);
        }
        assert!(store.gauges().bytes <= 1 << 20);
    }
    let kept = hot.iter().filter(|key| store.peek(key).is_some()).count();
    assert_eq!(kept, hot.len(), "of the hot set");
    assert!(store.peek("/pinned").is_some(), "never used, and kept");
    assert!(store.gauges().evictions > 990_000);
}

#[test]
fn what_comes_back_soon_after_it_left_is_kept() {
    let store = Store::new(1 << 20, 100);
    for number in 0..200 {
        put(&store, stored(&format!("/{number}"), 1));
    }
    // The ghost may forget one early (its table is small, and hashes differ from run to run), not most of them.
    let back: Vec<String> = (90..130).map(|number| format!("/{number}")).collect();
    for key in &back {
        assert!(store.peek(key).is_none());
        put(&store, stored(key, 1));
    }
    for number in 200..400 {
        put(&store, stored(&format!("/{number}"), 1));
    }
    let kept = back.iter().filter(|key| store.peek(key).is_some()).count();
    assert!(kept >= 6, "{kept} of 40 in the main queue");
    assert!(
        store.peek("/200").is_none(),
        "which came later, to the small one"
    );
}

#[test]
fn pinned_entries_take_at_most_half() {
    let store = Store::new(10 * charge("a", 100), 100);
    let keys = ["a", "b", "c", "d", "e", "f", "g"];
    for key in keys {
        assert_eq!(store.pin(Key::from(key)), Pinned::Yes);
        put(&store, stored(key, 100));
    }
    assert_eq!(
        (store.gauges().entries, store.gauges().pinned_entries),
        (7, 5)
    );
    for number in 0..100 {
        put(&store, stored(&number.to_string(), 100));
    }
    let kept: Vec<_> = keys
        .iter()
        .filter(|key| store.peek(key).is_some())
        .collect();
    assert_eq!(kept, [&"a", &"b", &"c", &"d", &"e"]);
    store.unpin("a");
    assert_eq!(store.gauges().pinned_entries, 4);
    put(&store, stored("f", 100));
    assert_eq!(
        store.gauges().pinned_entries,
        5,
        "the place of one is another's"
    );
}

#[test]
fn a_pinned_entry_that_outgrows_the_half_becomes_ordinary() {
    let store = Store::new(2000, 10);
    put(&store, stored("a", 100));
    store.pin(Key::from("a"));
    assert_eq!(store.gauges().pinned_entries, 1);
    put(&store, stored("a", 1500));
    assert_eq!(
        (store.gauges().entries, store.gauges().pinned_entries),
        (1, 0)
    );
    put(&store, stored("a", 100));
    assert_eq!(store.gauges().pinned_entries, 1);
}

#[test]
fn pins_are_bounded() {
    let store = Store::new(1 << 20, 100);
    for number in 0..4096 {
        assert_eq!(
            store.pin(Key::from(number.to_string().as_str())),
            Pinned::Yes
        );
    }
    assert_eq!(store.pin(Key::from("one more")), Pinned::TableFull);
    assert_eq!(store.pin(Key::from("17")), Pinned::Yes, "pinned already");
}

/// A body that notes, when it is dropped, whether the store was locked.
struct DropProbe {
    store: Arc<Store>,
    seen: Arc<[AtomicUsize; 2]>,
}

impl AsRef<[u8]> for DropProbe {
    fn as_ref(&self) -> &[u8] {
        b"body"
    }
}

impl Drop for DropProbe {
    fn drop(&mut self) {
        let locked = |shard: &Shard| shard.lock.0.entries.is_locked();
        let is_locked = self.store.shards.iter().any(locked);
        self.seen[usize::from(is_locked)].fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn nothing_is_dropped_under_the_lock() {
    let store = Arc::new(Store::new(1 << 20, 4));
    let seen = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let body = || {
        Bytes::from_owner(DropProbe {
            store: Arc::clone(&store),
            seen: Arc::clone(&seen),
        })
    };
    let keep = |key: &str| _ = put(&store, stored_with(key, body(), 1));
    let dropped = || {
        (
            seen[0].load(Ordering::SeqCst),
            seen[1].load(Ordering::SeqCst),
        )
    };
    ["a", "b", "c", "d", "e", "f", "f"]
        .iter()
        .for_each(|key| keep(key));
    assert_eq!(dropped(), (3, 0), "two evicted, one replaced");
    store.remove("c");
    store.remove_matching(|key| key == "d");
    assert_eq!(dropped(), (5, 0));
    store.sweep(Duration::from_secs(2));
    assert_eq!(dropped(), (7, 0));
    keep("a");
    store.clear();
    assert_eq!(dropped(), (8, 0));
    keep(&"too long a key".repeat(1 << 17));
    assert_eq!(dropped(), (9, 0));
    for ttl in (10..27).chain([26]) {
        let language = format!("x-{ttl}");
        store.insert(
            variant_with("v", Some(&language), body(), ttl),
            &asked(Some(&language)),
        );
    }
    assert_eq!(dropped(), (11, 0), "one crowded out, one replaced");
    assert_eq!(store.sweep(Duration::from_secs(21)), 10);
    assert_eq!(dropped(), (21, 0));
}

#[test]
fn entries_leave_in_the_order_they_came_whatever_their_shards() {
    let store = Store::new(1 << 20, 64);
    let name = |number: usize| format!("/{number}");
    for number in 0..64 {
        put(&store, stored(&name(number), 1));
    }
    for number in 64..128 {
        put(&store, stored(&name(number), 1));
        assert!(store.peek(&name(number - 64)).is_none(), "{number}");
        assert!(store.peek(&name(number - 63)).is_some(), "{number}");
    }
}

#[test]
fn a_large_one_takes_its_room_from_all_shards() {
    let store = Store::new(1 << 20, 10_000);
    for number in 0..2000 {
        put(&store, stored(&format!("/{number}"), 250));
    }
    let before = store.gauges();
    let large = (1 << 20) - charge("/large", 0);
    assert_eq!(put(&store, stored("/large", large)), Inserted::New);
    assert_eq!((store.gauges().entries, store.gauges().bytes), (1, 1 << 20));
    let evicted = (store.gauges().evictions - before.evictions) as usize;
    assert_eq!(evicted, before.entries);
}

#[test]
fn uses_of_what_was_kept_from_a_look_up_keep_it_from_eviction() {
    let store = Store::new(1 << 20, 100);
    put(&store, stored("/kept", 1));
    put(&store, stored("/other", 1));
    let prefix = store.prefix(None, "anonymous");
    let kept = store.peek("/kept").expect("stored");
    kept.newest().count_use();
    kept.newest().count_use();
    assert!(store.find_plain(&prefix.key_of(b"/kept")).is_none());
    for number in 0..1000 {
        put(&store, stored(&number.to_string(), 1));
    }
    assert!(store.peek("/kept").is_some());
    assert!(store.peek("/other").is_none());
}

/// The hit on this target, if it is plain.
fn plain_hit(store: &Store, target: &str) -> Option<PlainHit> {
    let prefix = store.prefix(None, "anonymous");
    store.find_plain(&prefix.key_of(target.as_bytes()))
}

#[test]
fn a_plain_hit_is_void_once_its_shard_has_changed() {
    const TEXT: &str = "cache:GET:anonymous:/a";
    let store = Store::new(1 << 20, 100);
    let changes: [(&str, &dyn Fn()); 7] = [
        ("replaced", &|| _ = put(&store, stored(TEXT, 2))),
        ("another variant", &|| {
            store.insert(variant(TEXT, Some("de"), 1, 60), &asked(Some("de")));
        }),
        ("removed", &|| drop(store.remove(TEXT))),
        ("purged", &|| _ = store.remove_matching(|key| key == TEXT)),
        ("over", &|| _ = store.sweep(Duration::from_secs(1_000_000))),
        ("cleared", &|| _ = store.clear()),
        ("evicted", &|| {
            for number in 0..100 {
                put(&store, stored(&number.to_string(), 1));
            }
        }),
    ];
    for (name, change) in changes {
        store.clear();
        put(&store, stored(TEXT, 1));
        let hit = plain_hit(&store, "/a").expect("plain");
        store.find(TEXT);
        store.peek(TEXT);
        store.pin(Key::from("/b"));
        store.unpin("/b");
        store.remove("/never stored");
        store.sweep(Duration::ZERO);
        assert!(store.is_current(&hit), "before it is {name}");
        hit.stored.set_uses(0);
        change();
        assert!(!store.is_current(&hit), "{name}");
    }
}

#[test]
fn what_is_in_other_shards_does_not_void_a_hit() {
    let store = Store::new(1 << 20, 100);
    put(&store, stored("cache:GET:anonymous:/a", 1));
    let hit = plain_hit(&store, "/a").expect("plain");
    for number in 0..64 {
        let text = number.to_string();
        let hash = store.hasher.hash(&text);
        if !std::ptr::eq(store.shard(hash), store.shard(hit.hash)) {
            put(&store, stored(&text, 1));
        }
    }
    assert!(store.is_current(&hit));
}

#[test]
fn only_what_no_request_field_decides_about_is_plain() {
    let text = |target: &str| format!("cache:GET:anonymous:{target}");
    let store = Store::new(1 << 20, 100);
    put(&store, stored(&text("/plain"), 1));
    store.insert(
        variant(&text("/one"), Some("de"), 1, 60),
        &asked(Some("de")),
    );
    for language in ["de", "en"] {
        let stored = variant(&text("/two"), Some(language), 1, 60);
        store.insert(stored, &asked(Some(language)));
    }
    let part = Arc::into_inner(stored(&text("/part"), 1)).expect("the only one");
    let status = StatusCode::PARTIAL_CONTENT;
    put(&store, Arc::new(Stored { status, ..part }));
    let plain = ["/plain", "/one", "/two", "/part", "/none"]
        .map(|target| plain_hit(&store, target).is_some());
    assert_eq!(plain, [true, false, false, false, false]);
}

/// Four threads do what they like; the ceilings hold at every moment, and at the end the accounts are exact.
#[test]
fn the_ceilings_hold_whatever_many_threads_do() {
    const MAX: (usize, usize) = (40_000, 60);
    let store = Store::new(MAX.0, MAX.1);
    let act = |seed: u64| {
        let mut random = seed;
        for _ in 0..4000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let key = format!("/{}", random % 97);
            match random >> 32 & 15 {
                0..8 => {
                    let size = random >> 40 & 0x7FF;
                    put(&store, stored(&key, size as usize));
                }
                8 => drop(store.remove(&key)),
                9 => drop(store.pin(Key::from(key.as_str()))),
                10 => store.unpin(&key),
                11 if random >> 40 & 63 == 0 => _ = store.clear(),
                12 => _ = store.remove_matching(|key| key.ends_with('7')),
                _ => drop(store.find(&key)),
            }
            let gauges = store.gauges();
            assert!(gauges.bytes <= MAX.0 && gauges.entries <= MAX.1);
            assert!(gauges.pinned_bytes <= MAX.0 / 2 && gauges.pinned_entries <= MAX.1 / 2);
        }
    };
    std::thread::scope(|scope| {
        for seed in 1..5 {
            scope.spawn(move || act(seed * 0x9E37_79B9));
        }
    });
    let some = store.some(1000);
    let bytes: usize = some.iter().map(|stored| stored.charge()).sum();
    let gauges = store.gauges();
    assert_eq!((gauges.entries, gauges.bytes), (some.len(), bytes));
    assert!(gauges.evictions > 0);
    for number in 0..97 {
        store.unpin(&format!("/{number}"));
    }
    let gauges = store.gauges();
    assert_eq!((gauges.pinned_entries, gauges.pinned_bytes), (0, 0));
    store.clear();
    assert_eq!((store.gauges().entries, store.gauges().bytes), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    /// A key, a language, a body.
    Insert(u8, Option<&'static str>, usize),
    Find(u8),
    Remove(u8),
    Pin(u8),
    Unpin(u8),
    RemoveEven,
    Clear,
}

const KEYS: std::ops::Range<u8> = 0..20;

fn step() -> impl Strategy<Value = Step> {
    let language = proptest::option::of(proptest::sample::select(vec!["de", "en", "fr"]));
    prop_oneof![
        12 => (KEYS, language, 0..900_usize).prop_map(|(key, language, bytes)| Step::Insert(key, language, bytes)),
        8 => KEYS.prop_map(Step::Find),
        2 => KEYS.prop_map(Step::Remove),
        2 => KEYS.prop_map(Step::Pin),
        1 => KEYS.prop_map(Step::Unpin),
        1 => Just(Step::RemoveEven),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// Whatever is done: what is found is what was last put in, and the gauges are the sums over what is found.
    #[test]
    fn the_accounts_are_exact(steps in proptest::collection::vec(step(), 0..200), entries in 1..12_usize) {
        let store = Store::new(4000, entries);
        let name = |key: &u8| format!("/{key}");
        let mut latest: HashMap<(u8, Option<&str>), Arc<Stored>> = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(key, language, bytes) => {
                    let newest = variant(&name(&key), language, bytes, 60);
                    match store.insert(Arc::clone(&newest), &asked(language)) {
                        Inserted::TooLarge => prop_assert!(newest.charge() + store.gauges().pinned_bytes > 4000),
                        _ => {
                            let found = store.peek(&name(&key));
                            let is_here = found.is_some_and(|found| Arc::ptr_eq(found.newest(), &newest));
                            prop_assert!(is_here, "the newest is not its own victim");
                            latest.insert((key, language), newest);
                        }
                    }
                }
                Step::Find(key) => drop(store.find(&name(&key))),
                Step::Remove(key) => {
                    store.remove(&name(&key));
                    latest.retain(|(known, _), _| *known != key);
                }
                Step::Pin(key) => drop(store.pin(Key::from(name(&key).as_str()))),
                Step::Unpin(key) => store.unpin(&name(&key)),
                Step::RemoveEven => {
                    store.remove_matching(|key| key.ends_with(['0', '2', '4', '6', '8']));
                    latest.retain(|(key, _), _| key % 2 == 1);
                }
                Step::Clear => {
                    store.clear();
                    latest.clear();
                }
            }
            let mut count = 0;
            let mut bytes = 0;
            for key in KEYS {
                let Some(found) = store.peek(&name(&key)) else { continue };
                let known: Vec<_> = latest.iter().filter(|((known, _), _)| *known == key).map(|(_, last)| last).collect();
                for stored in found.iter() {
                    prop_assert!(known.iter().any(|last| Arc::ptr_eq(last, stored)), "{key}: none twice, none of the past");
                }
                let charge: usize = found.iter().map(|stored| stored.charge()).sum();
                (count, bytes) = (count + 1, bytes + charge);
            }
            let gauges = store.gauges();
            prop_assert_eq!((gauges.entries, gauges.bytes), (count, bytes));
            prop_assert!(bytes <= 4000 && count <= entries);
            prop_assert!(gauges.pinned_bytes <= 2000 && gauges.pinned_entries <= entries / 2);
        }
    }
}

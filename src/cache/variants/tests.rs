use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::cache::key::Key;
use crate::cache::store::tests::{asked, lifetime_of, stored, stored_as, variant};
use crate::cache::store::{Pinned, Store};
use crate::clock::Now;
use crate::message::Response;
use crate::policy::directives::ResponseDirectives;
use crate::policy::freshness::{Allowed, Received, lifetime};
use crate::policy::rule::{Defaults, Rule};
use crate::reply::stored_head;

const LANGUAGES: [&str; 18] = [
    "aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh", "ii", "jj", "kk", "ll", "mm", "nn", "oo", "pp",
    "qq", "rr",
];

/// A store with the answers in these languages under `/`, stored in this order.
fn store_of(languages: &[&str]) -> Store {
    let store = Store::new(1 << 20, 100);
    languages
        .iter()
        .for_each(|language| _ = put(&store, language, 10));
    store
}

fn put(store: &Store, language: &str, body_bytes: usize) -> Inserted {
    store.insert(
        variant("/", Some(language), body_bytes, 60),
        &asked(Some(language)),
    )
}

/// The languages of what is stored under `/`, newest first.
fn languages(store: &Store) -> Vec<&'static str> {
    let Some(found) = store.peek("/") else {
        return Vec::new();
    };
    let language = |stored: &Arc<Stored>| {
        LANGUAGES
            .into_iter()
            .find(|known| stored.is_selected_by(&asked(Some(known))))
    };
    found.iter().filter_map(language).collect()
}

/// What a variant of `/` without a body is charged.
fn charge() -> usize {
    variant("/", Some("aa"), 0, 60).charge()
}

#[test]
fn a_slot_has_16_bytes_for_them_empty_or_not() {
    assert_eq!(
        (size_of::<Variants>(), size_of::<Option<Variants>>()),
        (16, 16)
    );
}

#[test]
fn the_newest_that_a_request_selects_is_found() {
    let store = store_of(&["aa", "bb"]);
    let selected = |language| {
        let found = store.find("/")?;
        let borrowed = found.select(&asked(language)).cloned();
        let owned = found.into_selected(&asked(language));
        assert_eq!(
            borrowed.as_ref().map(Arc::as_ptr),
            owned.as_ref().map(Arc::as_ptr)
        );
        owned.map(|stored| stored.body.len())
    };
    assert_eq!(
        [Some("aa"), Some("bb"), Some("cc"), None].map(selected),
        [Some(10), Some(10), None, None]
    );
    store.insert(stored("/", 7), &asked(Some("bb")));
    assert_eq!(
        languages(&store),
        ["aa", "aa"],
        "the one without selecting fields is anybody's"
    );
    assert_eq!([Some("aa"), Some("cc"), None].map(selected), [Some(7); 3]);
    assert_eq!(put(&store, "aa", 3), Inserted::Replaced);
    assert_eq!([Some("aa"), Some("cc")].map(selected), [Some(3), None]);
}

#[test]
fn of_several_that_a_request_selects_the_one_the_origin_made_last_is_found() {
    let cases = [
        ((30, 0), (40, 0), 2),
        ((30, 0), (40, 9), 2),
        ((30, 0), (40, 10), 2),
        ((30, 0), (40, 11), 1),
        ((30, 5), (40, 11), 2),
    ];
    for (older, newer, expected) in cases {
        let store = Store::new(1 << 20, 100);
        store.insert(
            came(variant("/", Some("aa"), 1, 0), older),
            &asked(Some("aa")),
        );
        store.insert(came(stored("/", 2), newer), &asked(Some("bb")));
        let found = store
            .find("/")
            .expect("two")
            .into_selected(&asked(Some("aa")))
            .expect("both");
        assert_eq!(found.body.len(), expected, "{older:?} {newer:?}");
    }
}

/// The same, but it came at this second, so many seconds old.
fn came(stored: Arc<Stored>, (at, age): (u64, u64)) -> Arc<Stored> {
    let at = Now {
        mono: Duration::from_secs(at),
        wall: Duration::ZERO,
    };
    let mut fields =
        HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("max-age=100"))]);
    fields.insert(AGE, HeaderValue::from(age));
    let response_directives = ResponseDirectives::of(&fields, &[]);
    let received = Received {
        status: StatusCode::OK,
        fields: &fields,
        response_directives,
        asked: at,
        at,
    };
    let lifetime = lifetime(
        &received,
        &Rule::default(),
        &Defaults::default(),
        Allowed::Any,
    )
    .expect("explicit");
    Arc::new(Stored {
        lifetime,
        ..Arc::into_inner(stored).expect("nobody else has it")
    })
}

#[test]
fn a_single_one_is_asked_what_selects_it_too() {
    let found = store_of(&["aa"]).find("/").expect("one");
    assert!(matches!(found, Variants::One(_)));
    assert!(found.select(&asked(None)).is_none() && found.select(&asked(Some("aa"))).is_some());
    assert!(found.clone().into_selected(&asked(None)).is_none());
    assert!(found.into_selected(&asked(Some("aa"))).is_some());
}

#[test]
fn a_newcomer_takes_the_place_of_what_its_request_selects_and_the_others_stay() {
    let store = store_of(&["aa", "bb", "cc"]);
    assert_eq!(languages(&store), ["cc", "bb", "aa"]);
    assert_eq!(put(&store, "bb", 20), Inserted::Replaced);
    assert_eq!(languages(&store), ["bb", "cc", "aa"]);
    assert_eq!(put(&store, "dd", 0), Inserted::New);
    assert_eq!(languages(&store), ["dd", "bb", "cc", "aa"]);
    let gauges = store.gauges();
    assert_eq!(
        (gauges.entries, gauges.bytes),
        (1, 4 * charge() + 20 + 10 + 10)
    );
}

#[test]
fn beyond_16_the_least_recently_used_one_goes() {
    let store = store_of(&LANGUAGES[..15]);
    assert_eq!(put(&store, LANGUAGES[15], 10), Inserted::New);
    assert_eq!(
        put(&store, "cc", 10),
        Inserted::Replaced,
        "16 and not one more"
    );
    let found = store.find("/").expect("all");
    let used = |language, seconds: u64| {
        let stored = found.select(&asked(Some(language))).expect("one");
        stored.note_use(Duration::from_secs(seconds));
    };
    for (language, seconds) in LANGUAGES[..16].iter().zip(100..) {
        used(language, seconds);
    }
    used("aa", 200);
    assert_eq!(put(&store, "qq", 10), Inserted::Crowded);
    assert!(!languages(&store).contains(&"bb"), "used first");
    assert!(languages(&store).contains(&"aa"), "stored first, used last");
    assert_eq!((languages(&store).len(), languages(&store)[0]), (16, "qq"));
    let late = Arc::new(Stored {
        lifetime: lifetime_of(Duration::from_secs(60), Duration::ZERO, later(300)),
        used: Default::default(),
        ..Arc::into_inner(variant("/", Some("rr"), 10, 60)).expect("the only one")
    });
    assert_eq!(store.insert(late, &asked(Some("rr"))), Inserted::Crowded);
    assert!(
        !languages(&store).contains(&"qq"),
        "which came at time zero and was not used"
    );
    assert_eq!(put(&store, "qq", 10), Inserted::Crowded);
    assert!(languages(&store).contains(&"rr"), "an arrival is a use");
}

fn later(seconds: u64) -> Now {
    Now {
        mono: Duration::from_secs(seconds),
        wall: Duration::ZERO,
    }
}

#[test]
fn what_selects_a_response_counts_as_memory() {
    let variant = variant("/", Some("aa"), 0, 60);
    let selecting = variant
        .selecting
        .as_ref()
        .map_or(0, |selecting| selecting.charge());
    assert!(selecting > 0);
    assert_eq!(charge(), stored("/", 0).charge() + selecting);
}

#[test]
fn of_those_used_at_one_time_the_oldest_goes() {
    let store = store_of(&LANGUAGES[..17]);
    assert!(!languages(&store).contains(&"aa"));
    assert_eq!(put(&store, "aa", 10), Inserted::Crowded);
    assert!(!languages(&store).contains(&"bb"));
}

#[test]
fn only_what_stands_beside_others_notes_when_it_was_used() {
    let alone = stored("/", 1);
    let beside = variant("/", None, 1, 60);
    for (stored, expected) in [(alone, 0), (beside, 12)] {
        stored.note_use(Duration::from_millis(12_345));
        assert_eq!(stored.last_used(), expected);
    }
}

#[test]
fn what_is_too_large_together_sheds_the_least_recently_used() {
    let store = Store::new(3 * charge(), 100);
    for language in ["aa", "bb", "cc"] {
        assert_eq!(put(&store, language, 0), Inserted::New);
    }
    assert_eq!(put(&store, "dd", charge()), Inserted::New);
    assert_eq!(languages(&store), ["dd", "cc"], "it takes the room of two");
    assert_eq!(put(&store, "ee", 3 * charge()), Inserted::TooLarge);
    assert_eq!(languages(&store), ["dd", "cc"]);
    let gauges = store.gauges();
    assert_eq!(
        (gauges.entries, gauges.bytes, gauges.evictions),
        (1, 3 * charge(), 0)
    );
}

#[test]
fn variants_are_evicted_pinned_and_removed_together() {
    let store = Store::new(8 * charge(), 100);
    let put_both = || {
        ["aa", "bb"]
            .iter()
            .for_each(|language| _ = put(&store, language, 0))
    };
    let scan = || {
        (0..50).for_each(|number| _ = store.insert(stored(&number.to_string(), 0), &asked(None)))
    };
    put_both();
    scan();
    assert_eq!(languages(&store), [""; 0]);
    assert_eq!(store.pin(Key::from("/")), Pinned::Yes);
    put_both();
    scan();
    assert_eq!(languages(&store), ["bb", "aa"]);
    assert_eq!(
        (store.gauges().pinned_entries, store.gauges().pinned_bytes),
        (1, 2 * charge())
    );
    assert_eq!(store.remove("/").map(|removed| removed.len()), Some(2));
    put_both();
    assert_eq!(store.remove_matching(|key| key == "/"), 2);
    put_both();
    assert_eq!(
        store
            .some(1000)
            .iter()
            .filter(|stored| stored.key.as_str() == "/")
            .count(),
        2
    );
    let entries = store.gauges().entries;
    assert_eq!(store.clear(), entries + 1);
}

#[test]
fn a_sweep_takes_single_variants_and_the_key_with_the_last() {
    let store = Store::new(1 << 20, 100);
    for (language, ttl) in [("aa", 10), ("bb", 30), ("cc", 20)] {
        store.insert(variant("/", Some(language), 0, ttl), &asked(Some(language)));
    }
    assert_eq!(store.sweep(Duration::from_secs(10)), 0);
    assert_eq!(
        (store.sweep(Duration::from_secs(11)), languages(&store)),
        (1, vec!["cc", "bb"])
    );
    assert_eq!(store.gauges().bytes, 2 * charge());
    assert_eq!(
        (store.sweep(Duration::from_secs(21)), languages(&store)),
        (1, vec!["bb"])
    );
    assert!(matches!(store.peek("/"), Some(Variants::One(_))));
    assert_eq!(
        (store.sweep(Duration::from_secs(31)), store.gauges().entries),
        (1, 0)
    );
    for language in ["aa", "bb"] {
        put(&store, language, 0);
    }
    assert_eq!(
        (store.sweep(Duration::from_secs(61)), store.gauges().bytes),
        (2, 0)
    );
}

fn headed(head: &[u8]) -> Stored {
    Arc::into_inner(stored_as("/", head, Default::default(), 60, None)).expect("the only one")
}

#[test]
fn the_origins_fields_are_read_back_and_ours_are_not() {
    let mut fields = HeaderMap::new();
    for value in [&b"a=1"[..], b" b=2 ", b"", b"\xff:\t:"] {
        fields.append(SET_COOKIE, HeaderValue::from_bytes(value).expect("a value"));
    }
    fields.append("x-odd_name", HeaderValue::from_static("1: 2"));
    let response = Response {
        status: StatusCode::OK,
        fields: fields.clone(),
        body: Default::default(),
    };
    let plain = headed(b"");
    let (head, fields_end) = stored_head(&response, &[], &plain.lifetime, later(0), "larder");
    assert_eq!(
        Stored {
            head,
            fields_end,
            ..plain
        }
        .fields(),
        fields
    );
}

proptest! {
    #[test]
    fn no_head_is_too_odd_to_be_read(
        head in proptest::collection::vec(proptest::sample::select(&b"ab:: \r\n\x00\xff"[..]), 0..60),
        fields_end in prop_oneof![0..80_u32, any::<u32>()],
    ) {
        let length = head.len();
        let stored = Stored { fields_end, ..headed(&head) };
        prop_assert!(stored.fields().is_empty() || fields_end as usize <= length);
    }
}

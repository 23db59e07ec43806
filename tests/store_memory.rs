//! What an entry of the store costs beside the bytes that were to be stored: counted by the allocator itself.
//!
//! Alone in its binary, because a binary has one global allocator, and with one test, because that counts for all threads.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
#![allow(
    unsafe_code,
    reason = "GlobalAlloc can be implemented in no other way; nothing of it is in the product"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use larder::cache::key::Key;
use larder::cache::store::{Store, Stored};
use larder::clock::Now;
use larder::policy::directives::ResponseDirectives;
use larder::policy::freshness::{Allowed, Lifetime, Received, lifetime};
use larder::policy::rule::{Defaults, Rule};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator as it came; beside it a number is counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn stored(key: &str, head: usize, body: usize) -> Arc<Stored> {
    let start = Now {
        mono: Duration::ZERO,
        wall: Duration::ZERO,
    };
    let fields = HeaderMap::new();
    let response = Received {
        status: StatusCode::OK,
        fields: &fields,
        response_directives: ResponseDirectives::default(),
        asked: start,
        at: start,
    };
    let lifetime = lifetime(
        &response,
        &Rule::default(),
        &Defaults::default(),
        Allowed::Any,
    )
    .expect("the default");
    let head = vec![b'h'; head].into();
    let body = Bytes::from(vec![b'b'; body]);
    // As the first hit does: a body that is shared gets a counter, which stays.
    drop(body.clone());
    Arc::new(Stored {
        key: Key::from(key),
        status: StatusCode::OK,
        head,
        fields_end: 0,
        body,
        lifetime,
        selecting: None,
        hits: AtomicU32::new(0),
        uses: Default::default(),
        rule: Default::default(),
        used: AtomicU32::new(0),
    })
}

/// Bytes held beside key, head and body, in a store of so many entries.
fn overhead(entries: usize) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    let store = Store::new(1 << 30, entries);
    let mut content = 0;
    for number in 0..entries {
        let one = stored(&format!("cache:GET:anonymous:/{number:08}"), 100, 200);
        content += one.key.as_str().len() + 300;
        store.insert(one, &HeaderMap::new());
    }
    assert_eq!(store.gauges().entries, entries);
    HELD.load(Ordering::Relaxed) - before - content
}

/// Bytes of our own that an entry may cost, all in all.
const BUDGET: usize = 256;

#[test]
fn an_entry_costs_at_most_256_bytes_of_our_own() {
    // The map doubles with entry 57,345, and the slab has then just grown too: about the dearest entries there are.
    for entries in [57_344, 57_345, 58_000] {
        let overhead = overhead(entries).div_ceil(entries);
        println!(
            "{entries} entries: {overhead} B each, of these Stored {} B, Lifetime {} B",
            size_of::<Stored>(),
            size_of::<Lifetime>()
        );
        assert!(overhead <= BUDGET, "{overhead} B");
    }
}

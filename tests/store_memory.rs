//! What an entry of the store costs beside the bytes that were to be stored: counted by the allocator itself.
//!
//! Alone in its binary, because a binary has one global allocator, and with one test, because that counts for all threads.
#![allow(unsafe_code, reason = "GlobalAlloc can be implemented in no other way; nothing of it is in the product")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use larder::cache::key::Key;
use larder::cache::store::{Store, Stored};
use larder::clock::Now;
use larder::policy::freshness::{Lifetime, LifetimeSource};

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
    let lifetime = Lifetime {
        source: LifetimeSource::Rule,
        stale_time: Duration::ZERO,
        ttl: Duration::from_secs(60),
        slow_grace: Duration::ZERO,
        grace_time: Duration::ZERO,
        initial_age: Duration::ZERO,
        received: Now { mono: Duration::ZERO, wall: Duration::ZERO },
    };
    let (head, body) = (vec![b'h'; head].into(), Bytes::from(vec![b'b'; body]));
    Arc::new(Stored { key: Key::from(key), status: StatusCode::OK, head, body, lifetime })
}

/// Bytes held per entry beside key, head and body, in a store of so many entries.
fn overhead(entries: usize) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    let store = Store::new(1 << 30, entries);
    let mut content = 0;
    for number in 0..entries {
        let one = stored(&format!("cache:GET:anonymous:/{number:08}"), 100, 200);
        content += one.key.as_str().len() + 300;
        store.insert(one);
    }
    assert_eq!(store.gauges().entries, entries);
    (HELD.load(Ordering::Relaxed) - before - content) / entries
}

/// Of 256 bytes, what is left when a lifetime takes 80: five durations in whole milliseconds, two times, one source.
const BESIDE_LIFETIME: usize = 176;

#[test]
fn an_entry_costs_at_most_176_bytes_beside_its_lifetime() {
    // Just before and just after the map has doubled: the best and the worst case.
    for entries in [57_000, 58_000] {
        let overhead = overhead(entries);
        println!(
            "{entries} entries: {overhead} B each, of these Stored {} B, Lifetime {} B",
            size_of::<Stored>(),
            size_of::<Lifetime>()
        );
        assert!(overhead - size_of::<Lifetime>() <= BESIDE_LIFETIME, "{overhead} B");
    }
}

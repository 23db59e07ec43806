//! Invariant: no bytes make selecting by Vary panic; a request selects what it fetched, two requests select alike exactly if
//! their texts are equal, and a request that repeats another's values is that one.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use larder::policy::vary::{MAX_NOMINATED, Nominated, Selecting, nominated};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["accept-encoding", "accept-language", "foo", "vary"];

fuzz_target!(|input: &[u8]| {
    let [mut one, mut other] = [HeaderMap::new(), HeaderMap::new()];
    for line in input.split(|byte| *byte == b'\n') {
        let Some((place, value)) = line.split_first() else {
            continue;
        };
        let Ok(value) = HeaderValue::from_bytes(value) else {
            continue;
        };
        let request = if place & 1 == 0 { &mut one } else { &mut other };
        request.append(NAMES[usize::from(place >> 1) % NAMES.len()], value);
    }
    assert_nominated(&one);
    let names: Vec<HeaderName> = NAMES
        .iter()
        .map(|name| HeaderName::from_static(name))
        .collect();
    let [first, second] = [&one, &other].map(|sent| Selecting::of(names.clone(), sent, true));
    assert!(first.matches(&one) && second.matches(&other));
    assert_eq!(
        first.matches(&other),
        text(&first, &one) == text(&first, &other)
    );
    assert_eq!(first.matches(&other), second.matches(&one));
    let uncoded = Selecting::of(names, &one, false);
    assert!(uncoded.matches(&one) && (uncoded.matches(&other) || !first.matches(&other)));
    first.repeat(&mut other);
    assert_eq!(one, other);
});

fn assert_nominated(response: &HeaderMap) {
    if let Nominated::Fields(names) = nominated(response, |name| name != "foo") {
        assert!((1..=MAX_NOMINATED).contains(&names.len()));
        assert!(
            names
                .windows(2)
                .all(|pair| pair[0].as_str() < pair[1].as_str())
        );
        assert!(names.iter().all(|name| name != "foo" && name != "*"));
    }
}

fn text(selecting: &Selecting, asked: &HeaderMap) -> String {
    let mut text = String::new();
    selecting.write_text(asked, &mut text);
    assert!(
        text.bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    );
    text
}

//! Invariant: no bytes make the reader of HTTP dates panic, letter case changes nothing, and what this cache writes reads
//! back as it was meant.
#![no_main]

use std::time::Duration;

use larder::clock::Now;
use larder::policy::dates::{imf_fixdate, parse};
use libfuzzer_sys::fuzz_target;

/// The seconds from 1970 to the end of the year 9999.
const SECONDS: u64 = 253_402_300_800;

fuzz_target!(|input: &[u8]| {
    let Some((second, text)) = input.split_first_chunk() else {
        return;
    };
    let second = u64::from_le_bytes(*second);
    let now = Now {
        mono: Duration::ZERO,
        wall: Duration::from_secs(second),
    };
    let read = parse(text, now);
    assert_eq!(parse(&text.to_ascii_uppercase(), now), read);
    assert_eq!(parse(&text.to_ascii_lowercase(), now), read);
    // Four digits write no year before 0 and none after 9999; the last second may be a leap second.
    assert!(read.is_none_or(|read| (-62_167_219_200..=SECONDS as i64).contains(&read)));

    let second = second % SECONDS;
    let written = imf_fixdate(Duration::from_secs(second));
    assert_eq!(
        parse(written.as_str().as_bytes(), now),
        Some(second as i64),
        "{written}"
    );
    if let Some(read) = read
        .and_then(|read| u64::try_from(read).ok())
        .filter(|read| *read < SECONDS)
    {
        let written = imf_fixdate(Duration::from_secs(read));
        assert_eq!(
            parse(written.as_str().as_bytes(), now),
            Some(read as i64),
            "{written}"
        );
    }
});

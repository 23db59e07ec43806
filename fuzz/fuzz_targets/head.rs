//! Invariant: no bytes make the head parser panic; a head it accepts has one framing, and no prefix of the bytes is read as
//! any other head (each is incomplete, refused, or the same head).
#![no_main]

use bytes::Bytes;
use larder::front::head::{Framing, Head, Limits, Parsed, Search, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let raw = Bytes::copy_from_slice(input);
    let limits = Limits {
        max_head_bytes: 1024,
        max_fields: 16,
    };
    let whole = parse(&raw, &limits);
    if let Ok(Parsed::Head { head, consumed }) = &whole {
        assert!(raw[..*consumed].ends_with(b"\r\n\r\n") && *consumed <= limits.max_head_bytes);
        assert_consistent(head);
        assert_eq!(
            drip(&raw),
            Some(*consumed),
            "one byte at a time finds the same end"
        );
    }
    for end in 0..raw.len() {
        if let Ok(Parsed::Head { head, consumed }) = parse(&raw.slice(..end), &limits) {
            match &whole {
                Ok(Parsed::Head {
                    head: same,
                    consumed: there,
                }) => assert_eq!((&head, consumed), (same, *there)),
                other => panic!("{head:?} in the first {end} bytes, {other:?} in all"),
            }
            break;
        }
    }
});

fn assert_consistent(head: &Head) {
    assert!(head.fields.len() <= 16);
    assert!(head.target.as_str().starts_with('/') || head.method == "OPTIONS");
    let lengths: Vec<_> = head.fields.get_all("content-length").iter().collect();
    let codings: Vec<_> = head.fields.get_all("transfer-encoding").iter().collect();
    match head.framing {
        Framing::None => assert!(lengths.is_empty() && codings.is_empty()),
        Framing::Length(length) => {
            assert!(lengths.len() == 1 && codings.is_empty());
            assert_eq!(
                lengths[0].to_str().ok().and_then(|text| text.parse().ok()),
                Some(length)
            );
        }
        Framing::Chunked => {
            assert!(lengths.is_empty() && codings.len() == 1);
            assert!(codings[0].as_bytes().eq_ignore_ascii_case(b"chunked"));
        }
    }
    for value in head.fields.values() {
        assert!(
            !value
                .as_bytes()
                .iter()
                .any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))
        );
    }
}

fn drip(raw: &Bytes) -> Option<usize> {
    let limits = Limits {
        max_head_bytes: 1024,
        max_fields: 16,
    };
    let mut search = Search::default();
    (0..=raw.len()).find_map(|end| search.advance(&raw[..end], &limits).ok().flatten())
}

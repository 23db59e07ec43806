//! Invariant: no bytes make the body decoder panic, hold more than its limit, or take a byte behind the body; and how the
//! bytes are split into reads changes nothing.
#![no_main]

use larder::front::framing::Decoder;
use larder::front::head::{Framing, Refusal};
use libfuzzer_sys::fuzz_target;

const MAX_BODY_BYTES: u64 = 300;

fuzz_target!(|input: &[u8]| {
    let [kind, step, body @ ..] = input else {
        return;
    };
    let framing = match kind % 4 {
        0 => Framing::None,
        1 => Framing::Length(u64::from(*kind)),
        _ => Framing::Chunked,
    };
    let whole = decode(framing, body, usize::MAX);
    assert_eq!(decode(framing, body, usize::from(*step).max(1)), whole);
    if let Ok((content, consumed, done)) = whole {
        assert!(content.len() as u64 <= MAX_BODY_BYTES);
        if done {
            let alone = decode(framing, &body[..consumed], usize::MAX);
            assert_eq!(
                alone,
                Ok((content, consumed, true)),
                "the body ends where it was said to"
            );
            if let Some(shorter) = consumed.checked_sub(1) {
                assert!(
                    !decode(framing, &body[..shorter], usize::MAX).is_ok_and(|(_, _, done)| done)
                );
            }
        } else {
            assert_eq!(consumed, body.len());
        }
    }
});

/// Content, bytes consumed, and whether the body is whole, when pushed in pieces of `step` bytes.
fn decode(framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), Refusal> {
    let mut decoder = Decoder::new(framing, MAX_BODY_BYTES)?;
    let (mut out, mut consumed) = (Vec::new(), 0);
    while !decoder.is_done() && consumed < input.len() {
        let end = consumed.saturating_add(step).min(input.len());
        consumed += decoder.push(&input[consumed..end], &mut out)?.consumed;
    }
    Ok((out, consumed, decoder.is_done()))
}

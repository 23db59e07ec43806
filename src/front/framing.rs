//! A request body, taken out of its framing as it comes in, in pieces of any size (RFC 9112 §6, §7.1).
//!
//! Strict where leniency smuggles requests: one octet of framing that is not as the RFC writes it ends the request. Never
//! takes an octet that stands behind the body. Chunk extensions and trailer fields are checked, bounded and dropped.

mod chunked;

use self::chunked::Chunked;
use super::head::{Framing, Refusal};

/// What one [`Decoder::push`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that belong to the body. Less than the input only when the body ended in it.
    pub consumed: usize,
    /// True when the body is whole.
    pub done: bool,
}

/// Decodes one request body.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Bytes still to come.
    Length(u64),
    Chunked(Chunked),
}

impl Decoder {
    /// A decoder for a body framed so, of at most `max_body_bytes` without its framing. An announced length beyond that is
    /// refused at once, before the client is told to continue.
    pub fn new(framing: Framing, max_body_bytes: u64) -> Result<Decoder, Refusal> {
        let state = match framing {
            Framing::None => State::Length(0),
            Framing::Length(length) if length > max_body_bytes => return Err(Refusal::TooLarge),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new(max_body_bytes)),
        };
        Ok(Decoder { state })
    }

    /// True when the body is whole; for an empty one before anything was pushed.
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Length(left) => *left == 0,
            State::Chunked(chunked) => chunked.is_done(),
        }
    }

    /// Takes what of `input` belongs to the body and appends its content to `out`. After an error the decoder and `out`
    /// are of no further use.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Progress, Refusal> {
        let consumed = match &mut self.state {
            State::Length(left) => {
                let taken = take(input, *left);
                out.extend_from_slice(taken);
                *left -= taken.len() as u64;
                taken.len()
            }
            State::Chunked(chunked) => chunked.push(input, out)?,
        };
        Ok(Progress {
            consumed,
            done: self.is_done(),
        })
    }
}

/// The first `most` bytes of `input`, or all of it.
fn take(input: &[u8], most: u64) -> &[u8] {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    &input[..input.len().min(most)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes `input` pushed in pieces of the sizes given, then in one piece: content and bytes
    /// consumed, `None` if the input ends first.
    fn decode(
        framing: Framing,
        max: u64,
        input: &[u8],
        sizes: &[usize],
    ) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let mut decoder = Decoder::new(framing, max)?;
        let mut out = Vec::new();
        let mut at = 0;
        let mut sizes = sizes.iter();
        while !decoder.is_done() {
            let size = sizes
                .next()
                .copied()
                .unwrap_or(usize::MAX)
                .min(input.len() - at);
            if size == 0 && at == input.len() {
                return Ok(None);
            }
            let progress = decoder.push(&input[at..at + size], &mut out)?;
            assert_eq!(progress.done, decoder.is_done());
            assert!(progress.done || progress.consumed == size);
            at += progress.consumed;
        }
        Ok(Some((out, at)))
    }

    #[test]
    fn a_length_is_counted_and_what_follows_is_left_alone() {
        let whole = |content: &[u8]| Ok(Some((content.to_vec(), content.len())));
        let cases: [(Framing, &[u8], _); 6] = [
            (Framing::None, b"GET", whole(b"")),
            (Framing::Length(0), b"GET", whole(b"")),
            (Framing::Length(3), b"abcGET", whole(b"abc")),
            (Framing::Length(3), b"ab", Ok(None)),
            (Framing::Length(11), b"", Err(Refusal::TooLarge)),
            (Framing::Length(u64::MAX), b"", Err(Refusal::TooLarge)),
        ];
        for (framing, input, expected) in cases {
            assert_eq!(decode(framing, 10, input, &[]), expected, "{framing:?}");
        }
    }

    #[test]
    fn chunked_bodies() {
        let cases: [(&[u8], Option<&[u8]>); 11] = [
            (b"0\r\n\r\n", Some(b"")),
            (b"3\r\nabc\r\n0\r\n\r\n", Some(b"abc")),
            (b"0000000000000003\r\nabc\r\n0\r\n\r\n", Some(b"abc")),
            (b"A\r\n0123456789\r\n0\r\n\r\n", Some(b"0123456789")),
            (b"a\r\n0123456789\r\n000\r\n\r\n", Some(b"0123456789")),
            (
                b"1;x\r\na\r\n2 ;y=\"z\"\r\nbc\r\n0\t; \xE9\r\n\r\n",
                Some(b"abc"),
            ),
            (b"1\r\n\n\r\n1\r\n\r\r\n0\r\n\r\n", Some(b"\n\r")),
            (b"0\r\nX-Sum: \t\xE9\r\nY:\r\n\r\n", Some(b"")),
            (b"3\r\nabc\r\n0\r\n", None),
            (b"3\r\nabc\r\n0\r\nX: y\r\n", None),
            (b"3\r\nab", None),
        ];
        for (input, content) in cases {
            let input_and_next = [
                input,
                if content.is_some() {
                    b"0\r\n\r\nGET"
                } else {
                    b""
                },
            ]
            .concat();
            let expected = content.map(|content| (content.to_vec(), input.len()));
            assert_eq!(
                decode(Framing::Chunked, 10, &input_and_next, &[]),
                Ok(expected),
                "{}",
                input.escape_ascii()
            );
        }
    }

    #[test]
    fn chunked_bodies_that_are_refused() {
        let (extension, trailer) = (
            [b"1".as_slice(), &[b';'; 257]].concat(),
            [b"0\r\nX: ".as_slice(), &[b'a'; 4096]].concat(),
        );
        let cases: [(&[u8], Refusal); 27] = [
            (b"\r\n", Refusal::Chunk),
            (b";x\r\n", Refusal::Chunk),
            (b" 1\r\n", Refusal::Chunk),
            (b"+1\r\n", Refusal::Chunk),
            (b"-1\r\n", Refusal::Chunk),
            (b"0x1\r\n", Refusal::Chunk),
            (b"1_0\r\n", Refusal::Chunk),
            (b"1g\r\n", Refusal::Chunk),
            (b"00000000000000001\r\n", Refusal::Chunk),
            (b"1 \r\n", Refusal::Chunk),
            (b"1 x\r\n", Refusal::Chunk),
            (b"1\n", Refusal::Chunk),
            (b"1\rx", Refusal::Chunk),
            (b"1;a\n", Refusal::Chunk),
            (b"1;a\rb", Refusal::Chunk),
            (b"1;a\0", Refusal::Chunk),
            (&extension, Refusal::Chunk),
            (b"1\r\nab", Refusal::Chunk),
            (b"1\r\na\n", Refusal::Chunk),
            (b"1\r\na\rb", Refusal::Chunk),
            (b"b\r\n", Refusal::TooLarge),
            (b"9\r\n123456789\r\n2\r\n", Refusal::TooLarge),
            (b"ffffffffffffffff\r\n", Refusal::TooLarge),
            (b"0\r\n X: y\r\n", Refusal::Trailer),
            (b"0\r\nX : y\r\n", Refusal::Trailer),
            (b"0\r\nX: y\n", Refusal::Trailer),
            (&trailer, Refusal::Trailer),
        ];
        for (input, expected) in cases {
            assert_eq!(
                decode(Framing::Chunked, 10, input, &[]),
                Err(expected),
                "{}",
                input.escape_ascii()
            );
        }
    }

    #[test]
    fn a_chunk_too_large_is_refused_before_its_line_ends() {
        assert_eq!(
            decode(Framing::Chunked, 10, b"b", &[]),
            Err(Refusal::TooLarge)
        );
    }

    proptest! {
        /// Chunks of any sizes, one byte of them changed: any split gives what one piece gives.
        #[test]
        fn any_split_gives_the_same_result(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..5),
            change in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            sizes in proptest::collection::vec(0_usize..6, 0..60),
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:x} ;a=b\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n");
            if let Some((at, byte)) = change {
                *at.get_mut(&mut input) = byte;
            }
            let whole = decode(Framing::Chunked, 60, &input, &[]);
            prop_assert_eq!(&decode(Framing::Chunked, 60, &input, &sizes), &whole);
            if change.is_none() {
                let content = chunks.concat();
                let expected = if content.len() > 60 { Err(Refusal::TooLarge) } else { Ok(Some((content, input.len() - 16))) };
                prop_assert_eq!(whole, expected);
            }
        }
    }
}

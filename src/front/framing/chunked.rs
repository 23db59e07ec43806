//! The chunked transfer coding, octet by octet (RFC 9112 §7.1).
//!
//! ```text
//! Size ─▶ (Padding ─▶) Extension ─▶ SizeLf ─┬─▶ Content ─▶ ContentCr ─▶ ContentLf ─▶ Size
//!                                           └─▶ Trailer(Start ─▶ Name ─▶ Value ─▶ ValueLf ─▶ Start) ─▶ FinalLf ─▶ Done
//! ```

use crate::front::head::{Refusal, is_field_content, is_tchar};

/// Hexadecimal digits of a chunk size: what a `u64` holds.
const MAX_SIZE_DIGITS: u8 = 16;

/// Bytes of one chunk's extensions, the whitespace before them included.
const MAX_EXTENSION_BYTES: usize = 256;

/// Bytes of the trailer section.
const MAX_TRAILER_BYTES: usize = 4 * 1024;

/// Where in a chunked body the next octet stands.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Content bytes that further chunks may bring.
    allowance: u64,
    /// The size of the chunk at hand, then what of it is still to come.
    chunk: u64,
    /// Bytes of this chunk's extensions, then of the trailer section.
    dropped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a chunk size, so many digits read.
    Size(u8),
    /// In the whitespace that may stand before an extension, and before an extension only.
    Padding,
    Extension,
    SizeLf,
    Content,
    ContentCr,
    ContentLf,
    Trailer(Trailer),
    FinalLf,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trailer {
    Start,
    Name,
    Value,
    ValueLf,
}

impl Chunked {
    pub(super) fn new(max_body_bytes: u64) -> Chunked {
        Chunked {
            state: State::Size(0),
            allowance: max_body_bytes,
            chunk: 0,
            dropped: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Answers how many bytes of `input` belong to the body.
    pub(super) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut rest = input;
        while let [octet, behind @ ..] = rest {
            match self.state {
                State::Done => break,
                State::Content => rest = self.take_content(rest, out),
                _ => {
                    self.state = self.step(*octet)?;
                    rest = behind;
                }
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Appends what there is of the chunk at hand; answers what stands behind it.
    fn take_content<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let content = super::take(input, self.chunk);
        out.extend_from_slice(content);
        self.chunk -= content.len() as u64;
        if self.chunk == 0 {
            self.state = State::ContentCr;
        }
        &input[content.len()..]
    }

    /// The state after one octet of framing.
    fn step(&mut self, octet: u8) -> Result<State, Refusal> {
        match (self.state, octet) {
            (State::Size(digits), _) if octet.is_ascii_hexdigit() => self.take_digit(digits, octet),
            (State::Size(1..), b'\r') => Ok(State::SizeLf),
            // RFC 9112 §7.1.1: BWS may precede the semicolon, and must be read.
            (State::Size(1..) | State::Padding, b' ' | b'\t') => self.drop_octet(State::Padding),
            (State::Size(1..) | State::Padding, b';') => self.drop_octet(State::Extension),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, _) if is_field_content(octet) => self.drop_octet(State::Extension),
            (State::SizeLf, b'\n') => {
                self.dropped = 0;
                // `take_digit` saw that the chunk fits.
                self.allowance -= self.chunk;
                Ok(if self.chunk == 0 {
                    State::Trailer(Trailer::Start)
                } else {
                    State::Content
                })
            }
            (State::ContentCr, b'\r') => Ok(State::ContentLf),
            (State::ContentLf, b'\n') => Ok(State::Size(0)),
            (State::Trailer(Trailer::Start), b'\r') => Ok(State::FinalLf),
            (State::FinalLf, b'\n') => Ok(State::Done),
            (State::Trailer(part), _) => self.step_trailer(part, octet),
            (State::FinalLf, _) => Err(Refusal::Trailer),
            _ => Err(Refusal::Chunk),
        }
    }

    fn take_digit(&mut self, digits: u8, octet: u8) -> Result<State, Refusal> {
        if digits == MAX_SIZE_DIGITS {
            return Err(Refusal::Chunk);
        }
        if digits == 0 {
            self.chunk = 0;
        }
        let digit = char::from(octet).to_digit(16).map_or(0, u64::from);
        // Sixteen digits fill the 64 bits exactly, so no bit is shifted out.
        self.chunk = self.chunk << 4 | digit;
        if self.chunk > self.allowance {
            Err(Refusal::TooLarge)
        } else {
            Ok(State::Size(digits + 1))
        }
    }

    fn drop_octet(&mut self, next: State) -> Result<State, Refusal> {
        self.dropped += 1;
        if self.dropped > MAX_EXTENSION_BYTES {
            Err(Refusal::Chunk)
        } else {
            Ok(next)
        }
    }

    /// RFC 9112 §7.1.2: field lines, held to what [`crate::front::head`] asks of them, then forgotten.
    fn step_trailer(&mut self, part: Trailer, octet: u8) -> Result<State, Refusal> {
        self.dropped += 1;
        if self.dropped > MAX_TRAILER_BYTES {
            return Err(Refusal::Trailer);
        }
        let next = match (part, octet) {
            (Trailer::Start | Trailer::Name, _) if is_tchar(octet) => Trailer::Name,
            (Trailer::Name, b':') => Trailer::Value,
            (Trailer::Value, b'\r') => Trailer::ValueLf,
            (Trailer::Value, _) if is_field_content(octet) => Trailer::Value,
            (Trailer::ValueLf, b'\n') => Trailer::Start,
            _ => return Err(Refusal::Trailer),
        };
        Ok(State::Trailer(next))
    }
}

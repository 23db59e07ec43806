//! The bytes of replies that wait for slow clients, and how many they are.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;

/// Bytes that may wait, all together. Beyond it the client that has been stuck longest is cut.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The count of what waits. Memory several clients wait for, like a stored body, is one piece of memory and counts once.
/// Clones share the count.
#[derive(Clone, Default)]
pub(super) struct Outbox(Arc<Mutex<Waiting>>);

/// What waits, by where its memory ends: a part that is sent in part is shorter from the front.
#[derive(Default)]
struct Waiting {
    bytes: usize,
    pieces: HashMap<usize, Piece>,
}

#[derive(Default)]
struct Piece {
    bytes: usize,
    holders: usize,
}

/// A client's share in the count; dropping it gives it back. The memory has to stay at least as long.
pub(super) struct Hold {
    outbox: Outbox,
    end: usize,
}

/// Bytes on their way to a client. A part that is sent in part still holds all of its memory, and counts for it.
pub(super) struct Part {
    /// Before `left`, so that it is dropped before the memory can become something else.
    _hold: Hold,
    left: Bytes,
}

impl Outbox {
    /// Counts these bytes until the hold is dropped.
    pub(super) fn hold(&self, memory: &[u8]) -> Hold {
        let end = memory.as_ptr_range().end.addr();
        let waiting = &mut *self.0.lock();
        let piece = waiting.pieces.entry(end).or_default();
        piece.holders += 1;
        let more = memory.len().saturating_sub(piece.bytes);
        piece.bytes += more;
        waiting.bytes += more;
        Hold {
            outbox: self.clone(),
            end,
        }
    }

    /// Keeps these bytes for a client.
    pub(super) fn keep(&self, left: Bytes) -> Part {
        Part {
            _hold: self.hold(&left),
            left,
        }
    }

    /// True while more waits than may.
    pub(super) fn is_over(&self) -> bool {
        self.0.lock().bytes > MAX_BYTES
    }
}

impl Part {
    /// What the client has not taken yet.
    pub(super) fn left(&self) -> &[u8] {
        &self.left
    }

    /// The client took so many.
    pub(super) fn advance(&mut self, taken: usize) {
        self.left.advance(taken);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let waiting = &mut *self.outbox.0.lock();
        let Some(piece) = waiting.pieces.get_mut(&self.end) else {
            return;
        };
        piece.holders -= 1;
        if piece.holders == 0 {
            waiting.bytes -= piece.bytes;
            waiting.pieces.remove(&self.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_wait_for_counts_once_until_the_last_has_it() {
        let outbox = Outbox::default();
        let waiting = || outbox.0.lock().bytes;
        let body = Bytes::from(vec![b'a'; 1000]);
        let mut first = outbox.keep(body.slice(100..));
        let second = outbox.keep(body.clone());
        let other = outbox.keep(Bytes::from(vec![b'b'; 10]));
        assert_eq!(waiting(), 1010);
        first.advance(900);
        assert!(first.left().is_empty());
        drop(second);
        assert_eq!(waiting(), 1010, "one of them still holds it");
        drop(first);
        assert_eq!(waiting(), 10);
        drop(other);
        assert_eq!((waiting(), outbox.0.lock().pieces.len()), (0, 0));
    }
}

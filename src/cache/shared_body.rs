//! A response body with any number of readers: one growing list of chunks that never change.
//!
//! ```text
//! push ──▶ chunks ──▶ complete: every reader comes to the end
//!             └─────▶ fail:     every reader is cut, wherever it is
//! ```
//!
//! A body keeps all its chunks until it is made a window ([`SharedBody::window`]): from then on it forgets what lies further
//! behind than followers may be, a reader that needs a forgotten chunk is cut, and one reader sets the pace.
//! Out of scope: threads, and what a reader does with its bytes. The lock is a leaf: nothing else is locked under it, and
//! listeners are told without it.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::sync::{Condvar, Mutex};

/// Bytes a follower may be behind a body that is a window; further behind, it is cut.
pub const MAX_BEHIND: u64 = 1024 * 1024;
/// Bytes the reader that sets the pace may be behind before the next chunk waits for it.
pub const MAX_LAG: u64 = 256 * 1024;

/// A body.
#[derive(Default)]
pub struct SharedBody {
    /// Protects: the chunks, and who reads them. Held for a bounded time, never across IO.
    state: Mutex<State>,
    /// Signals: a reader took bytes, or has left.
    taken: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// The number of the first chunk that is kept.
    first: u64,
    /// Where in the body that one begins.
    begins_at: u64,
    /// Bytes pushed so far.
    length: u64,
    end: Option<End>,
    /// No more than [`MAX_BEHIND`] is kept.
    is_window: bool,
    /// How many bytes each reader has taken.
    readers: HashMap<u64, u64>,
    next_reader: u64,
    /// The reader that a window waits for: the leader, then the one furthest ahead.
    pace: Option<u64>,
    listeners: Vec<Arc<dyn Listener>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Failed,
}

/// Is told that there is more to read, or the end. Once for all the readers it serves.
pub trait Listener: Send + Sync {
    /// A body it listens to has grown or ended. Never waits, and reads nothing before it returns.
    fn grew(&self);
}

/// One reader of a body, at its own place in it.
pub struct Reader {
    body: Arc<SharedBody>,
    number: u64,
    /// The number of the next chunk.
    next: u64,
    /// Bytes taken so far, or passed over.
    at: u64,
    /// It is given these bytes only.
    range: Range<u64>,
}

/// How a reader goes on after what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more already.
    More,
    /// Its listener is told when there is more.
    Wait,
    /// The body is complete, and it has all of it.
    End,
    /// The body is broken, or what comes next is forgotten: it gets no further byte.
    Cut,
}

/// Whether a chunk may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// At once.
    Free,
    /// The reader that sets the pace is too far behind.
    Full,
    /// Nobody reads.
    Unread,
}

impl SharedBody {
    /// An empty body that keeps all of its chunks.
    pub fn new() -> Arc<SharedBody> {
        Arc::default()
    }

    /// An empty body that is a window from the beginning: for one reader, who sets the pace.
    pub fn windowed() -> Arc<SharedBody> {
        let body = SharedBody::new();
        body.window();
        body
    }

    /// A reader that begins with the first byte. `None`: that is forgotten, or the body is broken.
    pub fn reader(self: &Arc<SharedBody>) -> Option<Reader> {
        let mut state = self.state.lock();
        if state.first > 0 || state.end == Some(End::Failed) {
            return None;
        }
        let number = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(number, 0);
        state.pace.get_or_insert(number);
        drop(state);
        Some(Reader {
            body: Arc::clone(self),
            number,
            next: 0,
            at: 0,
            range: 0..u64::MAX,
        })
    }

    /// How many read it.
    pub fn readers(&self) -> usize {
        self.state.lock().readers.len()
    }

    /// Whether it is complete or broken.
    pub fn is_over(&self) -> bool {
        self.state.lock().end.is_some()
    }

    /// Bytes pushed so far.
    pub fn length(&self) -> u64 {
        self.state.lock().length
    }

    /// Adds a chunk. An empty one is nothing.
    pub fn push(&self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let listeners = {
            let mut state = self.state.lock();
            if state.end.is_some() {
                return;
            }
            state.length += chunk.len() as u64;
            state.chunks.push_back(chunk);
            if state.is_window {
                state.forget();
            }
            state.listeners.clone()
        };
        listeners.iter().for_each(|listener| listener.grew());
    }

    /// Tells this listener nothing more.
    pub fn forget(&self, listener: &Arc<dyn Listener>) {
        let mut state = self.state.lock();
        state
            .listeners
            .retain(|known| !Arc::ptr_eq(known, listener));
    }

    /// All of it was pushed.
    pub fn complete(&self) {
        self.finish(End::Complete);
    }

    /// Nothing more comes, though it is not complete.
    pub fn fail(&self) {
        self.finish(End::Failed);
    }

    /// From now on it keeps no more than followers may be behind.
    pub fn window(&self) {
        let mut state = self.state.lock();
        state.is_window = true;
        state.forget();
    }

    /// Whether the next chunk may be pushed.
    pub fn room(&self) -> Room {
        self.state.lock().room()
    }

    /// Waits at most so long for a reader to take something or to leave, if the next chunk may not be pushed yet.
    pub fn wait_for_room(&self, most: Duration) -> Room {
        let mut state = self.state.lock();
        if state.room() == Room::Full {
            self.taken.wait_for(&mut state, most);
        }
        state.room()
    }

    /// How many bytes the reader that sets the pace has taken. `None`: nobody reads.
    pub fn pace(&self) -> Option<u64> {
        let state = self.state.lock();
        let pace = state.pace?;
        state.readers.get(&pace).copied()
    }

    /// The body in one piece, as far as it was pushed, with what is to be pushed last. `None`: part of it is forgotten.
    pub fn whole(&self, last: &Bytes) -> Option<Bytes> {
        let (chunks, length) = {
            let state = self.state.lock();
            if state.first > 0 {
                return None;
            }
            (state.chunks.clone(), state.length)
        };
        if let (true, Some(only), 1) = (last.is_empty(), chunks.front(), chunks.len()) {
            return Some(only.clone());
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(length).ok()? + last.len());
        for chunk in chunks.iter().chain([last]) {
            whole.extend_from_slice(chunk);
        }
        Some(whole.freeze())
    }

    fn finish(&self, end: End) {
        let listeners = {
            let mut state = self.state.lock();
            state.end.get_or_insert(end);
            std::mem::take(&mut state.listeners)
        };
        listeners.iter().for_each(|listener| listener.grew());
    }
}

impl State {
    /// Forgets whole chunks that lie too far behind.
    fn forget(&mut self) {
        while let Some(chunk) = self.chunks.front() {
            let after = self.begins_at + chunk.len() as u64;
            if self.length - after < MAX_BEHIND {
                return;
            }
            self.begins_at = after;
            self.first += 1;
            self.chunks.pop_front();
        }
    }

    fn room(&self) -> Room {
        match self.pace.and_then(|pace| self.readers.get(&pace)) {
            None if self.readers.is_empty() => Room::Unread,
            Some(at) if self.is_window && self.length - at > MAX_LAG => Room::Full,
            _ => Room::Free,
        }
    }
}

impl Reader {
    /// The body it reads.
    pub fn body(&self) -> &Arc<SharedBody> {
        &self.body
    }

    /// The same reader, given these bytes only. Before it has taken any.
    pub fn only(mut self, range: Range<u64>) -> Reader {
        self.range = range;
        self
    }

    /// Has `listener` told when there is more, unless it is told already.
    pub fn listen(&self, listener: &Arc<dyn Listener>) {
        let is_over = {
            let mut state = self.body.state.lock();
            let is_known = state
                .listeners
                .iter()
                .any(|known| Arc::ptr_eq(known, listener));
            let is_over = state.end.is_some();
            if !is_known && !is_over {
                state.listeners.push(Arc::clone(listener));
            }
            is_over
        };
        if is_over {
            listener.grew();
        }
    }

    /// Takes the next chunks, until there are `most` bytes or a little more.
    pub fn take(&mut self, most: usize, into: &mut Vec<Bytes>) -> Next {
        let mut state = self.body.state.lock();
        if state.end == Some(End::Failed) || self.next < state.first {
            return Next::Cut;
        }
        let mut taken = 0;
        let before = self.at;
        while taken < most && self.at < self.range.end {
            let place = usize::try_from(self.next - state.first).unwrap_or(usize::MAX);
            let Some(chunk) = state.chunks.get(place) else {
                break;
            };
            let wanted = self.wanted(chunk);
            taken += wanted.len();
            if !wanted.is_empty() {
                into.push(wanted);
            }
            self.at += chunk.len() as u64;
            self.next += 1;
        }
        if self.at > before {
            state.readers.insert(self.number, self.at);
            if state.is_window {
                self.body.taken.notify_all();
            }
        }
        match state.end {
            _ if self.at >= self.range.end => Next::End,
            _ if self.at < state.length => Next::More,
            Some(End::Complete) => Next::End,
            _ => Next::Wait,
        }
    }
}

impl Reader {
    /// What it is given of the next chunk.
    fn wanted(&self, chunk: &Bytes) -> Bytes {
        let within = |place: u64| {
            let place = place.saturating_sub(self.at).min(chunk.len() as u64);
            usize::try_from(place).unwrap_or(chunk.len())
        };
        chunk.slice(within(self.range.start)..within(self.range.end))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.body.state.lock();
        state.readers.remove(&self.number);
        if state.pace == Some(self.number) {
            let ahead = state.readers.iter().max_by_key(|(_, at)| **at);
            state.pace = ahead.map(|(number, _)| *number);
        }
        self.body.taken.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Told(AtomicUsize);

    impl Listener for Told {
        fn grew(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(reader: &mut Reader) -> (Vec<u8>, Next) {
        let mut chunks = Vec::new();
        let next = reader.take(usize::MAX, &mut chunks);
        (chunks.concat(), next)
    }

    fn reader(body: &Arc<SharedBody>) -> Reader {
        body.reader()
            .expect("it may still be read from its beginning")
    }

    #[test]
    fn every_reader_gets_the_whole_body_whenever_it_joins() {
        let body = SharedBody::new();
        let mut early = reader(&body);
        assert_eq!(read(&mut early), (vec![], Next::Wait));
        body.push(Bytes::from_static(b"one "));
        body.push(Bytes::new());
        assert_eq!(read(&mut early), (b"one ".to_vec(), Next::Wait));
        let mut late = reader(&body);
        body.push(Bytes::from_static(b"two"));
        assert_eq!(read(&mut late), (b"one two".to_vec(), Next::Wait));
        body.complete();
        assert_eq!(read(&mut early), (b"two".to_vec(), Next::End));
        assert_eq!(read(&mut late), (vec![], Next::End));
        assert_eq!(read(&mut reader(&body)), (b"one two".to_vec(), Next::End));
        assert_eq!(
            body.whole(&Bytes::from_static(b"!")).as_deref(),
            Some(&b"one two!"[..])
        );
    }

    #[test]
    fn chunks_are_never_copied_for_a_reader() {
        let body = SharedBody::new();
        let chunk = Bytes::from(vec![7; 100]);
        body.push(chunk.clone());
        for _ in 0..2 {
            let mut chunks = Vec::new();
            reader(&body).take(1, &mut chunks);
            assert_eq!(chunks[0].as_ptr(), chunk.as_ptr());
        }
        let whole = body.whole(&Bytes::new());
        assert_eq!(whole.map(|whole| whole.as_ptr()), Some(chunk.as_ptr()));
    }

    #[test]
    fn a_range_is_given_its_bytes_only_and_needs_no_more() {
        for (range, expected) in [
            (0..3, &b"abc"[..]),
            (1..4, b"bcd"),
            (2..8, b"cdefgh"),
            (7..8, b"h"),
            (0..9, b"abcdefghi"),
        ] {
            let body = SharedBody::new();
            let mut reader = reader(&body).only(range.clone());
            let mut taken = Vec::new();
            for chunk in [&b"abc"[..], b"d", b"efghi"] {
                body.push(Bytes::copy_from_slice(chunk));
                let next = reader.take(1, &mut taken);
                let is_over = body.length() >= range.end;
                assert_eq!(next == Next::End, is_over, "{range:?}");
            }
            assert_eq!(taken.concat(), expected, "{range:?}");
        }
    }

    #[test]
    fn a_body_that_fails_cuts_its_readers_at_once_and_takes_no_new_one() {
        let body = SharedBody::new();
        let mut first = reader(&body);
        body.push(Bytes::from_static(b"half"));
        body.fail();
        body.complete();
        body.push(Bytes::from_static(b"more"));
        assert_eq!(read(&mut first), (vec![], Next::Cut));
        assert!(body.reader().is_none());
    }

    #[test]
    fn a_listener_is_told_once_for_each_chunk_and_of_the_end() {
        let body = SharedBody::new();
        let told = Arc::new(Told::default());
        let listener: Arc<dyn Listener> = told.clone();
        for _ in 0..3 {
            reader(&body).listen(&listener);
        }
        body.push(Bytes::from_static(b"a"));
        body.push(Bytes::from_static(b"b"));
        body.complete();
        assert_eq!(told.0.load(Ordering::Relaxed), 3);
        reader(&body).listen(&listener);
        assert_eq!(told.0.load(Ordering::Relaxed), 4, "it is over already");
    }

    #[test]
    fn a_window_waits_for_its_leader_and_cuts_followers_far_behind() {
        let body = SharedBody::new();
        let mut leader = reader(&body);
        let mut follower = reader(&body);
        let chunk = Bytes::from(vec![1; 128 * 1024]);
        body.push(chunk.clone());
        body.push(chunk.clone());
        body.push(chunk.clone());
        assert_eq!(body.room(), Room::Free, "all of it is kept");
        body.window();
        assert_eq!(body.room(), Room::Full);
        assert_eq!(body.wait_for_room(Duration::ZERO), Room::Full);
        assert_eq!(read(&mut leader).0.len(), 3 << 17);
        assert_eq!(body.room(), Room::Free);
        for _ in 0..6 {
            body.push(chunk.clone());
            read(&mut leader);
        }
        assert!(body.reader().is_none(), "its beginning is forgotten");
        let (bytes, next) = read(&mut follower);
        assert_eq!((bytes.len(), next), (0, Next::Cut));
        assert_eq!(body.whole(&Bytes::new()), None);
    }

    #[test]
    fn a_follower_not_too_far_behind_reads_on_and_sets_the_pace_when_the_leader_leaves() {
        let body = SharedBody::windowed();
        let mut leader = reader(&body);
        let mut follower = reader(&body);
        let chunk = Bytes::from(vec![1; 128 * 1024]);
        for _ in 0..4 {
            body.push(chunk.clone());
            read(&mut leader);
        }
        drop(leader);
        assert_eq!(body.room(), Room::Full, "the follower sets the pace now");
        assert_eq!(read(&mut follower), (vec![1; 4 << 17], Next::Wait));
        assert_eq!(body.room(), Room::Free);
        drop(follower);
        assert_eq!(body.room(), Room::Unread);
    }
}

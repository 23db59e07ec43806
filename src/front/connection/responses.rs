//! The responses a client is owed, in the order of its requests (RFC 9112 §9.3.2). Only the first is sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::front::unsent::Counted;

/// Segments looked at for one write.
const MOST_SEGMENTS: usize = 16;
/// Interim responses that may wait before one final response; more are dropped.
const MOST_INTERIM: usize = 16;
/// The number of what is no response to a request.
const NO_REQUEST: u64 = u64::MAX;

/// Bytes of a response that wait to be sent.
pub struct Segment {
    /// Counts them as unsent. `None`: they are not counted. Dropped before the bytes.
    pub counted: Option<Counted>,
    /// What is left of them.
    pub bytes: Bytes,
}

impl Segment {
    /// These bytes, not counted yet.
    pub fn new(bytes: Bytes) -> Segment {
        Segment {
            counted: None,
            bytes,
        }
    }
}

/// A part of a response.
pub struct Part {
    segments: [Option<Segment>; 2],
    stage: Stage,
    closes: bool,
}

/// How far a response is with a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// An interim response (RFC 9110 §15.2), before the final one. Dropped where that has begun, or its turn has not come.
    Interim,
    /// More follows.
    Begun,
    /// This is its end.
    Whole,
    /// It cannot be completed: the connection is cut.
    Broken,
}

impl Part {
    /// A whole response, or the rest of one. `closes`: the connection ends after it.
    pub fn whole(segments: [Option<Segment>; 2], closes: bool) -> Part {
        Part {
            segments,
            stage: Stage::Whole,
            closes,
        }
    }

    /// How far the response is with it.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether the connection ends after the response.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// The next bytes of a body.
    pub fn begun(segments: [Option<Segment>; 2]) -> Part {
        Part {
            segments,
            stage: Stage::Begun,
            closes: false,
        }
    }

    /// A part that is not the end.
    pub fn of(stage: Stage, segment: Option<Segment>, closes: bool) -> Part {
        Part {
            segments: [segment, None],
            stage,
            closes,
        }
    }
}

/// Is told what becomes of a response.
pub trait Watcher: Send + Sync {
    /// The client is gone, or sends nothing more.
    fn gone(&self);
}

/// The responses owed to one client.
#[derive(Default)]
pub(super) struct Responses {
    queue: VecDeque<Response>,
    /// Since when output waits, or when the client last took some. Means nothing while there is none.
    since: Duration,
}

struct Response {
    number: u64,
    segments: VecDeque<Segment>,
    watcher: Option<Arc<dyn Watcher>>,
    /// The final response has begun.
    begun: bool,
    whole: bool,
    closes: bool,
    interims: usize,
}

impl Responses {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// A response will be owed under this number.
    pub(super) fn push(&mut self, number: u64, closes: bool, now: Duration) {
        if self.queue.is_empty() {
            self.since = now;
        }
        self.queue.push_back(Response {
            number,
            segments: VecDeque::new(),
            watcher: None,
            begun: false,
            whole: false,
            closes,
            interims: 0,
        });
    }

    /// Something of our own to be sent behind all that is owed, that answers no request.
    pub(super) fn push_interim(&mut self, bytes: &'static [u8], now: Duration) {
        self.push(NO_REQUEST, false, now);
        let segment = Segment::new(Bytes::from_static(bytes));
        self.add(NO_REQUEST, Part::whole([Some(segment), None], false), now);
    }

    pub(super) fn watch(&mut self, number: u64, watcher: Arc<dyn Watcher>) {
        if let Some(response) = self
            .queue
            .iter_mut()
            .find(|response| response.number == number)
        {
            response.watcher = Some(watcher);
        }
    }

    /// Adds a part. False: that response is not owed, or is whole already.
    pub(super) fn add(&mut self, number: u64, part: Part, now: Duration) -> bool {
        let had_output = self.have_output();
        let Some(at) = self
            .queue
            .iter()
            .position(|response| response.number == number)
        else {
            return false;
        };
        let response = &mut self.queue[at];
        if response.whole {
            return false;
        }
        match part.stage {
            Stage::Interim if response.begun || at > 0 || response.interims >= MOST_INTERIM => {
                return false;
            }
            Stage::Interim => response.interims += 1,
            Stage::Begun => response.begun = true,
            Stage::Whole => {
                response.begun = true;
                response.whole = true;
            }
            Stage::Broken => {
                // Nothing may follow what was sent of it: the caller cuts.
                return false;
            }
        }
        response.closes |= part.closes;
        let added = part.segments.into_iter().flatten();
        response
            .segments
            .extend(added.filter(|segment| !segment.bytes.is_empty()));
        if !had_output {
            self.since = now;
        }
        true
    }

    /// The first response is complete, though it may have nothing to send.
    pub(super) fn have_output(&self) -> bool {
        self.queue
            .front()
            .is_some_and(|first| !first.segments.is_empty() || first.whole)
    }

    /// Since when output waits. `None`: there is none.
    pub(super) fn output_since(&self) -> Option<Duration> {
        self.have_output().then_some(self.since)
    }

    pub(super) fn output(&self) -> impl Iterator<Item = &[u8]> {
        let mut goes_on = true;
        self.queue
            .iter()
            .take_while(move |response| std::mem::replace(&mut goes_on, response.whole))
            .flat_map(|response| response.segments.iter())
            .map(|segment| segment.bytes.as_ref())
            .take(MOST_SEGMENTS)
    }

    /// So many bytes were taken; true when the last response before the end of the connection has left.
    pub(super) fn take(&mut self, mut taken: usize, now: Duration) -> bool {
        if taken > 0 {
            self.since = now;
        }
        while let Some(first) = self.queue.front_mut() {
            while let Some(segment) = first.segments.front_mut() {
                let of_this = segment.bytes.len().min(taken);
                segment.bytes.advance(of_this);
                taken -= of_this;
                if !segment.bytes.is_empty() {
                    break;
                }
                first.segments.pop_front();
            }
            if !first.whole || !first.segments.is_empty() {
                return false;
            }
            let closes = first.closes;
            self.queue.pop_front();
            if closes && self.queue.is_empty() {
                return true;
            }
        }
        // An idle connection holds no queue.
        self.queue = VecDeque::new();
        false
    }

    pub(super) fn unsent(&self) -> usize {
        let segments = self.queue.iter().flat_map(|response| &response.segments);
        segments.map(|segment| segment.bytes.len()).sum()
    }

    /// Bytes that wait of one response. `None`: it is not owed any more, or whole already.
    pub(super) fn unsent_of(&self, number: u64) -> Option<usize> {
        let mut responses = self.queue.iter();
        let response = responses.find(|response| response.number == number && !response.whole)?;
        Some(
            response
                .segments
                .iter()
                .map(|segment| segment.bytes.len())
                .sum(),
        )
    }

    pub(super) fn segments(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.queue
            .iter_mut()
            .flat_map(|response| response.segments.iter_mut())
    }

    pub(super) fn tell_gone(&self) {
        for response in &self.queue {
            if let Some(watcher) = &response.watcher {
                watcher.gone();
            }
        }
    }

    /// Drops all that is owed, and tells those who answer.
    pub(super) fn drop_all(&mut self) {
        self.tell_gone();
        self.queue = VecDeque::new();
    }
}

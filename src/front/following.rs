//! Responses that follow a growing body, as one worker serves them: it is woken once for each body that has grown.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::connection::{Connection, Part, Segment, Stage};
use super::mailbox::{Address, Mailbox, Message};
use super::render::Framing;
use crate::cache::shared_body::{Listener, Next, Reader, SharedBody};

/// Bytes of a growing body that wait in a connection; the rest waits in the body.
const AHEAD: usize = 64 * 1024;

/// A response whose body is read from one that grows.
pub(super) struct Following {
    number: u64,
    body: Reader,
    framing: Framing,
}

/// How a response goes on that follows a body.
pub(super) enum Step {
    /// It has been given bytes.
    Given,
    /// It waits for the body, or for its client.
    Waits,
    /// All of it was given.
    Over,
    /// Its body is broken. `true`: the end of the connection would be taken for the end of the body.
    Broken(bool),
}

/// The bodies a worker's connections follow.
#[derive(Default)]
pub(super) struct Bodies(HashMap<usize, Followed>);

struct Followed {
    news: Arc<News>,
    listener: Arc<dyn Listener>,
    readers: Vec<Address>,
}

/// Tells a worker that a body has grown, once until it looks.
pub(super) struct News {
    mailbox: Arc<Mailbox>,
    /// Keeps the place of the body taken, by which it is known.
    body: Arc<SharedBody>,
    is_told: AtomicBool,
}

/// The listener that bodies know.
struct Teller(Arc<News>);

impl Following {
    /// The response of that number, from this body.
    pub(super) fn new(number: u64, body: Reader, framing: Framing) -> Following {
        Following {
            number,
            body,
            framing,
        }
    }

    /// The number of the response.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether it is read from the body these are the news of.
    pub(super) fn follows(&self, news: &News) -> bool {
        Arc::ptr_eq(self.body.body(), &news.body)
    }

    /// Gives the connection what it may have of the body now.
    pub(super) fn step(&mut self, connection: &mut Connection, now: Duration) -> Step {
        let Some(waiting) = connection.unsent_of(self.number) else {
            return Step::Over;
        };
        let room = AHEAD.saturating_sub(waiting);
        if room == 0 {
            return Step::Waits;
        }
        let mut chunks: Vec<Bytes> = Vec::new();
        let next = self.body.take(room, &mut chunks);
        let is_given = !chunks.is_empty();
        for chunk in chunks {
            let before = self.framing.before(chunk.len()).map(Segment::new);
            let chunk = Some(Segment::new(chunk));
            connection.respond(self.number, Part::begun([before, chunk]), now);
            let after = self.framing.after().map(Segment::new);
            connection.respond(self.number, Part::begun([after, None]), now);
        }
        match next {
            Next::More | Next::Wait if is_given => Step::Given,
            Next::More | Next::Wait => Step::Waits,
            Next::Cut => Step::Broken(self.framing == Framing::Close),
            Next::End if self.framing.is_short() => Step::Broken(false),
            Next::End => {
                let last = self.framing.end().map(Segment::new);
                connection.respond(self.number, Part::of(Stage::Whole, last, false), now);
                Step::Over
            }
        }
    }
}

impl Bodies {
    /// This connection follows that body: the worker is told when it grows.
    pub(super) fn add(&mut self, following: &Following, to: Address, mailbox: &Arc<Mailbox>) {
        let body = following.body.body();
        let followed = self.0.entry(place(body)).or_insert_with(|| {
            let news = Arc::new(News {
                mailbox: Arc::clone(mailbox),
                body: Arc::clone(body),
                is_told: AtomicBool::new(false),
            });
            Followed {
                listener: Arc::new(Teller(Arc::clone(&news))),
                news,
                readers: Vec::new(),
            }
        });
        followed.readers.push(to);
        following.body.listen(&followed.listener);
    }

    /// Who follows the body that has grown.
    pub(super) fn take(&mut self, news: &News) -> Vec<Address> {
        news.is_told.store(false, Ordering::Release);
        let followed = self.0.get_mut(&place(&news.body));
        followed.map_or_else(Vec::new, |followed| std::mem::take(&mut followed.readers))
    }

    /// Those of them who still do. A body nobody here follows any more is forgotten.
    pub(super) fn give_back(&mut self, news: &News, readers: Vec<Address>) {
        let Some(followed) = self.0.get_mut(&place(&news.body)) else {
            return;
        };
        followed.readers.extend(readers);
        // What has ended tells nothing more, and whoever is behind takes the rest by itself.
        if followed.readers.is_empty() || news.body.is_over() {
            followed.news.body.forget(&followed.listener);
            self.0.remove(&place(&news.body));
        }
    }
}

impl Listener for Teller {
    fn grew(&self) {
        let news = &self.0;
        if !news.is_told.swap(true, Ordering::AcqRel) {
            news.mailbox.send(Message::Grew(Arc::clone(news)));
        }
    }
}

fn place(body: &Arc<SharedBody>) -> usize {
    Arc::as_ptr(body).addr()
}

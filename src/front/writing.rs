//! The writing half of a connection: replies in order, never waiting, by whoever has them.
//!
//! A thread that has bytes takes the right to write (`State::writing`), writes outside the lock, and gives it back; others
//! leave their bytes with the connection meanwhile. What the kernel does not take at once stays in the connection's outbox,
//! which the drain thread serves.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::conn::{Conn, Owed, Writer};
use super::guard::{self, Shut, Socket};

/// How an attempt to write went.
pub(super) enum Wrote {
    /// All that was ready is with the kernel.
    All,
    /// The client takes no more at the moment.
    Blocked,
    /// The client is gone.
    Dead,
}

impl Conn {
    /// Keeps tiny_http's writer until this turn's reply is out.
    pub(super) fn take_writer(&self, turn: u64, writer: Writer) {
        let mut state = self.state.lock();
        let at = state.position(turn).filter(|_| !state.dead);
        if let Some(owed) = at.and_then(|at| state.owed.get_mut(at)) {
            owed.writer = Some(writer);
        }
    }

    /// Replies whole: `now` at once where possible, then `later`.
    pub(super) fn reply(self: &Arc<Conn>, turn: u64, now: &[u8], later: Bytes, closes: bool) {
        let Some(mut writer) = self.begin_at_once(turn, closes) else {
            self.leave(turn, [Bytes::copy_from_slice(now), later], closes);
            return self.pump();
        };
        let mut sent = Attempt::default();
        sent.write(&mut writer, now);
        if sent.complete(now) && later.is_empty() {
            return self.finish(writer, closes);
        }
        let left = now
            .get(sent.taken..)
            .map(Bytes::copy_from_slice)
            .unwrap_or_default();
        self.put_back(writer, [left, later], sent, true);
        self.pump();
    }

    /// Replies on the connection's own thread, which may wait for its client; nothing else is owed. What waits counts as outbox,
    /// and the drain cuts this client like the others. False: the client is gone.
    pub(super) fn reply_here(self: &Arc<Conn>, socket: Socket, now: &[u8], later: &[u8]) -> bool {
        let drain = &self.gate.drain;
        let mut held = None;
        for part in [now, later] {
            let mut sent = 0;
            while let Some(rest) = part.get(sent..).filter(|rest| !rest.is_empty()) {
                match socket.send_now(rest) {
                    Ok(taken) => sent += taken,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        held.get_or_insert_with(|| {
                            [now, later].map(|part| drain.outbox().hold(part))
                        });
                        drain.watch(self);
                        // The drain cuts it before that.
                        let takes_more = socket.wait_writable(self.gate.limits.write_timeout * 2);
                        if !drain.leave(self) || !takes_more {
                            return false;
                        }
                    }
                    Err(_) => return false,
                }
            }
        }
        true
    }

    /// Adds an interim response before the reply of this turn. Dropped unless that is the next to be written, and has not begun.
    pub(super) fn announce(self: &Arc<Conn>, turn: u64, head: Bytes) {
        {
            let mut state = self.state.lock();
            let is_next = state.position(turn) == Some(0) && !state.dead;
            let Some(owed) = state.owed.front_mut().filter(|owed| is_next && !owed.begun) else {
                return;
            };
            owed.ready.push_back(self.gate.drain.outbox().keep(head));
        }
        self.pump();
    }

    /// Adds a part of a reply that is passed on as it comes; `last` when there is no more. False: the client is gone.
    pub(super) fn pass_on(self: &Arc<Conn>, turn: u64, part: Bytes, last: bool) -> bool {
        {
            let mut state = self.state.lock();
            let at = state.position(turn).filter(|_| !state.dead);
            let Some(owed) = at.and_then(|at| state.owed.get_mut(at)) else {
                return false;
            };
            owed.begun = true;
            owed.ready.push_back(self.gate.drain.outbox().keep(part));
            owed.whole = last;
        }
        self.pump();
        !self.state.lock().dead
    }

    /// Bytes of this reply that the client has not taken yet.
    pub(super) fn untaken(&self, turn: u64) -> usize {
        let state = self.state.lock();
        let owed = state.position(turn).and_then(|at| state.owed.get(at));
        owed.map_or(0, |owed| {
            owed.ready.iter().map(|part| part.left().len()).sum()
        })
    }

    /// Writes whatever is ready and in turn.
    pub(super) fn pump(self: &Arc<Conn>) {
        while let Some(mut owed) = self.take_first() {
            match owed.write_ready() {
                Wrote::All if owed.whole => {
                    let Some(writer) = owed.writer.take() else {
                        continue;
                    };
                    self.finish_one(writer, owed.closes);
                }
                Wrote::All => {
                    if self.give_back(owed) {
                        return;
                    }
                }
                Wrote::Blocked => {
                    self.give_back(owed);
                    self.changed.notify_all();
                    return self.gate.drain.serve(self);
                }
                Wrote::Dead => {
                    self.give_back(owed);
                    return self.cut();
                }
            }
        }
    }

    /// Begins the reply of this turn if it is the first, nothing is to be sent before it and nobody writes: with its writer, the
    /// caller has the right to write.
    fn begin_at_once(&self, turn: u64, closes: bool) -> Option<Writer> {
        let state = &mut *self.state.lock();
        if state.position(turn) != Some(0) || state.writing || state.dead {
            return None;
        }
        let owed = state
            .owed
            .front_mut()
            .filter(|owed| owed.ready.is_empty() && !owed.unflushed)?;
        let writer = owed.writer.take()?;
        owed.begun = true;
        owed.closes |= closes;
        state.writing = true;
        Some(writer)
    }

    fn leave(&self, turn: u64, parts: [Bytes; 2], closes: bool) {
        let mut state = self.state.lock();
        let at = state.position(turn).filter(|_| !state.dead);
        let Some(owed) = at.and_then(|at| state.owed.get_mut(at)) else {
            return;
        };
        owed.begun = true;
        owed.whole = true;
        owed.closes |= closes;
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        owed.ready
            .extend(parts.map(|part| self.gate.drain.outbox().keep(part)));
    }

    /// The first reply, with the right to write it, when it has something to write or is whole.
    fn take_first(&self) -> Option<Owed> {
        let mut state = self.state.lock();
        if state.writing || state.dead {
            return None;
        }
        let first = state.owed.front_mut()?;
        let due =
            first.writer.is_some() && (first.whole || first.unflushed || !first.ready.is_empty());
        if !due {
            return None;
        }
        let taken = std::mem::take(first);
        first.closes = taken.closes;
        first.begun = taken.begun;
        state.writing = true;
        Some(taken)
    }

    /// Returns an unfinished reply; true when nothing was added to it meanwhile.
    fn give_back(&self, mut unfinished: Owed) -> bool {
        let mut state = self.state.lock();
        state.writing = false;
        if state.dead {
            drop(state);
            drop(unfinished);
            drop(self.die());
            return true;
        }
        let Some(first) = state.owed.front_mut() else {
            return true;
        };
        let added = std::mem::take(&mut first.ready);
        let nothing = added.is_empty() && first.whole == unfinished.whole;
        unfinished.ready.extend(added);
        unfinished.whole |= first.whole;
        unfinished.closes |= first.closes;
        unfinished.begun |= first.begun;
        *first = unfinished;
        nothing
    }

    /// Keeps the rest of a reply of which a part was written at once; the caller had the right to write.
    fn put_back(&self, writer: Writer, parts: [Bytes; 2], sent: Attempt, whole: bool) {
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        let ready = parts
            .map(|part| self.gate.drain.outbox().keep(part))
            .collect();
        self.give_back(Owed {
            ready,
            writer: Some(writer),
            whole,
            unflushed: sent.unflushed,
            ..Owed::default()
        });
        if sent.dead {
            self.cut();
        }
    }

    /// The reply just written is complete; goes on with the next ones.
    fn finish(self: &Arc<Conn>, writer: Writer, closes: bool) {
        if self.finish_one(writer, closes) {
            self.pump();
        }
    }

    /// Retires the first reply; true when another is owed. The writer goes before the right to write does: the next writer of
    /// tiny_http waits for it.
    fn finish_one(&self, writer: Writer, closes: bool) -> bool {
        drop(writer);
        let mut state = self.state.lock();
        state.owed.pop_front();
        state.writing = false;
        let closes = closes && state.owed.is_empty();
        let more = !state.owed.is_empty();
        let dead = state.dead;
        drop(state);
        if closes {
            guard::shut(self, Shut::Writing);
        }
        if dead {
            drop(self.die());
        }
        self.changed.notify_all();
        more && !dead
    }
}

impl Owed {
    fn write_ready(&mut self) -> Wrote {
        let Some(writer) = self.writer.as_mut() else {
            return Wrote::All;
        };
        let mut sent = Attempt {
            unflushed: self.unflushed,
            ..Attempt::default()
        };
        sent.flush(writer);
        while let Some(part) = self.ready.front_mut() {
            if sent.dead || sent.unflushed {
                break;
            }
            sent.taken = 0;
            sent.write(writer, part.left());
            part.advance(sent.taken);
            if part.left().is_empty() {
                self.ready.pop_front();
            } else if sent.blocked {
                break;
            }
        }
        self.unflushed = sent.unflushed;
        match sent {
            Attempt { dead: true, .. } => Wrote::Dead,
            Attempt { blocked: true, .. }
            | Attempt {
                unflushed: true, ..
            } => Wrote::Blocked,
            _ => Wrote::All,
        }
    }
}

/// What became of an attempt to write without waiting.
#[derive(Default)]
struct Attempt {
    /// Bytes accepted.
    taken: usize,
    /// tiny_http's buffer holds some of them still.
    unflushed: bool,
    blocked: bool,
    dead: bool,
}

impl Attempt {
    fn complete(&self, bytes: &[u8]) -> bool {
        self.taken == bytes.len() && !self.unflushed && !self.dead
    }

    /// Writes until all is accepted or the socket would block.
    fn write(&mut self, writer: &mut Writer, bytes: &[u8]) {
        while let Some(rest) = bytes.get(self.taken..).filter(|rest| !rest.is_empty()) {
            match writer.write(rest) {
                Ok(0) => self.dead = true,
                Ok(taken) => self.taken += taken,
                Err(error) => self.note(&error),
            }
            if self.blocked || self.dead {
                return;
            }
        }
        self.unflushed = true;
        self.flush(writer);
    }

    fn flush(&mut self, writer: &mut Writer) {
        if !self.unflushed {
            return;
        }
        match writer.flush() {
            Ok(()) => self.unflushed = false,
            Err(error) => self.note(&error),
        }
    }

    fn note(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.blocked = true,
            io::ErrorKind::Interrupted => {}
            _ => self.dead = true,
        }
    }
}

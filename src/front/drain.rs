//! The drain: one thread that serves the outboxes of all slow clients with poll(2), and cuts those that take nothing.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::conn::Conn;
use super::guard;
use super::outbox::Outbox;
use crate::clock::Clock;
use crate::metrics::{Counters, RejectReason};

/// The door to the drain thread. Clones share it.
#[derive(Clone)]
pub(super) struct Drain(Arc<Shared>);

struct Shared {
    /// Protects: the clients that take no more at the moment, longest stuck first.
    stuck: Mutex<VecDeque<Stuck>>,
    outbox: Outbox,
    bell: PipeWriter,
    rung: AtomicBool,
    stopping: AtomicBool,
    counters: Arc<Counters>,
    clock: Clock,
    write_timeout: Duration,
}

struct Stuck {
    conn: Arc<Conn>,
    since: Duration,
    /// Its own thread waits for it, and writes; otherwise the drain does.
    watched: bool,
}

impl Drain {
    /// The drain, and the end of its bell for the thread that runs it.
    pub(super) fn new(
        clock: Clock,
        counters: Arc<Counters>,
        write_timeout: Duration,
    ) -> io::Result<(Drain, PipeReader)> {
        let (ear, bell) = io::pipe()?;
        let shared = Shared {
            stuck: Mutex::default(),
            outbox: Outbox::default(),
            bell,
            rung: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            counters,
            clock,
            write_timeout,
        };
        Ok((Drain(Arc::new(shared)), ear))
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// Takes care of a client that takes no more at the moment: goes on with its replies when it does, or cuts it.
    pub(super) fn serve(&self, conn: &Arc<Conn>) {
        let mut stuck = self.0.stuck.lock();
        if !stuck.iter().any(|known| known.is(conn, false)) {
            stuck.push_back(self.stuck_now(conn, false));
        }
        drop(stuck);
        self.ring();
    }

    /// Cuts a client when it must go, while its own thread waits for it to take more; until [`Drain::leave`].
    pub(super) fn watch(&self, conn: &Arc<Conn>) {
        self.0.stuck.lock().push_back(self.stuck_now(conn, true));
        self.ring();
    }

    /// Watches a client no more; false when it was cut.
    pub(super) fn leave(&self, conn: &Arc<Conn>) -> bool {
        let mut stuck = self.0.stuck.lock();
        let at = stuck.iter().position(|known| known.is(conn, true));
        at.and_then(|at| stuck.remove(at)).is_some()
    }

    /// Ends the thread, whatever is still waiting.
    pub(super) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
        self.ring();
    }

    /// The thread's work. Sleeps without a wake-up while nobody is stuck.
    pub(super) fn run(&self, mut ear: PipeReader) {
        while !self.0.stopping.load(Ordering::Acquire) {
            let stuck = self.served();
            let sockets: Vec<_> = stuck.iter().map(|conn| conn.socket).collect();
            let ready = guard::wait_writable(&sockets, ear.as_raw_fd(), self.patience());
            if self.0.rung.swap(false, Ordering::AcqRel) {
                let _ = ear.read(&mut [0; 1]);
            }
            for (conn, _) in stuck.iter().zip(ready).filter(|(_, ready)| *ready) {
                self.0.stuck.lock().retain(|known| !known.is(conn, false));
                conn.pump();
            }
            self.cut_the_stuck();
        }
    }

    fn ring(&self) {
        if !self.0.rung.swap(true, Ordering::AcqRel) {
            let _ = (&self.0.bell).write(&[0]);
        }
    }

    fn served(&self) -> Vec<Arc<Conn>> {
        let stuck = self.0.stuck.lock();
        stuck
            .iter()
            .filter(|known| !known.watched)
            .map(|known| Arc::clone(&known.conn))
            .collect()
    }

    fn stuck_now(&self, conn: &Arc<Conn>, watched: bool) -> Stuck {
        Stuck {
            conn: Arc::clone(conn),
            since: self.0.clock.now().mono,
            watched,
        }
    }

    fn patience(&self) -> Duration {
        let now = self.0.clock.now().mono;
        let Some(since) = self.0.stuck.lock().front().map(|first| first.since) else {
            return Duration::MAX;
        };
        // A client just cut gives its bytes back in a moment; only then is it known whether the next must go too.
        let left = if self.0.outbox.is_over() {
            Duration::ZERO
        } else {
            (since + self.0.write_timeout).saturating_sub(now)
        };
        left + Duration::from_millis(1)
    }

    /// Cuts those that took nothing for too long, and the one stuck longest while too much waits.
    fn cut_the_stuck(&self) {
        let mut over = self.0.outbox.is_over();
        loop {
            let now = self.0.clock.now().mono;
            let mut stuck = self.0.stuck.lock();
            let late = |first: &Stuck| over || now >= first.since + self.0.write_timeout;
            let Some(first) = stuck
                .front()
                .is_some_and(late)
                .then(|| stuck.pop_front())
                .flatten()
            else {
                return;
            };
            drop(stuck);
            if over && now < first.since + self.0.write_timeout {
                self.0.counters.rejections.note(RejectReason::Outbox);
            }
            over = false;
            self.0.counters.cut_clients.bump();
            log::debug!("cut {}: it takes nothing of its reply", first.conn.peer);
            first.conn.cut();
        }
    }
}

impl Stuck {
    fn is(&self, conn: &Arc<Conn>, watched: bool) -> bool {
        Arc::ptr_eq(&self.conn, conn) && self.watched == watched
    }
}

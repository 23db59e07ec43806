//! The timer: one thread that reports the deadlines of flights, and sweeps the store now and then.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::origin::permits::FlightId;
use crate::proxy::Proxy;

/// How often answers nobody may have any more are dropped from the store.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Deadlines to come.
pub struct Timer {
    /// Protects: the deadlines, and whether the thread should end.
    due: Mutex<Due>,
    changed: Condvar,
    clock: Clock,
}

#[derive(Default)]
struct Due {
    /// One per flight that is under way, and that of [`FlightId::TURN`].
    deadlines: BTreeSet<(Duration, FlightId)>,
    stopping: bool,
}

impl Timer {
    /// A timer without deadlines.
    pub fn new(clock: Clock) -> Timer {
        Timer {
            due: Mutex::default(),
            changed: Condvar::new(),
            clock,
        }
    }

    /// Reports this flight's deadline at this monotonic time.
    pub fn wake(&self, at: Duration, flight: FlightId) {
        let mut due = self.due.lock();
        let sooner = due.deadlines.first().is_none_or(|(first, _)| at < *first);
        due.deadlines.insert((at, flight));
        drop(due);
        if sooner {
            self.changed.notify_all();
        }
    }

    /// The flight is over.
    pub fn forget(&self, at: Duration, flight: FlightId) {
        self.due.lock().deadlines.remove(&(at, flight));
    }

    /// Looks at the clock again, after somebody moved it.
    pub fn look_again(&self) {
        self.changed.notify_all();
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.due.lock().stopping = true;
        self.changed.notify_all();
    }

    /// The thread's work.
    pub fn run(&self, proxy: &Proxy) {
        let mut sweep = self.clock.now().mono + SWEEP_EVERY;
        loop {
            let mut due = self.due.lock();
            if due.stopping {
                return;
            }
            let now = self.clock.now().mono;
            let first = due.deadlines.first().map(|(at, _)| *at);
            if first.is_some_and(|at| at <= now) {
                if let Some((_, flight)) = due.deadlines.pop_first() {
                    drop(due);
                    proxy.deadline(flight);
                }
            } else if sweep <= now {
                drop(due);
                proxy.sweep();
                sweep = now + SWEEP_EVERY;
            } else {
                let next = first.map_or(sweep, |at| at.min(sweep));
                self.changed.wait_for(&mut due, next - now);
            }
        }
    }
}

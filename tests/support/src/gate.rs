//! Waiting without sleeping: gates a test opens, and conditions polled with a deadline.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long any single wait may take before the test has failed. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A door that is closed until somebody opens it. Clones are the same door.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Gate {
        Gate::default()
    }

    /// A gate that was never closed.
    pub fn opened() -> Gate {
        let gate = Gate::closed();
        gate.open();
        gate
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate is open. `false`: it never was.
    pub fn pass(&self) -> bool {
        let open = self.0.0.lock().unwrap();
        *self
            .0
            .1
            .wait_timeout_while(open, PATIENCE, |open| !*open)
            .unwrap()
            .0
    }
}

/// Polls `condition` until it holds. `false`: not before [`PATIENCE`] ran out.
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    true
}

/// Holds a crowd's turn: tests with many connections or much traffic run one after another, so that each measures itself.
pub fn crowd_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

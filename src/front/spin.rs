//! A short wait for a client's next request without sleeping: to wake a thread costs more than to answer a hit.
//!
//! Only where it gains: a client that asks without pause, a processor to spare, and nobody else to give it to (decision 24).

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock::Clock;

/// A client asks without pause when its requests are less than this apart.
const PAUSE: Duration = Duration::from_millis(1);
/// The longest a thread waits without sleeping.
const LONGEST: Duration = Duration::from_micros(20);
/// Between two looks: short beside a system call, and kind to the processor's other half.
const HINTS: usize = 30;

/// Who may wait without sleeping, and who does.
pub(super) struct Spin {
    /// Processors this process may use.
    cores: usize,
    spinning: AtomicUsize,
}

impl Spin {
    /// For the processors of this machine, as far as this process may use them.
    pub(super) fn new() -> Spin {
        Spin {
            cores: thread::available_parallelism().map_or(1, NonZero::get),
            spinning: AtomicUsize::new(0),
        }
    }

    /// Looks for `ready` for a short while, if that may gain anything. `apart`: between the client's last two requests;
    /// `connections`: of all clients.
    pub(super) fn until(
        &self,
        ready: impl Fn() -> bool,
        apart: Option<Duration>,
        connections: usize,
        clock: &Clock,
    ) {
        if apart.is_none_or(|apart| apart >= PAUSE) || connections > self.cores {
            return;
        }
        // One processor stays for whoever has work, such as a client on this machine.
        if self.spinning.fetch_add(1, Ordering::Relaxed) + 1 < self.cores {
            let end = clock.now().mono + LONGEST;
            while !ready() && clock.now().mono < end {
                (0..HINTS).for_each(|_| std::hint::spin_loop());
            }
        }
        self.spinning.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const BUSY: Option<Duration> = Some(Duration::from_micros(50));

    /// How often a thread looks before it sleeps, where nothing comes.
    fn looks(cores: usize, spinning: usize, apart: Option<Duration>, connections: usize) -> usize {
        let spin = Spin {
            cores,
            spinning: AtomicUsize::new(spinning),
        };
        let (looks, clock) = (Cell::new(0), Clock::standing(Duration::ZERO));
        let ready = || {
            looks.set(looks.get() + 1);
            clock.skip(Duration::from_millis(1));
            false
        };
        spin.until(ready, apart, connections, &clock);
        assert_eq!(
            spin.spinning.load(Ordering::Relaxed),
            spinning,
            "its turn is given back"
        );
        looks.get()
    }

    #[test]
    fn a_client_without_pause_is_waited_for_and_no_longer_than_agreed() {
        assert_eq!(looks(2, 0, BUSY, 2), 1);
    }

    #[test]
    fn nobody_spins_for_a_client_that_pauses() {
        assert_eq!(looks(2, 0, Some(PAUSE), 1), 0);
        assert_eq!(looks(2, 0, None, 1), 0, "its first request");
    }

    #[test]
    fn nobody_spins_among_more_clients_than_processors() {
        assert_eq!(looks(2, 0, BUSY, 3), 0);
    }

    #[test]
    fn one_processor_is_left_to_others() {
        assert_eq!(looks(1, 0, BUSY, 1), 0, "the only one");
        assert_eq!(looks(2, 1, BUSY, 2), 0, "the last one");
        assert_eq!(looks(4, 2, BUSY, 4), 1);
        assert_eq!(looks(4, 3, BUSY, 4), 0);
    }
}

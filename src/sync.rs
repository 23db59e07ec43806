//! The locks of flights, bodies and store: parking_lot's, or the model checker's when built with `--cfg larder_shuttle`.

#[cfg(not(larder_shuttle))]
pub use parking_lot::{Condvar, Mutex};

#[cfg(larder_shuttle)]
pub use modelled::{Condvar, Mutex};

/// shuttle's lock in parking_lot's shape.
#[cfg(larder_shuttle)]
mod modelled {
    use std::sync::PoisonError;
    use std::time::Duration;

    use shuttle::sync::MutexGuard;

    /// As `parking_lot::Mutex`.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// As `parking_lot::Mutex::new`.
        pub fn new(value: T) -> Mutex<T> {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        /// As `parking_lot::Mutex::lock`, which knows no poison. Here all threads are one to std: it takes a thread that
        /// unlocks while another one unwinds for the one that panics.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// shuttle's condition in parking_lot's shape. No wait runs out of time.
    #[derive(Debug, Default)]
    pub struct Condvar(shuttle::sync::Condvar);

    impl Condvar {
        /// As a `parking_lot::Condvar::wait_for` that wakes without a reason: whoever waits looks again.
        pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, most: Duration) {
            let _ = (guard, most);
            shuttle::thread::yield_now();
        }

        /// As `parking_lot::Condvar::notify_all`.
        pub fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

//! The locks of flights and store: parking_lot's, or the model checker's when built with `--cfg larder_shuttle`.

#[cfg(not(larder_shuttle))]
pub use parking_lot::{Condvar, Mutex, MutexGuard};

#[cfg(larder_shuttle)]
pub use modelled::{Condvar, Mutex, MutexGuard};

/// shuttle's locks in parking_lot's shape.
#[cfg(larder_shuttle)]
mod modelled {
    use std::ops::{Deref, DerefMut};
    use std::sync::PoisonError;
    use std::time::Duration;

    /// As `parking_lot::Mutex`.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);
    /// As `parking_lot::MutexGuard`.
    pub struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);
    /// As `parking_lot::Condvar`; a wait never times out, so a lost wake-up is a deadlock the checker reports.
    #[derive(Debug, Default)]
    pub struct Condvar(shuttle::sync::Condvar);

    impl<T> Mutex<T> {
        /// As `parking_lot::Mutex::new`.
        pub fn new(value: T) -> Mutex<T> {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        /// As `parking_lot::Mutex::lock`, which knows no poison. Here all threads are one to std: it takes a thread that
        /// unlocks while another one unwinds for the one that panics.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
        }
    }

    impl Condvar {
        /// As `parking_lot::Condvar::new`.
        pub fn new() -> Condvar {
            Condvar::default()
        }

        /// As `parking_lot::Condvar::notify_all`.
        pub fn notify_all(&self) {
            self.0.notify_all();
        }

        /// As `parking_lot::Condvar::wait_for`, without the time running out.
        #[allow(clippy::unwrap_used, reason = "taken only here, and put back")]
        pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) {
            let inner = guard.0.take().unwrap();
            guard.0 = Some(self.0.wait(inner).unwrap_or_else(PoisonError::into_inner));
        }
    }

    #[allow(
        clippy::unwrap_used,
        reason = "taken only inside wait_for, which puts it back"
    )]
    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    #[allow(
        clippy::unwrap_used,
        reason = "taken only inside wait_for, which puts it back"
    )]
    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }
}

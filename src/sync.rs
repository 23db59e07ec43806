//! The lock of flights and store: parking_lot's, or the model checker's when built with `--cfg larder_shuttle`.

#[cfg(not(larder_shuttle))]
pub use parking_lot::Mutex;

#[cfg(larder_shuttle)]
pub use modelled::Mutex;

/// shuttle's lock in parking_lot's shape.
#[cfg(larder_shuttle)]
mod modelled {
    use std::sync::PoisonError;

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
}

//! Threads of our own.

use std::io;
use std::thread::JoinHandle;

/// Stack of a thread of ours.
const STACK: usize = 256 * 1024;

/// Starts a thread of ours: named, with a small stack.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("larder-{name}")).stack_size(STACK).spawn(work)
}

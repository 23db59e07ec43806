//! Threads of our own.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Stack of a thread of ours.
const STACK: usize = 256 * 1024;

/// Starts a thread of ours: named, with a small stack.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    start(name, Box::new(work))
}

/// For whatever work, so that std's part is in the program once and not for each thread.
fn start(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name(format!("larder-{name}"))
        .stack_size(STACK)
        .spawn(work)
}

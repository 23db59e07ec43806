//! Whether the system still gives what tiny_http takes for granted: it panics where it is refused a thread or a descriptor.
#![allow(unsafe_code)]

use std::io;
use std::net::TcpStream;
use std::thread::{self, Builder};

use libc::{c_int, pid_t};
use parking_lot::Mutex;

/// How often a thread that has ended is looked for at most; it is gone within microseconds.
const LOOKS: usize = 10_000;

/// Whether so many threads could be started now. They are: all at once, and are gone when this returns, so that what they took
/// is free again.
pub(crate) fn room_for_threads(count: usize) -> bool {
    let door = Mutex::new(());
    let begun: io::Result<Vec<pid_t>> = thread::scope(|scope| {
        let closed = door.lock();
        let wait = || {
            drop(door.lock());
            thread_id()
        };
        let threads: Vec<_> = (0..count)
            .map(|_| Builder::new().spawn_scoped(scope, wait))
            .collect();
        drop(closed);
        let join = |thread: io::Result<thread::ScopedJoinHandle<'_, pid_t>>| {
            thread?.join().map_err(|_| io::Error::other("it panicked"))
        };
        // All are joined, whatever becomes of some.
        threads
            .into_iter()
            .map(join)
            .collect::<Vec<_>>()
            .into_iter()
            .collect()
    });
    begun.is_ok_and(|ended| {
        ended.into_iter().for_each(wait_until_gone);
        true
    })
}

/// Whether the duplicate of this descriptor that tiny_http makes can be made.
pub(super) fn room_for_duplicate(stream: &TcpStream) -> bool {
    stream.try_clone().is_ok()
}

fn thread_id() -> pid_t {
    // SAFETY: takes and touches no memory.
    unsafe { libc::gettid() }
}

/// Waits until a thread that was joined is no more in the kernel's tables: until then it counts as one of the user's.
fn wait_until_gone(thread: pid_t) {
    // SAFETY: no signal is sent (0), it is only asked whether the thread is there; none of it touches memory.
    let is_there =
        || unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0 as c_int) } == 0;
    (0..LOOKS)
        .take_while(|_| is_there())
        .for_each(|_| thread::yield_now());
}

//! What the process may have, and what must be set before its first thread.
#![allow(unsafe_code)]

use super::MAX_DESCRIPTORS;

/// The soft limit on open descriptors, raised to the hard limit first.
pub(crate) fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a live rlimit for both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        let raised = libc::rlimit {
            rlim_cur: limit.rlim_max,
            rlim_max: limit.rlim_max,
        };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            limit = raised;
        }
    }
    usize::try_from(limit.rlim_cur)
        .unwrap_or(usize::MAX)
        .min(MAX_DESCRIPTORS)
}

/// The limit on threads of this user (`RLIMIT_NPROC`).
pub(crate) fn thread_limit() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a live rlimit.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &mut limit) } == 0;
    if known {
        usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
    } else {
        usize::MAX
    }
}

/// Sets the stack of threads std starts without being told a size (tiny_http's), in bytes, and keeps glibc from growing an
/// arena of memory for each thread and from keeping what was freed; musl does neither. The process must have no other thread yet.
pub(crate) fn prepare_process(stack: &str) {
    // SAFETY: no other thread can read the environment meanwhile.
    unsafe { std::env::set_var("RUST_MIN_STACK", stack) };
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets a number of the allocator's.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        // Fixed: glibc would raise it with the largest block freed, and then keep large bodies instead of returning them.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
    }
}

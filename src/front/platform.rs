//! What differs between operating systems: the limit on descriptors, and how much the kernel buffers for a slow client.

use std::io;

use socket2::Socket;

/// Unsent bytes the kernel keeps for one client. Small, so that every byte a client takes lets us write again soon, which is
/// how a slow client is told from one that takes nothing: with the default of megabytes a steady reader of 20 kB/s looks
/// dead for minutes.
const UNSENT_IN_KERNEL: u32 = 16 * 1024;

/// Raises the soft limit on open descriptors to the hard one; answers what holds now.
pub(super) fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // Some systems refuse "unlimited" here: then the soft limit stays.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let now = getrlimit(Resource::Nofile).current;
    now.map_or(usize::MAX, |now| usize::try_from(now).unwrap_or(usize::MAX))
}

/// Has the kernel buffer little for the clients accepted on this listener, who inherit the setting.
#[cfg(target_os = "linux")]
pub(super) fn buffer_little(listener: &Socket) -> io::Result<()> {
    listener.set_tcp_notsent_lowat(UNSENT_IN_KERNEL)
}

/// Has the kernel buffer little for the clients accepted on this listener, who inherit the setting. Without Linux's
/// TCP_NOTSENT_LOWAT, by a small send buffer.
#[cfg(not(target_os = "linux"))]
pub(super) fn buffer_little(listener: &Socket) -> io::Result<()> {
    listener.set_send_buffer_size(4 * UNSENT_IN_KERNEL as usize)
}

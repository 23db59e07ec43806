//! The guard before tiny_http's parser: this program's own `accept4`, `recv`, `send` and `close`.
//!
//! tiny_http 0.12 has no limits and no timeouts, and hangs, aborts or leaks on requests any client can send. It talks to its
//! sockets through std, and std through four functions of the C library. A definition of those in the program itself takes
//! precedence over the library's, as it does for `malloc` replacements. So:
//!
//! * `accept4` on a listener of ours survives every error, keeps to the limit on connections and makes the [`Conn`];
//! * `recv` on a client's socket hands tiny_http not the client's bytes but one *ticket* for each whole, lawful request
//!   ([`Conn::next_ticket`]): a request line of our own that names where the request waits;
//! * `send` on a client's socket never waits;
//! * `close` forgets the descriptor before its number can be used again.
//!
//! Every descriptor that is not a client's passes straight through to the kernel.
//!
//! # Why this is sound
//!
//! The four functions have the C library's signatures and keep its contract: the same results, `errno` set on -1, no byte
//! written beyond `len`, and no unwinding into the caller (`extern "C"` aborts; what they call catches panics first). Memory is
//! touched in two places only: `buf`, which the caller lends for `len` bytes, and the kernel's own calls. Descriptor numbers
//! are used by [`Socket`] while they are certainly open: in `recv` and `accept4` the caller holds them; elsewhere the caller
//! owns one of tiny_http's writers for that socket, or the descriptor's table entry is locked, and `close` locks it first.
//! A listener's `close` may run while tiny_http's accept thread unwinds: it sets a flag, wakes a thread, and cannot panic.
#![allow(unsafe_code)]

use std::io;
use std::mem::ManuallyDrop;
use std::net::{IpAddr, TcpStream};
use std::os::fd::{FromRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libc::{c_int, c_void, size_t, sockaddr, socklen_t, ssize_t};
use parking_lot::{Condvar, Mutex};

use super::acceptor::Door;
use super::conn::Conn;
use super::gate::Gate;
use super::render;
use crate::metrics::RejectReason;

mod process;
mod room;
mod socket;

pub(crate) use self::process::{descriptor_limit, prepare_process, thread_limit};
use self::room::room_for_duplicate;
pub(crate) use self::room::room_for_threads;
use self::socket::{NO_LEN, NONE};
pub(crate) use self::socket::{Socket, wait_writable};

const CHUNK: usize = 1024;
/// Descriptor numbers that can be guarded.
const MAX_DESCRIPTORS: usize = 64 * CHUNK;

/// What is known of a descriptor number. Unknown is looked into at its first `recv`.
enum Entry {
    Unknown,
    /// Not a client's: files, the origin's sockets, everything else.
    Foreign,
    Listener(Arc<Door>),
    Client(Arc<Conn>),
}

/// Descriptor number → [`Entry`], in chunks made when first needed. Protects: the meaning of each number until its close.
static TABLE: [OnceLock<Box<[Mutex<Entry>]>>; MAX_DESCRIPTORS / CHUNK] =
    [const { OnceLock::new() }; MAX_DESCRIPTORS / CHUNK];

/// Clients accepted whose reading end tiny_http has not used yet, by socket inode: it reads from a duplicate of the
/// accepted descriptor, and a duplicate shares the inode.
static ARRIVALS: Mutex<Vec<(u64, Arc<Conn>)>> = Mutex::new(Vec::new());
/// Signals: an arrival is read from, or gone.
static MET: Condvar = Condvar::new();
/// How long the next accept waits for the thread of the last client at most.
const MEETING: Duration = Duration::from_millis(100);

/// Puts the listener under guard: from here on its `accept4` is ours, and the door is closed when the descriptor is.
pub(crate) fn watch(listener: RawFd, door: Arc<Door>) {
    if let Some(entry) = entry_made(listener) {
        *entry.lock() = Entry::Listener(door);
    }
}

/// Ends `accept4` on this listener: it returns an error, which ends tiny_http's accept loop.
pub(crate) fn stop_listening(listener: RawFd) {
    Socket(listener).shutdown(libc::SHUT_RDWR);
}

/// Waits until a client can be accepted; false when none comes within the time.
pub(crate) fn wait_for_client(listener: RawFd, at_most: Duration) -> bool {
    Socket(listener).wait_readable(at_most)
}

/// Shuts a client's socket down, both ways or only the writing side, unless it is closed already.
pub(crate) fn shut(conn: &Conn, how: Shut) {
    let Some(entry) = entry_of(conn.socket.0) else {
        return;
    };
    let entry = entry.lock();
    if let Entry::Client(owner) = &*entry
        && std::ptr::eq(Arc::as_ptr(owner), conn)
    {
        conn.socket.shutdown(match how {
            Shut::Both => libc::SHUT_RDWR,
            Shut::Reading => libc::SHUT_RD,
            Shut::Writing => libc::SHUT_WR,
        });
    }
}

/// Which directions [`shut`] ends.
pub(crate) enum Shut {
    Both,
    Reading,
    Writing,
}

/// Every client connected now.
pub(crate) fn clients_of(gate: &Arc<Gate>) -> Vec<Arc<Conn>> {
    let chunks = TABLE
        .iter()
        .enumerate()
        .filter_map(|(at, chunk)| Some((at, chunk.get()?)));
    let entries = chunks.flat_map(|(at, chunk)| {
        chunk
            .iter()
            .enumerate()
            .map(move |(i, entry)| (at * CHUNK + i, entry))
    });
    entries
        .filter_map(|(fd, entry)| match &*entry.lock() {
            // Each client stands twice in the table: as accepted, and as the duplicate that tiny_http reads.
            Entry::Client(conn)
                if Arc::ptr_eq(&conn.gate, gate) && conn.socket.0 as usize == fd =>
            {
                Some(Arc::clone(conn))
            }
            _ => None,
        })
        .collect()
}

fn entry_of(fd: RawFd) -> Option<&'static Mutex<Entry>> {
    let fd = usize::try_from(fd).ok()?;
    TABLE.get(fd / CHUNK)?.get()?.get(fd % CHUNK)
}

fn entry_made(fd: RawFd) -> Option<&'static Mutex<Entry>> {
    let fd = usize::try_from(fd).ok()?;
    let chunk = TABLE
        .get(fd / CHUNK)?
        .get_or_init(|| (0..CHUNK).map(|_| Mutex::new(Entry::Unknown)).collect());
    chunk.get(fd % CHUNK)
}

fn inode(fd: RawFd) -> Option<u64> {
    // SAFETY: an all-zero stat is a valid value; the kernel fills it in.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        #[allow(clippy::unnecessary_cast, reason = "32 bits wide on some targets")]
        (libc::fstat(fd, &mut stat) == 0).then_some(stat.st_ino as u64)
    }
}

/// The client behind a descriptor that is read for the first time, or `None`: not one of ours.
fn recognise(fd: RawFd) -> Option<Arc<Conn>> {
    let inode = inode(fd)?;
    let mut arrivals = ARRIVALS.lock();
    let at = arrivals.iter().position(|(known, _)| *known == inode)?;
    let found = arrivals.swap_remove(at).1;
    MET.notify_all();
    Some(found)
}

/// Waits until tiny_http's thread for the last client has begun. Its pool counts a thread as free until that thread has
/// woken up: a client accepted in between is queued behind somebody else's connection, for as long as that lives.
fn meet_the_last(gate: &Arc<Gate>) {
    let mut arrivals = ARRIVALS.lock();
    while arrivals
        .iter()
        .any(|(_, conn)| Arc::ptr_eq(&conn.gate, gate))
    {
        if MET.wait_for(&mut arrivals, MEETING).timed_out() {
            return;
        }
    }
}

fn client(fd: RawFd) -> Option<Arc<Conn>> {
    let mut entry = entry_of(fd)?.lock();
    match &*entry {
        Entry::Client(conn) => Some(Arc::clone(conn)),
        Entry::Foreign | Entry::Listener(_) => None,
        Entry::Unknown => {
            let found = recognise(fd);
            *entry = found
                .as_ref()
                .map_or(Entry::Foreign, |conn| Entry::Client(Arc::clone(conn)));
            found
        }
    }
}

fn accept_for(
    door: &Door,
    listener: RawFd,
    addr: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    // SAFETY: `len` is null or the caller's live length, which the kernel both reads and writes.
    let room = if len.is_null() { 0 } else { unsafe { *len } };
    let gate = &door.gate;
    meet_the_last(gate);
    loop {
        if !len.is_null() {
            // SAFETY: as above.
            unsafe { *len = room };
        }
        // SAFETY: the caller's own arguments, handed on to the same call.
        let accepted = unsafe { libc::syscall(libc::SYS_accept4, listener, addr, len, flags) };
        let fd = match c_int::try_from(accepted) {
            Ok(fd) if fd >= 0 => fd,
            _ if gate.stopping() => return -1,
            _ => {
                gate.accept_failed(&io::Error::last_os_error());
                continue;
            }
        };
        if welcome(door, fd).is_some() {
            return fd;
        }
        close_now(fd);
    }
}

/// Makes the connection, or sends the refusal; `None`: close it.
fn welcome(door: &Door, fd: RawFd) -> Option<()> {
    let gate = &door.gate;
    // SAFETY: `fd` is open and ours; ManuallyDrop keeps this view from closing it.
    let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(fd) });
    let peer: IpAddr = stream.peer_addr().ok()?.ip().to_canonical();
    stream.set_nodelay(true).ok()?;
    stream
        .set_read_timeout(Some(gate.limits.keep_alive_timeout))
        .ok()?;
    match gate
        .admit(peer)
        .and_then(|place| room_for(&stream).map(|()| place))
    {
        Ok(place) => {
            let conn = Arc::new(Conn::new(door, Socket(fd), peer, place));
            let entry = entry_made(fd)?;
            ARRIVALS.lock().push((inode(fd)?, Arc::clone(&conn)));
            *entry.lock() = Entry::Client(conn);
            Some(())
        }
        Err(shed) => {
            gate.proxy.counters().rejections.note(shed);
            let _ = Socket(fd).send_now(&render::turned_away(shed));
            None
        }
    }
}

/// Whether tiny_http gets what it needs for this client. Others of this user may take it in between: then its thread dies, and
/// a successor takes over ([`super::acceptor`]).
fn room_for(stream: &TcpStream) -> Result<(), RejectReason> {
    if !room_for_duplicate(stream) {
        return Err(RejectReason::Descriptors);
    }
    if room_for_threads(1) {
        Ok(())
    } else {
        Err(RejectReason::Threads)
    }
}

fn forget(fd: RawFd) {
    let Some(entry) = entry_of(fd) else { return };
    let known = std::mem::replace(&mut *entry.lock(), Entry::Unknown);
    match known {
        Entry::Client(conn) if conn.socket.0 == fd => {
            ARRIVALS
                .lock()
                .retain(|(_, waiting)| !Arc::ptr_eq(waiting, &conn));
            MET.notify_all();
        }
        Entry::Listener(door) => door.close(),
        Entry::Client(_) | Entry::Foreign | Entry::Unknown => {}
    }
}

fn close_now(fd: RawFd) -> c_int {
    // SAFETY: takes no memory; the caller gives the descriptor up.
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

/// accept4(2), for listeners of ours with the limits of the [`Gate`].
#[unsafe(no_mangle)]
pub extern "C" fn accept4(
    fd: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    let door = entry_of(fd).and_then(|entry| match &*entry.lock() {
        Entry::Listener(door) => Some(Arc::clone(door)),
        _ => None,
    });
    match door {
        Some(door) => accept_for(&door, fd, addr, len, flags),
        // SAFETY: the caller's own arguments, handed on to the same call.
        None => unsafe { libc::syscall(libc::SYS_accept4, fd, addr, len, flags) as c_int },
    }
}

/// recv(2); on a client's socket the next ticket, or 0 when there will be none.
///
/// # Safety
/// As for recv(2): `buf` is writable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> ssize_t {
    let Some(conn) = client(fd) else {
        // SAFETY: the caller's own arguments, handed on to the same call.
        return unsafe { libc::recvfrom(fd, buf, len, flags, NONE, NO_LEN) };
    };
    // SAFETY: the caller lends `buf` for `len` bytes.
    let into = unsafe { std::slice::from_raw_parts_mut(buf.cast::<u8>(), len) };
    let written = catch_unwind(AssertUnwindSafe(|| conn.next_ticket(Socket(fd), into)))
        .unwrap_or_else(|_| {
            conn.cut();
            0
        });
    written.min(len) as ssize_t
}

/// send(2); on a client's socket it never waits.
///
/// # Safety
/// As for send(2): `buf` is readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(fd: c_int, buf: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    let ours = entry_of(fd).is_some_and(|entry| matches!(&*entry.lock(), Entry::Client(_)));
    let flags = if ours {
        flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL
    } else {
        flags
    };
    // SAFETY: the caller's own arguments, handed on to the same call.
    unsafe { libc::sendto(fd, buf, len, flags, std::ptr::null(), 0) }
}

/// close(2); the number is forgotten before it can be used again.
#[unsafe(no_mangle)]
pub extern "C" fn close(fd: c_int) -> c_int {
    forget(fd);
    close_now(fd)
}

//! A Unix socket at a path: made so that nobody connects before its mode is right, and so that no socket somebody answers on is
//! ever taken away.
//!
//! The socket is bound under a temporary name beside its path, gets mode 0600, and only then listens: before that the kernel
//! refuses every connection, so there is no moment with a wider mode, whatever the umask. A hard link then gives it its path, which
//! fails where the path exists; so two Larders that start at once cannot both have it, and a socket at the path always
//! listens, unless its process has ended.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

use super::BACKLOG;
use super::place::named;

/// How often the path may be found taken by a dead socket before that is an error.
const ATTEMPTS: u32 = 3;

/// The path of a socket that listens, which is removed by [`SocketFile::remove`] only while it is still that socket.
pub(super) struct SocketFile {
    pub(super) path: PathBuf,
    /// Device and inode. The number is not used again while the socket lives.
    file: (u64, u64),
}

/// Makes the socket. A dead socket at the path is replaced; a live one, and anything that is no socket, is an error.
pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let temporary = beside(path);
    let made = listen(&temporary).and_then(|listener| {
        let found = fs::symlink_metadata(&temporary)?;
        place(&temporary, path)?;
        let path = path.to_owned();
        let file = (found.dev(), found.ino());
        Ok((listener, SocketFile { path, file }))
    });
    let _ = fs::remove_file(&temporary);
    made.map_err(|error| named(path, &error))
}

/// Connects without waiting. `WouldBlock`: somebody listens, and too many wait already.
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_nonblocking(false)?;
    Ok(OwnedFd::from(socket).into())
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    Ok(OwnedFd::from(socket).into())
}

/// Gives the socket its path.
fn place(temporary: &Path, path: &Path) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        match fs::hard_link(temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => remove_dead(path)?,
            other => return other,
        }
    }
    Err(taken())
}

/// Removes a socket nobody listens on.
fn remove_dead(path: &Path) -> io::Result<()> {
    let Some(found) = present(fs::symlink_metadata(path))? else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "this is a file, not a socket",
        ));
    }
    refuse_live(path)?;
    // Another Larder may have replaced it since; so it is looked at again where nobody else looks.
    let aside = beside(path);
    if present(fs::rename(path, &aside))?.is_none() {
        return Ok(());
    }
    let dead = refuse_live(&aside);
    if dead.is_err() {
        // The other's goes back, unless a third has taken the path meanwhile.
        let _ = fs::hard_link(&aside, path);
    }
    fs::remove_file(&aside)?;
    dead
}

/// An error unless the socket is certainly dead.
fn refuse_live(path: &Path) -> io::Result<()> {
    match connect(path).map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound, _)) => Ok(()),
        Ok(_) | Err((io::ErrorKind::WouldBlock, _)) => Err(taken()),
        Err((_, error)) => Err(error),
    }
}

/// A name that is nobody else's in the directory of `path`.
fn beside(path: &Path) -> PathBuf {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{number}", std::process::id()));
    PathBuf::from(name)
}

/// `None` for what is not there any more.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn taken() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "another process answers there")
}

impl SocketFile {
    /// Removes the path, unless somebody else's socket has it now.
    pub(super) fn remove(&self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.file);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Folder {
            let path = beside(&std::env::temp_dir().join("larder-socket"));
            fs::create_dir(&path).expect("a directory");
            Folder(path)
        }

        fn path(&self) -> PathBuf {
            self.0.join("a.sock")
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).expect("a directory");
            entries
                .map(|entry| {
                    let name = entry.expect("an entry").file_name();
                    name.to_str().expect("a name").to_owned()
                })
                .collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn it_is_for_its_user_alone_and_leaves_nothing_behind() {
        let folder = Folder::new();
        let (_listener, file) = bind(&folder.path()).expect("a socket");
        let mode = fs::metadata(folder.path())
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(folder.names(), ["a.sock"]);
        UnixStream::connect(folder.path()).expect("it listens");
        file.remove();
        assert_eq!(folder.names(), Vec::<String>::new());
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let folder = Folder::new();
        drop(UnixListener::bind(folder.path()).expect("a socket"));
        assert!(connect(&folder.path()).is_err());
        let (listener, file) = bind(&folder.path()).expect("the dead one is replaced");
        let error = bind(&folder.path()).err().expect("the live one stays");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(connect(&folder.path()).is_ok(), "and still listens");
        assert_eq!(folder.names(), ["a.sock"]);
        drop(listener);
        let (_listener, _second) = bind(&folder.path()).expect("now it is dead");
        file.remove();
        assert!(
            connect(&folder.path()).is_ok(),
            "the first removes what is its own, not the second's"
        );
    }

    #[test]
    fn what_is_no_socket_stays() {
        let folder = Folder::new();
        fs::write(folder.path(), "precious").expect("a file");
        let error = bind(&folder.path()).err().expect("a file is in the way");
        assert!(error.to_string().contains("a.sock"), "{error}");
        assert_eq!(
            fs::read_to_string(folder.path()).expect("there"),
            "precious"
        );
        assert_eq!(folder.names(), ["a.sock"]);
    }

    /// Many at once: one has the path in the end, and it listens.
    #[test]
    fn of_many_that_start_at_once_over_a_dead_socket_one_has_the_path() {
        for _ in 0..20 {
            let folder = Folder::new();
            drop(UnixListener::bind(folder.path()).expect("a socket"));
            let made: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| bind(&folder.path()).ok()))
                    .collect();
                let made = threads.into_iter().map(|thread| thread.join());
                made.filter_map(|made| made.expect("no panic")).collect()
            });
            let owners = made
                .iter()
                .filter(|(_, file)| {
                    let found = fs::symlink_metadata(folder.path()).expect("a socket");
                    (found.dev(), found.ino()) == file.file
                })
                .count();
            assert_eq!(owners, 1, "{} made", made.len());
            assert_eq!(folder.names(), ["a.sock"]);
        }
    }
}

//! Where control sockets are: the server chooses one of these places, the commands look at all of them.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::socket;

/// The socket of a service manager's runtime directory, which is one Larder's alone.
const SERVICE_SOCKET: &str = "larder.sock";
/// Where the packaged service has its socket.
const SERVICE_DIRECTORY: &str = "/run/larder";
/// Other users can do nothing in a directory with these bits off.
const OTHERS: u32 = 0o077;

/// What decides where the sockets are.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `RUNTIME_DIRECTORY`, which systemd sets. `None`: no service manager gave one.
    pub runtime_directory: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`: the user's own. `None`: the user has none.
    pub user_directory: Option<PathBuf>,
    /// The system's directory for temporary files, which everybody may write to.
    pub temporary: PathBuf,
    /// The user this process runs as. `None`: the system does not say.
    pub user: Option<u32>,
}

/// A control socket that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path.
    pub path: PathBuf,
}

impl Environment {
    /// That of this process.
    pub fn of_this_process() -> Environment {
        let directory = |name: &str| {
            let value = std::env::var_os(name)?;
            // systemd separates several with colons; the first is the service's own.
            let first = std::env::split_paths(&value).next()?;
            first.is_absolute().then_some(first)
        };
        Environment {
            runtime_directory: directory("RUNTIME_DIRECTORY"),
            user_directory: directory("XDG_RUNTIME_DIR"),
            temporary: std::env::temp_dir(),
            user: fs::metadata("/proc/self").ok().map(|own| own.uid()),
        }
    }

    /// The path for the socket of a Larder on this port. Makes its directory where that is the user's own one below the
    /// temporary files.
    pub(super) fn socket_for(&self, port: u16) -> io::Result<PathBuf> {
        if let Some(directory) = &self.runtime_directory {
            return Ok(directory.join(SERVICE_SOCKET));
        }
        if let Some(directory) = self.own_user_directory() {
            return Ok(directory.join(name(port)));
        }
        let directory = self.private_directory().ok_or_else(unknown_user)?;
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(named(&directory, &error));
            }
            _ => {}
        }
        self.check_private(&directory)?;
        Ok(directory.join(name(port)))
    }

    /// The sockets at every place where a Larder of this user, or the service, has its own. Somebody need not listen there.
    pub fn sockets(&self) -> Vec<Found> {
        let services = self
            .runtime_directory
            .iter()
            .map(PathBuf::as_path)
            .chain([Path::new(SERVICE_DIRECTORY)]);
        let mut paths: Vec<PathBuf> = services
            .map(|directory| directory.join(SERVICE_SOCKET))
            .filter(|path| path.exists())
            .collect();
        let private = self
            .private_directory()
            .filter(|directory| self.check_private(directory).is_ok());
        for directory in self.own_user_directory().into_iter().chain(private) {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let mut found: Vec<PathBuf> = entries
                .map(|entry| entry.path())
                .filter(|path| is_named_so(path))
                .collect();
            found.sort();
            paths.append(&mut found);
        }
        paths.dedup();
        paths.into_iter().map(|path| Found { path }).collect()
    }

    /// `XDG_RUNTIME_DIR` if it is this user's: `sudo` may keep another's.
    fn own_user_directory(&self) -> Option<PathBuf> {
        let directory = self.user_directory.as_ref()?;
        let owner = fs::metadata(directory).ok()?.uid();
        (Some(owner) == self.user).then(|| directory.clone())
    }

    fn private_directory(&self) -> Option<PathBuf> {
        Some(self.temporary.join(format!("larder-{}", self.user?)))
    }

    /// Refuses a directory that another user made or may change: what stands there may be a trap.
    fn check_private(&self, directory: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(directory)?;
        let is_ours = found.is_dir() && Some(found.uid()) == self.user;
        if is_ours && found.mode() & OTHERS == 0 {
            return Ok(());
        }
        let what = "is not a directory of this user's alone (owner, mode 0700)";
        let error = io::Error::new(io::ErrorKind::PermissionDenied, what);
        Err(named(directory, &error))
    }
}

impl Found {
    /// Connects without waiting for room in its queue. An error where nobody listens.
    pub fn connect(&self) -> io::Result<UnixStream> {
        socket::connect(&self.path)
    }
}

fn name(port: u16) -> String {
    format!("larder-{port}.sock")
}

fn is_named_so(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let port = name
        .and_then(|name| name.strip_prefix("larder-"))
        .and_then(|rest| rest.strip_suffix(".sock"));
    port.is_some_and(|port| port.parse::<u16>().is_ok())
}

fn unknown_user() -> io::Error {
    io::Error::other("the system does not say which user this is; set control.socket")
}

/// The same error with the path it is about.
pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A directory that stands for the system's temporary one, and this user's environment in it.
    struct Temporary(Environment);

    impl Temporary {
        fn new() -> Temporary {
            static MADE: AtomicUsize = AtomicUsize::new(0);
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let name = format!("larder-place-{}-{number}", std::process::id());
            let temporary = std::env::temp_dir().join(name);
            fs::create_dir(&temporary).expect("a directory");
            Temporary(Environment {
                runtime_directory: None,
                user_directory: None,
                temporary,
                user: Environment::of_this_process().user,
            })
        }

        fn private(&self) -> PathBuf {
            self.0.private_directory().expect("a known user")
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.temporary);
        }
    }

    #[test]
    fn the_first_place_that_there_is_is_taken() {
        let made = Temporary::new();
        let mut environment = made.0.clone();
        let private = made.private();
        assert_eq!(
            environment.socket_for(7).expect("a place"),
            private.join("larder-7.sock")
        );
        let mode = fs::metadata(&private).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let user_directory = made.0.temporary.join("user");
        environment.user_directory = Some(user_directory.clone());
        assert_eq!(
            environment.socket_for(7).expect("a place"),
            private.join("larder-7.sock"),
            "a user directory that is not there"
        );
        fs::create_dir(&user_directory).expect("a directory");
        assert_eq!(
            environment.socket_for(7).expect("a place"),
            user_directory.join("larder-7.sock")
        );
        environment.user = environment.user.map(|user| user + 1);
        let refused = environment.socket_for(7).expect_err("another user's");
        assert!(
            !refused.to_string().contains("/user"),
            "a user directory of somebody else is not looked at: {refused}"
        );
        environment.runtime_directory = Some(PathBuf::from("/run/x"));
        assert_eq!(
            environment.socket_for(7).expect("a place"),
            Path::new("/run/x/larder.sock")
        );
    }

    #[test]
    fn a_directory_that_others_may_change_is_refused() {
        let open = Temporary::new();
        fs::create_dir(open.private()).expect("a directory");
        fs::set_permissions(open.private(), fs::Permissions::from_mode(0o770)).expect("a mode");
        let linked = Temporary::new();
        fs::create_dir(linked.0.temporary.join("target")).expect("a directory");
        symlink(linked.0.temporary.join("target"), linked.private()).expect("a link");
        let file = Temporary::new();
        fs::write(file.private(), "").expect("a file");
        let foreign = Temporary::new();
        fs::create_dir(foreign.private()).expect("a directory");
        fs::set_permissions(foreign.private(), fs::Permissions::from_mode(0o700)).expect("a mode");
        std::os::unix::fs::chown(foreign.private(), Some(12_345), None).ok();
        let is_root = foreign.0.user == Some(0);
        for (what, made) in [
            ("open", &open),
            ("a link", &linked),
            ("a file", &file),
            ("another user's", &foreign),
        ] {
            let refused = made.0.socket_for(7);
            // Only root can give a directory away.
            if what == "another user's" && !is_root {
                continue;
            }
            let error = refused.expect_err(what).to_string();
            assert!(error.contains("larder-"), "{what}: {error}");
            assert_eq!(made.0.sockets(), [], "{what}");
        }
    }

    #[test]
    fn only_sockets_of_the_name_are_listed() {
        let made = Temporary::new();
        made.0.socket_for(7).expect("a place");
        for name in ["larder-7.sock", "larder-x.sock", "larder-8.sock.12.0", "x"] {
            fs::write(made.private().join(name), "").expect("a file");
        }
        let listed = made.0.sockets();
        let own: Vec<&Found> = listed
            .iter()
            .filter(|found| found.path.starts_with(&made.0.temporary))
            .collect();
        assert_eq!(
            own,
            [&Found {
                path: made.private().join("larder-7.sock")
            }]
        );
    }
}

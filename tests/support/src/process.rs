//! The real program, as a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Client, eventually};

/// How the program is to be started.
#[derive(Default)]
pub struct Start {
    configuration: Value,
    descriptors: Option<u32>,
    processes: Option<u32>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    trace: Option<PathBuf>,
}

/// Runs the rest of a command line as user 65533, whose processes and threads are counted together.
pub const AS_NOBODY: [&str; 6] = [
    "setpriv",
    "--reuid",
    "65533",
    "--regid",
    "65533",
    "--clear-groups",
];

/// The running program. Dropping it kills it and removes its directory.
pub struct Proc {
    child: Child,
    addr: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
    folder: PathBuf,
}

/// What the kernel says about the process.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Resident memory now, KiB.
    pub rss_kib: u64,
    /// Resident memory at most so far, KiB.
    pub peak_kib: u64,
    /// Threads.
    pub threads: usize,
    /// Open descriptors.
    pub descriptors: usize,
}

/// The program that cargo built beside the test that runs: only test crates know it at compile time.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    test.ancestors()
        .skip(1)
        .map(|folder| folder.join("larder"))
        .find(|program| program.is_file())
        .expect("cargo builds the program for the tests of its package")
}

impl Start {
    /// Starts with `configuration`, in a file of its own.
    pub fn with(configuration: Value) -> Start {
        Start {
            configuration,
            ..Start::default()
        }
    }

    /// Sets the limit on open descriptors.
    pub fn descriptors(mut self, limit: u32) -> Start {
        self.descriptors = Some(limit);
        self
    }

    /// Runs it as user 65533 ([`AS_NOBODY`]), who may have that many processes and threads. For root only.
    pub fn processes(mut self, limit: u32) -> Start {
        self.processes = Some(limit);
        self
    }

    /// Adds arguments.
    pub fn arguments(mut self, arguments: &[&str]) -> Start {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Sets an environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Start {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has strace write every system call of all its threads into `file`.
    pub fn traced(mut self, file: PathBuf) -> Start {
        self.trace = Some(file);
        self
    }

    /// Starts the program and waits until it listens.
    #[track_caller]
    pub fn run(self) -> Proc {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "larder-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        // Whoever it runs as reaches the system's own directory.
        let parent = if self.processes.is_some() {
            std::env::temp_dir()
        } else {
            program().with_file_name("tmp")
        };
        let folder = parent.join(name);
        fs::create_dir_all(&folder).expect("a directory");
        fs::write(folder.join("config.json"), self.configuration.to_string())
            .expect("a configuration file");
        let mut child = self.command(&folder).spawn().expect("the program starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        collect(child.stderr.take().expect("a pipe"), Arc::clone(&lines));
        let mut listening = None;
        let ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        eventually(|| {
            listening = lines
                .lock()
                .unwrap()
                .iter()
                .find_map(|line| address_in(line));
            listening.is_some() || ended(&mut child)
        });
        let Some(addr) = listening else {
            let _ = child.kill();
            panic!("does not listen: {:?}", lines.lock().unwrap());
        };
        Proc {
            child,
            addr,
            lines,
            folder,
        }
    }

    fn command(&self, folder: &std::path::Path) -> Command {
        // `exec` keeps the process number, so the child is the program itself.
        let limit = self
            .descriptors
            .map(|limit| format!("ulimit -n {limit}; "))
            .unwrap_or_default();
        // With -D, strace is the grandchild and the program still the child.
        let trace = self
            .trace
            .as_ref()
            .map(|file| format!("strace -D -f -qq -o '{}' ", file.display()));
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!(
            "{limit}exec {}\"$0\" \"$@\"",
            trace.unwrap_or_default()
        ));
        match self.processes {
            None => command.arg(program()),
            Some(processes) => {
                let copy = folder.join("larder");
                fs::copy(program(), &copy).expect("a copy of the program");
                command
                    .args(AS_NOBODY)
                    .arg("prlimit")
                    .arg(format!("--nproc={processes}"))
                    .arg(copy)
            }
        };
        command
            .arg("--config")
            .arg(folder.join("config.json"))
            .args(["--port", "0"])
            .args(&self.arguments);
        // Its control socket stands in its folder, too.
        command.env("XDG_RUNTIME_DIR", folder);
        // Memory that is measured is the program's, not what glibc's allocator keeps of it; the static builds have another.
        let allocator = "glibc.malloc.arena_max=2:glibc.malloc.mmap_threshold=131072";
        command.env("GLIBC_TUNABLES", allocator);
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

impl Proc {
    /// Starts with `configuration`.
    #[track_caller]
    pub fn start(configuration: Value) -> Proc {
        Start::with(configuration).run()
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its own folder, where its control socket is.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Its number among the processes.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Its memory, threads and descriptors at this moment.
    #[track_caller]
    pub fn figures(&self) -> Figures {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs::read_to_string(folder.join("status")).expect("the program runs");
        let number = |name: &str| -> u64 {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .expect("a line of that name");
            line.trim_matches([':', '\t', ' '])
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .expect("a number")
        };
        Figures {
            rss_kib: number("VmRSS"),
            peak_kib: number("VmHWM"),
            threads: fs::read_dir(folder.join("task"))
                .expect("its threads")
                .count(),
            descriptors: fs::read_dir(folder.join("fd"))
                .expect("its descriptors")
                .count(),
        }
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Changes its limit on open descriptors while it runs; those it has stay open.
    pub fn limit_descriptors(&self, limit: u32) {
        let pid = self.child.id().to_string();
        let set = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--nofile={limit}:")])
            .status();
        assert!(set.is_ok_and(|status| status.success()), "the limit is set");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let sent = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "SIGTERM is sent");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually(|| {
            status = self.child.try_wait().expect("a child of ours");
            status.is_some()
        });
        status.expect("the program ends")
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
        if std::thread::panicking() {
            eprintln!("the program logged:\n{}", self.log());
        }
    }
}

/// Log lines kept; later ones are read and dropped so that the program never waits for us.
const LINES_KEPT: usize = 2000;

fn collect(stderr: ChildStderr, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut lines = lines.lock().unwrap();
            if lines.len() < LINES_KEPT {
                lines.push(line);
            }
        }
    });
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on http://")?;
    rest.split([' ', '/', ',']).next()?.parse().ok()
}

//! A system whose `accept4` fails for some seconds, as strace makes it fail.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::scene::Target;
use crate::support::{Client, crowd_turn, eventually};

/// Clients that come while nobody is accepted.
const WAITING: usize = 20;
/// How long it fails.
const FAILS: Duration = Duration::from_secs(3);
/// From its last failure to the last answer for those who waited: the longest pause after a failure is a second.
const RECOVERY: Duration = Duration::from_millis(1500);
/// More attempts than this within [`FAILS`] would be a loop without a pause.
const ATTEMPTS: usize = 1000;

/// strace beside all threads of the program. Ended, it lets go of them, and calls succeed as before.
struct Strace {
    child: Child,
    log: PathBuf,
}

impl Strace {
    /// From here on each `accept4` fails with this error.
    #[track_caller]
    fn attach(target: &Target, error: &str) -> Strace {
        let pid = target.proc.pid().to_string();
        let name = format!("accept4-{error}-{pid}");
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "trace=accept4", "-p", &pid]);
        command.arg(format!("--inject=accept4:error={error}"));
        command.arg("-o").arg(&log).stdin(Stdio::null());
        let child = command
            .spawn()
            .expect("strace is needed: apt-get install strace");
        let tracer = format!("TracerPid:\t{}\n", child.id());
        let tasks = format!("/proc/{pid}/task");
        let is_traced = || {
            let mut threads = fs::read_dir(&tasks).expect("it runs").flatten();
            threads.all(|thread| {
                let status = fs::read_to_string(thread.path().join("status"));
                // A thread that has ended meanwhile needs no tracer.
                status.map_or(true, |status| status.contains(&tracer))
            })
        };
        assert!(eventually(is_traced), "strace may not attach (root may)");
        Strace { child, log }
    }

    /// How often a call was made to fail so far.
    fn failures(&self) -> usize {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.matches("(INJECTED)").count()
    }

    /// Lets go of the program, in order: a thread is not left in the middle of a call.
    fn end(mut self) -> Instant {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIGTERM is sent");
        let _ = self.child.wait();
        Instant::now()
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.log);
    }
}

#[test]
#[ignore = "needs strace; CI runs it"]
fn must_show_4_while_accept_fails_nobody_connected_notices_and_it_recovers_within_a_second() {
    let _turn = crowd_turn();
    let target = Target::with_defaults();
    let mut connected = target.stranger();
    for error in ["EMFILE", "ENFILE", "ENOMEM", "ECONNABORTED"] {
        let strace = Strace::attach(&target, error);
        let until = Instant::now() + FAILS;
        // The kernel takes their connections and requests; a call that was already waiting may accept the first one.
        let mut waiting: Vec<Client> = (0..WAITING).map(|_| target.proc.client()).collect();
        for client in &mut waiting {
            client.send("GET /hit HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        let mut misses = 0;
        while Instant::now() < until {
            connected.get("/hit").expect("HIT", "/hit");
            let miss = format!("/during-{error}-{misses}");
            connected.get(&miss).expect("MISS", &miss);
            misses += 1;
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let failures = strace.failures();
        let ended = strace.end();
        for client in &mut waiting {
            client.read().expect("HIT", "/hit");
        }
        let recovery = ended.elapsed();
        println!(
            "{error}: accept4 failed {failures} times; the last of {WAITING} answered {recovery:?} after"
        );
        assert!(failures > 0, "{error}: accept4 did not fail");
        assert!(failures < ATTEMPTS, "{error}: {failures} attempts");
        assert!(recovery <= RECOVERY, "{error}: {recovery:?}");
        target.serves_others();
    }
    drop(connected);
    target.unharmed();
}

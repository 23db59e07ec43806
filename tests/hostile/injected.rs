//! A system that fails when it is told to: strace makes chosen system calls of the accept thread fail.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::scene::Target;
use crate::support::{Client, crowd_turn, eventually};

/// tiny_http's threads for clients that are always there: with one client each, the next client needs a thread of its own.
const POOL: usize = 4;
/// Clients that come while nobody is accepted.
const WAITING: usize = 20;

/// strace beside one thread of the program. Dropped, it is gone, and calls succeed as before.
struct Strace(Child);

impl Strace {
    /// Makes calls of the thread that accepts fail, each as one of `faults` says (strace(1), `inject`), from here on.
    #[track_caller]
    fn attach(target: &Target, faults: &[&str]) -> Strace {
        let (folder, thread) = accept_thread(target);
        let mut command = Command::new("strace");
        command.args([
            "-qq",
            "-o",
            "/dev/null",
            "-p",
            &thread,
            "-e",
            "trace=accept4,clone,clone3,fcntl",
        ]);
        command.args(faults.iter().map(|fault| format!("--inject={fault}")));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let strace = command
            .spawn()
            .expect("strace is needed: apt-get install strace");
        let mut strace = Strace(strace);
        let tracer = format!("TracerPid:\t{}\n", strace.0.id());
        let is_traced = || {
            fs::read_to_string(folder.join("status")).is_ok_and(|status| status.contains(&tracer))
        };
        let ended = |strace: &mut Strace| strace.0.try_wait().is_ok_and(|status| status.is_some());
        eventually(|| is_traced() || ended(&mut strace));
        assert!(
            is_traced(),
            "strace may not attach (root may): {}",
            strace.told()
        );
        strace
    }

    fn told(&mut self) -> String {
        let mut told = String::new();
        let _ = self.0.kill();
        let _ = self
            .0
            .stderr
            .take()
            .map(|mut stderr| stderr.read_to_string(&mut told));
        told
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // The kernel lets go of the thread, whatever it was stopped at.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The thread that waits in accept4, as the kernel tells it: its folder and its number.
#[track_caller]
fn accept_thread(target: &Target) -> (PathBuf, String) {
    let tasks = PathBuf::from(format!("/proc/{}/task", target.proc.pid()));
    let accept4 = format!("{} ", libc::SYS_accept4);
    let mut found = None;
    eventually(|| {
        let threads = fs::read_dir(&tasks)
            .expect("the program runs")
            .flatten()
            .map(|entry| entry.path());
        let accepts = |folder: &PathBuf| {
            fs::read_to_string(folder.join("syscall")).is_ok_and(|call| call.starts_with(&accept4))
        };
        found = threads.into_iter().find(accepts);
        found.is_some()
    });
    let folder = found.expect("a thread in accept4");
    let thread = folder
        .file_name()
        .expect("a number")
        .to_string_lossy()
        .into_owned();
    (folder, thread)
}

/// A counter in `/health`, asked for on this connection.
fn counter(client: &mut Client, name: &str) -> u64 {
    let health: serde_json::Value =
        serde_json::from_str(&client.get("/health").text()).expect("JSON");
    health["counters"][name]
        .as_u64()
        .expect("a counter of that name")
}

/// Waits until accept4 has failed so often since it had failed `before` times: by then strace is at work, too.
#[track_caller]
fn await_failures(client: &mut Client, before: u64, count: u64) {
    let failed = eventually(|| counter(client, "acceptFailures") >= before + count);
    assert!(failed, "accept4 does not fail");
}

/// As many clients as tiny_http has threads, each with one.
fn fill_the_pool(target: &Target) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..POOL).map(|_| target.proc.client()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.get("/hit").expect("HIT", "/hit"));
    clients
}

#[test]
#[ignore = "needs strace; CI runs it"]
fn must_show_2_while_accept_fails_nobody_is_lost_and_those_who_wait_are_answered() {
    let _turn = crowd_turn();
    let target = Target::with_defaults();
    let mut connected = target.stranger();
    for error in ["ENFILE", "EMFILE"] {
        let before = counter(&mut connected, "acceptFailures");
        let strace = Strace::attach(&target, &[&format!("accept4:error={error}")]);
        await_failures(&mut connected, before, 1);
        let mut waiting: Vec<Client> = (0..WAITING).map(|_| target.proc.client()).collect();
        waiting
            .iter_mut()
            .for_each(|client| client.send("GET /hit HTTP/1.1\r\nHost: x\r\n\r\n"));
        await_failures(&mut connected, before, 10);
        connected.get("/hit").expect("HIT", "/hit");
        let miss = format!("/during-{error}");
        connected.get(&miss).expect("MISS", &miss);
        drop(strace);
        waiting
            .iter_mut()
            .for_each(|client| client.read().expect("HIT", "/hit"));
        println!(
            "{error}: accept failed {} times",
            counter(&mut connected, "acceptFailures") - before
        );
    }
    assert_eq!(counter(&mut connected, "deadAcceptors"), 0);
    drop(connected);
    target.unharmed();
}

/// What tiny_http takes for granted, refused to tiny_http itself: our own first look, the call before, succeeds.
#[test]
#[ignore = "needs strace; CI runs it"]
fn must_show_2_a_dead_accept_thread_has_a_successor_at_the_same_port_and_nobody_connected_is_lost()
{
    let _turn = crowd_turn();
    for (what, fault) in [
        ("thread", "clone,clone3:error=EAGAIN:when=2+"),
        ("descriptor", "fcntl:error=EMFILE:when=2+"),
    ] {
        let target = Target::with_defaults();
        let mut connected = fill_the_pool(&target);
        let (first, _) = accept_thread(&target);
        let strace = Strace::attach(&target, &["accept4:error=ENFILE:when=1", fault]);
        await_failures(&mut connected[0], 0, 1);

        target.proc.client().expect_end();
        assert!(
            eventually(|| counter(&mut connected[0], "deadAcceptors") == 1),
            "refused a {what}, it has no successor"
        );
        for (n, client) in connected.iter_mut().enumerate() {
            client.get("/hit").expect("HIT", "/hit");
            let miss = format!("/after-{n}");
            client.get(&miss).expect("MISS", &miss);
        }
        let served = eventually(|| {
            let mut client = target.proc.client();
            client
                .try_send("GET /hit HTTP/1.1\r\nHost: x\r\n\r\n")
                .is_ok()
                && client
                    .read_or_end()
                    .is_some_and(|reply| reply.status == 200)
        });
        assert!(served, "nobody accepts any more");
        drop(strace);
        target.serves_others();
        assert_ne!(accept_thread(&target).0, first, "another thread accepts");
        assert_eq!(counter(&mut connected[0], "deadAcceptors"), 1);
        assert_eq!(
            target
                .proc
                .log()
                .matches("accept thread has died; another takes over")
                .count(),
            1
        );
        drop(connected);
        target.unharmed();
    }
}

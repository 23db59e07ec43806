//! What the program asks of the kernel: nothing that a container or an old kernel refuses.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::scene::Target;
use crate::support::{Answer, Origin, Start, config_for, eventually};

/// Each is allowed by Docker's default seccomp profile without any capability, and older than Linux 5.10. Look both up before one
/// is added: <https://docs.docker.com/engine/security/seccomp/>, and the manual page of the call ("HISTORY").
const HARMLESS: &[&str] = &[
    "accept4",
    "access",
    "arch_prctl",
    "bind",
    "brk",
    "chmod",
    "clock_nanosleep",
    "clone",
    "clone3",
    "close",
    "connect",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "eventfd2",
    "execve",
    "exit",
    "exit_group",
    "faccessat",
    "fchmodat",
    "fcntl",
    "fstat",
    "futex",
    "getcwd",
    "getdents64",
    "getpeername",
    "getpid",
    "getrandom",
    "getsockname",
    "getsockopt",
    "gettid",
    "ioctl",
    "kill",
    "link",
    "linkat",
    "listen",
    "lseek",
    "lstat",
    "madvise",
    "membarrier",
    "mkdir",
    "mkdirat",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmsg",
    "rename",
    "renameat",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "setsockopt",
    "shutdown",
    "sigaltstack",
    "socket",
    "socketpair",
    "stat",
    "statx",
    "tgkill",
    "uname",
    "unlink",
    "unlinkat",
    "write",
    "writev",
];

#[test]
#[ignore = "needs strace; CI runs it"]
fn no_system_call_is_one_that_docker_refuses_or_that_linux_5_10_lacks() {
    let file =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("calls-{}", std::process::id()));
    let origin = Origin::answering(|seen| Answer::ok(&seen.target));
    let configuration = config_for(
        &origin,
        json!({ "urlConfigs": [{ "path": "/polled", "pollInterval": 1 }] }),
    );
    let proc = Start::with(configuration)
        .descriptors(4096)
        .traced(file.clone())
        .run();
    let mut target = Target::of(origin, proc);
    target.serves_others();
    target.stranger().get("/health");
    target
        .stranger()
        .request("POST", "/large", &[], &vec![b'a'; 1 << 20])
        .expect("BYPASS", "/large");
    target.proc.terminate();
    assert!(target.proc.ended().success());
    // The tracer ends after the program.
    let is_whole = || fs::read_to_string(&file).is_ok_and(|trace| trace.contains("exit_group("));
    assert!(
        eventually(is_whole),
        "strace is needed: apt-get install strace; root may trace"
    );

    let trace = fs::read_to_string(&file).expect("a trace");
    let called: BTreeSet<&str> = trace.lines().filter_map(call).collect();
    println!(
        "{} system calls of {} kinds: {called:?}",
        trace.lines().filter_map(call).count(),
        called.len()
    );
    let others: Vec<_> = called
        .iter()
        .filter(|name| !HARMLESS.contains(name))
        .collect();
    assert!(others.is_empty(), "not known to be harmless: {others:?}");
    assert!(
        called.contains("accept4") && called.contains("sendto"),
        "it was traced"
    );
    let _ = fs::remove_file(&file);
}

/// The name in `4711 accept4(3, …`; none in lines that tell of signals, ends, and calls that go on.
fn call(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once('(')?;
    (!name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
    .then_some(name)
}

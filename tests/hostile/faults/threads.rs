//! A system that refuses threads: connections need none.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::scene::Target;
use crate::support::{
    AS_NOBODY, Answer, Client, Origin, Start, config_for, crowd_turn, eventually,
};

/// Processes and threads the program's user may have.
const MOST: u32 = 64;
const CONNECTIONS: usize = 100;

/// Processes of the program's user that do nothing. They end by themselves, or when this is dropped.
struct Others(Vec<Child>);

impl Others {
    fn start(count: usize) -> Others {
        let [program, arguments @ ..] = AS_NOBODY;
        let one = |_| {
            let mut command = Command::new(program);
            command.args(arguments).args(["sleep", "120"]);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.spawn().expect("a process of that user")
        };
        Others((0..count).map(one).collect())
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for other in &mut self.0 {
            let _ = other.kill();
            let _ = other.wait();
        }
    }
}

#[test]
fn must_show_5_a_system_that_refuses_threads_costs_no_client_its_connection() {
    let _turn = crowd_turn();
    let id = Command::new("id").arg("-u").output().expect("a user");
    if id.stdout != b"0\n" {
        println!("skipped: only root may change its user");
        return;
    }
    let origin = Origin::answering(|seen| Answer::ok(&seen.target));
    let proxy = json!({ "maxConnectionsPerClient": 2 * CONNECTIONS });
    let proc = Start::with(config_for(&origin, json!({ "proxy": proxy })))
        .descriptors(4096)
        .processes(MOST)
        .run();
    let target = Target::of(origin, proc);
    let own = target.proc.figures().threads;
    let others = Others::start(MOST as usize - own);
    let refused = eventually(|| !may_start_another());
    assert!(refused, "the limit is not reached");

    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| target.proc.client()).collect();
    for client in &mut clients {
        client.get("/hit").expect("HIT", "/hit");
    }
    for (n, client) in clients.iter_mut().enumerate().take(20) {
        let miss = format!("/miss-{n}");
        client.get(&miss).expect("MISS", &miss);
        client
            .request("POST", &miss, &[], b"whole")
            .expect("BYPASS", &miss);
    }
    println!("{own} threads before, {:?} now", target.proc.figures());
    drop((others, clients));
    target.unharmed();
}

/// Whether that user may have one more process than it has.
fn may_start_another() -> bool {
    let [program, arguments @ ..] = AS_NOBODY;
    let mut command = Command::new(program);
    command.args(arguments).args([
        "prlimit",
        &format!("--nproc={MOST}"),
        "sh",
        "-c",
        "true & wait $!",
    ]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

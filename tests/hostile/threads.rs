//! A system that refuses threads.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::scene::Target;
use crate::support::{
    AS_NOBODY, Answer, Client, Origin, Start, config_for, crowd_turn, eventually,
};

/// Processes and threads the program's user may have: enough for all of its own threads, and 32 connections.
const MOST: u32 = 64;
const CONNECTIONS: usize = 24;

/// Processes of the program's user that do nothing. They end by themselves, or when this is dropped.
struct Others(Vec<Child>);

impl Others {
    fn start(count: usize) -> Others {
        Others((0..count).map(|_| other()).collect())
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

fn other() -> Child {
    let [program, arguments @ ..] = AS_NOBODY;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(["sleep", "120"])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.spawn().expect("a process of that user")
}

/// The program as a user who may have [`MOST`] threads. `None`: only root can become that user.
fn limited() -> Option<Target> {
    let id = Command::new("id").arg("-u").output().expect("a user");
    if id.stdout != b"0\n" {
        println!("skipped: only root may change its user");
        return None;
    }
    let origin = Origin::answering(|seen| Answer::ok(&seen.target));
    let proc = Start::with(config_for(
        &origin,
        json!({ "proxy": { "maxConnectionsPerClient": MOST } }),
    ))
    .descriptors(4096)
    .processes(MOST)
    .run();
    Some(Target::of(origin, proc))
}

/// Asks for the stored answer; whether it came. Refused, and cut as some are, count as not.
fn is_served(client: &mut Client) -> bool {
    client
        .try_send("GET /hit HTTP/1.1\r\nHost: x\r\n\r\n")
        .is_ok()
        && client
            .read_or_end()
            .is_some_and(|reply| reply.status == 200)
}

/// Panics unless sooner or later all of so many new clients are served at the same time.
#[track_caller]
fn all_are_served(target: &Target) {
    let served = eventually(|| {
        let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| target.proc.client()).collect();
        clients
            .iter_mut()
            .filter_map(|client| is_served(client).then_some(()))
            .count()
            == CONNECTIONS
    });
    assert!(served, "{:?}", target.proc.figures());
}

#[test]
fn must_show_5_refused_threads_cost_nobody_who_is_connected_and_it_recovers() {
    let _turn = crowd_turn();
    let Some(target) = limited() else { return };
    let mut connected = target.proc.client();
    assert!(is_served(&mut connected));
    let own = target.proc.figures().threads;
    for round in 0..3 {
        assert!(
            eventually(|| target.proc.figures().threads <= own),
            "idle threads end"
        );
        // Up to the limit, but for a few.
        let others = Others::start(MOST as usize - 8 - own);
        let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| target.proc.client()).collect();
        let mut served: Vec<bool> = clients.iter_mut().map(is_served).collect();
        println!(
            "round {round}: {} of {CONNECTIONS} served",
            served.iter().filter(|served| **served).count()
        );
        assert!(
            served.contains(&true) && served.contains(&false),
            "{served:?}"
        );
        assert!(is_served(&mut connected), "who is connected stays so");
        for (client, served) in clients
            .iter_mut()
            .zip(&mut served)
            .filter(|(_, served)| **served)
        {
            *served = is_served(client);
            assert!(*served, "who was served once stays connected");
        }
        drop((others, clients));
        all_are_served(&target);
        assert!(is_served(&mut connected));
    }
    println!(
        "turned away for want of threads: {}",
        target.rejected("threads")
    );
    assert!(target.rejected("threads") > 0);
    assert_eq!(
        target
            .proc
            .log()
            .matches("the system refuses a thread")
            .count(),
        1,
        "once, not each time"
    );
    drop(connected);
    target.unharmed();
}

/// Between the look for a thread and its start another process may take it: then tiny_http's accept thread dies.
#[test]
fn must_show_5_who_takes_threads_and_gives_them_back_all_the_time_stops_nobody() {
    let _turn = crowd_turn();
    let Some(target) = limited() else { return };
    let mut connected = target.proc.client();
    assert!(is_served(&mut connected));
    let mut others = Others::start(MOST as usize - 2 - target.proc.figures().threads);
    let mut served = 0;
    for _ in 0..40 {
        let mut clients: Vec<Client> = (0..8).map(|_| target.proc.client()).collect();
        // One ends and one begins, at the limit, while the clients are accepted.
        if let Some(mut last) = others.0.pop() {
            let _ = last.kill();
            let _ = last.wait();
            others.0.push(other());
        }
        served += clients
            .iter_mut()
            .map(is_served)
            .filter(|served| *served)
            .count();
        assert!(is_served(&mut connected), "who is connected stays so");
    }
    drop(others);
    all_are_served(&target);
    let dead = &target.health()["counters"]["deadAcceptors"];
    println!(
        "{served} of 320 served at the limit; turned away {}, accept threads that died {dead}",
        target.rejected("threads")
    );
    assert!(is_served(&mut connected));
    drop(connected);
    target.unharmed();
}

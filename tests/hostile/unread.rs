//! Clients that ask and never read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use serde_json::json;

use crate::scene::{Others, Target};
use crate::support::{Answer, Client, crowd_turn, eventually};

const MIB: usize = 1024 * 1024;
/// As large as the largest of pypowerwall's: of less, the kernel lends a loopback connection the most.
const LARGE: usize = 7 * MIB / 2;
/// All who never read.
const CROWD: usize = 264;
/// Nobody well-behaved waits longer, however busy the machine is.
const BOUND: Duration = Duration::from_secs(5);

#[test]
fn must_show_4_clients_that_never_read_are_cut_and_nobody_waits_for_them() {
    let _turn = crowd_turn();
    let [target, neighbour] = [(); 2].map(|()| {
        let target = Target::start(json!({ "proxy": { "writeTimeout": 3000 } }), 4096);
        target.origin.set("/big", Answer::ok(vec![b'a'; 2 * MIB]));
        target.proc.client().get("/big");
        target
    });
    let mut quiet = Others::default();
    quiet.ask(&target, "quiet", 1000);
    // The same crowd at another program: what they and the kernel take of this machine, nobody can give back.
    let (mut beside_arriving, mut beside) = besieged(&neighbour, &target, "beside");
    let (mut arriving, mut loaded) = besieged(&target, &target, "loaded");

    let cut = target.health()["counters"]["cutClients"].as_u64();
    println!(
        "{cut:?} cut, {} of them for a full outbox",
        target.rejected("outbox")
    );
    for (when, beside, loaded) in [
        ("came", &mut beside_arriving, &mut arriving),
        ("waited", &mut beside, &mut loaded),
    ] {
        println!("while they {when}, at this program beside none at all:");
        quiet.beside(loaded);
        println!("and beside the same crowd at another program of this machine:");
        beside.beside(loaded);
    }
    assert_eq!(cut, Some(CROWD as u64), "cut by the drain, and counted");
    assert!(
        arriving.longest().max(loaded.longest()) < BOUND,
        "somebody waited for those who never read"
    );
    target.unharmed();
}

/// What others wait at `asked` while the crowd comes to `attacked`, and then until the last of it has been cut.
fn besieged(attacked: &Target, asked: &Target, when: &str) -> (Others, Others) {
    let small = "GET /hit HTTP/1.1\r\nHost: x\r\n\r\n";
    let big = small.replace("/hit", "/big");
    let crowd = Crowd::of(
        attacked.proc.addr(),
        [(200, big), (32, small.repeat(64)), (32, small.to_owned())],
    );
    let mut arriving = Others::default();
    let mut waiting = Others::default();
    eventually(|| {
        arriving.ask(asked, &format!("{when}-arriving"), 20);
        attacked.proc.figures().descriptors > CROWD || crowd.is_gone()
    });
    let all_cut = eventually(|| {
        waiting.ask(asked, when, 200);
        crowd.is_gone()
    });
    assert!(all_cut, "somebody who never reads is still there");
    (arriving, waiting)
}

/// Together they wait for more than the outboxes hold, but it is one body in memory.
#[test]
fn slow_clients_that_read_one_large_answer_do_not_cut_one_another() {
    let _turn = crowd_turn();
    let target = Target::with_defaults();
    target.origin.set("/big", Answer::ok(vec![b'a'; LARGE]));
    target.proc.client().get("/big");
    let readers: Vec<_> = (0..5)
        .map(|_| {
            let mut client = Client::connect_narrow(target.proc.addr());
            client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
            std::thread::spawn(move || client.read_slowly(64 * 1024, Duration::from_millis(50)))
        })
        .collect();
    let replies: Vec<_> = readers
        .into_iter()
        .map(|reader| reader.join().expect("it reads"))
        .collect();
    println!(
        "{} cut for a full outbox; {:?}",
        target.rejected("outbox"),
        target.proc.figures()
    );
    assert!(
        replies
            .iter()
            .flatten()
            .all(|reply| reply.body == vec![b'a'; LARGE])
    );
    assert_eq!(
        replies.iter().flatten().count(),
        5,
        "somebody was cut while it read"
    );
    target.unharmed();
}

/// Clients that send and never read, a thread each, until they are cut. Dropped, they go home.
struct Crowd {
    members: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    /// So many who send these bytes for ever, for each kind.
    fn of<const N: usize>(addr: SocketAddr, kinds: [(usize, String); N]) -> Crowd {
        let stop = Arc::new(AtomicBool::new(false));
        let each = kinds
            .into_iter()
            .flat_map(|(count, bytes)| std::iter::repeat_n(bytes, count));
        let members = each
            .map(|bytes| member(addr, bytes, Arc::clone(&stop)))
            .collect();
        Crowd { members, stop }
    }

    /// True once each of them has been cut.
    fn is_gone(&self) -> bool {
        self.members.iter().all(JoinHandle::is_finished)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.members
            .drain(..)
            .for_each(|member| member.join().expect("the crowd goes home"));
    }
}

fn member(addr: SocketAddr, bytes: String, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    let run = move || {
        let mut client = Client::connect_narrow(addr);
        client.send_for_ever(bytes.as_bytes(), || !stop.load(Ordering::Acquire));
    };
    Builder::new()
        .stack_size(128 * 1024)
        .spawn(run)
        .expect("a thread")
}

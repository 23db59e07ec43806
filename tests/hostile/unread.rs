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
/// Nobody well-behaved waits longer, however busy the machine is.
const BOUND: Duration = Duration::from_secs(5);

#[test]
fn must_show_4_clients_that_never_read_are_cut_and_nobody_waits_for_them() {
    let _turn = crowd_turn();
    let target = Target::start(json!({ "proxy": { "writeTimeout": 3000 } }), 4096);
    target.origin.set("/big", Answer::ok(vec![b'a'; 2 * MIB]));
    target.proc.client().get("/big");
    let mut quiet = Others::default();
    quiet.ask(&target, "quiet", 200);

    let small = "GET /hit HTTP/1.1\r\nHost: x\r\n\r\n";
    let big = small.replace("/hit", "/big");
    let crowd = Crowd::of(target.proc.addr(), &[(200, big), (32, small.repeat(64)), (32, small.to_owned())]);
    let mut loaded = Others::default();
    let all_cut = eventually(|| {
        loaded.ask(&target, "loaded", 200);
        crowd.is_gone()
    });

    let cut = target.health()["counters"]["cutClients"].as_u64();
    println!("{cut:?} cut, {} of them for a full outbox", target.shed("outbox"));
    quiet.beside(&mut loaded);
    assert!(all_cut, "somebody who never reads is still there");
    assert!(loaded.longest() < BOUND, "somebody waited for those who never read");
    target.unharmed();
}

/// Clients that send and never read, a thread each, until they are cut. Dropped, they go home.
struct Crowd {
    members: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Crowd {
    /// So many who send these bytes for ever, for each kind.
    fn of(addr: SocketAddr, kinds: &[(usize, String)]) -> Crowd {
        let stop = Arc::new(AtomicBool::new(false));
        let each = kinds.iter().flat_map(|(count, bytes)| std::iter::repeat_n(bytes, *count));
        let members = each.map(|bytes| member(addr, bytes.clone(), Arc::clone(&stop))).collect();
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
        self.members.drain(..).for_each(|member| member.join().expect("the crowd goes home"));
    }
}

fn member(addr: SocketAddr, bytes: String, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    let run = move || {
        let mut client = Client::connect_narrow(addr);
        client.send_for_ever(bytes.as_bytes(), || !stop.load(Ordering::Acquire));
    };
    Builder::new().stack_size(128 * 1024).spawn(run).expect("a thread")
}

//! Clients that are gone before their connection has begun.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::scene::Target;
use crate::support::{Client, crowd_turn};

/// More than there are places between guard and front worker, and more than one address may have connections.
const CLIENTS: usize = 1500;

/// Reset between accept and the start of tiny_http's thread, which takes the address of its client for granted.
#[test]
fn a_whole_request_and_a_reset_at_once_take_no_place_for_ever() {
    let _turn = crowd_turn();
    let target = Target::start(json!({}), 4096);
    for n in 0..CLIENTS {
        let mut client = Client::connect_from(Ipv4Addr::new(127, 0, 2, 1), target.proc.addr());
        client.send(format!("GET /gone-{n} HTTP/1.1\r\nHost: x\r\n\r\n"));
        // From at once to after the accept: one of these moments is the wrong one.
        (0..n % 64).for_each(|_| std::thread::yield_now());
        client.reset();
    }
    target.unharmed();
    println!(
        "{} of {CLIENTS} reached the origin",
        target.origin.requests()
    );
    assert!(
        !target.proc.log().contains("panicked"),
        "{}",
        target.proc.log()
    );
    assert_eq!(target.rejected("clientConnections"), 0);
}

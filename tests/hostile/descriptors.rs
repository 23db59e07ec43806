//! Too few descriptors.

use std::net::{Ipv4Addr, TcpStream};

use serde_json::json;

use crate::scene::Target;
use crate::support::{Client, crowd_turn, eventually};

#[test]
fn must_show_2_ten_floods_of_500_connections_at_64_descriptors() {
    let _turn = crowd_turn();
    let target = Target::start(json!({}), 64);
    let mut connected = target.stranger();
    connected.get("/hit").expect("HIT", "/hit");
    for _ in 0..10 {
        let flood: Vec<TcpStream> = (0..500)
            .filter_map(|_| TcpStream::connect(target.proc.addr()).ok())
            .collect();
        assert!(flood.len() > 400, "the flood itself: {}", flood.len());
        connected.get("/hit").expect("HIT", "/hit");
        drop(flood);
        // A place is free once the flood's connections were noticed to be closed.
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
        connected.get("/hit").expect("HIT", "/hit");
    }
    drop(connected);
    target.unharmed();
    println!("turned away: {}", target.rejected("connections"));
}

#[test]
fn one_address_gets_half_of_the_connections_and_is_told_what_to_raise() {
    let _turn = crowd_turn();
    let target = Target::start(json!({ "proxy": { "maxConnections": 40 } }), 4096);
    let from = |last| Client::connect_from(Ipv4Addr::new(127, 0, 1, last), target.proc.addr());
    let mut many: Vec<Client> = (0..20).map(|_| from(1)).collect();
    many.iter_mut()
        .for_each(|client| client.get("/hit").expect("HIT", "/hit"));

    let refusal = from(1).read();
    assert_eq!(
        (refusal.status, refusal.field("Retry-After")),
        (503, Some("1")),
        "{refusal:?}"
    );
    assert!(
        refusal.text().contains("proxy.maxConnectionsPerClient"),
        "{refusal:?}"
    );
    from(2).get("/hit").expect("HIT", "/hit");
    assert_eq!(
        (
            target.rejected("clientConnections"),
            target.rejected("connections")
        ),
        (1, 0)
    );

    drop(many.pop());
    assert!(eventually(|| {
        let mut again = from(1);
        again
            .try_send("GET /hit HTTP/1.1\r\nHost: x\r\n\r\n")
            .is_ok()
            && again.read_or_end().is_some_and(|reply| reply.status == 200)
    }));
    drop(many);
    target.unharmed();
}

#[test]
fn a_number_of_ones_own_holds_and_a_trusted_proxy_stands_for_many() {
    let _turn = crowd_turn();
    let proxy = json!({ "maxConnectionsPerClient": 2, "trustedProxies": ["127.0.1.7"] });
    let target = Target::start(json!({ "proxy": proxy }), 4096);
    let from = |last| Client::connect_from(Ipv4Addr::new(127, 0, 1, last), target.proc.addr());
    let mut two = [from(1), from(1)];
    two.iter_mut()
        .for_each(|client| client.get("/hit").expect("HIT", "/hit"));
    assert_eq!(from(1).read().status, 503);
    let mut proxied: Vec<Client> = (0..10).map(|_| from(7)).collect();
    proxied
        .iter_mut()
        .for_each(|client| client.get("/hit").expect("HIT", "/hit"));
}

//! One request per key: who shares a fetch, who must not.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    Answer, App, Client, Gate, Origin, Start, config_for, crowd_turn, eventually,
};

const GET: &str = "GET /key HTTP/1.1\r\nHost: larder.test\r\n\r\n";

#[test]
fn must_show_1_five_hundred_clients_one_origin_request() {
    let _turn = crowd_turn();
    let origin = Origin::serving([("/key", Answer::ok("good").taking(Duration::from_secs(2)))]);
    let more = json!({ "cache": { "slowRequestTimeout": 10000 } });
    let proc = Start::with(config_for(&origin, more))
        .descriptors(4096)
        .run();
    let mut clients: Vec<Client> = (0..500).map(|_| proc.client()).collect();

    let begun = Instant::now();
    clients.iter_mut().for_each(|client| client.send(GET));
    for client in &mut clients {
        let reply = client.read();
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (200, "good"),
            "{reply:?}"
        );
    }
    let taken = begun.elapsed();

    println!(
        "500 clients, one key, origin takes 2 s: all answered after {taken:?}; {:?}",
        proc.figures()
    );
    assert_eq!(origin.requests(), 1);
    assert!(taken < Duration::from_millis(2500), "{taken:?}");
}

#[test]
fn must_show_1_fifty_clients_fifty_cookies() {
    let _turn = crowd_turn();
    let gate = Gate::closed();
    let theirs = gate.clone();
    let number = std::sync::atomic::AtomicUsize::new(0);
    let origin = Origin::answering(move |_| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        let answer =
            Answer::ok(format!("yours is {number}")).field("Set-Cookie", format!("id={number}"));
        // Only the first fetch waits, so that everybody has joined it when it completes.
        if number == 0 {
            answer.after(&theirs)
        } else {
            answer
        }
    });
    let more = json!({ "backend": { "maxConcurrentRequests": 8 }, "cache": { "slowRequestTimeout": 30000 } });
    let proc = Start::with(config_for(&origin, more))
        .descriptors(2048)
        .run();
    let mut clients: Vec<Client> = (0..50).map(|_| proc.client()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    origin.await_requests("/key", 1);
    gate.open();

    let mut cookies = HashSet::new();
    for client in &mut clients {
        let reply = client.read();
        assert_eq!(reply.status, 200, "{reply:?}");
        let cookie = reply
            .field("Set-Cookie")
            .expect("a cookie")
            .trim_start_matches("id=")
            .to_owned();
        assert_eq!(
            reply.text(),
            format!("yours is {cookie}"),
            "the cookie belongs to the body"
        );
        cookies.insert(cookie);
    }
    assert_eq!((cookies.len(), origin.requests()), (50, 50));
}

#[test]
fn k5_others_wait_for_the_one_request() {
    let gate = Gate::closed();
    let origin = Origin::serving([
        ("/key", Answer::ok("good").after(&gate)),
        ("/other", Answer::ok("other")),
    ]);
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "slowRequestTimeout": 30000 } }),
    ));
    let mut clients: Vec<Client> = (0..20).map(|_| app.client()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    origin.await_requests("/key", 1);
    // Another key is not held up by this one.
    app.client().get("/other").expect("MISS", "other");
    gate.open();

    let replies: Vec<_> = clients.iter_mut().map(Client::read).collect();

    assert!(
        replies
            .iter()
            .all(|reply| reply.text() == "good" && reply.status == 200),
        "{replies:?}"
    );
    assert_eq!(origin.count("/key"), 1);
}

/// What is stored is fresh, or long past use: who wants a newer one shares the one that is fetched.
#[test]
fn forced_fetches_of_many_clients_are_one_origin_request() {
    for (directives, age) in [("strict", 1), ("limited", 1000)] {
        let gate = Gate::closed();
        let origin = Origin::serving([("/key", Answer::ok("old"))]);
        let more =
            json!({ "cache": { "slowRequestTimeout": 30000, "clientDirectives": directives } });
        let app = App::start(&config_for(&origin, more));
        app.client().get("/key").expect("MISS", "old");
        app.skip_seconds(age);
        origin.set("/key", Answer::ok("new").after(&gate));

        let mut clients: Vec<Client> = (0..20).map(|_| app.client()).collect();
        let fields = [
            "Cache-Control: no-cache",
            "Cache-Control: max-age=0",
            "Pragma: no-cache",
            "X-Cache-Refresh: true",
        ];
        for (client, field) in clients.iter_mut().zip(fields.iter().cycle()) {
            client.send(format!("GET /key HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n"));
        }
        assert!(
            eventually(|| app.parked() == 20),
            "{directives}: {} wait",
            app.parked()
        );
        gate.open();

        clients
            .iter_mut()
            .for_each(|client| client.read().expect("REFRESH", "new"));
        app.client().get("/key").expect("HIT", "new");
        assert_eq!(origin.count("/key"), 2, "{directives}");
    }
}

#[test]
fn k5_the_fetch_goes_on_when_the_client_who_began_it_is_gone() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/key", Answer::ok("good").after(&gate))]);
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "slowRequestTimeout": 30000 } }),
    ));
    let mut first = app.client();
    first.send(GET);
    origin.await_requests("/key", 1);
    let mut second = app.client();
    second.send(GET);
    drop(first);
    gate.open();

    let reply = second.read();

    assert_eq!((reply.status, reply.text().as_str()), (200, "good"));
    assert_eq!(origin.count("/key"), 1);
}

#[test]
fn k5_what_is_not_a_plain_get_goes_alone() {
    for (method, field) in [
        ("GET", "Authorization: x"),
        ("GET", "Cache-Control: no-store"),
        ("POST", "X-A: b"),
    ] {
        let gate = Gate::closed();
        let origin = Origin::serving([("/key", Answer::ok("good").after(&gate))]);
        let more = json!({ "cache": { "slowRequestTimeout": 30000 }, "backend": { "maxConcurrentRequests": 4 } });
        let app = App::start(&config_for(&origin, more));
        let mut clients: Vec<Client> = (0..3).map(|_| app.client()).collect();
        let request = format!("{method} /key HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
        clients.iter_mut().for_each(|client| client.send(&request));
        origin.await_requests("/key", 3);
        gate.open();
        for client in &mut clients {
            assert_eq!(client.read().status, 200, "{method}, {field}");
        }
        assert_eq!(origin.count("/key"), 3, "{method}, {field}");
    }
}

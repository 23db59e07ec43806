//! Interim responses (RFC 9110 §15.2): to the client that leads, at once, and nowhere else.

use serde_json::json;

use crate::support::{Answer, App, Client, Gate, Origin, Reply, config_for, eventually};

const HINTS: &[u8] =
    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Early: yes\r\n\r\n";

/// And less than all outboxes may hold.
const MORE_THAN_THE_KERNEL_TAKES: usize = 7_500_000;

fn ask(client: &mut Client, target: &str) {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
}

/// What comes for one request: its interim responses and the final one.
fn read_all(client: &mut Client) -> Vec<Reply> {
    let mut replies = vec![client.read()];
    while replies.last().is_some_and(|reply| reply.status < 200) {
        replies.push(client.read());
    }
    replies
}

fn statuses(client: &mut Client) -> Vec<u16> {
    read_all(client).iter().map(|reply| reply.status).collect()
}

#[test]
fn it_arrives_before_the_final_answer_is_sent_and_leaves_no_trace() {
    let held = Gate::closed();
    let origin = Origin::serving([(
        "/a",
        Answer::ok("a").field("X-Late", "yes").interim(HINTS, &held),
    )]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    ask(&mut client, "/a");

    let hints = client.read();
    held.open();
    let reply = client.read();

    assert_eq!((hints.status, hints.version.as_str()), (103, "HTTP/1.1"));
    let expected = [("Link", "</a.css>; rel=preload"), ("X-Early", "yes")];
    assert_eq!(
        hints.fields,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    reply.expect("MISS", "a");
    for reply in [reply, client.get("/a"), app.client().get("/a")] {
        let fields = ["X-Late", "Link", "X-Early"].map(|name| reply.field(name));
        assert_eq!((reply.status, fields), (200, [Some("yes"), None, None]));
    }
    assert_eq!(origin.requests(), 1);
}

#[test]
fn several_pass_in_order_with_their_end_to_end_fields() {
    let heads = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Still\r\nX-Twice: 2\r\n\
        X-Twice: 1\r\nX-Obs: \xe9\xff\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-Cache: HIT\r\n\r\nHTTP/1.1 199 Odd\r\n\r\n";
    let origin = Origin::answering(move |_| Answer::ok("a").interim(heads, &Gate::opened()));
    let app = App::start(&config_for(&origin, json!({})));
    for request in [
        "GET /a HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\nContent-Length: 1\r\n",
        "HEAD /b HTTP/1.1\r\n",
    ] {
        let mut client = app.client();
        client.send(format!("{request}Host: x\r\nConnection: close\r\n\r\n"));
        if request.starts_with("POST") {
            client.send("x");
        }
        let interim: Vec<Reply> = (0..3).map(|_| client.read()).collect();
        assert_eq!(
            interim.iter().map(|reply| reply.status).collect::<Vec<_>>(),
            [102, 102, 199],
            "{request}"
        );
        assert_eq!(interim[1].values("X-Twice"), ["2", "1"]);
        assert_eq!(
            (interim[1].field("X-Obs"), interim[1].fields.len()),
            (Some("\u{e9}\u{ff}"), 3),
            "{:?}",
            interim[1]
        );
        assert!(interim[0].fields.is_empty() && interim[2].fields.is_empty());
        let reply = if request.starts_with("HEAD") {
            client.read_head()
        } else {
            client.read()
        };
        assert_eq!(
            (reply.status, reply.field("Content-Length")),
            (200, Some("1"))
        );
        client.expect_end();
    }
}

#[test]
fn an_http10_client_gets_none() {
    let origin = Origin::serving([("/a", Answer::ok("a").interim(HINTS, &Gate::opened()))]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client.send("GET /a HTTP/1.0\r\nHost: x\r\n\r\n");
    client.read().expect("MISS", "a");
    client.expect_end();
}

#[test]
fn who_joins_a_fetch_gets_none() {
    let early = Gate::closed();
    let held = Gate::closed();
    let origin = Origin::serving([("/a", Answer::ok("a").after(&early).interim(HINTS, &held))]);
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "slowRequestTimeout": 60000 } }),
    ));
    let mut leader = app.client();
    let mut follower = app.client();
    ask(&mut leader, "/a");
    origin.await_requests("/a", 1);
    ask(&mut follower, "/a");
    assert!(eventually(|| app.parked() == 2));

    early.open();
    assert_eq!(leader.read().status, 103);
    held.open();

    assert_eq!(
        (statuses(&mut leader), statuses(&mut follower)),
        (vec![200], vec![200])
    );
    assert_eq!(origin.requests(), 1);
}

#[test]
fn none_goes_between_or_before_the_replies_of_others() {
    let held = Gate::closed();
    let origin = Origin::serving([
        ("/slow", Answer::ok("slow").after(&held)),
        (
            "/early",
            Answer::ok("early").interim(HINTS, &Gate::opened()),
        ),
        ("/next", Answer::ok("next").interim(HINTS, &Gate::opened())),
    ]);
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "slowRequestTimeout": 60000 } }),
    ));
    let mut client = app.client();
    ask(&mut client, "/slow");
    ask(&mut client, "/early");
    ["/slow", "/early"]
        .iter()
        .for_each(|target| origin.await_requests(target, 1));
    assert!(
        eventually(|| app.active() == 1),
        "the second answer is here, the first is not"
    );
    held.open();

    client.read().expect("MISS", "slow");
    client.read().expect("MISS", "early");
    ask(&mut client, "/next");
    assert_eq!(statuses(&mut client), [103, 200]);
}

#[test]
fn none_comes_after_a_stale_answer() {
    let early = Gate::closed();
    let origin = Origin::serving([("/a", Answer::ok("old"))]);
    let rules = json!({ "cache": { "slowRequestTimeout": 200 }, "backend": { "firstByteTimeout": 60000 },
        "urlConfigs": [{ "path": "/a", "cacheTTL": 10, "staleTime": 10, "slowGrace": 1000, "graceTime": 1000 }] });
    let app = App::start(&config_for(&origin, rules));
    app.client().get("/a").expect("MISS", "old");
    app.skip_seconds(20);
    origin.set(
        "/a",
        Answer::ok("new")
            .after(&early)
            .interim(HINTS, &Gate::opened()),
    );

    let mut client = app.client();
    client.get("/a").expect("HIT", "old");
    early.open();
    assert!(eventually(|| app.client().get("/a").text() == "new"));
    client.get("/a").expect("HIT", "new");
}

/// The stale answer is on its way, but its client reads slowly.
#[test]
fn none_goes_into_a_reply_that_has_begun() {
    let early = Gate::closed();
    let old = "o".repeat(MORE_THAN_THE_KERNEL_TAKES);
    let origin = Origin::serving([("/a", Answer::ok(&old))]);
    let rules = json!({ "cache": { "slowRequestTimeout": 200, "maxObjectBytes": MORE_THAN_THE_KERNEL_TAKES }, "backend": { "firstByteTimeout": 60000 },
        "urlConfigs": [{ "path": "/a", "cacheTTL": 10, "staleTime": 10, "slowGrace": 1000, "graceTime": 1000 }] });
    let app = App::start(&config_for(&origin, rules));
    assert!(app.client().get("/a").text() == old);
    app.skip_seconds(20);
    origin.set(
        "/a",
        Answer::ok("new")
            .after(&early)
            .interim(HINTS, &Gate::opened()),
    );
    let mut client = app.client();
    ask(&mut client, "/a");
    assert!(
        eventually(|| app.parked() == 0 && app.active() == 1),
        "told what is stale"
    );
    early.open();
    assert!(eventually(|| app.active() == 0), "the new answer is here");

    assert!(client.read().text() == old);
    client.get("/a").expect("HIT", "new");
}

#[test]
fn a_body_that_is_passed_on_as_it_comes_follows_one() {
    let paused = Gate::closed();
    let answer = Answer::ok("a")
        .field("Content-Type", "text/event-stream")
        .interim(HINTS, &Gate::opened());
    let origin = Origin::serving([("/a", answer.body_after(&paused).chunked())]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    ask(&mut client, "/a");
    assert_eq!(client.read().status, 103);
    paused.open();
    assert_eq!(client.read().text(), "a");
}

#[test]
fn a_flood_is_cut_short_and_the_answer_is_whole() {
    let origin = Origin::serving([(
        "/a",
        Answer::ok("a").interim(HINTS.repeat(1000), &Gate::opened()),
    )]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    ask(&mut client, "/a");
    let replies = read_all(&mut client);
    assert_eq!((replies.len(), replies[16].text().as_str()), (17, "a"));
    client.get("/a").expect("HIT", "a");
}

/// More than the kernel takes for a client that does not read: what is written in part is continued before anything else.
#[test]
fn what_a_slow_client_does_not_take_waits_in_turn() {
    let origin = Origin::answering(|seen| {
        let head = format!(
            "HTTP/1.1 103 Early Hints\r\nX-For: {}\r\nX: {}\r\n\r\n",
            seen.target,
            "x".repeat(15_000)
        );
        Answer::ok(&seen.target).interim(head.repeat(16), &Gate::opened())
    });
    // One after the other, so that each is the next to be written when its interim responses come.
    let app = App::start(&config_for(
        &origin,
        json!({ "backend": { "maxConcurrentRequests": 1 } }),
    ));
    let mut client = app.client();
    (0..40).for_each(|number| ask(&mut client, &format!("/{number}")));
    // As many as one client may be owed; the next is read when the first has left.
    assert!(eventually(|| origin.requests() >= 8));

    for number in 0..40 {
        let mut replies = read_all(&mut client);
        let target = format!("/{number}");
        replies
            .pop()
            .expect("the final one")
            .expect("MISS", &target);
        let whole = |reply: &Reply| {
            reply.field("X-For") == Some(&target) && reply.field("X").map(str::len) == Some(15_000)
        };
        assert!(replies.iter().all(whole), "{target}");
    }
}

#[test]
fn a_route_that_strips_set_cookie_strips_it_here_too() {
    let heads = b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=1\r\nLink: </a>\r\n\r\n";
    let origin = Origin::answering(move |_| Answer::ok("a").interim(heads, &Gate::opened()));
    let rules = json!({ "urlConfigs": [{ "path": "/stripped", "setCookie": "strip" }] });
    let app = App::start(&config_for(&origin, rules));
    for (target, cookie) in [("/stripped", None), ("/kept", Some("a=1"))] {
        let mut client = app.client();
        ask(&mut client, target);
        let hints = client.read();
        assert_eq!(
            (hints.status, hints.field("Link"), hints.field("Set-Cookie")),
            (103, Some("</a>"), cookie)
        );
        assert_eq!(client.read().status, 200);
    }
}

//! Origins that hang, refuse, cut and lie: row P7 and must-show 2.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, App, Client, Gate, Origin, Reply, config_for};

/// An error of ours: JSON with three members (DESIGN §9).
#[track_caller]
fn expect_error(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{reply:?}");
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("not JSON: {reply:?}"));
    for member in ["error", "message", "request_id"] {
        assert!(!body[member].is_null(), "no {member}: {body}");
    }
}

#[test]
fn must_show_2_with_every_slot_hung_what_is_stored_is_answered_at_once() {
    let hung = Gate::closed();
    let origin = Origin::serving([("/hit", Answer::ok("hit")), ("/stale", Answer::ok("stale"))]);
    let rules = json!({ "cache": { "slowRequestTimeout": 300 }, "backend": { "firstByteTimeout": 60000 },
        "urlConfigs": [{ "path": "/stale", "cacheTTL": 10, "staleTime": 10, "slowGrace": 1000, "graceTime": 1000 }] });
    let app = App::start(&config_for(&origin, rules));
    app.client().get("/hit").expect("MISS", "hit");
    app.client().get("/stale").expect("MISS", "stale");
    let mut waiting: Vec<Client> = (0..2).map(|n| hang(&app, &origin, &hung, &format!("/hung-{n}"))).collect();
    app.skip_seconds(20);

    let begun = Instant::now();
    for _ in 0..20 {
        app.client().get("/hit").expect("HIT", "hit");
        assert_eq!(app.client().get("/health").status, 200);
        app.client().get("/stale").expect("HIT", "stale");
    }
    let taken = begun.elapsed();

    // At most one of them waited for slowRequestTimeout; the rest is the machine's noise.
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    hung.open();
    for client in &mut waiting {
        assert!(matches!(client.read().status, 200 | 503), "everybody is answered");
    }
}

fn hang(app: &App, origin: &Origin, gate: &Gate, target: &str) -> Client {
    origin.set(target, Answer::ok("at last").after(gate));
    let mut client = app.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    origin.await_requests(target, 1);
    client
}

#[test]
fn p7_no_first_byte_in_time_is_504() {
    let never = Gate::closed();
    let origin = Origin::serving([("/hung", Answer::ok("").after(&never))]);
    let app = App::start(&config_for(&origin, json!({ "backend": { "firstByteTimeout": 300 } })));
    expect_error(&app.client().get("/hung"), 504);
    never.open();
}

#[test]
fn p7_a_body_that_stops_is_no_answer() {
    let never = Gate::closed();
    let origin = Origin::serving([
        ("/pausing", Answer::ok("body").body_after(&never)),
        ("/cut", Answer::ok("0123456789").cut_after(5)),
        ("/cut-chunks", Answer::ok("0123456789").chunked().cut_after(5)),
        ("/silent", Answer::nothing()),
        ("/babble", Answer::verbatim("220 mail.test ESMTP\r\n\r\n").closing()),
    ]);
    let app = App::start(&config_for(&origin, json!({ "backend": { "idleTimeout": 300 } })));
    for target in ["/cut", "/cut-chunks", "/silent", "/babble"] {
        expect_error(&app.client().get(target), 502);
    }
    // The head is out when the pause is noticed (500 ms) or the fetch fails (300 ms): an error or a cut, never a whole 200.
    let mut client = app.client();
    client.send("GET /pausing HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.read_or_end().is_none_or(|reply| reply.status >= 500));
    never.open();
}

#[test]
fn p7_a_length_that_lies_never_fills_the_cache() {
    let origin = Origin::serving([("/short", Answer::ok("12345").claiming(10).closing())]);
    let app = App::start(&config_for(&origin, json!({})));
    expect_error(&app.client().get("/short"), 502);

    // More bytes than announced: they never become the next answer on that connection.
    origin.set("/long", Answer::ok("1234567890").claiming(5));
    origin.set("/next", Answer::ok("next"));
    app.client().get("/long").expect("MISS", "12345");
    app.client().get("/next").expect("MISS", "next");
}

#[test]
fn p7_a_refusing_origin_is_502() {
    let mut origin = Origin::serving([]);
    origin.stop();
    let app = App::start(&config_for(&origin, json!({})));
    expect_error(&app.client().get("/a"), 502);
    assert_eq!(app.client().get("/health").status, 200);
}

#[test]
fn p7_an_unsafe_request_is_sent_at_most_once() {
    let origin = Origin::serving([("/warm", Answer::ok("warm")), ("/post", Answer::nothing())]);
    let app = App::start(&config_for(&origin, json!({ "backend": { "maxConcurrentRequests": 1 } })));
    app.client().get("/warm").expect("MISS", "warm");

    // The kept connection closes under the POST: whether it was acted upon, nobody can know.
    let reply = app.client().request("POST", "/post", &[], b"once");

    expect_error(&reply, 502);
    assert_eq!(origin.count("/post"), 1);
}

#[test]
fn p9_an_error_of_ours_says_when_to_come_back() {
    let hung = Gate::closed();
    let origin = Origin::serving([]);
    let more = json!({ "backend": { "firstByteTimeout": 60000 }, "cache": { "slowRequestTimeout": 300 } });
    let app = App::start(&config_for(&origin, more));
    let _waiting: Vec<Client> = (0..2).map(|n| hang(&app, &origin, &hung, &format!("/hung-{n}"))).collect();

    let reply = app.client().get("/no-permit");

    expect_error(&reply, 503);
    assert!(reply.field("Retry-After").is_some_and(|text| text.parse::<u32>().is_ok()), "{reply:?}");
    assert_eq!(origin.count("/no-permit"), 0);
    hung.open();
}

/// What goes alone is of use to nobody but its client: with a stale answer in that client's hands, nothing is left to fetch.
#[test]
fn requests_answered_stale_at_once_leave_no_flight_of_their_own_behind() {
    let hung = Gate::closed();
    let origin = Origin::serving([("/stale", Answer::ok("stale"))]);
    let rules = json!({ "cache": { "slowRequestTimeout": 300 },
        "backend": { "firstByteTimeout": 60000, "maxConcurrentRequests": 1 },
        "urlConfigs": [{ "path": "/stale", "cacheTTL": 10, "staleTime": 10, "slowGrace": 1000, "graceTime": 1000 }] });
    let app = App::start(&config_for(&origin, rules));
    app.client().get("/stale").expect("MISS", "stale");
    let mut waiting = hang(&app, &origin, &hung, "/hung");
    app.skip_seconds(20);
    app.client().get("/stale").expect("HIT", "stale");

    for _ in 0..200 {
        app.client().get_with("/stale", &[("If-None-Match", "\"x\"")]).expect("HIT", "stale");
    }

    let health: Value = serde_json::from_slice(&app.client().get("/health").body).expect("JSON");
    assert!(health["queue"]["queueLength"].as_u64() <= Some(1), "{health}");
    hung.open();
    waiting.read();
}

/// What one client with a name is told says nothing about what everybody else would be told.
#[test]
fn a_failure_told_to_a_client_with_a_name_keeps_nobody_else_from_asking() {
    let origin = Origin::answering(|seen| {
        if seen.values("Cookie").is_empty() {
            Answer::ok("for all")
        } else {
            Answer::status(500).body("your cookie is bad")
        }
    });
    let app = App::start(&config_for(&origin, json!({})));
    assert_eq!(app.client().get_with("/a", &[("Cookie", "bad=1")]).status, 500);

    app.client().get("/a").expect("MISS", "for all");
}

//! The life of the process: start, health, a clean end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Gate, Origin, Proc, Start, config_for};

#[test]
fn health_tells_ok() {
    let origin = Origin::serving([]);
    let proc = Proc::start(config_for(&origin, json!({})));

    let reply = proc.client().get("/health");

    let health: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!((reply.status, &health["status"]), (200, &json!("ok")));
    assert_eq!(origin.requests(), 0);
}

#[test]
fn sigterm_ends_an_idle_process_with_exit_code_0() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let mut proc = Proc::start(config_for(&origin, json!({})));
    let mut idle = proc.client();
    idle.get("/a");
    let begun = Instant::now();

    proc.terminate();

    assert!(proc.ended().success(), "{}", proc.log());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    idle.expect_end();
}

#[test]
fn sigterm_answers_parked_requests_before_it_ends() {
    let gate = Gate::closed();
    let origin = Origin::serving([("/hung", Answer::ok("too late").after(&gate))]);
    let more = json!({ "cache": { "slowRequestTimeout": 60000 }, "backend": { "firstByteTimeout": 60000 } });
    let mut proc = Start::with(config_for(&origin, more)).run();
    let mut client = proc.client();
    client.send("GET /hung HTTP/1.1\r\nHost: x\r\n\r\n");
    origin.await_requests("/hung", 1);

    proc.terminate();

    let reply = client.read();
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.field("Retry-After").is_some(), "{reply:?}");
    assert!(proc.ended().success(), "{}", proc.log());
}

//! The faults `sim://powerwall` rehearses on demand.

use std::time::{Duration, Instant};

use serde_json::json;

use super::sim::{expect_honest_error, simulating, simulating_with};
use crate::support::{App, eventually, home};

#[test]
fn sim_rubbish_is_no_answer_where_the_route_knows_what_one_is() {
    let proc = simulating("?rubbish=1");
    let mut client = proc.client();
    for path in ["/aggregates", "/soe", "/vitals", "/aggregates"] {
        expect_honest_error(&client.get(path), 503);
    }
}

#[test]
fn sim_an_outage_by_time_is_lived_through_and_over() {
    let app = App::start(&home(
        "sim://powerwall?down=60s..100s",
        json!({ "cache": { "graceTime": 30 } }),
    ));
    let mut client = app.client();
    assert_eq!(client.get("/pw/power").status, 200);

    app.skip_seconds(70);
    let kept = client.get("/pw/power");
    assert_eq!((kept.status, kept.cache_status()), (200, "HIT"), "{kept:?}");
    assert!(
        kept.field("Cache-Status")
            .is_some_and(|told| told.contains("detail=refused")),
        "{kept:?}"
    );
    expect_honest_error(&client.get("/help"), 502);

    app.skip_seconds(40);
    let is_back = || app.client().get("/help").status == 200;
    assert!(eventually(is_back), "the outage is over");
}

#[test]
fn sim_an_answer_that_lies_about_its_length_is_cut_and_not_stored() {
    let more = json!({ "proxy": { "bind": "127.0.0.1" }, "backend": { "idleTimeout": 500 } });
    let proc = simulating_with("?lie=/help", more);
    let mut client = proc.client();
    client.send("GET /help HTTP/1.1\r\nHost: larder.test\r\n\r\n");
    // Another path is none the worse for it meanwhile.
    assert_eq!(proc.client().get("/version").status, 200);
    assert!(client.read_or_end().is_none(), "a whole answer");
    // Its key has failed, and nothing is stored.
    expect_honest_error(&proc.client().get("/help"), 504);
}

#[test]
fn sim_a_drip_is_passed_on_as_it_comes_and_stored_when_it_is_whole() {
    let proc = simulating("?drip=/control/reserve&rate=2");
    let mut client = proc.client();
    let begun = Instant::now();
    let reply = client.get("/control/reserve");
    // 15 bytes at 2 a second.
    assert_eq!(reply.text(), r#"{"reserve": 20}"#);
    assert!(
        begun.elapsed() >= Duration::from_secs(7),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        proc.client().get("/control/reserve").cache_status(),
        "HIT",
        "what came drop by drop is stored all the same"
    );

    let proc = simulating("?drip=/control/reserve&rate=100");
    let mut client = proc.client();
    assert_eq!(client.get("/control/reserve").text(), r#"{"reserve": 20}"#);
    assert_eq!(client.get("/control/reserve").cache_status(), "HIT");
}

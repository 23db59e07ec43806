//! Polls of the user's that slow down while nobody asks: `pollIdleInterval`, `pollIdleAfter`.

use serde_json::json;

use crate::support::{Answer, App, Origin, config_for, eventually};

#[test]
fn a_poll_nobody_asks_for_slows_down_and_the_first_request_brings_its_pace_back() {
    let origin = Origin::answering(|_| Answer::ok("{}"));
    let route = json!({ "path": "/now", "cacheTTL": 600, "staleTime": 600, "pollInterval": 10, "pollIdleInterval": 300,
        "pollIdleAfter": 45 });
    let app = App::start(&config_for(&origin, json!({ "urlConfigs": [route] })));
    origin.await_requests("/now", 1);
    rests(&app);

    // Twenty-five turns, the 30th of which is the first that is needed.
    (0..25).for_each(|_| app.skip_seconds(10));
    assert_eq!(origin.count("/now"), 1, "nobody asks");

    app.client().get("/now").expect("HIT", "{}");
    for turn in 2..=5 {
        app.skip_seconds(10);
        origin.await_requests("/now", turn);
        rests(&app);
    }
    // 45 s after the request one turn more may have begun.
    app.skip_seconds(10);
    rests(&app);
    app.skip_seconds(10);
    rests(&app);
    let after = origin.count("/now");
    (0..20).for_each(|_| app.skip_seconds(10));
    assert!(
        after <= 6 && origin.count("/now") == after,
        "{after}, then {}",
        origin.count("/now")
    );

    (0..12).for_each(|_| app.skip_seconds(10));
    origin.await_requests("/now", after + 1);
}

#[test]
fn a_poll_without_an_idle_pace_never_slows_down() {
    let origin = Origin::answering(|_| Answer::ok("{}"));
    let route = json!({ "path": "/now", "cacheTTL": 600, "pollInterval": 10 });
    let app = App::start(&config_for(&origin, json!({ "urlConfigs": [route] })));
    origin.await_requests("/now", 1);
    for turn in 2..=30 {
        app.skip_seconds(10);
        origin.await_requests("/now", turn);
        rests(&app);
    }
}

/// Waits until what was polled has ended, and the scheduler has heard of it: a turn that comes before is skipped.
fn rests(app: &App) {
    for _ in 0..2 {
        assert!(eventually(|| app.active() == 0), "a poll never ends");
        app.client().get("/health");
    }
}

//! A replayed origin with Larder before it, on one clock the test moves.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{App, Client, Replay, Reply, eventually, home};

/// Larder, the preset for pypowerwall in force, before a replaying origin.
pub struct Scene {
    pub app: App,
    pub origin: Replay,
}

impl Scene {
    /// Starts with the preset alone.
    pub fn before(origin: Replay) -> Scene {
        Scene::with(origin, json!({}))
    }

    /// Starts with the preset and `more`.
    pub fn with(origin: Replay, more: Value) -> Scene {
        let app = App::start(&home(&origin.url(), more));
        Scene { app, origin }
    }

    /// Starts without the preset's own polls: `urlConfigs` polls something nobody asks for.
    pub fn unpolled(origin: Replay) -> Scene {
        Scene::with(
            origin,
            json!({ "urlConfigs": [{ "path": "/api/customer/registration", "pollInterval": 3600 }] }),
        )
    }

    /// A new connection to Larder.
    pub fn client(&self) -> Client {
        self.app.client()
    }

    /// Asks for `target` on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str) -> Reply {
        self.client().get(target)
    }

    /// Sends a request for `target` and leaves it to its fate. The connection ends with what is returned.
    pub fn leave_asking(&self, target: &str) -> Client {
        let mut client = self.client();
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: larder.test\r\n\r\n"
        ));
        client
    }

    /// Moves the clocks of both forward.
    pub fn skip(&self, by: Duration) {
        // The origin's first: what Larder sends because of it comes after.
        self.origin.skip(by);
        self.app.skip_time(by);
    }

    /// As [`Scene::skip`], in seconds.
    pub fn skip_seconds(&self, seconds: u64) {
        self.skip(Duration::from_secs(seconds));
    }

    /// Lets time pass: nothing is under way when the clocks move, and whatever became due has ended after that. (What is on
    /// its way while they move comes minutes late in their time, though the wire took no time at all.)
    #[track_caller]
    pub fn pass(&self, by: Duration) {
        self.settle();
        self.skip(by);
        self.settle();
    }

    /// As [`Scene::pass`], in steps of `step` seconds.
    #[track_caller]
    pub fn pass_seconds(&self, seconds: u64, step: usize) {
        (0..seconds)
            .step_by(step)
            .for_each(|_| self.pass(Duration::from_secs(step as u64)));
    }

    /// Waits until Larder has had every answer that the origin does not keep back.
    #[track_caller]
    pub fn settle(&self) {
        self.await_twice(|| self.is_settled());
    }

    /// Whether Larder has had every answer that the origin does not keep back.
    pub fn is_settled(&self) -> bool {
        self.app.active() == self.origin.withheld()
    }

    /// Waits until Larder waits for nothing, however slow.
    #[track_caller]
    pub fn finish(&self) {
        self.await_twice(|| self.app.active() == 0);
    }

    #[track_caller]
    fn await_twice(&self, rests: impl Fn() -> bool) {
        // In a row: between a held answer and its cross-check nothing is under way for a moment.
        let mut looks = 0;
        let rests_twice = || {
            looks = if rests() { looks + 1 } else { 0 };
            looks == 2
        };
        assert!(eventually(rests_twice), "{} under way", self.app.active());
    }

    /// Asks for every one of `targets` until each has been answered with 200: what a start takes.
    #[track_caller]
    pub fn warm(&self, targets: &[&str]) {
        for target in targets {
            assert!(
                eventually(|| self.get(target).status == 200),
                "{target} never comes: {:?}",
                self.get(target)
            );
        }
    }

    /// Asks for `target` as a page does that must not wait.
    #[track_caller]
    pub fn get_at_once(&self, target: &str) -> Reply {
        let begun = Instant::now();
        let reply = self.get(target);
        let taken = begun.elapsed();
        assert!(
            taken < Duration::from_secs(1),
            "{target} took {taken:?}: {reply:?}"
        );
        reply
    }

    /// The body a healthy gateway's program answers with.
    #[track_caller]
    pub fn good_body(&self, target: &str) -> &[u8] {
        &self.origin.healthy().get(target).reply.body
    }

    /// Panics unless this is the good answer to `target`.
    #[track_caller]
    pub fn expect_good(&self, target: &str, reply: &Reply) {
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
        assert!(
            reply.body == self.good_body(target),
            "{target}: another body: {reply:?}"
        );
    }
}

/// Panics unless this says that there is nothing, and when to come again.
#[track_caller]
pub fn expect_nothing(target: &str, reply: &Reply) {
    assert!(matches!(reply.status, 502..=504), "{target}: {reply:?}");
    let seconds = reply
        .field("Retry-After")
        .and_then(|text| text.parse::<u64>().ok());
    assert!(
        seconds.is_some_and(|seconds| (1..=300).contains(&seconds)),
        "{target}: no Retry-After: {reply:?}"
    );
    assert_eq!(reply.field("X-Cache"), Some("MISS"), "{target}: {reply:?}");
}

/// `Age` in seconds.
#[track_caller]
pub fn age(reply: &Reply) -> u64 {
    reply
        .field("Age")
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("no Age: {reply:?}"))
}

/// Whether a program's empty answer: nothing in it, or nothing but nulls.
pub fn is_empty(body: &[u8]) -> bool {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Null) => true,
        Ok(Value::Array(all)) => all.is_empty(),
        Ok(Value::Object(all)) => all.values().all(Value::is_null),
        _ => body.trim_ascii().is_empty(),
    }
}

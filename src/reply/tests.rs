//! Tests of replies.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::*;
use crate::cache::key::Key;
use crate::message::RequestId;
use crate::outcome::Fwd;
use crate::policy::directives::ResponseDirectives;
use crate::policy::freshness::{Allowed, Received, lifetime};
use crate::policy::rule::{Defaults, Rule};

const NAME: &str = "larder-0000beef";

/// Sun, 15 Jun 2025 15:15:00 GMT, seven seconds after the start.
const START: Now = Now {
    mono: Duration::from_secs(7),
    wall: Duration::from_secs(1_750_000_500),
};

fn later(seconds: f64) -> Now {
    Now {
        mono: START.mono + Duration::from_secs_f64(seconds),
        ..START
    }
}

/// What the origin says is fresh for 30 s, as it was stored.
fn stored(status: StatusCode) -> Arc<Stored> {
    let fields = HeaderMap::from_iter([(
        header::CACHE_CONTROL,
        "max-age=30".parse().expect("a value"),
    )]);
    let response_directives = ResponseDirectives::of(&fields, &[]);
    let received = Received {
        status,
        fields: &fields,
        response_directives,
        asked: START,
        at: START,
    };
    let lifetime = lifetime(
        &received,
        &Rule::default(),
        &Defaults::default(),
        Allowed::Any,
    )
    .expect("the origin's word");
    let response = Response {
        status,
        fields,
        body: Bytes::from_static(b"{}"),
    };
    let (head, fields_end) = stored_head(&response, &[], &lifetime, START, NAME);
    Arc::new(Stored {
        key: Key::from("cache:GET:anonymous:/soe"),
        status,
        head,
        fields_end,
        selecting: None,
        used: AtomicU32::new(0),
        body: response.body,
        lifetime,
        hits: AtomicU32::new(0),
        uses: Default::default(),
        rule: Default::default(),
    })
}

fn head_of(reply: &Reply, id: u64) -> String {
    let mut out = Vec::new();
    head(
        &mut out,
        reply,
        false,
        &IdText::new(0xBEEF, RequestId(id), None),
        NAME,
        &Clock::new(),
    );
    String::from_utf8(out).expect("a head of text")
}

#[test]
fn h1_a_stored_answer_tells_its_age_what_is_left_and_how_it_came_about() {
    let always = "HTTP/1.1 200 OK\r\nCache-Control: max-age=30\r\n\
        Via: 1.1 larder-0000beef\r\nX-Cache-Timestamp: 2025-06-15T15:15:00.000Z\r\n\
        X-Cache-Expires-At: 2025-06-15T15:15:30.000Z\r\nContent-Length: 2\r\n";
    let failed = Outcome::Stale {
        reason: Cause::Status(503),
    };
    let fetched = Outcome::Fetched {
        fwd: Fwd::UriMiss,
        stored: true,
        collapsed: false,
    };
    let cases = [
        (
            Outcome::Hit,
            0.0,
            (0, 30),
            ("HIT", "HIT", "larder; hit; ttl=30"),
        ),
        (
            Outcome::Hit,
            29.5,
            (29, 1),
            ("HIT", "HIT", "larder; hit; ttl=1"),
        ),
        (
            failed,
            30.0,
            (30, 0),
            (
                "HIT",
                "HIT",
                "larder; fwd=stale; fwd-status=503; ttl=0; detail=status",
            ),
        ),
        (
            failed,
            1264.9,
            (1264, 0),
            (
                "HIT",
                "HIT",
                "larder; fwd=stale; fwd-status=503; ttl=-1234; detail=status",
            ),
        ),
        (
            fetched,
            0.0,
            (0, 30),
            (
                "MISS",
                "MISS",
                "larder; fwd=uri-miss; fwd-status=200; ttl=30; stored",
            ),
        ),
    ];
    for (outcome, seconds, (age, left), (x_cache, x_cache_status, cache_status)) in cases {
        let expected = format!(
            "{always}Age: {age}\r\nX-Cache-Expires-In: {left}\r\nX-Cache: {x_cache}\r\n\
             X-Cache-Status: {x_cache_status}\r\nCache-Status: {cache_status}\r\nX-Request-Id: 0000beef-12d687\r\n"
        );
        let reply = Reply::Stored {
            stored: stored(StatusCode::OK),
            outcome,
            now: later(seconds),
            shape: Shape::Whole,
        };
        assert_eq!(
            head_of(&reply, 1_234_567),
            expected,
            "{outcome:?} after {seconds} s"
        );
    }
}

#[test]
fn our_own_errors_name_the_request_in_field_and_body() {
    let reply = Reply::failed(Cause::NoPermit, Some(Fwd::UriMiss));
    let text = body(&reply, &IdText::new(0xBEEF, RequestId(u64::MAX), None));
    let id = "0000beef-ffffffffffffffff";
    assert!(text.ends_with(format!(",\"request_id\":\"{id}\"}}").as_bytes()));
    assert!(head_of(&reply, u64::MAX).ends_with(&format!("X-Request-Id: {id}\r\n")));
    let built_in = Reply::built_in(StatusCode::OK, "{}".to_owned());
    assert!(head_of(&built_in, 0).ends_with("Content-Length: 2\r\nX-Request-Id: 0000beef-0\r\n"));
}

#[test]
fn names_are_sent_in_their_usual_capitals() {
    for (name, sent) in [
        ("content-type", "Content-Type"),
        ("etag", "ETag"),
        ("x-odd-", "X-Odd-"),
    ] {
        let mut out = Vec::new();
        write_name(&mut out, &HeaderName::from_static(name));
        assert_eq!(out, sent.as_bytes());
    }
}

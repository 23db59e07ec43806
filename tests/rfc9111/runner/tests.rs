//! The runner itself: what is right passes, and every kind of difference is told.

use serde_json::{Value, json};

use super::alone;
use super::scenario::scenario;

/// Plays these steps; what is wrong.
fn played(steps: &Value) -> Option<String> {
    // The user's lifetime, so that only the runner is tested.
    let config = json!({ "cache": { "defaultTTL": 300, "defaultStaleTime": 60 }, "backend": { "firstByteTimeout": 100 } });
    let whole = json!({ "name": "x", "rfc": "9111", "kind": "must", "says": "s", "bullet": "b", "config": config, "steps": steps });
    alone("runner", &scenario("runner", whole))
}

#[track_caller]
fn passes(steps: Value) {
    assert_eq!(played(&steps), None);
}

#[track_caller]
fn fails(told: &str, steps: Value) {
    let failure = played(&steps).unwrap_or_else(|| panic!("not noticed: {told} in {steps}"));
    assert!(failure.contains(told), "{told} expected in:\n{failure}");
}

#[test]
fn each_expectation_is_looked_at() {
    let reply = json!({ "fields": [["X-A", "1"], ["X-A", "2"], ["X-When", "{now+5}"]], "body": "one", "interim": [{ "status": 103, "fields": [["Link", "</l>"]] }] });
    passes(
        json!([{ "origin": reply, "expect": { "status": 200, "body": "one", "from": "origin", "x": "MISS",
        "cache_status": ["uri-miss"], "fields": { "X-A": ["1", "2"], "X-When": "{start+5}" }, "absent": ["X-B"] } }]),
    );
    for (told, expect) in [
        ("status: expected 201, got 200", json!({ "status": 201 })),
        ("body: expected \"two\"", json!({ "body": "two" })),
        (
            "from: expected Store, got Origin",
            json!({ "from": "store" }),
        ),
        ("X-Cache-Status: expected \"HIT\"", json!({ "x": "HIT" })),
        (
            "Cache-Status: expected \"bypass\"",
            json!({ "cache_status": ["bypass"] }),
        ),
        (
            "X-A: expected [\"1\"], got [\"1\", \"2\"]",
            json!({ "fields": { "X-A": "1" } }),
        ),
        (
            "X-When: expected",
            json!({ "fields": { "X-When": "{now+6}" } }),
        ),
        ("x-a: expected none", json!({ "absent": ["x-a"] })),
        (
            "Age: expected one line from 3 to 4, got [\"0\"]",
            json!({ "age": [3, 4] }),
        ),
        (
            "responses before the final one: expected [104]",
            json!({ "interim": [{ "status": 104 }] }),
        ),
        ("expected the connection to end", json!({ "cut": true })),
    ] {
        fails(told, json!([{ "origin": reply, "expect": expect }]));
    }
}

#[test]
fn how_often_the_origin_is_asked_is_looked_at() {
    fails("the origin was asked too often", json!([{ "path": "/a" }]));
    fails(
        "the origin was asked too seldom",
        json!([{ "origin": [{}, {}] }]),
    );
    fails(
        "the origin was asked too seldom",
        json!([{ "origin": {} }, { "origin": {} }]),
    );
    fails(
        "the origin was asked too seldom",
        json!([{ "origin": {} }, { "origin": { "refuse": true } }]),
    );
    // Past staleTime, the refresh in the background is the second request.
    fails("(not expected)", json!([{ "origin": {} }, { "t": 70 }]));
}

#[test]
fn what_the_origin_saw_is_looked_at() {
    let asked = |saw: Value| json!([{ "method": "POST", "path": "/a?b", "fields": [["X-A", "1"]], "body": "in", "origin": {}, "origin_saw": saw }]);
    passes(asked(
        json!({ "method": "POST", "path": "/a?b", "fields": { "x-a": "1" }, "absent": ["X-B"], "body": "in" }),
    ));
    for (told, saw) in [
        (
            "the origin's method: expected \"GET\"",
            json!({ "method": "GET" }),
        ),
        (
            "the origin's path: expected \"/a\"",
            json!({ "path": "/a" }),
        ),
        (
            "at the origin, X-A: expected [\"2\"]",
            json!({ "fields": { "X-A": "2" } }),
        ),
        (
            "at the origin, X-A: expected none",
            json!({ "absent": ["X-A"] }),
        ),
        (
            "the origin's body: expected \"out\"",
            json!({ "body": "out" }),
        ),
    ] {
        fails(told, asked(saw));
    }
    fails(
        "origin_saw is about 1 requests, 0 came",
        json!([{ "origin": {} }, { "origin_saw": { "method": "GET" } }]),
    );
}

#[test]
fn time_passes_to_the_second() {
    passes(json!([
        { "origin": { "body": "one" } },
        { "t": 59, "expect": { "from": "store", "age": 59, "fields": { "Date": "{now-59}" } } },
        { "expect": { "age": [58, 60] } },
    ]));
    fails(
        "Age: expected one line from 58 to 58, got [\"59\"]",
        json!([{ "origin": {} }, { "t": 59, "expect": { "age": 58 } }]),
    );
}

#[test]
fn what_happens_in_the_background_is_waited_for() {
    passes(json!([
        { "origin": { "body": "one" } },
        { "t": 70, "origin": { "body": "two" }, "settle": 2, "expect": { "body": "one", "from": "store" } },
        { "expect": { "body": "two", "from": "store", "age": 0 } },
    ]));
}

#[test]
fn a_failing_origin() {
    for (failure, status) in [
        (json!({ "refuse": true }), 502),
        (json!({ "silent": true }), 504),
    ] {
        passes(json!([{ "origin": failure, "expect": { "status": status, "from": "larder" } }]));
    }
    passes(json!([
        { "origin": { "body": "one" } },
        { "t": 301, "origin": { "refuse": true }, "expect": { "from": "stale", "body": "one" } },
    ]));
    passes(json!([
        { "origin": { "body": "one" } },
        { "t": 301, "gone": true, "expect": { "from": "stale", "body": "one" } },
        { "path": "/b", "expect": { "status": 502, "from": "larder" } },
    ]));
}

#[test]
fn each_framing_of_the_origin_is_told_apart() {
    passes(json!([
        { "path": "/1", "origin": { "body": "one", "chunked": true }, "expect": { "body": "one" } },
        { "path": "/2", "origin": { "body": "one", "close": true }, "expect": { "body": "one" } },
        { "path": "/3", "method": "HEAD", "origin": { "body": "one" }, "expect": { "body": "", "fields": { "Content-Length": "3" } } },
        { "path": "/4", "fields": [["If-None-Match", "\"a\""]], "origin": { "status": 304 }, "expect": { "status": 304, "absent": ["Content-Length"] } },
        { "path": "/5", "origin": { "fields": [["X-A", "caf\u{e9}"]] }, "expect": { "fields": { "X-A": "caf\u{e9}" } } },
    ]));
    for odd in [
        json!({ "cut": true, "body": "one" }),
        json!({ "length": 9, "body": "one" }),
        json!({ "cut": true, "chunked": true, "body": "one" }),
    ] {
        passes(json!([{ "origin": odd, "expect": { "status": 502, "from": "larder" } }]));
    }
}

#[test]
fn the_example_is_one() {
    let lines = include_str!("../main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//!"));
    let example: String = lines
        .skip_while(|line| *line != " ```json")
        .skip(1)
        .take_while(|line| *line != " ```")
        .collect();
    assert_eq!(
        scenario("the example", serde_json::from_str(&example).unwrap())
            .steps
            .len(),
        3
    );
}

#[test]
#[should_panic(expected = "unknown field `stauts`")]
fn a_misspelt_word_is_an_error() {
    played(&json!([{ "origin": { "stauts": 200 } }]));
}

#[test]
#[should_panic(expected = "unknown placeholder {nwo}")]
fn a_misspelt_placeholder_is_an_error() {
    played(&json!([{ "origin": { "fields": [["Expires", "{nwo}"]] } }]));
}

#[test]
#[should_panic(expected = "time does not run backwards")]
fn time_runs_forward() {
    played(&json!([{ "t": 5 }, { "t": 4 }]));
}

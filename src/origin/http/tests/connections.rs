//! Which connection a request goes out on, and how often.

use super::*;

fn ok() -> Step {
    say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

/// Fetches one request after the other on one origin.
fn fetch_all(script: &Script, requests: &[OriginRequest]) -> Vec<String> {
    let mut origin = origin(script.port);
    requests
        .iter()
        .map(|request| shown(&origin.fetch(request)))
        .collect()
}

#[test]
fn a_whole_answer_leaves_its_connection_for_the_next_request() {
    let script = Script::play(vec![vec![Step::Hear, ok(), Step::Hear, ok(), Step::Stay]]);
    assert_eq!(fetch_all(&script, &[get(), get()]), ["200 ok", "200 ok"]);
    assert_eq!(script.connections(), [0, 0]);
}

#[test]
fn a_passed_on_body_leaves_its_connection_too() {
    let (open, gate) = channel();
    let head = say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let end = say(b"2\r\nok\r\n0\r\n\r\n");
    let script = Script::play(vec![vec![
        Step::Hear,
        head,
        Step::Await(gate),
        end,
        Step::Hear,
        ok(),
        Step::Stay,
    ]]);
    let mut origin = origin_with(script.port, |s| s.at_once = MOMENT);
    let mut opening = opening(origin.fetch(&get()));
    open.send(()).unwrap();
    assert_eq!(drain(&mut opening), Ok(b"ok".to_vec()));
    assert_eq!(shown(&origin.fetch(&get())), "200 ok");
    assert_eq!(script.connections(), [0, 0]);
}

#[test]
fn a_passed_on_body_and_the_next_request_do_not_disturb_each_other() {
    let (open, gate) = channel();
    let head = say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    let script = Script::play(vec![
        vec![Step::Hear, head, Step::Await(gate), say(b"cd")],
        vec![Step::Hear, ok()],
    ]);
    let mut origin = origin_with(script.port, |s| s.at_once = MOMENT);
    let mut opening = opening(origin.fetch(&get()));
    assert_eq!(shown(&origin.fetch(&request("POST", "/", None))), "200 ok");
    open.send(()).unwrap();
    assert_eq!(drain(&mut opening), Ok(b"cd".to_vec()));
    assert_eq!(script.connections(), [0, 1]);
}

#[test]
fn a_connection_is_not_used_again_where_the_next_response_is_uncertain() {
    for (first, expected) in [
        // More than announced, at once.
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"[..],
            "200 ok",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "204 "),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "304 "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", "200 ok"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "Protocol"),
    ] {
        let script = Script::play(vec![vec![Step::Hear, say(first), Step::Hear], vec![Step::Hear, ok()]]);
        assert_eq!(fetch_all(&script, &[get(), get()]), [expected, "200 ok"], "{}", String::from_utf8_lossy(first));
        assert_eq!(script.connections(), [0, 1]);
    }
}

#[test]
fn the_body_that_some_origins_send_after_a_head_is_nobodys_answer() {
    let head = say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    let late = say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let script = Script::play(vec![
        vec![Step::Hear, head, Step::Hear, late],
        vec![Step::Hear, ok()],
    ]);
    assert_eq!(
        fetch_all(&script, &[request("HEAD", "/", None), get()]),
        ["200 ", "200 ok"]
    );
    assert_eq!(script.connections(), [0, 1]);
}

#[test]
fn a_repeatable_request_that_meets_a_dying_connection_is_sent_once_more() {
    let script = Script::play(vec![
        vec![Step::Hear, ok(), Step::Hear],
        vec![Step::Hear, ok()],
    ]);
    assert_eq!(fetch_all(&script, &[get(), get()]), ["200 ok", "200 ok"]);
    assert_eq!(script.connections(), [0, 0, 1]);
}

#[test]
fn it_is_not_sent_a_third_time() {
    let script = Script::play(vec![
        vec![Step::Hear, ok(), Step::Hear],
        vec![Step::Hear],
        vec![Step::Hear, ok()],
    ]);
    assert_eq!(fetch_all(&script, &[get(), get()]), ["200 ok", "Truncated"]);
    assert_eq!(script.connections(), [0, 0, 1]);
}

#[test]
fn it_is_not_repeated_once_a_byte_has_come_or_where_the_connection_was_new() {
    let script = Script::play(vec![
        vec![Step::Hear, ok(), Step::Hear, say(b"H")],
        vec![Step::Hear, ok()],
    ]);
    assert_eq!(fetch_all(&script, &[get(), get()]), ["200 ok", "Truncated"]);
    assert_eq!(script.connections(), [0, 0]);

    let script = Script::play(vec![vec![Step::Hear], vec![Step::Hear, ok()]]);
    assert_eq!(fetch_all(&script, &[get()]), ["Truncated"]);
    assert_eq!(script.connections(), [0]);
}

#[test]
fn a_slow_answer_on_a_reused_connection_is_not_asked_for_again() {
    let script = Script::play(vec![
        vec![Step::Hear, ok(), Step::Hear, Step::Stay],
        vec![Step::Hear, ok()],
    ]);
    let mut origin = origin_with(script.port, |s| s.first_byte_timeout = MOMENT * 25);
    assert_eq!(shown(&origin.fetch(&get())), "200 ok");
    assert_eq!(shown(&origin.fetch(&get())), "FirstByteTimeout");
    assert_eq!(script.connections(), [0, 0]);
}

#[test]
fn an_unsafe_request_goes_out_once_and_on_a_connection_of_its_own() {
    for unsafe_request in [
        request("POST", "/", Some(b"x")),
        request("DELETE", "/", None),
        request("GET", "/", Some(b"x")),
    ] {
        let script = Script::play(vec![
            vec![Step::Hear, ok(), Step::Stay],
            vec![Step::Hear],
            vec![Step::Hear, ok()],
        ]);
        assert_eq!(
            fetch_all(&script, &[get(), unsafe_request]),
            ["200 ok", "Truncated"]
        );
        assert_eq!(script.connections(), [0, 1]);
    }
}

#[test]
fn the_connection_of_an_unsafe_request_serves_the_next_safe_one() {
    let script = Script::play(vec![vec![Step::Hear, ok(), Step::Hear, ok()]]);
    assert_eq!(
        fetch_all(&script, &[request("POST", "/", None), get()]),
        ["200 ok", "200 ok"]
    );
    assert_eq!(script.connections(), [0, 0]);
}

#[test]
fn an_idle_connection_has_its_day() {
    let script = Script::play(vec![
        vec![Step::Hear, ok(), Step::Stay],
        vec![Step::Hear, ok()],
    ]);
    let mut origin = origin_with(script.port, |s| s.max_idle_age = Duration::ZERO);
    assert_eq!(shown(&origin.fetch(&get())), "200 ok");
    assert_eq!(shown(&origin.fetch(&get())), "200 ok");
    assert_eq!(script.connections(), [0, 1]);
}

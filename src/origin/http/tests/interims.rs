//! What comes of interim responses.

use std::sync::Mutex;

use super::*;

/// Writes down what it is told: `103 name=value name=value`.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl InterimSink for Recorder {
    fn interim(&self, status: StatusCode, fields: &HeaderMap) {
        let fields = fields
            .iter()
            .map(|(name, value)| format!(" {name}={}", value.as_bytes().escape_ascii()));
        self.0
            .lock()
            .unwrap()
            .push(format!("{}{}", status.as_u16(), fields.collect::<String>()));
    }
}

/// What is told of an answer to a GET, sent in these pieces, and what comes of it.
fn told(pieces: &[&[u8]]) -> (Vec<String>, String) {
    let steps = std::iter::once(Step::Hear)
        .chain(pieces.iter().map(|piece| say(piece)))
        .collect();
    let script = Script::play(vec![steps]);
    let recorder = Arc::new(Recorder::default());
    let request = OriginRequest {
        interim_sink: Some(recorder.clone()),
        ..get()
    };
    let fetched = shown(&origin(script.port).fetch(&request));
    (std::mem::take(&mut *recorder.0.lock().unwrap()), fetched)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn each_is_told_of_once_with_its_end_to_end_fields() {
    let first =
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Obs: \xe9\r\nlink: </b>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\
        Keep-Alive: 5\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (told, fetched) = told(&[
        first,
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 \r\nA: b\r\n\r\n",
        OK,
    ]);
    assert_eq!(
        told,
        ["103 link=</a> link=</b> x-obs=\\xe9", "102", "199 a=b"]
    );
    assert_eq!(fetched, "200 ok");
}

#[test]
fn however_the_bytes_are_cut_they_are_told_of_once() {
    let whole = [b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n", OK].concat();
    let bytes: Vec<&[u8]> = whole.chunks(1).collect();
    assert_eq!(
        told(&bytes),
        (vec!["103 a=b".to_owned()], "200 ok".to_owned())
    );
    assert_eq!(
        told(&[&whole]),
        (vec!["103 a=b".to_owned()], "200 ok".to_owned())
    );
}

#[test]
fn what_looks_like_one_in_a_body_is_body() {
    let (open, gate) = channel();
    let head = say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    let body = b"HTTP/1.1 103 Early Hints\r\n\r\n";
    let script = Script::play(vec![vec![Step::Hear, head, Step::Await(gate), say(body)]]);
    let mut opening = opening(origin(script.port).fetch(&get()));
    open.send(()).unwrap();
    assert_eq!(drain(&mut opening), Ok(body.to_vec()));
}

#[test]
fn nobody_is_told_of_100_which_may_have_fields() {
    assert_eq!(
        told(&[b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n", OK]),
        (vec![], "200 ok".to_owned())
    );
}

#[test]
fn what_follows_one_may_be_large() {
    let mut answer =
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n"
            .to_vec();
    answer.extend(std::iter::repeat_n(b'x', 40_000));
    let (told, fetched) = told(&[&answer]);
    assert_eq!(
        (told, fetched.len()),
        (vec!["103".to_owned()], "200 ".len() + 40_000)
    );
}

#[test]
fn a_flood_is_told_of_in_part_and_the_answer_is_whole() {
    let flood = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(1000);
    let (told, fetched) = told(&[&flood, OK]);
    assert_eq!((told.len(), fetched), (16, "200 ok".to_owned()));
}

#[test]
fn one_larger_than_the_buffer_is_a_protocol_error() {
    let huge = format!(
        "HTTP/1.1 103 Early Hints\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    assert_eq!(
        told(&[huge.as_bytes(), OK]),
        (vec![], "Protocol".to_owned())
    );
}

#[test]
fn a_flood_that_never_ends_is_a_timeout() {
    let script = Script::play(vec![vec![
        Step::Hear,
        Step::Flood(b"HTTP/1.1 102 Processing\r\n\r\n".repeat(100)),
    ]]);
    let mut origin = origin_with(script.port, |s| s.first_byte_timeout = MOMENT * 5);
    assert_eq!(shown(&origin.fetch(&get())), "FirstByteTimeout");
}

#[test]
fn a_connection_serves_the_next_request_after_one() {
    let answer = [b"HTTP/1.1 103 Early Hints\r\n\r\n", OK].concat();
    let script = Script::play(vec![vec![
        Step::Hear,
        say(&answer),
        Step::Hear,
        say(&answer),
        Step::Stay,
    ]]);
    let mut origin = origin(script.port);
    for _ in 0..2 {
        let recorder = Arc::new(Recorder::default());
        let request = OriginRequest {
            interim_sink: Some(recorder.clone()),
            ..get()
        };
        assert_eq!(shown(&origin.fetch(&request)), "200 ok");
        assert_eq!(*recorder.0.lock().unwrap(), ["103"]);
    }
    assert_eq!(script.connections(), [0, 0]);
}

#[test]
fn one_that_comes_without_a_request_ends_the_connection() {
    let early = [OK, b"HTTP/1.1 103 Early Hints\r\n\r\n"].concat();
    let script = Script::play(vec![
        vec![Step::Hear, say(&early), Step::Hear],
        vec![Step::Hear, say(OK)],
    ]);
    let mut origin = origin(script.port);
    assert_eq!(
        [shown(&origin.fetch(&get())), shown(&origin.fetch(&get()))],
        ["200 ok", "200 ok"]
    );
    assert_eq!(script.connections(), [0, 1]);
}

//! What comes of what the origin sends.

use super::*;

/// What comes of an answer to a GET, sent in one piece and followed by an orderly close.
fn received(answer: &[u8]) -> String {
    let script = Script::answer(answer);
    shown(&origin(script.port).fetch(&get()))
}

#[test]
fn a_body_is_whole_however_it_is_framed() {
    for (answer, expected) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..], "200 hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "200 hello"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: 1\r\n\r\n",
            "200 hello",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "200 hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", "200 hello"),
        (b"HTTP/1.0 200\r\n\r\n", "200 "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gibberish\r\n\r\nhello", "200 hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "200 hello"),
        (b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 5\r\n\r\nhello", "302 hello"),
        (b"HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n", "299 "),
        (b"HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n-", "404 -"),
        (b"HTTP/1.1 599 Odd\r\nContent-Length: 1\r\n\r\n-", "599 -"),
        (b"HTTP/1.1 999 Odd\r\nContent-Length: 1\r\n\r\n-", "999 -"),
    ] {
        assert_eq!(received(answer), expected, "{}", String::from_utf8_lossy(answer));
    }
}

#[test]
fn a_cut_answer_is_never_whole() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(
            received(answer),
            "Truncated",
            "{}",
            String::from_utf8_lossy(answer)
        );
    }
}

#[test]
fn a_body_that_ends_at_close_is_cut_by_a_reset() {
    let (open, gate) = channel();
    let steps = vec![
        Step::Hear,
        say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nhello"),
        Step::Await(gate),
        Step::Reset,
    ];
    let script = Script::play(vec![steps]);
    let mut opening = opening(origin(script.port).fetch(&get()));
    assert_eq!(opening.rest.next(), Ok(Some(Bytes::from_static(b"hello"))));
    open.send(()).unwrap();
    assert_eq!(opening.rest.next(), Err(FetchError::Truncated));
    assert_eq!(
        opening.rest.next(),
        Err(FetchError::Truncated),
        "asked again"
    );
}

#[test]
fn what_is_not_http_is_a_protocol_error() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(200));
    for answer in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 000 Null\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gibberish\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello",
        huge.as_bytes(),
        many.as_bytes(),
    ] {
        let start = &answer[..answer.len().min(100)];
        assert_eq!(
            received(answer),
            "Protocol",
            "{}",
            String::from_utf8_lossy(start)
        );
    }
}

#[test]
fn end_to_end_fields_pass_byte_for_byte_and_the_length_is_left_to_the_reply() {
    let script = Script::answer(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Odd: \xe9\xff\t x\r\nset-cookie: b=2\r\nConnection: close, X-Hop\r\n\
        X-Hop: 1\r\nKeep-Alive: 5\r\nContent-Length: 2\r\nX-Empty:\r\n\r\nok",
    );
    let fields = whole(origin(script.port).fetch(&get())).fields;
    let mut lines: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    lines.sort_by_key(|(name, _)| *name);
    let expected: [(&str, &[u8]); 4] = [
        ("set-cookie", b"a=1"),
        ("set-cookie", b"b=2"),
        ("x-empty", b""),
        ("x-odd", b"\xe9\xff\t x"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn responses_without_a_body_end_at_once_and_keep_only_the_length_of_the_other_response() {
    for (method, status, length) in [
        ("HEAD", "200 OK", Some("5")),
        ("GET", "304 Not Modified", Some("5")),
        ("GET", "204 No Content", None),
    ] {
        // The connection stays open: waiting for a body would end in a timeout.
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n");
        let script = Script::play(vec![vec![Step::Hear, say(head.as_bytes()), Step::Stay]]);
        let response = whole(origin(script.port).fetch(&request(method, "/", None)));
        assert_eq!(response.body, "", "{method} {status}");
        assert_eq!(
            response
                .fields
                .get("content-length")
                .map(HeaderValue::as_bytes),
            length.map(str::as_bytes)
        );
        assert!(!response.fields.contains_key("connection"));
    }
}

/// RFC 9112 §5.1: a proxy removes them.
#[test]
fn blanks_before_a_colon_are_removed_however_the_head_is_cut() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length : 8\r\nX-Kept \t: a b\r\n\r\nh\r\nA : b";
    for cut in 1..answer.len() {
        let (begin, rest) = answer.split_at(cut);
        let (go, going) = channel();
        let steps = vec![Step::Hear, say(begin), Step::Await(going), say(rest)];
        let script = Script::play(vec![steps]);
        let mut origin = origin(script.port);
        let fetching = std::thread::spawn(move || origin.fetch(&get()));
        script.next_heard();
        go.send(()).unwrap();
        let response = whole(fetching.join().unwrap());
        assert_eq!(response.body.as_ref(), b"h\r\nA : b", "cut at {cut}");
        let kept = response.fields.get("X-Kept").unwrap();
        assert_eq!(kept, "a b", "cut at {cut}");
    }
}

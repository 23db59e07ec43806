//! Bodies that pause, never end or are too large; and every limit of waiting.

use super::*;

#[test]
fn a_body_that_pauses_is_passed_on_and_ends_well() {
    for (framing, first, second) in [
        ("Content-Length: 10", "hello", "world"),
        (
            "Transfer-Encoding: chunked",
            "5\r\nhello\r\n5",
            "\r\nworld\r\n0\r\n\r\n",
        ),
        ("Connection: close", "hello", "world"),
    ] {
        let (open, gate) = channel();
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\nX: 1\r\n\r\n{first}");
        let steps = vec![
            Step::Hear,
            say(head.as_bytes()),
            Step::Await(gate),
            say(second.as_bytes()),
        ];
        let script = Script::play(vec![steps]);
        let mut opening = opening(origin_with(script.port, |s| s.at_once = MOMENT).fetch(&get()));
        assert_eq!(opening.begun, "hello", "{framing}");
        assert_eq!(
            opening.length,
            framing.starts_with("Content-Length").then_some(10)
        );
        assert_eq!(opening.fields.len(), 1, "only X: {:?}", opening.fields);
        open.send(()).unwrap();
        assert_eq!(drain(&mut opening), Ok(b"world".to_vec()), "{framing}");
        assert_eq!(opening.rest.next(), Ok(None), "asked again");
    }
}

#[test]
fn a_body_that_pauses_and_is_then_cut_tells_so() {
    let (open, gate) = channel();
    let head = say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    let script = Script::play(vec![vec![
        Step::Hear,
        head,
        Step::Await(gate),
        say(b"hello"),
    ]]);
    let mut opening = opening(origin_with(script.port, |s| s.at_once = MOMENT).fetch(&get()));
    assert_eq!(opening.begun, "");
    open.send(()).unwrap();
    assert_eq!(drain(&mut opening), Err(FetchError::Truncated));
    assert_eq!(
        opening.rest.next(),
        Err(FetchError::Truncated),
        "asked again"
    );
}

#[test]
fn an_endless_kind_of_content_is_passed_on_at_once() {
    for kind in [
        "text/event-stream",
        "Text/Event-Stream; charset=utf-8",
        "multipart/x-mixed-replace;boundary=b",
    ] {
        // The pause of these settings is ten seconds, and the script never ends the body.
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\ndata");
        let script = Script::play(vec![vec![Step::Hear, say(head.as_bytes()), Step::Stay]]);
        let mut opening = opening(origin(script.port).fetch(&get()));
        assert_eq!((&opening.begun[..], opening.length), (&b""[..], None));
        assert_eq!(
            opening.rest.next(),
            Ok(Some(Bytes::from_static(b"data"))),
            "{kind}"
        );
    }
}

#[test]
fn a_body_larger_than_allowed_is_passed_on_and_one_as_large_is_whole() {
    const BODY: &str = "0123456789";
    for (framing, body, max, begun) in [
        ("Content-Length: 10", BODY, 10, None),
        ("Content-Length: 10", BODY, 9, Some("")),
        ("Connection: close", BODY, 10, None),
        ("Connection: close", BODY, 9, Some("0123456789")),
        ("Connection: close", BODY, 4, Some("01234")),
        (
            "Transfer-Encoding: chunked",
            "a\r\n0123456789\r\n0\r\n\r\n",
            10,
            None,
        ),
        (
            "Transfer-Encoding: chunked",
            "a\r\n0123456789\r\n0\r\n\r\n",
            4,
            Some("01234"),
        ),
        ("Connection: close", BODY, 0, Some("0")),
    ] {
        let script =
            Script::answer(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{body}").as_bytes());
        let fetched = origin_with(script.port, |s| s.max_object_bytes = max).fetch(&get());
        let Some(begun) = begun else {
            assert_eq!(whole(fetched).body, BODY, "{framing}, at most {max}");
            continue;
        };
        let mut opening = opening(fetched);
        assert_eq!(opening.begun, begun, "{framing}, at most {max}");
        assert_eq!(
            drain(&mut opening),
            Ok(BODY.as_bytes()[begun.len()..].to_vec())
        );
    }
}

#[test]
fn a_length_that_lies_takes_no_more_memory_than_allowed() {
    let script =
        Script::answer(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nx");
    let mut opening = opening(origin(script.port).fetch(&get()));
    assert_eq!(opening.length, Some(u64::MAX));
    assert_eq!(drain(&mut opening), Err(FetchError::Truncated));
}

#[test]
fn every_wait_has_its_own_limit_and_name() {
    let head = &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"[..];
    for (answer, change, expected) in [
        (
            &b""[..],
            (|s| s.first_byte_timeout = MOMENT) as fn(&mut HttpSettings),
            "FirstByteTimeout",
        ),
        (
            b"HTTP/1.1 200",
            |s| s.first_byte_timeout = MOMENT,
            "FirstByteTimeout",
        ),
        (
            b"HTTP/1.1 103 Hints\r\n\r\n",
            |s| s.first_byte_timeout = MOMENT,
            "FirstByteTimeout",
        ),
        (head, |s| s.at_once = MOMENT, "opening 200 hello"),
    ] {
        let script = Script::play(vec![vec![Step::Hear, say(answer), Step::Stay]]);
        assert_eq!(
            shown(&origin_with(script.port, change).fetch(&get())),
            expected
        );
    }
}

#[test]
fn every_silence_of_a_body_has_its_own_limit_and_name() {
    let head = &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"[..];
    for (change, unread, expected) in [
        (
            (|s| s.idle_timeout = MOMENT) as fn(&mut HttpSettings),
            false,
            FetchError::IdleTimeout,
        ),
        (|s| s.idle_timeout = MOMENT, true, FetchError::IdleTimeout),
        (|s| s.total_timeout = MOMENT, true, FetchError::TotalTimeout),
        (
            |s| (s.total_timeout, s.idle_timeout) = (MOMENT, MOMENT * 4),
            false,
            FetchError::IdleTimeout,
        ),
    ] {
        let script = Script::play(vec![vec![Step::Hear, say(head), Step::Stay]]);
        let settle = |s: &mut HttpSettings| {
            s.at_once = MOMENT / 4;
            change(s);
        };
        let mut opening = opening(origin_with(script.port, settle).fetch(&get()));
        opening.rest.set_unread(unread);
        assert_eq!(drain(&mut opening), Err(expected));
    }
}

#[test]
fn a_body_that_drips_is_stopped_by_the_total_timeout_while_nobody_reads_it() {
    let script = Script::play(vec![vec![
        Step::Hear,
        say(b"HTTP/1.1 200 OK\r\n\r\n"),
        Step::Drip,
    ]]);
    let change = |s: &mut HttpSettings| {
        s.total_timeout = MOMENT;
        s.at_once = MOMENT / 4;
        s.max_object_bytes = usize::MAX;
    };
    let mut opening = opening(origin_with(script.port, change).fetch(&get()));
    opening.rest.set_unread(true);
    assert_eq!(drain(&mut opening), Err(FetchError::TotalTimeout));
}

#[test]
fn a_stream_may_be_silent_six_times_as_long() {
    let head = say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    let script = Script::play(vec![vec![Step::Hear, head, Step::Stay]]);
    let mut opening = opening(origin_with(script.port, |s| s.idle_timeout = MOMENT).fetch(&get()));
    let before = std::time::Instant::now();
    assert_eq!(opening.rest.next(), Err(FetchError::IdleTimeout));
    assert!(before.elapsed() >= MOMENT * 6, "{:?}", before.elapsed());
}

#[test]
fn an_origin_that_cannot_be_reached_says_why() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    assert_eq!(shown(&origin(closed).fetch(&get())), "Connect");

    let unresolved = Arc::new(Addresses::new("origin.example", 80, Allow::default()));
    assert_eq!(
        shown(&HttpOrigin::new(&settings(80), unresolved).fetch(&get())),
        "Resolve"
    );
}

#[test]
fn an_origin_that_does_not_accept_is_a_connect_timeout() {
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener
        .bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    // Fills the backlog until the kernel answers no more.
    let held: Vec<_> = std::iter::from_fn(|| TcpStream::connect_timeout(&address, MOMENT).ok())
        .take(64)
        .collect();
    assert!(held.len() < 64, "the backlog has no end here");
    assert_eq!(
        shown(&origin_with(address.port(), |s| s.connect_timeout = MOMENT).fetch(&get())),
        "ConnectTimeout"
    );
}

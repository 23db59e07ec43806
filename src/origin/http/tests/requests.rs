//! What the origin receives.

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn any_method_arrives_with_or_without_a_body() {
    for (method, body, length) in [
        ("GET", None, None),
        ("GET", Some(&b"why"[..]), Some(3)),
        ("HEAD", None, None),
        ("DELETE", None, None),
        ("DELETE", Some(b"x=1"), Some(3)),
        ("POST", None, Some(0)),
        ("POST", Some(b""), Some(0)),
        ("POST", Some(b"value=20&token=\x01"), Some(16)),
        ("PUT", None, Some(0)),
        ("PATCH", None, Some(0)),
        ("OPTIONS", None, None),
        ("TRACE", None, None),
        ("M-SEARCH", None, None),
        ("M-SEARCH", Some(b"ssdp"), Some(4)),
        ("get", None, None),
    ] {
        let script = Script::answer(OK);
        assert_eq!(
            shown(&origin(script.port).fetch(&request(method, "/a", body))),
            "200 ",
            "{method}"
        );
        let length = length
            .map(|length: usize| format!("content-length: {length}\r\n"))
            .unwrap_or_default();
        let host = format!("host: 127.0.0.1:{}\r\n", script.port);
        let body = String::from_utf8_lossy(body.unwrap_or_default()).into_owned();
        let expected = format!("{method} /a HTTP/1.1\r\n{length}{host}\r\n{body}");
        assert_eq!(script.next_heard(), (0, expected));
    }
}

#[test]
fn a_large_body_arrives_whole() {
    static BODY: [u8; 300_000] = [b'x'; 300_000];
    let script = Script::answer(OK);
    assert_eq!(
        shown(&origin(script.port).fetch(&request("POST", "/", Some(&BODY)))),
        "200 "
    );
    let (_, heard) = script.next_heard();
    assert_eq!(heard.bytes().filter(|b| *b == b'x').count(), BODY.len());
}

#[test]
fn targets_arrive_byte_for_byte() {
    for target in [
        "*",
        "//path",
        "/a%2Fb/%7e",
        "/a/../b/./c;d=1",
        "/a?b=c|d{}",
        "/a?b?c=/?",
        "/?",
        "/a\"{}|^\\b",
        "/http://x/",
    ] {
        let script = Script::answer(OK);
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        let target = request(method, target, None);
        assert_eq!(
            shown(&origin(script.port).fetch(&target)),
            "200 ",
            "{target:?}"
        );
        let (_, heard) = script.next_heard();
        let line = heard.lines().next().unwrap_or_default();
        assert_eq!(
            line,
            format!("{method} {} HTTP/1.1", target.target.as_str())
        );
    }
}

#[test]
fn what_cannot_be_sent_unchanged_is_refused_before_connecting() {
    let script = Script::answer(OK);
    for request in [request("GET", "/a<b", None), request("CONNECT", "/", None)] {
        assert_eq!(shown(&origin(script.port).fetch(&request)), "Protocol");
    }
    assert_eq!(
        shown(&origin(script.port).fetch(&get())),
        "200 ",
        "the script's only connection is unused"
    );
}

#[test]
fn fields_arrive_as_they_are_and_none_is_added() {
    let script = Script::answer(OK);
    let mut asked = get();
    for (name, value) in [
        ("x-a", &b"1"[..]),
        ("x-a", b"2"),
        ("x-b", "caf\u{e9}".as_bytes()),
        ("x-c", b""),
    ] {
        asked.fields.append(
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    let _ = whole(origin(script.port).fetch(&asked));
    let (_, heard) = script.next_heard();
    let port = script.port;
    let expected = format!(
        "GET / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-a: 1\r\nx-a: 2\r\nx-b: caf\u{e9}\r\nx-c: \r\n\r\n"
    );
    assert_eq!(heard, expected);
}

#[test]
fn the_largest_field_a_client_can_send_fits() {
    let script = Script::answer(OK);
    let mut asked = get();
    let longest = HeaderValue::try_from("x".repeat(16 * 1024 + 100)).unwrap();
    asked.fields.insert("x-forwarded-for", longest);
    assert_eq!(shown(&origin(script.port).fetch(&asked)), "200 ");
}

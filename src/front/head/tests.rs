use http::StatusCode;
use proptest::prelude::*;

use super::*;

/// The head of `raw`, which must be whole and take every byte.
fn head(raw: &str) -> Head {
    match parse(&Bytes::copy_from_slice(raw.as_bytes()), &Limits::default()) {
        Ok(Parsed::Head { head, consumed }) if consumed == raw.len() => head,
        other => panic!("{raw:?} gives {other:?}"),
    }
}

fn refusal(raw: &[u8]) -> Option<Refusal> {
    parse(&Bytes::copy_from_slice(raw), &Limits::default()).err()
}

#[test]
fn an_ordinary_head_says_what_was_sent() {
    let raw = Bytes::from_static(
        b"POST /a?b=c HTTP/1.1\r\nHost: x:1\r\nX-Note: \t a  b\t \r\nx-note:\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n",
    );
    let Ok(Parsed::Head { head, consumed }) = parse(&raw, &Limits::default()) else {
        panic!("whole and lawful")
    };
    assert_eq!(&raw[consumed..consumed + 3], b"abc");
    assert_eq!(
        (head.method, head.target.as_str(), head.version),
        (Method::POST, "/a?b=c", Version::HTTP_11)
    );
    assert_eq!(
        head.fields.get_all("x-note").iter().collect::<Vec<_>>(),
        ["a  b", ""]
    );
    assert_eq!(
        (head.framing, head.keep_alive, head.expects_continue),
        (Framing::Length(3), true, false)
    );
    let host = head.fields["host"].as_bytes();
    assert!(
        raw.as_ptr_range().contains(&host.as_ptr()),
        "a value is a slice of what was received"
    );
}

#[test]
fn obs_text_is_kept_byte_for_byte() {
    let raw = Bytes::from_static(b"GET / HTTP/1.1\r\nHost: a\r\nX: \x80caf\xE9\xFF\r\n\r\n");
    let Ok(Parsed::Head { head, .. }) = parse(&raw, &Limits::default()) else {
        panic!("whole and lawful")
    };
    assert_eq!(head.fields["x"].as_bytes(), b"\x80caf\xE9\xFF");
}

#[test]
fn request_lines_that_are_refused() {
    let long = [b"GET /".as_slice(), &[b'a'; 8192], b" HTTP/1.1"].concat();
    let cases: [(&[u8], Refusal); 24] = [
        (b"", Refusal::RequestLine),
        (b"GET", Refusal::RequestLine),
        (b"GET /", Refusal::RequestLine),
        (b"GET  / HTTP/1.1", Refusal::RequestLine),
        (b"GET / HTTP/1.1 ", Refusal::RequestLine),
        (b"GET /\tHTTP/1.1", Refusal::RequestLine),
        (b" GET / HTTP/1.1", Refusal::RequestLine),
        (b"G(T / HTTP/1.1", Refusal::RequestLine),
        (
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1",
            Refusal::RequestLine,
        ),
        (b"GET / http/1.1", Refusal::RequestLine),
        (b"GET / HTTP/1.10", Refusal::RequestLine),
        (b"GET / HTTP/2.0", Refusal::Version),
        (b"GET / HTTP/0.9", Refusal::Version),
        (b"PRI * HTTP/2.0", Refusal::Version),
        (b"CONNECT a:443 HTTP/1.1", Refusal::Connect),
        (b"GET * HTTP/1.1", Refusal::Target),
        (b"GET a HTTP/1.1", Refusal::Target),
        (b"GET /a#b HTTP/1.1", Refusal::Target),
        (b"GET /\xC3\xA9 HTTP/1.1", Refusal::Target),
        (b"GET /\x7F HTTP/1.1", Refusal::Target),
        (b"GET /<a> HTTP/1.1", Refusal::Target),
        (b"GET https://a/ HTTP/1.1", Refusal::Target),
        (b"GET http://u@a/ HTTP/1.1", Refusal::Target),
        (&long, Refusal::TargetTooLong),
    ];
    for (line, expected) in cases {
        let raw = [line, b"\r\nHost: a\r\n\r\n"].concat();
        let raw = if line.is_empty() {
            b"\r\n\r\n\r\nGET".to_vec()
        } else {
            raw
        };
        assert_eq!(refusal(&raw), Some(expected), "{}", raw.escape_ascii());
    }
}

#[test]
fn targets_are_reduced_to_path_and_query() {
    let cases = [
        ("GET", "/", "/"),
        ("GET", "//a//b/../c?d?e=/", "//a//b/../c?d?e=/"),
        ("GET", "http://a:80/b?c", "/b?c"),
        ("GET", "HTTP://a", "/"),
        ("GET", "http://[::1]?q=1", "/?q=1"),
        ("OPTIONS", "*", "*"),
        ("OPTIONS", "http://a", "*"),
        ("M-SEARCH", "/", "/"),
    ];
    for (method, target, expected) in cases {
        let head = head(&format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(
            (head.method.as_str(), head.target.as_str()),
            (method, expected),
            "{target}"
        );
    }
    let longest = format!("/{}", "a".repeat(8191));
    assert_eq!(
        head(&format!("GET {longest} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .target
            .as_str(),
        longest
    );
}

#[test]
fn field_lines_that_are_refused() {
    let cases: [(&[u8], Refusal); 17] = [
        (b"Host: a\r\n Transfer-Encoding: chunked\r\n", Refusal::Fold),
        (b"Host: a\r\n\tb\r\n", Refusal::Fold),
        (b"Host : a\r\n", Refusal::FieldName),
        (b": a\r\n", Refusal::FieldName),
        (b"Host\r\n", Refusal::FieldName),
        (b"H\0st: a\r\n", Refusal::FieldName),
        (b"H\xE9: a\r\n", Refusal::FieldName),
        (b"Host: a\0\r\n", Refusal::FieldValue),
        (b"Host: a\rX: b\r\n", Refusal::FieldValue),
        (b"Host: a\r\r\n", Refusal::FieldValue),
        (b"Host: a\x0B\r\n", Refusal::FieldValue),
        (b"Host: a\x7F\r\n", Refusal::FieldValue),
        (b"Host: a\nX: b\r\n", Refusal::LineEnding),
        (b"X: a\r\n", Refusal::Host),
        (b"Host: a\r\nHost: a\r\n", Refusal::Host),
        (b"Host: a, b\r\n", Refusal::Host),
        (b"Host: a b\r\n", Refusal::Host),
    ];
    for (lines, expected) in cases {
        let raw = [b"GET / HTTP/1.1\r\n", lines, b"\r\n"].concat();
        assert_eq!(refusal(&raw), Some(expected), "{}", raw.escape_ascii());
    }
}

#[test]
fn the_body_is_framed_beyond_doubt_or_the_request_is_refused() {
    let cases = [
        ("1.1", "", Ok(Framing::None)),
        ("1.1", "Content-Length: 0", Ok(Framing::Length(0))),
        ("1.1", "Content-Length: 007", Ok(Framing::Length(7))),
        (
            "1.1",
            "Content-Length: 18446744073709551615",
            Ok(Framing::Length(u64::MAX)),
        ),
        (
            "1.1",
            "Content-Length: 18446744073709551616",
            Err(Refusal::TooLarge),
        ),
        ("1.1", "Content-Length:", Err(Refusal::ContentLength)),
        ("1.1", "Content-Length: +3", Err(Refusal::ContentLength)),
        ("1.1", "Content-Length: -3", Err(Refusal::ContentLength)),
        ("1.1", "Content-Length: 3 3", Err(Refusal::ContentLength)),
        ("1.1", "Content-Length: 3, 3", Err(Refusal::ContentLength)),
        ("1.1", "Content-Length: 0x3", Err(Refusal::ContentLength)),
        (
            "1.1",
            "Content-Length: 3\r\nContent-Length: 3",
            Err(Refusal::ContentLength),
        ),
        ("1.1", "Transfer-Encoding: chunked", Ok(Framing::Chunked)),
        ("1.1", "Transfer-Encoding:\tChunked ", Ok(Framing::Chunked)),
        (
            "1.0",
            "Transfer-Encoding: chunked",
            Err(Refusal::TransferEncoding),
        ),
        ("1.1", "Transfer-Encoding:", Err(Refusal::TransferEncoding)),
        (
            "1.1",
            "Transfer-Encoding: identity",
            Err(Refusal::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: gzip, chunked",
            Err(Refusal::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: xchunked",
            Err(Refusal::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            Err(Refusal::TransferEncoding),
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            Err(Refusal::TransferEncoding),
        ),
    ];
    for (version, lines, expected) in cases {
        let separator = if lines.is_empty() { "" } else { "\r\n" };
        let raw = format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}{separator}\r\n");
        let framing = parse(&raw.into(), &Limits::default()).map(|parsed| match parsed {
            Parsed::Head { head, .. } => head.framing,
            Parsed::Incomplete => panic!("{lines:?} is whole"),
        });
        assert_eq!(framing, expected, "{version} {lines:?}");
    }
}

#[test]
fn persistence_and_expectation_follow_the_version() {
    let cases = [
        ("1.1", "X: a", Ok((true, false))),
        ("1.1", "Connection: Upgrade, CLOSE", Ok((false, false))),
        ("1.1", "Connection: closed", Ok((true, false))),
        ("1.0", "X: a", Ok((false, false))),
        ("1.0", "Connection: Keep-Alive", Ok((true, false))),
        (
            "1.0",
            "Connection: keep-alive\r\nConnection: close",
            Ok((false, false)),
        ),
        ("1.1", "Expect: 100-Continue", Ok((true, true))),
        (
            "1.1",
            "Expect: 100-continue, a=b",
            Err(Refusal::Expectation),
        ),
        ("1.0", "Expect: 100-continue", Ok((false, false))),
        ("1.0", "Expect: a=b", Ok((false, false))),
    ];
    for (version, line, expected) in cases {
        let raw = format!("GET / HTTP/{version}\r\nHost: a\r\n{line}\r\n\r\n");
        let said = parse(&raw.into(), &Limits::default()).map(|parsed| match parsed {
            Parsed::Head { head, .. } => (head.keep_alive, head.expects_continue),
            Parsed::Incomplete => panic!("{line:?} is whole"),
        });
        assert_eq!(said, expected, "{version} {line:?}");
    }
}

#[test]
fn http_1_0_needs_no_host_but_bears_no_two() {
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").fields.len(), 0);
    assert_eq!(head("GET / HTTP/1.0\r\nHost:\r\n\r\n").fields.len(), 1);
    assert_eq!(
        refusal(b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
        Some(Refusal::Host)
    );
}

#[test]
fn two_empty_lines_before_the_request_line_are_tolerated_and_three_are_not() {
    assert_eq!(head("\r\n\r\nGET / HTTP/1.0\r\n\r\n").target.as_str(), "/");
    assert_eq!(
        refusal(b"\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
        Some(Refusal::RequestLine)
    );
}

#[test]
fn a_tls_handshake_learns_that_the_port_speaks_plain_http() {
    let hello = refusal(b"\x16\x03\x01\x02\x00").expect("refused before any line ends");
    assert_eq!(hello, Refusal::Tls);
    assert!(hello.message().contains("http://"));
}

#[test]
fn each_refusal_has_the_status_of_its_cause() {
    let cases = [
        (Refusal::Version, StatusCode::HTTP_VERSION_NOT_SUPPORTED),
        (Refusal::Connect, StatusCode::METHOD_NOT_ALLOWED),
        (Refusal::TargetTooLong, StatusCode::URI_TOO_LONG),
        (
            Refusal::HeadTooLarge,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ),
        (
            Refusal::TooManyFields,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ),
        (Refusal::Expectation, StatusCode::EXPECTATION_FAILED),
        (Refusal::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
        (Refusal::Fold, StatusCode::BAD_REQUEST),
    ];
    for (refusal, status) in cases {
        assert_eq!(refusal.status(), status, "{refusal:?}");
    }
}

#[test]
fn the_field_limit_is_exact() {
    let lines = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: b\r\n".repeat(count - 1)
        )
    };
    assert_eq!(head(&lines(128)).fields.len(), 128);
    assert_eq!(refusal(lines(129).as_bytes()), Some(Refusal::TooManyFields));
}

proptest! {
    /// Lawful heads with one byte changed, and their prefixes: refused, incomplete, or the same head; never a panic.
    #[test]
    fn no_prefix_of_a_head_is_read_as_another_head(at in 0_usize..90, byte: u8, more in "[ -~\r\n]{0,20}") {
        let mut raw = b"POST http://a/b?c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX:\t1, 2\r\nY: z\r\n\r\n".to_vec();
        raw.extend_from_slice(more.as_bytes());
        let at = at % raw.len();
        raw[at] = byte;
        let raw = Bytes::from(raw);
        let whole = parse(&raw, &Limits::default());
        for end in 0..raw.len() {
            if let Ok(Parsed::Head { head, consumed }) = parse(&raw.slice(..end), &Limits::default()) {
                let Ok(Parsed::Head { head: same, consumed: there }) = &whole else { panic!("{whole:?}") };
                prop_assert_eq!((&head, consumed), (same, *there));
            }
        }
    }
}

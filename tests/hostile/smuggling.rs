//! Two readers of the same bytes that see different requests: here the proxy and the origin, which writes down what it sees.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use serde_json::json;

use crate::support::{Answer, Client, Origin, PATIENCE, Proc, Reply, Seen, config_for, eventually};
use crate::vectors::{CHUNKS, CODINGS, Comes, HEADS, LENGTHS, Vector};

/// Stands behind every vector, in the same packet.
const NEXT: &[u8] = b"POST /next HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nnew";
const CHUNKED: &[u8] = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The program, and an origin that says what it understood. Nothing is stored, so that it sees all there is.
struct Pair {
    origin: Origin,
    proc: Proc,
}

impl Pair {
    fn start() -> Pair {
        let origin = Origin::answering(|seen| {
            Answer::ok(understood(seen)).field("Cache-Control", "no-store")
        });
        let proc = Proc::start(config_for(&origin, json!({})));
        Pair { origin, proc }
    }

    /// What the origin has seen since it had seen `before`.
    fn seen_since(&self, before: usize) -> Vec<Seen> {
        self.origin.seen().split_off(before)
    }

    /// The reply to `request`, on a connection of its own. A server that has heard enough need not take all of it.
    fn ask(&self, request: &str) -> Option<Reply> {
        let mut client = self.proc.client();
        let _ = client.try_send(request);
        client.read_or_end()
    }

    /// Panics unless exactly what must come of `vector` comes, when its bytes arrive as `send` sends them.
    #[track_caller]
    fn shows(&self, (name, bytes, comes): Vector, send: impl FnOnce(&mut Client, &[u8])) {
        let before = self.origin.requests();
        let mut client = self.proc.client();
        send(&mut client, &[bytes, NEXT].concat());
        match comes {
            Comes::Refused(status) => {
                let refusal = client.expect_refusal();
                assert_eq!(refusal.map(|reply| reply.status), Some(status), "{name}");
                let seen = self.seen_since(before);
                assert!(seen.is_empty(), "{name}: the origin saw {:?}", texts(&seen));
            }
            Comes::One(method, target, body) => {
                let expected = [
                    format!("{method} {target} {body:?}"),
                    "POST /next \"new\"".to_owned(),
                ];
                let replies = [(); 2].map(|()| final_reply(&mut client).text());
                assert_eq!(replies, expected, "{name}");
                let seen = self.seen_since(before);
                assert_eq!(texts(&seen), expected, "{name}");
                seen.iter().for_each(|seen| self.is_lawful(name, seen));
            }
        }
    }

    /// Panics unless a request is framed in one way only, is for this origin, and carries nothing of what was dropped.
    #[track_caller]
    fn is_lawful(&self, name: &str, seen: &Seen) {
        let lengths = seen.values("Content-Length");
        assert!(
            lengths.len() <= 1 && seen.values("Transfer-Encoding").is_empty(),
            "{name}: {seen:?}"
        );
        let length = lengths
            .first()
            .map_or(0, |text| text.parse().expect("digits"));
        assert_eq!(length, seen.body.len(), "{name}");
        assert_eq!(
            seen.values("Host"),
            [self.origin.url().trim_start_matches("http://")],
            "{name}"
        );
        for dropped in [
            "X-Trailer",
            "Upgrade",
            "HTTP2-Settings",
            "Expect",
            "Trailer",
            "TE",
        ] {
            assert!(
                seen.values(dropped).is_empty(),
                "{name}: {dropped} was relayed"
            );
        }
    }
}

/// Whoever expects to be told to continue is, unless the body is there by then.
fn final_reply(client: &mut Client) -> Reply {
    let reply = client.read();
    if reply.status == 100 {
        client.read()
    } else {
        reply
    }
}

fn understood(seen: &Seen) -> String {
    format!(
        "{} {} {:?}",
        seen.method,
        seen.target,
        String::from_utf8_lossy(&seen.body)
    )
}

fn texts(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(understood).collect()
}

/// Every vector; those of chunks as the body of a request.
pub fn vectors() -> impl Iterator<Item = (&'static str, Vec<u8>, Comes)> {
    let whole = [LENGTHS, CODINGS, HEADS].into_iter().flatten();
    let whole = whole.map(|(name, bytes, comes)| (*name, bytes.to_vec(), *comes));
    whole.chain(
        CHUNKS
            .iter()
            .map(|(name, bytes, comes)| (*name, [CHUNKED, bytes].concat(), *comes)),
    )
}

#[test]
fn must_show_6_never_two_requests_where_one_was_sent() {
    let pair = Pair::start();
    let mut shown = 0;
    for (name, bytes, comes) in vectors() {
        pair.shows((name, &bytes, comes), |client, bytes| client.send(bytes));
        // Byte by byte; what is refused may close before the last one.
        pair.shows((name, &bytes, comes), |client, bytes| {
            let _ = bytes.iter().try_for_each(|byte| client.try_send([*byte]));
        });
        shown += 1;
    }
    println!(
        "{shown} vectors, each at once and byte by byte; the origin saw {} requests",
        pair.origin.requests()
    );
}

/// Two requests in two packets, cut at every byte; the second packet is sent when the first was read.
#[test]
fn must_show_6_two_requests_cut_at_every_byte() {
    let pair = Pair::start();
    let body = "GET /in-body HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = "POST /x HTTP/1.1\r\nHost: x\r\n";
    let size = body.len();
    for first in [
        format!("{head}Content-Length: {size}\r\n\r\n{body}"),
        format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{size:x};a\r\n{body}\r\n0\r\nX-A: b\r\n\r\n"
        ),
    ] {
        let both = [first.as_bytes(), NEXT].concat();
        for cut in 1..both.len() {
            let before = pair.origin.requests();
            let mut stream = TcpStream::connect(pair.proc.addr()).expect("connects");
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
                .write_all(&both[..cut])
                .expect("the server takes the bytes");
            assert!(
                eventually(|| is_read(&stream)),
                "cut at {cut}: the first part is not read"
            );
            stream
                .write_all(&both[cut..])
                .expect("the server takes the bytes");

            let mut buffer = Vec::new();
            let replies = [(); 2].map(|()| {
                Reply::read(&mut stream, &mut buffer, false)
                    .unwrap()
                    .expect("a reply")
                    .text()
            });
            let expected = [format!("POST /x {body:?}"), "POST /next \"new\"".to_owned()];
            assert_eq!(replies, expected, "cut at {cut}");
            assert_eq!(texts(&pair.seen_since(before)), expected, "cut at {cut}");
        }
    }
}

/// True once the other side has read all that was sent on `stream`: the kernel says what waits in its receive queue.
fn is_read(stream: &TcpStream) -> bool {
    let end = |addr: std::net::SocketAddr| format!(":{:04X}", addr.port());
    let ours = end(stream.local_addr().unwrap());
    let theirs = end(stream.peer_addr().unwrap());
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's table of connections");
    let of_theirs = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&theirs))
            && words.next().is_some_and(|peer| peer.ends_with(&ours))
    };
    let queues = table
        .lines()
        .find(of_theirs)
        .and_then(|line| line.split_whitespace().nth(4));
    queues.is_some_and(|queues| queues.ends_with(":00000000"))
}

/// A field value of bytes beyond ASCII, UTF-8 or not, reaches the origin as it came.
#[test]
fn a_raw_utf_8_field_value_is_relayed_byte_for_byte() {
    let pair = Pair::start();
    for value in ["Zoë's 家".as_bytes(), b"caf\xE9 \x80\xFF"] {
        let mut client = pair.proc.client();
        client.send(
            [
                b"GET /x HTTP/1.1\r\nHost: x\r\nX-Home: ",
                value,
                b"\r\n\r\n",
            ]
            .concat(),
        );
        assert_eq!(client.read().status, 200);
        let head = pair.origin.last("/x").head;
        let line = [b"\r\nx-home: ", value, b"\r\n"].concat();
        let relayed = head
            .windows(line.len())
            .any(|bytes| bytes.eq_ignore_ascii_case(&line));
        assert!(relayed, "{}", head.escape_ascii());
    }
}

/// What is too large is told by its status, one byte beyond what passes.
#[test]
fn each_limit_is_told_by_its_status() {
    let pair = Pair::start();
    let target = |length: usize| {
        format!(
            "GET /{} HTTP/1.1\r\nHost: x\r\n\r\n",
            "a".repeat(length - 1)
        )
    };
    let fields = |count: usize| {
        format!(
            "GET /x HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "X-A: b\r\n".repeat(count - 1)
        )
    };
    let head = |length: usize| {
        let begin = "GET /x HTTP/1.1\r\nHost: x\r\nX-A: ";
        let end = "\r\n\r\n";
        format!(
            "{begin}{}{end}",
            "a".repeat(length - begin.len() - end.len())
        )
    };
    let body = |length: usize| {
        format!(
            "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{}",
            "a".repeat(length)
        )
    };
    let chunk = |length: usize| {
        let head = String::from_utf8_lossy(CHUNKED);
        format!("{head}{length:x}\r\n{}\r\n0\r\n\r\n", "a".repeat(length))
    };
    const MIB: usize = 1024 * 1024;
    for (name, passes, refused, status) in [
        ("a target of 8 KiB", target(8192), target(8193), 414),
        ("128 fields", fields(128), fields(129), 431),
        (
            "a head of 16 KiB",
            head(16 * 1024),
            head(16 * 1024 + 1),
            431,
        ),
        ("a body of 1 MiB", body(MIB), body(MIB + 1), 413),
        ("chunks of 1 MiB", chunk(MIB), chunk(MIB + 1), 413),
    ] {
        assert_eq!(
            pair.ask(&passes).map(|reply| reply.status),
            Some(200),
            "{name}"
        );
        let before = pair.origin.requests();
        let refusal = pair.ask(&refused);
        assert_eq!(refusal.map(|reply| reply.status), Some(status), "{name}");
        assert_eq!(pair.origin.requests(), before, "{name}");
    }
}

//! An origin behind TLS (rows P6, P8): who is believed to be it, and that nothing else is different.

mod server;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, App, Gate, Origin, Proc, Reply, config, eventually};
use server::{Identity, Manner, Server, as_openssl_makes_it, expired};

type Versions = &'static [&'static rustls::SupportedProtocolVersion];

/// Each version alone.
static ONE_EACH: [[&rustls::SupportedProtocolVersion; 1]; 2] =
    [[&rustls::version::TLS12], [&rustls::version::TLS13]];

const HERE: &[&str] = &["127.0.0.1"];
const ELSEWHERE: &[&str] = &["192.0.2.1", "elsewhere.example"];

fn origin() -> Origin {
    Origin::answering(|seen| Answer::ok(seen.target.clone()))
}

/// What a client gets whose Larder knows the origin by `tls`.
fn reply(identity: Identity, tls: impl FnOnce(&Identity) -> Value) -> Reply {
    reply_over(rustls::ALL_VERSIONS, identity, tls)
}

fn reply_over(
    versions: Versions,
    identity: Identity,
    tls: impl FnOnce(&Identity) -> Value,
) -> Reply {
    let tls = tls(&identity);
    let origin = origin();
    let server = Server::before(
        &origin.url(),
        identity,
        Manner {
            versions,
            ..Manner::default()
        },
    );
    let reply = App::start(&config(&server.url(), json!({ "backend": { "tls": tls } })))
        .client()
        .get("/a");
    assert_eq!(
        origin.requests(),
        usize::from(reply.status == 200),
        "nothing is said to whom nobody trusts"
    );
    reply
}

#[track_caller]
fn expect_refusal(reply: &Reply) {
    let detail = reply.field("Cache-Status").unwrap_or_default().to_owned();
    assert_eq!(
        (reply.status, detail.contains("detail=certificate")),
        (502, true),
        "{reply:?}"
    );
}

/// A file with this text.
fn file(text: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "authority-{}-{}.pem",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    );
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn ca_file(pem: &str) -> Value {
    json!({ "caFile": file(pem) })
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused_and_three_remedies_are_named_once() {
    is_refused_because(
        "nobody this program knows has signed it",
        Identity::own(HERE, |_| {}),
    );
    is_refused_because(
        "it has signed itself",
        Identity::own(HERE, as_openssl_makes_it),
    );
    is_refused_because("it has expired", Identity::own(HERE, expired));
}

fn is_refused_because(reason: &str, identity: Identity) {
    let origin = origin();
    let server = Server::before(&origin.url(), identity, Manner::default());
    let proc = Proc::start(config(
        &server.url(),
        json!({ "backend": { "backoff": ["10ms"] } }),
    ));
    let mut client = proc.client();
    let reply = client.get("/a");
    expect_refusal(&reply);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["error"], "certificate");
    for key in [
        "backend.tls.caFile",
        "backend.tls.pinSha256",
        "backend.tls.insecure",
    ] {
        assert!(body["message"].as_str().unwrap().contains(key), "{body}");
    }
    // Refused again and again.
    assert!(eventually(
        || client.get("/a").status == 502 && server.connections() >= 4
    ));
    let refused = |log: &str| {
        log.lines()
            .filter(|line| line.contains(&format!("is refused: {reason}")))
            .count()
    };
    assert!(eventually(|| refused(&proc.log()) > 0));
    let log = proc.log();
    assert_eq!(refused(&log), 1, "{log}");
    for remedy in [
        "backend.tls.caFile",
        "backend.tls.pinSha256",
        "backend.tls.insecure",
        "-fingerprint -sha256 -noout",
    ] {
        assert!(log.contains(remedy), "{remedy}: {log}");
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_ca_file_vouches_for_what_its_authorities_signed_and_for_the_certificates_in_it() {
    let (signed, authority) = Identity::signed(HERE, |_| {});
    reply(signed, |_| ca_file(&authority)).expect("MISS", "/a");
    reply(Identity::own(HERE, |_| {}), |own| ca_file(&own.pem)).expect("MISS", "/a");
    reply(Identity::own(HERE, as_openssl_makes_it), |own| {
        ca_file(&own.pem)
    })
    .expect("MISS", "/a");
    let two = Identity::own(HERE, as_openssl_makes_it);
    let both = format!("one\n{}{}", Identity::own(ELSEWHERE, |_| {}).pem, two.pem);
    reply(two, |_| ca_file(&both)).expect("MISS", "/a");
}

#[test]
fn a_ca_file_vouches_for_nothing_else() {
    let other = || ca_file(&Identity::own(HERE, as_openssl_makes_it).pem);
    expect_refusal(&reply(Identity::own(HERE, as_openssl_makes_it), |_| {
        other()
    }));
    let named = [|own: &Identity| ca_file(&own.pem)];
    for remedy in named {
        expect_refusal(&reply(Identity::own(ELSEWHERE, |_| {}), remedy));
        expect_refusal(&reply(
            Identity::own(ELSEWHERE, as_openssl_makes_it),
            remedy,
        ));
        expect_refusal(&reply(Identity::own(HERE, expired), remedy));
        expect_refusal(&reply(
            Identity::own(HERE, |params| {
                as_openssl_makes_it(params);
                expired(params);
            }),
            remedy,
        ));
        expect_refusal(&reply(
            Identity::own(HERE, |_| {}).without_its_key(),
            remedy,
        ));
    }
    for (names, change) in [(ELSEWHERE, (|_| {}) as fn(&mut _)), (HERE, expired)] {
        let (signed, authority) = Identity::signed(names, change);
        expect_refusal(&reply(signed, |_| ca_file(&authority)));
    }
}

#[test]
fn a_pin_accepts_one_certificate_whatever_it_says_and_no_other() {
    let pinned = |own: &Identity| json!({ "pinSha256": own.fingerprint() });
    reply(Identity::own(HERE, |_| {}), pinned).expect("MISS", "/a");
    reply(Identity::own(ELSEWHERE, expired), pinned).expect("MISS", "/a");
    reply(
        Identity::own(HERE, as_openssl_makes_it),
        |own| json!({ "pinSha256": ["0".repeat(64), own.fingerprint().replace(':', "").to_lowercase()] }),
    )
    .expect("MISS", "/a");
    expect_refusal(&reply(
        Identity::own(HERE, |_| {}),
        |_| json!({ "pinSha256": "0".repeat(64) }),
    ));
    for versions in &ONE_EACH {
        expect_refusal(&reply_over(
            versions,
            Identity::own(HERE, |_| {}).without_its_key(),
            pinned,
        ));
    }
}

#[test]
fn insecure_accepts_whoever_answers_and_warns_at_each_start() {
    reply(
        Identity::own(ELSEWHERE, expired),
        |_| json!({ "insecure": true }),
    )
    .expect("MISS", "/a");
    let origin = origin();
    let server = Server::before(
        &origin.url(),
        Identity::own(HERE, |_| {}),
        Manner::default(),
    );
    for (insecure, warnings) in [(true, 1), (false, 0)] {
        let proc = Proc::start(config(
            &server.url(),
            json!({ "backend": { "tls": { "insecure": insecure } } }),
        ));
        let log = proc.log();
        assert_eq!(
            log.lines()
                .filter(|line| line.contains("backend.tls.insecure is true"))
                .count(),
            warnings,
            "{log}"
        );
    }
}

/// An origin behind TLS with that manner, and a Larder that trusts it and holds one connection to it.
fn trusted(origin: &Origin, manner: Manner) -> (Server, App) {
    let identity = Identity::own(HERE, |_| {});
    let tls = json!({ "pinSha256": identity.fingerprint() });
    let server = Server::before(&origin.url(), identity, manner);
    let app = App::start(&config(
        &server.url(),
        json!({ "backend": { "tls": tls, "maxConcurrentRequests": 1 } }),
    ));
    (server, app)
}

#[test]
fn p6_one_connection_serves_many_requests_in_both_versions() {
    for versions in &ONE_EACH {
        let origin = origin();
        let (server, app) = trusted(
            &origin,
            Manner {
                versions,
                ..Manner::default()
            },
        );
        let mut client = app.client();
        for target in ["/a", "/b", "/c", "/d"] {
            client.get(target).expect("MISS", target);
        }
        assert_eq!(
            (
                server.connections(),
                origin.connections_ever(),
                origin.requests()
            ),
            (1, 1, 4)
        );
    }
}

#[test]
fn a_connection_the_origin_ended_meanwhile_is_replaced_unseen() {
    for takes_leave in [true, false] {
        let origin = Origin::answering(|seen| Answer::ok(seen.target.clone()).closing());
        let (server, app) = trusted(
            &origin,
            Manner {
                takes_leave,
                ..Manner::default()
            },
        );
        let mut client = app.client();
        for target in ["/a", "/b", "/c"] {
            client.get(target).expect("MISS", target);
        }
        assert_eq!((server.connections(), origin.requests()), (3, 3));
    }
}

#[test]
fn large_bodies_pass_both_ways_whole() {
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at / 7) as u8).collect();
    let sent = large.clone();
    let origin = Origin::answering(move |seen| match seen.method.as_str() {
        "POST" => Answer::ok(&seen.body),
        _ => Answer::ok(&sent),
    });
    let (_server, app) = trusted(&origin, Manner::default());
    let mut client = app.client();
    assert!(client.get("/a").body == large);
    assert!(client.request("POST", "/a", &[], &large[..900_000]).body == large[..900_000]);
}

#[test]
fn an_interim_response_is_passed_on_before_the_final_one() {
    let held = Gate::closed();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let origin = Origin::serving([("/a", Answer::ok("a").interim(hints, &held))]);
    let (_server, app) = trusted(&origin, Manner::default());
    let mut client = app.client();
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    let early = client.read();
    assert_eq!(
        (early.status, early.field("Link")),
        (103, Some("</a.css>; rel=preload"))
    );
    held.open();
    client.read().expect("MISS", "a");
}

#[test]
fn a_body_that_ends_with_the_connection_is_whole_only_if_the_origin_took_leave() {
    for (takes_leave, status) in [(true, 200), (false, 502)] {
        let origin = Origin::serving([("/a", Answer::ok("begun").until_close())]);
        let (_server, app) = trusted(
            &origin,
            Manner {
                takes_leave,
                ..Manner::default()
            },
        );
        let reply = app.client().get("/a");
        assert_eq!(reply.status, status, "{reply:?}");
        let cut = reply
            .field("Cache-Status")
            .is_some_and(|text| text.contains("detail=truncated"));
        assert_eq!(cut, !takes_leave, "{reply:?}");
    }
}

#[test]
fn an_origin_that_speaks_no_tls_is_a_failure_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::AcqRel);
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        }
    });
    let proc = Proc::start(config(&url, json!({})));
    let reply = proc.client().get("/a");
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, &body["error"]), (502, &json!("tls")));
    assert!(
        eventually(|| proc
            .log()
            .contains("is it plain http:// that this port speaks?")),
        "{}",
        proc.log()
    );
    // All of the origin is left alone, not this one target.
    assert_eq!(
        proc.client()
            .get("/b")
            .field("Cache-Status")
            .map(|text| text.contains("detail=tls")),
        Some(true)
    );
    assert_eq!(connections.load(Ordering::Acquire), 1);
}

/// What a client gets from an origin that does `speak` on each connection, and after how long.
fn handshake(speak: fn(std::net::TcpStream)) -> (Reply, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(speak));
    let app = App::start(&config(
        &url,
        json!({ "backend": { "connectTimeout": 300 } }),
    ));
    let began = Instant::now();
    (app.client().get("/a"), began.elapsed())
}

#[test]
fn a_handshake_counts_as_connecting_whether_it_hangs_or_drips() {
    let hangs = |stream| {
        Gate::closed().pass();
        drop(stream);
    };
    let drips = |mut stream: std::net::TcpStream| {
        // The head of a long record, and then its bytes one by one: dripping is the scenario itself.
        let _ = stream.write_all(&[22, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xfb]);
        while stream.write_all(&[0]).is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    };
    for speak in [hangs as fn(_), drips] {
        let (reply, after) = handshake(speak);
        assert_eq!(reply.status, 504, "{reply:?}");
        assert!(
            reply
                .field("Cache-Status")
                .unwrap()
                .contains("detail=connect-timeout"),
            "{reply:?}"
        );
        assert!(
            after >= Duration::from_millis(290) && after < Duration::from_millis(1800),
            "{after:?}"
        );
    }
}

#[test]
fn a_handshake_that_is_cut_is_a_failure_of_tls() {
    let (reply, _) = handshake(drop);
    assert!(
        reply.field("Cache-Status").unwrap().contains("detail=tls"),
        "{reply:?}"
    );
}

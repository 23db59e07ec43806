//! Origins that hang, refuse, cut and lie: row P7 and must-show 2.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Answer, App, Client, Gate, Origin, PATIENCE, Proc, Reply, config_for, crowd_turn, eventually,
};

/// An error of ours: JSON with three members (DESIGN §9).
#[track_caller]
fn expect_error(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{reply:?}");
    let body: Value =
        serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("not JSON: {reply:?}"));
    for member in ["error", "message", "request_id"] {
        assert!(!body[member].is_null(), "no {member}: {body}");
    }
}

#[test]
fn must_show_2_with_every_slot_hung_what_is_stored_is_answered_at_once() {
    let hung = Gate::closed();
    let origin = Origin::serving([("/hit", Answer::ok("hit")), ("/stale", Answer::ok("stale"))]);
    let rules = json!({ "cache": { "slowRequestTimeout": 300 }, "backend": { "firstByteTimeout": 60000 },
        "urlConfigs": [{ "path": "/stale", "cacheTTL": 10, "staleTime": 10, "slowGrace": 1000, "graceTime": 1000 }] });
    let app = App::start(&config_for(&origin, rules));
    app.client().get("/hit").expect("MISS", "hit");
    app.client().get("/stale").expect("MISS", "stale");
    let mut waiting: Vec<Client> = (0..2)
        .map(|n| hang(&app, &origin, &hung, &format!("/hung-{n}")))
        .collect();
    app.skip_seconds(20);

    let begun = Instant::now();
    for _ in 0..20 {
        app.client().get("/hit").expect("HIT", "hit");
        assert_eq!(app.client().get("/health").status, 200);
        app.client().get("/stale").expect("HIT", "stale");
    }
    let taken = begun.elapsed();

    // At most one of them waited for slowRequestTimeout; the rest is the machine's noise.
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    hung.open();
    for client in &mut waiting {
        assert!(
            matches!(client.read().status, 200 | 503),
            "everybody is answered"
        );
    }
}

fn hang(app: &App, origin: &Origin, gate: &Gate, target: &str) -> Client {
    origin.set(target, Answer::ok("at last").after(gate));
    let mut client = app.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    origin.await_requests(target, 1);
    client
}

#[test]
fn p7_no_first_byte_in_time_is_504() {
    let never = Gate::closed();
    let origin = Origin::serving([("/hung", Answer::ok("").after(&never))]);
    let app = App::start(&config_for(
        &origin,
        json!({ "backend": { "firstByteTimeout": 300 } }),
    ));
    expect_error(&app.client().get("/hung"), 504);
    never.open();
}

#[test]
fn p7_a_body_that_stops_is_no_answer() {
    let never = Gate::closed();
    let origin = Origin::serving([
        ("/pausing", Answer::ok("body").body_after(&never)),
        ("/cut", Answer::ok("0123456789").cut_after(5)),
        (
            "/cut-chunks",
            Answer::ok("0123456789").chunked().cut_after(5),
        ),
        ("/silent", Answer::nothing()),
        (
            "/babble",
            Answer::verbatim("220 mail.test ESMTP\r\n\r\n").closing(),
        ),
    ]);
    let app = App::start(&config_for(
        &origin,
        json!({ "backend": { "idleTimeout": 300 } }),
    ));
    for target in ["/cut", "/cut-chunks", "/silent", "/babble"] {
        expect_error(&app.client().get(target), 502);
    }
    // The head is out when the pause is noticed (500 ms) or the fetch fails (300 ms): an error or a cut, never a whole 200.
    let mut client = app.client();
    client.send("GET /pausing HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(client.read_or_end().is_none_or(|reply| reply.status >= 500));
    never.open();
}

#[test]
fn p7_a_length_that_lies_never_fills_the_cache() {
    let origin = Origin::serving([("/short", Answer::ok("12345").claiming(10).closing())]);
    let app = App::start(&config_for(&origin, json!({})));
    expect_error(&app.client().get("/short"), 502);

    // More bytes than announced: they never become the next answer on that connection.
    origin.set("/long", Answer::ok("1234567890").claiming(5));
    origin.set("/next", Answer::ok("next"));
    app.client().get("/long").expect("MISS", "12345");
    app.client().get("/next").expect("MISS", "next");
}

#[test]
fn p7_a_refusing_origin_is_502() {
    let mut origin = Origin::serving([]);
    origin.stop();
    let app = App::start(&config_for(&origin, json!({})));
    expect_error(&app.client().get("/a"), 502);
    assert_eq!(app.client().get("/health").status, 200);
}

#[test]
fn p7_an_unsafe_request_is_sent_at_most_once() {
    let origin = Origin::serving([("/warm", Answer::ok("warm")), ("/post", Answer::nothing())]);
    let app = App::start(&config_for(
        &origin,
        json!({ "backend": { "maxConcurrentRequests": 1 } }),
    ));
    app.client().get("/warm").expect("MISS", "warm");

    // The kept connection closes under the POST: whether it was acted upon, nobody can know.
    let reply = app.client().request("POST", "/post", &[], b"once");

    expect_error(&reply, 502);
    assert_eq!(origin.count("/post"), 1);
}

#[test]
fn must_show_4_an_unsafe_request_whose_answer_is_cut_is_sent_once_and_502() {
    type Cut = (&'static str, fn() -> Answer);
    const CUTS: [Cut; 4] = [
        ("nothing", Answer::nothing),
        ("half-a-head", || {
            Answer::verbatim("HTTP/1.1 200 OK\r\nContent-Len").closing()
        }),
        ("half-a-body", || Answer::ok("0123456789").cut_after(5)),
        ("half-the-chunks", || {
            Answer::ok("0123456789").chunked().cut_after(5)
        }),
    ];
    let origin = Origin::serving([("/warm", Answer::ok("warm"))]);
    let app = App::start(&config_for(
        &origin,
        json!({ "backend": { "maxConcurrentRequests": 1 } }),
    ));
    for (name, cut) in CUTS {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let target = format!("/{name}/{method}");
            origin.set(&target, cut());
            // A connection is kept, which an unsafe request could be tempted to use.
            app.client()
                .get_with("/warm", &[("Cache-Control", "no-store")]);

            let reply = app.client().request(method, &target, &[], b"once");

            expect_error(&reply, 502);
            assert_eq!(
                (origin.count(&target), origin.last(&target).body.as_slice()),
                (1, &b"once"[..]),
                "{target}"
            );
        }
    }
}

const GIB: usize = 1 << 30;

/// What may be in memory of a body passed on, with room for what the allocator cannot give back: `maxObjectBytes` (4 MiB)
/// before it is passed on, 256 KiB ahead of its client, and the answers to others.
const OF_A_BODY_KIB: u64 = 16 * 1024;

/// An origin with a GiB at `/gib`, one of no told length at `/untold`, a byte a second at `/drip`, and the target's own text
/// everywhere else. The number is the bytes of the GiBs that were taken from it.
fn origin_of_large_and_slow() -> (Origin, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&taken);
    let origin = Origin::answering(move |seen| match seen.target.as_str() {
        target @ ("/gib" | "/untold") => {
            let taken = Arc::clone(&theirs);
            let answer = Answer::ok("");
            let answer = if target == "/gib" {
                answer.claiming(GIB as u64)
            } else {
                answer.until_close()
            };
            answer.by_hand(move |stream| {
                let block = vec![b'x'; 64 * 1024];
                (0..GIB / block.len()).try_for_each(|_| {
                    stream.write_all(&block)?;
                    taken.fetch_add(block.len(), Ordering::AcqRel);
                    Ok(())
                })
            })
        }
        target if target.starts_with("/drip") => Answer::ok("").claiming(1000).by_hand(|stream| {
            loop {
                stream.write_all(b"x")?;
                std::thread::sleep(Duration::from_secs(1));
            }
        }),
        target => Answer::ok(target),
    });
    (origin, taken)
}

/// Sends a GET and reads the head of its reply, byte by byte: what follows is the body.
fn begin(proc: &Proc, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(proc.addr()).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: larder.test\r\n\r\n").expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.extend(byte);
    }
    assert!(
        head.starts_with(b"HTTP/1.1 200 "),
        "{}",
        head.escape_ascii()
    );
    stream
}

/// A hit, a miss and /health are answered, again and again. `round` tells one call's misses from another's.
#[track_caller]
fn others_go_on(proc: &Proc, round: &str) {
    let begun = Instant::now();
    for n in 0..20 {
        proc.client().get("/hit").expect("HIT", "/hit");
        let miss = format!("/miss/{round}/{n}");
        proc.client().get(&miss).expect("MISS", &miss);
        assert_eq!(proc.client().get("/health").status, 200);
    }
    // One of them behind the drip alone would take longer.
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn must_show_3_a_drip_of_a_byte_a_second_holds_nobody_up() {
    let _turn = crowd_turn();
    let (origin, _) = origin_of_large_and_slow();
    let more = json!({ "backend": { "maxConcurrentRequests": 3 } });
    let proc = Proc::start(config_for(&origin, more));
    proc.client().get("/hit").expect("MISS", "/hit");
    let before = proc.figures();

    let mut drip = begin(&proc, "/drip/1");
    others_go_on(&proc, "one");
    // Each keeps the permit it was asked with.
    let _second = begin(&proc, "/drip/2");
    others_go_on(&proc, "two");

    drip.read_exact(&mut [0; 3])
        .expect("the drip goes on meanwhile");
    let after = proc.figures();
    assert!(
        after.peak_kib <= before.peak_kib + OF_A_BODY_KIB,
        "before {before:?}, after {after:?}"
    );
}

#[test]
fn must_show_3_a_gib_passes_through_little_memory() {
    let _turn = crowd_turn();
    let (origin, _) = origin_of_large_and_slow();
    let proc = Proc::start(config_for(&origin, json!({})));
    proc.client().get("/hit").expect("MISS", "/hit");
    let before = proc.figures();

    let begun = Instant::now();
    let mut stream = begin(&proc, "/gib");
    let reader = std::thread::spawn(move || {
        let mut block = vec![0; 256 * 1024];
        let mut left = GIB;
        while left > 0 {
            let count = stream.read(&mut block).expect("more of it");
            assert!(count > 0, "{left} bytes are missing");
            left -= count;
        }
    });
    others_go_on(&proc, "meanwhile");
    assert!(
        !reader.is_finished(),
        "others were served beside it, not after it"
    );
    reader.join().expect("all of it");

    let after = proc.figures();
    let taken = begun.elapsed();
    println!("a GiB in {taken:?}: before {before:?}, after {after:?}");
    assert!(
        after.peak_kib <= before.peak_kib + OF_A_BODY_KIB,
        "before {before:?}, after {after:?}"
    );
    assert!(taken < Duration::from_secs(60), "{taken:?}");
}

#[test]
fn must_show_3_a_client_that_never_reads_its_gib_holds_little_memory_and_is_cut() {
    let _turn = crowd_turn();
    let (origin, taken) = origin_of_large_and_slow();
    let proc = Proc::start(config_for(
        &origin,
        json!({ "proxy": { "writeTimeout": 1500 } }),
    ));
    proc.client().get("/hit").expect("MISS", "/hit");
    let before = proc.figures();

    for target in ["/gib", "/untold"] {
        let begun = Instant::now();
        let _unread = begin(&proc, target);
        others_go_on(&proc, &format!("beside{target}"));
        let is_cut = || {
            let health: Value =
                serde_json::from_slice(&proc.client().get("/health").body).expect("JSON");
            health["queue"]["activeRequestCount"] == 0
        };
        assert!(eventually(is_cut), "{target} is never cut");
        // Not before `writeTimeout`: meanwhile the origin waits, and nothing piles up.
        assert!(
            begun.elapsed() >= Duration::from_millis(1500),
            "{target}: {:?}",
            begun.elapsed()
        );
    }

    others_go_on(&proc, "afterwards");
    let after = proc.figures();
    println!(
        "{} bytes taken; before {before:?}, after {after:?}",
        taken.load(Ordering::Acquire)
    );
    assert!(
        after.peak_kib <= before.peak_kib + OF_A_BODY_KIB,
        "before {before:?}, after {after:?}"
    );
    // What the kernel holds of it on four sockets, and we.
    assert!(
        taken.load(Ordering::Acquire) < 32 << 20,
        "{} bytes",
        taken.load(Ordering::Acquire)
    );
}

#[test]
fn p9_an_error_of_ours_says_when_to_come_back() {
    let hung = Gate::closed();
    let origin = Origin::serving([]);
    let more =
        json!({ "backend": { "firstByteTimeout": 60000 }, "cache": { "slowRequestTimeout": 300 } });
    let app = App::start(&config_for(&origin, more));
    let _waiting: Vec<Client> = (0..2)
        .map(|n| hang(&app, &origin, &hung, &format!("/hung-{n}")))
        .collect();

    let reply = app.client().get("/no-permit");

    expect_error(&reply, 503);
    assert!(
        reply
            .field("Retry-After")
            .is_some_and(|text| text.parse::<u32>().is_ok()),
        "{reply:?}"
    );
    assert_eq!(origin.count("/no-permit"), 0);
    hung.open();
}

/// What goes alone is of use to nobody but its client: with a stale answer in that client's hands, nothing is left to fetch.
#[test]
fn requests_answered_stale_at_once_leave_no_flight_of_their_own_behind() {
    let hung = Gate::closed();
    let origin = Origin::serving([("/stale", Answer::ok("stale"))]);
    let rules = json!({ "cache": { "slowRequestTimeout": 300 },
        "backend": { "firstByteTimeout": 60000, "maxConcurrentRequests": 1 },
        "urlConfigs": [{ "path": "/stale", "cacheTTL": 10, "staleTime": 10, "slowGrace": 1000, "graceTime": 1000 }] });
    let app = App::start(&config_for(&origin, rules));
    app.client().get("/stale").expect("MISS", "stale");
    let mut waiting = hang(&app, &origin, &hung, "/hung");
    app.skip_seconds(20);
    app.client().get("/stale").expect("HIT", "stale");

    for _ in 0..200 {
        app.client()
            .get_with("/stale", &[("If-None-Match", "\"x\"")])
            .expect("HIT", "stale");
    }

    let health: Value = serde_json::from_slice(&app.client().get("/health").body).expect("JSON");
    assert!(
        health["queue"]["queueLength"].as_u64() <= Some(1),
        "{health}"
    );
    hung.open();
    waiting.read();
}

/// What one client with a name is told says nothing about what everybody else would be told.
#[test]
fn a_failure_told_to_a_client_with_a_name_keeps_nobody_else_from_asking() {
    let origin = Origin::answering(|seen| {
        if seen.values("Cookie").is_empty() {
            Answer::ok("for all")
        } else {
            Answer::status(500).body("your cookie is bad")
        }
    });
    let app = App::start(&config_for(&origin, json!({})));
    assert_eq!(
        app.client().get_with("/a", &[("Cookie", "bad=1")]).status,
        500
    );

    app.client().get("/a").expect("MISS", "for all");
}

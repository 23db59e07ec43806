//! The life of the process: start, health, a clean end.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Gate, Origin, Proc, Start, config_for, crowd_turn, eventually,
};

/// A process, and a client of it that waits for an origin that does not answer.
struct Parked {
    proc: Proc,
    client: Client,
    _origin: Origin,
    _gate: Gate,
}

impl Parked {
    fn on_a_hung_origin() -> Parked {
        let gate = Gate::closed();
        let origin = Origin::serving([("/hung", Answer::ok("too late").after(&gate))]);
        let more = json!({ "cache": { "slowRequestTimeout": 60000 }, "backend": { "firstByteTimeout": 60000 } });
        let proc = Start::with(config_for(&origin, more)).run();
        let mut client = proc.client();
        client.send("GET /hung HTTP/1.1\r\nHost: x\r\n\r\n");
        origin.await_requests("/hung", 1);
        Parked {
            proc,
            client,
            _origin: origin,
            _gate: gate,
        }
    }
}

#[test]
fn health_tells_ok() {
    let origin = Origin::serving([]);
    let proc = Proc::start(config_for(&origin, json!({})));

    let reply = proc.client().get("/health");

    let health: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!((reply.status, &health["status"]), (200, &json!("ok")));
    assert_eq!(origin.requests(), 0);
}

#[test]
fn sigterm_ends_an_idle_process_with_exit_code_0() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let mut proc = Proc::start(config_for(&origin, json!({})));
    let mut idle = proc.client();
    idle.get("/a");
    let begun = Instant::now();

    proc.terminate();

    assert!(proc.ended().success(), "{}", proc.log());
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    idle.expect_end();
}

#[test]
fn sigterm_answers_parked_requests_before_it_ends() {
    let Parked {
        mut proc,
        mut client,
        _origin,
        _gate,
    } = Parked::on_a_hung_origin();

    proc.terminate();

    let reply = client.read();
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.field("Retry-After").is_some(), "{reply:?}");
    assert!(proc.ended().success(), "{}", proc.log());
}

/// Must-show of issue 4: twenty clients in loops and five that wait for a hung origin.
#[test]
fn r12_sigterm_under_load_answers_every_request_that_was_taken() {
    let _turn = crowd_turn();
    let gate = Gate::closed();
    let hung = Answer::ok("too late").after(&gate);
    let origin = Origin::serving([("/hit", Answer::ok("hit")), ("/hung", hung)]);
    let more = json!({ "cache": { "slowRequestTimeout": 60000 }, "backend": { "firstByteTimeout": 60000 } });
    let mut proc = Start::with(config_for(&origin, more)).run();
    proc.client().get("/hit");
    let mut parked: Vec<Client> = (0..5).map(|_| proc.client()).collect();
    parked
        .iter_mut()
        .for_each(|client| client.send("GET /hung HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert!(eventually(|| proc
        .client()
        .get("/health")
        .text()
        .contains("\"parked\":5")));
    let answered = Arc::new(AtomicUsize::new(0));
    let crowd: Vec<JoinHandle<bool>> = (0..20)
        .map(|_| asks_until_the_end(&proc, &answered))
        .collect();
    assert!(
        eventually(|| answered.load(Ordering::Acquire) > 2000),
        "the crowd is at work"
    );
    let begun = Instant::now();

    proc.terminate();

    for client in &mut parked {
        let reply = client.read();
        assert_eq!(
            (reply.status, reply.field("Retry-After").is_some()),
            (503, true),
            "{reply:?}"
        );
        assert_eq!(reply.field("Connection"), Some("close"));
        client.expect_end();
    }
    assert!(proc.ended().success(), "{}", proc.log());
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    for client in crowd {
        client.join().expect("no reply was cut");
    }
}

/// A client that asks again on a connection it was not told to leave has its answer coming.
#[test]
fn r12_sigterm_loses_no_request_of_a_client_in_a_loop() {
    let _turn = crowd_turn();
    let origin = Origin::serving([("/hit", Answer::ok("hit"))]);
    let mut proc = Proc::start(config_for(&origin, json!({})));
    proc.client().get("/hit");
    let answered = Arc::new(AtomicUsize::new(0));
    let crowd: Vec<JoinHandle<bool>> = (0..20)
        .map(|_| asks_until_the_end(&proc, &answered))
        .collect();
    assert!(
        eventually(|| answered.load(Ordering::Acquire) > 2000),
        "the crowd is at work"
    );

    proc.terminate();

    let lost = crowd
        .into_iter()
        .filter_map(|client| client.join().ok())
        .filter(|told| !told)
        .count();
    assert!(proc.ended().success(), "{}", proc.log());
    assert_eq!(lost, 0, "requests without an answer, of 20 clients");
}

/// Asks, again and again, until the connection ends; then nothing of a reply may have come. True when the last reply said
/// that it was the last.
fn asks_until_the_end(proc: &Proc, answered: &Arc<AtomicUsize>) -> JoinHandle<bool> {
    let mut client = proc.client();
    let answered = Arc::clone(answered);
    std::thread::spawn(move || {
        let mut told = false;
        while !told
            && client
                .try_send("GET /hit HTTP/1.1\r\nHost: x\r\n\r\n")
                .is_ok()
        {
            let Some(reply) = client.read_or_end() else {
                break;
            };
            assert_eq!(
                (reply.status, reply.text().as_str()),
                (200, "hit"),
                "{reply:?}"
            );
            answered.fetch_add(1, Ordering::AcqRel);
            told = reply.field("Connection") == Some("close");
        }
        client.expect_end();
        told
    })
}

#[test]
fn r12_a_second_signal_ends_the_process_at_once() {
    let Parked {
        mut proc,
        mut client,
        _origin,
        _gate,
    } = Parked::on_a_hung_origin();
    let begun = Instant::now();
    proc.terminate();
    assert!(eventually(|| proc.log().contains("stopping")));

    proc.terminate();

    assert_eq!(proc.ended().code(), Some(1), "{}", proc.log());
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}: not at once",
        begun.elapsed()
    );
    client.expect_end();
}

#[test]
fn a_port_in_use_is_told_in_clear_words() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();

    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("port-in-use-{port}.json"));
    fs::write(&file, r#"{ "proxy": { "bind": "127.0.0.1" } }"#).expect("a configuration file");

    let mut program = Command::new(env!("CARGO_BIN_EXE_larder"));
    let ended = program
        .arg("--config")
        .arg(&file)
        .args(["--port", &port])
        .output()
        .expect("the program starts");

    fs::remove_file(&file).expect("removed");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    for words in [
        format!("port {port}"),
        "another program has this port".to_owned(),
        "--port".to_owned(),
    ] {
        assert!(said.contains(&words), "{words}: {said}");
    }
}

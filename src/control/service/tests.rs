use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::*;
use crate::cache::flights::FetchRequest;
use crate::clock::Clock;
use crate::config::{Config, Preset};
use crate::message::Request;
use crate::origin::permits::FlightId;
use crate::proxy::{Executor, PollEnd};
use crate::reply::Responder;

/// Nothing is asked of the origin here.
struct Nobody;

impl Executor for Nobody {
    fn fetch(&self, _: FlightId, _: FetchRequest) {}
    fn wake(&self, _: Duration, _: FlightId) {}
    fn administer(&self, _: Request, _: Box<dyn Responder>) {}
    fn polled(&self, _: usize, _: PollEnd) {}
    fn origin_up(&self) {}
}

fn proxy() -> Arc<Proxy> {
    let config = Config::of(Preset::Api);
    Arc::new(Proxy::new(config, Clock::new(), 1, 100, Box::new(Nobody)))
}

/// A service on a socket of its own.
struct Running {
    service: Arc<Service>,
    path: PathBuf,
}

impl Running {
    fn start(name: &str, answer: fn(&Ask<'_>) -> Answer) -> Running {
        let name = format!("larder-{name}-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let listening = Listening::at(&path).expect("a socket");
        let service = Service::start(listening, 7, proxy(), answer).expect("starts");
        Running { service, path }
    }

    /// The whole reply to one request.
    fn ask(&self, request: &str) -> String {
        let mut client = UnixStream::connect(&self.path).expect("connects");
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a timeout");
        let whole = format!("{request}Connection: close\r\n\r\n");
        client.write_all(whole.as_bytes()).expect("sends");
        let mut reply = String::new();
        client.read_to_string(&mut reply).expect("a reply");
        reply
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.service.stop();
    }
}

fn panics_at_fault(ask: &Ask<'_>) -> Answer {
    assert!(ask.target.path() != "/fault", "as the test wants it");
    Answer {
        status: StatusCode::OK,
        field: None,
        body: format!("{:?} {}", ask.caller, ask.body.len()),
    }
}

#[test]
fn a_panic_is_told_500_and_every_worker_lives() {
    let running = Running::start("panic", panics_at_fault);
    for _ in 0..3 * WORKERS {
        let reply = running.ask("GET /fault HTTP/1.1\r\n");
        assert!(reply.starts_with("HTTP/1.1 500 "), "{reply}");
        assert!(reply.contains("\"error\":\"internal\""), "{reply}");
    }
    let reply = running.ask("GET /well HTTP/1.1\r\n");
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    let panics = running.service.proxy.counters().panics.count();
    assert_eq!(panics, 3 * WORKERS as u64);
}

#[test]
fn an_answer_names_larder_and_its_port() {
    let running = Running::start("server", panics_at_fault);
    let reply = running.ask("GET /x HTTP/1.1\r\n");
    for line in [
        format!("Server: {SERVER} (port 7)\r\n"),
        "Content-Type: application/json\r\n".to_owned(),
        "Cache-Control: no-store\r\n".to_owned(),
        "X-Content-Type-Options: nosniff\r\n".to_owned(),
    ] {
        assert_eq!(reply.matches(&line).count(), 1, "{line} in {reply}");
    }
    assert!(reply.ends_with("\r\n\r\nSocket 0"), "{reply}");
}

#[test]
fn a_body_is_read_up_to_its_limit() {
    let running = Running::start("body", panics_at_fault);
    let post = |length: usize| {
        let fields = format!("Content-Length: {length}\r\nConnection: close\r\n\r\n");
        let body = "x".repeat(length);
        let mut client = UnixStream::connect(&running.path).expect("connects");
        let whole = format!("POST /x HTTP/1.1\r\n{fields}{body}");
        client.write_all(whole.as_bytes()).expect("sends");
        let mut reply = String::new();
        client.read_to_string(&mut reply).expect("a reply");
        reply
    };
    for length in [10, 5000, LARGEST_BODY] {
        let expected = format!("Socket {length}");
        assert!(post(length).ends_with(&expected), "{length}");
    }
    let reply = post(LARGEST_BODY + 1);
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[test]
fn another_server_takes_over_on_the_same_socket() {
    let running = Running::start("successor", panics_at_fault);
    let before = running.service.current().expect("it runs");
    running.service.replace(&before, "as the test wants it");
    let after = running.service.current().expect("it runs");
    assert!(!Arc::ptr_eq(&before, &after), "nobody took over");
    running.service.replace(&before, "told twice");
    let still = running.service.current().expect("it runs");
    assert!(Arc::ptr_eq(&after, &still), "a live server was replaced");
    assert!(running.service.listening.accepts());
}

#[test]
fn nobody_accepts_where_no_server_runs() {
    let name = format!("larder-deaf-{}.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    let socket = Listening::at(&path).expect("a socket");
    assert!(!socket.accepts());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    assert!(!Listening::Address(listener, address).accepts());
    let service = Service::start(socket, 7, proxy(), panics_at_fault).expect("starts");
    assert!(service.listening.accepts());
    service.stop();
}

#[test]
fn after_a_stop_nobody_accepts_and_the_socket_is_gone() {
    let running = Running::start("stop", panics_at_fault);
    assert!(running.path.exists());
    running.service.stop();
    assert!(!running.path.exists());
    running.service.stop();
    assert!(running.service.current().is_none());
}

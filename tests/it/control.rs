//! The control server on real sockets, and the commands that ask it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder::control::{ControlSocket, Settings};
use serde_json::{Value, json};

use crate::support::{
    Answer, App, Client, Origin, PATIENCE, Proc, Reply, Start, config_for, eventually,
};

/// A directory for sockets, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("larder-control-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("larder.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a command said, and its exit code.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the program with sockets in this directory, and nothing else of this environment.
fn larder(sockets: &Path, arguments: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_larder"))
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env_clear()
        .env("XDG_RUNTIME_DIR", sockets)
        .env("TMPDIR", sockets)
        .output()
        .unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A program whose control socket is at `socket`, like a service's.
fn service(origin: &Origin, folder: &Folder) -> Proc {
    Start::with(config_for(origin, json!({})))
        .environment("RUNTIME_DIRECTORY", folder.0.to_str().unwrap())
        .run()
}

fn own_socket(proc: &Proc) -> PathBuf {
    let name = format!("larder-{}.sock", proc.addr().port());
    proc.folder().join(name)
}

/// One request on a control socket, its first line and fields as given.
#[track_caller]
fn ask(socket: &Path, head: &str, body: &str) -> Reply {
    let mut client = UnixStream::connect(socket).expect("somebody listens");
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let whole = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    client.write_all(whole.as_bytes()).unwrap();
    Reply::read(&mut client, &mut Vec::new(), false)
        .expect("a whole reply")
        .expect("a reply")
}

#[track_caller]
fn json_of(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).expect("JSON")
}

/// The file's mode is the permission, so neither token nor address nor name matters.
#[test]
fn the_socket_answers_what_the_port_answers_without_a_token() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let proc = Start::with(config_for(&origin, json!({})))
        .environment("ADMIN_TOKEN", "a token of a good length")
        .run();
    let socket = own_socket(&proc);
    proc.client().get("/a").expect("MISS", "a");
    proc.client().get("/a").expect("HIT", "a");

    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let foreign = "Host: evil.example\r\nOrigin: http://a.example\r\nX-Forwarded-For: 8.8.8.8";
    let get = |target: &str| ask(&socket, &format!("GET {target} HTTP/1.1\r\n{foreign}"), "");
    assert_eq!(json_of(&get("/health"))["status"], "ok");
    assert_eq!(json_of(&get("/_larder/health"))["status"], "ok");
    assert_eq!(json_of(&get("/cache/stats"))["keys"]["/a"]["hits"], 1);
    assert_eq!(json_of(&get("/queue/stats"))["queueLength"], 0);
    assert_eq!(get("/a").status, 404, "it is no way to the origin");
    assert_eq!(get("/_larder/origin/a").status, 404);
    let wrong = get("/cache/clear");
    assert_eq!((wrong.status, wrong.field("Allow")), (405, Some("POST")));
    proc.client().get("/a").expect("HIT", "a");

    let clear = format!("POST /cache/clear HTTP/1.1\r\n{foreign}");
    assert_eq!(ask(&socket, &clear, "{\"path\":\"/a\"}").status, 400);
    proc.client().get("/a").expect("HIT", "a");
    assert_eq!(json_of(&ask(&socket, &clear, ""))["cleared"], 1);
    proc.client().get("/a").expect("MISS", "a");
    assert_eq!(origin.requests(), origin.count("/a"));
}

#[test]
fn a_dead_socket_is_replaced_and_an_own_one_is_removed_at_the_end() {
    let folder = Folder::new();
    drop(UnixListener::bind(folder.socket()).unwrap());
    assert!(UnixStream::connect(folder.socket()).is_err());
    let origin = Origin::serving([]);

    let mut proc = service(&origin, &folder);

    assert_eq!(
        ask(&folder.socket(), "GET /health HTTP/1.1", "").status,
        200
    );
    proc.terminate();
    assert!(proc.ended().success(), "{}", proc.log());
    assert!(!folder.socket().exists());
}

#[test]
fn a_live_socket_is_not_taken_and_the_second_larder_serves_without() {
    let folder = Folder::new();
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let first = service(&origin, &folder);
    let mut second = service(&origin, &folder);

    second.client().get("/a").expect("MISS", "a");
    assert!(eventually(|| second.log().contains("no control socket")));
    let log = second.log();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("control"))
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("larder.sock: another process answers there"));
    let port = |reply: &Reply| {
        let server = reply.field("Server").unwrap_or_default().to_owned();
        server.contains(&format!("(port {})", first.addr().port()))
    };
    let health = || ask(&folder.socket(), "GET /health HTTP/1.1", "");
    assert!(port(&health()), "{:?}", health());
    second.terminate();
    assert!(second.ended().success());
    assert!(port(&health()), "the second removed what is the first's");
}

#[test]
fn off_is_off() {
    let origin = Origin::serving([]);
    let app = App::start(&config_for(&origin, json!({})));
    let off = Settings {
        socket: ControlSocket::Off,
        listen: None,
    };
    assert_eq!(app.control(&off).places().count(), 0);
}

#[test]
fn on_an_address_the_rules_of_the_zone_apply() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let app = App::start(&config_for(
        &origin,
        json!({ "admin": { "allow": ["127.0.0.1"] } }),
    ));
    let settings = Settings {
        socket: ControlSocket::Off,
        listen: Some(([127, 0, 0, 1], 0).into()),
    };
    let control = app.control(&settings);
    let place = control.places().next().expect("it listens");
    let address = place.strip_prefix("http://").unwrap().parse().unwrap();
    let ask = |from: [u8; 4], head: &str| {
        let mut client = Client::connect_from(from.into(), address);
        client.send(format!("{head}\r\nConnection: close\r\n\r\n"));
        client.read()
    };
    let home = [127, 0, 0, 1];
    let away = [127, 0, 0, 2];
    app.client().get("/a").expect("MISS", "a");
    for (from, fields, status) in [
        (away, "Host: localhost", 403),
        (home, "Host: evil.example", 403),
        (home, "Host: localhost\r\nHost: localhost", 403),
        (home, "Host: localhost\r\nVia: 1.1 somebody", 403),
        (home, "Host: localhost\r\nOrigin: http://evil.example", 403),
        (
            home,
            "Host: localhost\r\nReferer: http://evil.example/",
            403,
        ),
        (home, "Host: localhost", 200),
    ] {
        app.client().get("/a").expect("HIT", "a");
        let reply = ask(from, &format!("POST /cache/clear HTTP/1.1\r\n{fields}"));
        assert_eq!(reply.status, status, "{from:?} {fields}: {reply:?}");
    }
    app.client().get("/a").expect("MISS", "a");
    let stats = |from| ask(from, "GET /cache/stats HTTP/1.1\r\nHost: localhost").status;
    assert_eq!((stats(home), stats(away)), (200, 403));
    let health = ask(away, "GET /health HTTP/1.1\r\nHost: evil.example");
    assert_eq!(health.status, 200, "it is public");
    drop(control);
    let again = Settings {
        listen: Some(address),
        ..settings
    };
    assert!(
        eventually(|| app.control(&again).places().count() == 1),
        "the address is free again"
    );
}

/// Where no descriptor is left, tiny_http's accept thread ends with an error if it wants one for a client, and with a panic if
/// it wants the client's second. Which it is depends on how many there are, mostly on whether they are even.
#[test]
fn a_server_that_accepts_nobody_any_more_is_replaced() {
    let origin = Origin::serving([]);
    let mut logs = String::new();
    for more in 10..20 {
        if logs.contains("it has died") && logs.contains("Too many open files") {
            break;
        }
        let proc = Proc::start(config_for(&origin, json!({})));
        let socket = own_socket(&proc);
        let health = || ask(&socket, "GET /health HTTP/1.1", "").status;
        assert_eq!(health(), 200);
        let limit = proc.figures().descriptors + more;
        proc.limit_descriptors(u32::try_from(limit).unwrap());
        let crowd: Vec<UnixStream> = (0..12)
            .map(|_| UnixStream::connect(&socket).expect("the kernel completes it"))
            .collect();
        // The panic is tiny_http's own line; Larder finds it out later.
        let has_ended = || {
            ["nobody accepts on", "panicked at"]
                .iter()
                .any(|said| proc.log().contains(said))
        };
        assert!(eventually(has_ended), "{:?}", proc.figures());

        proc.limit_descriptors(1024);
        drop(crowd);

        assert_eq!(health(), 200);
        assert!(eventually(|| proc.log().contains("nobody accepts on")));
        logs += &proc.log();
    }
    assert!(logs.contains("it has died"), "{logs}");
    assert!(logs.contains("Too many open files"), "{logs}");
}

#[test]
fn fault_f4_the_command_clears_the_larder_of_this_user() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let proc = Start::with(config_for(&origin, json!({})))
        .environment("ADMIN_TOKEN", "a token of a good length")
        .run();
    let port = proc.addr().port();
    proc.client().get("/a").expect("MISS", "a");

    // Not on the default port, and the only one there is.
    let ended = larder(proc.folder(), &["--clear-cache"]);

    let said = format!("cleared: the Larder on port {port} forgot 1 stored responses\n");
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), said.as_str()));
    proc.client().get("/a").expect("MISS", "a");
    let ended = larder(
        proc.folder(),
        &["--clear-cache", "--port", &port.to_string()],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    proc.client().get("/a").expect("MISS", "a");
    let ended = larder(proc.folder(), &["--clear-cache", "-p", "1"]);
    assert_eq!(ended.code, Some(1));
    let expected = format!(
        "not cleared: no Larder on port 1 answers on a control socket; there is one on port {port}\n"
    );
    assert_eq!(ended.err, expected);
}

#[test]
fn fault_f4_the_command_asks_for_the_port_where_several_larders_run() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let folder = Folder::new();
    let start = || {
        Start::with(config_for(&origin, json!({})))
            .environment("XDG_RUNTIME_DIR", folder.0.to_str().unwrap())
            .run()
    };
    let procs = [start(), start()];
    let ended = larder(&folder.0, &["--clear-cache"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("name one with --port: "), "{ended:?}");
    for proc in &procs {
        proc.client().get("/a");
        let port = proc.addr().port().to_string();
        let ended = larder(&folder.0, &["--clear-cache", "--port", &port]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        proc.client().get("/a").expect("MISS", "a");
    }
}

/// Whoever listens on the port or the socket and is no Larder is told nothing to clear.
#[test]
fn fault_f4_a_stranger_is_not_asked() {
    let folder = Folder::new();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    port.set_nonblocking(true).unwrap();
    let number = port.local_addr().unwrap().port();
    let option = format!("--port={number}");

    let ended = larder(&folder.0, &["--clear-cache", &option]);

    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.starts_with("not cleared: no Larder answers"),
        "{ended:?}"
    );
    assert!(port.accept().is_err(), "somebody connected to the port");
    let stranger = UnixListener::bind(folder.0.join(format!("larder-{number}.sock"))).unwrap();
    let asked = std::thread::spawn(move || {
        let mut client = stranger.accept().unwrap().0;
        let mut head = [0; 4096];
        let size = client.read(&mut head).unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nServer: another (port {number})\r\n\r\n");
        client.write_all(answer.as_bytes()).unwrap();
        (
            stranger,
            String::from_utf8_lossy(&head[..size]).into_owned(),
        )
    });
    let ended = larder(&folder.0, &["--clear-cache", &option]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let (stranger, head) = asked.join().unwrap();
    assert!(head.starts_with("GET /health "), "{head}");
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.accept().is_err(), "it was asked to clear");
}

#[test]
fn fault_f4_health_knows_a_larder_by_its_own_answers_and_by_relayed_ones() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let proc = Proc::start(config_for(&origin, json!({})));
    let folder = Folder::new();
    for target in ["/health", "/a"] {
        let url = format!("http://{}{target}", proc.addr());
        let ended = larder(&folder.0, &["health", &url]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.out, format!("healthy: {url} answers 200\n"));
    }
}

#[test]
fn fault_f8_the_command_line_says_what_was_meant() {
    let folder = Folder::new();
    let ended = larder(&folder.0, &["--orign", "http://a"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.err,
        "unknown option --orign: did you mean --origin?\nlarder --help lists the options\n"
    );
    for help in ["-h", "--help"] {
        let ended = larder(&folder.0, &[help]);
        assert_eq!(ended.code, Some(0));
        assert!(ended.out.contains("--clear-cache"), "{ended:?}");
    }
    let ended = larder(&folder.0, &["-V"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.out.starts_with("larder "), "{ended:?}");
    let ended = larder(&folder.0, &["--bind=127.0.0.9", "--print-config"]);
    assert!(
        ended.out.contains("proxy.bind = \"127.0.0.9\""),
        "{ended:?}"
    );
}

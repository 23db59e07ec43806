//! What systemd hears of the process (sd_notify), on a socket such as it opens.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::support::{Origin, Proc, Start, config_for, eventually};

/// Longest wait for a message.
const PATIENCE: Duration = Duration::from_secs(20);
/// Twenty times as long as a process waits here between two messages.
const SILENCE: Duration = Duration::from_secs(1);

/// Where messages arrive, and how the process is told of it.
struct Listener(UnixDatagram, String);

impl Listener {
    fn at_abstract_name(name: &str) -> Listener {
        let name = format!("larder-{name}-{}", std::process::id());
        let addr = SocketAddr::from_abstract_name(&name).unwrap();
        Listener(UnixDatagram::bind_addr(&addr).unwrap(), format!("@{name}"))
    }

    fn at_path() -> Listener {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Listener(
            UnixDatagram::bind(&path).unwrap(),
            path.to_str().unwrap().to_owned(),
        )
    }

    /// A process that is to say every 50 ms that it is well.
    #[track_caller]
    fn start(&self) -> Proc {
        let start = Start::with(config_for(&Origin::serving([]), json!({})));
        start
            .environment("NOTIFY_SOCKET", &self.1)
            .environment("WATCHDOG_USEC", "100000")
            .run()
    }

    /// The next message, if one comes within the time.
    #[track_caller]
    fn hears(&self, within: Duration) -> Option<String> {
        let mut text = [0; 64];
        self.0.set_read_timeout(Some(within)).unwrap();
        match self.0.recv(&mut text) {
            Ok(size) => Some(String::from_utf8(text[..size].to_vec()).unwrap()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes all that was said so far.
    fn forgets(&self) {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 64]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
    }
}

#[test]
fn systemd_hears_when_it_serves_that_it_is_well_and_when_it_ends() {
    for listener in [Listener::at_abstract_name("life"), Listener::at_path()] {
        let mut proc = listener.start();
        assert_eq!(listener.hears(PATIENCE).as_deref(), Some("READY=1"));
        assert_eq!(proc.client().get("/health").status, 200);
        assert_eq!(listener.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));
        assert_eq!(listener.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));
        proc.terminate();
        assert!(eventually(
            || listener.hears(PATIENCE).as_deref() == Some("STOPPING=1")
        ));
        assert!(proc.ended().success(), "{}", proc.log());
        assert_eq!(
            listener.hears(Duration::from_millis(1)),
            None,
            "STOPPING=1 is its last word"
        );
    }
}

#[test]
fn systemd_hears_nothing_from_a_larder_that_does_not_answer_itself() {
    let listener = Listener::at_abstract_name("silence");
    let proc = listener.start();
    assert_eq!(listener.hears(PATIENCE).as_deref(), Some("READY=1"));

    // Without a descriptor to spare no connection comes about.
    proc.limit_descriptors(3);
    assert!(
        eventually(|| proc.log().contains("does not answer itself")),
        "{}",
        proc.log()
    );
    listener.forgets();
    assert_eq!(listener.hears(SILENCE), None);

    proc.limit_descriptors(1024);
    assert_eq!(listener.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));
}

//! What systemd is told of this process, by datagrams as sd_notify(3) describes them: that it serves, that it is well, that it ends.
//! Without `NOTIFY_SOCKET` in the environment nobody is told, and nothing differs.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A reader that takes nothing for so long misses a message.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who started this process and wants to hear of it.
pub struct Systemd {
    /// `None`: nobody wants to.
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that all is well. `None`: never.
    pub watchdog: Option<Duration>,
}

/// What it is told.
#[derive(Clone, Copy, Debug)]
pub enum State {
    /// The port is open.
    Ready,
    /// All is well.
    Well,
    /// The process is about to end.
    Stopping,
}

impl Systemd {
    /// The one these variables name: `NOTIFY_SOCKET`, a path or, after `@`, an abstract name; `WATCHDOG_USEC`, half of which is
    /// how often it is told that all is well, unless `WATCHDOG_PID` is another process.
    pub fn of(variables: &[(String, String)], pid: u32) -> io::Result<Systemd> {
        let find = |wanted: &str| {
            variables
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, text)| text.as_str())
        };
        let Some(name) = find("NOTIFY_SOCKET") else {
            return Ok(Systemd {
                socket: None,
                watchdog: None,
            });
        };
        let addr = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let is_ours = find("WATCHDOG_PID").is_none_or(|text| text.parse() == Ok(pid));
        let limit = find("WATCHDOG_USEC")
            .and_then(|text| text.parse::<u64>().ok())
            .filter(|limit| is_ours && *limit > 1);
        Ok(Systemd {
            socket: Some((socket, addr)),
            watchdog: limit.map(|limit| Duration::from_micros(limit / 2)),
        })
    }

    /// Tells it, if it is there. A failure is logged: it will draw its own conclusions from the silence.
    pub fn tell(&self, state: State) {
        let Some((socket, addr)) = &self.socket else {
            return;
        };
        let text: &[u8] = match state {
            State::Ready => b"READY=1",
            State::Well => b"WATCHDOG=1",
            State::Stopping => b"STOPPING=1",
        };
        if let Err(error) = socket.send_to_addr(text, addr) {
            log::warn!("systemd cannot be told {state:?}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_told_at_half_of_its_time_if_it_is_ours() {
        let cases = [
            (&[("WATCHDOG_USEC", "30000000")][..], None),
            (&[("NOTIFY_SOCKET", "@larder")], None),
            (
                &[("NOTIFY_SOCKET", "@larder"), ("WATCHDOG_USEC", "30000000")],
                Some(15),
            ),
            (
                &[
                    ("NOTIFY_SOCKET", "/x"),
                    ("WATCHDOG_USEC", "30000000"),
                    ("WATCHDOG_PID", "7"),
                ],
                Some(15),
            ),
            (
                &[
                    ("NOTIFY_SOCKET", "/x"),
                    ("WATCHDOG_USEC", "30000000"),
                    ("WATCHDOG_PID", "8"),
                ],
                None,
            ),
            (&[("NOTIFY_SOCKET", "/x"), ("WATCHDOG_USEC", "soon")], None),
            (&[("NOTIFY_SOCKET", "/x"), ("WATCHDOG_USEC", "0")], None),
        ];
        for (variables, expected) in cases {
            let variables: Vec<(String, String)> = variables
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect();
            let systemd = Systemd::of(&variables, 7).expect("a name that can be one");
            assert_eq!(
                systemd.watchdog,
                expected.map(Duration::from_secs),
                "{variables:?}"
            );
        }
    }
}

//! `larder --clear-cache`: asks the running Larder, on its control socket, to forget what it stored. A port is never asked: a
//! stranger may listen there.

use std::fmt;
use std::process::ExitCode;

use larder::config::{Loaded, Source};
use larder::control::{ControlSocket, Environment, Found, Settings};
use serde_json::Value;

use super::ask::ask_socket;

/// A Larder that answers on its control socket.
struct Running {
    socket: Found,
    /// The port it serves its clients on.
    port: u16,
}

/// Why no Larder is asked.
enum Unfound {
    /// The configuration says that there is no control socket.
    Off,
    /// None answers.
    None,
    /// None is on this port; these ports have one.
    OtherPorts(u16, Vec<u16>),
    /// No port is named, and these have one.
    Several(Vec<u16>),
}

/// Clears, and tells how it went: 0 done, 1 not, 2 a port must be named.
pub fn run(loaded: &Loaded) -> ExitCode {
    let settings = &loaded.config.control;
    let is_named = loaded.sources.of("proxy.port") != Source::Preset;
    let running = match find(settings, loaded.config.proxy.port, is_named) {
        Ok(running) => running,
        Err(unfound) => {
            eprintln!("not cleared: {unfound}");
            return ExitCode::from(match unfound {
                Unfound::Several(_) => 2,
                _ => 1,
            });
        }
    };
    let port = running.port;
    match ask_socket("POST", &running.socket, "/cache/clear") {
        Ok(answer) if answer.status == 200 => {
            let body: Value = serde_json::from_str(&answer.first_line).unwrap_or_default();
            let count = body["cleared"].as_u64().unwrap_or_default();
            println!("cleared: the Larder on port {port} forgot {count} stored responses");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            eprintln!(
                "not cleared: the Larder on port {port} answers {} {}",
                answer.status, answer.first_line
            );
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("not cleared: the Larder on port {port}: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The Larder on `port`; where the port is only the default one, else the only Larder there is.
fn find(settings: &Settings, port: u16, is_named: bool) -> Result<Running, Unfound> {
    let sockets = match &settings.socket {
        ControlSocket::Auto => Environment::of_this_process().sockets(),
        ControlSocket::Path(path) => vec![Found { path: path.clone() }],
        ControlSocket::Off => return Err(Unfound::Off),
    };
    choose(sockets.into_iter().filter_map(identify), port, is_named)
}

/// Asks who answers on a socket. `None`: nobody, or not a Larder.
fn identify(socket: Found) -> Option<Running> {
    let answer = ask_socket("GET", &socket, "/health").ok()?;
    let port = answer.port().filter(|_| answer.is_larder())?;
    Some(Running { socket, port })
}

fn choose(
    running: impl Iterator<Item = Running>,
    port: u16,
    is_named: bool,
) -> Result<Running, Unfound> {
    let mut others = Vec::new();
    for one in running {
        if one.port == port {
            return Ok(one);
        }
        others.push(one);
    }
    let ports = others.iter().map(|other| other.port).collect();
    match others.pop() {
        None => Err(Unfound::None),
        Some(_) if is_named => Err(Unfound::OtherPorts(port, ports)),
        Some(only) if others.is_empty() => Ok(only),
        Some(_) => Err(Unfound::Several(ports)),
    }
}

impl fmt::Display for Unfound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |ports: &[u16]| {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            ports.join(", ")
        };
        match self {
            Unfound::Off => f.write_str("control.socket is off, so no Larder can be asked"),
            Unfound::None => f.write_str(
                "no Larder answers on a control socket; is it running, and as this user? (for the service: sudo larder --clear-cache)",
            ),
            Unfound::OtherPorts(port, others) => write!(
                f,
                "no Larder on port {port} answers on a control socket; there is one on port {}",
                list(others)
            ),
            Unfound::Several(ports) => write!(
                f,
                "several Larders are running; name one with --port: {}",
                list(ports)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_named_port_else_the_default_one_else_the_only_one() {
        let cases: [(&[u16], bool, Result<u16, &str>); 7] = [
            (&[], false, Err("no Larder answers")),
            (&[8676, 9], false, Ok(8676)),
            (&[9], false, Ok(9)),
            (
                &[9, 10],
                false,
                Err("several Larders are running; name one with --port: 9, 10"),
            ),
            (&[9, 8676], true, Ok(8676)),
            (&[9], true, Err("no Larder on port 8676")),
            (&[], true, Err("no Larder answers")),
        ];
        for (ports, is_named, expected) in cases {
            let running = ports.iter().map(|port| Running {
                socket: Found {
                    path: PathBuf::new(),
                },
                port: *port,
            });
            let chosen = choose(running, 8676, is_named);
            match (chosen, expected) {
                (Ok(chosen), Ok(port)) => assert_eq!(chosen.port, port, "{ports:?}"),
                (Err(unfound), Err(said)) => {
                    assert!(unfound.to_string().starts_with(said), "{unfound}");
                }
                _ => panic!("{ports:?} {is_named}"),
            }
        }
    }
}

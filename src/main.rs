//! The `larder` command: arguments → configuration → log → server → wait for a signal → exit code.

#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod systemd;

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use larder::app::App;
use larder::clock::Clock;
use larder::config::Loaded;
use larder::logging;
use larder::threads::spawn;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use self::commands::{Answer, Failure};
use self::systemd::{State, Systemd};

/// How soon Larder asks itself again after it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let begun =
        arguments::read(std::env::args().skip(1)).and_then(|arguments| commands::run(&arguments));
    let loaded = match begun {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match serve(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("larder: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(loaded: Loaded) -> Result<(), Box<dyn std::error::Error>> {
    let config = loaded.config;
    let _log = logging::start(config.log.level)?;
    log::info!("preset {}: {}", config.preset.name(), loaded.preset_because);
    config
        .warnings
        .iter()
        .for_each(|warning| log::warn!("{warning}"));
    let mut signals = signals()?;
    let systemd = Systemd::of(&arguments::environment(), std::process::id())?;
    let origin = config.backend.origin.clone();
    let app = App::start(config, Clock::new())?;
    log::info!("listening on http://{} before {origin}", app.addr());
    systemd.tell(State::Ready);
    wait(&mut signals, &systemd, app.addr())?;
    systemd.tell(State::Stopping);
    log::info!("stopping: requests in progress are answered first; a second signal ends at once");
    spawn("stop", move || {
        if signals.read(&mut [0]).is_ok() {
            std::process::exit(1);
        }
    })?;
    app.stop();
    Ok(())
}

/// Where a byte arrives for each signal that ends the process.
fn signals() -> io::Result<UnixStream> {
    let (signals, arriving) = UnixStream::pair()?;
    pipe::register(SIGTERM, arriving.try_clone()?)?;
    pipe::register(SIGINT, arriving)?;
    Ok(signals)
}

/// Waits for a signal. Meanwhile systemd is told that all is well as often as it wants to hear it, but only when a client's
/// request would be answered: Larder asks itself, through its own port.
fn wait(signals: &mut UnixStream, systemd: &Systemd, addr: SocketAddr) -> io::Result<()> {
    let mut patience = systemd.watchdog;
    let mut was_well = true;
    loop {
        signals.set_read_timeout(patience)?;
        match signals.read(&mut [0]) {
            Ok(_) => return signals.set_read_timeout(None),
            // How Linux calls a read that ran out of time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let asked = ask_itself(addr);
                match &asked {
                    Ok(_) => systemd.tell(State::Well),
                    Err(failure) if was_well => {
                        log::error!("Larder does not answer itself at {addr}: {failure}")
                    }
                    Err(_) => {}
                }
                was_well = asked.is_ok();
                patience = systemd.watchdog.map(|every| {
                    if was_well {
                        every
                    } else {
                        every.min(ASK_AGAIN)
                    }
                });
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Any answer is one, even the 503 for want of a place.
fn ask_itself(mut addr: SocketAddr) -> Result<Answer, Failure> {
    if addr.ip().is_unspecified() {
        addr.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    commands::ask("GET", &format!("http://{addr}/health"))
}

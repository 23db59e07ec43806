//! The `larder` command: arguments → configuration → log → server → wait for a signal → exit code.

mod arguments;
mod commands;

use std::process::ExitCode;

use larder::app::App;
use larder::clock::Clock;
use larder::config::Loaded;
use larder::front::listener;
use larder::logging;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> ExitCode {
    listener::prepare_process();
    let begun = arguments::read(std::env::args().skip(1)).and_then(|arguments| commands::run(&arguments));
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
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let origin = config.backend.origin.clone();
    let app = App::start(config, Clock::new())?;
    log::info!("listening on http://{} before {origin}", app.addr());
    signals.forever().next();
    log::info!("stopping: requests in progress are answered first; a second signal ends at once");
    std::thread::spawn(move || {
        signals.forever().next();
        std::process::exit(1);
    });
    app.stop();
    Ok(())
}

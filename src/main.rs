//! The `larder` command: arguments → configuration → log → server → wait for a signal → exit code.

mod arguments;

use std::path::PathBuf;
use std::process::ExitCode;

use larder::app::App;
use larder::clock::Clock;
use larder::config::{Config, Overrides};
use larder::front::listener;
use larder::logging;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> ExitCode {
    listener::prepare_process();
    let arguments = match arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    if arguments.version {
        println!("larder {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let overrides = Overrides { port: arguments.port, origin: arguments.origin, environment: arguments::environment() };
    let file =
        arguments.config.or_else(|| std::env::var_os("CONFIG_PATH").filter(|path| !path.is_empty()).map(PathBuf::from));
    let config = match Config::load(file.as_deref(), &overrides) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(2);
        }
    };
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("larder: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let _log = logging::start(config.log.level)?;
    config.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let origin = config.backend.authority.clone();
    let app = App::start(config, Clock::new())?;
    log::info!("listening on http://{} before http://{origin}", app.addr());
    signals.forever().next();
    log::info!("stopping: requests in progress are answered first; a second signal ends at once");
    std::thread::spawn(move || {
        signals.forever().next();
        std::process::exit(1);
    });
    app.stop();
    Ok(())
}

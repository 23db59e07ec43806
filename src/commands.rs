//! What the command line asks for besides serving: telling about the configuration, and asking a running Larder.

mod ask;
mod clear;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use larder::config::{Config, Loaded, Overrides, Problems, Surroundings, Variables, load};

pub use self::ask::{Answer, Failure, ask};
use crate::arguments::{self, Arguments, Command};

/// Where the configuration file is if nobody names one.
const DEFAULT_FILE: &str = "config.json";

/// What is to be served; or the exit code, when the command line asked for something else or the configuration is wrong.
pub fn run(arguments: &Arguments) -> Result<Loaded, ExitCode> {
    if arguments.version {
        println!("larder {}", env!("CARGO_PKG_VERSION"));
        return Err(ExitCode::SUCCESS);
    }
    let overrides = arguments.overrides(Variables::gather(arguments::environment(), Path::new("")));
    let file = file(arguments, &overrides);
    let loaded = load(
        file.as_deref(),
        &overrides,
        &Surroundings::of_this_process(),
    );
    if let Some(Command::Health(health)) = &arguments.command {
        return Err(tell_health(health.url.as_deref(), loaded));
    }
    let loaded = loaded.map_err(|problems| {
        eprintln!("{problems}");
        ExitCode::from(2)
    })?;
    if arguments.check_config {
        tell_check(&loaded, &overrides.variables);
    } else if arguments.print_config {
        tell_all(&loaded, file.as_deref());
    } else if arguments.clear_cache {
        return Err(clear::run(&loaded));
    } else {
        return Ok(loaded);
    }
    Err(ExitCode::SUCCESS)
}

/// The configuration file. `None`: there is none, and none is asked for.
fn file(arguments: &Arguments, overrides: &Overrides) -> Option<PathBuf> {
    let named = || {
        overrides
            .variables
            .find("CONFIG_PATH")
            .map(|(path, _)| PathBuf::from(path))
    };
    let here = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
    arguments.config.clone().or_else(named).or_else(here)
}

fn tell_check(loaded: &Loaded, variables: &Variables) {
    println!("configuration is valid");
    loaded
        .config
        .warnings
        .iter()
        .for_each(|warning| println!("warning: {warning}"));
    for (name, meaning) in variables.known() {
        println!("{name}: {meaning}");
    }
}

fn tell_all(loaded: &Loaded, file: Option<&Path>) {
    println!(
        "// larder {}, preset {}: {}",
        env!("CARGO_PKG_VERSION"),
        loaded.config.preset.name(),
        loaded.preset_because
    );
    println!(
        "// file: {}",
        file.map_or("none".to_owned(), |path| path.display().to_string())
    );
    print!("{}", loaded.listing());
}

/// Prints one line on standard output, which container engines keep. Their health checks know 0 and 1 only.
fn tell_health(url: Option<&str>, loaded: Result<Loaded, Problems>) -> ExitCode {
    let url = match (url, loaded) {
        (Some(url), _) => url.to_owned(),
        (None, Ok(loaded)) => address(&loaded.config, "/health"),
        (None, Err(problems)) => {
            println!(
                "unknown: the configuration is wrong: {}",
                problems.to_string().replace('\n', "; ")
            );
            return ExitCode::FAILURE;
        }
    };
    match ask("GET", &url) {
        Ok(answer) if !answer.is_larder() => {
            println!("unhealthy: {url} answers, but is not a Larder");
            ExitCode::FAILURE
        }
        Ok(answer) if answer.status == 200 => {
            println!("healthy: {url} answers 200");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            println!("unhealthy: {url} answers {}", answer.status);
            ExitCode::FAILURE
        }
        Err(failure) => {
            println!("unhealthy: {url}: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Where a Larder of this configuration is reached from this machine.
fn address(config: &Config, path: &str) -> String {
    let bind = &config.proxy.bind;
    let host = match bind.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        _ => bind.clone(),
    };
    format!("http://{host}:{}{path}", config.proxy.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_one_it_listens_on() {
        let cases = [
            ("::", "http://127.0.0.1:8676/x"),
            ("0.0.0.0", "http://127.0.0.1:8676/x"),
            ("10.0.0.7", "http://10.0.0.7:8676/x"),
            ("fd00::1", "http://[fd00::1]:8676/x"),
            ("pi", "http://pi:8676/x"),
        ];
        for (bind, expected) in cases {
            let mut config = Config::default();
            config.proxy.bind = bind.to_owned();
            assert_eq!(address(&config, "/x"), expected);
        }
    }
}

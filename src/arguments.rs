//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use larder::config::{Overrides, Variables};

/// A caching proxy that gives every client the last good answer at once, while the origin sees one polite client.
#[derive(FromArgs)]
pub struct Arguments {
    /// configuration file (JSON; see config.example.json); else CONFIG_PATH, else config.json here if it exists
    #[argh(option)]
    pub config: Option<PathBuf>,
    /// port to listen on; 0 takes a free one
    #[argh(option)]
    pub port: Option<String>,
    /// address to listen on; 127.0.0.1 is this machine only
    #[argh(option)]
    pub bind: Option<String>,
    /// origin to stand before: http://host:port, or sim://powerwall
    #[argh(option)]
    pub origin: Option<String>,
    /// whose defaults hold: pypowerwall or api
    #[argh(option)]
    pub preset: Option<String>,
    /// how long answers are fresh where nobody else says, in seconds
    #[argh(option)]
    pub cache_ttl: Option<String>,
    /// tell a running Larder on this port to forget its answers, and end
    #[argh(switch)]
    pub clear_cache: bool,
    /// tell everything that is wrong with the configuration, and end: 0 if nothing is
    #[argh(switch)]
    pub check_config: bool,
    /// print every value of the configuration and where it comes from, and end
    #[argh(switch)]
    pub print_config: bool,
    /// print the version and end
    #[argh(switch)]
    pub version: bool,
    /// what to do instead of serving
    #[argh(subcommand)]
    pub command: Option<Command>,
}

/// What is done instead of serving.
#[derive(FromArgs)]
#[argh(subcommand)]
pub enum Command {
    /// `larder health`.
    Health(Health),
}

/// Ask a running Larder how it is, and end: 0 if it is well, else 1.
#[derive(FromArgs)]
#[argh(subcommand, name = "health")]
pub struct Health {
    /// what to ask; else /health of the configured address and port
    #[argh(positional)]
    pub url: Option<String>,
}

impl Arguments {
    /// What they and these variables say over the file.
    pub fn overrides(&self, variables: Variables) -> Overrides {
        Overrides {
            port: self.port.clone(),
            bind: self.bind.clone(),
            origin: self.origin.clone(),
            preset: self.preset.clone(),
            cache_ttl: self.cache_ttl.clone(),
            variables,
        }
    }
}

/// Reads the command line; `--port=N` means `--port N`. Otherwise the exit code: 0 after `--help`, 2 after a mistake.
pub fn read(given: impl Iterator<Item = String>) -> Result<Arguments, ExitCode> {
    let words: Vec<String> = given.flat_map(split).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Arguments::from_args(&["larder"], &words).map_err(|exit| match exit.status {
        Ok(()) => {
            println!("{}", exit.output);
            ExitCode::SUCCESS
        }
        Err(()) => {
            eprintln!(
                "{}\nlarder --help tells the options",
                exit.output.trim_end()
            );
            ExitCode::from(2)
        }
    })
}

/// Every variable whose name and text are UTF-8.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
        .collect()
}

fn split(word: String) -> Vec<String> {
    match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") => {
            vec![option.to_owned(), value.to_owned()]
        }
        _ => vec![word],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Arguments, ExitCode> {
        read(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn both_ways_to_give_a_value() {
        for words in [
            &["--port=9", "--origin=http://a/?b=c"][..],
            &["--port", "9", "--origin", "http://a/?b=c"],
        ] {
            let arguments = of(words).unwrap_or_else(|_| panic!("{words:?}"));
            assert_eq!(
                (arguments.port.as_deref(), arguments.origin.as_deref()),
                (Some("9"), Some("http://a/?b=c"))
            );
        }
    }

    #[test]
    fn a_command_stands_behind_the_options() {
        let health =
            of(&["--port", "9", "health", "http://a/"]).unwrap_or_else(|_| panic!("lawful"));
        let Some(Command::Health(Health { url })) = &health.command else {
            panic!("no command")
        };
        assert_eq!(
            (
                url.as_deref(),
                health.overrides(Variables::default()).port.as_deref()
            ),
            (Some("http://a/"), Some("9"))
        );
    }

    #[test]
    fn a_mistake_is_exit_code_2() {
        for words in [
            &["--prot", "9"][..],
            &["stray"],
            &["health", "a", "b"],
            &["--version=yes"],
        ] {
            assert!(of(words).is_err(), "{words:?}");
        }
    }
}

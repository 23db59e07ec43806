//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use larder::config::nearest::nearest;
use larder::config::{Overrides, Variables};

/// A caching proxy that gives every client the last good answer at once, while the origin sees one polite client.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help", "help"))]
pub struct Arguments {
    /// configuration file (JSON; see config.example.json); else CONFIG_PATH, else config.json here if it exists
    #[argh(option, short = 'c')]
    pub config: Option<PathBuf>,
    /// port to listen on; 0 takes a free one
    #[argh(option, short = 'p', from_str_fn(port))]
    pub port: Option<u16>,
    /// address to listen on; :: takes IPv4 and IPv6
    #[argh(option, short = 'b')]
    pub bind: Option<String>,
    /// origin to stand before: http://host:port, or sim://powerwall
    #[argh(option, short = 'o')]
    pub origin: Option<String>,
    /// whose defaults hold: pypowerwall or api
    #[argh(option)]
    pub preset: Option<String>,
    /// how long answers are fresh where nobody else says, in seconds
    #[argh(option)]
    pub cache_ttl: Option<String>,
    /// make the running Larder of this user forget what it stored, and end
    #[argh(switch)]
    pub clear_cache: bool,
    /// tell everything that is wrong with the configuration, and end: 0 if nothing is
    #[argh(switch)]
    pub check_config: bool,
    /// print every value of the configuration and where it comes from, and end
    #[argh(switch)]
    pub print_config: bool,
    /// print the version and end
    #[argh(switch, short = 'V')]
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
#[argh(subcommand, name = "health", help_triggers("-h", "--help", "help"))]
pub struct Health {
    /// what to ask; else /health of the configured address and port
    #[argh(positional)]
    pub url: Option<String>,
}

impl Arguments {
    /// What they and these variables say over the file.
    pub fn overrides(&self, variables: Variables) -> Overrides {
        Overrides {
            port: self.port,
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
            eprintln!("{}\nlarder --help lists the options", mistake(&exit.output));
            ExitCode::from(2)
        }
    })
}

/// What is wrong with the command line, with the option that was probably meant.
fn mistake(said: &str) -> String {
    let said = said.trim_end();
    let Some(word) = said.strip_prefix("Unrecognized argument: ") else {
        return said.to_owned();
    };
    if !word.starts_with('-') {
        return format!("unexpected word: {word}");
    }
    let help = Arguments::from_args(&["larder"], &["--help"]).err();
    let help = help.map(|exit| exit.output).unwrap_or_default();
    let options = help
        .split(|letter: char| letter.is_whitespace() || letter == ',')
        .filter(|word| word.starts_with("--"));
    match nearest(word, options) {
        Some(meant) => format!("unknown option {word}: did you mean {meant}?"),
        None => format!("unknown option {word}"),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| "a port is a number from 0 to 65535".to_owned())
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
                (arguments.port, arguments.origin.as_deref()),
                (Some(9), Some("http://a/?b=c"))
            );
        }
    }

    #[test]
    fn each_letter_stands_for_its_option() {
        let words = [
            "-c", "x.json", "-p", "9", "-b", "::1", "-o", "http://a", "-V",
        ];
        let arguments = of(&words).unwrap_or_else(|_| panic!("lawful"));
        assert_eq!(arguments.config, Some(PathBuf::from("x.json")));
        assert_eq!(arguments.port, Some(9));
        assert_eq!(arguments.origin.as_deref(), Some("http://a"));
        assert!(arguments.version);
        let overrides = arguments.overrides(Variables::default());
        assert_eq!(overrides.bind.as_deref(), Some("::1"));
    }

    #[test]
    fn fault_f8_a_mistake_names_what_was_meant() {
        let said = |words: &[&str]| {
            let exit = Arguments::from_args(&["larder"], words).err();
            mistake(&exit.map(|exit| exit.output).unwrap_or_default())
        };
        let cases = [
            ("--orign", "unknown option --orign: did you mean --origin?"),
            ("--prot", "unknown option --prot: did you mean --port?"),
            ("--hepl", "unknown option --hepl: did you mean --help?"),
            ("--what-is-this-for", "unknown option --what-is-this-for"),
            ("stray", "unexpected word: stray"),
        ];
        for (word, expected) in cases {
            assert_eq!(said(&[word]), expected);
        }
        let wrong = said(&["--port", "many"]);
        assert!(wrong.contains("--port") && wrong.ends_with("from 0 to 65535"));
    }

    #[test]
    fn a_command_stands_behind_the_options() {
        let health =
            of(&["--port", "9", "health", "http://a/"]).unwrap_or_else(|_| panic!("lawful"));
        let Some(Command::Health(Health { url })) = &health.command else {
            panic!("no command")
        };
        assert_eq!(
            (url.as_deref(), health.overrides(Variables::default()).port),
            (Some("http://a/"), Some(9))
        );
    }

    #[test]
    fn a_mistake_is_exit_code_2() {
        for words in [
            &["--prot", "9"][..],
            &["--port", "many"],
            &["stray"],
            &["health", "a", "b"],
            &["--version=yes"],
        ] {
            assert!(of(words).is_err(), "{words:?}");
        }
    }
}

//! Environment variables: the process's own, those of a `.env` file below them, and secrets in files of their own.

use std::path::Path;

use super::dotenv::{self, DotEnv};
use super::file::{self, Unreadable};
use super::{Problems, Source, environment};

/// What is known of the environment. Empty texts count as unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// The process's own, name and text. Names that mean nothing here are ignored.
    pub environment: Vec<(String, String)>,
    /// Those of a `.env` file, which the process's own win over.
    pub dotenv: Vec<DotEnv>,
    /// What is wrong with the files they came from.
    pub problems: Problems,
}

impl Variables {
    /// The variables of the process, of `.env` in `folder` if it is there, and of the files that `NAME_FILE` names for a
    /// secret `NAME`.
    pub fn gather(environment: Vec<(String, String)>, folder: &Path) -> Variables {
        let mut variables = Variables {
            environment,
            ..Variables::default()
        };
        match file::text(&folder.join(".env")) {
            Ok(text) => variables.dotenv = dotenv::variables(&text, &mut variables.problems),
            Err(Unreadable::Missing) => {}
            Err(Unreadable::Wrong(message)) => variables.problems.add_at(".env", message),
        }
        for name in environment::SECRETS {
            variables.read_secret(name);
        }
        variables
    }

    /// The text of a variable and where it is set. `None`: unset or empty.
    pub fn find(&self, name: &str) -> Option<(&str, Source)> {
        let is_it = |(known, text): &&(String, String)| known == name && !text.is_empty();
        if let Some((name, text)) = self.environment.iter().rev().find(is_it) {
            return Some((text, Source::Environment(name.clone())));
        }
        let mut set = self.dotenv.iter().rev().filter(|set| !set.text.is_empty());
        let set = set.find(|set| set.name == name)?;
        Some((&set.text, Source::DotEnv(set.name.clone(), set.line)))
    }

    /// The names of all that are set, in order, each once.
    pub fn names(&self) -> Vec<&str> {
        let environment = self.environment.iter().map(|(name, text)| (name, text));
        let dotenv = self.dotenv.iter().map(|set| (&set.name, &set.text));
        let set = environment
            .chain(dotenv)
            .filter(|(_, text)| !text.is_empty());
        let mut names: Vec<&str> = set.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every variable that is set and known here, with what it means: first those that set something, then those that change
    /// nothing, and why.
    pub fn known(&self) -> Vec<(&str, String)> {
        environment::explained(self)
    }

    fn read_secret(&mut self, name: &str) {
        let pointer = format!("{name}_FILE");
        let Some((path, source)) = self.find(&pointer) else {
            return;
        };
        let place = source.place();
        if self.find(name).is_some() {
            let message = format!("{name} is set as well. Remove one of the two.");
            return self.problems.add_at(&place, message);
        }
        match file::text(Path::new(path)) {
            // Editors end a file with a line break, which no secret has.
            Ok(text) => {
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                self.environment.push((name.to_owned(), text));
            }
            Err(unreadable) => {
                let message = format!("{path}: {}", unreadable.message());
                self.problems.add_at(&place, message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is gathered in a folder with these files, the names of files in the environment being relative to it.
    fn gather(name: &str, files: &[(&str, &[u8])], environment: &[(&str, &str)]) -> Variables {
        let folder = std::env::temp_dir().join(format!("larder-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("a file");
        }
        let at = |text: &str| text.replace('@', &folder.display().to_string());
        let environment = environment
            .iter()
            .map(|(name, text)| ((*name).to_owned(), at(text)));
        let variables = Variables::gather(environment.collect(), &folder);
        fs::remove_dir_all(&folder).expect("removed");
        variables
    }

    #[test]
    fn the_real_environment_wins_over_the_file_unless_it_is_empty() {
        let dotenv: &[u8] = b"A=file\nB=file\nC=one\nC=two\n";
        let variables = gather("both", &[(".env", dotenv)], &[("A", "real"), ("B", "")]);
        for (name, expected) in [
            ("A", Some(("real", Source::Environment("A".to_owned())))),
            ("B", Some(("file", Source::DotEnv("B".to_owned(), 2)))),
            ("C", Some(("two", Source::DotEnv("C".to_owned(), 4)))),
            ("D", None),
        ] {
            assert_eq!(variables.find(name), expected);
        }
        assert_eq!(variables.names(), ["A", "B", "C"]);
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let environment = [("ADMIN_TOKEN_FILE", "@/token"), ("PORT_FILE", "@/token")];
        let variables = gather("secret", &[("token", b"open sesame\r\n")], &environment);
        let token = variables.find("ADMIN_TOKEN").map(|(text, _)| text);
        assert_eq!(token, Some("open sesame"));
        assert_eq!(variables.find("PORT"), None, "a port is no secret");
        assert_eq!(
            variables.problems,
            Problems::default(),
            "no .env is no mistake"
        );
    }

    #[test]
    fn files_that_cannot_be_read_are_problems() {
        let environment = [
            ("ADMIN_TOKEN_FILE", "/nowhere/token"),
            ("JWT_SECRET_FILE", "/dev/null"),
            ("JWT_SECRET", "x"),
        ];
        assert_eq!(
            gather("wrong", &[(".env", b"A=\xff")], &environment)
                .problems
                .to_string(),
            ".env: line 1 is not UTF-8 text. Save the file as UTF-8.\n\
             environment variable ADMIN_TOKEN_FILE: /nowhere/token: there is no such file. Check its name and folder.\n\
             environment variable JWT_SECRET_FILE: JWT_SECRET is set as well. Remove one of the two."
        );
    }
}

//! Environment variables: the process's own, those of a `.env` file below them, and secrets that stand in files of theirs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::environment;
use super::settings::Source;
use super::{Problems, dotenv};

/// A file of variables or a secret is refused beyond this many bytes.
const LARGEST_FILE: u64 = 64 * 1024;

/// What is known of the environment. Empty texts count as unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// The process's own, name and text. Names that mean nothing here are ignored.
    pub environment: Vec<(String, String)>,
    /// Those of a `.env` file, which the process's own win over.
    pub dotenv: Vec<(String, String)>,
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
        match read_text(&folder.join(".env")) {
            Ok(text) => variables.dotenv = dotenv::variables(&text, &mut variables.problems),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => variables
                .problems
                .add(".env", error.to_string(), "a readable text file"),
        }
        for name in environment::SECRETS {
            variables.read_secret(name);
        }
        variables
    }

    /// The text of a variable and where it stands. `None`: unset or empty.
    pub fn find(&self, name: &str) -> Option<(&str, Source)> {
        let find = |list: &'_ [_]| {
            list.iter()
                .rposition(|(known, text): &(String, String)| known == name && !text.is_empty())
        };
        if let Some(at) = find(&self.environment) {
            return Some((
                &self.environment[at].1,
                Source::Environment(name.to_owned()),
            ));
        }
        let at = find(&self.dotenv)?;
        Some((&self.dotenv[at].1, Source::DotEnv(name.to_owned())))
    }

    /// The names of all that are set, in order, each once.
    pub fn names(&self) -> Vec<&str> {
        let set = self
            .environment
            .iter()
            .chain(&self.dotenv)
            .filter(|(_, text)| !text.is_empty());
        let mut names: Vec<&str> = set.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every variable that is set and known here, with what it means, as a sentence without its subject.
    pub fn known(&self) -> Vec<(&str, String)> {
        environment::known(self)
            .into_iter()
            .map(|(name, meaning)| (name, meaning.to_string()))
            .collect()
    }

    fn read_secret(&mut self, name: &str) {
        let pointer = format!("{name}_FILE");
        let Some((path, _)) = self.find(&pointer) else {
            return;
        };
        if self.find(name).is_some() {
            return self
                .problems
                .add(&pointer, format!("{name} as well"), "one of the two");
        }
        match read_text(Path::new(path)) {
            // Editors end a file with a line break, which no secret has.
            Ok(text) => self.environment.push((
                name.to_owned(),
                text.trim_end_matches(['\r', '\n']).to_owned(),
            )),
            Err(error) => self.problems.add(
                &pointer,
                error.to_string(),
                "the path of a readable text file",
            ),
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let size = File::open(path)?
        .take(LARGEST_FILE + 1)
        .read_to_string(&mut text)?;
    if size as u64 > LARGEST_FILE {
        Err(io::Error::other("more than 64 KiB"))
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A folder of its own for one test, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir()
                .join(format!("larder-variables-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("a folder");
            Folder(folder)
        }

        fn write(&self, name: &str, text: &[u8]) -> String {
            fs::write(self.0.join(name), text).expect("a file");
            self.0
                .join(name)
                .to_str()
                .expect("a path of text")
                .to_owned()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn the_real_environment_wins_over_the_file_unless_it_is_empty() {
        let folder = Folder::new("both");
        folder.write(".env", b"A=file\nB=file\nC=one\nC=two\n");
        let variables = Variables::gather(pairs(&[("A", "real"), ("B", "")]), &folder.0);
        assert_eq!(
            variables.find("A"),
            Some(("real", Source::Environment("A".to_owned())))
        );
        assert_eq!(
            variables.find("B"),
            Some(("file", Source::DotEnv("B".to_owned())))
        );
        assert_eq!(
            variables.find("C").map(|(text, _)| text),
            Some("two"),
            "the later line"
        );
        assert_eq!(variables.find("D"), None);
        assert_eq!(variables.names(), ["A", "B", "C"]);
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let folder = Folder::new("secret");
        let path = folder.write("token", b"open sesame\r\n");
        let variables = Variables::gather(
            pairs(&[("ADMIN_TOKEN_FILE", &path), ("PORT_FILE", &path)]),
            &folder.0,
        );
        assert_eq!(
            variables.find("ADMIN_TOKEN").map(|(text, _)| text),
            Some("open sesame")
        );
        assert_eq!(variables.find("PORT"), None, "a port is no secret");
        assert_eq!(
            variables.problems,
            Problems::default(),
            "no .env is no mistake"
        );
    }

    #[test]
    fn files_that_cannot_be_read_are_problems() {
        let folder = Folder::new("wrong");
        folder.write(".env", b"A=\xff");
        let given = [
            ("ADMIN_TOKEN_FILE", "/nowhere/token"),
            ("JWT_SECRET_FILE", "/dev/null"),
            ("JWT_SECRET", "x"),
        ];
        let problems = Variables::gather(pairs(&given), &folder.0).problems;
        let paths: Vec<&str> = problems
            .0
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(paths, [".env", "ADMIN_TOKEN_FILE", "JWT_SECRET_FILE"]);
        assert_eq!(
            Variables::gather(Vec::new(), Path::new("/nowhere")).problems,
            Problems::default()
        );
        let large = folder.write("large", "x".repeat(1 << 17).as_bytes());
        let problems = Variables::gather(
            pairs(&[("ADMIN_TOKEN_FILE", &large)]),
            Path::new("/nowhere"),
        )
        .problems;
        assert_eq!(problems.0[0].found, "more than 64 KiB");
    }
}

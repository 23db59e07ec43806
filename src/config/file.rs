//! The texts of files: the configuration, `.env`, secrets. What cannot be read is an error with its remedy.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A file is refused beyond this many bytes.
const LARGEST: u64 = 1024 * 1024;

/// Why there is no text.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// There is no such file.
    Missing,
    /// What is wrong, and what to do.
    Wrong(String),
}

impl Unreadable {
    /// What is wrong, and what to do.
    pub fn message(self) -> String {
        match self {
            Unreadable::Missing => "there is no such file. Check its name and folder.".to_owned(),
            Unreadable::Wrong(message) => message,
        }
    }
}

/// The text of a file.
pub fn text(path: &Path) -> Result<String, Unreadable> {
    let bytes = bytes(path)?;
    // A byte order mark of UTF-16, or the zero byte beside an ASCII letter.
    if matches!(
        bytes[..],
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, _, ..] | [_, 0, ..]
    ) {
        return wrong("this file is UTF-16. Save it as UTF-8.");
    }
    String::from_utf8(bytes).or_else(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(format!(
            "line {line} is not UTF-8 text. Save the file as UTF-8."
        ))
    })
}

/// The bytes of a file.
pub fn bytes(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match read.map_err(|error| (error.kind(), error)) {
        Ok(size) if size as u64 > LARGEST => {
            wrong("this file has more than 1 MiB. Name a smaller one.")
        }
        Ok(_) => Ok(bytes),
        Err((io::ErrorKind::NotFound, _)) => Err(Unreadable::Missing),
        Err((io::ErrorKind::IsADirectory, _)) => wrong("this is a directory. Name the file in it."),
        Err((io::ErrorKind::PermissionDenied, _)) => {
            wrong("Larder may not read this file. Allow the user who runs Larder to read it.")
        }
        Err((_, error)) => wrong(format!(
            "this file cannot be read: {error}. Name a text file."
        )),
    }
}

fn wrong<T>(message: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable::Wrong(message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f8_what_is_no_text_is_told_with_its_remedy() {
        let name = format!("larder-file-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        for (bytes, wrong) in [
            (&b"\xff\xfe{\0}\0"[..], "this file is UTF-16"),
            (b"{\0}\0", "this file is UTF-16"),
            (b"{\n\"a\": \"\xe9\"}", "line 2 is not UTF-8 text"),
        ] {
            std::fs::write(&path, bytes).expect("a file");
            let message = text(&path).expect_err(wrong).message();
            assert!(
                message.starts_with(wrong) && message.ends_with("as UTF-8."),
                "{message}"
            );
        }
        std::fs::write(&path, "x".repeat(1 << 21)).expect("a file");
        let message = text(&path).expect_err("too large").message();
        assert!(
            message.starts_with("this file has more than 1 MiB"),
            "{message}"
        );
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(text(&path), Err(Unreadable::Missing));
    }
}

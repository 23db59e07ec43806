//! `backend.tls`: how an `https://` origin is known to be the right one.

use std::fs::File;
use std::io::Read;

use serde_json::Value;

use super::OriginUrl;
use super::section::Section;
use crate::origin::http::tls::{self, Pin, Trust};

/// `backend.tls`: how an `https://` origin is known to be the right one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `caFile`: where certificates stand that count beside the public roots; they are read with the configuration. `None`:
    /// nowhere.
    pub ca_file: Option<String>,
    /// What all keys mean together.
    pub trust: Trust,
}

const PIN: &str = "the SHA-256 of the origin's certificate, 64 hexadecimal digits with or without colons, as openssl x509 \
                   -fingerprint -sha256 -noout prints it";
/// A file of certificates is read up to this many bytes.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Reads the section, for this origin. `None`: its URL is a problem of its own.
pub(super) fn read(
    section: &mut Section<'_>,
    origin: Option<&OriginUrl>,
    tls: &mut Tls,
    warnings: &mut Vec<String>,
) {
    let Tls { ca_file, trust } = tls;
    let expected = "the path of a file of certificates in PEM";
    section.set("caFile", ca_file, expected, |value| {
        value.as_str().map(|path| Some(path.to_owned()))
    });
    if let Some(path) = ca_file {
        match certificates(path) {
            Ok(found) => trust.authorities = found,
            Err((found, expected)) => section.problem("caFile", &found, &expected),
        }
    }
    match section.find("pinSha256") {
        Some(Value::Array(_)) => section.list("pinSha256", &mut trust.pins, PIN, Pin::parse),
        _ => section.set("pinSha256", &mut trust.pins, PIN, |value| {
            Some(vec![Pin::parse(value.as_str()?)?])
        }),
    }
    section.flag("insecure", &mut trust.is_insecure);
    let given = [
        ("caFile", ca_file.is_some()),
        ("pinSha256", !trust.pins.is_empty()),
        ("insecure", trust.is_insecure),
    ];
    let given: Vec<&str> = given
        .into_iter()
        .filter_map(|(key, is_given)| is_given.then_some(key))
        .collect();
    match (origin, &given[..]) {
        (Some(origin), [key, ..]) if !origin.is_https() => {
            let found = format!("a value, and {origin} as backend.url");
            section.problem(key, &found, "an https:// URL there, or no value here");
        }
        (_, [first, .., last]) => {
            let found = format!("a value, and {first} has one, too");
            section.problem(last, &found, "one of the two: beside the stronger the other means nothing");
        }
        (Some(origin), ["insecure"]) => warnings.push(format!(
            "{} is true: whoever answers for {origin} is believed, and can read and change everything; pinSha256 in its place \
             ends this",
            section.path_of("insecure")
        )),
        _ => {}
    }
}

/// The certificates of a file; or what was found, and what was expected.
fn certificates(path: &str) -> Result<Vec<Vec<u8>>, (String, String)> {
    let mut file = Vec::new();
    let read = File::open(path).and_then(|from| from.take(LARGEST_FILE).read_to_end(&mut file));
    let name = Value::from(path);
    read.map_err(|error| {
        (
            format!("{name}: {error}"),
            "the path of a readable file".to_owned(),
        )
    })?;
    tls::authorities(&file).map_err(|expected| (name.to_string(), expected))
}

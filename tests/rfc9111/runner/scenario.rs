//! The format of the scenario files. What it does not know is an error, so that a misspelt word shows nothing by accident.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::times::{Moment, resolve};

/// One scenario: what is said between clients, cache and origin, and what must come of it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Distinct in all files; lower-case letters, digits and `-`, because it becomes part of the target.
    pub name: String,
    /// The section it follows, such as `9111 §5.2.2.1`.
    pub rfc: String,
    /// How binding that section is.
    pub kind: Kind,
    /// What is shown, in one sentence of ours.
    pub says: String,
    /// What of the sheet it shows: ids of `bullets.json`.
    #[serde(deserialize_with = "one_or_many")]
    pub bullet: Vec<String>,
    /// Laid over the configuration that is the RFC and nothing else.
    #[serde(default = "nothing")]
    pub config: Value,
    /// False: not played before the real program, though it needs no waiting.
    #[serde(default = "yes")]
    sockets: bool,
    /// In order.
    pub steps: Vec<Step>,
}

/// How binding a behaviour is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The RFC demands it.
    Must,
    /// The RFC recommends it.
    Should,
    /// The RFC leaves it open, and this is what we do.
    Choice,
}

/// One request of a client.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Seconds since the scenario began. `None`: as the step before.
    pub t: Option<u64>,
    /// The request's method.
    #[serde(default = "get")]
    pub method: String,
    /// What follows the scenario's own prefix in the target: empty, or from `/` or `?` on.
    #[serde(default)]
    pub path: String,
    /// The request's fields. Host and Content-Length come by themselves.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
    /// The request's body.
    #[serde(default)]
    pub body: String,
    /// The HTTP version the client speaks.
    #[serde(default = "newest")]
    pub version: String,
    /// From here on the origin's port refuses connections. Such a scenario is not played before the real program.
    #[serde(default)]
    pub gone: bool,
    /// The origin's answers in order, exactly as many as it must be asked for. Empty: it must not be asked.
    #[serde(default, deserialize_with = "one_or_many")]
    pub origin: Vec<Answer>,
    /// After the reply, waits until the origin has been asked this often for the target since the scenario began, and
    /// until nothing is under way.
    pub settle: Option<usize>,
    /// What the origin's requests of this step had: one is about the last, several are about each in order.
    #[serde(default, deserialize_with = "one_or_many")]
    pub origin_saw: Vec<Saw>,
    /// What the client must read.
    #[serde(default)]
    pub expect: Expect,
}

/// One answer of the origin.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The status code.
    #[serde(default = "ok")]
    pub status: u16,
    /// The fields. Date and what frames the body come by themselves unless they stand here.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
    /// The body; none is sent to HEAD.
    #[serde(default)]
    pub body: String,
    /// Responses before the final one.
    #[serde(default)]
    pub interim: Vec<Interim>,
    /// The connection ends after half of the body.
    #[serde(default)]
    pub cut: bool,
    /// The connection ends without a byte, as often as the origin is asked in this step.
    #[serde(default)]
    pub refuse: bool,
    /// Nothing is ever said.
    #[serde(default)]
    pub silent: bool,
    /// The length that is announced, where it is not the body's.
    pub length: Option<u64>,
    /// The body ends with the connection.
    #[serde(default)]
    pub close: bool,
    /// The body comes chunked.
    #[serde(default)]
    pub chunked: bool,
    /// No Date is added.
    #[serde(default)]
    pub no_date: bool,
}

/// A response with a status of 1xx.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interim {
    /// The status code.
    pub status: u16,
    /// The fields; in an expectation those that must be there.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
}

/// What a request had when it came to the origin.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saw {
    /// The method.
    pub method: Option<String>,
    /// What followed the scenario's prefix in the target.
    pub path: Option<String>,
    /// Every line of these fields.
    #[serde(default)]
    pub fields: BTreeMap<String, Lines>,
    /// Fields that were not there.
    #[serde(default)]
    pub absent: Vec<String>,
    /// The body.
    pub body: Option<String>,
}

/// What a client must read. What is left out is not looked at.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// The status code.
    pub status: Option<u16>,
    /// The body.
    pub body: Option<String>,
    /// Whose answer it is.
    pub from: Option<Provenance>,
    /// `X-Cache-Status`.
    pub x: Option<String>,
    /// Texts that stand in `Cache-Status`.
    pub cache_status: Vec<String>,
    /// Every line of these fields.
    pub fields: BTreeMap<String, Lines>,
    /// Fields that must not be there.
    pub absent: Vec<String>,
    /// The seconds in `Age`: one number, or the least and the most.
    #[serde(deserialize_with = "one_or_many")]
    pub age: Vec<u64>,
    /// All responses of 1xx that come before.
    pub interim: Option<Vec<Interim>>,
    /// The connection ends before the reply is whole.
    pub cut: bool,
}

/// Whose answer a reply is, by its Cache-Status.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// The origin's, just fetched.
    Origin,
    /// A stored one, fresh, the origin not waited for.
    Store,
    /// A stored one the origin has just confirmed.
    Validated,
    /// A stored one past its lifetime, not confirmed.
    Stale,
    /// Our own error.
    Larder,
}

/// The lines of one field: a text is exactly one line.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Lines(#[serde(deserialize_with = "one_or_many")] pub Vec<String>);

impl Scenario {
    /// Whether it is played before the real program, whose clock cannot be moved.
    pub fn is_for_sockets(&self) -> bool {
        self.sockets
            && self
                .steps
                .iter()
                .all(|step| step.t.unwrap_or(0) == 0 && !step.gone)
    }

    /// What is wrong with it, beyond what its types say.
    fn mistake(&self) -> Option<String> {
        let lawful = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(lawful) {
            return Some("a name has lower-case letters, digits and `-`".to_owned());
        }
        if self.steps.is_empty() || self.says.is_empty() || self.bullet.is_empty() {
            return Some("steps, says and bullet are never empty".to_owned());
        }
        let times: Vec<u64> = self.steps.iter().filter_map(|step| step.t).collect();
        if !times.is_sorted() {
            return Some("time does not run backwards".to_owned());
        }
        self.steps.iter().find_map(Step::mistake)
    }
}

impl Step {
    fn mistake(&self) -> Option<String> {
        if !(self.path.is_empty() || self.path.starts_with(['/', '?'])) {
            return Some(format!(
                "the path {} begins with neither `/` nor `?`",
                self.path
            ));
        }
        if self
            .origin
            .iter()
            .any(|answer| answer.cut && answer.body.is_empty())
        {
            return Some("only a body can be cut".to_owned());
        }
        if self.gone && !self.origin.is_empty() {
            return Some("who is gone answers nothing".to_owned());
        }
        if self.origin_saw.len() > 1 && self.origin_saw.len() != self.origin.len() {
            return Some("`origin_saw` is about the last request, or about each".to_owned());
        }
        self.texts()
            .find_map(|text| resolve(text, &Moment::default()).err())
    }

    /// Every text that may hold a placeholder.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let pairs = self
            .fields
            .iter()
            .chain(self.origin.iter().flat_map(|answer| &answer.fields));
        let interim = self.origin.iter().flat_map(|answer| &answer.interim);
        let interim = interim
            .chain(self.expect.interim.iter().flatten())
            .flat_map(|interim| &interim.fields);
        let lines = self
            .expect
            .fields
            .values()
            .chain(self.origin_saw.iter().flat_map(|saw| saw.fields.values()));
        let lines = lines.flat_map(|lines| &lines.0).map(String::as_str);
        pairs
            .chain(interim)
            .map(|(_, value)| value.as_str())
            .chain(lines)
    }
}

/// Where the scenario files are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rfc9111")
}

/// The scenarios of one file.
pub fn load(file: &str) -> Vec<Scenario> {
    let path = folder().join(format!("{file}.json"));
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let list: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}.json: {error}"));
    list.into_iter()
        .map(|value| scenario(file, value))
        .collect()
}

/// One scenario, `file` named in what is wrong with it.
pub fn scenario(file: &str, value: Value) -> Scenario {
    let name = value["name"]
        .as_str()
        .unwrap_or("without a name")
        .to_owned();
    let scenario: Scenario = serde_json::from_value(value)
        .unwrap_or_else(|error| panic!("{file}.json, {name}: {error}"));
    assert_eq!(scenario.mistake(), None, "{file}.json, {name}");
    scenario
}

/// Reads a list, or a single member in its place; `null` is the empty list.
pub fn one_or_many<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let list = match Value::deserialize(from)? {
        Value::Null => Vec::new(),
        Value::Array(list) => list,
        one => vec![one],
    };
    list.into_iter()
        .map(|value| serde_json::from_value(value).map_err(D::Error::custom))
        .collect()
}

fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

fn yes() -> bool {
    true
}

fn ok() -> u16 {
    200
}

fn get() -> String {
    "GET".to_owned()
}

fn newest() -> String {
    "1.1".to_owned()
}

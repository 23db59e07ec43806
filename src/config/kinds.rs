//! The kinds of value a key may have: how each is read, printed, named in the reference and described in the schema.

use std::fmt::Display;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use super::OriginUrl;
use super::problems::shown;
use crate::policy::directives::LONGEST;
use crate::policy::rule::{Force, IgnoreFields};
use crate::policy::storing::may_have_own_ttl;

/// A kind of value, which becomes a `T` in the [`Config`](super::Config).
pub struct Kind<T> {
    /// Its name in the reference, such as `milliseconds`.
    pub name: String,
    /// What JSON Schema says of it: a `type` or an `enum`, and what narrows it.
    pub schema: Value,
    /// What a value of the file means.
    pub parse: Parse<T>,
    /// The value as the file would have it.
    pub print: Box<dyn Fn(&T) -> Value>,
}

/// Reads a value.
pub type Parse<T> = Box<dyn Fn(&Value) -> Parsed<T>>;

/// A value, or everything that is wrong with it.
pub type Parsed<T> = Result<T, Vec<Refusal>>;

/// What is wrong with a value, or with a member of it.
#[derive(Debug)]
pub struct Refusal {
    /// The member, such as `[1]`, behind the key. Empty: the value itself.
    pub member: String,
    /// What is wrong and what to do, such as `is "soon". Write a number of seconds.`
    pub message: String,
}

fn refuse<T>(value: &Value, write: &str) -> Parsed<T> {
    Err(vec![Refusal {
        member: String::new(),
        message: format!("is {}. Write {write}.", shown(value)),
    }])
}

impl<T> Kind<T> {
    fn new(
        name: impl Into<String>,
        schema: Value,
        parse: impl Fn(&Value) -> Parsed<T> + 'static,
        print: impl Fn(&T) -> Value + 'static,
    ) -> Kind<T> {
        Kind {
            name: name.into(),
            schema,
            parse: Box::new(parse),
            print: Box::new(print),
        }
    }
}

/// A kind whose wrong values all have the same remedy.
fn kind<T>(
    name: impl Into<String>,
    schema: Value,
    write: impl Into<String>,
    parse: impl Fn(&Value) -> Option<T> + 'static,
    print: impl Fn(&T) -> Value + 'static,
) -> Kind<T> {
    let write = write.into();
    let parse = move |value: &Value| parse(value).map_or_else(|| refuse(value, &write), Ok);
    Kind::new(name, schema, parse, print)
}

/// A time from zero; a number counts seconds.
pub fn seconds() -> Kind<Duration> {
    time("seconds", "5s", 1.0, true)
}

/// A time above zero; a number counts seconds.
pub fn pause() -> Kind<Duration> {
    time("seconds", "5s", 1.0, false)
}

/// A time from zero; a number counts milliseconds.
pub fn milliseconds() -> Kind<Duration> {
    time("milliseconds", "250ms", 0.001, true)
}

/// A time above zero; a number counts milliseconds.
pub fn timeout() -> Kind<Duration> {
    time("milliseconds", "250ms", 0.001, false)
}

fn time(name: &str, example: &str, scale: f64, may_be_zero: bool) -> Kind<Duration> {
    let above = if may_be_zero { "" } else { " above zero" };
    let write = format!("a number of {name}{above}, or a text such as \"{example}\"");
    let parse =
        move |value: &Value| duration(value, scale).filter(|time| may_be_zero || !time.is_zero());
    let print = move |time: &Duration| {
        let units = time.as_secs_f64() / scale;
        let is_whole = (units - units.round()).abs() < 1e-7;
        if is_whole {
            json!(units.round() as u64)
        } else {
            json!(units)
        }
    };
    kind(
        name,
        json!({ "type": ["number", "string"] }),
        write,
        parse,
        print,
    )
}

/// A time up to 2^31 s; a number without a unit counts `scale` seconds.
fn duration(value: &Value, scale: f64) -> Option<Duration> {
    let (number, unit) = amount(value)?;
    let seconds = match unit {
        "" => scale,
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    // Whole microseconds: 1.001 s is 1001 ms exactly, whatever its binary fraction.
    let microseconds = (number * seconds * 1e6).round();
    let is_lawful = (0.0..=LONGEST.as_secs_f64() * 1e6).contains(&microseconds);
    is_lawful.then(|| Duration::from_micros(microseconds as u64))
}

/// A number and the unit behind it, empty where there is none.
fn amount(value: &Value) -> Option<(f64, &str)> {
    match value {
        Value::Number(number) => number.as_f64().map(|number| (number, "")),
        Value::String(text) => {
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            let number = text[..text.len() - unit.len()].parse().ok()?;
            Some((number, unit.trim_start()))
        }
        _ => None,
    }
}

const BINARY: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// A size in bytes, at least `least`, up to 1 TiB. Printed in the largest unit in which it is whole.
pub fn size(least: usize) -> Kind<usize> {
    let from = if least > 0 {
        format!(" from {least}")
    } else {
        String::new()
    };
    let write = format!("a number of bytes{from}, or a text such as \"8MiB\"");
    let parse = move |value: &Value| bytes(value).filter(|size| *size >= least);
    let print = |size: &usize| {
        let is_whole = |(_, bits): &&(&str, u32)| *size > 0 && size.trailing_zeros() >= *bits;
        match BINARY.iter().find(is_whole) {
            Some((unit, bits)) => json!(format!("{}{unit}", size >> bits)),
            None => json!(size),
        }
    };
    kind(
        "bytes",
        json!({ "type": ["integer", "string"] }),
        write,
        parse,
        print,
    )
}

fn bytes(value: &Value) -> Option<usize> {
    let (number, unit) = amount(value)?;
    let binary = BINARY.iter().find(|(name, _)| *name == unit);
    let scale = match unit {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => (1u64 << binary?.1) as f64,
    };
    let size = number * scale;
    let is_whole = size.fract() == 0.0 && (0.0..=(1u64 << 40) as f64).contains(&size);
    is_whole
        .then(|| usize::try_from(size as u64).ok())
        .flatten()
}

/// A whole number from `least` to `most`.
pub fn number<T>(least: T, most: T) -> Kind<T>
where
    T: Copy + Display + PartialOrd + TryFrom<u64> + Into<Value> + 'static,
{
    let mut schema = json!({ "type": ["integer"], "minimum": least.into() });
    let mut range = format!("number from {least}");
    // Above that, nobody wants to know.
    if most.into().as_u64() < Some(u32::MAX.into()) {
        range.push_str(&format!(" to {most}"));
        schema["maximum"] = most.into();
    }
    let write = format!("a whole {range}");
    let parse = move |value: &Value| {
        if value
            .as_str()
            .is_some_and(|text| text.parse::<u64>().is_ok())
        {
            return refuse(value, "it without quotes");
        }
        let number = value.as_u64().and_then(|number| T::try_from(number).ok());
        let number = number.filter(|number| least <= *number && *number <= most);
        number.map_or_else(|| refuse(value, &write), Ok)
    };
    Kind::new(range, schema, parse, |number: &T| (*number).into())
}

/// True or false, and what each means.
pub fn flag<T: Copy + PartialEq + 'static>(off: T, on: T) -> Kind<T> {
    let parse = move |value: &Value| value.as_bool().map(|is_on| if is_on { on } else { off });
    let print = move |meaning: &T| json!(*meaning == on);
    kind(
        "true or false",
        json!({ "type": ["boolean"] }),
        "true or false",
        parse,
        print,
    )
}

/// One word of several, in any letter case, and what each means. Of two with one meaning the first is printed.
pub fn words<T: Copy + PartialEq>(words: &'static [(&'static str, T)]) -> Kind<T> {
    let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let name = format!("`{}`", all.join("`, `"));
    let write = format!("\"{}\"", all.join("\" or \""));
    let parse = move |value: &Value| {
        let text = value.as_str()?;
        let found = words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, meaning)| *meaning)
    };
    let print = move |meaning: &T| {
        let word = words.iter().find(|(_, known)| known == meaning);
        word.map_or(Value::Null, |(word, _)| json!(word))
    };
    kind(name, json!({ "enum": all }), write, parse, print)
}

/// A text with a meaning. `write` says what to write, with an example.
pub fn text<T: 'static>(
    name: &str,
    write: &str,
    parse: fn(&str) -> Option<T>,
    print: fn(&T) -> String,
) -> Kind<T> {
    let parse = move |value: &Value| parse(value.as_str()?);
    kind(
        name,
        json!({ "type": ["string"] }),
        write,
        parse,
        move |value| json!(print(value)),
    )
}

/// A text that is kept as it is, if it is valid.
pub fn string(name: &str, write: &str, is_lawful: fn(&str) -> bool) -> Kind<String> {
    let parse = move |value: &Value| {
        let text = value.as_str().filter(|text| is_lawful(text))?;
        Some(text.to_owned())
    };
    kind(name, json!({ "type": ["string"] }), write, parse, |text| {
        json!(text)
    })
}

/// The URL of the origin, whose mistakes have remedies of their own.
pub fn origin() -> Kind<OriginUrl> {
    let parse = |value: &Value| {
        let url = value.as_str().unwrap_or_default();
        OriginUrl::parse(url).or_else(|write| refuse(value, &write))
    };
    let print = |origin: &OriginUrl| json!(origin.to_string());
    Kind::new("URL", json!({ "type": ["string"] }), parse, print)
}

/// A value that may be absent: `null` in print.
pub fn optional<T: 'static>(of: Kind<T>) -> Kind<Option<T>> {
    let parse = move |value: &Value| (of.parse)(value).map(Some);
    let print = move |value: &Option<T>| value.as_ref().map_or(Value::Null, &of.print);
    Kind::new(of.name, of.schema, parse, print)
}

/// A value that zero takes away.
pub fn none_at_zero<T: Default + PartialEq + 'static>(of: Kind<T>) -> Kind<Option<T>> {
    let some = |value: T| (value != T::default()).then_some(value);
    let parse = move |value: &Value| (of.parse)(value).map(some);
    let print = move |value: &Option<T>| (of.print)(value.as_ref().unwrap_or(&T::default()));
    Kind::new(of.name, of.schema, parse, print)
}

/// A list of any length.
pub fn list<T: 'static>(of: Kind<T>) -> Kind<Vec<T>> {
    list_of(of, 0, usize::MAX)
}

/// A list with so few and so many members.
pub fn list_of<T: 'static>(of: Kind<T>, least: usize, most: usize) -> Kind<Vec<T>> {
    let parse = move |value: &Value| {
        let Value::Array(members) = value else {
            return refuse(value, "a list in [ and ]");
        };
        if !(least..=most).contains(&members.len()) {
            return refuse(value, &format!("a list with {least} to {most} members"));
        }
        let named = members.iter().enumerate();
        all(named.map(|(at, member)| (format!("[{at}]"), (of.parse)(member))))
    };
    let print = move |members: &Vec<T>| members.iter().map(&of.print).collect();
    let schema = json!({ "type": ["array"], "items": of.schema });
    Kind::new(format!("list: {}", of.name), schema, parse, print)
}

/// All members; or what is wrong with each, by its name.
fn all<T>(members: impl Iterator<Item = (String, Parsed<T>)>) -> Parsed<Vec<T>> {
    let mut parsed = Vec::new();
    let mut refusals = Vec::new();
    for (name, member) in members {
        match member {
            Ok(member) => parsed.push(member),
            Err(wrong) => refusals.extend(wrong.into_iter().map(|refusal| Refusal {
                member: format!("{name}{}", refusal.member),
                ..refusal
            })),
        }
    }
    if refusals.is_empty() {
        Ok(parsed)
    } else {
        Err(refusals)
    }
}

/// One value, or a list of them.
pub fn one_or_list<T: 'static>(one: fn() -> Kind<T>) -> Kind<Vec<T>> {
    let single = one();
    let several = list(one());
    let parse = move |value: &Value| match value {
        Value::Array(_) => (several.parse)(value),
        one => (single.parse)(one).map(|one| vec![one]),
    };
    let name = format!("{}, or a list", single.name);
    Kind::new(
        name,
        json!({ "type": ["array", "string"] }),
        parse,
        several.print,
    )
}

/// Lifetimes by status code.
pub fn status_times() -> Kind<Vec<(StatusCode, Duration)>> {
    let time = |name: &str, value: &Value| match StatusCode::from_bytes(name.as_bytes()) {
        Ok(code) if may_have_own_ttl(code) => (seconds().parse)(value).map(|time| (code, time)),
        _ => Err(vec![Refusal {
            member: String::new(),
            message: "is not a status code that may be stored. Write a code such as 404."
                .to_owned(),
        }]),
    };
    let parse = move |value: &Value| {
        let Value::Object(members) = value else {
            return refuse(value, "an object such as { \"404\": 10 }");
        };
        let members = members.iter().filter(|(name, _)| *name != "comment");
        all(members.map(|(name, value)| (format!(".{name}"), time(name, value))))
    };
    let print = |times: &Vec<(StatusCode, Duration)>| {
        let print = seconds().print;
        let members = times
            .iter()
            .map(|(code, time)| (code.as_str().to_owned(), print(time)));
        Value::Object(members.collect())
    };
    Kind::new(
        "seconds by status code",
        json!({ "type": ["object"] }),
        parse,
        print,
    )
}

/// A list of words that each set a part of [`Force`].
pub fn force() -> Kind<Force> {
    type Part = fn(&mut Force) -> &mut bool;
    const PARTS: [Part; 4] = [
        |force| &mut force.no_store,
        |force| &mut force.private,
        |force| &mut force.authorization,
        |force| &mut force.must_revalidate,
    ];
    let kind = list(words(&[
        ("no-store", 0),
        ("private", 1),
        ("authorization", 2),
        ("must-revalidate", 3),
    ]));
    let parse = move |value: &Value| {
        let mut force = Force::default();
        for part in (kind.parse)(value)? {
            *PARTS[part](&mut force) = true;
        }
        Ok(force)
    };
    let print = move |force: &Force| {
        let mut force = *force;
        (kind.print)(
            &(0..PARTS.len())
                .filter(|part| *PARTS[*part](&mut force))
                .collect(),
        )
    };
    Kind::new(kind.name, kind.schema, parse, print)
}

/// A list of request fields, or `*` for all of them.
pub fn ignored(name: Kind<HeaderName>) -> Kind<IgnoreFields> {
    let kind = list(name);
    let parse = move |value: &Value| {
        if *value == json!(["*"]) {
            Ok(IgnoreFields::All)
        } else {
            (kind.parse)(value).map(IgnoreFields::These)
        }
    };
    let print = move |fields: &IgnoreFields| match fields {
        IgnoreFields::All => json!(["*"]),
        IgnoreFields::These(names) => (kind.print)(names),
    };
    Kind::new(kind.name, kind.schema, parse, print)
}

/// The section of another program's file that is accepted and means nothing yet: a warning unless it is empty.
pub fn plugins() -> Kind<Vec<String>> {
    let warnings = |value: &Value| {
        let is_empty = value.as_object().is_some_and(|members| members.is_empty());
        let warning = "plugins is not supported yet: nothing is published to MQTT";
        Ok(if is_empty {
            Vec::new()
        } else {
            vec![warning.to_owned()]
        })
    };
    Kind::new("object", json!({ "type": ["object"] }), warnings, |_| {
        Value::Null
    })
}

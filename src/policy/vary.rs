//! Selecting among stored responses by Vary (RFC 9111 §4.1).

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::request_fields::{Class, classify_name};

/// The most fields a response may nominate. One that nominates more is selected by no request we could keep apart.
pub const MAX_NOMINATED: usize = 16;

/// The most members compared as a set: each is looked for among all others. Longer lists are compared as they stand.
const MAX_SET: usize = 32;

/// Ends each line of a value in the text of a [`Selecting`]; no field value holds it.
const END_OF_LINE: u8 = b'\n';
/// Ends each value in the text of a [`Selecting`]; no field value holds it.
const END_OF_VALUE: u8 = 0;

/// The request fields a response says it was selected by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nominated {
    /// None: every request for its target selects it.
    Nothing,
    /// No request selects it again: `*`, more than [`MAX_NOMINATED`] names, or a member that is no field name.
    Everything,
    /// These, sorted, each once.
    Fields(Vec<HeaderName>),
}

/// What the Vary lines of a response nominate. Names for which `counts` is false are passed over: the origin never sees
/// those fields, so they cannot have selected anything.
pub fn nominated(response: &HeaderMap, counts: impl Fn(&HeaderName) -> bool) -> Nominated {
    let mut names: Vec<HeaderName> = Vec::new();
    for member in response
        .get_all(VARY)
        .iter()
        .flat_map(|line| members(line.as_bytes()))
    {
        let name = match HeaderName::from_bytes(member) {
            _ if member.is_empty() => continue,
            Ok(name) if name != "*" => name,
            _ => return Nominated::Everything,
        };
        let place = names.binary_search_by(|held| held.as_str().cmp(name.as_str()));
        if let Err(place) = place
            && counts(&name)
        {
            names.insert(place, name);
        }
        if names.len() > MAX_NOMINATED {
            return Nominated::Everything;
        }
    }
    if names.is_empty() {
        Nominated::Nothing
    } else {
        Nominated::Fields(names)
    }
}

/// The request fields a response was selected by, with their values in the request the origin saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selecting {
    names: Box<[HeaderName]>,
    /// One value per name: its lines, each with its [`END_OF_LINE`], then [`END_OF_VALUE`]. No line: the field was absent.
    text: Box<[u8]>,
    coded: bool,
}

impl Selecting {
    /// What `names` had in the request the origin saw. `coded`: the response has Content-Encoding.
    pub fn of(names: Vec<HeaderName>, sent: &HeaderMap, coded: bool) -> Selecting {
        let mut text = Vec::new();
        for name in &names {
            for line in sent.get_all(name) {
                text.extend_from_slice(line.as_bytes());
                text.push(END_OF_LINE);
            }
            text.push(END_OF_VALUE);
        }
        Selecting {
            names: names.into(),
            text: text.into(),
            coded,
        }
    }

    /// Whether a request selects this response (§4.1). Lines and blanks around commas do not matter; in Accept-Language and
    /// Accept-Encoding neither do order and letter case. A response without a coding is also selected by every
    /// Accept-Encoding that leaves `identity` acceptable (RFC 9110 §12.5.3).
    pub fn matches(&self, asked: &HeaderMap) -> bool {
        self.values().all(|(name, held)| {
            let mut several = Vec::new();
            let asked = value(asked, name, &mut several);
            let uncoded = !self.coded && name == ACCEPT_ENCODING;
            same_value(name, held, asked) || (uncoded && !asked.is_some_and(excludes_identity))
        })
    }

    /// The names, in the order they were given.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.names.iter()
    }

    /// Writes what the origin saw into another request, line by line. A field it did not see is taken out.
    pub fn repeat(&self, request: &mut HeaderMap) {
        for (name, held) in self.values() {
            request.remove(name);
            let lines = held
                .into_iter()
                .flat_map(|value| value.split(|byte| *byte == END_OF_LINE));
            for line in lines.filter_map(|line| HeaderValue::from_bytes(line).ok()) {
                // Fails only when the request has more fields than a map holds, tens of thousands.
                let _ = request.try_append(name, line);
            }
        }
    }

    /// Appends a text of what `asked` has for these names, printable ASCII. Two requests have equal texts exactly if a coded
    /// response selected by the one is selected by the other.
    pub fn write_text(&self, asked: &HeaderMap, out: &mut String) {
        for name in &self.names {
            // No name holds a blank or `=`, no written value holds a blank.
            out.push(' ');
            out.push_str(name.as_str());
            let mut several = Vec::new();
            if let Some(value) = value(asked, name, &mut several) {
                out.push('=');
                write_value(name, value, out);
            }
        }
    }

    /// Bytes it holds on the heap.
    pub fn charge(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.as_str().len()).sum();
        size_of_val(&*self.names) + names + self.text.len()
    }

    /// Each name with its value, lines parted by [`END_OF_LINE`]. `None`: absent.
    fn values(&self) -> impl Iterator<Item = (&HeaderName, Option<&[u8]>)> {
        let values = self.text.split(|byte| *byte == END_OF_VALUE);
        self.names
            .iter()
            .zip(values.map(|lines| lines.strip_suffix(&[END_OF_LINE])))
    }
}

/// Whether a request selects a stored response (§4.1): by the fields it was selected by, and by having no keyed field
/// that the request which brought it did not have.
pub fn is_selected(selecting: Option<&Selecting>, asked: &HeaderMap) -> bool {
    let is_told_apart = |name: &HeaderName| {
        selecting.is_some_and(|selecting| selecting.names().any(|named| named == name))
    };
    selecting.is_none_or(|selecting| selecting.matches(asked))
        && asked
            .keys()
            .all(|name| classify_name(name) != Class::Keyed || is_told_apart(name))
}

/// The value of a field, its lines parted by [`END_OF_LINE`]; `several` is where they are put together if there is more
/// than one. `None`: absent.
fn value<'a>(
    fields: &'a HeaderMap,
    name: &HeaderName,
    several: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    let mut lines = fields.get_all(name).iter();
    let first = lines.next()?.as_bytes();
    for line in lines {
        if several.is_empty() {
            several.extend_from_slice(first);
        }
        several.push(END_OF_LINE);
        several.extend_from_slice(line.as_bytes());
    }
    Some(if several.is_empty() { first } else { several })
}

fn same_value(name: &HeaderName, held: Option<&[u8]>, asked: Option<&[u8]>) -> bool {
    let (Some(held), Some(asked)) = (held, asked) else {
        return held == asked;
    };
    if held == asked {
        return true;
    }
    if is_set(name, held) && is_set(name, asked) {
        let within = |some, all| weighted(some).all(|one| weighted(all).any(|other| one == other));
        return within(held, asked) && within(asked, held);
    }
    members(held).eq(members(asked))
}

fn write_value(name: &HeaderName, value: &[u8], out: &mut String) {
    if is_set(name, value) {
        let mut texts: Vec<String> = weighted(value).map(|member| member.text()).collect();
        texts.sort_unstable();
        texts.dedup();
        out.push_str(&texts.join(","));
    } else {
        for (at, member) in members(value).enumerate() {
            out.push_str(if at == 0 { "" } else { "," });
            write_escaped(member, out);
        }
    }
}

/// Printable ASCII as it is, all else and `%` as two digits after a `%`. No blank comes out.
pub(super) fn write_escaped(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        if byte.is_ascii_graphic() && *byte != b'%' {
            out.push(char::from(*byte));
        } else {
            let digits = [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
            out.extend(['%', digits[0], digits[1]]);
        }
    }
}

/// The members of a list without the blanks around them; a new line begins a new member, as a comma does (RFC 9110 §5.3).
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| matches!(*byte, b',' | END_OF_LINE))
        .map(<[u8]>::trim_ascii)
}

/// Whether the order of the members says nothing, and there are few enough to compare them so.
fn is_set(name: &HeaderName, value: &[u8]) -> bool {
    (name == ACCEPT_ENCODING || name == ACCEPT_LANGUAGE)
        && members(value).take(MAX_SET + 1).count() <= MAX_SET
}

fn excludes_identity(accepted: &[u8]) -> bool {
    let weight = |coding: &[u8]| {
        weighted(accepted)
            .filter(|member| member.name.eq_ignore_ascii_case(coding))
            .map(|member| member.weight)
            .min()
    };
    weight(b"identity").or_else(|| weight(b"*")) == Some(0)
}

/// The members of Accept-Encoding or Accept-Language, empty ones left out.
fn weighted(value: &[u8]) -> impl Iterator<Item = Weighted<'_>> {
    members(value)
        .filter(|member| !member.is_empty())
        .map(Weighted::of)
}

/// A coding or a language range, and how much it is wanted (RFC 9110 §12.4.2).
struct Weighted<'a> {
    name: &'a [u8],
    /// In thousandths.
    weight: u16,
}

impl<'a> Weighted<'a> {
    /// A member against the grammar, in its weight or for want of a name, is all name: it is equal to itself only.
    fn of(member: &'a [u8]) -> Weighted<'a> {
        let cut = member
            .iter()
            .position(|byte| *byte == b';')
            .filter(|at| *at > 0)
            .and_then(|at| {
                let weight = member[at + 1..].trim_ascii_start();
                Some(Weighted {
                    name: member[..at].trim_ascii_end(),
                    weight: thousandths(weight)?,
                })
            });
        cut.unwrap_or(Weighted {
            name: member,
            weight: 1000,
        })
    }

    /// As it would be written in the field, in one way only.
    fn text(&self) -> String {
        let mut text = String::new();
        write_escaped(&self.name.to_ascii_lowercase(), &mut text);
        if self.weight < 1000 {
            text.push_str(&format!(";q=0.{:03}", self.weight));
        }
        text
    }
}

impl PartialEq for Weighted<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.weight == other.weight && self.name.eq_ignore_ascii_case(other.name)
    }
}

/// `q=0.5` as 500 (RFC 9110 §12.4.2). `None`: against the grammar.
fn thousandths(weight: &[u8]) -> Option<u16> {
    let (name, number) = weight.split_at_checked(2)?;
    let (whole, rest) = number.split_first()?;
    let decimals = if rest.is_empty() {
        rest
    } else {
        rest.strip_prefix(b".")?
    };
    if !name.eq_ignore_ascii_case(b"q=") || !b"01".contains(whole) || decimals.len() > 3 {
        return None;
    }
    let digit = |place| decimals.get(place).copied().unwrap_or(b'0');
    let digits = [*whole, digit(0), digit(1), digit(2)];
    let sum = digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + u16::from(digit - b'0'))
    })?;
    (sum <= 1000).then_some(sum)
}

#[cfg(test)]
mod tests;

//! Asking the origin whether stored responses are still good, and what its answer makes of them (RFC 9111 §3.2, §4.3).

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::etag;

/// What a client asks about its own copy. The origin is asked about ours, and about the whole of it.
static OF_THE_CLIENT: [HeaderName; 6] = [
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
    RANGE,
];

/// They describe the stored body as it is. A 304 that says otherwise has no body to be right about.
static OF_THE_BODY: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE];

/// Whether the origin can be asked about a stored response: it has an entity tag or Last-Modified.
pub fn has_validator(stored: &HeaderMap) -> bool {
    etag::of(stored).is_some() || last_modified(stored).is_some()
}

/// Whether an entity tag names a stored response and no other one of its resource (RFC 9110 §8.8.1).
pub fn has_strong_tag(stored: &HeaderMap) -> bool {
    etag::of(stored).is_some_and(|tag| !etag::is_weak(tag))
}

/// Makes a request ask about `stored` instead of what the client has (RFC 9111 §4.3.1): the texts go out as the origin wrote
/// them. Last-Modified can tell one response only, so with several the entity tags alone are sent.
///
/// Where nothing can be asked about, the request asks for the response itself.
pub fn ask(request: &mut HeaderMap, stored: &[HeaderMap]) {
    for name in &OF_THE_CLIENT {
        request.remove(name);
    }
    let mut tags: Vec<&[u8]> = Vec::new();
    for tag in stored.iter().filter_map(etag::of) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if !tags.is_empty()
        && let Ok(list) = HeaderValue::from_bytes(&tags.join(&b", "[..]))
    {
        request.insert(IF_NONE_MATCH, list);
    }
    if let [only] = stored
        && let Some(date) = last_modified(only)
    {
        request.insert(IF_MODIFIED_SINCE, date.clone());
    }
}

/// Which of the responses the origin was [asked](ask) about a 304 confirms (RFC 9111 §4.3.4): its place in `stored`, where
/// the newest comes first. `None`: it confirms none for certain, and updates none.
///
/// Where one response was asked about, a tag that is weakly equal means it, or one that differs by the coding that servers
/// append to tags. Among several, a strong tag names its own response only, a weak one the newest that is weakly equal. Without a tag it has to be clear
/// which one is meant: several responses of a resource may well share a Last-Modified. A 304 without any
/// validator is out of line, yet common; where one response was asked about, it can mean no other.
pub fn confirmed(answer: &HeaderMap, stored: &[HeaderMap]) -> Option<usize> {
    if let Some(tag) = etag::of(answer) {
        if let [only] = stored {
            let own = etag::of(only)?;
            return etag::is_same_but_for_coding(own, tag).then_some(0);
        }
        let equal = if etag::is_weak(tag) {
            etag::weakly_equal
        } else {
            etag::strongly_equal
        };
        return stored
            .iter()
            .position(|one| etag::of(one).is_some_and(|own| equal(own, tag)));
    }
    let date = last_modified(answer);
    let was_asked = |one: &HeaderMap| {
        etag::of(one).is_some() || (stored.len() == 1 && last_modified(one).is_some())
    };
    let is_meant =
        |one: &HeaderMap| was_asked(one) && (date.is_none() || last_modified(one) == date);
    let mut meant = stored
        .iter()
        .enumerate()
        .filter(|(_, one)| is_meant(one))
        .map(|(place, _)| place);
    let first = meant.next()?;
    meant.next().is_none().then_some(first)
}

/// The fields of a stored response after an update (RFC 9111 §3.2, §4.3.4): a field of `update` takes the place of all
/// stored lines of its name, but for those that describe the stored body. The stored Age has had its day.
pub fn freshen(stored: &HeaderMap, update: &HeaderMap) -> HeaderMap {
    let updated = |name: &HeaderName| update.contains_key(name) && !OF_THE_BODY.contains(name);
    let mut fresh = HeaderMap::with_capacity(stored.len() + update.len());
    for name in stored.keys().filter(|name| **name != AGE || updated(name)) {
        copy(
            name,
            if updated(name) { update } else { stored },
            &mut fresh,
        );
    }
    for name in update
        .keys()
        .filter(|name| updated(name) && !stored.contains_key(*name))
    {
        copy(name, update, &mut fresh);
    }
    fresh
}

/// Whether a 200 to HEAD speaks of the stored response, which it then [updates](freshen); otherwise that one is out of date
/// (RFC 9111 §4.3.5). Validators and a length have to be equal as far as the answer has them. `body`: bytes stored.
pub fn head_confirms(stored: &HeaderMap, body: u64, answer: &HeaderMap) -> bool {
    let is_same = |name: HeaderName| {
        answer
            .get(&name)
            .is_none_or(|theirs| stored.get(&name) == Some(theirs))
    };
    let mut lengths = answer.get_all(CONTENT_LENGTH).iter();
    is_same(ETAG) && is_same(LAST_MODIFIED) && lengths.all(|line| length(line) == Some(body))
}

fn last_modified(fields: &HeaderMap) -> Option<&HeaderValue> {
    fields
        .get(LAST_MODIFIED)
        .filter(|text| !text.as_bytes().trim_ascii().is_empty())
}

fn copy(name: &HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    for line in from.get_all(name) {
        to.append(name, line.clone());
    }
}

/// `None`: not only digits, or more than anybody can send.
fn length(line: &HeaderValue) -> Option<u64> {
    let text = line.to_str().ok()?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests;

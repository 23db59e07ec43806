//! Which other responses a successful unsafe request puts out of date (RFC 9111 §4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderValue};

/// Lines of one field that are looked at. One is lawful; whoever sends more may not make us drop the whole store.
const MAX_LINES: usize = 2;

/// The targets besides `target` that Location and Content-Location name, distinct and in origin form.
///
/// `target` is that of the request; `authorities` are the `host:port` texts this origin is known under. What
/// names another origin, or nothing that could be asked for, is left out.
pub fn also_invalid(target: &str, response: &HeaderMap, authorities: &[&str]) -> Vec<String> {
    let lines = [LOCATION, CONTENT_LOCATION]
        .into_iter()
        .flat_map(|name| response.get_all(name).iter().take(MAX_LINES));
    let mut named: Vec<String> = Vec::new();
    for other in lines.filter_map(|line| resolve(target, line, authorities)) {
        if other != target && !named.contains(&other) {
            named.push(other);
        }
    }
    named
}

/// Whether the response says that its content is what a GET of `target` would give (RFC 9110 §8.7, §9.3.3): its one
/// Content-Location is the target itself.
pub fn names_itself(target: &str, response: &HeaderMap, authorities: &[&str]) -> bool {
    let mut lines = response.get_all(CONTENT_LOCATION).iter();
    let named = lines
        .next()
        .and_then(|line| resolve(target, line, authorities));
    lines.next().is_none() && named.is_some_and(|named| named == target)
}

/// The target a URI reference means when it is read at `target` (RFC 3986 §5.2), without its fragment. `None`: another
/// origin's, another scheme's, or nothing that could be asked for.
fn resolve(target: &str, reference: &HeaderValue, authorities: &[&str]) -> Option<String> {
    let text = reference.to_str().ok()?.trim_ascii();
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let first_segment = &text[..text.find(['/', '?']).unwrap_or(text.len())];
    let (path, query) = if let Some(rest) = text.strip_prefix("//") {
        // It takes the scheme of the request, which a proxy before us may have changed.
        let (path, query) = split_query(below(rest, &[":80", ":443"], authorities)?);
        (without_dots(path), query)
    } else if let Some((scheme, _)) = first_segment.split_once(':') {
        let rest = text[scheme.len() + 1..].strip_prefix("//")?;
        let (path, query) = split_query(below(rest, &[default_port(scheme)?], authorities)?);
        (without_dots(path), query)
    } else {
        let (path, query) = split_query(text);
        (relative(target, path), query)
    };
    Some(match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    })
}

fn default_port(scheme: &str) -> Option<&'static str> {
    let known = [("http", ":80"), ("https", ":443")];
    known
        .into_iter()
        .find(|(name, _)| scheme.eq_ignore_ascii_case(name))
        .map(|(_, port)| port)
}

/// What follows the authority that `text` begins with, if it is one of ours but for letter case and a default port.
fn below<'a>(text: &'a str, default_ports: &[&str], authorities: &[&str]) -> Option<&'a str> {
    fn without<'a>(port: &str, authority: &'a str) -> &'a str {
        authority.strip_suffix(port).unwrap_or(authority)
    }
    let (named, rest) = text.split_at(text.find(['/', '?']).unwrap_or(text.len()));
    let is_ours = |port: &&str| {
        let named = without(port, named);
        authorities
            .iter()
            .any(|ours| without(port, ours).eq_ignore_ascii_case(named))
    };
    default_ports.iter().any(is_ours).then_some(rest)
}

/// A path without scheme and authority, read at `target`. An empty one means the target's own.
fn relative(target: &str, path: &str) -> String {
    let (base, _) = split_query(target);
    if path.is_empty() {
        base.to_owned()
    } else if path.starts_with('/') {
        without_dots(path)
    } else {
        let folder = base.rfind('/').map_or("/", |at| &base[..=at]);
        without_dots(&format!("{folder}{path}"))
    }
}

/// Takes the segments `.` and `..` out of an absolute path (RFC 3986 §5.2.4). An empty path is the root.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_folder = false;
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        is_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    if is_folder {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?')
        .map_or((text, None), |(path, query)| (path, Some(query)))
}

#[cfg(test)]
mod tests;

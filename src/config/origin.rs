//! The origin's URL: its scheme picks what is asked.

use std::borrow::Cow;
use std::fmt;

use http::uri::Authority;

use crate::origin::http::tls;
use crate::powerwall::sim::SimSettings;

/// What is asked for answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginUrl {
    /// `http://host:port`: a server, by host and port as Host names them (RFC 9110 §7.2). Plain HTTP.
    Http(Authority),
    /// `https://host:port`: the same over TLS.
    Https(Authority),
    /// `sim://powerwall?query`: the built-in simulated house, by its query without the `?`; empty where there is none.
    Sim(String),
}

const HTTP: &str = "http://host:port or https://host:port, such as \"http://192.168.1.7:8675\"";
const NO_PATH: &str =
    "the URL up to the port, without path and query: clients name the path themselves";
const NO_USER: &str = "the URL without user and password: clients send their own";
const NO_TLS: &str = "an http:// or sim:// URL: this build of Larder has no TLS";
const SIM: &str = "sim://powerwall, with or without a query such as ?latency=200ms&fail=0.1";

impl OriginUrl {
    /// Reads a URL, or says what to write instead.
    pub fn parse(url: &str) -> Result<OriginUrl, Cow<'static, str>> {
        let (scheme, rest) = url.split_once("://").ok_or(HTTP)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Ok(OriginUrl::Http(authority(rest)?)),
            "https" if tls::IS_BUILT => Ok(OriginUrl::Https(authority(rest)?)),
            "https" => Err(NO_TLS.into()),
            "sim" => {
                let query = simulation(rest).ok_or(SIM)?;
                SimSettings::parse(&query)
                    .map_err(|wrong| format!("a sim:// URL with parameters it has: {wrong}"))?;
                Ok(OriginUrl::Sim(query))
            }
            _ => Err("an http://, https:// or sim:// URL".into()),
        }
    }

    /// Host and port of a server. `None`: it is none.
    pub fn authority(&self) -> Option<&Authority> {
        match self {
            OriginUrl::Http(authority) | OriginUrl::Https(authority) => Some(authority),
            OriginUrl::Sim(_) => None,
        }
    }

    /// The port of a server.
    pub fn port(&self) -> u16 {
        let usual = if self.is_https() { 443 } else { 80 };
        self.authority()
            .and_then(Authority::port_u16)
            .unwrap_or(usual)
    }

    /// Whether it is asked over TLS.
    pub fn is_https(&self) -> bool {
        matches!(self, OriginUrl::Https(_))
    }

    /// Whether it is the simulated house.
    pub fn is_sim(&self) -> bool {
        matches!(self, OriginUrl::Sim(_))
    }
}

impl Default for OriginUrl {
    /// Where a pypowerwall proxy listens, on this machine.
    fn default() -> OriginUrl {
        OriginUrl::Http(Authority::from_static("localhost:8675"))
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OriginUrl::Http(authority) => write!(f, "http://{authority}"),
            OriginUrl::Https(authority) => write!(f, "https://{authority}"),
            OriginUrl::Sim(query) if query.is_empty() => f.write_str("sim://powerwall"),
            OriginUrl::Sim(query) => write!(f, "sim://powerwall?{query}"),
        }
    }
}

fn authority(rest: &str) -> Result<Authority, &'static str> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if rest[..end].contains('@') {
        return Err(NO_USER);
    }
    let authority: Authority = rest[..end].parse().map_err(|_| HTTP)?;
    let port = authority.as_str().strip_prefix(authority.host());
    let has_good_port = port == Some("") || authority.port_u16().is_some_and(|port| port > 0);
    if authority.host().is_empty() || !has_good_port {
        return Err(HTTP);
    }
    if end < rest.len() {
        return Err(NO_PATH);
    }
    Ok(authority)
}

/// The query.
fn simulation(rest: &str) -> Option<String> {
    let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_printable = query
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    (name
        .strip_suffix('/')
        .unwrap_or(name)
        .eq_ignore_ascii_case("powerwall")
        && is_printable)
        .then(|| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_as_they_are_written() {
        for (url, shown, port) in [
            ("http://a", "http://a", 80),
            ("HTTP://A:1/", "http://A:1", 1),
            ("http://10.0.0.1:65535", "http://10.0.0.1:65535", 65535),
            ("http://[fd00::1]:80", "http://[fd00::1]:80", 80),
            (
                "sim://powerwall?latency=200ms&fail=0.1&hang=/freq",
                "sim://powerwall?latency=200ms&fail=0.1&hang=/freq",
                80,
            ),
            ("SIM://Powerwall/?", "sim://powerwall", 80),
        ] {
            let origin = OriginUrl::parse(url).expect(url);
            assert_eq!(origin.to_string(), shown);
            assert_eq!(origin.port(), port, "{url}");
        }
    }

    #[test]
    fn https_is_for_the_build_that_has_it_and_has_a_port_of_its_own() {
        let parsed = OriginUrl::parse("HTTPS://a/");
        if !tls::IS_BUILT {
            return assert_eq!(parsed, Err(NO_TLS.into()));
        }
        let origin = parsed.expect("a URL");
        assert_eq!(origin.to_string(), "https://a");
        assert_eq!(origin.port(), 443);
        assert_eq!(OriginUrl::parse("https://u:p@a"), Err(NO_USER.into()));
    }

    #[test]
    fn a_wrong_url_is_told_what_to_write() {
        let groups: [(&str, &[&str]); 4] = [
            (
                HTTP,
                &[
                    "",
                    "a",
                    "a:80",
                    "http:",
                    "http://",
                    "http:///",
                    "http://a:",
                    "http://a:0",
                    "http://a:65536",
                    "http://a:x",
                    "http://:80",
                    "http://a b",
                    "http://[::1",
                ],
            ),
            (
                NO_PATH,
                &["http://a//", "http://a/b", "http://a?b", "http://a#b"],
            ),
            (NO_USER, &["http://u@a", "http://u@a:80", "http://u:p@a/b"]),
            (
                SIM,
                &[
                    "sim://",
                    "sim://house",
                    "sim://powerwall:80",
                    "sim://powerwall/freq",
                    "sim://powerwall?a b",
                    "sim://powerwall?a#b",
                ],
            ),
        ];
        for (expected, urls) in groups {
            for url in urls {
                assert_eq!(OriginUrl::parse(url), Err(expected.into()), "{url}");
            }
        }
    }
}

//! The origin's URL: its scheme picks what is asked.

use std::borrow::Cow;
use std::fmt;

use http::uri::Authority;

use crate::origin::sim::SimSettings;

/// What is asked for answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginUrl {
    /// `http://host:port`: a server, by host and port as Host names them (RFC 9110 §7.2). Plain HTTP.
    Http(Authority),
    /// `sim://powerwall?query`: the built-in simulated house, by its query without the `?`; empty where there is none.
    Sim(String),
}

const HTTP: &str = "http://host or http://host:port, without path, query or user";
const SIM: &str = "sim://powerwall, with or without a query such as ?latency=200ms&fail=0.1";

impl OriginUrl {
    /// Reads a URL, or says what was expected instead.
    pub fn parse(url: &str) -> Result<OriginUrl, Cow<'static, str>> {
        let (scheme, rest) = url.split_once("://").ok_or(HTTP)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => authority(rest).map(OriginUrl::Http).ok_or(HTTP.into()),
            "sim" => {
                let query = simulation(rest).ok_or(SIM)?;
                SimSettings::parse(&query).map_err(|wrong| format!("a sim:// URL with parameters it has: {wrong}"))?;
                Ok(OriginUrl::Sim(query))
            }
            _ => Err("an http:// or sim:// URL: other schemes, https:// included, are not built yet".into()),
        }
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
            OriginUrl::Sim(query) if query.is_empty() => f.write_str("sim://powerwall"),
            OriginUrl::Sim(query) => write!(f, "sim://powerwall?{query}"),
        }
    }
}

fn authority(rest: &str) -> Option<Authority> {
    let authority: Authority = rest.strip_suffix('/').unwrap_or(rest).parse().ok()?;
    let port = authority.as_str().strip_prefix(authority.host());
    let has_good_port = port == Some("") || authority.port_u16().is_some_and(|port| port > 0);
    let is_plain = !authority.host().is_empty() && !authority.as_str().contains('@') && has_good_port;
    is_plain.then_some(authority)
}

/// The query.
fn simulation(rest: &str) -> Option<String> {
    let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_printable = query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    (name.strip_suffix('/').unwrap_or(name).eq_ignore_ascii_case("powerwall") && is_printable).then(|| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_as_they_are_written() {
        let written = [
            "http://a",
            "http://10.0.0.1:65535",
            "http://[fd00::1]:80",
            "sim://powerwall",
            "sim://powerwall?latency=200ms&fail=0.1&null=1&hang=/freq&drop=0.05&seed=7",
        ];
        for url in written {
            assert_eq!(OriginUrl::parse(url).map(|origin| origin.to_string()).as_deref(), Ok(url));
        }
        let variants = [
            ("HTTP://A:1/", "http://A:1"),
            ("SIM://Powerwall/?", "sim://powerwall"),
            ("sim://powerwall/", "sim://powerwall"),
        ];
        for (url, shown) in variants {
            assert_eq!(OriginUrl::parse(url).map(|origin| origin.to_string()).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn what_is_no_origin_is_told_what_one_looks_like() {
        let wrong = [
            ("", HTTP),
            ("a:80", HTTP),
            ("http://a/b", HTTP),
            ("http://u@a", HTTP),
            ("http://a:0", HTTP),
            ("sim://", SIM),
            ("sim://house", SIM),
            ("sim://powerwall:80", SIM),
            ("sim://powerwall/freq", SIM),
            ("sim://powerwall?a b", SIM),
            ("sim://powerwall?a#b", SIM),
        ];
        for (url, expected) in wrong {
            assert_eq!(OriginUrl::parse(url), Err(expected.into()), "{url}");
        }
        assert!(OriginUrl::parse("https://a").is_err_and(|expected| expected.contains("https://")));
    }
}

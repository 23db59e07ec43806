//! The origin's URL: its scheme picks what is asked.

use std::borrow::Cow;
use std::fmt;

use http::uri::Authority;

use crate::origin::http::tls;
use crate::origin::sim::SimSettings;

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

const HTTP: &str = "http://host, https://host or the same with :port, without path, query or user";
const NO_TLS: &str = "an http:// or sim:// URL: this build of Larder is without TLS; one with the feature `tls` takes https://";
const SIM: &str = "sim://powerwall, with or without a query such as ?latency=200ms&fail=0.1";

impl OriginUrl {
    /// Reads a URL, or says what was expected instead.
    pub fn parse(url: &str) -> Result<OriginUrl, Cow<'static, str>> {
        let (scheme, rest) = url.split_once("://").ok_or(HTTP)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => authority(rest).map(OriginUrl::Http).ok_or(HTTP.into()),
            "https" if tls::IS_BUILT => authority(rest).map(OriginUrl::Https).ok_or(HTTP.into()),
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

fn authority(rest: &str) -> Option<Authority> {
    let authority: Authority = rest.strip_suffix('/').unwrap_or(rest).parse().ok()?;
    let port = authority.as_str().strip_prefix(authority.host());
    let has_good_port = port == Some("") || authority.port_u16().is_some_and(|port| port > 0);
    let is_plain =
        !authority.host().is_empty() && !authority.as_str().contains('@') && has_good_port;
    is_plain.then_some(authority)
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
        let written = [
            "http://a",
            "http://10.0.0.1:65535",
            "http://[fd00::1]:80",
            "sim://powerwall",
            "sim://powerwall?latency=200ms&fail=0.1&null=1&hang=/freq&drop=0.05&seed=7",
        ];
        for url in written {
            assert_eq!(
                OriginUrl::parse(url)
                    .map(|origin| origin.to_string())
                    .as_deref(),
                Ok(url)
            );
        }
        let variants = [
            ("HTTP://A:1/", "http://A:1"),
            ("SIM://Powerwall/?", "sim://powerwall"),
            ("sim://powerwall/", "sim://powerwall"),
        ];
        for (url, shown) in variants {
            assert_eq!(
                OriginUrl::parse(url)
                    .map(|origin| origin.to_string())
                    .as_deref(),
                Ok(shown)
            );
        }
    }

    #[test]
    fn https_is_for_the_build_that_has_it_and_has_a_port_of_its_own() {
        let parsed = OriginUrl::parse("HTTPS://a/");
        if !tls::IS_BUILT {
            return assert_eq!(parsed, Err(NO_TLS.into()));
        }
        assert_eq!(
            parsed
                .as_ref()
                .map(|origin| (origin.to_string(), origin.port())),
            Ok(("https://a".into(), 443))
        );
        assert_eq!(
            OriginUrl::parse("https://a:8443").map(|origin| origin.port()),
            Ok(8443)
        );
        assert_eq!(
            OriginUrl::parse("http://a").map(|origin| origin.port()),
            Ok(80)
        );
        assert_eq!(OriginUrl::parse("https://u:p@a"), Err(HTTP.into()));
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
    }
}

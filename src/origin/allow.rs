//! Where the origin may be (`backend.allow`). PURE.

use std::fmt;
use std::net::IpAddr;

use super::network::Network;
use super::resolve::{bare, fixed_addresses};

/// Where the origin may be. Empty: anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(pub Vec<Allowed>);

/// A place where the origin may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// At these addresses.
    Network(Network),
    /// Under this name, wherever it leads. In small letters, without a final dot.
    Name(String),
}

impl Allow {
    /// Whether an origin of this name, or with this address literal as its name, may be asked at this address.
    pub fn admits(&self, host: &str, address: IpAddr) -> bool {
        self.names(host) || self.networks().any(|network| network.contains(address))
    }

    /// Whether an origin of this name may be asked at all, as far as that can be known without looking the name up.
    pub fn may_admit(&self, host: &str) -> bool {
        match fixed_addresses(host) {
            Some(addresses) => addresses
                .into_iter()
                .any(|address| self.admits(host, address)),
            None => self.names(host) || self.networks().next().is_some(),
        }
    }

    /// Whether no address matters.
    fn names(&self, host: &str) -> bool {
        let host = plain(bare(host));
        self.0.is_empty()
            || self
                .0
                .iter()
                .any(|allowed| matches!(allowed, Allowed::Name(name) if *name == host))
    }

    fn networks(&self) -> impl Iterator<Item = &Network> {
        self.0.iter().filter_map(|allowed| match allowed {
            Allowed::Network(network) => Some(network),
            Allowed::Name(_) => None,
        })
    }
}

impl Allowed {
    /// Reads `192.168.1.7`, `192.168.0.0/16`, `fd00::/8` or a name such as `powerwall.lan`.
    pub fn parse(text: &str) -> Option<Allowed> {
        let name = || is_name(text).then(|| Allowed::Name(plain(text)));
        Network::parse(text).map(Allowed::Network).or_else(name)
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Network(network) => network.fmt(f),
            Allowed::Name(name) => f.write_str(name),
        }
    }
}

/// A name as it is compared: letter case and a final dot mean nothing (RFC 1035 §2.3.3, §3.1).
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether it may be a name. A last label of digits makes it an address that is misspelt (RFC 1123 §2.1).
fn is_name(text: &str) -> bool {
    let is_lawful = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.split('.').all(is_lawful) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(list: &[&str]) -> Allow {
        Allow(
            list.iter()
                .map(|text| Allowed::parse(text).expect(text))
                .collect(),
        )
    }

    #[test]
    fn p8_an_address_is_allowed_by_its_block_or_by_the_name_that_leads_to_it() {
        let cases: [(&[&str], &str, &str, bool); 11] = [
            (&[], "anything", "8.8.8.8", true),
            (&["192.168.0.0/16"], "pi.lan", "192.168.1.7", true),
            (&["192.168.0.0/16"], "pi.lan", "::ffff:192.168.1.7", true),
            (&["192.168.0.0/16"], "pi.lan", "169.254.169.254", false),
            (&["192.168.0.0/16"], "pi.lan", "fd00::7", false),
            (&["192.168.0.0/16", "fd00::/8"], "pi.lan", "fd00::7", true),
            (&["Pi.lan."], "pi.LAN", "8.8.8.8", true),
            (&["pi.lan"], "api.lan", "8.8.8.8", false),
            (&["lan"], "pi.lan", "192.168.1.7", false),
            (&["fd00::7"], "[fd00::7]", "fd00::7", true),
            (&["pi.lan", "10.0.0.0/8"], "other.lan", "10.1.1.1", true),
        ];
        for (list, host, address, expected) in cases {
            let address = address.parse().expect(address);
            assert_eq!(
                allow(list).admits(host, address),
                expected,
                "{list:?} {host} {address}"
            );
        }
    }

    #[test]
    fn p8_what_can_never_be_allowed_is_known_without_a_lookup() {
        let cases: [(&[&str], &str, bool); 11] = [
            (&[], "10.0.0.7", true),
            (&["10.0.0.0/8"], "10.0.0.7", true),
            (&["10.0.0.0/8"], "11.0.0.7", false),
            (&["10.0.0.0/8"], "[fd00::7]", false),
            (&["fd00::/8"], "[fd00::7]", true),
            (&["10.0.0.0/8"], "pi.lan", true),
            (&["pi.lan"], "pi.lan", true),
            (&["pi.lan"], "pi.home", false),
            (&["127.0.0.0/8"], "localhost", true),
            (&["10.0.0.0/8"], "localhost", false),
            (&["localhost"], "localhost", true),
        ];
        for (list, host, expected) in cases {
            assert_eq!(allow(list).may_admit(host), expected, "{list:?} {host}");
        }
    }

    #[test]
    fn places_are_shown_as_they_are_compared_and_typing_errors_are_none() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("Pi.Lan.", "pi.lan"),
            ("a_b-c", "a_b-c"),
            ("::1", "::1"),
        ] {
            assert_eq!(
                Allowed::parse(text)
                    .map(|allowed| allowed.to_string())
                    .as_deref(),
                Some(shown)
            );
        }
        for text in [
            "",
            ".",
            "a..b",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.0/33",
            "a b",
            "http://a",
            "a:80",
            "*.lan",
            "ä",
        ] {
            assert_eq!(Allowed::parse(text), None, "{text}");
        }
    }
}

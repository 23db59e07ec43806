//! `admin`: who may use Larder's own endpoints, and under which names.

use std::net::IpAddr;

use super::Network;
use crate::secret::Secret;

/// Clients that need no token: a named zone, an address, or a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// As it is written in the file.
    pub text: String,
    blocks: Vec<Network>,
}

/// This machine, and the addresses of local networks (RFC 1918, RFC 4193, RFC 4291 §2.5.6).
const ZONES: [(&str, &[&str]); 2] = [
    ("loopback", &["127.0.0.0/8", "::1"]),
    (
        "private",
        &[
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "fc00::/7",
            "fe80::/10",
        ],
    ),
];

impl Zone {
    /// Reads `loopback`, `private`, an address or a block such as `100.64.0.0/10`.
    pub fn parse(text: &str) -> Option<Zone> {
        let named = ZONES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, blocks)| *blocks);
        let blocks = named
            .unwrap_or(&[text])
            .iter()
            .map(|block| Network::parse(block))
            .collect::<Option<Vec<_>>>()?;
        Some(Zone {
            text: text.to_owned(),
            blocks,
        })
    }

    /// Whether a client at this address is in it; an IPv4 address mapped into IPv6 is one.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }
}

/// `admin`: Larder's own endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// `rootNames`: whether they have names at the root, beside those below `/_larder`.
    pub root_names: bool,
    /// `allow`: who may use them without a token.
    pub allow: Vec<Zone>,
    /// `tokenEnv`: the environment variable that holds the token.
    pub token_env: String,
    /// The token for everybody else. `None`: nobody else may use them.
    pub token: Option<Secret>,
    /// `hosts`: names under which they answer, beside addresses and names that are local by their form.
    pub hosts: Vec<String>,
}

/// A shorter token can be guessed.
const SHORTEST_TOKEN: usize = 16;

impl Admin {
    /// A warning where the token is so short that it can be guessed.
    pub(super) fn weak_token(&self) -> Option<String> {
        let is_weak = self.token.as_ref()?.length() < SHORTEST_TOKEN;
        is_weak.then(|| {
            format!(
                "{} has fewer than {SHORTEST_TOKEN} characters and can be guessed; use a long random text, such as openssl rand -hex 24 prints",
                self.token_env
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_named_or_numbered() {
        for (zone, address, is_inside) in [
            ("loopback", "127.0.0.1", true),
            ("loopback", "::1", true),
            ("loopback", "192.168.0.1", false),
            ("private", "192.168.0.1", true),
            ("private", "fe80::1", true),
            ("private", "8.8.8.8", false),
            ("100.64.0.0/10", "100.64.9.9", true),
        ] {
            let address = address.parse().expect("an address");
            let found = Zone::parse(zone).map(|zone| zone.contains(address));
            assert_eq!(found, Some(is_inside), "{zone} {address}");
        }
        assert_eq!(Zone::parse("everybody"), None);
    }
}

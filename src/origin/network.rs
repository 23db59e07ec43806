//! An IP address, or a block of them in CIDR notation (RFC 4632, RFC 4291 §2.3).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A block of IP addresses. An IPv4 address counts as the IPv6 address it is mapped to, so both spellings are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u128,
    /// Leading bits that count, 0 to 128.
    prefix: u32,
}

impl Network {
    /// Reads `192.168.1.7`, `10.0.0.0/8`, `::1` or `fd00::/8`. Bits behind the prefix do not count.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(length))
            }
            Some(_) => return None,
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = length
            .map_or(Some(bits), |length| length.parse().ok())
            .filter(|length| *length <= bits)?;
        Some(Network {
            base: mapped(address),
            prefix: 128 - bits + length,
        })
    }

    /// Whether `address` is in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        (self.base ^ mapped(address))
            .checked_shr(128 - self.prefix)
            .unwrap_or(0)
            == 0
    }
}

impl fmt::Display for Network {
    /// As short as it can be: IPv4 where it is, without `/` where it is one address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = Ipv6Addr::from_bits(self.base);
        match base.to_ipv4_mapped().filter(|_| self.prefix >= 96) {
            Some(base) if self.prefix == 128 => write!(f, "{base}"),
            Some(base) => write!(f, "{base}/{}", self.prefix - 96),
            None if self.prefix == 128 => write!(f, "{base}"),
            None => write!(f, "{base}/{}", self.prefix),
        }
    }
}

/// The address as IPv6, IPv4 ones mapped (RFC 4291 §2.5.5.2).
fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.0.0.1", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.6", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "fd00::1", false),
            ("::/0", "fd00::1", true),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::1", "::1", true),
            ("::1", "127.0.0.1", false),
            ("172.16.0.0/12", "172.31.255.255", true),
            ("172.16.0.0/12", "172.32.0.0", false),
        ];
        for (network, address, expected) in cases {
            let network = Network::parse(network).expect(network);
            assert_eq!(
                network.contains(address.parse().expect(address)),
                expected,
                "{network:?} {address}"
            );
        }
    }

    #[test]
    fn networks_are_shown_as_they_are_written() {
        for text in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "192.168.1.7",
            "::/0",
            "fd00::/8",
            "::1",
            "::ffff:0.0.0.0/95",
        ] {
            assert_eq!(
                Network::parse(text)
                    .map(|network| network.to_string())
                    .as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn what_is_no_network() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "a/8",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}

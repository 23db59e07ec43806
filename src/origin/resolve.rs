//! The origin's addresses: looked up off the request path, kept when a later lookup fails.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use parking_lot::Mutex;

use super::FetchError;
use super::allow::Allow;

/// At most so many addresses of one name are kept; the rest of a longer answer is ignored.
pub const MAX_ADDRESSES: usize = 16;

/// The addresses of one origin. Asking for them never looks a name up, so no request waits for a name server.
#[derive(Debug)]
pub struct Addresses {
    name: Name,
    port: u16,
    allow: Allow,
    /// What the last lookup that found an allowed address found of them. Empty until then.
    known: Mutex<Vec<SocketAddr>>,
    /// The addresses outside of `allow` that the last lookup found.
    refused: Mutex<Vec<IpAddr>>,
}

/// What kind of name the origin has.
#[derive(Debug)]
enum Name {
    /// An IP literal, or a name that means this machine: its addresses are known and never change.
    Fixed,
    /// A name to look up.
    Dns(String),
}

impl Addresses {
    /// The addresses of `host`, an IP literal (IPv6 with or without brackets) or a name, each with `port`; those that `allow`
    /// admits, as if there were no others.
    pub fn new(host: &str, port: u16, allow: Allow) -> Addresses {
        let fixed = fixed_addresses(host);
        let admitted = fixed.iter().flatten().filter(|ip| allow.admits(host, **ip));
        let known = admitted.map(|ip| SocketAddr::new(*ip, port)).collect();
        let name = fixed.map_or_else(|| Name::Dns(host.to_owned()), |_| Name::Fixed);
        Addresses {
            name,
            port,
            allow,
            known: Mutex::new(known),
            refused: Mutex::default(),
        }
    }

    /// Whether the addresses are known for good: an IP literal, or this machine. Then no lookup is needed.
    pub fn is_fixed(&self) -> bool {
        matches!(self.name, Name::Fixed)
    }

    /// Whether the name is one of multicast DNS (RFC 6762), which no ordinary resolver knows.
    pub fn is_local_name(&self) -> bool {
        matches!(&self.name, Name::Dns(name) if name.trim_end_matches('.').to_ascii_lowercase().ends_with(".local"))
    }

    /// Looks the name up and keeps what it finds. Blocks as long as the system's resolver does, so it belongs on a
    /// background thread. When the lookup fails, or finds nothing that is allowed, what was known stays known; a failure is
    /// returned. Otherwise the addresses that are not allowed are, if they are others than the time before.
    pub fn resolve_now(&self) -> Result<Vec<IpAddr>, FetchError> {
        self.resolve_by(|name, port| (name, port).to_socket_addrs().map(Iterator::collect))
    }

    /// The addresses last found, at least one and at most [`MAX_ADDRESSES`]. [`FetchError::Resolve`] until the first
    /// lookup has succeeded.
    pub fn current(&self) -> Result<Vec<SocketAddr>, FetchError> {
        let known = self.known.lock();
        if known.is_empty() {
            Err(FetchError::Resolve)
        } else {
            Ok(known.clone())
        }
    }

    fn resolve_by(
        &self,
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
    ) -> Result<Vec<IpAddr>, FetchError> {
        let Name::Dns(name) = &self.name else {
            return Ok(Vec::new());
        };
        // The lock is not held during the lookup: fetches go on with the old addresses meanwhile.
        let found = lookup(name, self.port).unwrap_or_default();
        if found.is_empty() {
            return Err(FetchError::Resolve);
        }
        let (mut admitted, outside): (Vec<SocketAddr>, Vec<SocketAddr>) = found
            .into_iter()
            .partition(|address| self.allow.admits(name, address.ip()));
        admitted.truncate(MAX_ADDRESSES);
        if !admitted.is_empty() {
            *self.known.lock() = admitted;
        }
        Ok(self.news_of(outside))
    }

    /// Remembers what is refused, and returns it unless it was so the time before. A resolver may give it in any order.
    fn news_of(&self, outside: Vec<SocketAddr>) -> Vec<IpAddr> {
        let mut outside: Vec<IpAddr> = outside
            .iter()
            .map(|address| address.ip().to_canonical())
            .collect();
        outside.sort_unstable();
        outside.dedup();
        outside.truncate(MAX_ADDRESSES);
        let mut refused = self.refused.lock();
        if *refused == outside {
            return Vec::new();
        }
        refused.clone_from(&outside);
        outside
    }
}

/// An IPv6 literal without its brackets; anything else as it is.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// The addresses of a host that needs no lookup, or `None`.
pub(super) fn fixed_addresses(host: &str) -> Option<Vec<IpAddr>> {
    let bare = bare(host);
    if let Ok(ip) = bare.parse() {
        return Some(vec![ip]);
    }
    is_localhost(bare).then(|| {
        vec![
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]
    })
}

/// RFC 6761 §6.3: `localhost` and every name below it mean this machine, whatever a name server says.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit('.')
        .next()
        .is_some_and(|top| top.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::allow::Allowed;

    fn refuse(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn any(host: &str, port: u16) -> Addresses {
        Addresses::new(host, port, Allow::default())
    }

    fn shown(addresses: &Addresses) -> String {
        let known = addresses.current().unwrap_or_default();
        known
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn literals_and_localhost_are_known_without_a_lookup() {
        for (host, expected) in [
            ("10.0.0.7", "10.0.0.7:80"),
            ("[fd00::7]", "[fd00::7]:80"),
            ("fd00::7", "[fd00::7]:80"),
            ("localhost", "127.0.0.1:80 [::1]:80"),
            ("LocalHost.", "127.0.0.1:80 [::1]:80"),
            ("powerwall.localhost", "127.0.0.1:80 [::1]:80"),
        ] {
            let addresses = any(host, 80);
            assert_eq!(
                addresses.resolve_by(|_, _| panic!("looked up {host}")),
                Ok(vec![])
            );
            assert_eq!(shown(&addresses), expected, "{host}");
        }
    }

    #[test]
    fn a_name_that_only_looks_like_localhost_is_looked_up() {
        for host in [
            "localhost.example",
            "notlocalhost",
            "localhost..",
            "",
            "1.2.3",
            "[fd00::7",
        ] {
            assert_eq!(any(host, 80).current(), Err(FetchError::Resolve), "{host}");
        }
    }

    #[test]
    fn the_last_good_answer_outlives_a_failed_lookup() {
        let addresses = any("pi.home.arpa", 8675);
        assert_eq!(addresses.resolve_by(refuse), Err(FetchError::Resolve));
        assert_eq!(addresses.current(), Err(FetchError::Resolve));

        let found = SocketAddr::from(([10, 0, 0, 7], 8675));
        assert_eq!(addresses.resolve_by(|_, _| Ok(vec![found])), Ok(vec![]));
        assert_eq!(addresses.resolve_by(refuse), Err(FetchError::Resolve));
        assert_eq!(
            addresses.resolve_by(|_, _| Ok(vec![])),
            Err(FetchError::Resolve)
        );
        assert_eq!(shown(&addresses), "10.0.0.7:8675");

        let moved = SocketAddr::from(([10, 0, 0, 8], 8675));
        assert_eq!(addresses.resolve_by(|_, _| Ok(vec![moved])), Ok(vec![]));
        assert_eq!(shown(&addresses), "10.0.0.8:8675");
    }

    #[test]
    fn a_long_answer_is_cut() {
        let addresses = any("many.example", 80);
        let many = |_: &str, port| {
            Ok((0..200)
                .map(|last| SocketAddr::from(([10, 0, 0, last], port)))
                .collect())
        };
        assert_eq!(addresses.resolve_by(many), Ok(vec![]));
        assert_eq!(
            addresses.current().map(|known| known.len()),
            Ok(MAX_ADDRESSES)
        );
    }

    #[test]
    fn p8_an_address_that_is_not_allowed_is_as_if_it_had_not_been_found_and_told_once() {
        let allow = Allow(
            ["10.0.0.0/8"]
                .iter()
                .filter_map(|text| Allowed::parse(text))
                .collect(),
        );
        let addresses = Addresses::new("pi.home.arpa", 80, allow);
        let find = |found: &[[u8; 4]]| {
            let found: Vec<SocketAddr> =
                found.iter().map(|ip| SocketAddr::from((*ip, 80))).collect();
            let news = addresses
                .resolve_by(|_, _| Ok(found.clone()))
                .expect("something was found");
            let news: Vec<String> = news.iter().map(ToString::to_string).collect();
            (news.join(" "), shown(&addresses))
        };
        let told = |news: &str, known: &str| (news.to_owned(), known.to_owned());
        let inside = [10, 0, 0, 7];
        let moved = [10, 0, 0, 8];
        let outside = [192, 0, 2, 1];
        let other = [192, 0, 2, 2];
        assert_eq!(find(&[outside]), told("192.0.2.1", ""), "unresolved");
        assert_eq!(find(&[outside]), told("", ""), "told once");
        assert_eq!(find(&[outside, inside]), told("", "10.0.0.7:80"));
        assert_eq!(
            find(&[other, inside, outside]),
            told("192.0.2.1 192.0.2.2", "10.0.0.7:80")
        );
        assert_eq!(
            find(&[outside, other, moved]),
            told("", "10.0.0.8:80"),
            "another order is no news"
        );
        assert_eq!(
            find(&[other]),
            told("192.0.2.2", "10.0.0.8:80"),
            "a rebound name leads nowhere else"
        );
        assert_eq!(find(&[inside]), told("", "10.0.0.7:80"));
        assert_eq!(
            find(&[other]),
            told("192.0.2.2", "10.0.0.7:80"),
            "told again when it comes again"
        );
    }

    #[test]
    fn p8_of_this_machines_addresses_only_those_allowed_are_known() {
        let allow = Allow(Allowed::parse("127.0.0.1").into_iter().collect());
        assert_eq!(
            shown(&Addresses::new("localhost", 80, allow)),
            "127.0.0.1:80"
        );
    }

    #[test]
    fn names_of_multicast_dns_are_recognised() {
        for (name, local) in [
            ("powerwall.local", true),
            ("Powerwall.LOCAL.", true),
            ("local.lan", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(any(name, 1).is_local_name(), local, "{name}");
        }
    }
}

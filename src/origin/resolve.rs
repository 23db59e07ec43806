//! The origin's addresses: looked up off the request path, kept when a later lookup fails.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use parking_lot::Mutex;

use super::FetchError;

/// At most so many addresses of one name are kept; the rest of a longer answer is ignored.
pub const MAX_ADDRESSES: usize = 16;

/// The addresses of one origin. Asking for them never looks a name up, so no request waits for a name server.
#[derive(Debug)]
pub struct Addresses {
    name: Name,
    port: u16,
    /// The answer of the last lookup that gave one. Empty until then.
    known: Mutex<Vec<SocketAddr>>,
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
    /// The addresses of `host`, an IP literal (IPv6 with or without brackets) or a name, each with `port`.
    pub fn new(host: &str, port: u16) -> Addresses {
        let fixed = fixed_addresses(host);
        let known = fixed.iter().flatten().map(|ip| SocketAddr::new(*ip, port)).collect();
        let name = fixed.map_or_else(|| Name::Dns(host.to_owned()), |_| Name::Fixed);
        Addresses { name, port, known: Mutex::new(known) }
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
    /// background thread. When the lookup fails, what was known stays known and the failure is returned.
    pub fn resolve_now(&self) -> Result<(), FetchError> {
        self.resolve_by(|name, port| (name, port).to_socket_addrs().map(Iterator::collect))
    }

    /// The addresses last found, at least one and at most [`MAX_ADDRESSES`]. [`FetchError::Resolve`] until the first
    /// lookup has succeeded.
    pub fn current(&self) -> Result<Vec<SocketAddr>, FetchError> {
        let known = self.known.lock();
        if known.is_empty() { Err(FetchError::Resolve) } else { Ok(known.clone()) }
    }

    fn resolve_by(&self, lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>>) -> Result<(), FetchError> {
        let Name::Dns(name) = &self.name else { return Ok(()) };
        // The lock is not held during the lookup: fetches go on with the old addresses meanwhile.
        let mut found = lookup(name, self.port).unwrap_or_default();
        if found.is_empty() {
            return Err(FetchError::Resolve);
        }
        found.truncate(MAX_ADDRESSES);
        *self.known.lock() = found;
        Ok(())
    }
}

/// The addresses of a host that needs no lookup, or `None`.
fn fixed_addresses(host: &str) -> Option<Vec<IpAddr>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse() {
        return Some(vec![ip]);
    }
    is_localhost(bare).then(|| vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)])
}

/// RFC 6761 §6.3: `localhost` and every name below it mean this machine, whatever a name server says.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit('.').next().is_some_and(|top| top.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn shown(addresses: &Addresses) -> String {
        let known = addresses.current().unwrap_or_default();
        known.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
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
            let addresses = Addresses::new(host, 80);
            assert_eq!(addresses.resolve_by(|_, _| panic!("looked up {host}")), Ok(()));
            assert_eq!(shown(&addresses), expected, "{host}");
        }
    }

    #[test]
    fn a_name_that_only_looks_like_localhost_is_looked_up() {
        for host in ["localhost.example", "notlocalhost", "localhost..", "", "1.2.3", "[fd00::7"] {
            assert_eq!(Addresses::new(host, 80).current(), Err(FetchError::Resolve), "{host}");
        }
    }

    #[test]
    fn the_last_good_answer_outlives_a_failed_lookup() {
        let addresses = Addresses::new("pi.home.arpa", 8675);
        assert_eq!(addresses.resolve_by(refuse), Err(FetchError::Resolve));
        assert_eq!(addresses.current(), Err(FetchError::Resolve));

        let found = SocketAddr::from(([10, 0, 0, 7], 8675));
        assert_eq!(addresses.resolve_by(|_, _| Ok(vec![found])), Ok(()));
        assert_eq!(addresses.resolve_by(refuse), Err(FetchError::Resolve));
        assert_eq!(addresses.resolve_by(|_, _| Ok(vec![])), Err(FetchError::Resolve));
        assert_eq!(shown(&addresses), "10.0.0.7:8675");

        let moved = SocketAddr::from(([10, 0, 0, 8], 8675));
        assert_eq!(addresses.resolve_by(|_, _| Ok(vec![moved])), Ok(()));
        assert_eq!(shown(&addresses), "10.0.0.8:8675");
    }

    #[test]
    fn a_long_answer_is_cut() {
        let addresses = Addresses::new("many.example", 80);
        let many = |_: &str, port| Ok((0..200).map(|last| SocketAddr::from(([10, 0, 0, last], port))).collect());
        assert_eq!(addresses.resolve_by(many), Ok(()));
        assert_eq!(addresses.current().map(|known| known.len()), Ok(MAX_ADDRESSES));
    }

    #[test]
    fn names_of_multicast_dns_are_recognised() {
        for (name, local) in
            [("powerwall.local", true), ("Powerwall.LOCAL.", true), ("local.lan", false), ("10.0.0.1", false)]
        {
            assert_eq!(Addresses::new(name, 1).is_local_name(), local, "{name}");
        }
    }
}

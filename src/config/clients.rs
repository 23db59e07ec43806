//! Who the client is behind proxies (`proxy.trustedProxies`).

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use super::Proxy;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl Proxy {
    /// Whether the peer at this address is one of `trustedProxies`.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(peer))
    }

    /// The client a trusted peer names in X-Forwarded-For: the last address that is no proxy of ours, since what stands before
    /// it was written by whoever it is. `None`: there is no such field, or it is not to be understood.
    pub fn client_named(&self, fields: &HeaderMap) -> Option<IpAddr> {
        let chain = fields
            .get_all(X_FORWARDED_FOR)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let mut client = None;
        for entry in chain.collect::<Vec<_>>().into_iter().rev() {
            client = Some(address(entry)?);
            if client.is_some_and(|address| !self.trusts(address)) {
                break;
            }
        }
        client
    }
}

/// `192.0.2.1`, `2001:db8::1`, or either with a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    text.parse().ok().or_else(|| {
        text.parse()
            .ok()
            .map(|with_port: SocketAddr| with_port.ip())
    })
}

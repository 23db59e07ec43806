//! Clients that would have the origin asked too often are told so (`rateLimit`).

use std::net::IpAddr;

use super::Proxy;
use super::join::is_safe;
use crate::cache::store::Stored;
use crate::clock::Now;
use crate::message::Request;
use crate::outcome::Cause;
use crate::policy::rate::Owner;
use crate::policy::rule::Fallback;
use crate::reply::{Failure, Reply};

impl Proxy {
    /// What a client is told whose request would have the origin asked more often than its route allows. `selected`: what is stored
    /// for it. `None`: it may ask.
    pub(super) fn asks_too_often(
        &self,
        request: &Request,
        selected: Option<&Stored>,
        now: Now,
    ) -> Option<Reply> {
        let limit = self.routes.rate_limit(&request.target)?;
        if limit.unsafe_only && is_safe(&request.method) {
            return None;
        }
        let owner = Owner {
            client: network_of(self.client_of(request)),
            route: limit.route,
        };
        let wait = self.buckets.lock().take(owner, limit, now).err()?;
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let cors = self.routes.find(&request.target).rule.cors;
        Some(Reply::Failed(Failure {
            cause: Cause::RateLimited,
            fwd: Some(self.missed(request, selected)),
            backoff: Some(seconds),
            cors,
            fallback: Fallback::Error,
        }))
    }

    /// The client's address as far as it is known: what trusted proxies say, else the peer's.
    fn client_of(&self, request: &Request) -> IpAddr {
        let proxy = &self.config.proxy;
        let named = Some(&request.fields).filter(|_| proxy.trusts(request.peer));
        named
            .and_then(|fields| proxy.client_named(fields))
            .unwrap_or(request.peer)
    }
}

/// Whom an address stands for: an IPv4 address for itself, mapped or not; an IPv6 address for its /64, of which one client
/// may have all.
pub fn network_of(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r13_ipv4_counts_by_address_and_ipv6_by_network() {
        let same = [
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"),
            ("::1", "::2"),
        ];
        let other = [
            ("10.0.0.1", "10.0.0.2"),
            ("2001:db8:0:1::1", "2001:db8:0:2::1"),
            ("0.0.0.0", "::1"),
        ];
        let network = |text: &str| network_of(text.parse().expect(text));
        for (one, another) in same {
            assert_eq!(network(one), network(another), "{one} {another}");
        }
        for (one, another) in other {
            assert_ne!(network(one), network(another), "{one} {another}");
        }
    }
}

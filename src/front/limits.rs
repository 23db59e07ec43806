//! The limits a client meets, and who has how much of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::head;
use super::platform;
use crate::budget::{Budget, Lease};
use crate::metrics::RejectReason;
use crate::proxy;

/// Connections that only clients on this machine may have, so that an operator always gets in.
const FOR_LOOPBACK: usize = 16;
/// Connections that one client may have, however few there are in all: a browser opens six.
const LEAST_PER_CLIENT: usize = 4;
/// Bodies of `max_body_bytes` that may be in memory at once, of all clients.
const BODIES: usize = 8;
/// The same, of one client network.
const BODIES_PER_NETWORK: usize = 2;
/// Descriptors kept for the log, the listeners, the workers' polls and wakers, signals, clients being turned away, and
/// whatever libraries open.
const OWN_DESCRIPTORS: usize = 128;

/// The limits a client meets.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once, from the configuration and the machine's own limits, whichever is less.
    pub max_connections: usize,
    /// Connections of one client network (an IPv4 address, an IPv6 /64), but of a trusted proxy. `None`: half of all.
    pub max_connections_per_client: Option<usize>,
    /// Bytes and fields of a request head.
    pub head: head::Limits,
    /// Bytes of a request body, transfer coding removed.
    pub max_body_bytes: usize,
    /// From the first byte of a head to its last.
    pub header_timeout: Duration,
    /// From the first byte of a body to its last.
    pub body_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub keep_alive_timeout: Duration,
    /// How long a client may take nothing of a reply that waits for it.
    pub write_timeout: Duration,
}

/// The connections this machine can carry, of those the configuration asks for. `reserved`: descriptors that the rest of the
/// program may hold at once.
pub fn connection_limit(configured: usize, reserved: usize) -> usize {
    let descriptors = platform::raise_descriptor_limit();
    let left = descriptors.saturating_sub(OWN_DESCRIPTORS + reserved);
    configured.min(left).max(LEAST_PER_CLIENT)
}

/// Counts connections, in all and by client network.
pub struct ConnectionLimit {
    most: usize,
    most_per_client: usize,
    /// How many there are; written while `by_client` is held.
    taken: AtomicUsize,
    /// Protects: how many each client network has, of those that are counted one by one. Nobody has zero.
    by_client: Mutex<HashMap<u128, usize>>,
}

/// One connection's share of a [`ConnectionLimit`]; dropping it gives it back.
pub struct ConnectionSlot {
    limit: Arc<ConnectionLimit>,
    client: Option<u128>,
}

impl ConnectionLimit {
    /// So many in all. `per_client`: for one client network; `None` is half of all.
    pub fn new(most: usize, per_client: Option<usize>) -> Arc<ConnectionLimit> {
        let half = (most / 2).max(LEAST_PER_CLIENT);
        Arc::new(ConnectionLimit {
            most,
            most_per_client: per_client.unwrap_or(half),
            taken: AtomicUsize::new(0),
            by_client: Mutex::default(),
        })
    }

    /// How many there are.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// A slot for a client, or why there is none. `client`: its network; `None` for a proxy, which stands for many.
    pub fn take(
        self: &Arc<ConnectionLimit>,
        client: Option<u128>,
        is_loopback: bool,
    ) -> Result<ConnectionSlot, RejectReason> {
        let reserved = if is_loopback { 0 } else { FOR_LOOPBACK };
        let most = self.most.saturating_sub(reserved).max(1);
        let mut by_client = self.by_client.lock();
        if self.taken() >= most {
            return Err(RejectReason::Connections);
        }
        if let Some(client) = client {
            let own = by_client.get(&client).copied().unwrap_or(0);
            if own >= self.most_per_client {
                return Err(RejectReason::ClientConnections);
            }
            by_client.insert(client, own + 1);
        }
        self.taken.fetch_add(1, Ordering::AcqRel);
        Ok(ConnectionSlot {
            limit: Arc::clone(self),
            client,
        })
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut by_client = self.limit.by_client.lock();
        self.limit.taken.fetch_sub(1, Ordering::AcqRel);
        let Some(client) = self.client else { return };
        if let Some(own) = by_client.get_mut(&client) {
            *own -= 1;
            if *own == 0 {
                by_client.remove(&client);
            }
        }
    }
}

/// The memory for request bodies: a ceiling for all clients and one for each client network.
pub struct BodyBudget {
    all: Budget,
    per_network: usize,
    /// Protects: the budgets in use; one that is empty goes when the next is made.
    by_network: Mutex<HashMap<u128, Budget>>,
}

impl BodyBudget {
    /// A budget for bodies of at most `max_body_bytes` each.
    pub fn new(max_body_bytes: usize) -> BodyBudget {
        BodyBudget {
            all: Budget::new(max_body_bytes.saturating_mul(BODIES)),
            per_network: max_body_bytes.saturating_mul(BODIES_PER_NETWORK),
            by_network: Mutex::default(),
        }
    }

    /// A lease for one body of a client at this address; it takes nothing yet.
    pub fn lease(&self, peer: IpAddr) -> Lease {
        let network = proxy::network_of(peer);
        let mut by_network = self.by_network.lock();
        by_network.retain(|known, budget| *known == network || budget.is_in_use());
        let own = by_network
            .entry(network)
            .or_insert_with(|| Budget::new(self.per_network))
            .clone();
        Lease::on(vec![self.all.clone(), own])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(
        limit: &Arc<ConnectionLimit>,
        count: usize,
        client: Option<u128>,
        is_loopback: bool,
    ) -> Vec<ConnectionSlot> {
        let slots = (0..count).map(|_| limit.take(client, is_loopback));
        slots.collect::<Result<_, _>>().expect("a slot for each")
    }

    fn refusal(
        limit: &Arc<ConnectionLimit>,
        client: Option<u128>,
        is_loopback: bool,
    ) -> Option<RejectReason> {
        limit.take(client, is_loopback).err()
    }

    #[test]
    fn one_client_gets_half_of_all_and_others_the_rest() {
        let limit = ConnectionLimit::new(100, None);
        let mut first = take(&limit, 50, Some(1), false);
        assert_eq!(
            refusal(&limit, Some(1), false),
            Some(RejectReason::ClientConnections)
        );
        let second = take(&limit, 34, Some(2), false);
        assert_eq!(
            refusal(&limit, Some(2), false),
            Some(RejectReason::Connections),
            "the last 16 are for this machine"
        );
        let here = take(&limit, 16, Some(3), true);
        assert_eq!(
            refusal(&limit, Some(3), true),
            Some(RejectReason::Connections)
        );
        first.pop();
        assert_eq!(refusal(&limit, Some(1), true), None, "given back");
        drop((first, second, here));
        assert_eq!(limit.taken(), 0);
        assert!(limit.by_client.lock().is_empty());
    }

    #[test]
    fn a_configured_share_counts_and_a_proxy_is_not_counted() {
        let limit = ConnectionLimit::new(100, Some(3));
        let _three = take(&limit, 3, Some(1), false);
        assert_eq!(
            refusal(&limit, Some(1), true),
            Some(RejectReason::ClientConnections),
            "on this machine too"
        );
        let _proxied = take(&limit, 80, None, false);
        assert_eq!(refusal(&limit, None, false), None);
    }

    #[test]
    fn of_the_fewest_connections_one_client_may_have_all() {
        let limit = ConnectionLimit::new(4, None);
        let _all = take(&limit, 4, Some(1), true);
        assert_eq!(
            refusal(&limit, Some(2), true),
            Some(RejectReason::Connections)
        );
    }

    #[test]
    fn clients_of_one_ipv6_network_share_one_body_budget() {
        let bodies = BodyBudget::new(10);
        let mut first = bodies.lease("2001:db8::1".parse().expect("an address"));
        let mut second = bodies.lease("2001:db8::2".parse().expect("an address"));
        let mut other = bodies.lease("2001:db8:0:1::1".parse().expect("an address"));
        assert!(first.grow_to(15));
        assert!(!second.grow_to(10));
        assert!(second.grow_to(5));
        assert!(other.grow_to(20));
    }

    #[test]
    fn bodies_that_have_no_byte_yet_are_on_their_networks_budget_too() {
        let bodies = BodyBudget::new(10);
        let mut first = bodies.lease("192.0.2.1".parse().expect("an address"));
        let _other = bodies.lease("192.0.2.2".parse().expect("an address"));
        let mut second = bodies.lease("192.0.2.1".parse().expect("an address"));
        assert!(first.grow_to(20));
        assert!(!second.grow_to(1));
        drop((first, second));
        let _third = bodies.lease("192.0.2.3".parse().expect("an address"));
        assert_eq!(
            bodies.by_network.lock().len(),
            2,
            "who has none is forgotten"
        );
    }
}

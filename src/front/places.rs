//! The places of a listener's clients: so many in all, and so many for one client.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::metrics::RejectReason;

/// Places that only clients on this machine may take, so that an operator always gets in.
const LOOPBACK_PLACES: usize = 16;
/// Places that one client may take of the fewest there can be: a browser opens six.
const LEAST_PER_CLIENT: usize = 4;

/// The places, and who has them.
pub(super) struct Places {
    all: usize,
    per_client: usize,
    /// How many are taken; written while `by_client` is held.
    taken: AtomicUsize,
    /// Protects: how many each client has, of those that are counted one by one. Nobody has zero.
    by_client: Mutex<HashMap<u128, usize>>,
}

/// A place; dropping it frees it.
pub(super) struct Place {
    places: Arc<Places>,
    client: Option<u128>,
}

impl Places {
    /// So many places in all. `per_client`: for one of the clients that are told apart; `None` is half of all.
    pub(super) fn new(all: usize, per_client: Option<usize>) -> Arc<Places> {
        let per_client = per_client.unwrap_or((all / 2).max(LEAST_PER_CLIENT));
        Arc::new(Places {
            all,
            per_client,
            taken: AtomicUsize::new(0),
            by_client: Mutex::default(),
        })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// A place for a client, or why there is none. `client`: whose it is; `None` for a proxy, which stands for many.
    pub(super) fn take(
        self: &Arc<Places>,
        client: Option<u128>,
        is_local: bool,
    ) -> Result<Place, RejectReason> {
        let open = if is_local {
            self.all
        } else {
            self.all.saturating_sub(LOOPBACK_PLACES).max(1)
        };
        let mut by_client = self.by_client.lock();
        if self.taken() >= open {
            return Err(RejectReason::Connections);
        }
        if let Some(client) = client {
            let own = by_client.entry(client).or_default();
            if *own >= self.per_client {
                return Err(RejectReason::ClientConnections);
            }
            *own += 1;
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(Place {
            places: Arc::clone(self),
            client,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_client = self.places.by_client.lock();
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.client else { return };
        if let Some(own) = by_client.get_mut(&client) {
            *own -= 1;
            if *own == 0 {
                by_client.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(
        places: &Arc<Places>,
        count: usize,
        client: Option<u128>,
        is_local: bool,
    ) -> Vec<Place> {
        let taken = (0..count).map(|_| places.take(client, is_local));
        taken.collect::<Result<_, _>>().expect("a place for each")
    }

    fn refusal(places: &Arc<Places>, client: Option<u128>, is_local: bool) -> Option<RejectReason> {
        places.take(client, is_local).err()
    }

    #[test]
    fn one_client_gets_half_of_all_and_others_the_rest() {
        let places = Places::new(100, None);
        let mut first = taken(&places, 50, Some(1), false);
        assert_eq!(
            refusal(&places, Some(1), false),
            Some(RejectReason::ClientConnections)
        );
        let second = taken(&places, 34, Some(2), false);
        assert_eq!(
            refusal(&places, Some(2), false),
            Some(RejectReason::Connections),
            "the last 16 are for this machine"
        );
        let here = taken(&places, 16, Some(3), true);
        assert_eq!(
            refusal(&places, Some(3), true),
            Some(RejectReason::Connections)
        );
        first.pop();
        assert_eq!(
            refusal(&places, Some(1), true),
            None,
            "a place given back is free"
        );
        drop((first, second, here));
        assert!(places.by_client.lock().is_empty() && places.taken() == 0);
    }

    #[test]
    fn a_number_of_ones_own_counts_and_a_proxy_is_not_counted() {
        let places = Places::new(100, Some(3));
        let _three = taken(&places, 3, Some(1), false);
        assert_eq!(
            refusal(&places, Some(1), true),
            Some(RejectReason::ClientConnections),
            "on this machine too"
        );
        let _proxied = taken(&places, 80, None, false);
        assert_eq!(refusal(&places, None, false), None);
    }

    #[test]
    fn of_the_fewest_places_one_client_may_have_all() {
        let places = Places::new(4, None);
        let _all = taken(&places, 4, Some(1), true);
        assert_eq!(
            refusal(&places, Some(2), true),
            Some(RejectReason::Connections)
        );
    }
}

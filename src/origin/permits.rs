//! Who may ask the origin next. PURE: a value stepped by the flights.

use std::collections::VecDeque;

/// Names a flight for as long as the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId(pub u64);

impl FlightId {
    /// Names no flight: the alarm for the next turn at an origin whose requests keep a distance.
    pub const TURN: FlightId = FlightId(u64::MAX);
}

/// On whose behalf the origin is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A client waits for it.
    Client,
    /// Nobody waits: a background refresh.
    Background,
}

/// The permits of one origin: how many requests it may have at once, and the queue for them.
#[derive(Debug)]
pub struct Permits {
    limit: usize,
    /// The flights that hold one.
    clients: usize,
    background: usize,
    waiting_clients: VecDeque<FlightId>,
    waiting_background: VecDeque<FlightId>,
    /// Background that has waited long enough: before clients, but in the background's share.
    hurried: VecDeque<FlightId>,
    /// The last permit went to one that was hurried: a client is next.
    clients_turn: bool,
}

impl Permits {
    /// `limit` requests at once, at least 1.
    pub fn new(limit: usize) -> Permits {
        Permits {
            limit: limit.max(1),
            clients: 0,
            background: 0,
            waiting_clients: VecDeque::new(),
            waiting_background: VecDeque::new(),
            hurried: VecDeque::new(),
            clients_turn: false,
        }
    }

    /// Requests the origin may have at once.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Queues a flight.
    pub fn ask(&mut self, flight: FlightId, class: Class) {
        match class {
            Class::Client => self.waiting_clients.push_back(flight),
            Class::Background => self.waiting_background.push_back(flight),
        }
    }

    /// Queues a flight that has just given its permit back and needs another: before others of its class.
    pub fn ask_again(&mut self, flight: FlightId, class: Class) {
        match class {
            Class::Client => self.waiting_clients.push_front(flight),
            Class::Background => self.hurried.push_front(flight),
        }
    }

    /// Grants a permit if one is free: what was hurried, then clients, then background. Background, hurried or not, never
    /// holds the last one; where that is the only one, clients and what was hurried take turns.
    pub fn grant(&mut self) -> Option<(FlightId, Class)> {
        if self.clients + self.background >= self.limit {
            return None;
        }
        let background_may = self.background < self.shared_limit();
        let clients_turn = self.limit == 1
            && std::mem::take(&mut self.clients_turn)
            && !self.waiting_clients.is_empty();
        if background_may
            && !clients_turn
            && let Some(flight) = self.hurried.pop_front()
        {
            self.clients_turn = true;
            self.background += 1;
            return Some((flight, Class::Background));
        }
        if let Some(flight) = self.waiting_clients.pop_front() {
            self.clients += 1;
            return Some((flight, Class::Client));
        }
        let flight = if background_may {
            self.waiting_background.pop_front()
        } else {
            None
        }?;
        self.background += 1;
        Some((flight, Class::Background))
    }

    /// Takes a flight that no longer wants one out of the queue.
    pub fn withdraw(&mut self, flight: FlightId) {
        self.waiting_clients.retain(|waiting| *waiting != flight);
        self.waiting_background.retain(|waiting| *waiting != flight);
        self.hurried.retain(|waiting| *waiting != flight);
    }

    /// A flight that waits in the background has a client waiting for it now.
    pub fn promote(&mut self, flight: FlightId) {
        if self.hurried.contains(&flight) {
            self.withdraw(flight);
            self.waiting_clients.push_front(flight);
        } else if self.waiting_background.contains(&flight) {
            self.withdraw(flight);
            self.waiting_clients.push_back(flight);
        }
    }

    /// A flight that waits in the background goes before clients, after those hurried earlier; one a client waits for goes
    /// before other clients.
    pub fn hurry(&mut self, flight: FlightId) {
        if self.waiting_background.contains(&flight) {
            self.withdraw(flight);
            self.hurried.push_back(flight);
        } else if self.waiting_clients.contains(&flight) {
            self.withdraw(flight);
            self.waiting_clients.push_front(flight);
        }
    }

    /// A permit comes back.
    pub fn release(&mut self, class: Class) {
        match class {
            Class::Client => self.clients = self.clients.saturating_sub(1),
            Class::Background => self.background = self.background.saturating_sub(1),
        }
    }

    /// Permits held, and flights waiting for one.
    pub fn gauges(&self) -> (usize, usize) {
        let waiting =
            self.waiting_clients.len() + self.waiting_background.len() + self.hurried.len();
        (self.clients + self.background, waiting)
    }

    /// What background work may hold: all but one, so that a client's miss always finds a permit in time.
    fn shared_limit(&self) -> usize {
        (self.limit - 1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_go_before_background_which_never_holds_the_last_permit() {
        let mut permits = Permits::new(2);
        for flight in 1..=2 {
            permits.ask(FlightId(flight), Class::Background);
        }
        permits.ask(FlightId(3), Class::Client);
        assert_eq!(permits.grant(), Some((FlightId(3), Class::Client)));
        assert_eq!(permits.grant(), Some((FlightId(1), Class::Background)));
        permits.release(Class::Client);
        assert_eq!(permits.grant(), None, "the last permit is for clients");
        permits.ask(FlightId(4), Class::Client);
        assert_eq!(permits.grant(), Some((FlightId(4), Class::Client)));
    }

    #[test]
    fn one_permit_serves_both_in_turn() {
        let mut permits = Permits::new(1);
        permits.ask(FlightId(1), Class::Background);
        assert!(permits.grant().is_some());
        permits.ask(FlightId(2), Class::Client);
        assert_eq!(permits.grant(), None);
        permits.release(Class::Background);
        assert_eq!(permits.grant(), Some((FlightId(2), Class::Client)));
    }

    #[test]
    fn what_was_hurried_goes_before_clients_and_leaves_them_the_last_permit() {
        let mut permits = Permits::new(2);
        for flight in 1..=3 {
            permits.ask(FlightId(flight), Class::Background);
            permits.hurry(FlightId(flight));
        }
        permits.ask(FlightId(4), Class::Client);
        assert_eq!(permits.grant(), Some((FlightId(1), Class::Background)));
        assert_eq!(permits.grant(), Some((FlightId(4), Class::Client)));
        permits.release(Class::Client);
        assert_eq!(permits.grant(), None, "the last permit is for clients");
        permits.promote(FlightId(3));
        assert_eq!(permits.grant(), Some((FlightId(3), Class::Client)));
        permits.release(Class::Background);
        assert_eq!(permits.grant(), Some((FlightId(2), Class::Background)));
    }

    #[test]
    fn of_one_permit_clients_and_what_was_hurried_take_turns() {
        let mut permits = Permits::new(1);
        for flight in [1, 2] {
            permits.ask(FlightId(flight), Class::Background);
            permits.hurry(FlightId(flight));
            permits.ask(FlightId(10 + flight), Class::Client);
        }
        let mut order = Vec::new();
        while let Some((FlightId(flight), class)) = permits.grant() {
            order.push(flight);
            permits.release(class);
        }
        assert_eq!(order, [1, 11, 2, 12]);
    }

    #[test]
    fn a_withdrawn_flight_is_never_granted_and_a_promoted_one_is_a_client() {
        let mut permits = Permits::new(1);
        permits.ask(FlightId(1), Class::Client);
        permits.ask(FlightId(2), Class::Background);
        permits.withdraw(FlightId(1));
        permits.promote(FlightId(2));
        assert_eq!(permits.grant(), Some((FlightId(2), Class::Client)));
    }
}

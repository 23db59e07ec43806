//! Load that is shed: counted by its cause, and told in the log when it begins and when it is over.

use parking_lot::Mutex;

/// Why a client is turned away, or cut, although nothing is wrong with what it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// All connections are in use.
    Connections,
    /// This client has as many connections as one may have.
    ClientConnections,
    /// The system gives no thread for one more connection.
    Threads,
    /// The system gives no descriptor for one more connection.
    Descriptors,
    /// Too many request bodies are in memory.
    Bodies,
    /// Too many replies wait for clients that do not read.
    Outbox,
    /// Too many requests wait for the origin.
    Parked,
    /// A request waited too long for one of the connections to the origin.
    Permits,
}

/// How much was shed by each cause.
#[derive(Debug, Default)]
pub struct Sheds(Mutex<[Tally; Shed::ALL.len()]>);

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Since the start.
    all: u64,
    /// Since shedding by this cause began; 0 while there is none.
    episode: u64,
    /// What `episode` was when it was last looked at.
    seen: u64,
}

impl Shed {
    /// All of them, in the order `/health` has them.
    pub const ALL: [Shed; 8] = [
        Shed::Connections,
        Shed::ClientConnections,
        Shed::Threads,
        Shed::Descriptors,
        Shed::Bodies,
        Shed::Outbox,
        Shed::Parked,
        Shed::Permits,
    ];

    /// Its member in `/health`.
    pub fn name(self) -> &'static str {
        match self {
            Shed::Connections => "connections",
            Shed::ClientConnections => "clientConnections",
            Shed::Threads => "threads",
            Shed::Descriptors => "descriptors",
            Shed::Bodies => "bodies",
            Shed::Outbox => "outbox",
            Shed::Parked => "parked",
            Shed::Permits => "permits",
        }
    }

    /// The cause in the log, with its remedy where there is one.
    fn told(self) -> &'static str {
        match self {
            Shed::Connections => "all connections are in use (proxy.maxConnections)",
            Shed::ClientConnections => {
                "a client has all connections one may have (proxy.maxConnectionsPerClient)"
            }
            Shed::Threads => "the system refuses a thread; raise the limit on processes",
            Shed::Descriptors => "the system refuses a descriptor; raise the limit on open files",
            Shed::Bodies => "too many request bodies are in memory",
            Shed::Outbox => "too many replies wait for clients that do not read",
            Shed::Parked => "too many requests wait for the origin",
            Shed::Permits => "requests waited too long for a connection to the origin",
        }
    }
}

impl Sheds {
    /// Counts one more.
    pub fn note(&self, shed: Shed) {
        let first = {
            let tally = &mut self.0.lock()[shed as usize];
            tally.all += 1;
            tally.episode += 1;
            tally.episode == 1
        };
        if first {
            log::warn!("turning clients away: {}", shed.told());
        }
    }

    /// How many so far.
    pub fn count(&self, shed: Shed) -> u64 {
        self.0.lock()[shed as usize].all
    }

    /// Tells of each cause whether it is over: since the last look nobody was turned away. To be called now and then.
    pub fn look(&self) {
        for (shed, turned_away) in self.over() {
            log::warn!(
                "no longer turning clients away: {}; {turned_away} were",
                shed.told()
            );
        }
    }

    /// The causes that ended since the last look, and how many each turned away.
    fn over(&self) -> Vec<(Shed, u64)> {
        let mut tallies = self.0.lock();
        let ended = |tally: &mut Tally| {
            let over = tally.episode > 0 && tally.episode == tally.seen;
            let turned_away = if over {
                std::mem::take(&mut tally.episode)
            } else {
                0
            };
            tally.seen = tally.episode;
            over.then_some(turned_away)
        };
        let tallies = Shed::ALL.into_iter().zip(tallies.iter_mut());
        tallies
            .filter_map(|(shed, tally)| Some((shed, ended(tally)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_place() {
        for (place, shed) in Shed::ALL.into_iter().enumerate() {
            assert_eq!(shed as usize, place, "{}", shed.name());
        }
    }

    #[test]
    fn a_cause_is_over_when_nobody_was_turned_away_between_two_looks() {
        let sheds = Sheds::default();
        assert_eq!(sheds.over(), []);
        sheds.note(Shed::Threads);
        assert_eq!(sheds.over(), [], "it may go on");
        sheds.note(Shed::Threads);
        sheds.note(Shed::Bodies);
        assert_eq!(sheds.over(), []);
        assert_eq!(sheds.over(), [(Shed::Threads, 2), (Shed::Bodies, 1)]);
        assert_eq!(sheds.over(), []);
        sheds.note(Shed::Threads);
        assert_eq!(
            (sheds.over(), sheds.over()),
            (vec![], vec![(Shed::Threads, 1)])
        );
        assert_eq!(
            (
                sheds.count(Shed::Threads),
                sheds.count(Shed::Bodies),
                sheds.count(Shed::Parked)
            ),
            (3, 1, 0)
        );
    }
}

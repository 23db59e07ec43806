//! Rejected clients: counted by reason, and logged when rejecting begins and when it is over.

use parking_lot::Mutex;

/// Why a client is turned away, or cut, although nothing is wrong with what it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// All connections are in use.
    Connections,
    /// This client has as many connections as one may have.
    ClientConnections,
    /// Too many request bodies are in memory.
    Bodies,
    /// Too many replies wait for clients that do not read.
    UnsentReplies,
    /// Too many requests wait for the origin.
    Parked,
    /// A request waited too long for one of the connections to the origin.
    Permits,
}

/// How many clients were rejected, by reason.
#[derive(Debug, Default)]
pub struct Rejections(Mutex<[Tally; RejectReason::ALL.len()]>);

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Since the start.
    all: u64,
    /// Since rejecting for this reason began; 0 while there is none.
    episode: u64,
    /// What `episode` was when it was last looked at.
    seen: u64,
}

impl RejectReason {
    /// All of them, in the order `/health` has them.
    pub const ALL: [RejectReason; 6] = [
        RejectReason::Connections,
        RejectReason::ClientConnections,
        RejectReason::Bodies,
        RejectReason::UnsentReplies,
        RejectReason::Parked,
        RejectReason::Permits,
    ];

    /// Its member in `/health`.
    pub fn name(self) -> &'static str {
        match self {
            RejectReason::Connections => "connections",
            RejectReason::ClientConnections => "clientConnections",
            RejectReason::Bodies => "bodies",
            RejectReason::UnsentReplies => "outbox",
            RejectReason::Parked => "parked",
            RejectReason::Permits => "permits",
        }
    }

    /// The cause in the log, with its remedy where there is one.
    fn told(self) -> &'static str {
        match self {
            RejectReason::Connections => "all connections are in use (proxy.maxConnections)",
            RejectReason::ClientConnections => {
                "a client has all connections one may have (proxy.maxConnectionsPerClient)"
            }
            RejectReason::Bodies => "too many request bodies are in memory",
            RejectReason::UnsentReplies => "too many replies wait for clients that do not read",
            RejectReason::Parked => "too many requests wait for the origin",
            RejectReason::Permits => "requests waited too long for a connection to the origin",
        }
    }
}

impl Rejections {
    /// Counts one more.
    pub fn note(&self, reason: RejectReason) {
        let first = {
            let tally = &mut self.0.lock()[reason as usize];
            tally.all += 1;
            tally.episode += 1;
            tally.episode == 1
        };
        if first {
            log::warn!("turning clients away: {}", reason.told());
        }
    }

    /// How many so far.
    pub fn count(&self, reason: RejectReason) -> u64 {
        self.0.lock()[reason as usize].all
    }

    /// Tells of each cause whether it is over: since the last look nobody was turned away. To be called now and then.
    pub fn look(&self) {
        for (reason, turned_away) in self.over() {
            log::warn!(
                "no longer turning clients away: {}; {turned_away} were",
                reason.told()
            );
        }
    }

    /// The causes that ended since the last look, and how many each turned away.
    fn over(&self) -> Vec<(RejectReason, u64)> {
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
        let tallies = RejectReason::ALL.into_iter().zip(tallies.iter_mut());
        tallies
            .filter_map(|(reason, tally)| Some((reason, ended(tally)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_place() {
        for (place, reason) in RejectReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{}", reason.name());
        }
    }

    #[test]
    fn a_cause_is_over_when_nobody_was_turned_away_between_two_looks() {
        let rejections = Rejections::default();
        assert_eq!(rejections.over(), []);
        rejections.note(RejectReason::Connections);
        assert_eq!(rejections.over(), [], "it may go on");
        rejections.note(RejectReason::Connections);
        rejections.note(RejectReason::Bodies);
        assert_eq!(rejections.over(), []);
        assert_eq!(
            rejections.over(),
            [(RejectReason::Connections, 2), (RejectReason::Bodies, 1)]
        );
        assert_eq!(rejections.over(), []);
        rejections.note(RejectReason::Connections);
        assert_eq!(
            (rejections.over(), rejections.over()),
            (vec![], vec![(RejectReason::Connections, 1)])
        );
        assert_eq!(
            (
                rejections.count(RejectReason::Connections),
                rejections.count(RejectReason::Bodies),
                rejections.count(RejectReason::Parked)
            ),
            (3, 1, 0)
        );
    }
}

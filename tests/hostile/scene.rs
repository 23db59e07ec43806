//! The program under attack: started, asked by others meanwhile, and looked at afterwards.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Client, Figures, Origin, Proc, Start, config_for, eventually};

/// What the whole program may have in memory under attack, KiB. Built without optimisation it is a larger program.
pub const MAX_RSS_KIB: u64 = if cfg!(debug_assertions) { 48 } else { 32 } * 1024;

/// The program under attack, in front of an origin that answers everything with the target's text.
pub struct Target {
    pub origin: Origin,
    pub proc: Proc,
    before: Figures,
}

impl Target {
    /// Starts it with `configuration` on top of the least that works, and with that many descriptors. It is asked once, so that
    /// what it needs for one client is not taken for a leak.
    pub fn start(configuration: Value, descriptors: u32) -> Target {
        let origin = Origin::answering(|seen| Answer::ok(&seen.target));
        let proc = Start::with(config_for(&origin, configuration))
            .descriptors(descriptors)
            .run();
        Target::of(origin, proc)
    }

    /// As [`Target::start`], for a program that was started otherwise.
    pub fn of(origin: Origin, proc: Proc) -> Target {
        proc.client().get("/hit").expect("MISS", "/hit");
        let before = proc.figures();
        Target {
            origin,
            proc,
            before,
        }
    }

    /// How many were turned away by this cause, as `/health` has it.
    pub fn rejected(&self, cause: &str) -> u64 {
        self.health()["shed"][cause]
            .as_u64()
            .expect("a cause of that name")
    }

    /// What `/health` says.
    pub fn health(&self) -> Value {
        serde_json::from_str(&self.stranger().get("/health").text()).expect("JSON")
    }

    /// As [`Target::start`], with the defaults and enough descriptors.
    pub fn with_defaults() -> Target {
        Target::start(json!({}), 4096)
    }

    /// A client from another address than the attackers'.
    pub fn stranger(&self) -> Client {
        Client::connect_from(Ipv4Addr::new(127, 0, 0, 9), self.proc.addr())
    }

    /// Panics unless the next client is served: a hit, a miss and a POST.
    #[track_caller]
    pub fn serves_others(&self) {
        let mut client = self.stranger();
        client.get("/hit").expect("HIT", "/hit");
        let miss = format!("/miss-{}", self.origin.requests());
        client.get(&miss).expect("MISS", &miss);
        client
            .request("POST", "/honest", &[], b"whole")
            .expect("BYPASS", "/honest");
    }

    /// Panics unless others are served, what the attack took is given back, and memory was never above [`MAX_RSS_KIB`].
    #[track_caller]
    pub fn unharmed(&self) {
        self.recovers();
        let before = self.before;
        let now = self.proc.figures();
        assert!(
            now.peak_kib <= MAX_RSS_KIB,
            "before {before:?}, after {now:?}"
        );
    }

    /// Panics unless others are served, and threads and descriptors are given back.
    #[track_caller]
    pub fn recovers(&self) {
        self.serves_others();
        let before = self.before;
        // Threads of closed connections linger for some seconds before they end.
        let settled = eventually(|| {
            let now = self.proc.figures();
            now.threads <= before.threads + 8 && now.descriptors <= before.descriptors + 8
        });
        let now = self.proc.figures();
        println!("before {before:?}, after {now:?}");
        assert!(settled, "not given back: before {before:?}, after {now:?}");
    }
}

/// How long each of many requests took.
#[derive(Default)]
pub struct Waits(Vec<Duration>);

impl Waits {
    /// Measures one request.
    pub fn measure<T>(&mut self, request: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = request();
        self.add(begun.elapsed());
        done
    }

    /// Adds a request that took so long.
    pub fn add(&mut self, wait: Duration) {
        self.0.push(wait);
    }

    /// The wait that this share of the requests, 0 to 1, did not exceed.
    #[track_caller]
    pub fn quantile(&mut self, share: f64) -> Duration {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1).expect("at least one request");
        self.0[(last as f64 * share).round() as usize]
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sorted = Waits(self.0.clone());
        let half = sorted.quantile(0.5);
        let most = sorted.quantile(0.99);
        let all = sorted.quantile(1.0);
        write!(
            f,
            "{} requests: p50 {half:?}, p99 {most:?}, longest {all:?}",
            self.0.len()
        )
    }
}

/// What others wait while something goes on: for a hit, a miss and a POST, each answered rightly.
#[derive(Default)]
pub struct Others {
    hits: Waits,
    rest: Waits,
}

impl Others {
    /// Asks that often for each, as somebody from another address than the attackers'. `when` names the misses; asked again,
    /// they are others.
    #[track_caller]
    pub fn ask(&mut self, target: &Target, when: &str, rounds: usize) {
        let mut client = target.stranger();
        for _ in 0..rounds {
            self.hits
                .measure(|| client.get("/hit"))
                .expect("HIT", "/hit");
            let miss = format!("/{when}-{}", self.hits.0.len());
            self.rest
                .measure(|| client.get(&miss))
                .expect("MISS", &miss);
            self.rest
                .measure(|| client.request("POST", &miss, &[], b"whole"))
                .expect("BYPASS", &miss);
        }
    }

    /// Prints these, then those measured under load, and how much longer hits took.
    pub fn beside(&mut self, loaded: &mut Others) {
        for (when, waits) in [("without", &*self), ("loaded", &*loaded)] {
            println!(
                "{when}: hits: {}; misses and POSTs: {}",
                waits.hits, waits.rest
            );
        }
        let mut times = |share| {
            loaded.hits.quantile(share).as_secs_f64() / self.hits.quantile(share).as_secs_f64()
        };
        let [half, most] = [0.5, 0.99].map(&mut times);
        println!("hits took {half:.1} times as long at p50, {most:.1} times at p99");
    }

    /// The longest wait of all.
    pub fn longest(&mut self) -> Duration {
        self.hits.quantile(1.0).max(self.rest.quantile(1.0))
    }
}

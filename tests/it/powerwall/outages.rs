//! Must-show 2: the recorded outages, second by second.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::scene::{age, expect_nothing, is_empty};
use super::{POLLED, PROXY, SERVER, Scene};
use crate::support::{Replay, Reply, eventually};

/// The recorded slowness passes so many times as fast, and the timeouts with it.
const SPEED: u32 = 40;

/// A return is noticed within 30 s and one request; a probe may come a tenth later, and the clocks differ by a second.
const LATEST_RETURN: usize = 34;

/// An outage under watch. A page asks for everything, second by second.
struct Watch {
    scene: Scene,
    /// With the lifetime the preset gives each, in seconds.
    targets: Vec<(&'static str, u64)>,
    /// Answers come late, so that slowGrace may count: once more the lifetime. Otherwise graceTime does.
    slow: bool,
    /// How often the answer was that there is none.
    refused: HashMap<&'static str, usize>,
}

impl Watch {
    /// Everything is good and fresh when this returns.
    fn over(program: (&str, &str), kind: &str, slow: bool) -> Watch {
        let origin = Replay::outage(program.0, program.1, kind, SPEED);
        let fast = json!({ "backend": { "firstByteTimeout": 10000 / SPEED },
            "cache": { "slowRequestTimeout": 2000 / SPEED } });
        let scene = Scene::with(origin, if slow { fast } else { json!({}) });
        let polled = POLLED.into_iter().map(|(target, _, ttl)| (target, ttl));
        let others =
            ["/csv", "/json", "/vitals", "/version", "/pw/level"].map(|target| (target, 30));
        // Where a home's good answer is empty, an outage looks the same.
        let told = |target: &str| {
            scene
                .origin
                .healthy()
                .find("GET", target)
                .is_some_and(|r| !is_empty(&r.reply.body))
        };
        let targets: Vec<_> = polled
            .chain(others)
            .filter(|(target, _)| told(target))
            .collect();
        scene.warm(
            &targets
                .iter()
                .map(|(target, _)| *target)
                .collect::<Vec<_>>(),
        );
        Watch {
            scene,
            targets,
            slow,
            refused: HashMap::new(),
        }
    }

    /// Lets it go on until that second: Larder is asked for everything every `step` seconds.
    fn watch(&mut self, until: u64, step: usize) {
        for second in (1..=until).step_by(step) {
            self.scene.origin.at(second);
            self.ask_for_all(second, step as u64);
            if !self.slow {
                self.expect_closed();
            }
        }
    }

    /// The origin answers, whatever it says: its circuit breaker is for failures of its own.
    #[track_caller]
    fn expect_closed(&self) {
        let health: Value = serde_json::from_slice(&self.scene.get("/health").body).expect("JSON");
        assert_eq!(
            health["upstreams"]["default"]["breaker"], "closed",
            "{health}"
        );
    }

    /// Lets time pass. Where slowness is the scenario, it passes on both sides: the sockets' time is real.
    fn pass(&self, seconds: u64) {
        let whole = Duration::from_secs(seconds);
        let real = if self.slow {
            whole / SPEED
        } else {
            Duration::ZERO
        };
        self.scene.pass(whole - real);
        std::thread::sleep(real);
    }

    fn ask_for_all(&mut self, second: u64, step: u64) {
        self.pass(step);
        for (target, ttl) in self.targets.clone() {
            let before = self.true_age(target);
            // What the origin said until then has arrived; what comes later is in the span.
            assert!(eventually(|| self.scene.is_settled()));
            let reply = self.scene.get(target);
            let ages = (self.true_age(target).min(before), before + 1);
            self.judge(second, target, ttl, &reply, ages);
        }
    }

    /// Seconds since the origin last had a good answer.
    fn true_age(&self, target: &str) -> u64 {
        let good = self
            .scene
            .origin
            .last_good(target)
            .expect("it was good once");
        self.scene.origin.now().saturating_sub(good).as_secs()
    }

    /// `ages`: what its age may be. A refresh on the way while it was sent makes a span of it.
    fn judge(
        &mut self,
        second: u64,
        target: &'static str,
        ttl: u64,
        reply: &Reply,
        ages: (u64, u64),
    ) {
        let at = format!("second {second}, {target}, good {ages:?} s ago: {reply:?}");
        if reply.status == 200 {
            self.scene.expect_good(target, reply);
            let told = age(reply);
            assert!(
                ages.0 <= told + 1 && told <= ages.1 + 1,
                "another age: {at}"
            );
            let allowed = ttl + if self.slow { ttl.max(30) } else { 30 };
            // What is not polled may live by the default.
            assert!(told <= allowed || !is_polled(target), "too old: {at}");
        } else {
            expect_nothing(target, reply);
            assert!(ages.1 + 1 >= ttl + 30, "withheld: {at}");
            *self.refused.entry(target).or_default() += 1;
        }
    }

    #[track_caller]
    fn expect_ended(&self, targets: &[&str]) {
        for target in targets {
            assert!(
                self.refused.contains_key(target),
                "{target}: its last good answer never ended"
            );
        }
    }

    /// The gateway is back: within half a minute and one request everything polled is good and new.
    fn recover(&self) {
        // What hangs at that moment still ends as it would have: the one request, which is not counted below.
        self.scene.finish();
        self.scene.origin.at(0);
        let back = self.scene.origin.now();
        let mut left: Vec<&str> = self
            .targets
            .iter()
            .map(|(target, _)| *target)
            .filter(|t| is_polled(t))
            .collect();
        for _ in 0..LATEST_RETURN {
            self.pass(1);
            left.retain(|target| {
                let reply = self.scene.get(target);
                let since = self.scene.origin.now() - back;
                reply.status != 200 || age(&reply) > since.as_secs()
            });
        }
        let since = |target| {
            self.scene
                .origin
                .times(target)
                .into_iter()
                .filter(|at| *at >= back)
                .map(|at| at - back)
        };
        let asked: Vec<_> = left
            .iter()
            .map(|target| (target, since(target).collect::<Vec<_>>()))
            .collect();
        assert!(
            left.is_empty(),
            "still old or refused, and when they were asked: {asked:?}"
        );
    }
}

fn is_polled(target: &str) -> bool {
    POLLED.iter().any(|(polled, ..)| *polled == target)
}

#[test]
fn must_show_2_the_proxys_gateway_is_gone() {
    let mut outage = Watch::over(PROXY, "refused", false);
    outage.watch(170, 1);
    outage.expect_ended(&[
        "/aggregates",
        "/soe",
        "/strings",
        "/csv/v2",
        "/pod",
        "/temps/pw",
    ]);
    outage.recover();
}

#[test]
fn must_show_2_the_servers_gateways_are_gone() {
    let mut outage = Watch::over(SERVER, "refused", false);
    outage.watch(190, 1);
    outage.expect_ended(&["/aggregates", "/soe", "/strings", "/csv/v2", "/temps/pw"]);
    outage.recover();
}

#[test]
fn must_show_2_the_proxys_gateway_hangs() {
    let mut outage = Watch::over(PROXY, "hung", true);
    outage.watch(130, 2);
    outage.expect_ended(&["/aggregates", "/strings"]);
    outage.recover();
}

#[test]
fn must_show_2_the_servers_gateways_hang() {
    let mut outage = Watch::over(SERVER, "hung", false);
    outage.watch(130, 2);
    outage.expect_ended(&["/aggregates", "/csv/v2"]);
    outage.recover();
}

#[test]
fn r5_a_closed_port_and_its_return() {
    let mut outage = Watch::over(PROXY, "refused", false);
    // All would be well, could it be reached.
    outage.scene.origin.close();
    (1..=100).for_each(|second| outage.ask_for_all(second, 1));
    outage.expect_ended(&["/aggregates", "/soe", "/csv/v2"]);
    outage.scene.origin.open();
    outage.recover();
}

#[test]
fn must_show_2_the_first_answer_after_a_start_into_an_outage_is_none() {
    for program in [PROXY, SERVER] {
        let origin = Replay::outage(program.0, program.1, "refused", SPEED);
        origin.at(60);
        let scene = Scene::before(origin);
        for (target, ..) in POLLED {
            let good = scene.good_body(target);
            // What looks the same in both states proves nothing.
            if is_empty(good) {
                continue;
            }
            for _ in 0..2 {
                expect_nothing(target, &scene.get_at_once(target));
            }
        }
    }
}

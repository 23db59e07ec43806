//! Who is left alone, and until when.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use super::super::failure_table::MAX_FAILING;
use super::*;

const REFUSED: Heard = Heard::Failure(Cause::Fetch(FetchError::Connect), None);
const SILENT: Heard = Heard::Failure(Cause::Fetch(FetchError::FirstByteTimeout), None);
const BAD: Heard = Heard::Failure(Cause::CheckFailed, None);
const ERROR: Heard = Heard::Failure(Cause::Status(500), None);

/// A backoff, and the passes of those who asked.
struct Asked {
    backoff: Backoff<String>,
    tokens: HashMap<String, ProbeToken>,
}

impl Asked {
    /// Whether it may be asked; if so, it is.
    fn may(&mut self, whose: Whose<&String>, now: Now) -> bool {
        let Permission::Go(token) = self.backoff.permission(whose, now) else {
            return false;
        };
        if let Whose::Key(key) | Whose::Related(key) = whose {
            self.tokens.insert(key.clone(), token);
        }
        true
    }

    /// Who asked has ended like this.
    fn report(&mut self, whose: Whose<&String>, heard: Heard, polled: bool, now: Now) -> Change {
        let (Whose::Key(key) | Whose::Related(key)) = whose else {
            panic!("somebody asks for a key")
        };
        let token = self.tokens.remove(key).unwrap_or_default();
        self.backoff.report(whose, token, heard, polled, now)
    }
}

impl Deref for Asked {
    type Target = Backoff<String>;

    fn deref(&self) -> &Backoff<String> {
        &self.backoff
    }
}

impl DerefMut for Asked {
    fn deref_mut(&mut self) -> &mut Backoff<String> {
        &mut self.backoff
    }
}

fn backoff() -> Asked {
    let steps = [5, 10, 30, 60, 120].map(Duration::from_secs).to_vec();
    let schedule = Schedule {
        steps,
        max_retry_after: Duration::from_secs(300),
    };
    Asked {
        backoff: Backoff::new(schedule, 7),
        tokens: HashMap::new(),
    }
}

fn at(seconds: f64) -> Now {
    Now {
        mono: Duration::from_secs_f64(1000.0 + seconds),
        wall: Duration::ZERO,
    }
}

fn key(path: &str) -> String {
    path.to_owned()
}

fn waits(backoff: &mut Asked, key: &String, now: Now) -> Option<f64> {
    match backoff.permission(Whose::Key(key), now) {
        Permission::Go(token) => {
            backoff.tokens.insert(key.clone(), token);
            None
        }
        Permission::Wait(_, until) => Some((until - now.mono).as_secs_f64()),
    }
}

#[test]
fn r4_a_refused_origin_is_probed_at_5_10_30_and_then_every_30_seconds_by_one_request() {
    let mut backoff = backoff();
    let a = key("/a");
    let b = key("/b");
    let mut now = 0.0;
    for step in [5.0, 10.0, 30.0, 30.0, 30.0] {
        backoff.report(Whose::Key(&a), REFUSED, true, at(now));
        let wait = waits(&mut backoff, &b, at(now)).expect("everybody waits");
        assert!(
            wait <= step && wait >= step * 0.9 - 0.01,
            "{wait} of {step}"
        );
        now += step;
        assert_eq!(waits(&mut backoff, &b, at(now)), None, "the probe");
        assert!(
            waits(&mut backoff, &a, at(now)).is_some(),
            "one probe at a time"
        );
    }
    assert_eq!(
        backoff.report(Whose::Key(&b), Heard::Answer, true, at(now)),
        Change::OriginUp
    );
    assert_eq!(waits(&mut backoff, &a, at(now)), None);
}

#[test]
fn c22_a_bad_body_blocks_its_key_alone() {
    let mut backoff = backoff();
    let bad = key("/bad");
    let good = key("/good");
    assert!(matches!(
        backoff.report(Whose::Key(&bad), BAD, false, at(0.0)),
        Change::KeyDown(_)
    ));
    assert!(waits(&mut backoff, &bad, at(1.0)).is_some());
    assert_eq!(waits(&mut backoff, &good, at(1.0)), None);
    assert_eq!(waits(&mut backoff, &bad, at(5.0)), None);
}

#[test]
fn what_goes_alone_heeds_the_key_and_harms_only_its_like() {
    let mut backoff = backoff();
    let a = key("/a");
    let may = |backoff: &mut Asked, whose, now| backoff.may(whose, at(now));
    let told = Heard::Failure(Cause::Status(429), Some(Duration::from_secs(60)));

    assert!(matches!(
        backoff.report(Whose::Related(&a), told, false, at(0.0)),
        Change::KeyDown(_)
    ));
    assert!(
        may(&mut backoff, Whose::Key(&a), 1.0),
        "the key itself is well"
    );
    assert!(
        !may(&mut backoff, Whose::Related(&a), 59.9),
        "as long as it was told"
    );
    assert!(
        may(&mut backoff, Whose::Related(&a), 60.0) && !may(&mut backoff, Whose::Related(&a), 60.0),
        "one probe"
    );
    backoff.report(Whose::Related(&a), Heard::Answer, false, at(60.0));

    backoff.report(Whose::Key(&a), BAD, false, at(100.0));
    assert!(
        !may(&mut backoff, Whose::Related(&a), 101.0) && may(&mut backoff, Whose::Nobody, 101.0)
    );
    backoff.report(Whose::Related(&a), Heard::Answer, false, at(101.0));
    assert!(
        !may(&mut backoff, Whose::Key(&a), 101.0),
        "no head shows that a body is good again"
    );
    // Nor is it the probe of the key.
    assert!(
        may(&mut backoff, Whose::Related(&a), 110.0) && may(&mut backoff, Whose::Key(&a), 110.0)
    );
    assert!(
        !may(&mut backoff, Whose::Related(&a), 110.0),
        "while that is on its way"
    );
}

#[test]
fn what_goes_alone_counts_for_the_origin_and_not_among_its_silent_keys() {
    let mut backoff = backoff();
    let keys = ["/a", "/b", "/c"].map(key);
    for key in &keys {
        backoff.report(Whose::Key(key), Heard::Answer, true, at(0.0));
        backoff.report(Whose::Related(key), Heard::Answer, false, at(0.0));
    }
    for key in &keys {
        backoff.report(Whose::Related(key), SILENT, false, at(1.0));
    }
    assert_eq!(backoff.origin_failure(), None);
    assert!(matches!(
        backoff.report(Whose::Related(&keys[0]), REFUSED, false, at(2.0)),
        Change::OriginDown(_)
    ));
    assert_eq!(
        backoff.report(Whose::Related(&keys[1]), Heard::Answer, false, at(8.0)),
        Change::OriginUp
    );
}

#[test]
fn steps_beyond_30_seconds_are_for_keys_that_are_not_polled() {
    for (polled, longest) in [(true, 30.0), (false, 120.0)] {
        let mut backoff = backoff();
        let a = key("/a");
        for _ in 0..9 {
            backoff.report(Whose::Key(&a), BAD, polled, at(0.0));
        }
        let wait = waits(&mut backoff, &a, at(0.0)).expect("waits");
        assert!(wait <= longest && wait > longest * 0.89, "{wait}");
    }
}

#[test]
fn three_known_keys_fallen_silent_are_a_hung_origin_and_one_answer_between_is_not() {
    let mut backoff = backoff();
    let keys = ["/a", "/b", "/c"].map(key);
    for known in &keys {
        backoff.report(Whose::Key(known), Heard::Answer, true, at(0.0));
    }
    backoff.report(Whose::Key(&keys[0]), SILENT, true, at(1.0));
    backoff.report(Whose::Key(&keys[1]), SILENT, true, at(1.0));
    backoff.report(Whose::Key(&keys[1]), Heard::Answer, true, at(2.0));
    backoff.report(Whose::Key(&keys[2]), SILENT, true, at(3.0));
    backoff.report(Whose::Key(&keys[0]), SILENT, true, at(3.0));
    assert!(backoff.origin_failure().is_none());
    let change = backoff.report(Whose::Key(&keys[1]), SILENT, true, at(3.0));
    assert!(matches!(change, Change::OriginDown(_)));
}

#[test]
fn keys_that_never_answered_do_not_make_the_origin_hung() {
    let mut backoff = backoff();
    for n in 0..50 {
        backoff.report(
            Whose::Key(&key(&format!("/random/{n}"))),
            SILENT,
            false,
            at(0.0),
        );
    }
    assert!(backoff.origin_failure().is_none());
}

#[test]
fn retry_after_wins_up_to_its_cap() {
    let mut backoff = backoff();
    let a = key("/a");
    for (asked, waited) in [(1, 1.0), (60, 60.0), (86_400, 300.0)] {
        let heard = Heard::Failure(Cause::Status(429), Some(Duration::from_secs(asked)));
        backoff.report(Whose::Key(&a), heard, true, at(0.0));
        assert_eq!(waits(&mut backoff, &a, at(0.0)), Some(waited));
    }
}

#[test]
fn a_probe_that_was_never_sent_leaves_its_place() {
    let mut backoff = backoff();
    let a = key("/a");
    backoff.report(Whose::Key(&a), REFUSED, true, at(0.0));
    assert_eq!(waits(&mut backoff, &a, at(6.0)), None);
    let token = backoff.tokens.remove(&a).expect("it may go");
    backoff.withdraw(Whose::Key(&a), token);
    assert_eq!(waits(&mut backoff, &a, at(6.0)), None);
}

#[test]
fn a_probe_of_a_key_that_finds_the_whole_origin_down_does_not_block_its_key_for_ever() {
    for found in [REFUSED, SILENT] {
        let mut backoff = backoff();
        let a = key("/a");
        let b = key("/b");
        backoff.report(Whose::Key(&a), BAD, true, at(0.0));
        backoff.report(Whose::Key(&b), REFUSED, true, at(0.0));
        assert_eq!(waits(&mut backoff, &a, at(6.0)), None, "the probe of both");
        backoff.report(Whose::Key(&a), found, true, at(7.0));
        backoff.report(Whose::Key(&b), Heard::Answer, true, at(20.0));
        assert_eq!(waits(&mut backoff, &a, at(20.0)), None, "{found:?}");
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut backoff = backoff();
    for n in 0..5000 {
        backoff.report(Whose::Key(&key(&format!("/{n}"))), BAD, false, at(0.0));
        backoff.report(
            Whose::Key(&key(&format!("/good/{n}"))),
            Heard::Answer,
            false,
            at(0.0),
        );
    }
    assert!(backoff.failing_keys() <= MAX_FAILING && backoff.known.len() <= MAX_KEYS);
}

/// A request for this path ends: reported, and counted.
fn ends(backoff: &mut Asked, path: &str, heard: Heard, now: Now) -> bool {
    backoff.report(Whose::Key(&key(path)), heard, false, now);
    backoff.count(&key(path), heard, now).is_some()
}

/// Requests of five known keys, `answers` of which are answered and then `failures` not. Says whether that opened the breaker.
fn after(answers: usize, failures: usize, failure: Heard) -> bool {
    let mut backoff = backoff();
    for path in 0..5 {
        ends(&mut backoff, &path.to_string(), Heard::Answer, at(-20.0));
    }
    let one =
        |backoff: &mut Asked, n: usize, heard| ends(backoff, &(n % 5).to_string(), heard, at(0.0));
    (0..answers).for_each(|n| assert!(!one(&mut backoff, n, Heard::Answer)));
    let opened = (0..failures)
        .filter(|n| one(&mut backoff, *n, failure))
        .count();
    assert_eq!(opened > 0, backoff.breaker(at(0.0)) == Breaker::Open);
    opened > 0
}

#[test]
fn r11_the_breaker_opens_when_half_of_ten_requests_fail() {
    let truncated = Heard::Failure(Cause::Fetch(FetchError::Truncated), None);
    let busy = Heard::Failure(Cause::Status(429), Some(Duration::from_secs(5)));
    let cases = [
        (5, 5, ERROR, true),
        (0, 10, ERROR, true),
        (5, 5, truncated, true),
        (4, 5, ERROR, false),
        (6, 5, ERROR, false),
        (5, 5, BAD, false),
        (5, 5, busy, false),
        (0, 100, BAD, false),
    ];
    for (answers, failures, failure, expected) in cases {
        assert_eq!(
            after(answers, failures, failure),
            expected,
            "{answers} answers, {failures} of {failure:?}"
        );
    }
}

#[test]
fn r11_two_keys_however_often_and_ends_long_ago_open_nothing() {
    let mut breaker = backoff();
    for n in 0..50 {
        assert!(!ends(&mut breaker, &(n % 2).to_string(), ERROR, at(0.0)));
    }
    let mut breaker = backoff();
    for n in 0..50 {
        assert!(
            !ends(&mut breaker, &n.to_string(), ERROR, at(f64::from(n) * 1.2)),
            "nine in ten seconds"
        );
    }
}

#[test]
fn r11_keys_that_never_answered_say_nothing_while_others_answer() {
    let mut breaker = backoff();
    assert!(!ends(&mut breaker, "/good", Heard::Answer, at(0.0)));
    for n in 0..100 {
        assert!(!ends(
            &mut breaker,
            &format!("/invented/{n}"),
            ERROR,
            at(1.0)
        ));
    }
    // With nothing but failures there is no telling them apart.
    let opened =
        (0..100).position(|n| ends(&mut breaker, &format!("/invented/{n}"), ERROR, at(20.0)));
    assert_eq!(opened, Some(9));
}

#[test]
fn r11_half_open_is_one_probe_and_its_end_decides() {
    let tripped = || {
        let mut breaker = backoff();
        assert_eq!(
            (0..10).position(|n| ends(&mut breaker, &n.to_string(), ERROR, at(0.0))),
            Some(9)
        );
        assert_eq!(breaker.breaker(at(0.0)), Breaker::Open);
        breaker
    };
    let answer = Heard::Answer;
    let retry = Heard::Failure(Cause::Status(503), Some(Duration::from_secs(200)));
    // What the probe hears, the state then, and how long everybody waits.
    let cases = [
        (answer, Breaker::Closed, None),
        (BAD, Breaker::Closed, None),
        (ERROR, Breaker::Open, Some(10.0)),
        (SILENT, Breaker::Open, Some(10.0)),
        (REFUSED, Breaker::Open, Some(10.0)),
        (retry, Breaker::Open, Some(200.0)),
    ];
    for (heard, state, waited) in cases {
        let mut breaker = tripped();
        let a = key("/a");
        let b = key("/b");
        // Answers to what was asked before, good or bad, change nothing.
        ends(&mut breaker, "/late", Heard::Answer, at(1.0));
        ends(&mut breaker, "/late", ERROR, at(1.0));
        assert_eq!(breaker.breaker(at(1.0)), Breaker::Open);
        assert!(waits(&mut breaker, &a, at(1.0)).is_some_and(|wait| wait <= 4.0));
        assert_eq!(
            breaker.breaker(at(5.0)),
            Breaker::HalfOpen,
            "a probe is due"
        );
        assert_eq!(waits(&mut breaker, &a, at(5.0)), None);
        assert_eq!(breaker.breaker(at(5.0)), Breaker::HalfOpen);
        assert!(waits(&mut breaker, &b, at(5.0)).is_some(), "exactly one");
        ends(&mut breaker, "/a", heard, at(5.0));
        assert_eq!(breaker.breaker(at(5.0)), state, "{heard:?}");
        let wait = waits(&mut breaker, &b, at(5.0));
        let near = |wait: f64, told: f64| wait <= told && wait >= told * 0.9 - 0.01;
        assert!(
            wait.zip(waited)
                .map_or(wait == waited, |(wait, told)| near(wait, told)),
            "{heard:?}: {wait:?}"
        );
    }
}

#[test]
fn r11_only_the_probe_decides_however_late_the_others_come() {
    for (heard, state) in [(Heard::Answer, Breaker::Closed), (ERROR, Breaker::Open)] {
        let mut breaker = backoff();
        assert!((0..10).any(|n| ends(&mut breaker, &n.to_string(), ERROR, at(0.0))));
        assert_eq!(waits(&mut breaker, &key("/probe"), at(5.0)), None);
        ends(&mut breaker, "/late", ERROR, at(6.0));
        ends(&mut breaker, "/late", Heard::Answer, at(6.0));
        breaker.withdraw(Whose::Key(&key("/late")), ProbeToken::default());
        assert_eq!(
            breaker.breaker(at(6.0)),
            Breaker::HalfOpen,
            "the probe is still out"
        );
        assert!(
            waits(&mut breaker, &key("/other"), at(6.0)).is_some(),
            "and the only one"
        );
        ends(&mut breaker, "/probe", heard, at(7.0));
        assert_eq!(breaker.breaker(at(7.0)), state);
    }
}

#[test]
fn a_failure_of_what_was_asked_before_shortens_no_wait() {
    let told = Heard::Failure(Cause::Status(429), Some(Duration::from_secs(60)));
    let mut backoff = backoff();
    let a = key("/a");
    for whose in [Whose::Key(&a), Whose::Related(&a)] {
        backoff.report(whose, told, true, at(0.0));
        backoff.report(whose, SILENT, true, at(5.0));
        assert_eq!(
            backoff.permission(whose, at(5.0)),
            Permission::Wait(Cause::Fetch(FetchError::FirstByteTimeout), at(60.0).mono)
        );
        backoff.report(whose, Heard::Answer, true, at(6.0));
    }
}

#[test]
fn a_closed_breaker_has_forgotten_what_opened_it() {
    let mut breaker = backoff();
    assert_eq!(
        (0..10).position(|n| ends(&mut breaker, &n.to_string(), ERROR, at(0.0))),
        Some(9)
    );
    assert_eq!(waits(&mut breaker, &key("/a"), at(5.0)), None);
    ends(&mut breaker, "/a", Heard::Answer, at(5.0));
    assert!(!ends(&mut breaker, "/b", ERROR, at(5.0)));
    assert_eq!(breaker.breaker(at(5.0)), Breaker::Closed);
}

#[test]
fn fault_e7_waits_for_checks_end_and_no_others() {
    let mut backoff = backoff();
    let never = Heard::Failure(Cause::Status(500), None);
    assert!(!backoff.end_waits_for_checks(at(0.0)), "nothing waits");
    backoff.report(Whose::Key(&key("/bad")), BAD, false, at(0.0));
    backoff.report(Whose::Key(&key("/500")), never, false, at(0.0));
    assert!(backoff.end_waits_for_checks(at(1.0)));
    assert!(!backoff.end_waits_for_checks(at(1.0)), "once");
    assert_eq!(waits(&mut backoff, &key("/bad"), at(1.0)), None);
    assert!(waits(&mut backoff, &key("/500"), at(1.0)).is_some());
    // What fails again waits as after a second failure in a row.
    backoff.report(Whose::Key(&key("/bad")), BAD, false, at(1.0));
    assert_eq!(backoff.keys.failures(&key("/bad")), 2);
}

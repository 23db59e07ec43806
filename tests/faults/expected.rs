//! What a client gets when an origin fails, by the documents. PURE: no line here looks at what Larder does.

use super::fault::{Fault, How, Means, Whose};

/// A day, in seconds: how long something is kept for when the origin cannot be reached (docs/decisions/0016).
const DAY: u64 = 86_400;
/// `Cache-Status` of what is answered from the store at once.
const HIT: &str = "larder; hit";

/// How long a stored answer lives, in seconds, and how far past that it replaces its origin.
pub struct Life {
    /// It is fresh up to this age.
    pub ttl: u64,
    /// It is refreshed in the background from this age on.
    pub refreshed_from: Option<u64>,
    /// While the origin is at work on the next.
    pub late: u64,
    /// After a limit ran out.
    pub timed_out: u64,
    /// After the origin was not reached, or broke off.
    pub unreachable: u64,
    /// After an error status, or a failed Check.
    pub failed: u64,
    /// It is the user's word. Otherwise it is the origin's own, and there are no rules and no Checks.
    pub is_users: bool,
}

/// `cacheTTL` 100, `staleTime` 50, `slowGrace` 300, `graceTime` 200.
pub const RULE: Life = Life {
    ttl: 100,
    refreshed_from: Some(50),
    late: 300,
    timed_out: 300,
    unreachable: 200,
    failed: 200,
    is_users: true,
};

/// `max-age=100`: while the origin cannot be reached RFC 9111 §4.2.4 lets it stand in, for anything else it does not.
pub const MAX_AGE: Life = Life {
    ttl: 100,
    refreshed_from: None,
    late: 0,
    timed_out: DAY,
    unreachable: DAY,
    failed: 0,
    is_users: false,
};

/// `max-age=100, stale-if-error=200` (RFC 5861 §4).
pub const STALE_IF_ERROR: Life = Life {
    failed: 200,
    ..MAX_AGE
};

/// The request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
}

/// Which of two equal requests, the second after all of the first is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    First,
    Second,
}

/// Whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The stored one.
    Stored,
    /// The one that came late.
    Next,
    /// What the failing origin said.
    Origins,
    /// Our error, with this word.
    Ours(&'static str),
    /// The origin's, and the connection ends before it is whole.
    CutShort,
}

/// What a client gets, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub status: u16,
    pub body: From,
    /// `Age`. `None`: there is none.
    pub age: Option<u64>,
    /// `Retry-After`. `None`: there is none.
    pub retry_after: Option<u64>,
    /// `Cache-Status`, without its `ttl`.
    pub cache_status: String,
    /// `ttl` of `Cache-Status`. `None`: there is none.
    pub ttl: Option<i64>,
    /// Requests the origin gets.
    pub asks: usize,
}

impl Life {
    /// The age from which it is of no use to anybody.
    fn end(&self) -> u64 {
        self.ttl
            + self
                .late
                .max(self.timed_out)
                .max(self.unreachable)
                .max(self.failed)
    }
}

impl Expected {
    /// `X-Cache-Status` (SEMANTICS "Status words").
    pub fn x_cache_status(&self) -> &'static str {
        let goes_alone = ["; detail=method", "; detail=head"]
            .iter()
            .any(|detail| self.cache_status.ends_with(detail));
        match self.body {
            From::Stored => "HIT",
            _ if self.cache_status == HIT => "HIT",
            _ if goes_alone => "BYPASS",
            _ => "MISS",
        }
    }
}

/// What a client gets that sends `method` when `age` seconds ago a good answer was stored. `None`: nothing was.
pub fn expected(
    life: &Life,
    fault: &Fault,
    age: Option<u64>,
    method: Method,
    turn: Turn,
) -> Expected {
    let age = age.filter(|age| *age < life.end());
    let fresh = age.filter(|age| *age < life.ttl && method != Method::Post);
    if let Some(age) = fresh {
        return while_fresh(life, fault, age, turn);
    }
    if turn == Turn::Second && method == Method::Get && replaces(life, fault, age) {
        return hit(life, From::Next, 0, 0);
    }
    let is_gone = turn == Turn::Second && contradicts(life, fault, method);
    // What is stored is of no use to a POST (RFC 9110 §9.3.3).
    let stored = age.filter(|_| method != Method::Post && !is_gone);
    let asks = usize::from(turn == Turn::First || !is_left_alone(life, fault, stored, method));
    let seen = Seen {
        life,
        age: stored,
        method,
    };
    match fault.means {
        Means::Silence { in_body: true, .. } | Means::Rubbish | Means::BreaksOff
            if method == Method::Head =>
        {
            seen.relayed(200, From::Origins, None, asks)
        }
        Means::Silence {
            word,
            how: How::TimedOut,
            in_body: true,
            ..
        } => seen.slow_body(504, life.timed_out, word, asks),
        Means::Silence {
            word, how, whose, ..
        } => {
            // Nobody who is not reached is asked.
            let asks = if whose == Whose::Origin { 0 } else { asks };
            let (status, grace) = match how {
                How::Unreachable => (502, life.unreachable),
                How::TimedOut => (504, life.timed_out),
            };
            seen.stale(grace, None, word, asks)
                .unwrap_or_else(|| seen.failed(status, None, word, 5, asks))
        }
        Means::Status(code, retry_after) => {
            let stale = seen.stale(life.failed, Some(code), "status", asks);
            // "else relayed with Retry-After": ours where the origin gave none and is left alone; a POST is not to be sent again.
            let ours = Some(5).filter(|_| method != Method::Post && life.is_users);
            stale.unwrap_or_else(|| match asks {
                0 => seen.failed(code, Some(code), "status", retry_after.unwrap_or(5), 0),
                _ => seen.relayed(code, From::Origins, retry_after.or(ours), asks),
            })
        }
        // A Check says what an answer to GET is; what a POST is told is relayed.
        Means::Rubbish if method == Method::Post => seen.relayed(200, From::Origins, None, asks),
        Means::Rubbish => {
            let stale = seen.stale(life.failed, None, "check-failed", asks);
            stale.unwrap_or_else(|| seen.failed(503, None, "check-failed", 5, asks))
        }
        Means::BreaksOff => seen.slow_body(502, life.unreachable, "truncated", asks),
        Means::Late => seen
            .stale(life.late, None, "slow", asks)
            .unwrap_or_else(|| match method {
                Method::Get => {
                    let fetched = seen.relayed(200, From::Next, None, asks);
                    let cache_status = fetched.cache_status + "; stored";
                    Expected {
                        cache_status,
                        age: Some(0),
                        ttl: Some(signed(life.ttl)),
                        ..fetched
                    }
                }
                Method::Head | Method::Post => seen.relayed(200, From::Next, None, asks),
            }),
    }
}

/// DESIGN §2: what is fresh answers at once, whatever became of the origin; from `staleTime` on one request refreshes it.
fn while_fresh(life: &Life, fault: &Fault, age: u64, turn: Turn) -> Expected {
    let is_refreshed = life.refreshed_from.is_some_and(|from| age >= from);
    let is_heard = !matches!(
        fault.means,
        Means::Silence {
            whose: Whose::Origin,
            ..
        }
    );
    match turn {
        Turn::First => hit(
            life,
            From::Stored,
            age,
            usize::from(is_refreshed && is_heard),
        ),
        Turn::Second if is_refreshed && fault.means == Means::Late => hit(life, From::Next, 0, 0),
        // The refresh has failed: this key is left alone. What was passed on to nobody marks it as not to be shared.
        Turn::Second => hit(life, From::Stored, age, 0),
    }
}

/// Whether the first GET has brought a good answer, however late.
fn replaces(life: &Life, fault: &Fault, age: Option<u64>) -> bool {
    fault.means == Means::Late && age.is_none_or(|age| age >= life.ttl)
}

/// Whether the origin's answer to HEAD says that what is stored is out of date (RFC 9111 §4.3.5). Where a Check says what an
/// answer is, no head can pass it: what is stored stays.
fn contradicts(life: &Life, fault: &Fault, method: Method) -> bool {
    let says_200 = match fault.means {
        Means::Silence { in_body, .. } => in_body,
        Means::Rubbish | Means::BreaksOff | Means::Late => true,
        Means::Status(..) => false,
    };
    says_200 && method == Method::Head && !life.is_users
}

/// Whether the origin is not asked a second time. `stored`: the age of what could stand in.
fn is_left_alone(life: &Life, fault: &Fault, stored: Option<u64>, method: Method) -> bool {
    match fault.means {
        Means::Silence {
            whose: Whose::Origin,
            ..
        } => true,
        // What is to change something is its client's own will (docs/decisions/0019).
        _ if method == Method::Post => false,
        // What its client was given as it came was an answer.
        Means::Silence {
            in_body: true,
            how: How::TimedOut,
            ..
        } if method == Method::Get => waits_for_all(life, life.timed_out, stored),
        Means::BreaksOff => method == Method::Get && waits_for_all(life, life.unreachable, stored),
        // No head shows it.
        Means::Silence { in_body: true, .. } | Means::Rubbish if method == Method::Head => false,
        Means::Silence { .. } | Means::Rubbish => true,
        // By the RFC alone an error is an answer like others (docs/decisions/0016).
        Means::Status(_, retry_after) => {
            let serves_despite = stored.is_some_and(|age| age - life.ttl < life.failed);
            life.is_users || retry_after.is_some() || serves_despite
        }
        // The origin answers.
        Means::Late => false,
    }
}

/// Whether a client waits for all of a body: it has to pass a Check, or something stored could replace it.
fn waits_for_all(life: &Life, grace: u64, stored: Option<u64>) -> bool {
    life.is_users || stored.is_some_and(|age| age - life.ttl < grace)
}

/// A request past the lifetime of what is stored for it.
struct Seen<'a> {
    life: &'a Life,
    age: Option<u64>,
    method: Method,
}

impl Seen<'_> {
    /// What is stored, if it is at most that far past its lifetime.
    fn stale(
        &self,
        grace: u64,
        status: Option<u16>,
        detail: &str,
        asks: usize,
    ) -> Option<Expected> {
        let age = self.age.filter(|age| age - self.life.ttl < grace)?;
        let status = status
            .map(|code| format!("; fwd-status={code}"))
            .unwrap_or_default();
        let cache_status = format!("larder; fwd=stale{status}; detail={detail}");
        Some(Expected {
            cache_status,
            ..hit(self.life, From::Stored, age, asks)
        })
    }

    /// What the origin says.
    fn relayed(&self, status: u16, body: From, retry_after: Option<u64>, asks: usize) -> Expected {
        let detail = match self.method {
            Method::Post => "; detail=method",
            Method::Head => "; detail=head",
            Method::Get => "",
        };
        let fwd = self.fwd();
        let cache_status = format!("larder; fwd={fwd}; fwd-status={status}{detail}");
        Expected {
            status,
            body,
            age: None,
            retry_after,
            cache_status,
            ttl: None,
            asks,
        }
    }

    /// A body that never becomes whole, some time after its head. Who can be answered from the store waits for all of it, and so
    /// does everybody where it has to pass a Check; all others are given it as it comes.
    fn slow_body(&self, status: u16, grace: u64, word: &'static str, asks: usize) -> Expected {
        if self.method == Method::Post {
            return self.relayed(200, From::CutShort, None, asks);
        }
        if let Some(stale) = self.stale(grace, None, word, asks) {
            return stale;
        }
        if self.life.is_users {
            return self.failed(status, None, word, 5, asks);
        }
        self.relayed(200, From::CutShort, None, asks)
    }

    /// Our own error.
    fn failed(
        &self,
        status: u16,
        heard: Option<u16>,
        word: &'static str,
        retry_after: u64,
        asks: usize,
    ) -> Expected {
        let heard = heard
            .map(|code| format!("; fwd-status={code}"))
            .unwrap_or_default();
        let cache_status = format!("larder; fwd={}{heard}; detail={word}", self.fwd());
        let retry_after = Some(retry_after);
        Expected {
            status,
            body: From::Ours(word),
            age: None,
            retry_after,
            cache_status,
            ttl: None,
            asks,
        }
    }

    /// Why what is stored is no answer (RFC 9211 §2.2).
    fn fwd(&self) -> &'static str {
        match (self.method, self.age) {
            (Method::Post, _) => "method",
            (Method::Head | Method::Get, Some(_)) => "stale",
            (Method::Head | Method::Get, None) => "uri-miss",
        }
    }
}

fn hit(life: &Life, body: From, age: u64, asks: usize) -> Expected {
    let ttl = Some(signed(life.ttl) - signed(age));
    let cache_status = HIT.to_owned();
    Expected {
        status: 200,
        body,
        age: Some(age),
        retry_after: None,
        cache_status,
        ttl,
        asks,
    }
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).expect("a few days")
}

//! What there is to ask for, with its numbers: those of the documents, not those the code reckons with.

/// What stands behind a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/aggregates`.
    Meters,
    /// JSON of the preset that may be empty unless that is news.
    MaybeEmpty,
    /// `/soe`, the cross-check: one of those.
    Level,
    /// Grid, home, solar, battery and level in a line.
    Csv,
    /// The same as an object.
    Readings,
    /// An object with `/ok`.
    Checked,
    /// Anything at all.
    Unchecked,
    /// The origin's own word, with an ETag.
    Tagged,
    /// The same, by Accept-Language.
    Spoken,
    /// Nobody else's.
    Personal,
}

/// One path. All times in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    pub path: &'static str,
    pub kind: Kind,
    pub polled: bool,
    /// Its lifetime.
    pub fresh: u64,
    /// Age up to which it answers at once.
    pub at_once: u64,
    /// How long past its lifetime it may stand in for an origin that is slow or timed out.
    pub slow: u64,
    pub timed_out: u64,
    /// For one that cannot be reached or breaks off.
    pub unreachable: u64,
    /// For one that answers with an error, or with nonsense.
    pub failed: u64,
    /// What the origin says to caches.
    pub says: &'static str,
}

/// The preset's graceTime, and the day an answer with the origin's own lifetime is kept for who can reach no origin.
const GRACE: u64 = 30;
const DAY: u64 = 86_400;

pub const ENDPOINTS: [Endpoint; 22] = [
    preset("/aggregates", Kind::Meters, true, 30),
    preset("/strings", Kind::MaybeEmpty, true, 30),
    preset("/freq", Kind::MaybeEmpty, true, 30),
    preset("/soe", Kind::Level, true, 60),
    preset("/alerts/pw", Kind::MaybeEmpty, true, 120),
    preset("/pod", Kind::MaybeEmpty, true, 120),
    preset("/temps/pw", Kind::MaybeEmpty, true, 120),
    preset("/fans/pw", Kind::MaybeEmpty, true, 120),
    preset("/csv/v2", Kind::Csv, true, 60),
    preset("/vitals", Kind::MaybeEmpty, false, 30),
    preset("/api/status", Kind::MaybeEmpty, false, 30),
    preset("/version", Kind::MaybeEmpty, false, 600),
    preset("/json", Kind::Readings, false, 60),
    preset("/pw/level", Kind::Readings, false, 60),
    preset("/stats", Kind::Unchecked, false, 30),
    ruled("/v1/orders", Kind::Checked, 20, 40, 60),
    ruled("/v1/rates", Kind::Checked, 45, 0, 0),
    Endpoint {
        says: "max-age=30, stale-while-revalidate=20, stale-if-error=60",
        at_once: 50,
        failed: 60,
        ..own("/free/tagged", Kind::Tagged, 30)
    },
    Endpoint {
        says: "max-age=25",
        ..own("/free/spoken", Kind::Spoken, 25)
    },
    Endpoint {
        says: "max-age=15, must-revalidate",
        timed_out: 0,
        unreachable: 0,
        ..own("/free/strict", Kind::Tagged, 15)
    },
    ruled("/plain", Kind::Unchecked, 300, 300, GRACE),
    Endpoint {
        says: "no-store",
        ..ruled("/mine", Kind::Personal, 0, 0, 0)
    },
];

/// The numbers above, as a user writes them.
pub const CONFIGURATION: &str = r#"{
    "preset": "pypowerwall",
    "urlConfigs": [
        { "path": "/v1/orders", "cacheTTL": 20, "staleTime": 10, "slowGrace": 40, "graceTime": 60,
          "check": { "json": "object", "require": ["/ok"] } },
        { "path": "/v1/rates*", "cacheTTL": 45, "staleTime": 15, "slowGrace": 0, "graceTime": 0,
          "check": { "json": "object", "require": ["/ok"] } }
    ]
}"#;

/// A lifetime that is the user's word.
const fn ruled(path: &'static str, kind: Kind, fresh: u64, slow: u64, failed: u64) -> Endpoint {
    Endpoint {
        path,
        kind,
        polled: false,
        fresh,
        at_once: fresh,
        slow,
        timed_out: slow,
        unreachable: failed,
        failed,
        says: "",
    }
}

/// The preset's: as long as it was fresh while the origin is slow.
const fn preset(path: &'static str, kind: Kind, polled: bool, fresh: u64) -> Endpoint {
    Endpoint {
        polled,
        ..ruled(path, kind, fresh, fresh, GRACE)
    }
}

/// The origin's own word.
const fn own(path: &'static str, kind: Kind, fresh: u64) -> Endpoint {
    Endpoint {
        timed_out: DAY,
        unreachable: DAY,
        ..ruled(path, kind, fresh, 0, 0)
    }
}

/// The endpoint a target is on.
pub fn endpoint(target: &str) -> &'static Endpoint {
    let path = target.split('?').next().unwrap_or(target);
    ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.path == path)
        .expect("an endpoint")
}

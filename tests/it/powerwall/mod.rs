//! Larder's main job: before a pypowerwall program, replayed from its recordings, with the preset for it.

mod cadence;
mod defects;
mod failures;
mod faults_found;
mod homes;
mod outages;
mod polls;
mod recorded;
mod replaying;
mod scene;
mod schedule;

use scene::Scene;

/// The recorded proxy, its gateway well and down.
const PROXY: (&str, &str) = ("proxy-t97-local", "proxy-t97-gateway-down");
/// The recorded server, its gateways well and down.
const SERVER: (&str, &str) = ("server-0.13.0-3gateways", "server-0.13.0-gateway-down");

/// What the preset polls (PYPOWERWALL §5): path, poll interval, lifetime, in seconds.
const POLLED: [(&str, u64, u64); 9] = [
    ("/aggregates", 5, 30),
    ("/strings", 5, 30),
    ("/freq", 5, 30),
    ("/soe", 30, 60),
    ("/csv/v2", 10, 60),
    ("/alerts/pw", 30, 120),
    ("/pod", 30, 120),
    ("/temps/pw", 30, 120),
    ("/fans/pw", 30, 120),
];

/// What Telegraf asks for, all at once, every 5 s.
const TELEGRAF: [&str; 8] = [
    "/aggregates",
    "/soe",
    "/strings",
    "/temps/pw",
    "/freq",
    "/pod",
    "/fans/pw",
    "/alerts/pw",
];

/// Readings that stand in PYPOWERWALL §2, §3 and §5: whatever else is stored, these are. `/aggregates` comes first, because
/// by it the others are judged.
const READINGS: [&str; 27] = [
    "/aggregates",
    "/soe",
    "/strings",
    "/freq",
    "/csv/v2",
    "/alerts/pw",
    "/pod",
    "/temps/pw",
    "/fans/pw",
    "/csv",
    "/csv/v2?headers",
    "/vitals",
    "/version",
    "/alerts",
    "/json",
    "/pw/power",
    "/pw/level",
    "/api/meters/aggregates",
    "/api/system_status/soe",
    "/api/system_status/grid_status",
    "/api/sitemaster",
    "/api/powerwalls",
    "/api/status",
    "/api/operation",
    "/api/troubleshooting/problems",
    "/api/site_info",
    "/api/networks",
];

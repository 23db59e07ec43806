//! PURE. What the simulated pypowerwall shows, path by path.

use std::fmt::Write;

use super::house::{Power, Reading, UNIT_CAPACITY, UNITS, watt_hours};
use super::json::{Json, object};
use super::statistics::Statistics;
use super::vitals::{self, devices};
use crate::message::Target;
use crate::policy::dates;

/// What a page is made from.
pub struct View<'a> {
    /// The house at this moment.
    pub reading: Reading,
    /// What was counted up to now.
    pub statistics: &'a Statistics,
    /// What was asked for.
    pub target: &'a Target,
}

/// A path that is answered.
pub struct Entry {
    /// The whole target that asks for it; for the CSV paths, its beginning.
    pub path: &'static str,
    /// Makes the answer.
    pub show: fn(&View<'_>) -> Page,
}

/// A page's body and its kind.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub body: String,
}

/// Kinds of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON.
    Json,
    /// Comma-separated values.
    Csv,
    /// Something to look at.
    Html,
}

/// When the gateway says it started: 2026-01-01, in seconds since 1970.
const STARTED: u64 = 1_767_225_600;

/// Every path that is answered.
pub const PAGES: &[Entry] = &[
    entry("/aggregates", |view| Page::compact(&meters(&view.reading))),
    entry("/api/meters/aggregates", |view| {
        Page::compact(&meters(&view.reading))
    }),
    entry("/soe", |view| {
        Page::compact(&object! { "percentage": view.reading.charge() })
    }),
    entry("/api/system_status/soe", |view| {
        Page::compact(&object! { "percentage": view.reading.owners_charge() })
    }),
    entry("/api/system_status/grid_status", |_| {
        Page::compact(
            &object! { "grid_status": "SystemGridConnected", "grid_services_active": false },
        )
    }),
    entry("/api/sitemaster", |_| Page::compact(&site_master())),
    entry("/api/powerwalls", |_| {
        Page::text(Kind::Json, r#"{"powerwalls": []}"#)
    }),
    entry("/csv", |view| csv(view, false)),
    entry("/csv/v2", |view| csv(view, true)),
    entry("/strings", |view| {
        Page::indented(&vitals::strings(&devices(&view.reading)))
    }),
    entry("/vitals", |view| Page::indented(&devices(&view.reading))),
    entry("/temps", |view| {
        Page::indented(&vitals::temperatures(&devices(&view.reading)))
    }),
    entry("/temps/pw", |view| {
        Page::compact(&vitals::temperatures_by_unit(&devices(&view.reading)))
    }),
    entry("/alerts", |view| {
        Page::indented(&vitals::alerts(&devices(&view.reading)))
    }),
    entry("/alerts/pw", |view| {
        Page::compact(&vitals::alert_flags(&devices(&view.reading)))
    }),
    entry("/fans", |_| Page::text(Kind::Json, "{}")),
    entry("/fans/pw", |_| Page::text(Kind::Json, "{}")),
    entry("/freq", |view| {
        Page::compact(&vitals::frequencies(&devices(&view.reading)))
    }),
    entry("/pod", |view| Page::compact(&pod(&view.reading))),
    entry("/json", |view| Page::compact(&summary(&view.reading))),
    entry("/pw/level", |view| {
        Page::compact(&object! { "level": view.reading.charge() })
    }),
    entry("/pw/power", |view| Page::compact(&power(&view.reading))),
    entry("/version", |_| {
        Page::text(
            Kind::Json,
            r#"{"version": "23.44.0 9064fc6a", "vint": 234400}"#,
        )
    }),
    entry("/stats", |view| {
        Page::compact(&view.statistics.show(view.reading.at))
    }),
    entry("/api/site_info", |_| Page::compact(&site())),
    entry("/api/status", |view| Page::compact(&status(&view.reading))),
    entry("/api/operation", |view| {
        Page::compact(&operation(&view.reading))
    }),
    entry("/api/troubleshooting/problems", |_| {
        Page::text(Kind::Json, r#"{"problems": []}"#)
    }),
    entry("/api/auth/toggle/supported", |_| {
        Page::compact(&object! { "toggle_auth_supported": true })
    }),
    entry("/control/reserve", |view| {
        Page::compact(&object! { "reserve": i64::from(view.reading.reserve) })
    }),
    entry("/help", |_| help()),
    entry("/", |_| help()),
];

/// The index in [`PAGES`] of what answers this target. As at pypowerwall, a query is part of the name, and whatever begins
/// like a CSV path is one.
pub fn find(target: &str) -> Option<usize> {
    let name = ["/csv/v2", "/csv"]
        .into_iter()
        .find(|csv| target.starts_with(csv))
        .unwrap_or(target);
    PAGES.iter().position(|entry| entry.path == name)
}

/// The answer to a POST that set the reserve, in percent as an owner counts.
pub fn reserve_set(reserve: u8) -> Page {
    let done = object! { "backup_reserve_percent": i64::from(reserve), "result": "Updated" };
    Page::compact(&object! { "set_backup_reserve_percent": done })
}

impl Page {
    /// A page with this text.
    pub fn text(kind: Kind, body: &str) -> Page {
        Page {
            kind,
            body: body.to_owned(),
        }
    }

    /// The page that refuses a method; a reply to HEAD has no content (RFC 9110 §9.3.2).
    pub fn unsupported(method: &str) -> Page {
        if method == "HEAD" {
            return Page::text(Kind::Html, "");
        }
        // A method is a token (RFC 9110 §5.6.2), but `'` and `&` are token characters: only letters are shown.
        let method: String = method.chars().filter(char::is_ascii_alphabetic).collect();
        let body = format!(
            "<!DOCTYPE html>\n<title>501</title>\n<h1>501</h1>\n<p>Unsupported method ({method}).</p>\n"
        );
        Page {
            kind: Kind::Html,
            body,
        }
    }

    fn compact(json: &Json) -> Page {
        Page {
            kind: Kind::Json,
            body: json.compact(),
        }
    }

    fn indented(json: &Json) -> Page {
        Page {
            kind: Kind::Json,
            body: json.indented(),
        }
    }
}

impl Kind {
    /// As in Content-Type.
    pub fn media_type(self) -> &'static str {
        match self {
            Kind::Json => "application/json",
            Kind::Csv => "text/plain; charset=utf-8",
            Kind::Html => "text/html",
        }
    }
}

const fn entry(path: &'static str, show: fn(&View<'_>) -> Page) -> Entry {
    Entry { path, show }
}

fn meters(reading: &Reading) -> Json {
    let Power {
        site,
        solar,
        battery,
        load,
    } = reading.power;
    let energy = &reading.energy;
    object! {
        "site": meter(reading, site, -439, [energy.exported, energy.imported], Some(1)),
        "battery": meter(reading, battery, 330, [energy.discharged, energy.charged], Some(UNITS)),
        "load": meter(reading, load, -131, [0, energy.load], None),
        "solar": meter(reading, solar, -20, [energy.solar, 0], Some(1)),
    }
}

/// One meter; `devices` says how many it adds up, where it says so.
fn meter(
    reading: &Reading,
    watts: i64,
    reactive: i64,
    [out, into]: [i64; 2],
    devices: Option<i64>,
) -> Json {
    let volts = 2.0 * vitals::voltage(reading);
    let apparent = (watts as f64).hypot(reactive as f64);
    let current = watts as f64 / volts;
    let before = "0001-01-01T00:00:00Z";
    let first = object! {
        "last_communication_time": dates::iso8601(reading.at).as_str(), "instant_power": watts,
        "instant_reactive_power": reactive, "instant_apparent_power": apparent,
        "frequency": vitals::frequency(reading), "energy_exported": watt_hours(out),
        "energy_imported": watt_hours(into), "instant_average_voltage": volts, "instant_average_current": current,
        "i_a_current": 0, "i_b_current": 0, "i_c_current": 0, "last_phase_voltage_communication_time": before,
        "last_phase_power_communication_time": before, "timeout": 1_500_000_000,
    };
    let count = devices.map_or(
        Json::Object(Vec::new()),
        |count| object! { "num_meters_aggregated": count },
    );
    first
        .and(count)
        .and(object! { "instant_total_current": current })
}

fn summary(reading: &Reading) -> Json {
    let Power {
        site,
        solar,
        battery,
        load,
    } = reading.power;
    object! {
        "grid": site, "home": load, "solar": solar, "battery": battery, "soe": reading.charge(), "grid_status": 1,
        "reserve": i64::from(reading.reserve), "time_remaining_hours": hours_remaining(reading),
        "full_pack_energy": UNITS * UNIT_CAPACITY, "energy_remaining": watt_hours(reading.stored),
        "strings": vitals::strings(&devices(reading)),
    }
}

fn power(reading: &Reading) -> Json {
    let Power {
        site,
        solar,
        battery,
        load,
    } = reading.power;
    object! { "site": site, "solar": solar, "battery": battery, "load": load }
}

fn csv(view: &View<'_>, second_version: bool) -> Page {
    let Power {
        site,
        solar,
        battery,
        load,
    } = view.reading.power;
    let level = view.reading.charge();
    let mut body = String::new();
    if view.target.as_str().contains("headers") {
        let more = if second_version {
            ",GridStatus,Reserve"
        } else {
            ""
        };
        body = format!("Grid,Home,Solar,Battery,BatteryLevel{more}\n");
    }
    // Writing to a String cannot fail.
    let _ = write!(
        body,
        "{site}.00,{load}.00,{solar}.00,{battery}.00,{level:.2}"
    );
    if second_version {
        let _ = write!(body, ",1,{}", view.reading.reserve);
    }
    body.push('\n');
    Page {
        kind: Kind::Csv,
        body,
    }
}

fn pod(reading: &Reading) -> Json {
    vitals::pods(&devices(reading)).and(object! {
        "nominal_full_pack_energy": UNITS * UNIT_CAPACITY, "nominal_energy_remaining": watt_hours(reading.stored),
        "time_remaining_hours": hours_remaining(reading), "backup_reserve_percent": i64::from(reading.reserve),
    })
}

/// How long the battery lasts at the present load.
fn hours_remaining(reading: &Reading) -> f64 {
    watt_hours(reading.stored) / reading.power.load.max(1) as f64
}

fn site_master() -> Json {
    object! {
        "status": "StatusUp", "running": true, "connected_to_tesla": true, "power_supply_mode": false, "can_reboot": "Yes",
    }
}

fn site() -> Json {
    object! {
        "max_system_energy_kWh": 27, "max_system_power_kW": 10, "site_name": "Simulated Powerwall", "timezone": "UTC",
        "max_site_meter_power_kW": 1_000_000_000, "min_site_meter_power_kW": -1_000_000_000,
        "nominal_system_energy_kWh": 27, "nominal_system_power_kW": 10, "panel_max_current": 100,
        "grid_code": object! {
            "grid_code": "60Hz_240V_s_UL1741SA:2019_California", "grid_voltage_setting": 240, "grid_freq_setting": 60,
            "grid_phase_setting": "Split", "country": "United States", "state": "California",
            "utility": "Simulated Utility",
        },
    }
}

fn status(reading: &Reading) -> Json {
    let seconds = reading.at.as_secs().saturating_sub(STARTED);
    let up = format!(
        "{}h{}m{}s",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
    object! {
        "din": "1232100-00-E--SIMULATED", "start_time": "2026-01-01 00:00:00 +0000", "up_time_seconds": up.as_str(),
        "is_new": false, "version": "23.44.0 9064fc6a", "git_hash": "4064fc6a5b32425509f91f19556f2431cb7f6872",
        "commission_count": 0, "device_type": "teg", "teg_type": "unknown", "sync_type": "v2.1",
        "cellular_disabled": false, "can_reboot": true,
    }
}

/// The gateway's own word; it counts the reserve as the battery does.
fn operation(reading: &Reading) -> Json {
    object! { "real_mode": "self_consumption", "backup_reserve_percent": reading.batterys_reserve() }
}

fn help() -> Page {
    let mut body = String::from(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>Simulated Powerwall</title>\n\
         <h1>Simulated Powerwall</h1>\n<p>This is Larder's built-in simulator, not a house. It answers:</p>\n<ul>\n",
    );
    for Entry { path, .. } in PAGES {
        let _ = writeln!(body, "<li><a href=\"{path}\">{path}</a></li>");
    }
    body.push_str("</ul>\n<p>POST <code>value=30</code> to <code>/control/reserve</code> changes the reserve.</p>\n");
    Page {
        kind: Kind::Html,
        body,
    }
}

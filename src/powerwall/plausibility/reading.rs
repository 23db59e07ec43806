//! Reads levels, powers and emptiness from bodies. Documents are visited as a stream: unknown members are skipped, known
//! ones are numbers.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Sight;

/// Texts that stand for "unknown" in [`TOLD_BY_TEXT`] members: pypowerwall invents them when the gateway does not answer.
const UNKNOWN: [&str; 2] = ["SolarOnly", "Unknown"];
/// Members, directly in a document, that make all of it worthless when they say so.
const TOLD_BY_TEXT: [&str; 2] = ["version", "grid_status"];
/// How many levels of containers are looked into for something told; those deeper count as something.
const LEVELS: usize = 2;
/// A level and its cross-check agree below so many percentage points; powers below so many percent of the largest.
const AGREEMENT: f64 = 1.0;

/// What a known member of a document is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Member {
    /// Not there.
    #[default]
    Absent,
    /// There, but no number.
    Nothing,
    /// A finite number.
    Number(f64),
}

/// What a CSV, `/json`, `/pw/power`, `/pw/level` or `/api/aggregate*` tells. No document has two names for one reading but
/// `/api/aggregate/power`, whose site and grid are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Readings {
    level: Member,
    soe: Member,
    percentage: Member,
    battery_percent: Member,
    total_battery_percent: Member,
    grid: Member,
    #[serde(alias = "total_site_power")]
    site: Member,
    home: Member,
    #[serde(alias = "total_load_power")]
    load: Member,
    #[serde(alias = "total_solar_power")]
    solar: Member,
    #[serde(alias = "battery_power", alias = "total_battery_power")]
    battery: Member,
}

/// Of how many gateways sums are.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Online {
    num_online: Member,
}

/// What `/soe` or `/aggregates` tells.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct CrossCheck {
    percentage: Member,
    site: Option<Meter>,
    load: Option<Meter>,
    solar: Option<Meter>,
    battery: Option<Meter>,
}

/// One meter of `/aggregates`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Meter {
    instant_power: Member,
    energy_exported: Member,
    energy_imported: Member,
}

/// Whether a held body is confirmed by a later answer of `/soe` or, where there is no battery, of `/aggregates`.
///
/// `/soe` confirms a level less than 1 percentage point away, and powers without a level unless all are zero. `/aggregates`
/// confirms powers less than 1 % (of the largest) away, and a level of zero only while no power flows through a battery.
///
/// Sums are confirmed by the battery's, if those are of any gateway at all, a level and a battery's power less than 1 away.
pub fn cross_check_agrees(held: &[u8], cross_check: &[u8]) -> bool {
    if let Some(gateways) = online(cross_check.trim_ascii()) {
        let sums = (of(held.trim_ascii()), of(cross_check.trim_ascii()));
        return gateways > 0.0
            && matches!(sums, (Some(held), Some(said)) if held.agrees_with_sums(&said));
    }
    let (Some(held), Some(cross_check)) = (
        of(held.trim_ascii()),
        object::<CrossCheck>(cross_check.trim_ascii()),
    ) else {
        return false;
    };
    match (held.level(), cross_check.percentage) {
        (Member::Number(level), Member::Number(said)) => (level - said).abs() < AGREEMENT,
        (Member::Absent, Member::Number(_)) => held.sight() == Sight::PowerOnly,
        (Member::Nothing, Member::Number(_)) => false,
        (_, Member::Absent | Member::Nothing) => cross_check.confirms_powers(&held),
    }
}

/// Whether `/site/instant_power` is a number.
pub fn has_site_power(text: &[u8]) -> bool {
    object::<CrossCheck>(text).is_some_and(|told| power_of(told.site).is_some())
}

/// Whether the meters measure a battery, or ever did.
pub fn has_battery(text: &[u8]) -> bool {
    let battery = object::<CrossCheck>(text.trim_ascii()).and_then(|told| told.battery);
    battery.is_some_and(|battery| {
        battery.instant_power.is_nonzero()
            || battery.energy_exported.is_nonzero()
            || battery.energy_imported.is_nonzero()
    })
}

/// Of how many gateways these sums say that they are.
pub fn online(text: &[u8]) -> Option<f64> {
    object::<Online>(text)?.num_online.number()
}

/// The readings of a body. `None`: it has none.
pub fn of(text: &[u8]) -> Option<Readings> {
    let readings = if text.starts_with(b"{") {
        object(text)?
    } else {
        from_csv(text)?
    };
    let has_any = readings.level() != Member::Absent
        || readings
            .powers()
            .iter()
            .any(|power| *power != Member::Absent);
    has_any.then_some(readings)
}

impl Member {
    fn number(self) -> Option<f64> {
        match self {
            Member::Number(number) => Some(number),
            Member::Absent | Member::Nothing => None,
        }
    }

    fn or(self, other: Member) -> Member {
        if self == Member::Absent { other } else { self }
    }

    fn is_nonzero(self) -> bool {
        self.number().is_some_and(|number| number != 0.0)
    }
}

impl Readings {
    /// What the body shows by itself.
    pub fn sight(&self) -> Sight {
        // Only the documents that name the load have no level in any home; elsewhere none is a level not told.
        let level = self.level();
        let has_own_load = level == Member::Absent && self.load != Member::Absent;
        match level {
            Member::Number(level) if level > 0.0 => Sight::Something,
            _ if has_own_load && self.powers().into_iter().any(Member::is_nonzero) => {
                Sight::PowerOnly
            }
            _ => Sight::ZeroLevel,
        }
    }

    /// What sums show by themselves, where they do not say of how many gateways they are.
    pub fn sight_of_sums(&self) -> Sight {
        let has_power = self.powers().into_iter().any(Member::is_nonzero);
        if has_power || self.level().is_nonzero() {
            Sight::Something
        } else {
            Sight::ZeroLevel
        }
    }

    fn agrees_with_sums(&self, said: &Readings) -> bool {
        let agrees = |held: Member, said: Member| match (held.number(), said.number()) {
            (Some(held), Some(said)) => (held - said).abs() < AGREEMENT,
            _ => held == Member::Absent,
        };
        agrees(self.level(), said.level()) && agrees(self.battery, said.battery)
    }

    fn level(&self) -> Member {
        self.level
            .or(self.soe)
            .or(self.percentage)
            .or(self.battery_percent)
            .or(self.total_battery_percent)
    }

    /// Grid, home, solar and battery, as the CSV orders them.
    fn powers(&self) -> [Member; 4] {
        [
            self.grid.or(self.site),
            self.home.or(self.load),
            self.solar,
            self.battery,
        ]
    }
}

impl CrossCheck {
    fn confirms_powers(&self, held: &Readings) -> bool {
        let said = [self.site, self.load, self.solar, self.battery].map(power_of);
        let largest = said
            .iter()
            .flatten()
            .copied()
            .map(f64::abs)
            .fold(1.0, f64::max);
        let near = |a: f64, b: f64| (a - b).abs() * 100.0 < largest * AGREEMENT;
        let agrees = |(held, said): (Member, Option<f64>)| match held {
            Member::Absent => true,
            Member::Nothing => said.is_none(),
            Member::Number(held) => near(held, said.unwrap_or(0.0)),
        };
        // A battery that gives or takes power has a level: its zero is not confirmed by the meters.
        let may_lack_level =
            held.sight() == Sight::PowerOnly || near(power_of(self.battery).unwrap_or(0.0), 0.0);
        power_of(self.site).is_some()
            && may_lack_level
            && held.powers().into_iter().zip(said).all(agrees)
    }
}

fn power_of(meter: Option<Meter>) -> Option<f64> {
    meter.and_then(|meter| meter.instant_power.number())
}

/// One row of `Grid,Plausibility,Solar,Battery,BatteryLevel` and perhaps more, with or without that line above it.
fn from_csv(text: &[u8]) -> Option<Readings> {
    let text = str::from_utf8(text).ok()?;
    let mut rows = text.lines().filter(|line| !line.starts_with("Grid,"));
    let (row, None) = (rows.next()?, rows.next()) else {
        return None;
    };
    let mut columns = row.split(',').map(|column| match column.trim() {
        "" | "None" | "null" => Some(Member::Nothing),
        text => text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(Member::Number),
    });
    let mut next = || columns.next().flatten();
    let grid = next()?;
    let home = next()?;
    let solar = next()?;
    let battery = next()?;
    Some(Readings {
        grid,
        home,
        solar,
        battery,
        level: next()?,
        ..Readings::default()
    })
}

/// An object, whole. `None`: anything else; an array in particular, which would fill a struct by position.
fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    text.starts_with(b"{")
        .then(|| serde_json::from_slice(text).ok())
        .flatten()
}

/// What a document shows: nothing if it is null, blank, or a container of such, whose members may be containers in turn, or
/// if it says so in a text; zeros if there are such among those. `None`: it is no JSON.
pub fn sight_of(text: &[u8]) -> Option<Sight> {
    let mut document = serde_json::Deserializer::from_slice(text);
    let said = Listening {
        depth: LEVELS,
        by_text: false,
    }
    .deserialize(&mut document)
    .ok()?;
    document.end().ok()?;
    Some(match said {
        Said::Nothing | Said::Unknown => Sight::Nothing,
        Said::Number(0.0) => Sight::Zeros,
        Said::Number(_) | Said::Something => Sight::Something,
    })
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Member, D::Error> {
        match (Listening {
            depth: 0,
            by_text: false,
        })
        .deserialize(deserializer)?
        {
            Said::Number(number) => Ok(Member::Number(number)),
            Said::Nothing | Said::Unknown | Said::Something => Ok(Member::Nothing),
        }
    }
}

/// What a value tells.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    /// Null, blank, or a container of such.
    Nothing,
    /// That nothing is known, by a text.
    Unknown,
    /// A number.
    Number(f64),
    /// Anything else.
    Something,
}

/// Visits one value.
#[derive(Clone, Copy)]
struct Listening {
    /// How many levels of containers are still looked into; what is deeper is skipped.
    depth: usize,
    /// Whether a text here may say that nothing is known.
    by_text: bool,
}

impl Listening {
    fn to_member(self, by_text: bool) -> Listening {
        Listening {
            depth: self.depth - 1,
            by_text,
        }
    }
}

impl Said {
    /// What a container tells that has told `self` so far and holds this value, too.
    fn and(self, member: Said) -> Said {
        match (self, member) {
            (Said::Unknown, _) | (_, Said::Unknown) => Said::Unknown,
            (Said::Nothing, Said::Nothing) => Said::Nothing,
            (Said::Nothing | Said::Number(0.0), Said::Nothing | Said::Number(0.0)) => {
                Said::Number(0.0)
            }
            _ => Said::Something,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Listening {
    type Value = Said;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Said, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Listening {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Said, A::Error> {
        if self.depth == 0 {
            return skipped(|| members.next_entry::<IgnoredAny, IgnoredAny>());
        }
        let mut said = Said::Nothing;
        while let Some(TellsByText(by_text)) = members.next_key()? {
            said =
                said.and(members.next_value_seed(self.to_member(by_text && self.depth == LEVELS))?);
        }
        Ok(said)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Said, A::Error> {
        if self.depth == 0 {
            return skipped(|| elements.next_element::<IgnoredAny>());
        }
        let mut said = Said::Nothing;
        while let Some(element) = elements.next_element_seed(self.to_member(false))? {
            said = said.and(element);
        }
        Ok(said)
    }

    fn visit_str<E>(self, text: &str) -> Result<Said, E> {
        Ok(match text {
            "" => Said::Nothing,
            _ if self.by_text && UNKNOWN.contains(&text) => Said::Unknown,
            _ => Said::Something,
        })
    }

    fn visit_unit<E>(self) -> Result<Said, E> {
        Ok(Said::Nothing)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Said, E> {
        Ok(Said::Something)
    }
    fn visit_i64<E>(self, number: i64) -> Result<Said, E> {
        Ok(Said::Number(number as f64))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Said, E> {
        Ok(Said::Number(number as f64))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Said, E> {
        Ok(Said::Number(number))
    }
}

/// Reads past what is in a container.
fn skipped<T, E>(mut next: impl FnMut() -> Result<Option<T>, E>) -> Result<Said, E> {
    let mut said = Said::Nothing;
    while next()?.is_some() {
        said = Said::Something;
    }
    Ok(said)
}

/// The name of a member, for whether its text may say that nothing is known.
struct TellsByText(bool);

impl<'de> Deserialize<'de> for TellsByText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TellsByText, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = TellsByText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E>(self, name: &str) -> Result<TellsByText, E> {
                Ok(TellsByText(TOLD_BY_TEXT.contains(&name)))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

//! PURE. The simulated house: sun, appliances, two battery units and the grid, stepped by time.
//!
//! Power is whole watts and constant through a tick; energy is whole watt-milliseconds. So the balance and the integral
//! hold exactly, and the house at one moment is the same whichever steps led there. Its day is UTC's.

use std::time::Duration;

use super::chance::{Chance, Subject};

/// Battery units.
pub const UNITS: i64 = 2;
/// Most a unit takes or gives, in watts.
pub const UNIT_POWER: i64 = 5_000;
/// What a full unit holds, in watt-hours.
pub const UNIT_CAPACITY: i64 = 13_500;
/// Share of the battery kept for outages unless told otherwise, in percent as an owner counts.
pub const RESERVE: u8 = 20;

/// How long power stays as it is, in milliseconds: as long as pypowerwall keeps its answers.
const TICK: u64 = 5_000;
/// Watt-milliseconds in a watt-hour.
const WATT_HOUR: i64 = 3_600_000;
const CAPACITY: i64 = UNITS * UNIT_CAPACITY * WATT_HOUR;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// Solar power under a clear sky at noon, in watts.
const SOLAR_PEAK: f64 = 7_200.0;
/// The day the house got its meters, in days since 1970: 2021-01-01.
const METERED_SINCE: u64 = 18_628;

/// A house with its meters.
#[derive(Clone, Debug)]
pub struct House {
    chance: Chance,
    /// Where the last tick began, in milliseconds since 1970, and what it began with.
    tick: u64,
    stored: i64,
    energy: Energy,
    power: Power,
    reserve: u8,
}

/// Power in watts. The signs are pypowerwall's: `site` is positive while the grid gives, `battery` while it gives;
/// site + solar + battery = load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// From the grid; negative to it.
    pub site: i64,
    /// From the sun.
    pub solar: i64,
    /// From the battery; negative into it.
    pub battery: i64,
    /// To the appliances.
    pub load: i64,
}

/// What the meters have counted, in watt-milliseconds. None of it ever shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Energy {
    /// From the grid.
    pub imported: i64,
    /// To the grid.
    pub exported: i64,
    /// From the sun.
    pub solar: i64,
    /// Into the battery.
    pub charged: i64,
    /// Out of it.
    pub discharged: i64,
    /// To the appliances.
    pub load: i64,
}

/// Everything there is to see at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The moment, since 1970.
    pub at: Duration,
    /// Power at this moment.
    pub power: Power,
    /// The meters.
    pub energy: Energy,
    /// What the battery holds, in watt-milliseconds.
    pub stored: i64,
    /// What it keeps for an outage, in percent as an owner counts.
    pub reserve: u8,
    /// Air temperature in °C.
    pub air: f64,
    /// Something that quivers about zero, between -1 and 1.
    pub quiver: f64,
}

impl House {
    /// A house as it is at `at`: it began at that day's midnight, in a state that follows from the day and the seed.
    pub fn new(seed: u64, at: Duration) -> House {
        let chance = Chance::new(seed);
        let today = millis(at) / DAY;
        let days = i64::try_from(today.saturating_sub(METERED_SINCE)).unwrap_or(0);
        let since = |daily: i64| days * daily * WATT_HOUR;
        let energy = Energy {
            imported: since(8_000),
            exported: since(7_000),
            solar: since(39_000),
            charged: since(18_000),
            discharged: since(18_000),
            load: since(40_000),
        };
        let stored =
            CAPACITY / 1_000 * (400 + (200.0 * chance.draw(Subject::Quiver, today)) as i64);
        let mut house = House {
            chance,
            tick: today * DAY,
            stored,
            energy,
            power: Power::default(),
            reserve: RESERVE,
        };
        house.power = house.decide();
        house.advance(at);
        house
    }

    /// Sets what the battery keeps for an outage, from the next tick on: percent as an owner counts, at most 100.
    pub fn keep(&mut self, reserve: u8) {
        self.reserve = reserve.min(100);
    }

    /// Lets time pass until `at`. A moment that is past changes nothing.
    pub fn advance(&mut self, at: Duration) {
        let at = millis(at);
        while self.tick + TICK <= at {
            (self.energy, self.stored) = self.after(TICK);
            self.tick += TICK;
            self.power = self.decide();
        }
    }

    /// What there is to see at `at`, which [`House::advance`] has reached.
    pub fn reading(&self, at: Duration) -> Reading {
        let into = millis(at).saturating_sub(self.tick).min(TICK);
        let (energy, stored) = self.after(into);
        let hour = hour(self.tick);
        let quiver = self.quiver();
        let air = 13.0 + 9.0 * bump(hour, 15.0, 9.0) + quiver / 10.0;
        Reading {
            at,
            power: self.power,
            energy,
            stored,
            reserve: self.reserve,
            air,
            quiver,
        }
    }

    /// Meters and battery so many milliseconds into the tick.
    fn after(&self, into: u64) -> (Energy, i64) {
        let Power {
            site,
            solar,
            battery,
            load,
        } = self.power;
        let into = into as i64;
        let energy = Energy {
            imported: self.energy.imported + site.max(0) * into,
            exported: self.energy.exported - site.min(0) * into,
            solar: self.energy.solar + solar * into,
            charged: self.energy.charged - battery.min(0) * into,
            discharged: self.energy.discharged + battery.max(0) * into,
            load: self.energy.load + load * into,
        };
        (energy, self.stored - battery * into)
    }

    /// Power in the tick that begins: the battery takes what the sun leaves over and gives what it leaves wanting, as far
    /// as it can; the grid does the rest.
    fn decide(&self) -> Power {
        let solar = self.solar();
        let load = self.load();
        let tick = TICK as i64;
        let most = UNITS * UNIT_POWER;
        let room = (CAPACITY - self.stored) / tick;
        let spare = (self.stored - kept(self.reserve)).max(0) / tick;
        // No regulator is perfect: a little always comes from the grid or goes to it.
        let slip = (30.0 * self.quiver()) as i64;
        let battery = (load - solar - slip).clamp(-most.min(room), most.min(spare));
        Power {
            site: load - solar - battery,
            solar,
            battery,
            load,
        }
    }

    fn quiver(&self) -> f64 {
        2.0 * self.chance.wave(Subject::Quiver, self.tick, 4 * TICK) - 1.0
    }

    fn solar(&self) -> i64 {
        let sun = bump(hour(self.tick), 12.5, 7.0);
        let dull = self.chance.draw(Subject::Day, self.tick / DAY);
        let cloud = self.chance.wave(Subject::Clouds, self.tick, HOUR / 5);
        (SOLAR_PEAK * sun * (1.0 - 0.85 * dull * (0.3 + 0.7 * cloud))).round() as i64
    }

    fn load(&self) -> i64 {
        let hour = hour(self.tick);
        let morning = 2_200.0 * bump(hour, 7.5, 2.5);
        let evening = 4_200.0 * bump(hour, 19.5, 4.5);
        let appliances = 0.75 + 0.5 * self.chance.wave(Subject::Appliances, self.tick, HOUR / 12);
        ((600.0 + morning + evening) * appliances).round() as i64
    }
}

impl Reading {
    /// State of charge as the battery counts it, in percent: 0 is empty.
    pub fn charge(&self) -> f64 {
        100.0 * self.stored as f64 / CAPACITY as f64
    }

    /// State of charge as an owner counts it: the last 5 % of the battery are not theirs.
    pub fn owners_charge(&self) -> f64 {
        (self.charge() - 5.0) / 0.95
    }

    /// The reserve as the battery counts it, in percent.
    pub fn batterys_reserve(&self) -> f64 {
        100.0 * kept(self.reserve) as f64 / CAPACITY as f64
    }
}

/// Watt-hours, of watt-milliseconds.
pub fn watt_hours(energy: i64) -> f64 {
    energy as f64 / WATT_HOUR as f64
}

/// What a reserve as an owner counts it leaves in the battery.
fn kept(reserve: u8) -> i64 {
    CAPACITY / 2_000 * (100 + 19 * i64::from(reserve))
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

/// The hour of the day, with its fraction.
fn hour(at: u64) -> f64 {
    (at % DAY) as f64 / HOUR as f64
}

/// A smooth hill: 1 at its centre, 0 from `width` away. Plain arithmetic, so that every machine gets the same house.
fn bump(x: f64, centre: f64, width: f64) -> f64 {
    let away = (x - centre) / width;
    let height = (1.0 - away * away).max(0.0);
    height * height
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-20, midnight.
    const MIDNIGHT: u64 = 1_795_132_800;
    const WEEK: u64 = 7 * 24 * 3_600;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(MIDNIGHT + seconds)
    }

    /// The readings of a house at these moments.
    fn readings(seed: u64, moments: impl Iterator<Item = Duration>) -> Vec<Reading> {
        let mut house = House::new(seed, at(0));
        let read = |moment| {
            house.advance(moment);
            house.reading(moment)
        };
        moments.map(read).collect()
    }

    fn sound(reading: &Reading) {
        let Power {
            site,
            solar,
            battery,
            load,
        } = reading.power;
        assert_eq!(site, load - solar - battery);
        assert!(solar >= 0 && load > 0);
        assert!(battery.abs() <= UNITS * UNIT_POWER);
        assert!((0..=CAPACITY).contains(&reading.stored));
    }

    fn no_meter_shrinks(before: &Energy, after: &Energy) {
        let list = |e: &Energy| {
            [
                e.imported,
                e.exported,
                e.solar,
                e.charged,
                e.discharged,
                e.load,
            ]
        };
        assert!(
            list(before)
                .iter()
                .zip(list(after))
                .all(|(before, after)| *before <= after)
        );
    }

    #[test]
    fn a_week_balances_tick_by_tick_and_the_battery_holds_exactly_what_went_in_and_out() {
        let tick = Duration::from_millis(TICK);
        let week = readings(
            3,
            (0..WEEK / 5).map(|tick_number| at(0) + tick * tick_number as u32),
        );
        for pair in week.windows(2) {
            sound(&pair[1]);
            no_meter_shrinks(&pair[0].energy, &pair[1].energy);
            assert_eq!(
                pair[1].stored - pair[0].stored,
                -pair[0].power.battery * TICK as i64
            );
        }
    }

    #[test]
    fn a_week_has_nights_noons_peaks_a_full_battery_and_one_down_to_its_reserve() {
        let minutes = readings(3, (0..WEEK / 60).map(|minute| at(minute * 60)));
        let hours = |from: usize, to: usize| {
            minutes
                .iter()
                .enumerate()
                .filter(move |(minute, _)| (from..to).contains(&(minute / 60 % 24)))
        };
        assert!(hours(20, 24).all(|(_, night)| night.power.solar == 0));
        assert!(hours(12, 13).all(|(_, noon)| noon.power.solar > 500));
        let mean = |from, to| {
            hours(from, to).map(|(_, r)| r.power.load).sum::<i64>() / hours(from, to).count() as i64
        };
        assert!(mean(7, 8) > 2 * mean(2, 4), "{} {}", mean(7, 8), mean(2, 4));
        assert!(
            mean(19, 20) > 4 * mean(2, 4),
            "{} {}",
            mean(19, 20),
            mean(2, 4)
        );
        assert!(
            minutes
                .iter()
                .any(|r| r.charge() > 99.99 && r.power.site < -1_000)
        );
        assert!(
            minutes.iter().any(|r| r.power.battery < 0)
                && minutes.iter().any(|r| r.power.battery > 0)
        );
        assert!(minutes.iter().all(|r| r.charge() >= r.batterys_reserve()));
        assert!(
            minutes
                .iter()
                .any(|r| r.charge() - r.batterys_reserve() < 0.01 && r.power.site > 500)
        );
    }

    #[test]
    fn a_battery_at_its_reserve_gives_nothing_and_the_grid_does_the_rest() {
        let mut house = House::new(3, at(0));
        house.keep(100);
        house.advance(at(3_600));
        let night = house.reading(at(3_600));
        assert_eq!(
            (night.power.battery, night.power.site),
            (0, night.power.load)
        );
        assert_eq!(night.batterys_reserve(), 100.0);
        house.keep(0);
        house.advance(at(3_605));
        assert!(house.reading(at(3_605)).power.battery > 0);
    }

    #[test]
    fn an_owner_counts_from_five_percent() {
        let mut reading = House::new(1, at(0)).reading(at(0));
        reading.stored = kept(20);
        assert_eq!((reading.charge(), reading.batterys_reserve()), (24.0, 24.0));
        assert!((reading.owners_charge() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn the_same_day_and_seed_give_the_same_house_and_another_seed_another_one() {
        let begun_early = readings(5, [at(40_000), at(50_000)].into_iter());
        let mut begun_late = House::new(5, at(49_999));
        begun_late.advance(at(50_000));
        assert_eq!(begun_late.reading(at(50_000)), begun_early[1]);
        assert_ne!(
            readings(6, [at(50_000)].into_iter())[0].power,
            begun_early[1].power
        );
    }

    #[test]
    fn clocks_at_their_ends_are_harmless() {
        let mut house = House::new(0, Duration::ZERO);
        house.advance(at(0).min(Duration::from_secs(1)));
        sound(&house.reading(Duration::ZERO));
        let mut house = House::new(0, at(10));
        let before = house.reading(at(10));
        house.advance(at(0));
        assert_eq!(house.reading(at(10)), before);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn the_steps_do_not_matter(seed in any::<u64>(), steps in prop::collection::vec(1u64..7_200_000, 1..168)) {
            let mut moment = at(0);
            let moments: Vec<Duration> =
                steps.iter().map(|step| { moment += Duration::from_millis(*step); moment }).collect();
            let stepped = readings(seed, moments.iter().copied());
            let at_once = readings(seed, moments.last().copied().into_iter());
            prop_assert_eq!(stepped.last(), at_once.last());
            for pair in stepped.windows(2) {
                sound(&pair[1]);
                no_meter_shrinks(&pair[0].energy, &pair[1].energy);
                let before = &pair[0].energy;
                let after = &pair[1].energy;
                let went_in = after.charged - before.charged - (after.discharged - before.discharged);
                prop_assert_eq!(pair[1].stored - pair[0].stored, went_in);
            }
        }
    }
}

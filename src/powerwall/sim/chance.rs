//! PURE. Chance that repeats: the same seed, subject and number always give the same draw.

/// What is drawn for; draws for different subjects have nothing to do with each other.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// How cloudy a day is.
    Day,
    /// Passing clouds.
    Clouds,
    /// Appliances going on and off.
    Appliances,
    /// Voltage, frequency and what else quivers.
    Quiver,
    /// Whether a request gets no answer.
    Hang,
    /// Whether its answer is cut.
    Drop,
    /// Whether it fails.
    Fail,
    /// Whether it is answered as in an outage.
    Null,
    /// Whether its answer is rubbish.
    Rubbish,
    /// Whether it finds the port closed.
    Refuse,
    /// Whether its answer is shorter than it says.
    Lie,
    /// Whether its answer comes byte by byte.
    Drip,
}

/// A source of chance.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    seed: u64,
}

impl Chance {
    /// Everything that follows from `seed`.
    pub fn new(seed: u64) -> Chance {
        Chance { seed }
    }

    /// Draw number `number` for a subject: at least 0, less than 1.
    pub fn draw(self, subject: Subject, number: u64) -> f64 {
        let mixed = mix(mix(self.seed ^ mix(subject as u64 + 1)) ^ number);
        // The 53 bits a double holds exactly.
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A curve through one draw per `period`, without jumps: at least 0, less than 1.
    pub fn wave(self, subject: Subject, at: u64, period: u64) -> f64 {
        let number = at / period;
        let into = (at % period) as f64 / period as f64;
        let weight = into * into * (3.0 - 2.0 * into);
        let from = self.draw(subject, number);
        let to = self.draw(subject, number + 1);
        from + (to - from) * weight
    }
}

/// The finaliser of SplitMix64: every bit of the result hangs on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_repeat_and_differ_by_seed_and_subject() {
        let chance = Chance::new(7);
        let draws: Vec<f64> = (0..10_000)
            .map(|number| chance.draw(Subject::Fail, number))
            .collect();
        let below = draws.iter().filter(|draw| **draw < 0.3).count();
        assert!((2_800..3_200).contains(&below), "{below}");
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        assert_eq!(draws[5], Chance::new(7).draw(Subject::Fail, 5));
        assert_ne!(draws[5], Chance::new(8).draw(Subject::Fail, 5));
        assert_ne!(draws[5], chance.draw(Subject::Null, 5));
    }

    #[test]
    fn a_wave_passes_through_its_draws_without_jumps() {
        let chance = Chance::new(1);
        assert_eq!(
            chance.wave(Subject::Clouds, 1_200, 600),
            chance.draw(Subject::Clouds, 2)
        );
        let steps = (0..6_000).map(|at| (at, chance.wave(Subject::Clouds, at, 600)));
        let jumps = steps.filter(|(at, value)| {
            (chance.wave(Subject::Clouds, at + 1, 600) - value).abs() > 0.003
        });
        assert_eq!(jumps.count(), 0);
    }
}

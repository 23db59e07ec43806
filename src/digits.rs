//! Integers as text, without the formatting machinery and without allocating: every hit writes five.

use std::fmt;

/// Digits of a 64-bit integer: 20 of base ten, or 16 of base sixteen.
#[derive(Clone, Copy)]
pub struct Digits {
    /// Those that count stand at the end.
    text: [u8; 20],
    from: usize,
}

/// `number` as `{}` prints it.
pub fn decimal(number: u64) -> Digits {
    Digits::of(number, 10, 1)
}

/// `number` as `{:x}` prints it, with zeros before it until there are `least` digits, 16 at most.
pub fn hexadecimal(number: u64, least: usize) -> Digits {
    Digits::of(number, 16, least)
}

impl Digits {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Only ASCII digits are ever written.
        std::str::from_utf8(&self.text[self.from..]).unwrap_or_default()
    }

    #[inline]
    fn of(mut number: u64, base: u64, least: usize) -> Digits {
        let mut digits = Digits {
            text: [b'0'; 20],
            from: 20,
        };
        while number > 0 {
            digits.from -= 1;
            digits.text[digits.from] = b"0123456789abcdef"[(number % base) as usize];
            number /= base;
        }
        digits.from = digits.from.min(20 - least.min(16));
        digits
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_as_printed(number: u64) {
        assert_eq!(decimal(number).as_str(), format!("{number}"));
        assert_eq!(hexadecimal(number, 1).as_str(), format!("{number:x}"));
        assert_eq!(hexadecimal(number, 8).as_str(), format!("{number:08x}"));
        assert_eq!(hexadecimal(number, 99).as_str(), format!("{number:016x}"));
    }

    #[test]
    fn the_edges_are_as_the_formatting_machinery_prints_them() {
        [0, 9, 10, 15, 16, 0xFFFF_FFFF, 1 << 32, u64::MAX]
            .into_iter()
            .for_each(is_as_printed);
    }

    proptest! {
        #[test]
        fn every_number_is_as_the_formatting_machinery_prints_it(number: u64, bits in 0u32..64) {
            is_as_printed(number >> bits);
        }
    }
}

//! HTTP dates (RFC 9110 §5.6.7) read in their three forms, and the two forms this cache writes.
//!
//! Read by hand because the common crates are strict about letter case, where caches have to be lenient, and lenient
//! about blanks and zones, where they have to be strict.

use std::fmt;
use std::time::Duration;

use crate::clock::Now;

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAY: i64 = 86_400;
/// The last second of the year 9999: four digits write no later one.
const LAST_SECOND: u64 = 253_402_300_799;

/// Seconds since the Unix epoch that `text` means, negative before 1970. `None`: not an HTTP date.
///
/// `now` settles the century of a two-digit year: what looks more than 50 years ahead is past (§5.6.7).
pub fn parse(text: &[u8], now: Now) -> Option<i64> {
    let mut text = Cursor(text);
    match text.word()? {
        word if is_weekday(word, 3) => match text.byte()? {
            b',' => imf_fixdate_after_comma(text),
            b' ' => asctime_after_weekday(text),
            _ => None,
        },
        word if is_weekday(word, usize::MAX) => {
            text.exactly(b", ")?;
            rfc850_after_weekday(text, now)
        }
        _ => None,
    }
}

/// A date as ASCII text of fixed length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stamp<const N: usize>([u8; N]);

impl<const N: usize> Stamp<N> {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Only digits and the ASCII letters of the format are ever written.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Stamp<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Stamp<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// IMF-fixdate, as in `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7), of a time since the Unix epoch.
pub fn imf_fixdate(wall: Duration) -> Stamp<29> {
    let civil = Civil::of(wall);
    let mut text = *b"Sun, 00 Jan 0000 00:00:00 GMT";
    text[..3].copy_from_slice(&WEEKDAYS[civil.weekday].as_bytes()[..3]);
    write_digits(&mut text[5..7], civil.day);
    text[8..11].copy_from_slice(MONTHS[civil.month - 1].as_bytes());
    write_digits(&mut text[12..16], civil.year);
    write_time(&mut text[17..25], civil.second_of_day);
    Stamp(text)
}

/// ISO 8601 in UTC with milliseconds, as in `1994-11-06T08:49:37.000Z`, of a time since the Unix epoch.
pub fn iso8601(wall: Duration) -> Stamp<24> {
    let civil = Civil::of(wall);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    write_digits(&mut text[..4], civil.year);
    write_digits(&mut text[5..7], civil.month);
    write_digits(&mut text[8..10], civil.day);
    write_time(&mut text[11..19], civil.second_of_day);
    write_digits(&mut text[20..23], wall.subsec_millis() as usize);
    Stamp(text)
}

/// ` 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate_after_comma(mut text: Cursor<'_>) -> Option<i64> {
    text.exactly(b" ")?;
    let day = text.digits(2)?;
    text.exactly(b" ")?;
    let month = month(text.word()?)?;
    text.exactly(b" ")?;
    let year = text.digits(4)?;
    text.exactly(b" ")?;
    let second = text.time()?;
    text.zone()?;
    seconds(year, month, day, second)
}

/// `06-Nov-94 08:49:37 GMT`
fn rfc850_after_weekday(mut text: Cursor<'_>, now: Now) -> Option<i64> {
    let day = text.digits(2)?;
    text.exactly(b"-")?;
    let month = month(text.word()?)?;
    text.exactly(b"-")?;
    let short = text.digits(2)?;
    text.exactly(b" ")?;
    let second = text.time()?;
    text.zone()?;
    let this_year = i64::try_from(Civil::of(now.wall).year).ok()?;
    let year = this_year - this_year.rem_euclid(100) + short;
    let year = match year - this_year {
        51.. => year - 100,
        ..=-50 => year + 100,
        _ => year,
    };
    seconds(year, month, day, second)
}

/// `Nov  6 08:49:37 1994`
fn asctime_after_weekday(mut text: Cursor<'_>) -> Option<i64> {
    let month = month(text.word()?)?;
    text.exactly(b" ")?;
    let day = if text.exactly(b" ").is_some() {
        text.digits(1)?
    } else {
        text.digits(2)?
    };
    text.exactly(b" ")?;
    let second = text.time()?;
    text.exactly(b" ")?;
    let year = text.digits(4)?;
    text.end()?;
    seconds(year, month, day, second)
}

fn is_weekday(word: &[u8], letters: usize) -> bool {
    WEEKDAYS
        .iter()
        .any(|name| name.as_bytes()[..letters.min(name.len())].eq_ignore_ascii_case(word))
}

/// The month's number, 1 to 12.
fn month(word: &[u8]) -> Option<i64> {
    (1..)
        .zip(MONTHS)
        .find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(word))
        .map(|(number, _)| number)
}

fn seconds(year: i64, month: i64, day: i64, second_of_day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=longest)
        .contains(&day)
        .then(|| days_from_civil(year, month, day) * DAY + second_of_day)
}

/// Days since 1970-01-01 of a day in the Gregorian calendar. Years are counted from March, so that the leap day is the
/// last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A moment in the Gregorian calendar, UTC.
struct Civil {
    year: usize,
    /// 1 to 12.
    month: usize,
    /// 1 to 31.
    day: usize,
    /// 0 is Sunday.
    weekday: usize,
    second_of_day: usize,
}

impl Civil {
    /// The inverse of [`days_from_civil`], for moments from 1970 to the end of 9999; later ones are taken as that end.
    fn of(wall: Duration) -> Civil {
        // Fits a usize of 32 bits from here on: fewer than 3 million days.
        let (days, second_of_day) = (
            wall.as_secs().min(LAST_SECOND) / 86_400,
            wall.as_secs().min(LAST_SECOND) % 86_400,
        );
        let (days, second_of_day) = (days as usize, second_of_day as usize);
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Civil {
            year: era * 400 + year_of_era + usize::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            weekday: (days + 4) % 7,
            second_of_day,
        }
    }
}

fn write_digits(place: &mut [u8], mut number: usize) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// `08:49:37` into a place that has its colons already.
fn write_time(place: &mut [u8], second_of_day: usize) {
    write_digits(&mut place[..2], second_of_day / 3_600);
    write_digits(&mut place[3..5], second_of_day / 60 % 60);
    write_digits(&mut place[6..8], second_of_day % 60);
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn exactly(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// The letters up to the next byte that is none.
    fn word(&mut self) -> Option<&'a [u8]> {
        let length = self
            .0
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        let (word, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(word)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.iter().try_fold(0, |sum, digit| {
            digit
                .is_ascii_digit()
                .then(|| sum * 10 + i64::from(digit - b'0'))
        })
    }

    /// `08:49:37` as the second of the day. A leap second, 60, is the first of the next minute.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        self.exactly(b":")?;
        let minute = self.digits(2)?;
        self.exactly(b":")?;
        let second = self.digits(2)?;
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3_600 + minute * 60 + second)
    }

    fn zone(&mut self) -> Option<()> {
        self.exactly(b" ")?;
        self.word()?.eq_ignore_ascii_case(b"GMT").then_some(())?;
        self.end()
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests;

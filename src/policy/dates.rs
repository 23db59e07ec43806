//! HTTP dates (RFC 9110 §5.6.7) read in their three forms, and the two forms this cache writes.
//!
//! Read by hand because the common crates are strict about letter case, where caches have to be lenient, and lenient
//! about blanks and zones, where they have to be strict. Printed by one of them.

use std::time::{Duration, UNIX_EPOCH};

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

/// IMF-fixdate, as in `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7), of a time since the Unix epoch. Times after the year
/// 9999 are printed as its last second.
pub fn imf_fixdate(wall: Duration) -> String {
    let second = wall.as_secs().min(LAST_SECOND);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second))
}

/// ISO 8601 in UTC with milliseconds, as in `1994-11-06T08:49:37.000Z`, of a time since the Unix epoch.
pub fn iso8601(wall: Duration) -> String {
    let date = imf_fixdate(wall);
    let month = month(&date.as_bytes()[8..11]).unwrap_or_default();
    let milliseconds = wall.subsec_millis();
    let year = &date[12..16];
    let day = &date[5..7];
    let time = &date[17..25];
    format!("{year}-{month:02}-{day}T{time}.{milliseconds:03}Z")
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
    let this_year: i64 = imf_fixdate(now.wall)[12..16].parse().ok()?;
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
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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

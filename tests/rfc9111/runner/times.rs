//! Placeholders in field values, and the dates they become. Written apart from `policy::dates`, which is under test.

const WEEKDAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// What placeholders stand for in one step.
#[derive(Clone, Default)]
pub struct Moment {
    /// When the scenario began, in seconds since the Unix epoch.
    pub start: i64,
    /// When the step is played.
    pub now: i64,
    /// The beginning of all the scenario's targets.
    pub prefix: String,
    /// The step's target.
    pub target: String,
    /// The origin's URL, without a path.
    pub origin: String,
}

/// `text` with its placeholders resolved; an error for one that is not known.
pub fn resolve(text: &str, moment: &Moment) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (word, after) = after
            .split_once('}')
            .ok_or_else(|| format!("an open brace in {text:?}"))?;
        out.push_str(before);
        out.push_str(
            &meaning(word, moment)
                .ok_or_else(|| format!("unknown placeholder {{{word}}} in {text:?}"))?,
        );
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn meaning(word: &str, moment: &Moment) -> Option<String> {
    match word {
        "path" => return Some(moment.target.clone()),
        "prefix" => return Some(moment.prefix.clone()),
        "origin" => return Some(moment.origin.clone()),
        _ => {}
    }
    let (form, time): (fn(&Civil) -> String, &str) = match word.split_once(':') {
        None => (imf_fixdate, word),
        Some(("rfc850", time)) => (rfc850, time),
        Some(("asctime", time)) => (asctime, time),
        Some(_) => return None,
    };
    let (base, offset) = time.split_at(time.find(['+', '-']).unwrap_or(time.len()));
    let base = match base {
        "now" => moment.now,
        "start" => moment.start,
        _ => return None,
    };
    let offset: i64 = if offset.is_empty() {
        0
    } else {
        offset.parse().ok()?
    };
    Some(form(&Civil::of(base + offset)))
}

/// A time as people write it, in UTC.
struct Civil {
    weekday: &'static str,
    year: i64,
    month: &'static str,
    day: i64,
    time: String,
}

impl Civil {
    fn of(seconds: i64) -> Civil {
        let days = seconds.div_euclid(86_400);
        let second = seconds.rem_euclid(86_400);
        let time = format!(
            "{:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        );
        // Every 400 years take the same number of days; what is left is counted out.
        let mut year = 1970 + 400 * days.div_euclid(146_097);
        let mut left = days.rem_euclid(146_097);
        while left >= 365 + i64::from(is_leap(year)) {
            left -= 365 + i64::from(is_leap(year));
            year += 1;
        }
        let february = 28 + i64::from(is_leap(year));
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while left >= lengths[month] {
            left -= lengths[month];
            month += 1;
        }
        let weekday = WEEKDAYS[usize::try_from(days.rem_euclid(7)).unwrap()];
        Civil {
            weekday,
            year,
            month: MONTHS[month],
            day: left + 1,
            time,
        }
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn imf_fixdate(civil: &Civil) -> String {
    let Civil {
        weekday,
        year,
        month,
        day,
        time,
    } = civil;
    format!("{}, {day:02} {month} {year:04} {time} GMT", &weekday[..3])
}

fn rfc850(civil: &Civil) -> String {
    let Civil {
        weekday,
        year,
        month,
        day,
        time,
    } = civil;
    format!(
        "{weekday}, {day:02}-{month}-{:02} {time} GMT",
        year.rem_euclid(100)
    )
}

fn asctime(civil: &Civil) -> String {
    let Civil {
        weekday,
        year,
        month,
        day,
        time,
    } = civil;
    format!("{} {month} {day:2} {time} {year:04}", &weekday[..3])
}

#[test]
fn placeholders_become_dates_in_three_forms() {
    let moment = Moment {
        start: 784_111_777,
        now: 784_111_780,
        prefix: "/f/n".to_owned(),
        ..Moment::default()
    };
    for (text, expected) in [
        ("{start}", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("{now-3}", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("{rfc850:start}", "Sunday, 06-Nov-94 08:49:37 GMT"),
        ("{asctime:now-3}", "Sun Nov  6 08:49:37 1994"),
        // A leap day at the end of a cycle of 400 years, and the day before the epoch.
        ("{start+167670623}", "Tue, 29 Feb 2000 00:00:00 GMT"),
        ("{start-784111778}", "Wed, 31 Dec 1969 23:59:59 GMT"),
        ("<{prefix}/b>; x", "</f/n/b>; x"),
    ] {
        assert_eq!(resolve(text, &moment).as_deref(), Ok(expected), "{text}");
    }
    for text in ["{nwo}", "{now", "{now+}", "{now+1s}", "{utc:now}"] {
        assert!(resolve(text, &moment).is_err(), "{text}");
    }
}

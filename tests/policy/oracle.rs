//! Agreement with another cache: the crate http-cache-semantics, asked about the same exchanges.
//!
//! Every disagreement is either a defect of ours or a row of [`differences::INTENDED`].

mod differences;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Request, Response, StatusCode};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use larder::policy::dates::imf_fixdate;
use larder::policy::request_directives::RequestDirectives;
use larder::policy::reuse::{Reuse, reuse};
use larder::policy::rule::Rule;
use larder::policy::storing::{Refusal, Storing};
use larder::policy::validation::has_validator;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{Exchanged, RECEIVED, add, controlled, later, pure};

/// A request, its response, and the same request again.
#[derive(Clone, Debug, Default)]
struct Case {
    status: u16,
    /// The request's directives.
    asked: Vec<&'static str>,
    /// `Pragma: no-cache` in the request.
    asked_pragma: bool,
    /// The response's directives.
    said: Vec<&'static str>,
    /// `Pragma: no-cache` in the response.
    said_pragma: bool,
    age: Option<&'static str>,
    date: Option<When>,
    expires: Vec<When>,
    modified: Option<When>,
    etag: bool,
    /// Seconds until it is asked for again.
    elapsed: u64,
}

/// The value of a field that should be a date. A number is in seconds from reception on.
#[derive(Clone, Copy, Debug)]
enum When {
    Imf(i64),
    Asctime(i64),
    Broken(&'static str),
}

impl When {
    /// Seconds from reception on. `None`: no date.
    fn offset(self) -> Option<i64> {
        match self {
            When::Imf(offset) | When::Asctime(offset) => Some(offset),
            When::Broken(_) => None,
        }
    }

    fn text(self) -> String {
        let Some(offset) = self.offset() else {
            let When::Broken(text) = self else {
                unreachable!("only those have no offset")
            };
            return text.to_owned();
        };
        let text = imf_fixdate(Duration::from_secs(
            RECEIVED.wall.as_secs().saturating_add_signed(offset),
        ))
        .to_string();
        match self {
            When::Asctime(_) => {
                let weekday = &text[..3];
                let day = text[5..7].trim_start_matches('0');
                let month = &text[8..11];
                format!(
                    "{weekday} {month} {day:>2} {} {}",
                    &text[17..25],
                    &text[12..16]
                )
            }
            _ => text,
        }
    }
}

impl Case {
    fn request(&self) -> HeaderMap {
        let mut fields = if self.asked.is_empty() {
            HeaderMap::new()
        } else {
            controlled(&[self.asked.join(", ")])
        };
        if self.asked_pragma {
            add(&mut fields, "pragma", "no-cache");
        }
        fields
    }

    fn response(&self) -> HeaderMap {
        let mut fields = if self.said.is_empty() {
            HeaderMap::new()
        } else {
            controlled(&[self.said.join(", ")])
        };
        if self.said_pragma {
            add(&mut fields, "pragma", "no-cache");
        }
        if let Some(age) = self.age {
            add(&mut fields, "age", age);
        }
        let dates = [("date", self.date), ("last-modified", self.modified)];
        for (name, when) in dates
            .into_iter()
            .filter_map(|(name, when)| Some((name, when?)))
        {
            add(&mut fields, name, &when.text());
        }
        for when in &self.expires {
            add(&mut fields, "expires", &when.text());
        }
        if self.etag {
            add(&mut fields, "etag", "\"1\"");
        }
        fields
    }

    fn theirs(&self) -> CachePolicy {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a status code");
        *response.headers_mut() = self.response();
        let options = CacheOptions {
            shared: true,
            ignore_cargo_cult: false,
            ..CacheOptions::default()
        };
        CachePolicy::new_options(&self.asking(), &response, theirs_at(0), options)
    }

    fn asking(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.headers_mut() = self.request();
        request
    }

    /// What the two caches say differently. `None`: they agree.
    fn disagreement(&self) -> Option<String> {
        let theirs = self.theirs();
        let exchanged = Exchanged {
            request: self.request(),
            status: self.status,
            response: self.response(),
            rule: Rule::default(),
            defaults: pure(),
        };
        let lifetime = match (exchanged.judged(), theirs.is_storable()) {
            (Storing::Store { lifetime, .. }, true) => lifetime,
            // They may store what is of no use to anybody.
            (Storing::Refuse(Refusal::NoLifetime), true) => {
                let is_useless = theirs.time_to_live(theirs_at(0)).is_zero()
                    && !has_validator(&exchanged.response);
                return (!is_useless).then(|| "storable: no use to us, but to them".to_owned());
            }
            (Storing::Refuse(_), false) => return None,
            (ours, theirs) => return Some(format!("storable: {ours:?}, they {theirs}")),
        };
        let now = later(self.elapsed);
        let their_now = theirs_at(self.elapsed);
        let age = (lifetime.age(now).as_secs(), theirs.age(their_now).as_secs());
        let left = (
            lifetime.expires_in(now).max(0),
            theirs.time_to_live(their_now).as_secs() as i64,
        );
        let answers = reuse(&lifetime, &RequestDirectives::of(&exchanged.request), now);
        let at_once = (
            matches!(answers, Reuse::Fresh { .. } | Reuse::Stale { .. }),
            matches!(
                theirs.before_request(&self.asking(), their_now),
                BeforeRequest::Fresh(_)
            ),
        );
        let agree = age.0 == age.1 && left.0 == left.1 && at_once.0 == at_once.1;
        (!agree).then(|| {
            format!("ours, theirs: age {age:?}, seconds left {left:?}, at once {at_once:?}")
        })
    }
}

fn theirs_at(elapsed: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + RECEIVED.wall + Duration::from_secs(elapsed)
}

/// Mostly what both read alike, and now and then what a row of the table is about.
fn members(
    common: &'static [&'static str],
    odd: &'static [&'static str],
    most: usize,
) -> impl Strategy<Value = Vec<&'static str>> {
    let odd = prop_oneof![5 => Just(Vec::new()), 1 => select(odd).prop_map(|member| vec![member])];
    (subsequence(common, 0..=most), odd)
        .prop_map(|(common, odd)| [common, odd].concat())
        .prop_shuffle()
}

fn asked() -> impl Strategy<Value = Vec<&'static str>> {
    members(
        &[
            "no-cache",
            "max-age=100",
            "min-fresh=50",
            "max-stale",
            "only-if-cached",
            "nothing-to-see-here",
        ],
        &[
            "no-store",
            "max-age=x",
            "max-age=0",
            "max-age=+50",
            "min-fresh=0",
            "min-fresh=x",
            "max-stale=50",
            "max-stale=x",
        ],
        2,
    )
}

fn said() -> impl Strategy<Value = Vec<&'static str>> {
    const ODD: [&str; 18] = [
        "private",
        "no-store",
        "no-cache",
        "no-cache=\"x-a\"",
        "proxy-revalidate",
        "must-understand",
        "immutable",
        "max-age=0",
        "max-age=x",
        "max-age=-5",
        "max-age=+5",
        "max-age",
        "max-age=\"60\"",
        "max-age=3000000000",
        "s-maxage=x",
        "s-maxage",
        "stale-while-revalidate=50",
        "ext=\"a, max-age=7, b\"",
    ];
    members(
        &[
            "public",
            "must-revalidate",
            "max-age=100",
            "s-maxage=70",
            "stale-if-error=50",
            "nothing-to-see-here",
        ],
        &ODD,
        3,
    )
}

fn when(offsets: impl Strategy<Value = i64> + 'static) -> impl Strategy<Value = When> {
    offsets.prop_flat_map(|offset| {
        prop_oneof![
            20 => Just(When::Imf(offset)),
            1 => Just(When::Asctime(offset)),
            1 => Just(When::Broken("0")),
            1 => Just(When::Broken("yesterday")),
        ]
    })
}

prop_compose! {
    fn cases()(
        status in prop_oneof![
            8 => Just(200),
            4 => select(vec![203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 404, 405, 410, 412, 414, 501]),
            1 => select(vec![201, 299, 400, 500, 503]),
        ],
        asked in prop_oneof![1 => Just(Vec::new()), 2 => asked()],
        (asked_pragma, said_pragma, etag) in (prop::bool::weighted(0.05), prop::bool::weighted(0.05), any::<bool>()),
        said in said(),
        age in prop::option::of(select(vec!["0", "30", "30", "0070", "7.0", "-7", "x", "7, 9", "3000000000"])),
        date in prop::option::weighted(0.8, when(prop_oneof![4 => Just(0i64), 1 => -60i64..0, 1 => 1i64..500])),
        expires in prop_oneof![
            2 => Just(Vec::new()),
            6 => when(-200i64..2000).prop_map(|when| vec![when]),
            1 => (when(-200i64..2000), when(-200i64..2000)).prop_map(|(one, other)| vec![one, other]),
        ],
        modified in prop::option::of(when(-20_000i64..500)),
        elapsed in prop_oneof![0u64..4, 25u64..75, 95u64..155, 0u64..2000],
    ) -> Case {
        Case { status, asked, asked_pragma, said, said_pragma, age, date, expires, modified, etag, elapsed }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_global_rejects: 4000, ..ProptestConfig::default() })]

    // Were the table to exclude more than two thirds of the cases, too many would be rejected.
    #[test]
    fn another_cache_says_the_same_but_for_the_intended_differences(case in cases()) {
        prop_assume!(differences::of(&case).is_empty());
        prop_assert_eq!(case.disagreement(), None);
    }
}

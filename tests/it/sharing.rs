//! Random clients before random origins: whose bytes reach whom, and who shares.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use crate::support::{Answer, App, Origin, Seen, config_for};

const CUSTOM: [&str; 4] = ["Authorization", "Cookie", "X-Access-Token", "X_Api_Key"];
const NEUTRAL: [&str; 6] = [
    "User-Agent",
    "Referer",
    "X-Request-ID",
    "X-Forwarded-For",
    "Sec-CH-UA-Model",
    "CF-Connecting-IP",
];
const KEYED: [&str; 3] = ["X-Api-Version", "X-Requested-With", "HX-Request"];

/// What an origin says of its answers.
#[derive(Clone, Debug)]
struct Ways {
    status: u16,
    /// Its Cache-Control. Empty: it has none.
    directives: &'static str,
    /// Its Vary. Empty: it has none.
    vary: &'static str,
}

impl Ways {
    /// It lets others have the answer to a custom request, in so many words.
    fn declares(&self) -> bool {
        self.directives.contains("max-age")
    }
}

/// A request of a client: the fields it has by their places in the lists.
#[derive(Clone, Debug)]
struct Asked {
    custom: Vec<usize>,
    neutral: Vec<usize>,
    /// With a value, 0 or 1.
    keyed: Vec<(usize, u8)>,
}

fn ways() -> impl Strategy<Value = Ways> {
    let directives = [
        "",
        "",
        "no-store",
        "private",
        "private, max-age=60",
        "no-cache",
        "max-age=60",
        "public, max-age=60",
    ];
    (
        prop::sample::select(vec![200_u16, 200, 404, 301, 500]),
        prop::sample::select(directives.to_vec()),
        prop::sample::select(vec!["", "", "X-Access-Token", "Cookie", "Accept"]),
    )
        .prop_map(|(status, directives, vary)| Ways {
            status,
            directives,
            vary,
        })
}

fn asked() -> impl Strategy<Value = Asked> {
    let some = |count: usize| prop::sample::subsequence((0..count).collect::<Vec<_>>(), 0..=2);
    let keyed = (some(KEYED.len()), 0..2_u8)
        .prop_map(|(places, value)| places.into_iter().map(|at| (at, value)).collect());
    let custom = prop_oneof![2 => Just(Vec::new()), 1 => some(CUSTOM.len())];
    (custom, some(NEUTRAL.len()), keyed).prop_map(|(custom, neutral, keyed)| Asked {
        custom,
        neutral,
        keyed,
    })
}

/// The fields of the client with this number: no other client has a value of its custom and neutral ones.
fn fields(number: usize, asked: &Asked) -> Vec<(&'static str, String)> {
    let of = |names: &[&'static str], places: &[usize], class: &str| -> Vec<_> {
        places
            .iter()
            .map(|at| (names[*at], format!("{class}-of-{number}.")))
            .collect()
    };
    let keyed = asked
        .keyed
        .iter()
        .map(|(at, value)| (KEYED[*at], format!("keyed-{value}.")));
    let mut all = of(&CUSTOM, &asked.custom, "custom");
    all.extend(of(&NEUTRAL, &asked.neutral, "neutral"));
    all.extend(keyed);
    all
}

/// Whatever it sees of the lists, in order.
fn echo(seen: &Seen) -> String {
    let names = CUSTOM.iter().chain(&NEUTRAL).chain(&KEYED);
    let lines = names.flat_map(|name| {
        let values = seen.values(name).into_iter();
        values.map(move |value| format!("{name}: {value}\n"))
    });
    lines.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// No byte made for one client's custom or neutral field reaches another, unless the origin declared the answer fit for
    /// others; a keyed value reaches nobody without it; and requests that differ in neutral fields only share.
    #[test]
    fn must_show_2_what_is_made_for_one_client_reaches_no_other(
        ways in ways(),
        requests in proptest::collection::vec(asked(), 1..12),
        repeats in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let said = ways.clone();
        let origin = Origin::answering(move |seen| {
            let mut answer = Answer::status(said.status).body(echo(seen));
            for (name, value) in [("Cache-Control", said.directives), ("Vary", said.vary)] {
                if !value.is_empty() {
                    answer = answer.field(name, value);
                }
            }
            answer
        });
        let app = App::start(&config_for(&origin, json!({ "cache": { "statusTTL": { "404": 60, "301": 60 } } })));
        let mut client = app.client();
        let again = repeats.iter().map(|index| index.index(requests.len()));
        for number in (0..requests.len()).chain(again) {
            let asked = &requests[number];
            let sent = fields(number, asked);
            let lines: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let reply = client.get_with("/a", &lines);
            let text = reply.text();
            for line in text.lines().filter(|_| reply.status == ways.status && !text.starts_with('{')) {
                let (name, value) = line.split_once(": ").unwrap();
                let is_own = sent.iter().any(|(own, its)| own.eq_ignore_ascii_case(name) && its == value);
                let is_ours = value.starts_with("larder") || value == "127.0.0.1";
                let may_be_anothers = ways.declares() && !value.starts_with("keyed") && ways.vary != name;
                prop_assert!(is_own || is_ours || may_be_anothers, "{line} to client {number}, {sent:?}, {ways:?}");
            }
            if reply.status == ways.status && !text.starts_with('{') {
                for (name, value) in sent.iter().filter(|(_, value)| value.starts_with("keyed")) {
                    prop_assert!(text.contains(&format!("{name}: {value}")), "{name}: {value} is missing: {text}");
                }
            }
        }
        let plain = || requests.iter().filter(|asked| asked.custom.is_empty());
        let keys: BTreeSet<_> = plain().map(|asked| asked.keyed.clone()).collect();
        let custom = requests.len() - plain().count() + repeats.len();
        if ways.status == 200 && ways.directives.is_empty() && ways.vary.is_empty() {
            let plain_repeats = repeats.iter().filter(|index| requests[index.index(requests.len())].custom.is_empty());
            let unshared = keys.len() + custom - plain_repeats.count();
            prop_assert_eq!(origin.count("/a"), unshared, "what differs in neutral fields only is shared");
        }
    }
}

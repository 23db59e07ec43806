//! Where http-cache-semantics and we differ on purpose.

use super::{Case, StatusCode, When, theirs_at};

/// One difference, with what makes ours right.
pub struct Difference {
    /// What ours does, and theirs does not.
    ours: &'static str,
    /// The section that says so, of RFC 9111 unless it names another.
    section: &'static str,
    /// Whether an exchange is one of those.
    applies: fn(&Case) -> bool,
    /// One in which it shows, and no other difference does.
    example: fn() -> Case,
}

/// All of them.
pub static INTENDED: [Difference; 25] = [
    Difference {
        ours: "every final status code may be stored, theirs are fourteen",
        section: "3",
        applies: |case| matches!(case.status, 201 | 299 | 400 | 500 | 503),
        example: || Case {
            status: 299,
            ..said(&["max-age=100"])
        },
    },
    Difference {
        ours: "an error is never served stale, as every cache is free to",
        section: "4.2.4",
        applies: |case| is_error(case) && case.is_taken_stale(),
        example: || Case {
            status: 501,
            elapsed: 100,
            asked: vec!["max-stale"],
            ..said(&["max-age=100"])
        },
    },
    Difference {
        ours: "`no-cache` and a validator make any status storable; it is always confirmed before use",
        section: "5.2.2.4",
        applies: |case| {
            let by_default =
                [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501].contains(&case.status);
            let by_word = case.is_explicit_in_time() || case.says("public");
            case.says("no-cache") && !by_default && !by_word
        },
        example: || Case {
            status: 302,
            etag: true,
            ..said(&["no-cache"])
        },
    },
    Difference {
        ours: "`must-understand` outranks `no-store` where the status is known",
        section: "5.2.2.3",
        applies: |case| case.says("must-understand") && case.says("no-store"),
        example: || said(&["must-understand", "no-store", "max-age=100"]),
    },
    Difference {
        ours: "what Date shows counts as age",
        section: "4.2.3",
        applies: |case| {
            let behind = case.date.and_then(When::offset).map_or(0, |offset| -offset);
            let told = case.age.and_then(|age| age.parse().ok()).unwrap_or(0);
            behind > told
        },
        example: || Case {
            date: Some(When::Imf(-10)),
            ..said(&["max-age=100"])
        },
    },
    Difference {
        ours: "the obsolete forms of a date are read",
        section: "RFC 9110 5.6.7",
        applies: |case| {
            let others = case.date.iter().chain(&case.modified);
            case.expires
                .iter()
                .chain(others)
                .any(|when| matches!(when, When::Asctime(_)))
        },
        example: || Case {
            expires: vec![When::Asctime(100)],
            ..plain()
        },
    },
    Difference {
        ours: "several Expires are stale",
        section: "4.2.1",
        applies: |case| case.expires.len() > 1,
        example: || Case {
            expires: vec![When::Imf(100), When::Imf(100)],
            ..plain()
        },
    },
    Difference {
        ours: "a sign is no digit",
        section: "1.2.2",
        applies: |case| {
            case.said
                .iter()
                .chain(&case.asked)
                .any(|member| member.contains("=+"))
        },
        example: || said(&["max-age=+5"]),
    },
    Difference {
        ours: "times saturate at 2^31",
        section: "1.2.2",
        applies: |case| case.said.contains(&"max-age=3000000000") || case.age == Some("3000000000"),
        example: || said(&["max-age=3000000000"]),
    },
    Difference {
        ours: "the first member of Age counts",
        section: "5.1",
        applies: |case| case.age.is_some_and(|age| age.contains(',')),
        example: || Case {
            age: Some("7, 9"),
            ..said(&["max-age=100"])
        },
    },
    Difference {
        ours: "a lifetime that cannot be read is stale: no other one takes its place",
        section: "4.2.1",
        applies: |case| {
            ["max-age", "s-maxage"]
                .iter()
                .any(|name| value_of(&case.said, name) == Some(None))
        },
        example: || Case {
            expires: vec![When::Imf(100)],
            ..said(&["max-age"])
        },
    },
    Difference {
        ours: "a directive inside a quotation is none",
        section: "5.2, RFC 9110 5.6.4",
        applies: |case| case.said.iter().any(|member| member.starts_with("ext=")),
        example: || said(&["ext=\"a, max-age=7, b\""]),
    },
    Difference {
        ours: "the first of several equal names counts, and does not forbid stale answers",
        section: "4.2.1",
        applies: |case| case.is_said_twice() && case.is_taken_stale(),
        example: || Case {
            asked: vec!["max-stale"],
            elapsed: 100,
            ..said(&["max-age=100", "max-age=0"])
        },
    },
    Difference {
        ours: "`no-cache` with names is about those fields",
        section: "5.2.2.4",
        applies: |case| {
            case.said
                .iter()
                .any(|member| member.starts_with("no-cache="))
        },
        example: || said(&["no-cache=\"x-a\"", "max-age=100"]),
    },
    Difference {
        ours: "`immutable` gives nothing a lifetime",
        section: "RFC 8246 2",
        applies: |case| case.says("immutable") && !case.is_explicit_in_control(),
        example: || Case {
            etag: true,
            ..said(&["immutable"])
        },
    },
    Difference {
        ours: "`proxy-revalidate` is about what is stale",
        section: "5.2.2.8",
        applies: |case| case.says("proxy-revalidate"),
        example: || said(&["proxy-revalidate", "max-age=100"]),
    },
    Difference {
        ours: "`s-maxage` and `no-cache` forbid stale answers to `max-stale`, too",
        section: "5.2.2.10, 5.2.2.4",
        applies: |case| (case.says("s-maxage") || case.says("no-cache")) && case.is_taken_stale(),
        example: || Case {
            asked: vec!["max-stale"],
            elapsed: 70,
            ..said(&["s-maxage=70"])
        },
    },
    Difference {
        ours: "`max-stale` includes the second it names",
        section: "5.2.1.2",
        applies: |case| {
            value_of(&case.asked, "max-stale") == Some(Some("50")) && case.past() == Some(50)
        },
        example: || Case {
            asked: vec!["max-stale=50"],
            elapsed: 150,
            ..said(&["max-age=100"])
        },
    },
    Difference {
        ours: "a `max-stale` that cannot be read is not the one without a value",
        section: "5.2.1.2",
        applies: |case| {
            value_of(&case.asked, "max-stale") == Some(Some("x")) && case.is_taken_stale()
        },
        example: || Case {
            asked: vec!["max-stale=x"],
            elapsed: 100,
            ..said(&["max-age=100"])
        },
    },
    Difference {
        ours: "of a request, a directive that cannot be read is as good as none, and the next of its name counts",
        section: "5.2.3",
        applies: |case| {
            let is_repeated = |name: &str| {
                case.asked
                    .iter()
                    .filter(|member| name_of(member) == name)
                    .count()
                    > 1
            };
            let is_garbled = |name: &str| value_of(&case.asked, name) == Some(Some("x"));
            ["max-age", "min-fresh", "max-stale"]
                .iter()
                .any(|name| is_garbled(name) && is_repeated(name))
        },
        example: || Case {
            asked: vec!["max-age=x", "max-age=100"],
            elapsed: 101,
            ..said(&["max-age=200"])
        },
    },
    Difference {
        ours: "who wants it fresh, for however short a time, does not want it stale",
        section: "5.2.1.3",
        applies: |case| {
            value_of(&case.asked, "min-fresh") == Some(Some("0")) && case.is_taken_stale()
        },
        example: || Case {
            asked: vec!["min-fresh=0", "max-stale"],
            elapsed: 100,
            ..said(&["max-age=100"])
        },
    },
    Difference {
        ours: "`max-age=0` is a reload, also of what came this second",
        section: "5.2.1.1",
        applies: |case| {
            let is_zero = value_of(&case.asked, "max-age") == Some(Some("0"));
            is_zero && case.theirs().age(theirs_at(case.elapsed)).is_zero()
        },
        example: || Case {
            asked: vec!["max-age=0"],
            ..said(&["max-age=100"])
        },
    },
    Difference {
        ours: "stale while it is revalidated",
        section: "RFC 5861 3",
        applies: |case| case.says("stale-while-revalidate") && case.past().is_some(),
        example: || Case {
            elapsed: 100,
            ..said(&["max-age=100", "stale-while-revalidate=50"])
        },
    },
    Difference {
        ours: "`Pragma` does not count beside Cache-Control",
        section: "5.4",
        applies: |case| case.asked_pragma && !case.asked.is_empty(),
        example: || Case {
            asked: vec!["max-age=100"],
            asked_pragma: true,
            ..said(&["max-age=100"])
        },
    },
    Difference {
        ours: "`Pragma` says nothing in a response",
        section: "5.4",
        applies: |case| case.said_pragma && case.said.is_empty(),
        example: || Case {
            said_pragma: true,
            expires: vec![When::Imf(100)],
            ..plain()
        },
    },
];

/// The rows an exchange falls under.
pub fn of(case: &Case) -> Vec<&'static str> {
    INTENDED
        .iter()
        .filter(|difference| (difference.applies)(case))
        .map(|difference| difference.ours)
        .collect()
}

#[test]
fn every_intended_difference_is_one_and_shows_in_its_example_alone() {
    for Difference {
        ours,
        section,
        example,
        ..
    } in &INTENDED
    {
        let case = example();
        assert_eq!(of(&case), [*ours], "{case:?}");
        assert!(
            case.disagreement().is_some(),
            "they agree (§{section}): {ours}"
        );
    }
}

fn plain() -> Case {
    Case {
        status: 200,
        date: Some(When::Imf(0)),
        ..Case::default()
    }
}

fn said(members: &[&'static str]) -> Case {
    Case {
        said: members.to_vec(),
        ..plain()
    }
}

fn is_error(case: &Case) -> bool {
    StatusCode::from_u16(case.status).is_ok_and(|status| status.is_server_error())
}

/// The name of a directive.
fn name_of(member: &str) -> &str {
    member.split('=').next().unwrap_or_default()
}

/// The value of the first directive with this name. `Some(None)`: it has none.
fn value_of(members: &[&'static str], name: &str) -> Option<Option<&'static str>> {
    let first = members.iter().find(|member| name_of(member) == name)?;
    Some(first.split_once('=').map(|(_, value)| value))
}

impl Case {
    /// Whether the response has this directive without names of fields.
    fn says(&self, name: &str) -> bool {
        value_of(&self.said, name).is_some_and(|value| name != "no-cache" || value.is_none())
    }

    fn is_said_twice(&self) -> bool {
        self.said.iter().any(|member| {
            self.said
                .iter()
                .filter(|other| name_of(other) == name_of(member))
                .count()
                > 1
        })
    }

    fn is_explicit_in_control(&self) -> bool {
        self.says("max-age") || self.says("s-maxage")
    }

    fn is_explicit_in_time(&self) -> bool {
        self.is_explicit_in_control() || !self.expires.is_empty()
    }

    /// Seconds past its lifetime, as they see it. `None`: it is fresh.
    fn past(&self) -> Option<u64> {
        let theirs = self.theirs();
        let now = theirs_at(self.elapsed);
        // They do not tell the lifetime; it is what would be left at an age of zero.
        let newborn = Case {
            age: None,
            ..self.clone()
        }
        .theirs();
        let lifetime = newborn.time_to_live(theirs_at(0));
        theirs
            .is_stale(now)
            .then(|| theirs.age(now).saturating_sub(lifetime).as_secs())
    }

    /// Whether it is stale when it is asked for by a client that takes stale answers.
    fn is_taken_stale(&self) -> bool {
        self.asked
            .iter()
            .any(|member| member.starts_with("max-stale"))
            && self.past().is_some()
    }
}

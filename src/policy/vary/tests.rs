use proptest::prelude::*;

use super::*;

fn fields(lines: &[(&str, &[u8])]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name");
        fields.append(name, HeaderValue::from_bytes(value).expect("a field value"));
    }
    fields
}

fn names(names: &[&str]) -> Vec<HeaderName> {
    names
        .iter()
        .map(|name| HeaderName::from_bytes(name.as_bytes()).expect("a field name"))
        .collect()
}

/// Whether a request with `asked` as the lines of `name` selects what one with `sent` has fetched.
fn selects(name: &str, coded: bool, sent: &[&str], asked: &[&str]) -> bool {
    let request = |values: &[&str]| {
        let lines: Vec<(&str, &[u8])> = values
            .iter()
            .map(|value| (name, value.as_bytes()))
            .collect();
        fields(&lines)
    };
    let selecting = Selecting::of(names(&[name]), &request(sent), coded);
    let matches = selecting.matches(&request(asked));
    if coded {
        let same = text(&selecting, &request(sent)) == text(&selecting, &request(asked));
        assert_eq!(matches, same, "{name}: {sent:?} and {asked:?} as text");
    }
    matches
}

fn text(selecting: &Selecting, asked: &HeaderMap) -> String {
    let mut text = String::new();
    selecting.write_text(asked, &mut text);
    text
}

#[test]
fn what_is_nominated_is_sorted_and_distinct() {
    let of = |lines: &[&str]| {
        let lines: Vec<(&str, &[u8])> =
            lines.iter().map(|line| ("vary", line.as_bytes())).collect();
        nominated(&fields(&lines), |name| name != "cookie")
    };
    let some = |expected: &[&str]| Nominated::Fields(names(expected));
    assert_eq!(of(&[]), Nominated::Nothing);
    assert_eq!(of(&["", " , ,"]), Nominated::Nothing);
    assert_eq!(
        of(&["Cookie"]),
        Nominated::Nothing,
        "a field the origin never sees"
    );
    assert_eq!(
        of(&["Foo,Accept ,\tfoo,, Cookie", "bar"]),
        some(&["accept", "bar", "foo"])
    );
    assert_eq!(of(&["*"]), Nominated::Everything);
    assert_eq!(of(&["foo", "bar, *"]), Nominated::Everything);
    assert_eq!(of(&["foo bar"]), Nominated::Everything, "no field name");
    assert_eq!(
        of(&["foo, \"bar\""]),
        Nominated::Everything,
        "no field name"
    );
}

#[test]
fn more_names_than_the_limit_are_everything() {
    let of = |count: usize| {
        let line = (0..count)
            .map(|at| format!("f{at}, F{at}"))
            .collect::<Vec<String>>()
            .join(",");
        nominated(&fields(&[("vary", line.as_bytes())]), |_| true)
    };
    assert!(matches!(of(MAX_NOMINATED), Nominated::Fields(names) if names.len() == MAX_NOMINATED));
    assert_eq!(of(MAX_NOMINATED + 1), Nominated::Everything);
}

#[test]
fn any_field_is_compared_without_lines_and_blanks_around_commas() {
    let same: [(&[&str], &[&str]); 5] = [
        (&[], &[]),
        (&["1"], &["1"]),
        (&["1, 2"], &["1,2"]),
        (&[" 1 \t,  2 "], &["1", "2"]),
        (&["1", "2, 3"], &["1,2", "3"]),
    ];
    let different: [(&[&str], &[&str]); 8] = [
        (&[], &[""]),
        (&["1"], &[]),
        (&["1"], &["2"]),
        (&["a"], &["A"]),
        (&["1, 2"], &["2, 1"]),
        (&["1 2"], &["12"]),
        (&["1,,2"], &["1,2"]),
        (&["1"], &["1", "1"]),
    ];
    for (sent, asked) in same {
        assert!(selects("foo", true, sent, asked), "{sent:?} {asked:?}");
        assert!(selects("foo", true, asked, sent), "{asked:?} {sent:?}");
    }
    for (sent, asked) in different {
        assert!(!selects("foo", true, sent, asked), "{sent:?} {asked:?}");
        assert!(!selects("foo", true, asked, sent), "{asked:?} {sent:?}");
    }
}

#[test]
fn languages_and_codings_are_compared_as_sets() {
    let same: [(&[&str], &[&str]); 6] = [
        (&["en, de"], &["DE,en"]),
        (&["en", "de"], &["de, en"]),
        (&["en;q=0.5, de"], &["de;q=1.000, en ; Q=0.50"]),
        (&["en, en"], &["en"]),
        (&["en,, de,"], &["en, de"]),
        (&["en;q=0"], &["en;q=0.000"]),
    ];
    let different: [(&[&str], &[&str]); 9] = [
        (&["en, de"], &["en"]),
        (&["en;q=0.5"], &["en"]),
        (&["en;q=0.5"], &["en;q=0.6"]),
        (&["en;q=0.5000"], &["en;q=0.5"]),
        (&["en;q=1.001"], &["en"]),
        (&["en;q=5"], &["en"]),
        (&["en;v=0.5"], &["en;q=0.5"]),
        (&["e n"], &["en"]),
        (&[], &[""]),
    ];
    for name in ["accept-language", "accept-encoding"] {
        for (sent, asked) in same {
            assert!(
                selects(name, true, sent, asked),
                "{name}: {sent:?} {asked:?}"
            );
            assert!(
                !selects("foo", true, sent, asked),
                "only these two: {sent:?} {asked:?}"
            );
        }
        for (sent, asked) in different {
            assert!(
                !selects(name, true, sent, asked),
                "{name}: {sent:?} {asked:?}"
            );
        }
    }
}

#[test]
fn a_long_list_is_compared_as_it_stands() {
    let list = |count: usize| {
        (0..count)
            .map(|at| format!("l{at}"))
            .collect::<Vec<String>>()
            .join(",")
    };
    for (count, ordered) in [(MAX_SET, false), (MAX_SET + 1, true)] {
        let forward = list(count);
        let backward = forward.split(',').rev().collect::<Vec<&str>>().join(",");
        assert!(selects(
            "accept-language",
            true,
            &[&forward],
            &[&forward.replace(',', " , ")]
        ));
        assert_eq!(
            selects("accept-language", true, &[&forward], &[&backward]),
            !ordered,
            "{count}"
        );
    }
}

#[test]
fn what_has_no_coding_is_selected_wherever_identity_will_do() {
    let cases: [(&[&str], bool); 9] = [
        (&[], true),
        (&[""], true),
        (&["br"], true),
        (&["gzip, *"], true),
        (&["*;q=0, identity;q=0.001"], true),
        (&["br, Identity;q=0"], false),
        (&["br, *;q=0.000"], false),
        (&["br", "*;q=0"], false),
        (&["identity;q=0, identity"], false),
    ];
    for (asked, expected) in cases {
        assert_eq!(
            selects("accept-encoding", false, &["gzip"], asked),
            expected,
            "{asked:?}"
        );
        assert!(
            !selects("accept-encoding", true, &["gzip"], asked),
            "with a coding: {asked:?}"
        );
        assert!(
            !selects("foo", false, &["gzip"], asked),
            "only this field: {asked:?}"
        );
        assert!(
            selects("accept-encoding", false, asked, asked),
            "its own request: {asked:?}"
        );
    }
}

#[test]
fn every_name_has_to_match() {
    let sent = fields(&[("foo", b"1"), ("bar", b"2")]);
    let selecting = Selecting::of(names(&["bar", "baz", "foo"]), &sent, true);
    assert!(selecting.matches(&fields(&[("bar", b"2"), ("foo", b"1"), ("other", b"3")])));
    assert!(!selecting.matches(&fields(&[("foo", b"1")])));
    assert!(
        !selecting.matches(&fields(&[("bar", b"1"), ("foo", b"2")])),
        "the values are not exchanged"
    );
    assert!(!selecting.matches(&fields(&[("bar", b"2"), ("baz", b""), ("foo", b"1")])));
    assert_eq!(
        selecting.names().cloned().collect::<Vec<HeaderName>>(),
        names(&["bar", "baz", "foo"])
    );
}

#[test]
fn repeating_makes_another_request_the_one_the_origin_saw() {
    let sent = fields(&[
        ("accept-language", b"En,  de"),
        ("accept-language", b""),
        ("foo", b"\xe4 \t,"),
    ]);
    let selecting = Selecting::of(names(&["accept-language", "bar", "foo"]), &sent, true);
    let mut other = fields(&[("foo", b"2"), ("foo", b"3"), ("bar", b"4"), ("host", b"h")]);
    selecting.repeat(&mut other);
    let mut expected = sent.clone();
    expected.insert("host", HeaderValue::from_static("h"));
    assert_eq!(other, expected);
}

#[test]
fn the_text_is_printable_and_unambiguous() {
    let sent = fields(&[
        ("accept-encoding", b"GZIP ; q=0.5 ,br"),
        ("foo", b"a b,%\xe4"),
        ("foo", b"="),
    ]);
    let selecting = Selecting::of(names(&["accept-encoding", "bar", "foo"]), &sent, true);
    assert_eq!(
        text(&selecting, &sent),
        " accept-encoding=br,gzip;q=0.500 bar foo=a%20b,%25%E4,="
    );
    assert_eq!(
        text(&selecting, &HeaderMap::new()),
        " accept-encoding bar foo"
    );
    assert_eq!(
        text(&selecting, &fields(&[("bar", b"")])),
        " accept-encoding bar= foo"
    );
    // A weight without a name is no member that is left out (found by fuzzing).
    assert_eq!(
        text(&selecting, &fields(&[("accept-encoding", b";Q=1")])),
        " accept-encoding=;q=1 bar foo"
    );
}

#[test]
fn the_charge_grows_with_names_and_values() {
    let empty = Selecting::of(Vec::new(), &HeaderMap::new(), true).charge();
    let absent = Selecting::of(names(&["foo"]), &HeaderMap::new(), true).charge();
    let present = Selecting::of(names(&["foo"]), &fields(&[("foo", &[b'x'; 100])]), true).charge();
    assert_eq!(empty, 0);
    assert!(absent >= size_of::<HeaderName>() && present > absent + 100);
}

const NAMES: [&str; 3] = ["accept-encoding", "accept-language", "foo"];

/// Requests whose values are often alike: few members, written in many ways.
fn request() -> impl Strategy<Value = HeaderMap> {
    const MEMBERS: [&str; 14] = [
        "a",
        "A",
        "b",
        "b;q=0.5",
        "b ; Q=0.50",
        "b;q=0.5000",
        "b;500",
        ";q=1",
        ";q=0.5",
        "%",
        "%25",
        "\u{e4}",
        "",
        "a b",
    ];
    let member = (prop::sample::select(&MEMBERS[..]), "[ \t]{0,1}")
        .prop_map(|(member, blank)| format!("{member}{blank}"));
    let line = prop::collection::vec(member, 1..4).prop_map(|members| members.join(","));
    let lines = prop::collection::vec((prop::sample::select(&NAMES[..]), line), 0..5);
    lines.prop_map(|lines| {
        let lines: Vec<(&str, &[u8])> = lines
            .iter()
            .map(|(name, line)| (*name, line.as_bytes()))
            .collect();
        fields(&lines)
    })
}

proptest! {
    #[test]
    fn the_request_it_was_made_of_matches(sent in request(), coded: bool) {
        prop_assert!(Selecting::of(names(&NAMES), &sent, coded).matches(&sent));
    }

    #[test]
    fn texts_are_equal_exactly_when_requests_select_alike(one in request(), other in request()) {
        let [first, second] = [&one, &other].map(|sent| Selecting::of(names(&NAMES), sent, true));
        prop_assert_eq!(text(&first, &one) == text(&first, &other), first.matches(&other));
        prop_assert_eq!(first.matches(&other), second.matches(&one));
        prop_assert_eq!(text(&first, &other), text(&second, &other), "the text is the request's alone");
    }

    #[test]
    fn neither_order_nor_blanks_nor_lines_matter(
        members in prop::collection::vec("[a-zA-Z]{1,3}(;q=0\\.[0-9]{1,3})?", 1..MAX_SET),
        rotated in 0..MAX_SET, blank in "[ \t]{0,3}", lines: bool,
    ) {
        let sent = members.join(",");
        let mut other = members.clone();
        other.rotate_left(rotated % members.len());
        let ordered = [members, other].map(|members| members.join(&format!("{blank},{blank}")));
        let lines = |text: &str| -> Vec<String> {
            if lines { text.split(',').map(str::to_owned).collect() } else { vec![text.to_owned()] }
        };
        for (name, asked) in [("foo", &ordered[0]), ("accept-encoding", &ordered[1]), ("accept-language", &ordered[1])] {
            let asked = lines(asked);
            prop_assert!(selects(name, true, &[&sent], &asked.iter().map(String::as_str).collect::<Vec<&str>>()));
        }
    }

    #[test]
    fn no_value_panics(
        one in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3), other: Vec<u8>, coded: bool,
    ) {
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).ok();
        for name in names(&["accept-encoding", "foo", "vary"]) {
            let mut sent = HeaderMap::new();
            let mut asked = HeaderMap::new();
            one.iter().filter_map(|line| value(line)).for_each(|line| { sent.append(&name, line); });
            value(&other).map(|line| asked.append(&name, line));
            let _ = nominated(&sent, |_| true);
            let selecting = Selecting::of(vec![name], &sent, coded);
            prop_assert_eq!(!coded || selecting.matches(&asked), !coded || text(&selecting, &sent) == text(&selecting, &asked));
            selecting.repeat(&mut asked);
            prop_assert_eq!(asked, sent);
        }
    }
}

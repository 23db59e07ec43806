//! Tests of the structured dictionaries.

use proptest::prelude::*;

use super::*;

/// Keys and values in the order they are told. `None`: not a dictionary.
fn read(text: &[u8]) -> Option<Vec<(String, Value)>> {
    let mut told = Vec::new();
    dictionary(text, |key, value| {
        told.push((String::from_utf8(key.to_vec()).expect("ASCII"), value))
    })?;
    Some(told)
}

fn one(value: Value) -> Option<Vec<(String, Value)>> {
    Some(vec![("a".to_owned(), value)])
}

#[test]
fn every_type_of_a_value_is_told() {
    let cases = [
        ("a", Value::Boolean(true)),
        ("a;b;c=1", Value::Boolean(true)),
        ("a=?1", Value::Boolean(true)),
        ("a=?0;b=?1", Value::Boolean(false)),
        ("a=0", Value::Integer(0)),
        ("a=-0", Value::Integer(0)),
        ("a=-42", Value::Integer(-42)),
        ("a=007", Value::Integer(7)),
        ("a=999999999999999", Value::Integer(999_999_999_999_999)),
        ("a=5;  b=x;c=\"y\"", Value::Integer(5)),
        ("a=\"\"", Value::String),
        ("a=\"x, b=1; \\\"\\\\\"", Value::String),
        ("a=1.0", Value::Other),
        ("a=-123456789012.123", Value::Other),
        ("a=*to:k/en", Value::Other),
        ("a=::", Value::Other),
        ("a=:aGVsbG8=:", Value::Other),
        ("a=:aGVsbG8:", Value::Other),
        ("a=()", Value::Other),
        ("a=( 1  \"x\";p :AA==:;q=?0 );r", Value::Other),
        ("  a=1  ", Value::Integer(1)),
        ("a=1\t", Value::Integer(1)),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text.as_bytes()), one(expected), "{text}");
    }
    assert_eq!(read(b""), Some(vec![]));
    assert_eq!(read(b"   "), Some(vec![]));
}

#[test]
fn members_are_told_in_turn_and_a_key_may_be_told_again() {
    let expected = [("a", 1), ("*b_-.0", 2), ("a", 3)]
        .map(|(key, number)| (key.to_owned(), Value::Integer(number)));
    assert_eq!(read(b"a=1,*b_-.0=2 \t,\t a=3"), Some(expected.to_vec()));
}

#[test]
fn one_wrong_byte_and_there_is_no_dictionary() {
    let texts: [&[u8]; 63] = [
        b"a=",
        b"A=1",
        b"1=1",
        b"-a",
        b"_a",
        b"aB",
        b"=1",
        b",a",
        b"a,",
        b"a, ",
        b"a,,b",
        b"a b",
        b"a =1",
        b"a= 1",
        b"\ta",
        b"a;",
        b"a;B",
        b"a;b=",
        b"a;b=()",
        b"a ;b",
        b"a=-",
        b"a=--1",
        b"a=+1",
        b"a=1-",
        b"a=1a",
        b"a=1234567890123456",
        b"a=1.",
        b"a=.1",
        b"a=-.1",
        b"a=1.1234",
        b"a=1234567890123.1",
        b"a=1.2.3",
        b"a=\"",
        b"a=\"x",
        b"a=\"x\\\"",
        b"a=\"x\\y\"",
        b"a=\"x\ty\"",
        b"a=\"x\x7f\"",
        b"a=\"\xc3\xa4\"",
        b"a='x'",
        b"a=\"x\"y",
        b"a=?",
        b"a=?2",
        b"a=?true",
        b"a=:",
        b"a=:AAAA",
        b"a=:A:",
        b"a=:AAAAA:",
        b"a=:AA=:",
        b"a=:AA===:",
        b"a=:AAAA=:",
        b"a=:AAAA====:",
        b"a=:=AA=:",
        b"a=:A-A_:",
        b"a=(",
        b"a=(1",
        b"a=(1,2)",
        b"a=(1\t2)",
        b"a=(1\"x\")",
        b"a=((1))",
        b"a=@1659578233",
        b"a=%\"x\"",
        b"a=\xff",
    ];
    for text in texts {
        assert_eq!(read(text), None, "{}", text.escape_ascii());
    }
}

/// A value as it is written, and what it is.
fn bare() -> impl Strategy<Value = (String, Value)> {
    let written = |text: String| (text, Value::Other);
    prop_oneof![
        (-999_999_999_999_999..=999_999_999_999_999i64)
            .prop_map(|number| (number.to_string(), Value::Integer(number))),
        any::<bool>().prop_map(|set| (format!("?{}", u8::from(set)), Value::Boolean(set))),
        "[ -~]{0,12}".prop_map(|text| {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            (format!("\"{escaped}\""), Value::String)
        }),
        "-?[0-9]{1,12}\\.[0-9]{1,3}".prop_map(written),
        "[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]{0,9}".prop_map(written),
        (
            "([A-Za-z0-9+/]{4}){0,3}",
            "|[A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?"
        )
            .prop_map(move |(whole, last)| written(format!(":{whole}{last}:"))),
    ]
}

const KEY: &str = "[a-z*][a-z0-9_.*-]{0,5}";

fn parameters() -> impl Strategy<Value = String> {
    let one = (" {0,2}", KEY, proptest::option::of(bare())).prop_map(|(blanks, key, value)| {
        let value = value.map_or(String::new(), |(text, _)| format!("={text}"));
        format!(";{blanks}{key}{value}")
    });
    proptest::collection::vec(one, 0..3).prop_map(|all| all.concat())
}

fn inner_list() -> impl Strategy<Value = (String, Value)> {
    let item = (bare(), parameters()).prop_map(|((text, _), parameters)| text + &parameters);
    (proptest::collection::vec(item, 0..3), " {0,2}").prop_map(|(items, blanks)| {
        (
            format!("({blanks}{}{blanks})", items.join(" ")),
            Value::Other,
        )
    })
}

/// A member as it is written, and what is told of it.
fn member() -> impl Strategy<Value = (String, (String, Value))> {
    let value = prop_oneof![
        4 => bare().prop_map(|(text, value)| (format!("={text}"), value)),
        1 => inner_list().prop_map(|(text, value)| (format!("={text}"), value)),
        1 => Just((String::new(), Value::Boolean(true))),
    ];
    (KEY, value, parameters()).prop_map(|(key, (text, value), parameters)| {
        (format!("{key}{text}{parameters}"), (key, value))
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(members in proptest::collection::vec(member(), 0..6), comma in "[ \t]{0,2},[ \t]{0,2}") {
        let (texts, expected): (Vec<String>, Vec<(String, Value)>) = members.into_iter().unzip();
        let text = texts.join(&comma);
        prop_assert_eq!(read(format!("{text}{comma}").as_bytes()), None, "a comma at the end");
        prop_assert_eq!(read(text.as_bytes()), Some(expected));
    }

    #[test]
    fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..60)) {
        dictionary(&text, |_, _| {});
    }

    #[test]
    fn no_damage_to_a_dictionary_panics(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut text = b"a=1, b=-2.5;c=?0, d=\"x\\\"\", e=:AA==:, f=(1 \"x\";p);q, g".to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        dictionary(&text, |_, _| {});
    }
}

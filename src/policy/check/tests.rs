//! Tests of the Checks.

use proptest::prelude::*;

use super::*;

fn json(kind: JsonKind) -> Check {
    Check {
        json: Some(kind),
        ..Check::default()
    }
}

fn requiring(pointers: &[&str]) -> Check {
    Check {
        require: pointers.iter().map(|pointer| pointer.to_string()).collect(),
        ..Check::default()
    }
}

#[test]
fn kinds_of_document() {
    use CheckFailure::{NotAnArray, NotAnObject, NotJson};
    let cases: [(&str, [Result<(), CheckFailure>; 3]); 12] = [
        ("{\"a\": 1}", [Ok(()), Ok(()), Err(NotAnArray)]),
        (" \r\n{ } \t", [Ok(()), Ok(()), Err(NotAnArray)]),
        ("[]", [Ok(()), Err(NotAnObject), Ok(())]),
        ("null", [Ok(()), Err(NotAnObject), Err(NotAnArray)]),
        (
            "18446744073709551615",
            [Ok(()), Err(NotAnObject), Err(NotAnArray)],
        ),
        (
            "99999999999999999999999999999999999999e9999",
            [Ok(()), Err(NotAnObject), Err(NotAnArray)],
        ),
        ("\"text\"", [Ok(()), Err(NotAnObject), Err(NotAnArray)]),
        ("{\"a\": 1", [Err(NotJson), Err(NotJson), Err(NotAnArray)]),
        ("{} {}", [Err(NotJson), Err(NotJson), Err(NotAnArray)]),
        ("Not Found", [Err(NotJson), Err(NotJson), Err(NotJson)]),
        ("<html>", [Err(NotJson), Err(NotJson), Err(NotJson)]),
        ("", [Err(NotJson), Err(NotJson), Err(NotJson)]),
    ];
    for (body, expected) in cases {
        let found = [JsonKind::Any, JsonKind::Object, JsonKind::Array]
            .map(|kind| json(kind).evaluate(body.as_bytes()));
        assert_eq!(found, expected, "{body}");
    }
}

#[test]
fn required_pointers_lead_to_something() {
    let body = r#"{"site": {"power": 0, "big": 18446744073709551616, "odd": 1e999, "none": null},
        "list": [1, {"x": false}, null], "a/b": {"m~n": ""}, "": 1, "zero": "0"}"#;
    let present = [
        "/site",
        "/site/power",
        "/site/big",
        "/site/odd",
        "/list",
        "/list/0",
        "/list/1/x",
        "/a~1b/m~0n",
        "/",
        "",
    ];
    for pointer in present {
        assert_eq!(
            requiring(&[pointer]).evaluate(body.as_bytes()),
            Ok(()),
            "{pointer}"
        );
    }
    assert_eq!(requiring(&present).evaluate(body.as_bytes()), Ok(()));
    let absent = [
        "/site/none",
        "/sit",
        "/site/",
        "/list/2",
        "/list/3",
        "/list/00",
        "/list/+1",
        "/list/-",
        "/zero/0",
        "/a/b",
        "/Site",
    ];
    for pointer in absent {
        let expected = Err(CheckFailure::Missing(pointer.to_string()));
        assert_eq!(
            requiring(&["/site", pointer]).evaluate(body.as_bytes()),
            expected,
            "{pointer}"
        );
    }
}

#[test]
fn required_pointers_imply_json() {
    assert_eq!(
        requiring(&["/a"]).evaluate(b"null"),
        Err(CheckFailure::Missing("/a".to_string()))
    );
    assert_eq!(
        requiring(&["/a"]).evaluate(b"{\"a\":1} x"),
        Err(CheckFailure::NotJson)
    );
    assert_eq!(
        requiring(&["/a"]).evaluate(b"TIMEOUT!"),
        Err(CheckFailure::NotJson)
    );
}

#[test]
fn emptiness_and_refused_texts() {
    let bare = Check {
        non_empty: true,
        ..Check::default()
    };
    assert_eq!(bare.evaluate(b" \r\n"), Err(CheckFailure::Empty));
    assert_eq!(bare.evaluate(b"{}"), Ok(()), "not said to be JSON");
    let full = Check {
        json: Some(JsonKind::Any),
        ..bare
    };
    for body in ["null", "{}", "[ ]", "{\n}", "\"\"", ""] {
        assert_eq!(
            full.evaluate(body.as_bytes()),
            Err(CheckFailure::Empty),
            "{body}"
        );
    }
    for body in ["{\"a\":null}", "[0]", "0", "false", "\" \""] {
        assert_eq!(full.evaluate(body.as_bytes()), Ok(()), "{body}");
    }
    let texts = Check {
        not_text: vec!["TIMEOUT!".to_string(), "Not Found".to_string()],
        ..Check::default()
    };
    assert_eq!(
        texts.evaluate(b"Not Found\n"),
        Err(CheckFailure::RefusedText)
    );
    assert_eq!(texts.evaluate(b"Not Found here"), Ok(()));
    assert_eq!(Check::default().evaluate(b""), Ok(()));
}

#[test]
fn a_large_body_is_judged_by_its_first_byte() {
    let mut body = b" {\"a\":".to_vec();
    body.resize(WHOLE_UP_TO + 1, b' ');
    let check = Check {
        json: Some(JsonKind::Object),
        non_empty: true,
        ..requiring(&["/b"])
    };
    assert_eq!(check.evaluate(&body), Ok(()));
    assert_eq!(
        json(JsonKind::Array).evaluate(&body),
        Err(CheckFailure::NotAnArray)
    );
    body.truncate(WHOLE_UP_TO);
    assert_eq!(check.evaluate(&body), Err(CheckFailure::NotJson));
}

#[test]
fn depth_overflows_no_stack() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(
        json(JsonKind::Array).evaluate(deep.as_bytes()),
        Ok(()),
        "skipped without recursion"
    );
    assert_eq!(
        requiring(&["/1"]).evaluate(deep.as_bytes()),
        Err(CheckFailure::Missing("/1".to_string()))
    );
    let pointer = "/0".repeat(200);
    let deep = "[".repeat(300) + &"]".repeat(300);
    assert_eq!(
        requiring(&[&pointer]).evaluate(deep.as_bytes()),
        Err(CheckFailure::NotJson),
        "the limit of serde_json"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..60), pointer in "(/[a-z0-9~]{0,3}){0,3}") {
        let check = Check { json: Some(JsonKind::Any), non_empty: true, ..requiring(&[&pointer]) };
        let _ = check.evaluate(&body);
    }

    #[test]
    fn no_broken_document_panics(text in "[\\[\\]{}:,\"a0n. -]{0,40}") {
        let _ = requiring(&["/a/0", "/0", "/a"]).evaluate(text.as_bytes());
    }
}

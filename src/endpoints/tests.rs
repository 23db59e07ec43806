use std::collections::BTreeSet;

use bytes::Bytes;

use super::*;

#[test]
fn the_reserved_names_are_those_of_the_table() {
    let table: BTreeSet<&str> = TABLE.iter().map(|endpoint| endpoint.path).collect();
    let reserved = route::ADMIN_NAMES.into_iter().chain(["/health"]).collect();
    assert_eq!(table, reserved);
    assert_eq!(table.len(), TABLE.len(), "a path twice");
}

#[test]
fn health_is_public_and_whatever_changes_is_not() {
    for endpoint in &TABLE {
        let is_health = endpoint.path.starts_with("/health");
        assert_eq!(
            endpoint.access == Access::Public,
            is_health,
            "{}",
            endpoint.path
        );
    }
}

#[test]
fn a_list_is_as_long_as_asked_for_up_to_a_thousand() {
    let cases = [
        ("/x", 1000),
        ("/x?limit=5", 5),
        ("/x?a=b&limit=0", 0),
        ("/x?limit=1001", 1000),
        ("/x?limit=-1", 1000),
    ];
    for (text, expected) in cases {
        let target = Target::parse(Bytes::from_static(text.as_bytes())).expect("a target");
        assert_eq!(limit(&target), expected, "{text}");
    }
}

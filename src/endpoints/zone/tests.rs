use http::HeaderName;

use super::*;
use crate::config::{Config, Network};
use crate::secret::Secret;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn map(fields: Fields<'_>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        map.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    map
}

fn admitted(peer: &str, fields: Fields<'_>) -> bool {
    let admin = Admin {
        token: Some(Secret::new("swordfish".to_owned())),
        hosts: vec!["cache.example.com".to_owned()],
        ..Config::default().admin
    };
    let trusted = ["192.168.7.7", "127.0.0.9"].map(|text| Network::parse(text).expect("a network"));
    let proxy = Proxy {
        trusted_proxies: trusted.into(),
        ..Proxy::default()
    };
    let peer = peer.parse().expect("an address");
    admits(peer, &map(fields), &admin, &proxy).is_ok()
}

#[test]
fn the_local_network_is_loopback_and_private_addresses() {
    let cases = [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("10.1.2.3", true),
        ("172.16.0.1", true),
        ("172.31.255.255", true),
        ("172.32.0.1", false),
        ("192.168.0.1", true),
        ("::ffff:192.168.0.1", true),
        ("192.169.0.1", false),
        ("169.254.0.1", false),
        ("100.64.0.1", false),
        ("8.8.8.8", false),
        ("::ffff:8.8.8.8", false),
        ("0.0.0.0", false),
        ("fc00::1", true),
        ("fdff::1", true),
        ("fe00::1", false),
        ("fe80::1", true),
        ("febf::1", true),
        ("fec0::1", false),
        ("2001:db8::1", false),
    ];
    for (peer, expected) in cases {
        assert_eq!(admitted(peer, &[("Host", "larder")]), expected, "{peer}");
    }
}

#[test]
fn elsewhere_the_token_opens_and_nothing_else() {
    let cases = [
        ("Bearer swordfish", true),
        ("bearer swordfish", true),
        ("Bearer  swordfish", true),
        ("Bearer Swordfish", false),
        ("Bearer swordfishes", false),
        ("Bearer ", false),
        ("Bearer", false),
        ("Basic swordfish", false),
        ("swordfish", false),
    ];
    for (authorization, expected) in cases {
        assert_eq!(
            admitted(
                "8.8.8.8",
                &[("Host", "larder"), ("Authorization", authorization)]
            ),
            expected
        );
    }
    let no_token = admits(
        "8.8.8.8".parse().expect("an address"),
        &map(&[("Host", "larder"), ("Authorization", "Bearer ")]),
        &Config::default().admin,
        &Proxy::default(),
    );
    let sentence = no_token.expect_err("without a token configured nothing opens");
    assert!(sentence.contains("ADMIN_TOKEN"), "{sentence}");
}

#[test]
fn who_comes_through_a_proxy_that_is_not_ours_is_remote() {
    let cases: [(&str, Fields<'_>, bool); 15] = [
        ("127.0.0.1", &[("Forwarded", "for=127.0.0.1")], false),
        ("127.0.0.1", &[("X-Forwarded-For", "127.0.0.1")], false),
        ("127.0.0.1", &[("X-Forwarded-Proto", "https")], false),
        ("127.0.0.1", &[("X-Forwarded-Anything", "")], false),
        ("127.0.0.1", &[("X-Real-IP", "127.0.0.1")], false),
        ("127.0.0.1", &[("Via", "1.1 a")], false),
        ("127.0.0.1", &[("X-Forwarded", "x")], true),
        // From a proxy of ours, its word about the client counts.
        ("127.0.0.9", &[], true),
        ("127.0.0.9", &[("X-Forwarded-For", "192.168.1.2")], true),
        ("127.0.0.9", &[("X-Forwarded-For", "8.8.8.8")], false),
        (
            "127.0.0.9",
            &[("X-Forwarded-For", "192.168.1.2, 8.8.8.8")],
            false,
        ),
        (
            "127.0.0.9",
            &[
                ("X-Forwarded-For", "8.8.8.8"),
                ("X-Forwarded-For", "10.0.0.1:5, 192.168.7.7"),
            ],
            true,
        ),
        ("127.0.0.9", &[("X-Forwarded-For", "unknown")], false),
        ("127.0.0.9", &[("X-Forwarded-Proto", "https")], false),
        ("127.0.0.9", &[("Forwarded", "for=192.168.1.2")], false),
    ];
    for (peer, relayed, expected) in cases {
        let fields: Vec<_> = [("Host", "larder")]
            .iter()
            .chain(relayed)
            .copied()
            .collect();
        assert_eq!(admitted(peer, &fields), expected, "{peer} {relayed:?}");
    }
}

#[test]
fn only_own_names_are_answered_under() {
    let cases = [
        ("127.0.0.1:8676", true),
        ("8.8.8.8", true),
        ("[::1]:8676", true),
        ("localhost", true),
        ("larder:8676", true),
        ("pi.local", true),
        ("PI.LAN:80", true),
        ("pi.home.arpa", true),
        ("pi.internal.", true),
        ("cache.example.com", true),
        ("CACHE.example.com.:8676", true),
        ("example.com", false),
        ("evil.cache.example.com", false),
        ("127.0.0.1.evil.com", false),
        ("pi.local.evil.com", false),
        ("evillocal.com", false),
        ("127.1", false),
    ];
    for (host, expected) in cases {
        assert_eq!(admitted("127.0.0.1", &[("Host", host)]), expected, "{host}");
        let with_token = [("Host", host), ("Authorization", "Bearer swordfish")];
        assert_eq!(
            admitted("127.0.0.1", &with_token),
            expected,
            "{host} with the token"
        );
    }
}

#[test]
fn two_hosts_are_no_name() {
    assert!(!admitted(
        "127.0.0.1",
        &[("Host", "larder"), ("Host", "larder")]
    ));
}

#[test]
fn fault_b10_a_foreign_page_changes_nothing() {
    let cases: [(Fields<'_>, bool); 18] = [
        (&[], true),
        (&[("Origin", "http://pi.local:8676")], true),
        (
            &[
                ("Origin", "https://PI.local:8676"),
                ("Sec-Fetch-Site", "same-origin"),
            ],
            true,
        ),
        (&[("Origin", "http://pi.local")], false),
        (&[("Origin", "http://evil.com")], false),
        (&[("Origin", "http://evil.com?://pi.local:8676")], false),
        (&[("Origin", "null")], false),
        (&[("Referer", "http://pi.local:8676/_larder/?x")], true),
        (&[("Referer", "http://pi.local:8676")], true),
        (&[("Referer", "http://evil.com/")], false),
        (&[("Referer", "http://evil.com/pi.local:8676")], false),
        (&[("Referer", "http://pi.local:8676@evil.com/")], false),
        (&[("Referer", "http://pi.local:1/")], false),
        (
            &[
                ("Origin", "http://pi.local:8676"),
                ("Referer", "http://evil.com/"),
            ],
            false,
        ),
        (&[("Sec-Fetch-Site", "cross-site")], false),
        (&[("Sec-Fetch-Site", "same-site")], false),
        (
            &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
            false,
        ),
        (&[("Sec-Fetch-Site", "none")], true),
    ];
    for (fields, expected) in cases {
        let fields: Vec<_> = [("Host", "pi.local:8676")]
            .iter()
            .chain(fields)
            .copied()
            .collect();
        assert_eq!(
            may_change(&map(&fields), &Config::default().admin).is_ok(),
            expected,
            "{fields:?}"
        );
    }
}

#[test]
fn a_token_that_is_set_is_required_for_a_change() {
    let admin = Admin {
        token: Some(Secret::new("swordfish".to_owned())),
        ..Config::default().admin
    };
    let without = may_change(&map(&[("Host", "larder")]), &admin);
    assert!(without.is_err_and(|sentence| sentence.contains("ADMIN_TOKEN")));
    let with = [("Host", "larder"), ("Authorization", "Bearer swordfish")];
    assert_eq!(may_change(&map(&with), &admin), Ok(()));
}

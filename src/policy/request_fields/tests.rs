//! Tests of the table of request fields.

use proptest::prelude::*;

use super::*;

/// Every name of the decision, in its usual capitals.
const NEUTRAL: &str = "Accept, Accept-Charset, Accept-Encoding, Accept-Language, Access-Control-Request-Method, \
    Access-Control-Request-Headers, Access-Control-Request-Private-Network, Alt-Used, Cache-Control, Cache-Refresh, CDN-Loop, \
    Connection, Content-Length, Content-Type, Device-Memory, DNT, Downlink, DPR, Early-Data, ECT, Expect, From, Host, \
    HTTP2-Settings, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, Keep-Alive, Max-Forwards, \
    Origin, Pragma, Priority, Proxy-Connection, Purpose, Range, Referer, RTT, Save-Data, Sec-CH-UA, Sec-CH-UA-Mobile, \
    Sec-CH-UA-Platform,     Sec-CH-UA-Full-Version-List, Sec-CH-Prefers-Color-Scheme, Sec-CH-DPR, Sec-CH-Width, Sec-CH-Viewport-Height, \
    Sec-CH-Device-Memory, Sec-Fetch-Dest, Sec-Fetch-Mode, Sec-Fetch-Site, Sec-Fetch-User, Sec-Fetch-Storage-Access, Sec-GPC, \
    Sec-Purpose, TE, Trailer, Upgrade, Upgrade-Insecure-Requests, User-Agent, Via, Viewport-Width, Width, X-Cache-Refresh, \
    X-Purpose, X-Prometheus-Scrape-Timeout-Seconds, X-Dashboard-Uid, X-Panel-Id, X-Panel-Plugin-Id, X-Datasource-Uid, \
    X-Plugin-Id, X-Query-Group-Id, X-Grafana-Device-Id, \
    traceparent, tracestate, baggage, b3, X-B3-TraceId, X-B3-Sampled, uber-trace-id, sentry-trace, X-Request-ID, \
    X-Correlation-ID, Request-Id, X-Amzn-Trace-Id, X-Cloud-Trace-Context, X-Datadog-Trace-Id, X-Datadog-Parent-Id, \
    X-Datadog-Sampling-Priority, X-Datadog-Origin, X-Datadog-Tags, X-Envoy-Expected-Rq-Timeout-Ms, X-Envoy-A";

const FORWARDING: &str = "Forwarded, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Port, X-Forwarded-Proto, \
    X-Forwarded-Server, X-Forwarded-Prefix, X-Forwarded-Scheme, X-Forwarded-Ssl, X-Real-IP, X-Scheme, X-Client-IP, \
    True-Client-IP, X-Original-URL, X-Original-Host, X-Rewrite-URL, CF-Connecting-IP, CF-Connecting-IPv6, CF-Ray, CF-Visitor, \
    CF-IPCountry, CF-EW-Via, CF-Worker, X-Amz-Cf-Id, CloudFront-Viewer-Country, CloudFront-Is-Mobile-Viewer, \
    Fastly-Client-IP, Fastly-FF, Fastly-SSL, Fly-Client-IP, Fly-Region";

const KEYED: &str = "Accept-Profile, Accept-Version, Accept-Datetime, Api-Version, X-Api-Version, X-Requested-With, \
    X-Grafana-Org-Id, HX-Request, X-Inertia, Turbo-Frame";

const CUSTOM: &str = "Authorization, Cookie, Proxy-Authorization, X-Api-Key, X-Auth-Token, X-Access-Token, Private-Token, \
    Idempotency-Key, Prefer, X-Scope-OrgID, Cf-Access-Jwt-Assertion, Cf-Access-Client-Id, X-Amzn-Oidc-Data, \
    X-Forwarded-User, X-Forwarded-Email, X-Forwarded-Groups, X-Forwarded-Client-Cert, Remote-User, \
    X-Session-Token, Api-Key, X-Auth-Request-User, X-Goog-Api-Key, X-HTTP-Host-Override, X-Forwarded, X-Middleware-Rewrite, \
    RSC, X-Oops, X-Tenant-Key, Sec-CH, Sec-CH-UA-, Sec-CH-Foo, Sec-CH-Prefers, X-B3, X-B3-, X-B, X-Envoy, X-Envoy-, Fly, \
    Fly-, CloudFront, CloudFront-, X-Original, X-Original-, X-Originals, Access-Control-Request-, Access-Control-Allow-Origin, \
    Sec-Fetch-Foo, CF-Foo, Fastly-Foo, A, X, Accep, Acceptt, XAccept, \
    X_Api_Key, User_Agent, X_Real_IP, X_Forwarded_For, X-Real_IP, Fly_Client_IP, Fly-Client_IP, X-Original_URL, \
    X-Envoy-A_B, X-B3-_, Sec_CH_UA, Sec-CH-UA-_, CloudFront-A_, Accept_Version, HX_Request";

fn names(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split(',').map(str::trim)
}

fn all() -> Vec<&'static str> {
    [NEUTRAL, FORWARDING, KEYED, CUSTOM]
        .into_iter()
        .flat_map(names)
        .collect()
}

/// What the decision says, the slow way: lists of whole names, then beginnings.
fn by_the_book(name: &str) -> Class {
    let name = name.to_ascii_lowercase();
    let is_listed = |list| names(list).any(|listed| listed.to_ascii_lowercase() == name);
    let families = [
        "sec-ch-ua-",
        "sec-ch-prefers-",
        "sec-ch-viewport-",
        "x-b3-",
        "x-envoy-",
        "access-control-request-",
        "x-original-",
        "cloudfront-",
        "fly-",
    ];
    let is_in_family = families
        .iter()
        .filter_map(|family| name.strip_prefix(family))
        .any(|rest| {
            !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
    if name.contains('_') || is_listed(CUSTOM) {
        Class::Custom
    } else if is_listed(KEYED) {
        Class::Keyed
    } else if is_listed(NEUTRAL) || is_listed(FORWARDING) || is_in_family {
        Class::Neutral
    } else {
        Class::Custom
    }
}

#[test]
fn every_name_of_the_decision_has_its_class_and_is_a_claim_or_not() {
    let lists = [
        (NEUTRAL, Class::Neutral, false),
        (FORWARDING, Class::Neutral, true),
        (KEYED, Class::Keyed, false),
        (CUSTOM, Class::Custom, false),
    ];
    for (list, class, is_claim) in lists {
        for name in names(list) {
            for spelled in [
                name.to_owned(),
                name.to_ascii_lowercase(),
                name.to_ascii_uppercase(),
            ] {
                let bytes = spelled.as_bytes();
                assert_eq!(classify(bytes), class, "{spelled}");
                assert_eq!(is_forwarding_claim(bytes), is_claim, "{spelled}");
            }
        }
    }
}

#[test]
fn the_table_has_no_name_that_the_decision_has_not() {
    let listed: Vec<String> = all().iter().map(|name| name.to_ascii_lowercase()).collect();
    for row in &ROWS {
        let name = std::str::from_utf8(row.name).expect("ASCII");
        assert!(listed.iter().any(|listed| listed == name), "{name}");
        let same = ROWS.iter().filter(|other| other.name == row.name).count();
        assert_eq!(same, 1, "{name}");
    }
}

#[test]
fn nothing_and_long_names_are_custom() {
    assert_eq!(classify(b""), Class::Custom);
    assert_eq!(classify(&[b'a'; 70_000]), Class::Custom);
    assert_eq!(classify(&[0xff; 12]), Class::Custom);
}

/// Bytes that differ from those of a listed name only by the bit that tells capitals from small letters.
#[test]
fn only_letters_have_a_case() {
    for name in all() {
        for at in 0..name.len() {
            let mut bytes = name.to_ascii_lowercase().into_bytes();
            bytes[at] ^= 0x20;
            let is_letter = bytes[at].is_ascii_alphabetic();
            let expected = if is_letter {
                by_the_book(name)
            } else {
                by_the_book(&String::from_utf8_lossy(&bytes))
            };
            assert_eq!(classify(&bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn malformed_values_are_not_plain() {
    let long = "a".repeat(257);
    let cases: [(&str, &[&str], &[&str]); 13] = [
        ("Accept", &["", "*/*", &long[1..]], &[&long]),
        ("Accept-Language", &["de", &long[1..]], &[&long]),
        ("accept-encoding", &["gzip"], &[&long]),
        (
            "Range",
            &["bytes=0-", "bytes=-5", "bytes=0-1, 4-5", "lines=1-2"],
            &["junk", "", "bytes", "bytes=", "bytes=a", "bytes=5-4", "=1"],
        ),
        (
            "If-None-Match",
            &["*", "\"a\"", "W/\"a\", \"b,c\"", "w/x", "abc"],
            &["", "\"a", "\"a\",,\"b\"", ",\"a\""],
        ),
        ("If-Match", &["\"a\""], &["\""]),
        (
            "If-Modified-Since",
            &[
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
            ],
            &["", "yesterday", "Sun, 06 Nov 1994 08:49:37 UTC"],
        ),
        ("If-Unmodified-Since", &["Sun Nov  6 08:49:37 1994"], &["0"]),
        (
            "If-Range",
            &["Sun, 06 Nov 1994 08:49:37 GMT", "\"a\""],
            &["\"a", ""],
        ),
        (
            "Cache-Control",
            &[
                "",
                "no-cache",
                "nothing-to-see-here",
                "max-age=0, ,x=\"a,\\\"b\"",
                "max-age='1'",
            ],
            &[
                "a b",
                "max-age =1",
                "max-age= 1",
                "=1",
                "a=",
                "x=\"a",
                "x=\"a\"b\"c\"",
                "a/b",
            ],
        ),
        ("Pragma", &["no-cache"], &["no cache"]),
        ("Content-Length", &["0", "00"], &["", "5", "0x", "-0"]),
        ("Max-Forwards", &["0", "17"], &["", "-1", "x"]),
    ];
    for (name, plain, malformed) in cases {
        for value in plain {
            assert!(
                value_is_plain(name.as_bytes(), value.as_bytes()),
                "{name}: {value}"
            );
        }
        for value in malformed {
            assert!(
                !value_is_plain(name.as_bytes(), value.as_bytes()),
                "{name}: {value}"
            );
        }
    }
    for name in ["User-Agent", "X-Api-Key", "Referer", "Api-Version"] {
        assert!(value_is_plain(name.as_bytes(), long.as_bytes()), "{name}");
    }
}

#[test]
fn what_the_full_path_decides_is_not_plain_for_a_hit() {
    let decided = "Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, Cache-Control, Pragma, \
        Cache-Refresh, X-Cache-Refresh, Connection, Keep-Alive, Upgrade, HTTP2-Settings, TE, Trailer, Expect, Content-Length, \
        Transfer-Encoding, Max-Forwards, Via, CDN-Loop, Proxy-Connection, Host, X-Request-ID";
    for name in names(decided)
        .chain(names(FORWARDING))
        .chain(names(KEYED))
        .chain(names(CUSTOM))
    {
        assert!(!is_plain_for_hit(name.as_bytes(), b"0"), "{name}");
    }
    let is_decided = |name: &&str| names(decided).any(|other| other == *name);
    for name in names(NEUTRAL).filter(|name| !is_decided(name)) {
        assert!(is_plain_for_hit(name.as_bytes(), b"*/*"), "{name}");
    }
}

#[test]
fn an_accept_that_excludes_a_type_is_not_plain_for_a_hit() {
    let chrome =
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
    for accept in [
        "*/*",
        " */*",
        chrome,
        "application/json, text/plain, */*",
        "a/b;v=1, */*;q=0.01",
        "*/*;q=1.000",
        "a/b, */*; q=0.3",
    ] {
        assert!(is_plain_for_hit(b"Accept", accept.as_bytes()), "{accept}");
    }
    let long = format!("*/*, {}", "a".repeat(256));
    for accept in [
        "",
        "text/html",
        "image/*",
        "*/*;q=0",
        "*/*;Q=0.000",
        "text/html;q=0, */*",
        "*/*;level=1",
        "x*/*",
        "*/*;q=0.",
        "*/*;q=0.5;level=1",
        "a/b;q=0.000,*/*",
        &long,
    ] {
        assert!(!is_plain_for_hit(b"Accept", accept.as_bytes()), "{accept}");
    }
    let long = "a".repeat(257);
    for name in ["Accept-Language", "Accept-Encoding", "Accept-Charset"] {
        assert!(is_plain_for_hit(name.as_bytes(), b"gzip, de"), "{name}");
        assert!(
            !is_plain_for_hit(name.as_bytes(), long.as_bytes()),
            "{name}"
        );
    }
}

/// A name of the lists, perhaps with letters in another case, a byte changed, dropped or added.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = prop_oneof![
        2 => Just(None),
        3 => (any::<prop::sample::Index>(), 0..3u8, any::<u8>()).prop_map(Some),
    ];
    (
        prop::sample::select(all()),
        any::<u64>(),
        change,
        "[A-Za-z0-9_-]{0,3}",
    )
        .prop_map(|(name, capitals, change, more)| {
            let mut bytes = name.as_bytes().to_vec();
            for (at, byte) in bytes.iter_mut().enumerate() {
                if capitals >> (at % 64) & 1 == 1 {
                    *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 };
                }
            }
            if let Some((at, kind, byte)) = change {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.extend(more.bytes()),
                }
            }
            bytes
        })
}

proptest! {
    #[test]
    fn both_look_ups_and_the_book_agree(name in mutated()) {
        if let Ok(parsed) = HeaderName::from_bytes(&name) {
            prop_assert_eq!(classify_name(&parsed), classify(&name));
            prop_assert_eq!(classify(&name), by_the_book(parsed.as_str()));
        } else {
            prop_assert_eq!(classify(&name), Class::Custom);
        }
    }

    #[test]
    fn what_is_plain_for_a_hit_is_neutral_and_no_claim(name in mutated(), value in proptest::collection::vec(any::<u8>(), 0..300)) {
        if is_plain_for_hit(&name, &value) {
            prop_assert_eq!(classify(&name), Class::Neutral);
            prop_assert!(!is_forwarding_claim(&name));
            prop_assert!(value_is_plain(&name, &value));
        }
    }

    #[test]
    fn no_value_panics(name in prop::sample::select(all()), value in proptest::collection::vec(any::<u8>(), 0..60)) {
        value_is_plain(name.as_bytes(), &value);
        is_plain_for_hit(name.as_bytes(), &value);
    }
}

use bytes::Bytes;
use http::Method;
use proptest::prelude::*;

use super::*;
use crate::message::{Body, RequestId};
use crate::policy::rule::{Force, IgnoreFields};

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    fields
}

fn request(lines: &[(&str, &str)]) -> Request {
    Request {
        method: Method::GET,
        target: Target::parse(Bytes::from_static(b"/")).unwrap(),
        version: Version::HTTP_11,
        fields: fields(lines),
        body: Body::default(),
        peer: "192.0.2.9".parse().unwrap(),
        id: RequestId(77),
    }
}

/// All lines, sorted by name, in order per name.
fn shown(fields: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    lines.sort_by_key(|(name, _)| *name);
    lines
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect()
}

#[test]
fn what_connection_names_goes_but_framing_and_privacy_stay() {
    let mut answer = fields(&[
        ("Connection", "close, X-Hop ,, b\u{e9}d, x y"),
        (
            "connection",
            "Cache-Control, Content-Length, Host, vary, Set-Cookie",
        ),
        ("X-Hop", "1"),
        ("X-Hop", "2"),
        ("Close", "named too"),
        ("Cache-Control", "private"),
        ("Content-Length", "5"),
        ("Vary", "Cookie"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
    ]);
    end_to_end(&mut answer);
    assert_eq!(
        shown(&answer),
        [
            "cache-control: private",
            "content-length: 5",
            "set-cookie: a=1",
            "set-cookie: b=2",
            "vary: Cookie"
        ]
    );
}

#[test]
fn a_shared_request_carries_nothing_of_one_client() {
    let asked = request(&[
        ("Host", "attacker"),
        ("Content-Length", "0"),
        ("Expect", "100-continue"),
        ("User-Agent", "curl"),
        ("Accept", "text/html"),
        ("Accept-Encoding", "gzip"),
        ("If-None-Match", "\"a\""),
        ("If-Match", "\"a\""),
        ("If-Modified-Since", "x"),
        ("If-Unmodified-Since", "x"),
        ("If-Range", "x"),
        ("Range", "bytes=0-1"),
        ("Cache-Control", "no-cache"),
        ("Pragma", "no-cache"),
        ("X-Request-Id", "theirs"),
        ("Traceparent", "t"),
        ("Tracestate", "t"),
        ("X-Forwarded-For", "1.1.1.1"),
        ("X-Forwarded-Host", "attacker"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=1.1.1.1"),
        ("X-Real-IP", "1.1.1.1"),
        ("Via", "1.0 first"),
        ("X-Api-Version", "2"),
        ("X-Custom", "theirs"),
        ("Referer", "theirs"),
    ]);
    let ours = [
        "accept: text/html".to_owned(),
        "accept-encoding: gzip".to_owned(),
        // Its client forces the fetch: what another cache on the way has will not do either.
        "cache-control: no-cache".to_owned(),
        format!("user-agent: larder/{}", env!("CARGO_PKG_VERSION")),
        "via: 1.1 larder-1f".to_owned(),
        "x-api-version: 2".to_owned(),
        "x-request-id: larder-1f-77".to_owned(),
    ];
    for trusted in [false, true] {
        let sent = forwarded(&asked, canonical(&Rule::default()), "larder-1f", trusted);
        assert_eq!(shown(&sent), ours, "trusted: {trusted}");
    }

    // Known to matter: everybody who shares this flight has the same.
    let named = vec![
        header::USER_AGENT,
        HeaderName::from_static("traceparent"),
        HeaderName::from_static("x-forwarded-host"),
    ];
    let selecting = Selecting::of(named, &asked.fields, false);
    let form = Form::Canonical {
        selecting: Some(&selecting),
        rule: &Rule::default(),
        conditions: false,
    };
    let selected = shown(&forwarded(&asked, form, "larder-1f", true));
    assert!(
        selected.contains(&"user-agent: curl".to_owned())
            && selected.contains(&"traceparent: t".to_owned()),
        "{selected:?}"
    );
    assert_eq!(selected.len(), ours.len() + 1, "{selected:?}");

    let form = Form::Canonical {
        selecting: None,
        rule: &Rule::default(),
        conditions: true,
    };
    let related = forwarded(&asked, form, "larder-1f", false);
    let conditions = CONDITIONS.iter().filter(|name| related.contains_key(*name));
    assert_eq!(conditions.count(), CONDITIONS.len());
    assert_eq!(shown(&related).len(), ours.len() + CONDITIONS.len());
}

#[test]
fn a_route_adds_fields_to_the_canonical_form_and_takes_some_away() {
    let asked = request(&[
        ("X-Tenant", "a"),
        ("X-Api-Version", "2"),
        ("Authorization", "Basic x"),
    ]);
    let sent = |rule: &Rule| {
        let sent = forwarded(&asked, canonical(rule), "l", false);
        let names = ["x-tenant", "x-api-version", "authorization"];
        names.map(|name| sent.contains_key(name))
    };
    assert_eq!(sent(&Rule::default()), [false, true, false]);
    let keyed = Rule {
        vary_on: vec![HeaderName::from_static("x-tenant")],
        ignore_fields: IgnoreFields::All,
        ..Rule::default()
    };
    assert_eq!(sent(&keyed), [true, false, false]);
    let forced = Rule {
        force: Force {
            authorization: true,
            ..Force::default()
        },
        ..Rule::default()
    };
    assert_eq!(sent(&forced), [false, true, true]);
}

#[test]
fn a_canonical_request_passes_on_which_processes_of_larder_it_passed() {
    let asked = request(&[
        (
            "Via",
            "1.1 evil, 1.1 larder-0123abcd, 1.0 larder-00000000 (x)",
        ),
        ("Via", "1.0 larder-ffffffff"),
    ]);
    let sent = forwarded(&asked, canonical(&Rule::default()), "larder-1f", false);
    let via: Vec<_> = sent.get_all(header::VIA).iter().collect();
    assert_eq!(
        via,
        [
            "1.1 larder-0123abcd",
            "1.0 larder-ffffffff",
            "1.1 larder-1f"
        ]
    );
}

fn canonical(rule: &Rule) -> Form<'_> {
    Form::Canonical {
        selecting: None,
        rule,
        conditions: false,
    }
}

#[test]
fn a_request_alone_keeps_its_own_fields_and_names_its_client() {
    let asked = request(&[
        ("Host", "origin"),
        ("User-Agent", "curl"),
        ("Cookie", "a=1"),
        ("Range", "bytes=0-1"),
        ("Cache-Control", "no-store"),
        ("X-Request-Id", "theirs"),
        ("X-Forwarded-For", "1.1.1.1"),
        ("X-Forwarded-For", "2.2.2.2"),
    ]);
    let kept = [
        "cache-control: no-store",
        "cookie: a=1",
        "range: bytes=0-1",
        "user-agent: curl",
        "via: 1.1 l",
    ];
    for (trusted, chain) in [(false, "192.0.2.9"), (true, "1.1.1.1, 2.2.2.2, 192.0.2.9")] {
        let mut expected: Vec<String> = kept.iter().map(ToString::to_string).collect();
        expected.push(format!("x-forwarded-for: {chain}"));
        if !trusted {
            expected.push("x-forwarded-proto: http".to_owned());
        }
        expected.push("x-request-id: theirs".to_owned());
        assert_eq!(
            shown(&forwarded(&asked, Form::Own, "l", trusted)),
            expected,
            "trusted: {trusted}"
        );
    }
}

#[test]
fn a_route_strips_what_names_nobody() {
    let sent = [
        ("Cookie", "a=1"),
        ("Cookie", "b=2"),
        ("Origin", "http://a"),
        ("Accept", "*/*"),
    ];
    for (strip_cookies, strip_origin, kept) in [
        (
            false,
            false,
            &[
                "accept: */*",
                "cookie: a=1",
                "cookie: b=2",
                "origin: http://a",
            ][..],
        ),
        (true, false, &["accept: */*", "origin: http://a"]),
        (false, true, &["accept: */*", "cookie: a=1", "cookie: b=2"]),
        (true, true, &["accept: */*"]),
    ] {
        let rule = Rule {
            strip_cookies,
            strip_origin,
            ..Rule::default()
        };
        let mut stripped = fields(&sent);
        strip(&Method::GET, &mut stripped, &rule);
        assert_eq!(shown(&stripped), kept);
        let mut preflight = fields(&sent);
        strip(&Method::OPTIONS, &mut preflight, &rule);
        assert!(preflight.contains_key(header::ORIGIN));
    }
}

#[test]
fn p10_a_chain_goes_on_where_it_came_and_begins_where_none_did() {
    let of = |peer: &str, lines: &[(&str, &str)], trusted| {
        let mut asked = request(lines);
        asked.peer = peer.parse().unwrap();
        let mut sent = shown(&forwarded(&asked, Form::Own, "l", trusted));
        sent.retain(|line| line.contains("forwarded"));
        sent.join(" | ")
    };
    let four = "192.0.2.9";
    let six = "2001:db8::9";
    let began = "x-forwarded-for: 192.0.2.9 | x-forwarded-proto: http";
    assert_eq!(of(four, &[], true), began);
    assert_eq!(of("::ffff:192.0.2.9", &[], false), began);
    assert_eq!(
        of(six, &[], false),
        "x-forwarded-for: 2001:db8::9 | x-forwarded-proto: http"
    );
    let forged = [
        ("Forwarded", "for=1.1.1.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil"),
    ];
    assert_eq!(of(four, &forged, false), began);

    // What the proxy says of the scheme and the name stands; where it says nothing of them, nothing is made up.
    assert_eq!(
        of(four, &[("X-Forwarded-For", "1.1.1.1")], true),
        "x-forwarded-for: 1.1.1.1, 192.0.2.9"
    );
    let told = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a")];
    let passed = "x-forwarded-for: 192.0.2.9 | x-forwarded-host: a | x-forwarded-proto: https";
    assert_eq!(of(four, &told, true), passed);
    for (peer, member) in [
        (four, "for=192.0.2.9;proto=http"),
        (six, "for=\"[2001:db8::9]\";proto=http"),
    ] {
        let lines = [
            ("Forwarded", "for=1.1.1.1"),
            ("Forwarded", ""),
            ("Forwarded", "for=_b;host=a"),
        ];
        assert_eq!(
            of(peer, &lines, true),
            format!("forwarded: for=1.1.1.1, for=_b;host=a, {member}")
        );
    }
    let both = [("Forwarded", "for=1.1.1.1"), ("X-Forwarded-For", "1.1.1.1")];
    let expected =
        "forwarded: for=1.1.1.1, for=192.0.2.9;proto=http | x-forwarded-for: 1.1.1.1, 192.0.2.9";
    assert_eq!(of(four, &both, true), expected);
}

#[test]
fn max_forwards_is_one_less_and_counts_for_two_methods_only() {
    let none = None;
    let most = Some("18446744073709551614");
    let cases = [
        ("OPTIONS", &["10"][..], Some(10), Some("9")),
        ("TRACE", &["1"], Some(1), Some("0")),
        ("TRACE", &["0"], Some(0), Some("0")),
        ("OPTIONS", &["007"], Some(7), Some("6")),
        (
            "OPTIONS",
            &["99999999999999999999999"],
            Some(u64::MAX),
            most,
        ),
        // What is no number, or two of them, limits nothing, and goes on as it is.
        ("OPTIONS", &["+1"], None, Some("+1")),
        ("OPTIONS", &["-1"], None, Some("-1")),
        ("OPTIONS", &[""], None, Some("")),
        ("OPTIONS", &["0", "0"], None, Some("0")),
        ("OPTIONS", &[], None, none),
        ("GET", &["0"], None, Some("0")),
        ("POST", &["5"], None, Some("5")),
    ];
    for (method, values, left, sent) in cases {
        let lines: Vec<_> = values
            .iter()
            .map(|value| ("Max-Forwards", *value))
            .collect();
        let asked = Request {
            method: method.parse().unwrap(),
            ..request(&lines)
        };
        assert_eq!(forwards_left(&asked), left, "{method} {values:?}");
        let forwarded = forwarded(&asked, Form::Own, "l", false);
        assert_eq!(
            forwarded
                .get("max-forwards")
                .map(|value| value.to_str().unwrap()),
            sent,
            "{method} {values:?}"
        );
    }
}

#[test]
fn addresses_and_schemes_are_no_claim_of_another_resource() {
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Real-IP",
        "True-Client-IP",
        "CF-Ray",
        "Via",
        "X-Request-Id",
    ] {
        assert!(!claims_another(&fields(&[(name, "x")])), "{name}");
    }
    for name in [
        "Forwarded",
        "X-Forwarded-Host",
        "X-Forwarded-Prefix",
        "X_Original_URL",
        "X-HTTP-Method-Override",
    ] {
        assert!(claims_another(&fields(&[(name, "x")])), "{name}");
    }
}

#[test]
fn a_mapped_ipv4_client_is_named_as_ipv4() {
    let mut asked = request(&[]);
    asked.peer = "::ffff:192.0.2.9".parse().unwrap();
    assert_eq!(
        forwarded(&asked, Form::Own, "l", false)["x-forwarded-for"],
        "192.0.2.9"
    );
}

#[test]
fn only_trusted_peers_may_speak_for_the_client() {
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Prefix",
        "X_Forwarded_Host",
        "Forwarded",
        "X-Real-IP",
        "X-Host",
        "X-Original-URL",
        "X-Original-Host",
        "X-Rewrite-URL",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Fly-Client-IP",
        "X-HTTP-Method",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "Proxy",
    ] {
        let asked = request(&[(name, "said")]);
        let said = |trusted| {
            let sent = forwarded(&asked, Form::Own, "l", trusted);
            sent.get(name)
                .is_some_and(|value| value.as_bytes().starts_with(b"said"))
        };
        assert!(!said(false), "{name} from anybody");
        assert!(said(true), "{name} from a trusted proxy");
    }
}

#[test]
fn via_tells_the_version_received_and_is_recognised_when_it_comes_back() {
    let mut asked = request(&[]);
    asked.version = Version::HTTP_10;
    let sent = forwarded(&asked, Form::Own, "larder-1f", false);
    assert_eq!(sent["via"], "1.0 larder-1f");
    assert!(seen_own_via(&sent, "larder-1f"));

    for (line, seen) in [
        ("1.1 larder-1f", true),
        ("1.0 fred, HTTP/1.1 \t LARDER-1F (comment), 1.1 p", true),
        ("1.1 caf\u{e9}, 1.1 larder-1f", true),
        ("1.1 larder-1f0", false),
        ("1.1 other (larder-1f)", false),
        ("larder-1f", false),
        (",,", false),
        ("", false),
    ] {
        assert_eq!(
            seen_own_via(&fields(&[("Via", line)]), "larder-1f"),
            seen,
            "{line}"
        );
    }
    assert!(seen_own_via(
        &fields(&[("Via", "1.1 first"), ("Via", "1.1 larder-1f")]),
        "larder-1f"
    ));
}

#[test]
fn targets_that_would_not_arrive_unchanged_are_refused() {
    let is_acceptable =
        |text: String| Target::parse(text.into()).is_some_and(|target| acceptable(&target));
    for target in [
        "/",
        "*",
        "//path",
        "/a%2Fb/../c;d",
        "/a?b=c|d{}",
        "/a?b?c=/?",
        "/?",
        "/%",
    ] {
        assert!(is_acceptable(target.to_owned()), "{target}");
    }
    assert!(
        !is_acceptable(format!("/{}", "a".repeat(70_000))),
        "too long for the URI type"
    );

    let visible = || (0x21..0x7F_u8).map(char::from);
    let refused_in = |prefix: &str| {
        visible()
            .filter(|c| !is_acceptable(format!("{prefix}{c}b")))
            .collect::<String>()
    };
    assert_eq!(refused_in("/a"), "#<>`", "in a path");
    assert_eq!(refused_in("/a?"), "\"#<>", "in a query");
}

proptest! {
    #[test]
    fn hop_by_hop_names_never_pass(
        which in proptest::collection::vec((0..HOP_BY_HOP.len(), any::<bool>()), 0..12),
        named in proptest::collection::vec("[a-zA-Z-]{1,12}", 0..6),
        noise in proptest::collection::vec(any::<u8>().prop_filter("field value", |b| *b >= 32 && *b != 127), 0..20),
        trusted in any::<bool>(),
        shared in any::<bool>(),
    ) {
        let mut asked = request(&[]);
        for (index, upper) in which {
            let name = &HOP_BY_HOP[index];
            let name = if upper { name.as_str().to_ascii_uppercase() } else { name.to_string() };
            asked.fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("x"));
        }
        for name in &named {
            asked.fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("x"));
        }
        asked.fields.append(header::CONNECTION, HeaderValue::try_from(named.join(" ,")).unwrap());
        asked.fields.append(header::CONNECTION, HeaderValue::from_bytes(&noise).unwrap());

        let rule = Rule::default();
        let form = if shared { canonical(&rule) } else { Form::Own };
        let sent = forwarded(&asked, form, "l", trusted);
        let lower: Vec<_> = named.iter().map(|name| name.to_ascii_lowercase()).collect();
        for name in sent.keys() {
            prop_assert!(!HOP_BY_HOP.contains(name), "{}", name);
            let ours = ["via", "x-forwarded-for", "x-forwarded-proto", "user-agent", "x-request-id"];
            let ours = ours.contains(&name.as_str());
            prop_assert!(ours || NEVER_AN_OPTION.contains(name) || !lower.iter().any(|n| n == name.as_str()), "{}", name);
        }
    }
}

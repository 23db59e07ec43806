//! What the origin is told of the client a request comes from (P10), and what must never come of it.

use serde_json::{Value, json};

use crate::support::{Answer, App, Origin, config_for};

/// Fields that say who the client is, or what it asked for really.
const CLAIMS: [(&str, &str); 6] = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("Forwarded", "for=203.0.113.7;host=elsewhere.example"),
    ("X-Forwarded-Host", "elsewhere.example"),
    ("X-Forwarded-Prefix", "/elsewhere"),
    ("X-Real-IP", "203.0.113.7"),
    ("X-Original-URL", "/elsewhere"),
];

fn trusting() -> Value {
    json!({ "proxy": { "trustedProxies": ["127.0.0.1"] } })
}

/// The fields among those above that the origin was sent for `target` last, and `X-Forwarded-Proto`.
fn told(origin: &Origin, target: &str) -> Vec<String> {
    let seen = origin.last(target);
    let names = CLAIMS
        .iter()
        .map(|(name, _)| *name)
        .chain(["X-Forwarded-Proto"]);
    names
        .flat_map(|name| {
            seen.values(name)
                .into_iter()
                .map(move |value| format!("{name}: {value}"))
        })
        .collect()
}

#[test]
fn p10_the_origin_learns_its_client_from_us_not_from_the_client() {
    let origin = Origin::answering(|_| Answer::ok("fine"));
    let app = App::start(&config_for(&origin, json!({})));

    app.client()
        .request("POST", "/a", &CLAIMS, b"x")
        .expect("BYPASS", "fine");
    app.client()
        .get_with("/b", &[&CLAIMS[..], &[("Cookie", "a=b")]].concat())
        .expect("BYPASS", "fine");

    for target in ["/a", "/b"] {
        assert_eq!(
            told(&origin, target),
            ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http"]
        );
    }
}

#[test]
fn p10_what_a_trusted_proxy_says_is_passed_on_and_the_proxy_is_named() {
    let origin = Origin::answering(|_| Answer::ok("fine"));
    let app = App::start(&config_for(&origin, trusting()));

    let said = [&CLAIMS[..], &[("X-Forwarded-Proto", "https")]].concat();
    app.client()
        .request("POST", "/a", &said, b"x")
        .expect("BYPASS", "fine");

    let mut expected: Vec<String> = said
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    expected[0].push_str(", 127.0.0.1");
    expected[1].push_str(", for=127.0.0.1;proto=http");
    assert_eq!(told(&origin, "/a"), expected);
}

#[test]
fn p10_what_is_fetched_for_everybody_names_nobody() {
    let origin = Origin::answering(|_| Answer::ok("everybody's"));
    let app = App::start(&config_for(&origin, trusting()));

    app.client()
        .get_with("/a", &CLAIMS)
        .expect("MISS", "everybody's");
    app.client()
        .get_with("/a", &[("X-Forwarded-For", "198.51.100.1")])
        .expect("HIT", "everybody's");

    assert_eq!(told(&origin, "/a"), Vec::<String>::new());
}

/// The key holds neither host nor path of such a claim: whoever comes next would be given what somebody else asked for.
#[test]
fn p10_what_was_asked_under_another_name_is_not_stored() {
    let origin = Origin::answering(|seen| {
        let hosts = seen.values("X-Forwarded-Host").join("");
        Answer::ok(format!("links to {hosts}")).field("Cache-Control", "public, max-age=60")
    });
    let app = App::start(&config_for(&origin, trusting()));

    for (number, (name, value)) in CLAIMS.into_iter().enumerate() {
        let target = format!("/{number}");
        let host = if name == "X-Forwarded-Host" {
            value
        } else {
            ""
        };
        let named = [("Cookie", "a=b"), (name, value)];
        app.client()
            .get_with(&target, &named)
            .expect("BYPASS", &format!("links to {host}"));
        let is_harmless = matches!(name, "X-Forwarded-For" | "X-Real-IP");
        let then = if is_harmless { "HIT" } else { "MISS" };
        app.client().get(&target).expect(then, "links to ");
    }
}

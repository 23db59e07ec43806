//! The defects of the program Larder replaces, by their place in PYPOWERWALL §6. (8, unbounded memory, is in `memory`;
//! 9 is K4.)

use serde_json::json;

use crate::support::{Answer, App, Client, Gate, Origin, config_for, eventually};

fn app(origin: &Origin) -> App {
    App::start(&config_for(origin, json!({})))
}

#[test]
fn d1_every_method_arrives_as_itself_with_body_and_token() {
    let origin = Origin::answering(|_| Answer::ok(""));
    let app = app(&origin);
    for method in ["POST", "PUT", "DELETE"] {
        let target = format!("/control/{method}");
        app.client().request(
            method,
            &target,
            &[("Authorization", "Bearer token")],
            b"value=20&token=secret",
        );
        let seen = origin.last(&target);
        assert_eq!(
            (seen.method.as_str(), seen.body.as_slice()),
            (method, &b"value=20&token=secret"[..])
        );
        assert_eq!(seen.values("Authorization"), ["Bearer token"]);
    }
    app.client().request("HEAD", "/head", &[], b"");
    assert_eq!(origin.last("/head").method, "HEAD");
}

#[test]
fn d2_the_answer_to_a_post_is_not_the_answer_to_a_get() {
    let origin = Origin::answering(|seen| Answer::ok(&seen.method));
    let app = app(&origin);
    app.client()
        .request("POST", "/a", &[], b"x")
        .expect("BYPASS", "POST");
    app.client().get("/a").expect("MISS", "GET");
    app.client().get("/a").expect("HIT", "GET");
}

#[test]
fn d3_an_error_stays_an_error_with_its_retry_after() {
    for status in [404, 401, 429] {
        let origin = Origin::serving([(
            "/a",
            Answer::status(status).field("Retry-After", "60").body("no"),
        )]);
        let app = app(&origin);
        let reply = app.client().get("/a");
        assert_eq!(
            (
                reply.status,
                reply.field("Retry-After"),
                reply.text().as_str()
            ),
            (status, Some("60"), "no")
        );
        assert!(
            app.client().get("/a").status >= 400,
            "never a 200 made of a {status}"
        );
    }
}

#[test]
fn d4_dots_in_a_path_reach_no_file() {
    let origin = Origin::answering(|seen| Answer::ok(&seen.target));
    let app = app(&origin);
    for target in [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/a/./b",
    ] {
        for _ in 0..2 {
            let reply = app.client().get(target);
            assert_eq!(
                (reply.status, reply.text().as_str()),
                (200, target),
                "the origin's answer, unstored"
            );
        }
        assert_eq!(origin.count(target), 2, "{target}");
    }
}

#[test]
fn d5_dots_pass_and_the_root_is_the_origins_page() {
    let origin = Origin::serving([
        ("/example.html", Answer::ok("<p>")),
        ("/", Answer::ok("the origin's page")),
    ]);
    let app = app(&origin);
    app.client().get("/example.html").expect("MISS", "<p>");
    app.client().get("/").expect("MISS", "the origin's page");
}

#[test]
fn d6_json_and_binary_are_not_rewritten() {
    let json = r#"{"z": 18446744073709551615, "a": 441.0,  "e":1E400, "u": "\u00e9", "z": 2}"#
        .as_bytes()
        .to_vec();
    let binary: Vec<u8> = (0..=255).rev().collect();
    let origin = Origin::serving([
        (
            "/json",
            Answer::ok(&json).field("Content-Type", "application/json"),
        ),
        (
            "/binary",
            Answer::ok(&binary).field("Content-Type", "application/json"),
        ),
    ]);
    let app = app(&origin);
    for (target, body) in [("/json", json), ("/binary", binary)] {
        for cache_status in ["MISS", "HIT"] {
            let reply = app.client().get(target);
            assert_eq!((reply.cache_status(), &reply.body), (cache_status, &body));
        }
    }
}

#[test]
fn d7_two_cookies_stay_two_and_are_one_clients() {
    let answer = Answer::ok("page")
        .field("Set-Cookie", "a=1; Path=/")
        .field("Set-Cookie", "b=2, 3; Path=/");
    let origin = Origin::serving([("/page", answer)]);
    let app = app(&origin);
    let first = app.client().get("/page");
    assert_eq!(
        first.values("Set-Cookie"),
        ["a=1; Path=/", "b=2, 3; Path=/"]
    );

    origin.set("/page", Answer::ok("page"));

    let second = app.client().get("/page");
    assert_eq!(
        (second.cache_status(), second.values("Set-Cookie").len()),
        ("MISS", 0)
    );
}

#[test]
fn d10_an_expired_answer_beats_a_503() {
    let origin = Origin::serving([("/a", Answer::ok("good"))]);
    let app = app(&origin);
    app.client().get("/a").expect("MISS", "good");
    app.skip_seconds(301);
    origin.set("/a", Answer::status(503).body("down"));

    app.client().get("/a").expect("HIT", "good");

    // Past graceTime the truth comes out; once the origin is back, so is the answer, after at most one probe interval.
    app.skip_seconds(60);
    assert_eq!(app.client().get("/a").status, 503);
    origin.set("/a", Answer::ok("back"));
    app.skip_seconds(31);
    assert!(eventually(|| app.client().get("/a").text() == "back"));
}

#[test]
fn d12_two_slow_urls_do_not_block_the_others() {
    let hung = Gate::closed();
    let origin = Origin::serving([
        ("/stored", Answer::ok("stored")),
        ("/new", Answer::ok("new")),
    ]);
    for n in 0..2 {
        origin.set(&format!("/slow-{n}"), Answer::ok("slow").after(&hung));
    }
    let more = json!({ "backend": { "maxConcurrentRequests": 3, "firstByteTimeout": 60000 },
        "cache": { "slowRequestTimeout": 60000 } });
    let app = App::start(&config_for(&origin, more));
    app.client().get("/stored").expect("MISS", "stored");
    let mut slow: Vec<Client> = (0..2)
        .map(|n| {
            let mut client = app.client();
            client.send(format!("GET /slow-{n} HTTP/1.1\r\nHost: x\r\n\r\n"));
            origin.await_requests(&format!("/slow-{n}"), 1);
            client
        })
        .collect();

    app.client().get("/stored").expect("HIT", "stored");
    app.client().get("/new").expect("MISS", "new");
    app.client()
        .request("POST", "/new", &[], b"x")
        .expect("BYPASS", "new");

    hung.open();
    slow.iter_mut()
        .for_each(|client| client.read().expect("MISS", "slow"));
}

#[test]
fn a_malformed_json_post_is_relayed_untouched() {
    let origin = Origin::answering(|seen| Answer::status(422).body(&seen.body));
    let app = app(&origin);
    let body = b"{\"value\": 20,, \xff\x00";
    let reply = app.client().request(
        "POST",
        "/control/reserve",
        &[("Content-Type", "application/json")],
        body,
    );
    assert_eq!((reply.status, reply.body.as_slice()), (422, &body[..]));
    assert_eq!(origin.last("/control/reserve").body, body);
}

//! Rows K15–K17, H6, H8, I5, C3, C4, C7, C15: the policy as a client and an origin see it. Its bullets one by one are scenarios
//! (`tests/rfc9111`).

use serde_json::{Value, json};

use crate::support::{Answer, App, Gate, Origin, Reply, config_for, eventually};

/// Neither rules nor defaults: RFC 9111 alone.
fn pure() -> Value {
    json!({ "cache": { "defaultTTL": 0, "defaultStaleTime": 0 } })
}

/// The answer tagged `tag`, to whoever does not have it: 304 to who does.
fn tagged(tag: &'static str) -> Origin {
    Origin::answering(move |seen| {
        let has_it = seen
            .values("If-None-Match")
            .iter()
            .any(|known| known == tag);
        let answer = if has_it {
            Answer::status(304)
        } else {
            Answer::ok("body")
        };
        answer
            .field("ETag", tag)
            .field("Cache-Control", "max-age=10")
            .field("X-Told", seen.method.as_str())
    })
}

fn how(reply: &Reply) -> &str {
    reply.field("Cache-Status").unwrap_or_default()
}

fn ttl(reply: &Reply) -> Option<i64> {
    how(reply)
        .split("; ")
        .find_map(|part| part.strip_prefix("ttl=")?.parse().ok())
}

#[test]
fn k15_a_reply_tells_how_long_it_lives_by_route_origin_or_default() {
    let origin = Origin::serving([
        (
            "/route",
            Answer::ok("r").field("Cache-Control", "max-age=1000"),
        ),
        (
            "/origin",
            Answer::ok("o").field("Cache-Control", "max-age=1000"),
        ),
        ("/default", Answer::ok("d")),
    ]);
    let more = json!({ "cache": { "defaultTTL": 77 }, "urlConfigs": [{ "path": "/route", "cacheTTL": 7, "staleTime": 2 }] });
    let app = App::start(&config_for(&origin, more));
    for (target, expected) in [("/route", 7), ("/origin", 1000), ("/default", 77)] {
        let reply = app.client().get(target);
        assert_eq!(ttl(&reply), Some(expected), "{reply:?}");
    }
}

#[test]
fn k16_vary_is_part_of_the_key_and_private_is_not_stored() {
    let origin = Origin::answering(|seen| match seen.target.as_str() {
        "/vary" => {
            Answer::ok(seen.values("Accept-Language").join("+")).field("Vary", "Accept-Language")
        }
        _ => Answer::ok("mine").field("Cache-Control", "private"),
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for language in ["de", "fr"] {
        client
            .get_with("/vary", &[("Accept-Language", language)])
            .expect("MISS", language);
    }
    for language in ["de", "fr"] {
        client
            .get_with("/vary", &[("Accept-Language", language)])
            .expect("HIT", language);
    }
    for _ in 0..2 {
        client.get("/private").expect("MISS", "mine");
    }
}

#[test]
fn k16_expires_is_kept_to() {
    let origin = Origin::serving([(
        "/a",
        Answer::ok("a")
            .field("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
            .field("Expires", "Sun, 06 Nov 1994 08:49:36 GMT"),
    )]);
    let app = App::start(&config_for(&origin, json!({})));
    app.client().get("/a").expect("MISS", "a");
    app.client().get("/a").expect("MISS", "a");
}

#[test]
fn k16_requests_that_select_alike_share_a_flight_and_others_do_not() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |seen| {
        let answer = Answer::ok(seen.values("X-Kind").join(""))
            .field("Vary", "X-Kind")
            .field("Cache-Control", "max-age=1");
        if seen.values("X-Hold").is_empty() {
            answer
        } else {
            answer.after(&held)
        }
    });
    let app = App::start(&config_for(
        &origin,
        json!({ "backend": { "maxConcurrentRequests": 8 } }),
    ));
    app.client()
        .get_with("/a", &[("X-Kind", "a")])
        .expect("MISS", "a");
    app.skip_seconds(2);

    let mut clients: Vec<_> = (0..6).map(|_| app.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let kind = if number % 2 == 0 { "a" } else { "b" };
        client.send(format!(
            "GET /a HTTP/1.1\r\nHost: h\r\nX-Hold: y\r\nX-Kind: {kind}\r\n\r\n"
        ));
    }
    assert!(eventually(|| app.parked() == 6), "all wait");
    gate.open();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(
            client.read().text(),
            if number % 2 == 0 { "a" } else { "b" }
        );
    }
    assert_eq!(origin.count("/a"), 3, "one more for each kind");
}

#[test]
fn k17_what_is_stored_is_confirmed_with_its_tag_and_lives_anew() {
    let origin = tagged("\"v1\"");
    let app = App::start(&config_for(&origin, pure()));
    let mut client = app.client();
    client.get("/a").expect("MISS", "body");
    app.skip_seconds(11);

    let confirmed = client.get("/a");

    confirmed.expect("HIT", "body");
    assert!(
        how(&confirmed).contains("fwd=stale; fwd-status=304"),
        "{confirmed:?}"
    );
    assert_eq!(confirmed.field("X-Cache"), Some("HIT"));
    assert_eq!(
        (
            confirmed.field("Age"),
            origin.last("/a").values("If-None-Match")
        ),
        (Some("0"), vec!["\"v1\"".to_owned()])
    );
    client.get("/a").expect("HIT", "body");
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn k17_a_client_that_has_it_is_told_so_without_the_origin() {
    let origin = tagged("\"v1\"");
    let app = App::start(&config_for(&origin, pure()));
    let mut client = app.client();
    client.get("/a").expect("MISS", "body");

    let known = client.get_with("/a", &[("If-None-Match", "\"v0\", W/\"v1\"")]);

    assert_eq!(
        (known.status, known.body.len(), known.field("ETag")),
        (304, 0, Some("\"v1\""))
    );
    assert_eq!(
        (known.field("Content-Length"), known.field("Age")),
        (None, Some("0"))
    );
    client
        .get_with("/a", &[("If-None-Match", "\"v0\"")])
        .expect("HIT", "body");
    assert_eq!(client.get_with("/a", &[("If-Match", "\"v0\"")]).status, 412);
    assert_eq!(origin.count("/a"), 1);
}

#[test]
fn k17_last_modified_confirms_too() {
    const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    let origin = Origin::answering(|seen| {
        let has_it = seen.values("If-Modified-Since") == [CHANGED];
        let answer = if has_it {
            Answer::status(304)
        } else {
            Answer::ok("body")
        };
        answer
            .field("Last-Modified", CHANGED)
            .field("Cache-Control", "no-cache")
    });
    let app = App::start(&config_for(&origin, pure()));
    let mut client = app.client();
    client.get("/a").expect("MISS", "body");
    client.get("/a").expect("HIT", "body");
    assert_eq!(
        client
            .get_with("/a", &[("If-Modified-Since", CHANGED)])
            .status,
        304
    );
    assert_eq!(origin.count("/a"), 3, "no-cache: asked each time");
}

#[test]
fn h6_each_of_five_fields_fetches_stores_and_says_refresh() {
    let fields = [
        ("Cache-Control", "no-cache"),
        ("Cache-Control", "max-age=0"),
        ("Pragma", "no-cache"),
        ("Cache-Refresh", "true"),
        ("X-Cache-Refresh", "true"),
    ];
    let origin = Origin::answering(|seen| Answer::ok(seen.values("Accept-Language").join("")));
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    for (number, (name, value)) in fields.into_iter().enumerate() {
        let target = format!("/{number}");
        client
            .get_with(&target, &[("Accept-Language", "1")])
            .expect("MISS", "1");
        client
            .get_with(&target, &[("Accept-Language", "2"), (name, value)])
            .expect("REFRESH", "2");
        client
            .get_with(&target, &[("Accept-Language", "3")])
            .expect("HIT", "2");
        assert_eq!(origin.count(&target), 2, "{name}: {value}");
    }
}

#[test]
fn h8_every_reply_tells_its_age_how_it_came_about_and_who_passed_it_on() {
    let origin = Origin::serving([("/a", Answer::ok("a")), ("/down", Answer::status(503))]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    client.get("/a").expect("MISS", "a");
    app.skip_seconds(3);
    let hit = client.get("/a");
    assert_eq!(
        (hit.field("Age"), how(&hit)),
        (Some("3"), "larder; hit; ttl=297")
    );
    assert!(
        hit.field("Via")
            .is_some_and(|via| via.starts_with("1.1 larder-")),
        "{hit:?}"
    );
    let down = client.get("/down");
    assert_eq!((down.status, down.field("Retry-After")), (503, Some("5")));
    assert!(how(&down).starts_with("larder; fwd="), "{down:?}");
    for (name, value) in [("If-None-Match", "*"), ("Range", "bytes=0-0")] {
        assert_eq!(
            how(&client.get_with("/a", &[(name, value)])),
            "larder; hit; ttl=297",
            "{name}"
        );
    }
}

#[test]
fn i5_an_unsafe_request_makes_its_target_and_what_it_names_worthless_and_nothing_else() {
    let origin = Origin::answering(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("GET", target) => Answer::ok(format!(
            "{target} {}",
            seen.values("Accept-Language").join("")
        )),
        (_, "/fails") => Answer::status(409),
        _ => Answer::status(204)
            .field("Location", "/list")
            .field("Content-Location", "detail?x=1"),
    });
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    let targets = [
        "/items/7",
        "/list",
        "/items/detail?x=1",
        "/items/8",
        "/fails",
    ];
    for target in targets {
        client
            .get_with(target, &[("Accept-Language", "1")])
            .expect("MISS", &format!("{target} 1"));
    }
    assert_eq!(client.request("PUT", "/fails", &[], b"x").status, 409);
    assert_eq!(client.request("DELETE", "/items/7", &[], b"").status, 204);

    for target in &targets[..3] {
        client
            .get_with(target, &[("Accept-Language", "2")])
            .expect("MISS", &format!("{target} 2"));
    }
    for target in &targets[3..] {
        client
            .get_with(target, &[("Accept-Language", "2")])
            .expect("HIT", &format!("{target} 1"));
    }
}

#[test]
fn c3_no_store_goes_by_and_no_cache_refreshes_but_not_more_often_than_the_route_allows() {
    let origin = Origin::answering(|seen| Answer::ok(seen.values("Accept-Language").join("")));
    let rules = json!({ "urlConfigs": [{ "path": "/slow", "cacheTTL": 100, "staleTime": 20 }] });
    let app = App::start(&config_for(&origin, rules));
    let mut client = app.client();
    client
        .get_with("/slow", &[("Accept-Language", "1")])
        .expect("MISS", "1");

    client
        .get_with(
            "/slow",
            &[("Accept-Language", "2"), ("Cache-Control", "no-store")],
        )
        .expect("BYPASS", "2");
    client
        .get_with("/slow", &[("Accept-Language", "3")])
        .expect("HIT", "1");
    // F5, again and again: one fetch per staleTime, whichever of the words it was.
    for _ in 0..5 {
        client
            .get_with(
                "/slow",
                &[("Accept-Language", "4"), ("Cache-Control", "no-cache")],
            )
            .expect("HIT", "1");
    }
    assert_eq!(origin.count("/slow"), 2);
    app.skip_seconds(20);
    client
        .get_with(
            "/slow",
            &[("Accept-Language", "5"), ("Cache-Control", "no-cache")],
        )
        .expect("REFRESH", "5");
    client
        .get_with(
            "/slow",
            &[("Accept-Language", "6"), ("Cache-Control", "no-cache")],
        )
        .expect("HIT", "5");
    assert_eq!(origin.count("/slow"), 3);
}

#[test]
fn c3_strict_takes_the_clients_word_literally() {
    let origin = Origin::answering(|seen| Answer::ok(seen.values("Accept-Language").join("")));
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "clientDirectives": "strict" } }),
    ));
    let mut client = app.client();
    client
        .get_with("/a", &[("Accept-Language", "0")])
        .expect("MISS", "0");
    for turn in ["1", "2", "3"] {
        client
            .get_with(
                "/a",
                &[("Accept-Language", turn), ("Cache-Control", "no-cache")],
            )
            .expect("REFRESH", turn);
    }
}

#[test]
fn c3_a_forced_fetch_that_fails_is_answered_from_what_is_stored() {
    let origin = Origin::serving([("/a", Answer::ok("good"))]);
    let app = App::start(&config_for(&origin, json!({})));
    app.client().get("/a").expect("MISS", "good");
    origin.set("/a", Answer::status(500));
    app.client()
        .get_with("/a", &[("Cache-Control", "no-cache")])
        .expect("HIT", "good");
}

#[test]
fn c4_the_origins_stale_while_revalidate_answers_at_once_after_max_age() {
    let gate = Gate::closed();
    let origin = Origin::serving([(
        "/a",
        Answer::ok("old").field("Cache-Control", "max-age=10, stale-while-revalidate=5"),
    )]);
    let app = App::start(&config_for(&origin, pure()));
    let mut client = app.client();
    client.get("/a").expect("MISS", "old");
    origin.set(
        "/a",
        Answer::ok("new")
            .field("Cache-Control", "max-age=10")
            .after(&gate),
    );

    app.skip_seconds(11);
    let stale = client.get("/a");
    stale.expect("HIT", "old");
    assert_eq!(how(&stale), "larder; hit; ttl=-1");
    gate.open();
    assert!(eventually(|| client.get("/a").text() == "new"));
    assert_eq!(origin.count("/a"), 2);
}

#[test]
fn c7_head_is_answered_from_a_stored_get_and_never_stored() {
    let origin = tagged("\"v1\"");
    let app = App::start(&config_for(&origin, pure()));
    let mut client = app.client();
    client.request("HEAD", "/a", &[], b"").expect("BYPASS", "");
    client.get("/a").expect("MISS", "body");
    let head = client.request("HEAD", "/a", &[], b"");
    head.expect("HIT", "");
    assert_eq!(
        (head.field("Content-Length"), head.field("X-Told")),
        (Some("4"), Some("GET"))
    );

    // Stale: asked as HEAD, and what that says of the stored answer makes it live anew.
    app.skip_seconds(11);
    client.request("HEAD", "/a", &[], b"").expect("BYPASS", "");
    let freshened = client.get("/a");
    freshened.expect("HIT", "body");
    assert_eq!(freshened.field("X-Told"), Some("HEAD"));
}

#[test]
fn c15_the_route_wins_over_the_origin_but_not_over_private_and_no_store_unless_forced() {
    let private = || Answer::ok("x").field("Cache-Control", "private, max-age=0");
    let origin = Origin::serving([
        (
            "/short",
            Answer::ok("x").field("Cache-Control", "no-cache, max-age=0"),
        ),
        ("/private", private()),
        ("/forced", private()),
    ]);
    let rules = json!({ "urlConfigs": [
        { "path": "/short", "cacheTTL": 30 },
        { "path": "/private", "cacheTTL": 30 },
        { "path": "/forced", "cacheTTL": 30, "force": ["private"] },
    ] });
    let app = App::start(&config_for(&origin, rules));
    let mut client = app.client();
    for (target, second) in [("/short", "HIT"), ("/private", "MISS"), ("/forced", "HIT")] {
        client.get(target).expect("MISS", "x");
        client.get(target).expect(second, "x");
    }
}

#[test]
fn a_clients_name_stays_its_own_in_the_refresh_it_began() {
    let origin = Origin::answering(|seen| {
        let named = seen.values("Cookie").join("");
        let fresh = "max-age=10, stale-while-revalidate=30";
        match named.as_str() {
            "s=bad" => Answer::status(500),
            _ => Answer::ok(format!("for {named}")).field("Cache-Control", fresh),
        }
    });
    let app = App::start(&config_for(&origin, pure()));
    let mut client = app.client();
    client.get("/a").expect("MISS", "for ");
    app.skip_seconds(11);

    client
        .get_with("/a", &[("Cookie", "s=bad")])
        .expect("HIT", "for ");
    origin.await_requests("/a", 2);
    assert!(eventually(|| app.active() == 0));

    // Its failure is its own: the next client's refresh is not held back by it.
    client.get("/a").expect("HIT", "for ");
    assert!(eventually(|| origin.count("/a") == 3));
    assert!(origin.last("/a").values("Cookie").is_empty());
}

//! Must-show 5: defects 9, 11 and 13 of the program Larder replaces, and what a flood of URLs must not wash away.

use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::{age, expect_nothing};
use super::{POLLED, PROXY, Scene};
use crate::support::{Behaviour, Replay};

/// Telegraf gives up after four seconds.
const TELEGRAF_WAITS: Duration = Duration::from_secs(4);

#[test]
fn must_show_5_d9_a_slow_origin_gives_way_before_telegraf_gives_up() {
    let scene = Scene::unpolled(Replay::of(PROXY.0));
    scene.warm(&["/aggregates"]);
    scene.skip_seconds(40);
    // As in the hung recording: five seconds until the program says `null`.
    let null = scene.origin.healthy().get("/aggregates").saying(b"null");
    scene
        .origin
        .set("/aggregates", Behaviour::Says(null, Duration::from_secs(5)));

    let begun = Instant::now();
    let reply = scene.get("/aggregates");
    let taken = begun.elapsed();

    scene.expect_good("/aggregates", &reply);
    assert!(age(&reply) >= 40, "{reply:?}");
    assert!(
        (Duration::from_secs(1)..TELEGRAF_WAITS).contains(&taken),
        "{taken:?}"
    );
    // Who comes later does not wait to learn the same.
    scene.expect_good("/aggregates", &scene.get_at_once("/aggregates"));
}

#[test]
fn must_show_5_d11_after_an_outage_of_325_seconds_it_is_back_within_half_a_minute() {
    let scene = Scene::before(Replay::of(PROXY.0));
    scene.warm(&["/aggregates"]);
    scene.origin.close();
    for _ in 0..325 {
        scene.pass_seconds(1, 1);
        scene.get("/aggregates");
    }
    expect_nothing("/aggregates", &scene.get("/aggregates"));

    scene.origin.open();
    let back = scene.origin.now();
    let returned = (0..34).any(|_| {
        scene.pass_seconds(1, 1);
        scene.get("/aggregates").status == 200
    });

    assert!(
        returned,
        "{:?} after the return: {:?}",
        scene.origin.now() - back,
        scene.get("/aggregates")
    );
    scene.expect_good("/aggregates", &scene.get("/aggregates"));
}

#[test]
fn must_show_5_d13_an_all_zero_csv_is_never_stored() {
    let zeros = [
        ("/csv", "0.00,0.00,0.00,0.00,0.00\n"),
        ("/csv/v2", "0.00,0.00,0.00,0.00,0.00,0,0\n"),
    ];
    for (target, zero) in zeros {
        let scene = Scene::unpolled(Replay::of(PROXY.0));
        scene.warm(&["/aggregates", "/soe"]);
        let say = |target: &str, body: &str| {
            let wire = scene.origin.healthy().get(target).saying(body.as_bytes());
            scene
                .origin
                .set(target, Behaviour::Says(wire, Duration::ZERO));
        };
        // The gateway has just gone: the stored `/soe` is still good, and is no cross-check to what came after it.
        say("/soe", "null");
        say("/aggregates", "null");
        say(target, zero);
        for _ in 0..3 {
            expect_nothing(target, &scene.get(target));
        }
        assert_eq!(scene.origin.count(target), 1);
        assert_eq!(
            scene.origin.count("/soe"),
            2,
            "the cross-check was asked once"
        );
    }
}

#[test]
fn must_show_5_d13_an_empty_battery_is_believed_when_its_cross_check_says_so() {
    let scene = Scene::unpolled(Replay::of(PROXY.0));
    let say = |target: &str, body: &str| {
        let wire = scene.origin.healthy().get(target).saying(body.as_bytes());
        scene
            .origin
            .set(target, Behaviour::Says(wire, Duration::ZERO));
    };
    let empty = "-2100.00,900.00,0.00,0.00,0.00,1,0\n";
    say("/soe", "{\"percentage\": 0}");
    say("/csv/v2", empty);
    scene.warm(&["/aggregates"]);

    scene.get("/csv/v2").expect("MISS", empty);
    scene.get("/csv/v2").expect("HIT", empty);

    // A cross-check that disagrees: one of the two is wrong, and it is not the fuller one that harms.
    let scene = Scene::unpolled(Replay::of(PROXY.0));
    let wire = scene
        .origin
        .healthy()
        .get("/csv/v2")
        .saying(empty.as_bytes());
    scene
        .origin
        .set("/csv/v2", Behaviour::Says(wire, Duration::ZERO));
    scene.warm(&["/aggregates", "/soe"]);
    expect_nothing("/csv/v2", &scene.get("/csv/v2"));
}

/// `LARDER_URLS` scales it.
#[test]
fn must_show_5_after_a_flood_of_urls_every_polled_path_still_answers() {
    let urls: usize = std::env::var("LARDER_URLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4_000);
    // Room for a thousand of the flood's answers.
    let scene = Scene::with(
        Replay::of(PROXY.0),
        json!({ "cache": { "maxBytes": "512KiB" } }),
    );
    scene.warm(&POLLED.map(|(target, ..)| target));
    let mut client = scene.client();
    // What this proxy stores of an unknown path: it answers `/csv` to whatever begins so.
    let known = scene.origin.healthy().get("/csvxyz").wire.clone();
    for n in 0..urls {
        let target = format!("/csv-{n}");
        scene
            .origin
            .set(&target, Behaviour::Says(known.clone(), Duration::ZERO));
        assert_eq!(client.get(&target).status, 200);
        scene.origin.unset(&target);
    }
    let evictions = scene.get("/health").text().contains("\"evictions\":0");
    assert!(
        !evictions,
        "the flood did not fill the store: {}",
        scene.get("/health").text()
    );

    scene.origin.close();

    for (target, ..) in POLLED {
        let reply = scene.get_at_once(target);
        scene.expect_good(target, &reply);
        assert_eq!(reply.cache_status(), "HIT", "{target}: {reply:?}");
    }
}

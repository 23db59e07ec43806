//! SEMANTICS "Whose lifetime may be stretched": jitter only shortens, and only what the user's word gave a lifetime.

use serde_json::json;

use crate::support::{Answer, App, Client, Origin, Reply, config_for};

const KEYS: usize = 1_000;

/// How many of the keys are still fresh. Nothing is fetched for it.
fn fresh(client: &mut Client) -> usize {
    let only = [("Cache-Control", "only-if-cached")];
    (0..KEYS)
        .filter(|n| client.get_with(&format!("/key/{n}"), &only).status == 200)
        .count()
}

/// How many milliseconds after it came it is fresh.
fn lifetime(reply: &Reply) -> i64 {
    let [came, expires] = ["X-Cache-Timestamp", "X-Cache-Expires-At"].map(|name| {
        let time = reply
            .field(name)
            .and_then(|text| text.get(11..23))
            .expect("a time of day");
        let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().expect("digits");
        ((number(0..2) * 60 + number(3..5)) * 60 + number(6..8)) * 1000 + number(9..12)
    });
    (expires - came).rem_euclid(86_400_000)
}

#[test]
fn what_is_stored_together_does_not_expire_together_and_nothing_outlives_its_ttl() {
    let origin = Origin::answering(|_| Answer::ok("{}"));
    let routes = json!([{ "path": "/key/*", "cacheTTL": 1000, "staleTime": 1000 }]);
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "jitter": 5 }, "urlConfigs": routes }),
    ));
    let mut client = app.client();
    let mut exact = 0;
    for n in 0..KEYS {
        let reply = client.get(&format!("/key/{n}"));
        let left: u64 = reply
            .field("X-Cache-Expires-In")
            .and_then(|left| left.parse().ok())
            .expect("a number");
        assert!((950..=1000).contains(&left), "{reply:?}");
        exact += usize::from(lifetime(&reply) == 1_000_000);
    }
    assert!(exact < KEYS / 10, "{exact} are not shortened");

    // The tests' own seconds come on top, hence 940: nothing expires before 950.
    app.skip_seconds(930);
    let mut left = vec![fresh(&mut client)];
    for _ in 0..7 {
        app.skip_seconds(10);
        left.push(fresh(&mut client));
    }

    assert_eq!((left[0], left[7]), (KEYS, 0), "{left:?}");
    let most = left.windows(2).map(|two| two[0] - two[1]).max().unwrap();
    assert!(most < KEYS / 2, "half of them within 10 s: {left:?}");
    assert_eq!(origin.requests(), KEYS);
}

#[test]
fn neither_the_origins_word_nor_what_is_polled_is_shortened() {
    let origin = Origin::answering(|seen| match seen.target.starts_with("/told") {
        true => Answer::ok("{}").field("Cache-Control", "max-age=1000"),
        false => Answer::ok("{}"),
    });
    let routes = json!([{ "path": "/polled", "pollInterval": 600, "cacheTTL": 1000 }]);
    let app = App::start(&config_for(
        &origin,
        json!({ "cache": { "jitter": 5 }, "urlConfigs": routes }),
    ));
    let mut client = app.client();
    for n in 0..10 {
        // How long the answer took counts against the origin's word.
        assert!(lifetime(&client.get(&format!("/told/{n}"))) > 990_000);
    }
    assert_eq!(lifetime(&client.get("/polled")), 1_000_000);
    assert_ne!(lifetime(&client.get("/polled?not")), 1_000_000);
}

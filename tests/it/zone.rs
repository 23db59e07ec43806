//! The zone around our own endpoints, attacked: who is not at home, who comes through others, whose page it is, and which name
//! is asked for (SEMANTICS "Admin zone"). And what every content of our own says.

use serde_json::json;

use crate::support::{Answer, App, Client, Origin, Proc, Reply, Start, config_for};

/// At home; somewhere else; a proxy that is trusted.
const HOME: [u8; 4] = [127, 0, 0, 1];
const AWAY: [u8; 4] = [127, 0, 0, 2];
const PROXY: [u8; 4] = [127, 0, 0, 9];

/// A place, the fields sent from there below a `Host`, and whether that clears the cache. Where a token is set it must be
/// among the fields, too.
struct Attempt(&'static str, [u8; 4], &'static str, &'static str, bool);

/// The fields that say it is set.
const TOKEN: &str = "Authorization: Bearer swordfish\r\n";

const ATTEMPTS: [Attempt; 42] = [
    Attempt("from home", HOME, "localhost", "", true),
    Attempt("from elsewhere", AWAY, "localhost", "", false),
    // The token.
    Attempt(
        "with the token",
        AWAY,
        "localhost",
        "Authorization: Bearer swordfish\r\n",
        true,
    ),
    Attempt(
        "with the beginning of it",
        AWAY,
        "localhost",
        "Authorization: Bearer sword\r\n",
        false,
    ),
    Attempt(
        "with more than it",
        AWAY,
        "localhost",
        "Authorization: Bearer swordfishes\r\n",
        false,
    ),
    Attempt(
        "with none",
        AWAY,
        "localhost",
        "Authorization: Bearer\r\n",
        false,
    ),
    Attempt(
        "with it by another scheme",
        AWAY,
        "localhost",
        "Authorization: Basic swordfish\r\n",
        false,
    ),
    Attempt(
        "with it in second place",
        AWAY,
        "localhost",
        "Authorization: a\r\nAuthorization: Bearer swordfish\r\n",
        false,
    ),
    Attempt(
        "with it in a cookie",
        AWAY,
        "localhost",
        "Cookie: Authorization=Bearer swordfish\r\n",
        false,
    ),
    // Through somebody nobody trusts.
    Attempt(
        "through somebody",
        HOME,
        "localhost",
        "Via: 1.1 somebody\r\n",
        false,
    ),
    Attempt(
        "for somebody",
        HOME,
        "localhost",
        "Forwarded: for=127.0.0.1\r\n",
        false,
    ),
    Attempt(
        "for oneself",
        HOME,
        "localhost",
        "X-Forwarded-For: 127.0.0.1\r\n",
        false,
    ),
    Attempt(
        "for nobody",
        HOME,
        "localhost",
        "X-Forwarded-For:\r\n",
        false,
    ),
    Attempt(
        "for a name",
        HOME,
        "localhost",
        "X-Forwarded-Host: localhost\r\n",
        false,
    ),
    Attempt(
        "really from home",
        HOME,
        "localhost",
        "X-Real-IP: 127.0.0.1\r\n",
        false,
    ),
    Attempt(
        "by a field that goes no further",
        HOME,
        "localhost",
        "Connection: Via\r\nVia: 1.1 a\r\n",
        false,
    ),
    Attempt(
        "claiming home",
        AWAY,
        "localhost",
        "X-Forwarded-For: 127.0.0.1\r\n",
        false,
    ),
    // Through a proxy of ours.
    Attempt(
        "for somebody at home",
        PROXY,
        "localhost",
        "X-Forwarded-For: 127.0.0.1\r\n",
        true,
    ),
    Attempt(
        "for a stranger",
        PROXY,
        "localhost",
        "X-Forwarded-For: 203.0.113.7\r\n",
        false,
    ),
    Attempt(
        "for a stranger who writes first",
        PROXY,
        "localhost",
        "X-Forwarded-For: 127.0.0.1, 203.0.113.7\r\n",
        false,
    ),
    Attempt(
        "the same in two lines",
        PROXY,
        "localhost",
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: ::2\r\n",
        false,
    ),
    Attempt(
        "for a mapped stranger",
        PROXY,
        "localhost",
        "X-Forwarded-For: ::ffff:203.0.113.7\r\n",
        false,
    ),
    Attempt(
        "for who is not told",
        PROXY,
        "localhost",
        "X-Forwarded-For: unknown\r\n",
        false,
    ),
    Attempt(
        "in words we do not read",
        PROXY,
        "localhost",
        "Forwarded: for=127.0.0.1\r\n",
        false,
    ),
    Attempt(
        "told by another field",
        PROXY,
        "localhost",
        "X-Real-IP: 127.0.0.1\r\n",
        false,
    ),
    // The page of another server, in a browser at home.
    Attempt(
        "a page of ours",
        HOME,
        "localhost:80",
        "Origin: http://localhost:80\r\nSec-Fetch-Site: same-origin\r\n",
        true,
    ),
    Attempt(
        "a page of another server",
        HOME,
        "localhost",
        "Origin: http://evil.example\r\n",
        false,
    ),
    Attempt(
        "a page of another port",
        HOME,
        "localhost:80",
        "Origin: http://localhost:81\r\n",
        false,
    ),
    Attempt(
        "a page from nowhere",
        HOME,
        "localhost",
        "Origin: null\r\n",
        false,
    ),
    Attempt(
        "a page of ours by its address",
        HOME,
        "localhost:80",
        "Referer: http://localhost:80/_larder/?a=b\r\n",
        true,
    ),
    Attempt(
        "a page of another server by its address",
        HOME,
        "localhost",
        "Referer: http://evil.example/localhost\r\n",
        false,
    ),
    Attempt(
        "a page of another port by its address",
        HOME,
        "localhost:80",
        "Referer: http://localhost:81/\r\n",
        false,
    ),
    Attempt(
        "a form across sites",
        HOME,
        "localhost",
        "Sec-Fetch-Site: cross-site\r\n",
        false,
    ),
    Attempt(
        "a form of another port",
        HOME,
        "localhost",
        "Sec-Fetch-Site: same-site\r\n",
        false,
    ),
    Attempt(
        "a page that knows the token",
        AWAY,
        "localhost",
        "Authorization: Bearer swordfish\r\nOrigin: http://a\r\n",
        false,
    ),
    // A name of somebody else's that leads here.
    Attempt("by a foreign name", HOME, "evil.example", "", false),
    Attempt(
        "by a foreign name, as its own page",
        HOME,
        "evil.example",
        "Origin: http://evil.example\r\n",
        false,
    ),
    Attempt(
        "by a foreign name with the token",
        HOME,
        "evil.example",
        "Authorization: Bearer swordfish\r\n",
        false,
    ),
    Attempt(
        "by a name that begins with an address",
        HOME,
        "127.0.0.1.evil.example",
        "",
        false,
    ),
    Attempt("by a name without a dot", HOME, "larder", "", true),
    Attempt(
        "by a local name with more behind it",
        HOME,
        "pi.local.evil.example",
        "",
        false,
    ),
    Attempt(
        "by a name that is named",
        HOME,
        "cache.example.com",
        "",
        true,
    ),
];

fn larder(origin: &Origin, token: &str) -> Proc {
    let more = json!({ "admin": { "allow": ["127.0.0.1"], "hosts": ["cache.example.com"] },
        "proxy": { "trustedProxies": ["127.0.0.9"] } });
    Start::with(config_for(origin, more))
        .environment("ADMIN_TOKEN", token)
        .run()
}

/// Tries to clear the cache, and panics unless that works or not as expected.
#[track_caller]
fn try_to_clear(proc: &Proc, attempt: &Attempt, fields: &str, clears: bool) {
    let Attempt(place, from, host, ..) = attempt;
    let mut home = proc.client();
    home.get("/a");
    let mut client = Client::connect_from((*from).into(), proc.addr());
    client.send(format!(
        "POST /cache/clear HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"
    ));
    let reply = client.read();

    let status = if clears { 200 } else { 403 };
    assert_eq!(reply.status, status, "{place}, {fields}: {reply:?}");
    is_guarded(&reply, place);
    let cache_status = if clears { "MISS" } else { "HIT" };
    assert_eq!(home.get("/a").cache_status(), cache_status, "{place}");
}

/// Content of our own: not to be guessed at, not to be kept, not for pages of others.
#[track_caller]
fn is_guarded(reply: &Reply, place: &str) {
    assert_eq!(
        reply.values("X-Content-Type-Options"),
        ["nosniff"],
        "{place}: {reply:?}"
    );
    assert_eq!(
        reply.values("Content-Type"),
        ["application/json"],
        "{place}: {reply:?}"
    );
    assert_eq!(
        reply.values("Cache-Control"),
        ["no-store"],
        "{place}: {reply:?}"
    );
    let is_for_pages =
        |(name, _): &(String, String)| name.to_ascii_lowercase().starts_with("access-control");
    assert!(!reply.fields.iter().any(is_for_pages), "{place}: {reply:?}");
}

#[test]
fn fault_b10_c20_each_way_to_clear_the_cache_from_outside_is_shut() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let proc = larder(&origin, "");
    for attempt in &ATTEMPTS {
        let Attempt(_, _, _, fields, clears) = attempt;
        try_to_clear(&proc, attempt, fields, *clears && *fields != TOKEN);
    }
    assert_eq!(
        origin.requests(),
        origin.count("/a"),
        "none of it is the origin's"
    );
}

#[test]
fn fault_b10_c20_a_token_that_is_set_is_required_wherever_one_stands() {
    let origin = Origin::serving([("/a", Answer::ok("a"))]);
    let proc = larder(&origin, "swordfish");
    for attempt in &ATTEMPTS {
        let Attempt(_, _, _, fields, clears) = attempt;
        try_to_clear(&proc, attempt, fields, *clears && *fields == TOKEN);
        if !fields.contains("Authorization") && *clears {
            try_to_clear(&proc, attempt, &format!("{fields}{TOKEN}"), true);
        }
    }
    assert!(!proc.log().contains("swordfish"));
}

/// A page may send what it cannot read, and what it can read is asked for under its own name.
#[test]
fn c20_what_is_told_is_read_at_home_only() {
    let origin = Origin::serving([]);
    let proc = larder(&origin, "swordfish");
    for target in [
        "/cache/stats",
        "/queue/stats",
        "/_larder/cache/stats",
        "/_larder/nothing",
    ] {
        for Attempt(place, from, host, fields, clears) in ATTEMPTS {
            // Whose page it is matters to what changes something; no page can read the answer.
            if ["Origin", "Referer", "Sec-Fetch-Site"]
                .iter()
                .any(|name| fields.contains(name))
            {
                continue;
            }
            let mut client = Client::connect_from(from.into(), proc.addr());
            client.send(format!(
                "GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"
            ));
            let reply = client.read();
            let there = if target.ends_with("nothing") {
                404
            } else {
                200
            };
            assert_eq!(
                reply.status,
                if clears { there } else { 403 },
                "{target} {place}: {reply:?}"
            );
            is_guarded(&reply, place);
        }
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn no_content_of_our_own_is_guessed_at() {
    let origin = Origin::serving([("/bad", Answer::nothing())]);
    let app = App::start(&config_for(
        &origin,
        json!({ "proxy": { "maxHeaderBytes": 16384, "maxBodyBytes": 1024 } }),
    ));
    let get = |head: &str| format!("GET {head}\r\n\r\n");
    let with = |field: &str| get(&format!("/ HTTP/1.1\r\nHost: a\r\n{field}"));
    let cases = [
        (200, get("/health HTTP/1.1\r\nHost: a")),
        (405, get("/cache/clear HTTP/1.1\r\nHost: localhost")),
        (404, get("/_larder/nothing HTTP/1.1\r\nHost: localhost")),
        (502, get("/bad HTTP/1.1\r\nHost: a")),
        (504, with("Cache-Control: only-if-cached")),
        // The guard's own.
        (400, get("/ HTTP/1.1")),
        (400, get("nowhere HTTP/1.1\r\nHost: a")),
        (400, "\u{16}\u{3}\u{1}\u{0}\u{5}hello\r\n\r\n".to_owned()),
        (405, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (413, with("Content-Length: 1000000")),
        (
            414,
            get(&format!("/{} HTTP/1.1\r\nHost: a", "a".repeat(9000))),
        ),
        (417, with("Expect: miracles")),
        (431, with(&format!("A: {}", "a".repeat(20_000)))),
        (505, get("/ HTTP/2.0\r\nHost: a")),
    ];
    for (status, bytes) in cases {
        let mut client = app.client();
        client.send(&bytes);
        let reply = client.read();
        assert_eq!(reply.status, status, "{bytes:.60}: {reply:?}");
        is_guarded(&reply, &bytes[..bytes.len().min(60)]);
    }
}

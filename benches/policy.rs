//! What each question of the policy costs: `cargo bench --bench policy`. The fields are those of a browser that reloads a page
//! of a careful origin: more of each than most exchanges have.
#![allow(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has nothing to say"
)]

use std::time::Duration;

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use larder::clock::Now;
use larder::policy::directives::ResponseDirectives;
use larder::policy::freshness::{Allowed, Lifetime, Received, lifetime};
use larder::policy::request_directives::RequestDirectives;
use larder::policy::rule::{Defaults, Rule};
use larder::policy::sharing::RequestTraits;
use larder::policy::storing::{Exchange, may_store};
use larder::policy::vary::Selecting;
use larder::policy::{conditions, dates, ranges, reuse, validation};

const NOW: Now = Now {
    mono: Duration::from_secs(1_000),
    wall: Duration::from_secs(1_763_164_800),
};
const BODY: &[u8] = &[b'7'; 1500];

fn main() {
    divan::main();
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

fn request() -> HeaderMap {
    fields(&[
        ("accept-language", "en-GB,en;q=0.8,de;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("cache-control", "max-age=0"),
        ("if-none-match", "\"a\", \"b\""),
        ("range", "bytes=0-99"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
    ])
}

fn response() -> HeaderMap {
    fields(&[
        ("date", "Sat, 15 Nov 2025 00:00:00 GMT"),
        ("age", "3"),
        (
            "cache-control",
            "public, max-age=60, stale-while-revalidate=30, stale-if-error=\"600\"",
        ),
        ("etag", "\"a\""),
        ("last-modified", "Fri, 14 Nov 2025 12:00:00 GMT"),
        ("vary", "Accept-Encoding, Accept-Language"),
        ("content-type", "application/json"),
    ])
}

fn stored() -> Lifetime {
    let fields = response();
    let response = Received {
        status: StatusCode::OK,
        fields: &fields,
        response_directives: ResponseDirectives::of(&fields, &[]),
        asked: NOW,
        at: NOW,
    };
    lifetime(
        &response,
        &Rule::default(),
        &Defaults::default(),
        Allowed::Any,
    )
    .expect("the origin gives it one")
}

#[divan::bench]
fn what_a_request_asks(bencher: Bencher<'_, '_>) {
    let request = request();
    let rule = Rule::default();
    bencher.bench_local(|| {
        RequestTraits::of(&Method::GET, black_box(&request), false, &rule, |_| false)
    });
}

#[divan::bench]
fn whether_a_stored_answer_serves(bencher: Bencher<'_, '_>) {
    let lifetime = stored();
    let directives = RequestDirectives::default();
    bencher.bench_local(|| reuse::reuse(black_box(&lifetime), &directives, NOW));
}

#[divan::bench]
fn whether_a_request_selects_it(bencher: Bencher<'_, '_>) {
    let names = vec![http::header::ACCEPT_ENCODING, http::header::ACCEPT_LANGUAGE];
    let request = request();
    let selecting = Selecting::of(names, &request, true);
    bencher.bench_local(|| selecting.matches(black_box(&request)));
}

#[divan::bench]
fn preconditions(bencher: Bencher<'_, '_>) {
    let request = request();
    let stored = response();
    bencher.bench_local(|| conditions::evaluate(black_box(&request), StatusCode::OK, &stored, NOW));
}

#[divan::bench]
fn a_range(bencher: Bencher<'_, '_>) {
    let request = request();
    let stored = response();
    let size = BODY.len() as u64;
    bencher
        .bench_local(|| ranges::serving(black_box(&request), StatusCode::OK, &stored, size, NOW));
}

#[divan::bench]
fn what_the_origin_says_to_caches(bencher: Bencher<'_, '_>) {
    let response = response();
    bencher.bench_local(|| ResponseDirectives::of(black_box(&response), &[]));
}

#[divan::bench]
fn a_date() -> Option<i64> {
    dates::parse(black_box(b"Sat, 15 Nov 2025 00:00:00 GMT"), NOW)
}

#[divan::bench]
fn whether_an_answer_is_stored(bencher: Bencher<'_, '_>) {
    let mut request = request();
    let response = response();
    request.remove("range");
    request.remove("if-none-match");
    let rule = Rule::default();
    let defaults = Defaults::default();
    let exchange = Exchange {
        method: &Method::GET,
        request: &request,
        sent: &request,
        claims_another: false,
        has_body: false,
        custom: false,
        names_itself: false,
        status: StatusCode::OK,
        response: &response,
        body: BODY,
        rule: &rule,
        default_applies: true,
        defaults: &defaults,
        targeted: &[],
        is_unseen: |_| false,
        asked: NOW,
        received: NOW,
    };
    bencher.bench_local(|| may_store(black_box(&exchange)));
}

#[divan::bench]
fn a_304_freshens_what_is_stored(bencher: Bencher<'_, '_>) {
    let stored = response();
    let update = fields(&[("date", "Sat, 15 Nov 2025 00:01:00 GMT"), ("etag", "\"a\"")]);
    bencher.bench_local(|| validation::freshen(black_box(&stored), &update));
}

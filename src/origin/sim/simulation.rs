//! PURE. A pypowerwall before a simulated house: request and time in, answer or fault out.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use super::chance::{Chance, Subject};
use super::house::House;
use super::pages::{self, Kind, Page, View};
use super::settings::{Hang, SimSettings};
use super::statistics::Statistics;
use crate::clock::Now;
use crate::message::Response;
use crate::origin::{FetchError, OriginRequest};

/// A house and the pypowerwall before it. What it answers follows from its settings, its first moment, and what was asked
/// when.
pub struct Simulation {
    settings: SimSettings,
    chance: Chance,
    began: Now,
    house: House,
    /// Requests so far; faults are drawn by it.
    asked: u64,
    statistics: Statistics,
}

/// What becomes of a request.
#[derive(Debug)]
pub struct Reaction {
    /// How long it takes.
    pub after: Duration,
    /// What comes then.
    pub result: Result<Response, FetchError>,
}

impl Simulation {
    /// A simulation that begins `now`.
    pub fn new(settings: SimSettings, now: Now) -> Simulation {
        Simulation {
            chance: Chance::new(settings.seed),
            house: House::new(settings.seed, now.wall),
            began: now,
            asked: 0,
            statistics: Statistics::new(now.wall),
            settings,
        }
    }

    /// Answers one request. A fault strikes before the request has done anything.
    pub fn answer(&mut self, request: &OriginRequest, now: Now) -> Reaction {
        self.asked += 1;
        let SimSettings { latency, first_byte_timeout, .. } = self.settings;
        if self.hangs(request.target.path()) || latency >= first_byte_timeout {
            return Reaction { after: first_byte_timeout, result: Err(FetchError::FirstByteTimeout) };
        }
        let result = if self.strikes(Subject::Drop, self.settings.drop) {
            Err(FetchError::Truncated)
        } else {
            Ok(self.respond(request, now))
        };
        Reaction { after: latency, result }
    }

    fn respond(&mut self, request: &OriginRequest, now: Now) -> Response {
        if self.strikes(Subject::Fail, self.settings.fail) {
            self.statistics.errors += 1;
            let body = r#"{"error": "Simulated failure"}"#;
            return response(StatusCode::INTERNAL_SERVER_ERROR, Page::text(Kind::Json, body));
        }
        if self.strikes(Subject::Null, self.settings.null) {
            self.statistics.timeouts += 1;
            return response(StatusCode::OK, Page::text(Kind::Json, "null"));
        }
        // Wall time may be set back or forth under a running house; its own time only goes on.
        let at = self.began.wall + now.mono.saturating_sub(self.began.mono);
        self.house.advance(at);
        match request.method {
            Method::GET => self.show(request, at),
            Method::POST => self.control(request),
            _ => response(StatusCode::NOT_IMPLEMENTED, Page::unsupported(request.method.as_str())),
        }
    }

    fn show(&mut self, request: &OriginRequest, at: Duration) -> Response {
        let Some(index) = pages::find(request.target.as_str()) else {
            return unmatched(request.target.as_str());
        };
        let view = View { reading: self.house.reading(at), statistics: &self.statistics, target: &request.target };
        let page = (pages::PAGES[index].show)(&view);
        self.statistics.count(index);
        response(StatusCode::OK, page)
    }

    fn control(&mut self, request: &OriginRequest) -> Response {
        self.statistics.posts += 1;
        let refused = |body| response(StatusCode::BAD_REQUEST, Page::text(Kind::Json, body));
        match request.target.path().strip_prefix("/control/") {
            None => refused(r#"{"error": "Invalid Request"}"#),
            Some("reserve") => match reserve(request.body.as_deref().unwrap_or_default()) {
                None => refused(r#"{"error": "Control Command Value Invalid"}"#),
                Some(reserve) => {
                    self.house.keep(reserve);
                    response(StatusCode::OK, pages::reserve_set(reserve))
                }
            },
            Some(_) => refused(r#"{"error": "Invalid Command Action"}"#),
        }
    }

    fn hangs(&self, path: &str) -> bool {
        match &self.settings.hang {
            Hang::Share(share) => self.strikes(Subject::Hang, *share),
            Hang::Path(hanging) => hanging == path,
        }
    }

    fn strikes(&self, fault: Subject, share: f64) -> bool {
        self.chance.draw(fault, self.asked) < share
    }
}

/// The percentage in a form such as `value=20&token=secret`.
fn reserve(form: &[u8]) -> Option<u8> {
    let form = std::str::from_utf8(form).ok()?;
    let value = form.split('&').find_map(|field| field.strip_prefix("value="))?;
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|reserve| digits && *reserve <= 100)
}

fn response(status: StatusCode, page: Page) -> Response {
    let mut fields = fields(page.kind.media_type());
    fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Response { status, fields, body: page.body.into() }
}

/// What pypowerwall says where it has nothing: never 404, and with the gateway's cookies.
fn unmatched(target: &str) -> Response {
    let (media_type, body) =
        if target.starts_with("/api/") { ("text/plain", "Not Found") } else { ("application/json", "") };
    let mut fields = fields(media_type);
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    for cookie in ["AuthCookie=simulated;path=/;", "UserRecord=simulated;path=/;"] {
        fields.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    Response { status: StatusCode::OK, fields, body: Bytes::from_static(body.as_bytes()) }
}

fn fields(media_type: &'static str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    // Whoever looks can tell a simulated answer from a real one.
    fields.insert(header::SERVER, HeaderValue::from_static("larder-sim"));
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields
}

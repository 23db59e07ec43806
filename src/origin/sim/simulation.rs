//! PURE. A pypowerwall before a simulated house: request and time in, answer or fault out.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use super::chance::{Chance, Subject};
use super::house::House;
use super::pages::{self, Kind, Page, View};
use super::settings::{Limits, SimSettings, Strikes};
use super::statistics::Statistics;
use crate::clock::Now;
use crate::message::Response;
use crate::origin::{FetchError, OriginRequest};

/// What a lying answer says it has more than it has, in bytes.
const MISSING: u64 = 1_000;

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
    pub result: Result<Coming, FetchError>,
}

/// A response, as it comes.
#[derive(Debug)]
pub enum Coming {
    /// All of it.
    Whole(Response),
    /// Its body takes its time.
    Slowly {
        /// The response, with all of its body that will ever come.
        response: Response,
        /// What of the body came at once.
        begun: Bytes,
        /// How long the body is said to be.
        announced: u64,
        /// What comes later.
        then: Then,
    },
}

/// How a body goes on that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// A byte after each of these gaps.
    Drips(Duration),
    /// With silence, until whoever listens gives up after so long.
    Nothing(Duration),
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

    /// How long its answers are waited for.
    pub fn limits(&self) -> Limits {
        self.settings.limits
    }

    /// Answers one request. A fault strikes before the request has done anything, but for those of the answer's way back.
    pub fn answer(&mut self, request: &OriginRequest, now: Now) -> Reaction {
        self.asked += 1;
        let path = request.target.path();
        let SimSettings {
            latency, limits, ..
        } = self.settings;
        if self.is_down(now) || self.strikes(Subject::Refuse, &self.settings.refuse, path) {
            return Reaction {
                after: Duration::ZERO,
                result: Err(FetchError::Connect),
            };
        }
        if self.strikes(Subject::Hang, &self.settings.hang, path) || latency >= limits.first_byte {
            return Reaction {
                after: limits.first_byte,
                result: Err(FetchError::FirstByteTimeout),
            };
        }
        if self.strikes(Subject::Drop, &self.settings.drop, path) {
            return Reaction {
                after: latency,
                result: Err(FetchError::Truncated),
            };
        }
        let response = self.respond(request, now);
        if response.body.is_empty() {
            Reaction {
                after: latency,
                result: Ok(Coming::Whole(response)),
            }
        } else if self.strikes(Subject::Lie, &self.settings.lie, path) {
            self.lying(response)
        } else if self.strikes(Subject::Drip, &self.settings.drip, path) {
            self.dripping(response)
        } else {
            Reaction {
                after: latency,
                result: Ok(Coming::Whole(response)),
            }
        }
    }

    fn is_down(&self, now: Now) -> bool {
        let running = now.mono.saturating_sub(self.began.mono);
        self.settings
            .down
            .as_ref()
            .is_some_and(|down| down.contains(&running))
    }

    /// All of the body comes at once, and then nothing of what is still missing.
    fn lying(&self, response: Response) -> Reaction {
        let begun = response.body.clone();
        let then = Then::Nothing(self.settings.limits.idle);
        let announced = response.body.len() as u64 + MISSING;
        self.slowly(response, begun, announced, then)
    }

    /// Byte by byte.
    fn dripping(&self, response: Response) -> Reaction {
        let SimSettings {
            latency,
            limits,
            rate,
            ..
        } = self.settings;
        let gap = Duration::from_secs(1) / rate.max(1);
        let whole = u32::try_from(response.body.len())
            .map_or(Duration::MAX, |bytes| gap.saturating_mul(bytes));
        if whole <= limits.at_once {
            return Reaction {
                after: latency.saturating_add(whole),
                result: Ok(Coming::Whole(response)),
            };
        }
        let announced = response.body.len() as u64;
        self.slowly(response, Bytes::new(), announced, Then::Drips(gap))
    }

    fn slowly(&self, response: Response, begun: Bytes, announced: u64, then: Then) -> Reaction {
        let coming = Coming::Slowly {
            response,
            begun,
            announced,
            then,
        };
        Reaction {
            after: self.settings.latency,
            result: Ok(coming),
        }
    }

    fn respond(&mut self, request: &OriginRequest, now: Now) -> Response {
        let path = request.target.path();
        if self.strikes(Subject::Fail, &self.settings.fail, path) {
            self.statistics.errors += 1;
            let body = r#"{"error": "Simulated failure"}"#;
            let mut failure = response(self.settings.status, Page::text(Kind::Json, body));
            if let Some(seconds) = self.settings.retry_after {
                failure
                    .fields
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            return failure;
        }
        if self.strikes(Subject::Null, &self.settings.null, path) {
            self.statistics.timeouts += 1;
            return response(StatusCode::OK, Page::text(Kind::Json, "null"));
        }
        if self.strikes(Subject::Rubbish, &self.settings.rubbish, path) {
            return response(
                StatusCode::OK,
                Page::text(Kind::Html, "<h1>Simulated rubbish</h1>"),
            );
        }
        // Wall time may be set back or forth under a running house; its own time only goes on.
        let at = self.began.wall + now.mono.saturating_sub(self.began.mono);
        self.house.advance(at);
        match request.method {
            Method::GET => self.show(request, at),
            Method::POST => self.control(request),
            _ => response(
                StatusCode::NOT_IMPLEMENTED,
                Page::unsupported(request.method.as_str()),
            ),
        }
    }

    fn show(&mut self, request: &OriginRequest, at: Duration) -> Response {
        let Some(index) = pages::find(request.target.as_str()) else {
            return unmatched(request.target.as_str());
        };
        let view = View {
            reading: self.house.reading(at),
            statistics: &self.statistics,
            target: &request.target,
        };
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

    fn strikes(&self, fault: Subject, strikes: &Strikes, path: &str) -> bool {
        match strikes {
            Strikes::Share(share) => self.chance.draw(fault, self.asked) < *share,
            Strikes::Path(struck) => struck == path,
        }
    }
}

/// The percentage in a form such as `value=20&token=secret`.
fn reserve(form: &[u8]) -> Option<u8> {
    let form = std::str::from_utf8(form).ok()?;
    let value = form
        .split('&')
        .find_map(|field| field.strip_prefix("value="))?;
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|reserve| digits && *reserve <= 100)
}

fn response(status: StatusCode, page: Page) -> Response {
    let mut fields = fields(page.kind.media_type());
    fields.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    Response {
        status,
        fields,
        body: page.body.into(),
    }
}

/// What pypowerwall says where it has nothing: never 404, and with the gateway's cookies.
fn unmatched(target: &str) -> Response {
    let (media_type, body) = if target.starts_with("/api/") {
        ("text/plain", "Not Found")
    } else {
        ("application/json", "")
    };
    let mut fields = fields(media_type);
    fields.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store"),
    );
    for cookie in [
        "AuthCookie=simulated;path=/;",
        "UserRecord=simulated;path=/;",
    ] {
        fields.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    Response {
        status: StatusCode::OK,
        fields,
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn fields(media_type: &'static str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    // Whoever looks can tell a simulated answer from a real one.
    fields.insert(header::SERVER, HeaderValue::from_static("larder-sim"));
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields
}

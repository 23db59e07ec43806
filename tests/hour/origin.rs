//! The fake origin: an answer at once for who asks when it is due.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use larder::message::Response;
use larder::origin::OriginRequest;
use larder::outcome::FetchError;

use crate::dice::Dice;
use crate::endpoints::{Endpoint, Kind, endpoint};
use crate::faults::Fate;
use crate::ledger::{Ledger, Worth};

/// How long the origin's tagged answers stay the same, in milliseconds.
const UNCHANGED: u64 = 40_000;

/// What it remembers.
#[derive(Default)]
pub struct Fake {
    pub ledger: Ledger,
    /// Its tagged answers of this time: target, language, time, and their place in the ledger.
    tagged: Vec<(String, String, u64, usize)>,
}

impl Fake {
    /// The answer to a request that is due now.
    pub fn answer(
        &mut self,
        request: &OriginRequest,
        fate: Fate,
        dice: &mut Dice,
        now: u64,
    ) -> Result<Response, FetchError> {
        let endpoint = endpoint(request.target.as_str());
        match fate {
            Fate::Error(error) => Err(error),
            Fate::Status(code, retry_after) => Ok(status(code, retry_after)),
            _ if request.method == Method::HEAD && endpoint.says.is_empty() => {
                Ok(status(501, None))
            }
            _ if request.method == Method::POST => Ok(response(endpoint, "{\"done\":true}".into())),
            Fate::Rubbish if !rubbish(endpoint.kind).is_empty() => {
                let body = Bytes::from(dice.of(rubbish(endpoint.kind)));
                let worth = self.ledger.worth(request.target.as_str(), &body, true, now);
                self.ledger
                    .note(request.target.as_str(), "", &body, worth, now);
                Ok(response(endpoint, body))
            }
            Fate::Rubbish | Fate::Good | Fate::Drip { .. }
                if matches!(endpoint.kind, Kind::Tagged | Kind::Spoken) =>
            {
                Ok(self.tagged(endpoint, request, now))
            }
            Fate::Rubbish | Fate::Good | Fate::Drip { .. } => {
                let body = Bytes::from(words(
                    endpoint.kind,
                    request.target.as_str(),
                    self.ledger.next(),
                ));
                // What drips is passed on as it comes, and nothing is learnt from it.
                let worth = match fate {
                    Fate::Drip { .. } => Worth::Good,
                    _ => self
                        .ledger
                        .worth(request.target.as_str(), &body, false, now),
                };
                self.ledger
                    .note(request.target.as_str(), "", &body, worth, now);
                Ok(response(endpoint, body))
            }
        }
    }

    /// What has a tag and stays the same for a while: whole, a part, or only confirmed.
    fn tagged(&mut self, endpoint: &Endpoint, request: &OriginRequest, now: u64) -> Response {
        let field = |name| {
            request
                .fields
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let target = request.target.as_str();
        let language = if endpoint.kind == Kind::Spoken {
            field(header::ACCEPT_LANGUAGE)
        } else {
            ""
        };
        let number = self.number(target, language, now);
        let tag = format!("\"s{number}\"");
        let Some(said) = self.ledger.get(number) else {
            return status(500, None);
        };
        let body = said.body.clone();
        let mut response = response(endpoint, body.clone());
        response
            .fields
            .insert(header::ETAG, HeaderValue::from_str(&tag).expect("a tag"));
        if endpoint.kind == Kind::Spoken {
            response
                .fields
                .insert(header::VARY, HeaderValue::from_static("Accept-Language"));
        }
        if field(header::IF_NONE_MATCH)
            .split(", ")
            .any(|known| known == tag)
        {
            return Response {
                status: StatusCode::NOT_MODIFIED,
                body: Bytes::new(),
                ..response
            };
        }
        let if_range = field(header::IF_RANGE);
        let part = range(field(header::RANGE), body.len())
            .filter(|_| if_range.is_empty() || if_range == tag);
        if let Some((first, last)) = part {
            let place = format!("bytes {first}-{last}/{}", body.len());
            response.fields.insert(
                header::CONTENT_RANGE,
                HeaderValue::from_str(&place).expect("a place"),
            );
            return Response {
                status: StatusCode::PARTIAL_CONTENT,
                body: body.slice(first..=last),
                ..response
            };
        }
        match request.method {
            Method::HEAD => Response {
                body: Bytes::new(),
                ..response
            },
            _ => response,
        }
    }

    fn number(&mut self, target: &str, language: &str, now: u64) -> usize {
        let age = now / UNCHANGED;
        self.tagged.retain(|(.., of, _)| *of == age);
        let known = self
            .tagged
            .iter()
            .find(|(t, l, ..)| t == target && l == language)
            .map(|(.., number)| *number);
        if let Some(known) = known {
            self.ledger.again(known, now);
            return known;
        }
        let text = format!(
            "{target} in {language:?}, number {}: {}",
            self.ledger.next(),
            "and so on ".repeat(9)
        );
        let number = self
            .ledger
            .note(target, language, &Bytes::from(text), Worth::Good, now);
        self.tagged
            .push((target.to_owned(), language.to_owned(), age, number));
        number
    }
}

fn response(endpoint: &Endpoint, body: Bytes) -> Response {
    let mut fields = HeaderMap::new();
    if !endpoint.says.is_empty() {
        fields.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(endpoint.says),
        );
    }
    Response {
        status: StatusCode::OK,
        fields,
        body,
    }
}

fn status(code: u16, retry_after: Option<u64>) -> Response {
    let mut fields = HeaderMap::new();
    fields.extend(retry_after.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
    Response {
        status: StatusCode::from_u16(code).expect("a status"),
        fields,
        body: Bytes::from_static(b"no"),
    }
}

/// `bytes=a-b` or `bytes=a-` of so many bytes.
fn range(text: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = last.parse().unwrap_or(length - 1).min(length - 1);
    (first <= last).then_some((first, last))
}

/// A good body; no two are the same.
fn words(kind: Kind, target: &str, number: usize) -> String {
    match kind {
        Kind::Meters => format!("{{\"site\": {{\"instant_power\": 441.0}}, \"number\": {number}}}"),
        Kind::Level => format!("{{\"percentage\": 55.5, \"number\": {number}}}"),
        Kind::Csv => format!("441.0,500.0,0.0,59.0,55.5,{number}\n"),
        Kind::Readings => format!("{{\"grid\": 441.0, \"soe\": 55.5, \"number\": {number}}}"),
        _ => format!("{{\"ok\": true, \"of\": \"{target}\", \"number\": {number}}}"),
    }
}

/// What a dead gateway, or a broken back end, makes of it with status 200. Empty: nobody could tell.
fn rubbish(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Meters => &[
            "null",
            "{}",
            "",
            "Not Found",
            "{\"site\": {\"instant_power\": null}}",
        ],
        Kind::MaybeEmpty => &["null", "{}", "", "TIMEOUT!", "ERROR!", "{\"a\": null}"],
        Kind::Level => &["null", "{}", "", "Not Found", "{\"percentage\": null}"],
        Kind::Csv => &["0,0,0,0,0\n", "441.0,500.0,0.0,59.0,0.0\n", "", "ERROR!"],
        Kind::Readings => &[
            "{\"grid\": 0, \"soe\": 0}",
            "{\"grid\": 441.0, \"soe\": null}",
            "{}",
            "TIMEOUT!",
        ],
        Kind::Checked => &["null", "{}", "", "{\"ok\": null}", "<html>"],
        Kind::Unchecked | Kind::Tagged | Kind::Spoken | Kind::Personal => &[],
    }
}

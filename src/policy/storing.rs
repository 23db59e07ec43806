//! Whether a response may be stored (RFC 9111 §3).

use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL,
    CONTENT_ENCODING, CONTENT_LANGUAGE, COOKIE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, PRAGMA, RANGE, SET_COOKIE,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::check::CheckFailure;
use super::directives::ResponseDirectives;
use super::freshness::{Allowed, Lifetime, LifetimeSource, Received, lifetime};
use super::ranges::content_range;
use super::request_directives::RequestDirectives;
use super::request_fields::Class;
use super::rule::{Defaults, Rule, SetCookie};
use super::sharing::class_on;
use super::vary::{Nominated, Selecting, nominated};
use crate::clock::Now;

/// Request fields that say how one client wants its answer, or number its request: a response that differs by them is no
/// other client's.
static OF_ONE_REQUEST: [HeaderName; 8] = [
    CACHE_CONTROL,
    PRAGMA,
    RANGE,
    IF_RANGE,
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
];

/// A request and its complete response, with what the configuration says about them.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's fields, as the client sent them.
    pub request: &'a HeaderMap,
    /// The request's fields, as the origin saw them: what Vary selects by.
    pub sent: &'a HeaderMap,
    /// Whether the request, as the origin saw it, claimed another host, path or method than its own.
    pub claims_another: bool,
    /// Whether the request had a body.
    pub has_body: bool,
    /// Whether [`super::sharing`] found a custom field.
    pub custom: bool,
    /// Whether the response says that it is what a GET for the same target would bring (RFC 9110 §9.3.3): asked of POST only.
    pub names_itself: bool,
    /// The response's status code.
    pub status: StatusCode,
    /// The response's fields.
    pub response: &'a HeaderMap,
    /// The response's body, whole.
    pub body: &'a [u8],
    /// The rule of the request's route.
    pub rule: &'a Rule,
    /// False for a target no glob and no default covers: its response is never stored.
    pub default_applies: bool,
    /// What holds where neither the rule nor the origin speaks.
    pub defaults: &'a Defaults,
    /// The fields that speak to caches like this one before Cache-Control does (RFC 9213).
    pub targeted: &'a [HeaderName],
    /// Whether a request field never reaches the origin on a shared request.
    pub is_unseen: fn(&HeaderName) -> bool,
    /// When the request was sent.
    pub asked: Now,
    /// When the response was complete.
    pub received: Now,
}

/// What becomes of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storing {
    /// It is stored.
    Store {
        /// For so long.
        lifetime: Lifetime,
        /// For requests like these. `None`: for all.
        selecting: Option<Box<Selecting>>,
    },
    /// It is relayed only; after [`Refusal::CheckFailed`] not even that, it is a failure of the origin.
    Refuse(Refusal),
}

/// Why a response is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The method is not GET, nor a POST whose response is the target's own.
    Method,
    /// A 2xx whose body is no answer on this route. Outranks every other reason but the method.
    CheckFailed(CheckFailure),
    /// The request had a body.
    RequestBody,
    /// The request claimed another host, path or method than its own.
    Claim,
    /// It is a part that was not asked for (RFC 9110 §15.3.7), whose place in the whole is not told (§14.4), or that must be
    /// checked as a whole.
    Range,
    /// The request said `no-store` (§5.2.1.5).
    RequestNoStore,
    /// The target has dot segments, `//`, `\`, `;` or encoded `/ . \`, and no exact rule: origins disagree on what it names.
    OddTarget,
    /// The status code is never stored, or only where the origin says for how long.
    Status,
    /// The response said `no-store` (§5.2.2.5).
    NoStore,
    /// The response said `private` (§5.2.2.7).
    Private,
    /// The response has Set-Cookie.
    SetCookie,
    /// The response differs by what no key holds: Vary has `*`, or names a field of this one request (§4.1).
    Vary,
    /// The request had Authorization, and nothing in the response allows sharing it (§3.5).
    Authorization,
    /// The request has a custom field, and the origin gave no explicit freshness.
    Custom,
    /// Nobody gives it a lifetime, or the one it has is over and nothing can confirm it.
    NoLifetime,
}

impl Refusal {
    /// A word for the `detail` of Cache-Status (RFC 9211 §2.8) and for the log.
    pub fn detail(&self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::CheckFailed(_) => "check-failed",
            Refusal::RequestBody => "request-body",
            Refusal::Claim => "claim",
            Refusal::Range => "range",
            Refusal::RequestNoStore => "request-no-store",
            Refusal::OddTarget => "odd-target",
            Refusal::Status => "status",
            Refusal::NoStore => "no-store",
            Refusal::Private => "private",
            Refusal::SetCookie => "set-cookie",
            Refusal::Vary => "vary",
            Refusal::Authorization => "authorization",
            Refusal::Custom => "custom",
            Refusal::NoLifetime => "no-lifetime",
        }
    }
}

/// Judges a response.
pub fn may_store(exchange: &Exchange<'_>) -> Storing {
    match permitted(exchange) {
        Ok((lifetime, selecting)) => Storing::Store {
            lifetime,
            selecting,
        },
        Err(refusal) => Storing::Refuse(refusal),
    }
}

/// Whether this status is no answer but a failure of the origin.
pub fn is_failure(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Whether no response with this status is ever stored, whatever anybody says: those that answer one client's precondition
/// or range (304, 412, 416), those no cache may store (428, 429, 431, 511: RFC 6585), and what is no final response (below
/// 200, from 600).
fn is_never_stored(status: StatusCode) -> bool {
    !matches!(status.as_u16(), 200..=599)
        || matches!(status.as_u16(), 304 | 412 | 416 | 428 | 429 | 431 | 511)
}

/// Whether the user may say how long answers with this status live: never failures, which are nobody's good answer, nor parts.
pub fn may_have_own_ttl(status: StatusCode) -> bool {
    !is_never_stored(status) && !is_failure(status) && status != StatusCode::PARTIAL_CONTENT
}

/// Whether this cache knows what the status code asks of caches (§5.2.2.3): all final ones of RFC 9110 §15.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

fn permitted(exchange: &Exchange<'_>) -> Result<(Lifetime, Option<Box<Selecting>>), Refusal> {
    let is_get = exchange.method == Method::GET;
    let is_own_post = exchange.method == Method::POST
        && exchange.status == StatusCode::OK
        && exchange.names_itself;
    if !is_get && !is_own_post {
        return Err(Refusal::Method);
    }
    if exchange.status.is_success() && exchange.status != StatusCode::PARTIAL_CONTENT {
        exchange
            .rule
            .check
            .as_ref()
            .map_or(Ok(()), |check| check.evaluate(exchange.body))
            .map_err(Refusal::CheckFailed)?;
    }
    if exchange.has_body && is_get {
        return Err(Refusal::RequestBody);
    }
    if exchange.claims_another {
        return Err(Refusal::Claim);
    }
    if RequestDirectives::of(exchange.request).no_store {
        return Err(Refusal::RequestNoStore);
    }
    if !exchange.default_applies {
        return Err(Refusal::OddTarget);
    }
    let response_directives = ResponseDirectives::of(exchange.response, exchange.targeted);
    response_permits(exchange, &response_directives)?;
    let lifetime = lifetime_of(exchange, response_directives)?;
    // No lifetime of the user's is meant for an error.
    let is_users = matches!(
        lifetime.source(),
        LifetimeSource::Rule | LifetimeSource::Default
    );
    if is_users && is_failure(exchange.status) {
        return Err(Refusal::Status);
    }
    // A POST answers for a GET only where the origin says for how long (RFC 9110 §9.3.3).
    if lifetime.source() != LifetimeSource::Origin && !is_get {
        return Err(Refusal::Method);
    }
    Ok((lifetime, selecting(exchange)?))
}

fn lifetime_of(
    exchange: &Exchange<'_>,
    response_directives: ResponseDirectives,
) -> Result<Lifetime, Refusal> {
    let Exchange {
        status,
        response: fields,
        asked,
        received: at,
        ..
    } = *exchange;
    let allowed = if exchange.custom {
        Allowed::OriginOnly
    } else {
        Allowed::Any
    };
    let unnamed = if exchange.custom {
        Refusal::Custom
    } else {
        Refusal::NoLifetime
    };
    let received = Received {
        status,
        fields,
        response_directives,
        asked,
        at,
    };
    let lifetime = lifetime(&received, exchange.rule, exchange.defaults, allowed).ok_or(unnamed)?;
    if lifetime.is_of_use() {
        Ok(lifetime)
    } else {
        Err(Refusal::NoLifetime)
    }
}

fn response_permits(
    exchange: &Exchange<'_>,
    response_directives: &ResponseDirectives,
) -> Result<(), Refusal> {
    let Exchange {
        rule,
        response,
        status,
        ..
    } = *exchange;
    let said = &response_directives.directives;
    if is_never_stored(status) || (said.must_understand && !is_understood(status)) {
        return Err(Refusal::Status);
    }
    // Where the user says how long good answers live, an error is none of them.
    if is_failure(status) && (rule.cache_ttl.is_some() || rule.check.is_some()) {
        return Err(Refusal::Status);
    }
    let is_checked = rule.check.is_some() || rule.judged;
    let is_placed = exchange.sent.contains_key(RANGE) && content_range(response).is_some();
    if status == StatusCode::PARTIAL_CONTENT && (is_checked || !is_placed) {
        return Err(Refusal::Range);
    }
    if said.no_store && !said.must_understand && !rule.force.no_store {
        return Err(Refusal::NoStore);
    }
    if said.private && !rule.force.private {
        return Err(Refusal::Private);
    }
    let set_cookie = rule.set_cookie.unwrap_or(exchange.defaults.set_cookie);
    if response.contains_key(SET_COOKIE) && set_cookie == SetCookie::Refuse && !said.public {
        return Err(Refusal::SetCookie);
    }
    // §3.5.
    if exchange.request.contains_key(AUTHORIZATION)
        && !response_directives.shares_authorized()
        && !rule.force.authorization
    {
        return Err(Refusal::Authorization);
    }
    Ok(())
}

/// Which requests the response is for (§4.1).
///
/// Many origins forget to say so. So a coded response is taken to differ by Accept-Encoding, one with Content-Language by
/// Accept-Language, and one for pages of one web origin by Origin. Keyed fields count as named, too.
fn selecting(exchange: &Exchange<'_>) -> Result<Option<Box<Selecting>>, Refusal> {
    let coded = exchange.response.contains_key(CONTENT_ENCODING);
    let mut names = match nominated(exchange.response, |name| counts(name, exchange)) {
        Nominated::Nothing => Vec::new(),
        Nominated::Everything => return Err(Refusal::Vary),
        Nominated::Fields(names) => names,
    };
    if names.iter().any(|name| OF_ONE_REQUEST.contains(name)) {
        return Err(Refusal::Vary);
    }
    let is_worded = exchange.response.contains_key(CONTENT_LANGUAGE);
    let forgotten = [
        (ACCEPT_ENCODING, coded),
        (ACCEPT_LANGUAGE, is_worded),
        (ORIGIN, is_for_one_origin(exchange.response)),
    ];
    let forgotten = forgotten
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| name);
    let sent_and_keyed = exchange
        .sent
        .keys()
        .filter(|name| class_on(name, exchange.rule) == Class::Keyed);
    let keyed = exchange.rule.vary_on.iter().chain(sent_and_keyed).cloned();
    for name in forgotten.chain(keyed) {
        if !names.contains(&name) && counts(&name, exchange) {
            names.push(name);
        }
    }
    Ok((!names.is_empty()).then(|| Box::new(Selecting::of(names, exchange.sent, coded))))
}

/// Whether pages of one web origin only may read the response. Which one is asked is then told by Origin, or by its absence.
fn is_for_one_origin(response: &HeaderMap) -> bool {
    let mut allowed = response.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter();
    allowed.any(|line| line.as_bytes().trim_ascii() != b"*")
}

/// Whether the cookies of a response are stored with it, for everybody.
pub fn stores_cookies(rule: &Rule, defaults: &Defaults) -> bool {
    rule.set_cookie.unwrap_or(defaults.set_cookie) == SetCookie::Store
}

/// Whether requests can differ by this field at the origin: those that never carry it there cannot. One that goes alone may
/// carry what shared ones do not.
fn counts(name: &HeaderName, exchange: &Exchange<'_>) -> bool {
    let rule = exchange.rule;
    let is_taken_off = (name == COOKIE && rule.strip_cookies)
        || (name == ORIGIN && rule.strip_origin)
        || (name == ACCEPT_ENCODING && rule.poll_interval.is_some())
        || (exchange.is_unseen)(name);
    let came_through = exchange.sent.contains_key(name);
    (came_through || !is_taken_off) && name != HOST && !rule.ignore_vary.contains(name)
}

#[cfg(test)]
mod tests;

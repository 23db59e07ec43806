//! Whether a response may be stored (RFC 9111 §3).

use http::header::{AUTHORIZATION, RANGE, SET_COOKIE, VARY};
use http::{HeaderMap, Method, StatusCode};

use super::check::CheckFailure;
use super::directives::Directives;
use super::freshness::{Allowed, Lifetime, Received, lifetime};
use super::rule::{Defaults, Rule, SetCookie};
use crate::clock::Now;

/// A request and its complete response, with what the configuration says about them.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's fields.
    pub request: &'a HeaderMap,
    /// Whether the request had a body.
    pub has_body: bool,
    /// Whether [`super::sharing`] found a field that names the client.
    pub identity: bool,
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
    /// When the request was sent.
    pub asked: Now,
    /// When the response was complete.
    pub received: Now,
}

/// What becomes of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storing {
    /// It is stored, for this long.
    Store(Lifetime),
    /// It is relayed only; after [`Refusal::CheckFailed`] not even that, it is a failure of the origin.
    Refuse(Refusal),
}

/// Why a response is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The method is not GET.
    Method,
    /// A 2xx whose body is no answer on this route. Outranks every other reason but the method.
    CheckFailed(CheckFailure),
    /// The request had a body.
    RequestBody,
    /// The request asked for a range.
    Range,
    /// The request said `no-store` (§5.2.1.5).
    RequestNoStore,
    /// The target has dot segments, `//`, `\`, `;` or encoded `/ . \`, and no exact rule: origins disagree on what it names.
    OddTarget,
    /// The status code is never stored.
    Status,
    /// The response said `no-store` (§5.2.2.5).
    NoStore,
    /// The response said `private` (§5.2.2.7).
    Private,
    /// The response said `no-cache` (§5.2.2.4); without validation it could never be reused.
    NoCache,
    /// The response has Set-Cookie.
    SetCookie,
    /// The response has Vary; without selecting by it (§4.1) it could be given to the wrong client.
    Vary,
    /// The request had Authorization, and nothing in the response allows sharing it (§3.5).
    Authorization,
    /// The request names its client, and the origin gave no explicit freshness.
    Identity,
    /// Nobody gives it a lifetime, or the one it has is over.
    NoLifetime,
}

impl Refusal {
    /// A word for the `detail` of Cache-Status (RFC 9211 §2.8) and for the log.
    pub fn detail(&self) -> &'static str {
        match self {
            Refusal::Method => "method",
            Refusal::CheckFailed(_) => "check-failed",
            Refusal::RequestBody => "request-body",
            Refusal::Range => "range",
            Refusal::RequestNoStore => "request-no-store",
            Refusal::OddTarget => "odd-target",
            Refusal::Status => "status",
            Refusal::NoStore => "no-store",
            Refusal::Private => "private",
            Refusal::NoCache => "no-cache",
            Refusal::SetCookie => "set-cookie",
            Refusal::Vary => "vary",
            Refusal::Authorization => "authorization",
            Refusal::Identity => "identity",
            Refusal::NoLifetime => "no-lifetime",
        }
    }
}

/// Judges a response.
pub fn may_store(exchange: &Exchange<'_>) -> Storing {
    match permitted_lifetime(exchange) {
        Ok(lifetime) => Storing::Store(lifetime),
        Err(refusal) => Storing::Refuse(refusal),
    }
}

/// Whether no response with this status is ever stored, whatever anybody says.
///
/// A failure must not stand where a good answer could (5xx, 429); the others answer one client's precondition or range
/// (206, 304, 412, 416) or are no final response (below 200, from 600).
pub fn is_never_stored(status: StatusCode) -> bool {
    !matches!(status.as_u16(), 200..=499) || matches!(status.as_u16(), 206 | 304 | 412 | 416 | 429)
}

fn permitted_lifetime(exchange: &Exchange<'_>) -> Result<Lifetime, Refusal> {
    if exchange.method != Method::GET {
        return Err(Refusal::Method);
    }
    if exchange.status.is_success() && exchange.status != StatusCode::PARTIAL_CONTENT {
        exchange
            .rule
            .check
            .as_ref()
            .map_or(Ok(()), |check| check.verdict(exchange.body))
            .map_err(Refusal::CheckFailed)?;
    }
    request_permits(exchange)?;
    let directives = Directives::of(exchange.response);
    response_permits(exchange, &directives)?;
    let allowed = if exchange.identity { Allowed::OriginOnly } else { Allowed::Any };
    let received = Received {
        status: exchange.status,
        fields: exchange.response,
        directives,
        asked: exchange.asked,
        at: exchange.received,
    };
    let unnamed = if exchange.identity { Refusal::Identity } else { Refusal::NoLifetime };
    let lifetime = lifetime(&received, exchange.rule, exchange.defaults, allowed).ok_or(unnamed)?;
    if lifetime.ttl().is_zero() || lifetime.retained_for().is_zero() {
        return Err(Refusal::NoLifetime);
    }
    Ok(lifetime)
}

fn request_permits(exchange: &Exchange<'_>) -> Result<(), Refusal> {
    if exchange.has_body {
        return Err(Refusal::RequestBody);
    }
    if exchange.request.contains_key(RANGE) {
        return Err(Refusal::Range);
    }
    if Directives::of(exchange.request).no_store {
        return Err(Refusal::RequestNoStore);
    }
    if !exchange.default_applies {
        return Err(Refusal::OddTarget);
    }
    Ok(())
}

fn response_permits(exchange: &Exchange<'_>, directives: &Directives) -> Result<(), Refusal> {
    let Exchange { rule, response, .. } = exchange;
    if is_never_stored(exchange.status) {
        return Err(Refusal::Status);
    }
    if directives.no_store && !rule.force.no_store {
        return Err(Refusal::NoStore);
    }
    if directives.private && !rule.force.private {
        return Err(Refusal::Private);
    }
    if directives.no_cache || directives.names_fields {
        return Err(Refusal::NoCache);
    }
    if response.contains_key(SET_COOKIE) && rule.set_cookie == SetCookie::Refuse {
        return Err(Refusal::SetCookie);
    }
    let counts = |name: &[u8]| !name.is_empty() && !is_ignored(name, rule);
    let mut selecting = response.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    if selecting.any(|name| counts(name.trim_ascii())) {
        return Err(Refusal::Vary);
    }
    // §3.5, and so whatever the configured identity fields are.
    let shareable = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    if exchange.request.contains_key(AUTHORIZATION) && !shareable && !rule.force.authorization {
        return Err(Refusal::Authorization);
    }
    Ok(())
}

/// Whether the route says that its answers do not differ by this field, which its requests do not carry.
fn is_ignored(name: &[u8], rule: &Rule) -> bool {
    rule.ignore_vary.iter().any(|ignored| ignored.as_str().as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
#[path = "storing_tests.rs"]
mod tests;

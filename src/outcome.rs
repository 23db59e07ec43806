//! What became of a request. PURE. Exactly one [`Outcome`] per reply, and everything said about it comes from here.

use std::fmt;

use http::{HeaderName, StatusCode};

/// How a reply came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A stored answer, the origin not asked.
    Hit,
    /// A stored answer past its lifetime, because the origin is slow or failed.
    Stale {
        /// Why the origin's own answer is not sent.
        reason: Cause,
    },
    /// A stored answer the origin has just confirmed (RFC 9111 §4.3.3).
    Validated {
        /// Only the client's word made us ask.
        forced: bool,
    },
    /// The origin's answer.
    Fetched {
        /// Why it was asked.
        fwd: Fwd,
        /// The answer is stored now.
        stored: bool,
        /// Somebody else's request fetched it.
        collapsed: bool,
    },
    /// The origin's answer to a request that went alone.
    Alone {
        /// Why it was asked.
        fwd: Fwd,
        /// Why alone.
        detail: &'static str,
        /// The request field that is the reason. `None`: no field is.
        field: Option<FieldName>,
    },
    /// Our own error.
    Failed {
        /// Why there is nothing better.
        cause: Cause,
        /// Why what is stored is no answer. `None`: nobody looked.
        fwd: Option<Fwd>,
    },
    /// One of our own endpoints.
    BuiltIn,
}

/// The name of a request field, up to its first 39 characters: no longer ones are known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldName {
    text: [u8; 39],
    length: u8,
}

impl FieldName {
    /// The name as it is compared: in lower case.
    pub fn of(name: &HeaderName) -> FieldName {
        let mut text = [0; 39];
        let mut length = 0;
        for (place, byte) in text.iter_mut().zip(name.as_str().bytes()) {
            *place = byte;
            length += 1;
        }
        FieldName { text, length }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        // Names of fields are ASCII.
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request was forwarded, in the words of RFC 9211 §2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fwd {
    /// Nothing stored for it.
    UriMiss,
    /// What is stored is for other requests (RFC 9111 §4.1).
    VaryMiss,
    /// What is stored is past its lifetime.
    Stale,
    /// What is stored is fresh, and the client wants a newer one.
    Request,
    /// The method is not one a cache answers.
    Method,
    /// The cache was told, or chose, to stand aside.
    Bypass,
}

/// Why the origin has no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The fetch itself failed.
    Fetch(FetchError),
    /// The origin answered with this status, 5xx or 429.
    Status(u16),
    /// The body failed its route's Check.
    CheckFailed,
    /// The origin has not answered within `slowRequestTimeout`.
    Slow,
    /// All connections to the origin were busy for `slowRequestTimeout`.
    NoPermit,
    /// What may change something is not sent once its client has ended the connection while it waited.
    ClientGone,
    /// As many requests were sent to the origin as its quota allows.
    Quota,
    /// As many requests wait as may.
    ParkedFull,
    /// The client had the origin asked as often as its route lets one client.
    RateLimited,
    /// The server is being stopped.
    Stopping,
    /// The request forbids asking the origin, and nothing stored can answer it.
    OnlyIfCached,
    /// The request passed through this very process before.
    Loop,
    /// A fault of ours.
    Panicked,
}

/// Why there is no answer, by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The origin's name has no address (yet).
    Resolve,
    /// The connection was refused or the host is unreachable.
    Connect,
    /// No connection within `connectTimeout`.
    ConnectTimeout,
    /// No complete response head within `firstByteTimeout`.
    FirstByteTimeout,
    /// The body paused longer than `idleTimeout`.
    IdleTimeout,
    /// A buffered body was not complete within `totalTimeout`.
    TotalTimeout,
    /// The connection ended before the response was whole.
    Truncated,
    /// What came back is not HTTP, or the head is too large.
    Protocol,
    /// The origin's certificate is not trusted.
    Certificate,
    /// There is no TLS connection for another reason.
    Tls,
}

impl Outcome {
    /// `X-Cache-Status`: a closed set of words.
    pub fn x_cache_status(&self) -> &'static str {
        match self {
            Outcome::Fetched {
                fwd: Fwd::Request, ..
            }
            | Outcome::Validated { forced: true } => "REFRESH",
            Outcome::Hit | Outcome::Stale { .. } | Outcome::Validated { .. } => "HIT",
            Outcome::Fetched { .. } | Outcome::Failed { .. } => "MISS",
            Outcome::Alone { .. } | Outcome::BuiltIn => "BYPASS",
        }
    }

    /// `X-Cache`: `HIT` exactly when the body came from the store.
    pub fn x_cache(&self) -> &'static str {
        match self {
            Outcome::Hit | Outcome::Stale { .. } | Outcome::Validated { .. } => "HIT",
            _ => "MISS",
        }
    }

    /// Writes the value of `Cache-Status` (RFC 9211). `ttl` is the seconds of lifetime left, negative when past, `None` when
    /// nothing is stored; `status` the origin's, `None` when it was not heard. On the way of every hit: no formatting machinery.
    pub fn cache_status(
        &self,
        out: &mut impl fmt::Write,
        ttl: Option<i64>,
        status: Option<u16>,
    ) -> fmt::Result {
        out.write_str("larder")?;
        match self {
            Outcome::Hit => out.write_str("; hit")?,
            Outcome::Stale { .. } | Outcome::Validated { forced: false } => {
                out.write_str("; fwd=stale")?
            }
            Outcome::Validated { forced: true } => out.write_str("; fwd=request")?,
            Outcome::Fetched { fwd, .. }
            | Outcome::Alone { fwd, .. }
            | Outcome::Failed { fwd: Some(fwd), .. } => {
                write!(out, "; fwd={}", fwd.word())?;
            }
            Outcome::Failed { fwd: None, .. } | Outcome::BuiltIn => {}
        }
        let status = match self {
            Outcome::Stale {
                reason: Cause::Status(code),
            }
            | Outcome::Failed {
                cause: Cause::Status(code),
                ..
            } => Some(*code),
            Outcome::Fetched { .. } | Outcome::Alone { .. } => status,
            Outcome::Validated { .. } => Some(StatusCode::NOT_MODIFIED.as_u16()),
            _ => None,
        };
        if let Some(status) = status {
            out.write_str("; fwd-status=")?;
            out.write_str(itoa::Buffer::new().format(status))?;
        }
        if let Some(ttl) = ttl {
            out.write_str("; ttl=")?;
            out.write_str(itoa::Buffer::new().format(ttl))?;
        }
        match self {
            Outcome::Fetched { stored: true, .. } => out.write_str("; stored")?,
            Outcome::Stale { reason: cause } | Outcome::Failed { cause, .. } => {
                write!(out, "; detail={}", cause.detail())?
            }
            Outcome::Alone { detail, field, .. } => {
                write!(out, "; detail={detail}")?;
                if let Some(field) = field {
                    write!(out, "; field=\"{}\"", field.as_str())?;
                }
            }
            _ => {}
        }
        if let Outcome::Fetched {
            collapsed: true, ..
        } = self
        {
            out.write_str("; collapsed")?;
        }
        Ok(())
    }
}

impl Fwd {
    /// The parameter's token.
    pub fn word(&self) -> &'static str {
        match self {
            Fwd::UriMiss => "uri-miss",
            Fwd::VaryMiss => "vary-miss",
            Fwd::Stale => "stale",
            Fwd::Request => "request",
            Fwd::Method => "method",
            Fwd::Bypass => "bypass",
        }
    }
}

impl Cause {
    /// The status of our own error.
    pub fn status(&self) -> StatusCode {
        use FetchError::{Certificate, Connect, Protocol, Resolve, Tls, Truncated};
        match self {
            Cause::Fetch(Resolve | Connect | Truncated | Protocol | Certificate | Tls) => {
                StatusCode::BAD_GATEWAY
            }
            Cause::Fetch(_) => StatusCode::GATEWAY_TIMEOUT,
            Cause::OnlyIfCached => StatusCode::GATEWAY_TIMEOUT,
            Cause::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Cause::Loop => StatusCode::LOOP_DETECTED,
            Cause::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word for `Cache-Status` detail, the error's name and the log.
    pub fn detail(&self) -> &'static str {
        match self {
            Cause::Fetch(error) => match error {
                FetchError::Resolve => "unresolved",
                FetchError::Connect => "refused",
                FetchError::ConnectTimeout => "connect-timeout",
                FetchError::FirstByteTimeout => "first-byte-timeout",
                FetchError::IdleTimeout => "idle-timeout",
                FetchError::TotalTimeout => "total-timeout",
                FetchError::Truncated => "truncated",
                FetchError::Protocol => "protocol",
                FetchError::Certificate => "certificate",
                FetchError::Tls => "tls",
            },
            Cause::Status(_) => "status",
            Cause::CheckFailed => "check-failed",
            Cause::Slow => "slow",
            Cause::NoPermit => "no-permit",
            Cause::ClientGone => "client-gone",
            Cause::Quota => "quota",
            Cause::ParkedFull => "parked-full",
            Cause::RateLimited => "rate-limited",
            Cause::Stopping => "stopping",
            Cause::OnlyIfCached => "only-if-cached",
            Cause::Loop => "loop",
            Cause::Panicked => "panicked",
        }
    }

    /// What happened, for people.
    pub fn message(&self) -> &'static str {
        match self {
            Cause::Fetch(error) => match error {
                FetchError::Resolve => "the origin's name has no address",
                FetchError::Connect => "the origin refuses connections or cannot be reached",
                FetchError::ConnectTimeout => "no connection to the origin in time",
                FetchError::FirstByteTimeout => "the origin did not answer in time",
                FetchError::IdleTimeout | FetchError::TotalTimeout => {
                    "the origin's answer was not complete in time"
                }
                FetchError::Truncated => "the origin broke off its answer",
                FetchError::Protocol => "the origin's answer is not valid HTTP",
                FetchError::Certificate => {
                    "the origin's certificate is refused, the reason is logged; if it is the right server, one of \
                     backend.tls.caFile, backend.tls.pinSha256 and backend.tls.insecure helps"
                }
                FetchError::Tls => "no TLS connection to the origin; the reason is logged",
            },
            Cause::Status(_) => "the origin answers with an error",
            Cause::CheckFailed => "the origin's answer failed this route's check",
            Cause::Slow => "the origin is slow to answer",
            Cause::NoPermit => "all connections to the origin are busy",
            Cause::ClientGone => {
                "the client ended its connection while the request waited; it was not sent"
            }
            Cause::Quota => "the origin was asked as often as its quota allows",
            Cause::ParkedFull => "too many requests are waiting for the origin",
            Cause::RateLimited => {
                "this address has sent as many requests here as it may in a minute"
            }
            Cause::Stopping => "the proxy is being stopped",
            Cause::OnlyIfCached => {
                "nothing stored can answer, and the request forbids asking the origin"
            }
            Cause::Loop => {
                "this request has been through this proxy before; its origin leads back to it"
            }
            Cause::Panicked => "a fault in the proxy; it is logged",
        }
    }

    /// Seconds after which to try again. `None`: trying again changes nothing.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Cause::Loop | Cause::OnlyIfCached | Cause::Panicked => None,
            Cause::NoPermit
            | Cause::ClientGone
            | Cause::ParkedFull
            | Cause::Stopping
            | Cause::Slow => Some(2),
            _ => Some(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(outcome: Outcome, ttl: Option<i64>, status: Option<u16>) -> String {
        let mut out = String::new();
        outcome
            .cache_status(&mut out, ttl, status)
            .expect("a String takes everything");
        out
    }

    #[test]
    fn h1_status_words() {
        let stale = Outcome::Stale {
            reason: Cause::Status(503),
        };
        let fetched = Outcome::Fetched {
            fwd: Fwd::UriMiss,
            stored: true,
            collapsed: true,
        };
        let alone = Outcome::Alone {
            fwd: Fwd::Method,
            detail: "method",
            field: None,
        };
        let custom = Outcome::Alone {
            fwd: Fwd::Bypass,
            detail: "custom",
            field: Some(FieldName::of(&HeaderName::from_static("x-access-token"))),
        };
        let failed = |fwd| Outcome::Failed {
            cause: Cause::NoPermit,
            fwd,
        };
        let cases = [
            (Outcome::Hit, "HIT", "HIT", "larder; hit; ttl=7"),
            (
                stale,
                "HIT",
                "HIT",
                "larder; fwd=stale; fwd-status=503; ttl=7; detail=status",
            ),
            (
                fetched,
                "MISS",
                "MISS",
                "larder; fwd=uri-miss; fwd-status=200; ttl=7; stored; collapsed",
            ),
            (
                alone,
                "BYPASS",
                "MISS",
                "larder; fwd=method; fwd-status=200; ttl=7; detail=method",
            ),
            (
                custom,
                "BYPASS",
                "MISS",
                "larder; fwd=bypass; fwd-status=200; ttl=7; detail=custom; field=\"x-access-token\"",
            ),
            (
                failed(Some(Fwd::UriMiss)),
                "MISS",
                "MISS",
                "larder; fwd=uri-miss; ttl=7; detail=no-permit",
            ),
            (
                failed(Some(Fwd::Stale)),
                "MISS",
                "MISS",
                "larder; fwd=stale; ttl=7; detail=no-permit",
            ),
            (
                failed(None),
                "MISS",
                "MISS",
                "larder; ttl=7; detail=no-permit",
            ),
        ];
        for (outcome, x_cache_status, x_cache, cache_status) in cases {
            assert_eq!(outcome.x_cache_status(), x_cache_status);
            assert_eq!(outcome.x_cache(), x_cache);
            assert_eq!(printed(outcome, Some(7), Some(200)), cache_status);
        }
    }

    #[test]
    fn our_errors_have_the_status_of_their_cause() {
        let cases = [
            (Cause::Fetch(FetchError::Connect), 502),
            (Cause::Fetch(FetchError::Truncated), 502),
            (Cause::Fetch(FetchError::Certificate), 502),
            (Cause::Fetch(FetchError::Tls), 502),
            (Cause::Fetch(FetchError::FirstByteTimeout), 504),
            (Cause::CheckFailed, 503),
            (Cause::NoPermit, 503),
            (Cause::ClientGone, 503),
            (Cause::Quota, 503),
            (Cause::RateLimited, 429),
            (Cause::Loop, 508),
        ];
        for (cause, status) in cases {
            assert_eq!(cause.status().as_u16(), status, "{}", cause.detail());
        }
    }
}

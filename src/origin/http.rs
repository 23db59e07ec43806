//! An origin asked over HTTP/1.1. This folder is the only place that names ureq.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap};
use http::uri::{Authority, Scheme, Uri};
use http::{Method, StatusCode};
use ureq::config::{AutoHeaderValue, Config};
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, Timeout};

use self::framing::{Framing, Presence, Trust};
use self::reading::{Gathered, Reading, Silences};
use self::tls::{Client, Tls};
use self::wire::{Connection, Exchange, Known, Wire};
use super::forward;
use super::resolve::Addresses;
use super::{FetchError, Fetched, Opening, Origin, OriginRequest};
use crate::message::Response;
use crate::policy::streams;

mod framing;
mod interim;
mod reading;
pub mod tls;
mod wire;

/// Size of the buffer a response head must fit in, in bytes.
const INPUT_BUFFER: usize = 16 * 1024;
/// A field as large as a client's whole head (16 KiB), longer by what we append to it, fits in.
const OUTPUT_BUFFER: usize = 17 * 1024;
/// A body that goes on for ever may be silent this many times longer than others.
pub const STREAM_PATIENCE: u32 = 6;

/// How to reach an origin, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// How to speak TLS, for an `https` origin. `None`: the scheme is `http`.
    pub tls: Option<Client>,
    /// Host and port, sent as Host (RFC 9110 §7.2). Without userinfo, which ureq would send as Authorization.
    pub authority: Authority,
    /// Limit of opening a connection, all addresses together.
    pub connect_timeout: Duration,
    /// Limit of waiting for the whole response head, counted from the end of the request; also of sending the request's
    /// head, and its body.
    pub first_byte_timeout: Duration,
    /// Limit of a silence within a body; six times as long for one that goes on for ever.
    pub idle_timeout: Duration,
    /// Limit of an exchange whose body nobody reads, from connecting to its last byte.
    pub total_timeout: Duration,
    /// A body that is whole so soon after its head is given back in one piece.
    pub at_once: Duration,
    /// A larger body is never given back in one piece, in bytes.
    pub max_object_bytes: usize,
    /// An idle connection is not used again after this time. Shorter than the origin's own limit avoids a retry.
    pub max_idle_age: Duration,
}

/// One connection to an HTTP origin, opened when needed and kept for the next request. Belongs to one worker thread.
pub struct HttpOrigin {
    agent: Agent,
    wire: Wire,
    settings: HttpSettings,
}

impl HttpOrigin {
    /// An origin at `addresses`, to which no connection is opened yet.
    pub fn new(settings: &HttpSettings, addresses: Arc<Addresses>) -> HttpOrigin {
        let wire = Wire::new();
        let connector =
            ().chain(TcpConnector::default())
                .chain(Tls(settings.tls.clone()))
                .chain(wire.clone());
        let agent = Agent::with_parts(config(settings), connector, Known(addresses));
        HttpOrigin {
            agent,
            wire,
            settings: settings.clone(),
        }
    }

    fn uri(&self, request: &OriginRequest) -> Result<Uri, FetchError> {
        if !forward::acceptable(&request.target) || request.method == Method::CONNECT {
            return Err(FetchError::Protocol);
        }
        Uri::builder()
            .scheme(if self.settings.tls.is_some() {
                Scheme::HTTPS
            } else {
                Scheme::HTTP
            })
            .authority(self.settings.authority.clone())
            .path_and_query(request.target.as_str())
            .build()
            .map_err(|_| FetchError::Protocol)
    }

    /// Sends the request once and waits for the response head.
    fn ask(
        &self,
        request: &OriginRequest,
        uri: &Uri,
        connection: Connection,
    ) -> Result<Answer, Silenced> {
        let exchange = self.wire.begin(connection, request.interim_sink.clone());
        match run(&self.agent, request, uri) {
            Ok(response) => Ok(Answer { exchange, response }),
            Err(error) => Err(Silenced {
                stale_connection: matches!(error, ureq::Error::Io(_))
                    && exchange.is_unheard_on_reused(),
                cause: cause(&error, &exchange),
            }),
        }
    }

    fn receive(&self, request: &OriginRequest, answer: Answer) -> Result<Fetched, FetchError> {
        let Answer { exchange, response } = answer;
        let (head, body) = response.into_parts();
        let Framing {
            body: presence,
            trust,
        } = framing::judge(&request.method, head.status, head.version, &head.headers)?;
        if trust == Trust::Doubtful {
            // Without a body it may be idle already; it will be found closed all the same.
            exchange.end_connection();
        }
        let mut fields = head.headers;
        forward::end_to_end(&mut fields);
        if presence != Presence::NoneButItsLength {
            fields.remove(header::CONTENT_LENGTH);
        }
        if presence != Presence::Some {
            return Ok(Fetched::Whole(Response {
                status: head.status,
                fields,
                body: bytes::Bytes::new(),
            }));
        }
        let length = body.content_length();
        let idle = self.settings.idle_timeout;
        let silences = Silences {
            idle,
            stream: idle.saturating_mul(STREAM_PATIENCE),
            total: self.settings.total_timeout,
        };
        let is_endless = streams::is_endless(&fields);
        let reading = Reading::new(body, exchange, silences, length.is_some(), is_endless);
        self.receive_body(head.status, fields, length, reading)
    }

    fn receive_body(
        &self,
        status: StatusCode,
        fields: HeaderMap,
        length: Option<u64>,
        mut reading: Reading,
    ) -> Result<Fetched, FetchError> {
        let max = self.settings.max_object_bytes;
        let too_large = length
            .is_some_and(|length| usize::try_from(length).map_or(true, |length| length > max));
        let gathered = if too_large || streams::is_endless(&fields) {
            Gathered::Begun(bytes::Bytes::new())
        } else {
            reading.gather(length, max, self.settings.at_once)?
        };
        Ok(match gathered {
            Gathered::Whole(body) => Fetched::Whole(Response {
                status,
                fields,
                body,
            }),
            Gathered::Begun(begun) => Fetched::Opening(Opening {
                status,
                fields,
                length,
                begun,
                rest: Box::new(reading),
            }),
        })
    }
}

impl Origin for HttpOrigin {
    fn fetch(&mut self, request: &OriginRequest) -> Result<Fetched, FetchError> {
        let uri = self.uri(request)?;
        // An origin may close an idle connection in the moment a request is written to it, and nobody can tell whether it
        // acted on the request (RFC 9110 §9.2.2). Only what may be repeated runs that risk.
        let connection = if request.repeatable {
            Connection::Any
        } else {
            Connection::New
        };
        let answer = match self.ask(request, &uri, connection) {
            Err(silenced) if silenced.stale_connection && request.repeatable => {
                self.ask(request, &uri, Connection::New)
            }
            first => first,
        };
        self.receive(request, answer.map_err(|silenced| silenced.cause)?)
    }
}

/// A response head, and its body to be read.
struct Answer {
    exchange: Arc<Exchange>,
    response: http::Response<ureq::Body>,
}

/// No response head came.
struct Silenced {
    cause: FetchError,
    /// A reused connection ended before the first byte of an answer.
    stale_connection: bool,
}

fn run(
    agent: &Agent,
    request: &OriginRequest,
    uri: &Uri,
) -> Result<http::Response<ureq::Body>, ureq::Error> {
    let mut head = http::Request::new(());
    *head.method_mut() = request.method.clone();
    *head.uri_mut() = uri.clone();
    *head.headers_mut() = request.fields.clone();
    // RFC 9110 §8.6: where a body is to be expected, its absence is said. (ureq would send an empty chunked one.)
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method);
    match &request.body {
        Some(body) => agent.run(head.map(|()| body.as_ref())),
        None if expects_body => agent.run(head.map(|()| &b""[..])),
        None => agent.run(head),
    }
}

/// What an error of ureq means to us.
fn cause(error: &ureq::Error, exchange: &Exchange) -> FetchError {
    match error {
        ureq::Error::Other(error) => tls::failure(&**error).unwrap_or(FetchError::Protocol),
        ureq::Error::HostNotFound => FetchError::Resolve,
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => FetchError::ConnectTimeout,
        ureq::Error::Timeout(_) => FetchError::FirstByteTimeout,
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed if !exchange.is_sent() => {
            FetchError::Connect
        }
        ureq::Error::Io(_) => FetchError::Truncated,
        _ => FetchError::Protocol,
    }
}

fn config(settings: &HttpSettings) -> Config {
    let first_byte = Some(settings.first_byte_timeout);
    Config::builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .user_agent(AutoHeaderValue::None)
        .accept(AutoHeaderValue::None)
        .accept_encoding(AutoHeaderValue::None)
        .input_buffer_size(INPUT_BUFFER)
        .output_buffer_size(OUTPUT_BUFFER)
        // One less than the buffer: a head that fills it is refused as too large, not taken for a cut one.
        .max_response_header_size(INPUT_BUFFER - 1)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        .max_idle_age(settings.max_idle_age)
        .timeout_connect(Some(settings.connect_timeout))
        .timeout_send_request(first_byte)
        .timeout_send_body(first_byte)
        .timeout_recv_response(first_byte)
        .build()
}

#[cfg(test)]
mod tests;

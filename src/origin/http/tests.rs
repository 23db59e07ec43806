use std::net::TcpStream;
use std::sync::mpsc::channel;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use super::*;
use crate::message::Target;
use crate::origin::InterimSink;
use crate::origin::allow::Allow;

mod answers;
mod connections;
mod interims;
mod pauses;
mod requests;
mod script;

use script::{Script, Step, say};

const SECONDS: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(40);

/// Settings under which nothing times out and every body may come at once during a test.
fn settings(port: u16) -> HttpSettings {
    HttpSettings {
        tls: None,
        authority: format!("127.0.0.1:{port}").parse().unwrap(),
        connect_timeout: SECONDS,
        first_byte_timeout: SECONDS,
        idle_timeout: SECONDS,
        total_timeout: SECONDS * 2,
        at_once: SECONDS,
        max_object_bytes: 100_000,
        max_idle_age: SECONDS,
    }
}

fn origin(port: u16) -> HttpOrigin {
    origin_with(port, |_| {})
}

fn origin_with(port: u16, change: impl FnOnce(&mut HttpSettings)) -> HttpOrigin {
    let mut settings = settings(port);
    change(&mut settings);
    HttpOrigin::new(
        &settings,
        Arc::new(Addresses::new("127.0.0.1", port, Allow::default())),
    )
}

fn request(method: &str, target: &str, body: Option<&'static [u8]>) -> OriginRequest {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    OriginRequest {
        repeatable: body.is_none() && [Method::GET, Method::HEAD].contains(&method),
        method,
        target: Target::parse(Bytes::copy_from_slice(target.as_bytes())).unwrap(),
        fields: HeaderMap::new(),
        body: body.map(Bytes::from_static),
        interim_sink: None,
    }
}

fn get() -> OriginRequest {
    request("GET", "/", None)
}

/// A result as text: `200 body`, `opening 200 begun`, or the error.
fn shown(fetched: &Result<Fetched, FetchError>) -> String {
    match fetched {
        Ok(Fetched::Whole(whole)) => format!(
            "{} {}",
            whole.status.as_u16(),
            String::from_utf8_lossy(&whole.body)
        ),
        Ok(Fetched::Opening(opening)) => {
            format!(
                "opening {} {}",
                opening.status.as_u16(),
                String::from_utf8_lossy(&opening.begun)
            )
        }
        Err(error) => format!("{error:?}"),
    }
}

fn whole(fetched: Result<Fetched, FetchError>) -> Response {
    match fetched {
        Ok(Fetched::Whole(whole)) => whole,
        other => panic!("not whole: {}", shown(&other)),
    }
}

fn opening(fetched: Result<Fetched, FetchError>) -> Opening {
    match fetched {
        Ok(Fetched::Opening(opening)) => opening,
        other => panic!("not an opening: {}", shown(&other)),
    }
}

/// Everything that is still to come, or why it does not.
fn drain(opening: &mut Opening) -> Result<Vec<u8>, FetchError> {
    let mut rest = Vec::new();
    while let Some(piece) = opening.rest.next()? {
        rest.extend_from_slice(&piece);
    }
    Ok(rest)
}

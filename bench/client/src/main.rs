//! The clients and the origin of `bench/compare`, in one program that needs one thread for ten thousand connections.
//!
//! ```text
//! bench-client load   --address 127.0.0.1:80 --connections 64 --requests 100000 ...   requests, then one line of figures
//! bench-client hold   --address 127.0.0.1:80 --connections 10000 ...                  idle connections, until stdin ends
//! bench-client origin --address 127.0.0.1:0                                           an HTTP origin
//! ```
//!
//! Every load ends by itself: at so many requests, or after so many seconds. In scope: HTTP/1.1 with `Content-Length`. Out of
//! scope: chunked replies, TLS, pipelining.

use std::process::ExitCode;

use crate::arguments::Arguments;

mod arguments;
mod connection;
mod figures;
mod hold;
mod load;
mod origin;
mod request;
mod response;

/// Runs one mode; an error is printed and ends with status 1.
fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let result = Arguments::parse(words).and_then(|arguments| match mode.as_str() {
        "load" => load::run(&arguments),
        "hold" => hold::run(&arguments),
        "origin" => origin::run(&arguments),
        _ => Err(format!("unknown mode {mode:?}: load, hold or origin")),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-client: {error}");
            ExitCode::FAILURE
        }
    }
}

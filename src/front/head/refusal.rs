//! Why a request is refused before anything looks at its meaning. The connection is closed after each of these.

use http::StatusCode;

/// What is wrong with a request's head or framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A TLS handshake came to a port that speaks plain HTTP.
    Tls,
    /// A line ends in something other than CRLF.
    LineEnding,
    /// The request line is not `method SP target SP HTTP/1.x`, or more than two empty lines stand before it.
    RequestLine,
    /// A version of HTTP other than 1.0 and 1.1.
    Version,
    /// CONNECT asks for a tunnel.
    Connect,
    /// The request target is neither a path, nor an http URL, nor `*` for OPTIONS, or holds a byte no URL may hold.
    Target,
    /// The request target is longer than 8 KiB.
    TargetTooLong,
    /// The head is larger than `maxHeaderBytes`.
    HeadTooLarge,
    /// The head has more field lines than are read.
    TooManyFields,
    /// A field is continued on a second line.
    Fold,
    /// A field line has no colon, something before it that is no token, or a framing field's name with `_` for `-`.
    FieldName,
    /// A field value holds a control character.
    FieldValue,
    /// Host is missing, repeated, or no host.
    Host,
    /// Content-Length is repeated, a list, or not a number.
    ContentLength,
    /// Transfer-Encoding is anything but `chunked` alone, comes in HTTP/1.0 or beside a Content-Length.
    TransferEncoding,
    /// An expectation other than `100-continue`.
    Expectation,
    /// A chunk is not framed as RFC 9112 §7.1 says.
    Chunk,
    /// A trailer field is malformed, or all of them are larger than 4 KiB.
    Trailer,
    /// The body is larger than `maxBodyBytes`.
    TooLarge,
}

impl Refusal {
    /// The status code to answer with.
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Refusal::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::TargetTooLong => StatusCode::URI_TOO_LONG,
            Refusal::HeadTooLarge | Refusal::TooManyFields => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Refusal::Expectation => StatusCode::EXPECTATION_FAILED,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// What is wrong and what to do about it, for a person who reads the error reply.
    pub fn message(self) -> &'static str {
        match self {
            Refusal::Tls => {
                "This port speaks plain HTTP: use http:// in the address, not https://."
            }
            Refusal::LineEnding => "End every line of the request head with CR LF.",
            Refusal::RequestLine => "Send a request line of the form: GET /path HTTP/1.1",
            Refusal::Version => "Use HTTP/1.1 or HTTP/1.0.",
            Refusal::Connect => {
                "This is not a forward proxy: send the request itself instead of CONNECT."
            }
            Refusal::Target => {
                "Ask for a path that begins with / and percent-encode every unusual character in it."
            }
            Refusal::TargetTooLong => "Shorten the address to at most 8192 bytes.",
            Refusal::HeadTooLarge => {
                "Send fewer or shorter header fields (large cookies are the usual cause)."
            }
            Refusal::TooManyFields => "Send fewer header fields.",
            Refusal::Fold => "Put every header field on one line.",
            Refusal::FieldName => {
                "Write every header field as name, colon, value, with no space before the colon."
            }
            Refusal::FieldValue => "Remove the control character from the header field's value.",
            Refusal::Host => "Send exactly one Host field, as name or name:port.",
            Refusal::ContentLength => "Send one Content-Length, in digits only.",
            Refusal::TransferEncoding => {
                "Send the body with Content-Length, or with Transfer-Encoding: chunked, not both."
            }
            Refusal::Expectation => "Remove the Expect field, or expect 100-continue.",
            Refusal::Chunk => {
                "Send every chunk as its size in hexadecimal, CR LF, its bytes, CR LF."
            }
            Refusal::Trailer => "Send fewer trailer fields, each as name, colon, value.",
            Refusal::TooLarge => "Send a smaller body, or raise proxy.maxBodyBytes.",
        }
    }
}

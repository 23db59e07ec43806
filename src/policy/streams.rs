//! Kinds of content that live long: streams of events, not documents.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Whether content of this kind has no end by itself, so that nobody should wait for it.
pub fn is_endless(fields: &HeaderMap) -> bool {
    let kind = media_type(fields);
    is(kind, b"text/event-stream") || is(kind, b"multipart/x-mixed-replace")
}

/// Whether content of this kind is a stream of messages: it may last for hours with little in it.
pub fn is_stream(fields: &HeaderMap) -> bool {
    let kind = media_type(fields);
    let grpc = b"application/grpc-web";
    let is_grpc = kind.get(..grpc.len()).is_some_and(|start| is(start, grpc));
    is_grpc || is(kind, b"text/event-stream") || is(kind, b"application/x-ndjson")
}

/// The media type without its parameters; empty where none is told.
fn media_type(fields: &HeaderMap) -> &[u8] {
    let value = fields.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let value = value.unwrap_or_default();
    let end = value.iter().position(|byte| *byte == b';');
    value
        .get(..end.unwrap_or(value.len()))
        .unwrap_or_default()
        .trim_ascii()
}

fn is(kind: &[u8], name: &[u8]) -> bool {
    kind.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn kinds_are_told_by_their_type_alone() {
        for (kind, endless, stream) in [
            ("text/event-stream", true, true),
            ("Text/Event-Stream; charset=utf-8", true, true),
            ("multipart/x-mixed-replace;boundary=b", true, false),
            ("application/x-ndjson", false, true),
            ("application/grpc-web", false, true),
            ("application/grpc-web-text+proto", false, true),
            ("application/json", false, false),
            ("text/event-streams", false, false),
            ("", false, false),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_endless(&fields), endless, "{kind}");
            assert_eq!(is_stream(&fields), stream, "{kind}");
        }
        assert!(!is_endless(&HeaderMap::new()));
    }
}

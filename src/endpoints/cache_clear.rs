//! `POST /cache/clear`: removes everything stored, and nothing less. A request that asks for less is refused: clearing all of
//! it would be the opposite of what its sender wants.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Answer, Ask};

pub(super) fn answer(ask: &Ask<'_>) -> Answer {
    let has_query = ask.target.query().is_some_and(|query| !query.is_empty());
    if has_query || !means_everything(ask.body) {
        let message = "nothing was cleared: selective purges are not available yet; send no query, and no body, {} or \
                       {\"all\":true} to clear everything";
        return Answer::error(ask.id, StatusCode::BAD_REQUEST, "bad_request", message);
    }
    let cleared = ask.proxy.clear();
    log::info!("{} cleared the cache: {cleared} answers", ask.caller);
    Answer::json(&json!({ "success": true, "message": "Cache cleared", "cleared": cleared }))
}

fn means_everything(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    if body.is_empty() {
        return true;
    }
    let is_all = |(name, value): (&String, &Value)| name == "all" && *value == Value::Bool(true);
    serde_json::from_slice::<Map<String, Value>>(body)
        .is_ok_and(|members| members.iter().all(is_all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nothing_and_all_mean_everything() {
        let cases = [
            ("", true),
            (" \r\n", true),
            ("{}", true),
            (" { } ", true),
            ("{\"all\":true}", true),
            ("{\"all\":false}", false),
            ("{\"all\":\"true\"}", false),
            ("{\"path\":\"/soe\"}", false),
            ("{\"all\":true,\"soft\":true}", false),
            ("{\"pattern\":\"*\"}", false),
            ("null", false),
            ("[]", false),
            ("path=/soe", false),
            ("{", false),
        ];
        for (body, expected) in cases {
            assert_eq!(means_everything(body.as_bytes()), expected, "{body:?}");
        }
    }
}

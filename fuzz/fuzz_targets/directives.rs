//! Invariant: no bytes make the readers of Cache-Control, of the targeted fields and of a client's directives panic; what they
//! say of the same bytes agrees.
#![no_main]

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName, HeaderValue};
use larder::policy::directives::{Directives, LONGEST, ResponseDirectives, fields_to_confirm};
use larder::policy::request_directives::RequestDirectives;
use libfuzzer_sys::fuzz_target;

const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

fuzz_target!(|input: &[u8]| {
    let (mut fields, mut old) = (HeaderMap::new(), HeaderMap::new());
    for line in input.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            return;
        };
        fields.append(CACHE_CONTROL, value.clone());
        fields.append(CDN, value.clone());
        old.append(PRAGMA, value);
    }
    let strict = Directives::of(&fields);
    let general = ResponseDirectives::of(&fields, &[]);
    assert_eq!((general.directives, general.targeted), (strict, false));
    assert_eq!(
        fields_to_confirm(&fields, &general).is_empty(),
        !strict.names_fields
    );

    let response_directives = ResponseDirectives::of(&fields, &[CDN]);
    if response_directives.targeted {
        assert!(
            !response_directives.directives.names_fields
                && fields_to_confirm(&fields, &response_directives).is_empty()
        );
    } else {
        assert_eq!(response_directives, general);
    }

    let directives = RequestDirectives::of(&fields);
    assert!(!directives.refresh || strict.no_cache || strict.max_age.is_some());
    assert!(!directives.no_store || strict.no_store);
    assert!(!directives.only_if_cached || strict.only_if_cached);
    assert!(
        RequestDirectives {
            refresh: false,
            ..RequestDirectives::of(&old)
        }
        .is_none(),
        "Pragma can ask for nothing else"
    );
    let times = [
        strict.max_age,
        strict.s_maxage,
        response_directives.directives.max_age,
        directives.max_age,
        directives.max_stale,
    ];
    assert!(
        times
            .into_iter()
            .flatten()
            .all(|time| time <= LONGEST && time.subsec_nanos() == 0)
    );
});

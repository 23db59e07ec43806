//! Tests of the HTTP dates.

use proptest::prelude::*;

use super::*;

/// 2024-06-15T12:00:00Z
const NOW: Now = Now {
    mono: Duration::ZERO,
    wall: Duration::from_secs(1_718_452_800),
};

fn read(text: &str) -> Option<i64> {
    parse(text.as_bytes(), NOW)
}

#[test]
fn the_three_forms_mean_the_same_in_any_letter_case() {
    let forms = [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "SUN, 06 NOV 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "sUNDAY, 06-nOV-94 08:49:37 gMT",
        "Sun Nov  6 08:49:37 1994",
        "sun nov 06 08:49:37 1994",
    ];
    for form in forms {
        assert_eq!(read(form), Some(784_111_777), "{form}");
    }
}

#[test]
fn what_only_resembles_a_date_is_none() {
    let forms = [
        "",
        "0",
        "Sun",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT+1",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun, 06  Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Abc, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Abc 1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "1994-11-06T08:49:37Z",
    ];
    for form in forms {
        assert_eq!(read(form), None, "{form}");
    }
}

#[test]
fn a_two_digit_year_is_at_most_fifty_years_ahead() {
    assert_eq!(
        read("Wednesday, 01-Jan-74 00:00:00 GMT"),
        read("Mon, 01 Jan 2074 00:00:00 GMT")
    );
    assert_eq!(
        read("Wednesday, 01-Jan-75 00:00:00 GMT"),
        read("Wed, 01 Jan 1975 00:00:00 GMT")
    );
    let in_1999 = Now {
        mono: Duration::ZERO,
        wall: Duration::from_secs(915_148_800),
    };
    assert_eq!(
        parse(b"Saturday, 01-Jan-00 00:00:00 GMT", in_1999),
        read("Sat, 01 Jan 2000 00:00:00 GMT")
    );
    assert_eq!(
        parse(b"Friday, 01-Jan-49 00:00:00 GMT", in_1999),
        read("Fri, 01 Jan 2049 00:00:00 GMT")
    );
    assert_eq!(
        parse(b"Sunday, 01-Jan-50 00:00:00 GMT", in_1999),
        read("Sun, 01 Jan 1950 00:00:00 GMT")
    );
}

#[test]
fn years_beyond_32_bits_and_before_the_epoch_are_read() {
    assert_eq!(read("Mon, 18 Jan 2038 00:00:00 GMT"), Some(2_147_385_600));
    assert_eq!(
        read("Fri, 31 Dec 9999 23:59:59 GMT"),
        Some(LAST_SECOND as i64)
    );
    assert_eq!(read("Wed, 31 Dec 1969 23:59:59 GMT"), Some(-1));
    assert_eq!(read("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
    assert_eq!(
        read("Sat, 31 Dec 2016 23:59:60 GMT"),
        read("Sun, 01 Jan 2017 00:00:00 GMT")
    );
}

#[test]
fn both_written_forms_are_exact_and_end_with_the_year_9999() {
    let wall = Duration::from_millis(784_111_777_042);
    assert_eq!(imf_fixdate(wall).as_str(), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(iso8601(wall).as_str(), "1994-11-06T08:49:37.042Z");
    assert_eq!(
        imf_fixdate(Duration::ZERO).as_str(),
        "Thu, 01 Jan 1970 00:00:00 GMT"
    );
    assert_eq!(
        iso8601(Duration::from_secs(1_709_164_799)).as_str(),
        "2024-02-28T23:59:59.000Z"
    );
    assert_eq!(
        imf_fixdate(Duration::MAX).as_str(),
        "Fri, 31 Dec 9999 23:59:59 GMT"
    );
}

proptest! {
    #[test]
    fn what_is_written_reads_back(second in 0..=LAST_SECOND) {
        let written = imf_fixdate(Duration::from_secs(second));
        prop_assert_eq!(read(written.as_str()), Some(second as i64));
    }

    #[test]
    fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..40), second in any::<u64>()) {
        parse(&text, Now { mono: Duration::ZERO, wall: Duration::from_secs(second) });
    }

    #[test]
    fn no_damage_to_a_date_panics(at in 0..29usize, byte in any::<u8>(), form in 0..3usize) {
        let forms = ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];
        let mut text = forms[form].as_bytes().to_vec();
        let at = at % text.len();
        text[at] = byte;
        parse(&text, NOW);
    }
}

//! Tests of the faults on the way back, of outages by time, and of faults of one path.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_fault_of_a_path_strikes_it_with_any_query_and_no_other() {
    for fault in [
        "fail", "null", "rubbish", "refuse", "hang", "drop", "lie", "drip",
    ] {
        let met = |target: &str| {
            format!(
                "{:?}",
                reaction(&format!("{fault}=/csv"), Limits::default(), target)
            )
        };
        let healthy = |target: &str| format!("{:?}", reaction("", Limits::default(), target));
        assert_ne!(met("/csv"), healthy("/csv"), "{fault}");
        assert_ne!(met("/csv?headers"), healthy("/csv?headers"), "{fault}");
        assert_eq!(met("/soe"), healthy("/soe"), "{fault}");
    }
}

#[test]
fn a_failure_has_the_status_asked_for_and_says_when_to_come_back_where_that_is_asked_for() {
    let failure = |query: &str| {
        let response = Scene::at_hour(12, query).response("/soe");
        let told = response
            .fields
            .get(header::RETRY_AFTER)
            .map(|value| value.to_str().unwrap().to_owned());
        (response.status.as_u16(), told)
    };
    assert_eq!(failure("fail=1"), (500, None));
    assert_eq!(
        failure("fail=1&status=429&retry=30s"),
        (429, Some("30".to_owned()))
    );
    assert_eq!(
        failure("fail=1&status=503&retry=0s"),
        (503, Some("0".to_owned()))
    );
    assert_eq!(failure("retry=30s"), (200, None));
}

#[test]
fn rubbish_is_no_json_and_no_error() {
    let response = Scene::at_hour(12, "rubbish=1").response("/aggregates");
    assert_eq!(response.status, StatusCode::OK);
    assert!(serde_json::from_slice::<serde_json::Value>(&response.body).is_err());
}

#[test]
fn an_outage_by_time_begins_and_ends_as_asked_for() {
    let mut scene = Scene::at_hour(12, "down=30s..90s&latency=9s");
    let mut fates = Vec::new();
    for _ in 0..12 {
        let Reaction { after, result } = scene
            .simulation
            .answer(&request(Method::GET, "/soe", None), scene.now);
        assert_eq!(
            after,
            if result.is_err() {
                Duration::ZERO
            } else {
                9 * SECOND
            }
        );
        fates.push(result.err());
        scene.pass(10 * SECOND);
    }
    let refused = Some(FetchError::Connect);
    let expected: Vec<_> = (0..12)
        .map(|ten| refused.filter(|_| (3..9).contains(&ten)))
        .collect();
    assert_eq!(fates, expected);
}

#[test]
fn a_lie_is_all_of_the_body_and_then_silence() {
    let limits = Limits {
        idle: 7 * SECOND,
        ..Limits::default()
    };
    let Reaction { after, result } = reaction("lie=1&latency=1s", limits, "/soe");
    let Ok(Coming::Slowly {
        response,
        begun,
        announced,
        then,
    }) = result
    else {
        panic!("{result:?}")
    };
    assert_eq!((after, then), (SECOND, Then::Nothing(7 * SECOND)));
    assert!(
        begun == response.body && announced > begun.len() as u64,
        "{announced}"
    );
}

#[test]
fn a_drip_takes_its_time_unless_it_is_over_at_once() {
    let Reaction { after, result } = reaction("drip=1&rate=1", Limits::default(), "/soe");
    let Ok(Coming::Slowly {
        response,
        begun,
        announced,
        then,
    }) = result
    else {
        panic!("{result:?}")
    };
    assert_eq!((after, then), (Duration::ZERO, Then::Drips(SECOND)));
    assert!(begun.is_empty() && announced == response.body.len() as u64);

    let Reaction { after, result } =
        reaction("drip=1&rate=100000&latency=1s", Limits::default(), "/soe");
    let Ok(Coming::Whole(response)) = result else {
        panic!("{result:?}")
    };
    assert_eq!(
        after,
        SECOND + SECOND / 100_000 * response.body.len() as u32
    );
}

#[test]
fn a_post_whose_answer_is_lost_on_the_way_has_been_done_and_one_refused_has_not() {
    for (query, reserve) in [
        ("lie=/control/reserve", 55),
        ("drop=/control/reserve", 20),
        ("refuse=/control/reserve", 20),
    ] {
        let mut scene = Scene::at_hour(12, query);
        let post = request(Method::POST, "/control/reserve", Some("value=55"));
        let lost = scene.simulation.answer(&post, scene.now).result;
        assert!(!matches!(lost, Ok(Coming::Whole(_))), "{query}: {lost:?}");
        assert_eq!(
            scene.json("/pod")["backup_reserve_percent"],
            reserve,
            "{query}"
        );
    }
}

#[test]
fn a_body_that_drips_arrives_byte_by_byte_and_one_that_lies_never_ends_well() {
    let trickle = |left: &'static [u8], then| Trickle {
        left: Bytes::from_static(left),
        then,
        limits: Limits::default(),
        took: Duration::ZERO,
        unread: false,
    };
    let drip = trickle(b"{}", Then::Drips(Duration::from_millis(1)));
    let silence = trickle(b"", Then::Nothing(Duration::from_millis(1)));
    let all = |mut body: Trickle| {
        std::iter::from_fn(|| body.next().transpose())
            .take(3)
            .collect::<Vec<_>>()
    };
    let [open, close] = [&b"{"[..], b"}"].map(Bytes::from_static);
    assert_eq!(all(drip), [Ok(open), Ok(close)]);
    assert!(
        all(silence)
            .iter()
            .all(|next| *next == Err(FetchError::IdleTimeout))
    );
}

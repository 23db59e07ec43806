//! Situations of one client, without a socket: what it sends and takes, and when, against what comes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::front::head;

/// A connection with a hand on everything around it.
struct Scene {
    connection: Connection,
    limits: Limits,
    bodies: BodyBudget,
    now: Duration,
    /// What the client was sent.
    sent: Vec<u8>,
    /// What was given out, as `GET /path body` with its number.
    requests: Vec<(u64, String)>,
    refused: Vec<Refused>,
    stopping: bool,
}

impl Scene {
    fn new() -> Scene {
        let limits = Limits {
            max_connections: 10,
            max_connections_per_client: None,
            head: head::Limits::default(),
            max_body_bytes: 100,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
        };
        let peer = "192.0.2.1".parse().expect("an address");
        Scene {
            connection: Connection::new(peer, Duration::ZERO),
            bodies: BodyBudget::new(limits.max_body_bytes),
            limits,
            now: Duration::ZERO,
            sent: Vec::new(),
            requests: Vec::new(),
            refused: Vec::new(),
            stopping: false,
        }
    }

    /// The client sends this, and all of it is looked at.
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.connection.receive(bytes.as_ref(), self.now);
        self.look();
    }

    fn look(&mut self) {
        loop {
            let step = Step {
                limits: &self.limits,
                bodies: &self.bodies,
                now: self.now,
                stopping: self.stopping,
            };
            match self.connection.next(&step) {
                Next::Wait => return,
                Next::Refused(refused) => self.refused.push(refused),
                Next::Request {
                    number, head, body, ..
                } => {
                    let body = String::from_utf8_lossy(&body.bytes).into_owned();
                    let text = format!("{} {} {body}", head.method, head.target.as_str());
                    self.requests.push((number, text));
                }
            }
        }
    }

    /// The response to the request that was given out as the n-th.
    fn answer(&mut self, nth: usize, text: &str) -> bool {
        let (number, _) = self.requests[nth];
        let segment = Segment::new(Bytes::from(text.to_owned()));
        let part = Part::whole([Some(segment), None], false);
        self.connection.respond(number, part, self.now)
    }

    /// The client takes all there is.
    fn take(&mut self) {
        while self.connection.has_output() {
            let output: Vec<u8> = self.connection.output().flatten().copied().collect();
            self.connection.sent(output.len(), self.now);
            self.sent.extend(output);
        }
        self.look();
    }

    fn wait(&mut self, seconds: u64) -> Expired {
        self.now += Duration::from_secs(seconds);
        let step = Step {
            limits: &self.limits,
            bodies: &self.bodies,
            now: self.now,
            stopping: self.stopping,
        };
        self.connection.expire(&step)
    }

    fn texts(&self) -> Vec<&str> {
        self.requests
            .iter()
            .map(|(_, text)| text.as_str())
            .collect()
    }

    fn sent(&self) -> String {
        String::from_utf8_lossy(&self.sent).into_owned()
    }

    fn deadline(&self) -> Option<u64> {
        let deadline = self.connection.deadline(&self.limits);
        deadline.map(|deadline| deadline.as_secs())
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &str = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let mut scene = Scene::new();
    scene.send([GET, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"].concat());
    assert_eq!(scene.texts(), ["GET /a ", "GET /b "]);
    assert!(scene.answer(1, "two"));
    scene.take();
    assert_eq!(scene.sent(), "", "the first one comes before it");
    assert!(scene.answer(0, "one,"));
    scene.take();
    assert_eq!(scene.sent(), "one,two");
    assert!(!scene.answer(0, "again"), "a response is given once");
}

#[test]
fn a_request_that_may_change_something_is_worked_on_alone() {
    let mut scene = Scene::new();
    scene.send([GET, POST, GET].concat());
    assert_eq!(scene.texts(), ["GET /a "]);
    scene.answer(0, "1");
    scene.take();
    assert_eq!(scene.texts(), ["GET /a ", "POST /p abc"]);
    scene.answer(1, "2");
    assert_eq!(scene.texts().len(), 2, "before its response has left");
    scene.take();
    assert_eq!(scene.texts().len(), 3);
}

#[test]
fn of_many_pipelined_requests_eight_are_read_until_a_reply_leaves() {
    let mut scene = Scene::new();
    scene.send(GET.repeat(20));
    assert_eq!(scene.texts().len(), MAX_PENDING);
    assert!(!scene.connection.wants_input());
    scene.answer(0, "x");
    scene.take();
    assert_eq!(scene.texts().len(), MAX_PENDING + 1);
}

#[test]
fn nothing_is_read_while_output_waits() {
    let mut scene = Scene::new();
    scene.send(GET);
    scene.answer(0, "reply");
    scene.connection.receive(GET.as_bytes(), scene.now);
    scene.look();
    assert_eq!(scene.texts().len(), 1);
    assert!(!scene.connection.wants_input());
    scene.take();
    assert_eq!(scene.texts().len(), 2);
}

#[test]
fn a_refusal_comes_behind_what_is_pending_and_is_the_last() {
    let mut scene = Scene::new();
    scene.send([GET, "GET /b HTTP/1.1\r\n\r\n", GET].concat());
    assert_eq!(scene.refused, [Refused::Unlawful(Refusal::Host)]);
    scene.answer(0, "one");
    scene.take();
    assert!(scene.sent().starts_with("oneHTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(scene.texts().len(), 1, "nothing behind it is read");
    assert_eq!(scene.connection.fate(), Fate::EndWriting);
    scene.connection.shut(scene.now);
    assert_eq!(scene.connection.fate(), Fate::Open, "it lingers");
    assert_eq!(scene.wait(2), Expired::Idle);
    assert_eq!(scene.connection.fate(), Fate::Close);
}

#[test]
fn a_client_that_lingers_and_sends_on_is_cut() {
    let mut scene = Scene::new();
    scene.send("nonsense\r\n\r\n");
    scene.take();
    scene.connection.shut(scene.now);
    scene.send(vec![b'x'; LINGER_BYTES + 1]);
    assert_eq!(scene.connection.fate(), Fate::Close);
}

#[test]
fn the_last_request_ends_the_connection_after_its_response() {
    let mut scene = Scene::new();
    scene.send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(scene.connection.fate(), Fate::Open);
    scene.answer(0, "bye");
    scene.take();
    assert_eq!(scene.sent(), "bye");
    assert_eq!(scene.connection.fate(), Fate::Close);
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_its_replies() {
    let mut scene = Scene::new();
    scene.send([GET, GET].concat());
    scene.connection.end();
    assert_eq!(scene.connection.fate(), Fate::Open);
    scene.answer(0, "1");
    scene.answer(1, "2");
    scene.take();
    assert_eq!(scene.sent(), "12");
    assert_eq!(scene.connection.fate(), Fate::Close);
}

#[test]
fn a_body_that_is_cut_is_given_to_nobody() {
    let mut scene = Scene::new();
    scene.send(&POST[..POST.len() - 1]);
    scene.connection.end();
    scene.look();
    assert_eq!(scene.texts(), Vec::<&str>::new());
    assert_eq!(scene.connection.fate(), Fate::Close);
}

#[test]
fn a_client_that_waits_for_it_is_told_to_continue_behind_what_is_pending() {
    let mut scene = Scene::new();
    let head = "PUT /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    scene.send([GET, head].concat());
    assert!(!scene.connection.has_output());
    scene.answer(0, "one,");
    scene.take();
    scene.take();
    assert_eq!(scene.sent(), "one,HTTP/1.1 100 Continue\r\n\r\n");
    scene.send("ok");
    assert_eq!(scene.texts(), ["GET /a ", "PUT /p ok"]);
}

#[test]
fn fault_a5_an_empty_body_is_no_body() {
    let mut scene = Scene::new();
    scene.send("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    scene.send("GET /b HTTP/1.2\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(scene.texts(), ["GET /a ", "GET /b "]);
}

#[test]
fn bodies_beyond_the_budget_of_a_network_are_refused() {
    let mut scene = Scene::new();
    let mut other = scene.bodies.lease(scene.connection.peer());
    assert!(other.grow_to(199));
    scene.send(POST);
    assert_eq!(scene.refused, [Refused::Bodies]);
    scene.take();
    assert!(
        scene.sent().starts_with("HTTP/1.1 503 "),
        "{}",
        scene.sent()
    );
}

#[test]
fn interim_responses_come_before_the_final_one_or_not_at_all() {
    let mut scene = Scene::new();
    scene.send([GET, GET].concat());
    let interim = |text: &'static str| {
        Part::of(
            Stage::Interim,
            Some(Segment::new(Bytes::from_static(text.as_bytes()))),
            false,
        )
    };
    let first = scene.requests[0].0;
    let second = scene.requests[1].0;
    assert!(scene.connection.respond(first, interim("103,"), scene.now));
    assert!(!scene.connection.respond(second, interim("no"), scene.now));
    scene.answer(0, "200,");
    assert!(!scene.connection.respond(first, interim("late"), scene.now));
    scene.take();
    assert_eq!(scene.sent(), "103,200,");
}

#[test]
fn deadlines_follow_what_is_waited_for() {
    let mut scene = Scene::new();
    assert_eq!(scene.deadline(), Some(60), "idle");
    scene.now = Duration::from_secs(5);
    scene.send("GET /");
    assert_eq!(scene.deadline(), Some(15), "a head that has begun");
    scene.now = Duration::from_secs(8);
    scene.send("a HTTP/1.1\r\nHost: x\r\n");
    assert_eq!(scene.deadline(), Some(15), "and drips");
    scene.send("\r\n");
    assert_eq!(scene.deadline(), None, "the origin is waited for");
    scene.answer(0, "reply");
    assert_eq!(scene.deadline(), Some(38), "the client has to take it");
    scene.now = Duration::from_secs(30);
    scene.connection.sent(1, scene.now);
    assert_eq!(scene.deadline(), Some(60), "and has taken a byte");
    scene.take();
    assert_eq!(scene.deadline(), Some(90), "idle again");
    scene.send(&POST[..POST.len() - 1]);
    assert_eq!(scene.deadline(), Some(50), "a body");
}

#[test]
fn what_takes_too_long_is_told_so_or_cut() {
    let mut slow_head = Scene::new();
    slow_head.send("GET /");
    assert_eq!(slow_head.wait(9), Expired::Nothing);
    assert_eq!(slow_head.wait(1), Expired::Refused(Refused::SlowHead));
    slow_head.take();
    assert!(slow_head.sent().starts_with("HTTP/1.1 408 "));

    let mut slow_body = Scene::new();
    slow_body.send(&POST[..POST.len() - 1]);
    assert_eq!(slow_body.wait(20), Expired::Refused(Refused::SlowBody));

    let mut slow_reader = Scene::new();
    slow_reader.send(GET);
    slow_reader.answer(0, "reply");
    assert_eq!(slow_reader.wait(29), Expired::Nothing);
    slow_reader.connection.sent(1, slow_reader.now);
    assert_eq!(slow_reader.wait(29), Expired::Nothing);
    assert_eq!(slow_reader.wait(1), Expired::SlowReader);
    assert_eq!(slow_reader.connection.fate(), Fate::Close);

    let mut idle = Scene::new();
    assert_eq!(idle.wait(60), Expired::Idle);
}

#[derive(Default)]
struct Seen {
    taken: AtomicUsize,
    gone: AtomicBool,
}

impl Watcher for Seen {
    fn taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::SeqCst);
    }
    fn ended(&self) {}
    fn gone(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }
}

#[test]
fn whoever_answers_is_told_what_the_client_takes_and_when_it_goes() {
    let mut scene = Scene::new();
    scene.send([GET, GET].concat());
    let seen: [Arc<Seen>; 2] = Default::default();
    for (nth, watcher) in seen.iter().enumerate() {
        let number = scene.requests[nth].0;
        scene
            .connection
            .watch(number, Arc::clone(watcher) as Arc<_>);
    }
    scene.answer(0, "12345");
    scene.answer(1, "67");
    scene.connection.sent(6, scene.now);
    assert_eq!(seen[0].taken.load(Ordering::SeqCst), 5);
    assert_eq!(seen[1].taken.load(Ordering::SeqCst), 1);
    assert!(!seen[1].gone.load(Ordering::SeqCst));
    scene.connection.cut();
    assert!(seen[1].gone.load(Ordering::SeqCst));
    assert!(
        !seen[0].gone.load(Ordering::SeqCst),
        "it had all of its own"
    );
}

#[test]
fn while_the_server_stops_each_response_is_the_last() {
    let mut scene = Scene::new();
    scene.stopping = true;
    scene.send([GET, GET].concat());
    assert_eq!(scene.texts().len(), 1);
    scene.answer(0, "bye");
    scene.take();
    assert_eq!(scene.connection.fate(), Fate::EndWriting);
}

/// Every stream of requests the strict vectors are made of, and what of it is lawful.
const STREAMS: [&str; 6] = [
    GET,
    POST,
    "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "\r\nGET /e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /bad HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
];

/// All that comes out when this is sent in pieces that end at these places, each request answered by its text at once.
fn played(stream: &[u8], cuts: &[usize]) -> (Vec<String>, Vec<Refused>, String) {
    let mut scene = Scene::new();
    let mut at = 0;
    for end in cuts.iter().copied().chain([stream.len()]) {
        scene.send(&stream[at..end]);
        at = end;
        let mut answered = 0;
        while answered < scene.requests.len() {
            let text = scene.requests[answered].1.clone();
            scene.answer(answered, &text);
            scene.take();
            answered += 1;
        }
        scene.take();
    }
    let requests = scene.requests.iter().map(|(_, text)| text.clone());
    (requests.collect(), scene.refused.clone(), scene.sent())
}

#[test]
fn every_stream_cut_at_every_byte_gives_the_same() {
    for first in STREAMS {
        for second in STREAMS {
            let stream = [first, second].concat();
            let whole = played(stream.as_bytes(), &[]);
            for cut in 1..stream.len() {
                let cut_once = played(stream.as_bytes(), &[cut]);
                assert_eq!(cut_once, whole, "{stream:?} cut at {cut}");
            }
            let everywhere: Vec<usize> = (1..stream.len()).collect();
            assert_eq!(played(stream.as_bytes(), &everywhere), whole, "{stream:?}");
        }
    }
}

/// Something that happens to a connection.
#[derive(Clone, Debug)]
enum Happens {
    Send(usize),
    Answer(prop::sample::Index),
    Take(usize),
    Wait(u64),
    End,
    Cut,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (1_usize..40).prop_map(Happens::Send),
        4 => any::<prop::sample::Index>().prop_map(Happens::Answer),
        4 => (1_usize..12).prop_map(Happens::Take),
        2 => (0_u64..12).prop_map(Happens::Wait),
        1 => Just(Happens::End),
        1 => Just(Happens::Cut),
    ]
}

proptest! {
    /// Whatever happens in whatever order: responses come out whole and in the order of their requests, each once; what is
    /// over stays over; what is not over waits for something.
    #[test]
    fn whatever_happens_responses_stay_in_order(
        parts in proptest::collection::vec(0_usize..4, 1..8),
        happening in proptest::collection::vec(happens(), 1..60),
    ) {
        let stream: String = parts.iter().map(|part| STREAMS[*part]).collect();
        let mut scene = Scene::new();
        let mut at = 0;
        let mut answered = [false; 64];
        let mut over = false;
        for event in happening {
            match event {
                Happens::Send(length) if !over && scene.connection.wants_input() => {
                    let end = (at + length).min(stream.len());
                    scene.send(&stream[at..end]);
                    at = end;
                }
                Happens::Send(_) => {}
                Happens::Answer(which) if !scene.requests.is_empty() => {
                    let nth = which.index(scene.requests.len());
                    let accepted = scene.answer(nth, &format!("<{nth}>"));
                    prop_assert!(!(accepted && answered[nth]), "a second response to {nth}");
                    answered[nth] |= accepted;
                }
                Happens::Answer(_) => {}
                Happens::Take(most) => {
                    let output: Vec<u8> = scene.connection.output().flatten().copied().take(most).collect();
                    scene.connection.sent(output.len(), scene.now);
                    scene.sent.extend(output);
                    scene.look();
                }
                Happens::Wait(seconds) => drop(scene.wait(seconds)),
                Happens::End => scene.connection.end(),
                Happens::Cut => scene.connection.cut(),
            }
            if over {
                prop_assert_eq!(scene.connection.fate(), Fate::Close);
            }
            over = scene.connection.fate() == Fate::Close;
            if over {
                prop_assert!(!scene.connection.has_output());
                prop_assert_eq!(scene.connection.unsent(), 0);
            }
        }
        let sent = scene.sent();
        let own = sent.split('H').next().unwrap_or_default();
        let expected: String = (0..64).map(|nth| format!("<{nth}>")).collect();
        prop_assert!(expected.starts_with(own), "{}", sent);
    }
}

#[test]
fn nothing_follows_a_response_that_ends_the_connection() {
    let mut scene = Scene::new();
    scene.send([GET, GET, POST].concat());
    assert!(scene.answer(1, "two"));
    // An answer without a length to an HTTP/1.0 client ends where the connection ends.
    let (number, _) = scene.requests[0];
    let segment = || Some(Segment::new(Bytes::from_static(b"one")));
    let head = Part::of(Stage::Begun, segment(), true);
    assert!(scene.connection.respond(number, head, scene.now));
    let rest = Part::of(Stage::Whole, segment(), false);
    assert!(scene.connection.respond(number, rest, scene.now));
    scene.take();
    assert_eq!(scene.sent(), "oneone");
    assert_eq!(scene.texts().len(), 2);
    assert_eq!(scene.connection.fate(), Fate::Close);
}

#[test]
fn a_response_that_breaks_off_takes_none_before_it_along() {
    let mut scene = Scene::new();
    scene.send([GET, GET, GET].concat());
    let first = scene.requests[0].0;
    let second = scene.requests[1].0;
    let head = Part::of(
        Stage::Begun,
        Some(Segment::new(Bytes::from_static(b"two"))),
        false,
    );
    assert!(scene.connection.respond(second, head, scene.now));
    let broken = || Part::of(Stage::Broken, None, false);
    scene.connection.respond(second, broken(), scene.now);
    assert_eq!(scene.connection.fate(), Fate::Open);
    assert!(scene.answer(0, "one"));
    scene.take();
    assert_eq!(scene.sent(), "one");
    assert_eq!(scene.connection.fate(), Fate::Close);

    let mut alone = Scene::new();
    alone.send(GET);
    alone.connection.respond(first, broken(), alone.now);
    assert_eq!(alone.connection.fate(), Fate::Close);
}

#[test]
fn a_client_that_takes_its_replies_has_its_time_for_a_request_afterwards() {
    for (begun, seconds) in [(&POST[..POST.len() - 1], 20), ("GET /", 10)] {
        let mut scene = Scene::new();
        scene.send([GET, begun].concat());
        scene.answer(0, "reply");
        scene.now = Duration::from_secs(25);
        scene.take();
        assert_eq!(scene.deadline(), Some(25 + seconds), "{begun}");
        assert_eq!(scene.wait(1), Expired::Nothing, "{begun}");
    }
}

#[test]
fn small_pieces_that_wait_are_put_together() {
    let mut scene = Scene::new();
    scene.send(GET);
    let number = scene.requests[0].0;
    for _ in 0..10_000 {
        let piece = Segment::new(Bytes::from_static(b"abc"));
        let part = Part::of(Stage::Begun, Some(piece), false);
        assert!(scene.connection.respond(number, part, scene.now));
    }
    assert!(scene.connection.unsent_segments().count() < 10);
    assert_eq!(scene.connection.unsent(), 30_000);
    scene.take();
    assert_eq!(scene.sent(), "abc".repeat(10_000));
}

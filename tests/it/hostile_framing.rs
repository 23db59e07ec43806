//! The hostile suite, first part: requests whose framing lies. Each is refused or harmless, the next client is answered,
//! and threads, descriptors and memory go back to where they were (SEMANTICS, "Why a guard").

use std::net::Ipv4Addr;

use serde_json::json;

use crate::support::{
    Answer, Client, Figures, Origin, Proc, Start, config_for, crowd_turn, eventually,
};

/// The program under attack, in front of an origin that answers everything with the target's text.
pub struct Target {
    pub origin: Origin,
    pub proc: Proc,
    before: Figures,
}

impl Target {
    /// Starts it and asks it once, so that what it needs for one client is not taken for a leak.
    pub fn start() -> Target {
        let origin = Origin::answering(|seen| Answer::ok(&seen.target));
        let proc = Start::with(config_for(&origin, json!({})))
            .descriptors(4096)
            .run();
        proc.client().get("/hit").expect("MISS", "/hit");
        let before = proc.figures();
        Target {
            origin,
            proc,
            before,
        }
    }

    /// A client from another address than the attackers': of one address at most two bodies are read at a time.
    pub fn stranger(&self) -> Client {
        Client::connect_from(Ipv4Addr::new(127, 0, 0, 9), self.proc.addr())
    }

    /// Panics unless the next client is served: a hit, a miss and a POST.
    #[track_caller]
    pub fn serves_others(&self) {
        let mut client = self.stranger();
        client.get("/hit").expect("HIT", "/hit");
        let miss = format!("/miss-{}", self.origin.requests());
        client.get(&miss).expect("MISS", &miss);
        client
            .request("POST", "/honest", &[], b"whole")
            .expect("BYPASS", "/honest");
    }

    /// Panics unless others are served and what the attack took is given back; `rss_mib` is what it may
    /// have cost in memory while it lasted.
    #[track_caller]
    pub fn unharmed(&self, rss_mib: u64) {
        self.serves_others();
        // Threads of closed connections linger for some seconds before they end.
        let settled = eventually(|| {
            let before = self.before;
            let now = self.proc.figures();
            now.threads <= before.threads + 8
                && now.descriptors <= before.descriptors + 8
                && now.rss_kib <= before.rss_kib + 8 * 1024
        });
        let now = self.proc.figures();
        println!("before {:?}, after {now:?}", self.before);
        assert!(
            settled,
            "not given back: before {:?}, after {now:?}",
            self.before
        );
        assert!(
            now.peak_kib <= self.before.peak_kib + rss_mib * 1024,
            "before {:?}, after {now:?}",
            self.before
        );
    }
}

#[test]
fn an_announced_body_that_never_comes() {
    let target = Target::start();
    let attack = |method: &str| {
        let mut client = target.proc.client();
        client.send(format!(
            "{method} /never HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
        ));
        client
    };
    let attackers: Vec<Client> = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .map(attack)
        .collect();
    let mut other = target.stranger();
    other.get("/hit").expect("HIT", "/hit");
    other.get("/other").expect("MISS", "/other");
    other
        .request("POST", "/post", &[], b"whole")
        .expect("BYPASS", "/post");
    drop(attackers);
    target.unharmed(16);
    assert_eq!(target.origin.count("/never"), 0);
}

#[test]
fn expect_100_continue_and_then_silence() {
    let target = Target::start();
    let attack = |_| {
        let mut client = target.proc.client();
        client.send(
            "POST /never HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        client
    };
    let attackers: Vec<Client> = (0..20).map(attack).collect();
    let mut other = target.stranger();
    other.get("/hit").expect("HIT", "/hit");
    other
        .request("POST", "/post", &[], b"whole")
        .expect("BYPASS", "/post");
    drop(attackers);
    target.unharmed(16);
    assert_eq!(target.origin.count("/never"), 0);
}

#[test]
fn expect_100_continue_from_an_honest_client() {
    let target = Target::start();
    let mut client = target.proc.client();
    client.send(
        "POST /post HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    let first = client.read();
    // RFC 9110 §10.1.1: go ahead, or a final status in its place.
    if first.status == 100 {
        client.send("hello");
        client.read().expect("BYPASS", "/post");
        assert_eq!(target.origin.last("/post").body, b"hello");
    } else {
        assert_eq!(first.status, 417, "{first:?}");
    }
    target.unharmed(16);
}

#[test]
fn a_length_of_four_exabytes() {
    let target = Target::start();
    for length in [
        "4611686018427387904",
        "18446744073709551615",
        "99999999999999999999999999",
    ] {
        let mut client = target.proc.client();
        client.send(format!(
            "POST /huge HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.expect_refusal();
    }
    target.unharmed(16);
    assert_eq!(target.origin.count("/huge"), 0);
}

#[test]
fn sixty_requests_in_a_version_we_do_not_speak() {
    let _turn = crowd_turn();
    let target = Target::start();
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/1.10", "HTTP/0.9"] {
        for _ in 0..60 {
            let mut client = target.proc.client();
            client.send(format!("GET / {version}\r\nHost: x\r\n\r\n"));
            client.expect_refusal();
        }
    }
    target.unharmed(16);
}

#[test]
fn a_chunked_body_is_never_taken_for_the_next_request() {
    let target = Target::start();
    let inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    for line in [
        "POST /health",
        "GET /hit",
        "POST /post",
        "CONNECT a.test:80",
        "GET bad-target",
        "POST /a#b",
    ] {
        let mut client = target.proc.client();
        client.send(format!(
            "{line} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
        ));
        client.finish_sending();
        // Whatever it says to the one request, it says nothing to the bytes of its body.
        let _ = client.read_or_end();
        let second = client.read_or_end();
        assert!(second.is_none(), "{line}: {second:?}");
    }
    target.unharmed(16);
    assert_eq!(target.origin.count("/smuggled"), 0);
    // Too large to be taken: refused before its end, and its rest never read as requests.
    let mut client = target.proc.client();
    let large = format!(
        "200000\r\n{}\r\n0\r\n\r\n",
        inner.repeat(0x20_0000 / inner.len())
    );
    let _ = client.try_send(format!(
        "POST /large HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{large}"
    ));
    client.expect_refusal();
    target.unharmed(16);
    assert_eq!(
        (
            target.origin.count("/smuggled"),
            target.origin.count("/large")
        ),
        (0, 0)
    );
}

#[test]
fn a_cut_body_is_not_forwarded() {
    let target = Target::start();
    for request in [
        "POST /cut HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
        "POST /cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "POST /cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n",
        "POST /cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n12345\r\n0\r\n\r\n",
    ] {
        let mut half_closed = target.proc.client();
        half_closed.send(request);
        half_closed.finish_sending();
        half_closed.expect_refusal();
        let mut gone = target.proc.client();
        gone.send(request);
        drop(gone);
    }
    target.unharmed(16);
    assert_eq!(target.origin.count("/cut"), 0);
}

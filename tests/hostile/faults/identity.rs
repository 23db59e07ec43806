//! Each reply goes to the connection that asked, whatever the number of connections and of their descriptors.
//!
//! ```text
//! LARDER_SOAK=1        a million requests instead of 60,000
//! ```

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::json;

use super::{MANY, connections, many_descriptors};
use crate::dice::Dice;
use crate::scene::{Target, Waits};
use crate::support::{
    Answer, Client, Gate, Origin, PATIENCE, Proc, Reply, Seen, Start, config_for, crowd_turn,
};

/// So many clients are connected at a time, in one round after another.
const SIZES: [usize; 4] = [600, 1100, 2100, 5000];
/// Requests of all rounds together.
const REQUESTS: usize = 60_000;
const SOAK_REQUESTS: usize = 1_000_000;
/// Threads that drive the clients.
const DRIVERS: usize = 8;
/// Clients of one driver that wait for their replies at the same time.
const AT_ONCE: usize = 32;
/// Requests on one connection, at most.
const ON_ONE: u64 = 20;
/// Requests that are sent before the first reply is read, at most.
const PIPELINED: u64 = 4;
/// Wrong and lost replies that are told of.
const TOLD: usize = 10;

/// What each reply says: the request as the origin saw it.
fn echo(seen: &Seen) -> Answer {
    let credentials = seen.values("Authorization");
    let credentials = credentials.first().map_or("-", String::as_str);
    let body = String::from_utf8_lossy(&seen.body);
    Answer::ok(format!(
        "{} {} {credentials} {body}",
        seen.method, seen.target
    ))
}

/// One request, and the body that its reply must have.
struct Tagged {
    request: String,
    expected: String,
}

impl Tagged {
    /// A hit, a miss, a private answer or a POST, as the die says. All but hits have a tag of their own.
    fn any(dice: &mut Dice, tags: &AtomicU64) -> Tagged {
        let tag = tags.fetch_add(1, Ordering::Relaxed);
        match dice.below(20) {
            0..=11 => Tagged::get(&format!("/shared/{}", dice.below(64)), "-"),
            12..=14 => Tagged::get(&format!("/own/{tag}"), "-"),
            15..=16 => Tagged::private(tag),
            _ => Tagged::post(tag, dice.between(1, 200)),
        }
    }

    fn get(target: &str, credentials: &str) -> Tagged {
        let field = match credentials {
            "-" => String::new(),
            credentials => format!("Authorization: {credentials}\r\n"),
        };
        Tagged {
            request: format!("GET {target} HTTP/1.1\r\nHost: x\r\n{field}\r\n"),
            expected: format!("GET {target} {credentials} "),
        }
    }

    /// The same target for everybody, and another answer for each.
    fn private(tag: u64) -> Tagged {
        Tagged::get("/private", &format!("Bearer {tag}"))
    }

    fn post(tag: u64, times: u64) -> Tagged {
        let mut body = String::new();
        for _ in 0..times {
            let _ = write!(body, "{tag};");
        }
        let length = body.len();
        Tagged {
            request: format!(
                "POST /post/{tag} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
            expected: format!("POST /post/{tag} - {body}"),
        }
    }
}

/// What became of all requests.
#[derive(Default)]
struct Outcome {
    replies: AtomicU64,
    connections: AtomicU64,
    wrong: AtomicU64,
    lost: AtomicU64,
    told: Mutex<Vec<String>>,
}

impl Outcome {
    fn tell(&self, count: &AtomicU64, what: String) {
        count.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap();
        if told.len() < TOLD {
            told.push(what);
        }
    }

    /// Judges a reply; whether the connection can be used further.
    fn judge(&self, expected: &str, reply: std::io::Result<Option<Reply>>) -> bool {
        match reply {
            Ok(Some(reply)) if reply.status == 200 && reply.text() == expected => {
                self.replies.fetch_add(1, Ordering::Relaxed);
                true
            }
            Ok(Some(reply)) if reply.status == 200 => {
                self.tell(&self.wrong, format!("for {expected:?}: {reply:?}"));
                false
            }
            other => {
                self.tell(&self.lost, format!("for {expected:?}: {other:?}"));
                false
            }
        }
    }

    #[track_caller]
    fn is_right(&self) {
        let [replies, connections, wrong, lost] =
            [&self.replies, &self.connections, &self.wrong, &self.lost]
                .map(|count| count.load(Ordering::Relaxed));
        println!("{replies} right over {connections} connections; {wrong} wrong, {lost} lost");
        assert_eq!((wrong, lost), (0, 0), "{:#?}", self.told.lock().unwrap());
    }
}

/// One of the threads that drive the clients.
struct Driver<'a> {
    addr: SocketAddr,
    source: Ipv4Addr,
    dice: Dice,
    tags: &'a AtomicU64,
    outcome: &'a Outcome,
}

/// A client, and how many requests it sends before it goes.
struct Guest {
    client: Client,
    left: u64,
}

impl Driver<'_> {
    fn guest(&mut self) -> Guest {
        self.outcome.connections.fetch_add(1, Ordering::Relaxed);
        Guest {
            client: Client::connect_from(self.source, self.addr),
            left: self.dice.between(1, ON_ONE),
        }
    }

    /// Connects so many clients, each served before the next one comes: each takes the next descriptors, and nobody else any.
    fn gather(&mut self, clients: usize) -> Vec<Guest> {
        let mut guests = Vec::new();
        while guests.len() < clients && !self.has_failed() {
            let mut guest = self.guest();
            let hit = Tagged::get("/shared/0", "-");
            guest.client.send(hit.request);
            self.read(&mut guest, &[hit.expected]);
            guests.push(guest);
        }
        guests
    }

    /// A front that fails fails all of them, and each lost reply is waited for.
    fn has_failed(&self) -> bool {
        self.outcome.lost.load(Ordering::Relaxed) > 0
    }

    /// Keeps these clients connected until so many requests are sent: who goes is replaced at once.
    fn drive(mut self, mut guests: Vec<Guest>, requests: usize) {
        let clients = guests.len();
        let mut sent = 0;
        while sent < requests && !self.has_failed() {
            for group in (0..clients).step_by(AT_ONCE) {
                let group = group..clients.min(group + AT_ONCE);
                let waiting: Vec<Vec<String>> = guests[group.clone()]
                    .iter_mut()
                    .map(|guest| self.send(guest))
                    .collect();
                sent += waiting.iter().map(Vec::len).sum::<usize>();
                for (guest, expected) in guests[group].iter_mut().zip(waiting) {
                    if !self.read(guest, &expected) || guest.left == 0 {
                        *guest = self.guest();
                    }
                }
                if sent >= requests || self.has_failed() {
                    break;
                }
            }
        }
    }

    /// Sends some requests in one packet; the bodies that must come. None when the client has sent all of its own.
    fn send(&mut self, guest: &mut Guest) -> Vec<String> {
        let count = self.dice.between(1, PIPELINED).min(guest.left);
        guest.left -= count;
        let (requests, expected): (Vec<String>, Vec<String>) = (0..count)
            .map(|_| Tagged::any(&mut self.dice, self.tags))
            .map(|tagged| (tagged.request, tagged.expected))
            .unzip();
        // What could not be sent is missing among the replies.
        let _ = guest.client.try_send(requests.concat());
        expected
    }

    fn read(&self, guest: &mut Guest, expected: &[String]) -> bool {
        expected
            .iter()
            .all(|expected| self.outcome.judge(expected, guest.client.try_read("GET")))
    }
}

fn start(configuration: serde_json::Value, descriptors: u32) -> (Origin, Proc) {
    let origin = Origin::answering(echo);
    let proc = Start::with(config_for(&origin, configuration))
        .descriptors(descriptors)
        .run();
    (origin, proc)
}

#[test]
fn fault_a1_each_of_many_connections_gets_its_own_replies() {
    let _turn = crowd_turn();
    many_descriptors();
    let soak = std::env::var_os("LARDER_SOAK").is_some();
    let requests = if soak { SOAK_REQUESTS } else { REQUESTS } / SIZES.len() / DRIVERS;
    for (round, crowd) in SIZES.into_iter().enumerate() {
        let mut configuration = connections(crowd + 1000);
        configuration["backend"] = json!({ "maxConcurrentRequests": 16 });
        configuration["cache"] = json!({ "slowRequestTimeout": 30_000 });
        let (_origin, proc) = start(configuration, MANY);
        let outcome = Outcome::default();
        let tags = AtomicU64::new(0);
        let driver = |n: usize| Driver {
            addr: proc.addr(),
            source: Ipv4Addr::new(127, 0, 3, u8::try_from(n + 1).unwrap()),
            dice: Dice::new((round * DRIVERS + n) as u64),
            tags: &tags,
            outcome: &outcome,
        };
        // What the origin's connection takes shifts the descriptors of all who come later.
        proc.client()
            .get("/shared/0")
            .expect("MISS", "GET /shared/0 - ");
        let drivers: Vec<_> = (0..DRIVERS)
            .map(|n| {
                let mut driver = driver(n);
                let guests = driver.gather(crowd / DRIVERS);
                (driver, guests)
            })
            .collect();
        thread::scope(|scope| {
            for (driver, guests) in drivers {
                scope.spawn(move || driver.drive(guests, requests));
            }
        });
        print!("{crowd} connections at a time, {:?}: ", proc.figures());
        outcome.is_right();
    }
}

/// All that one address may have under the default limits, then one more; and others, who send what is no request.
#[test]
fn fault_a1_within_the_default_limits_nothing_passes_unread_and_beyond_them_it_is_told() {
    let _turn = crowd_turn();
    many_descriptors();
    let (origin, proc) = start(json!({}), 4096);
    let gate = Gate::closed();
    origin.set("/parked", Answer::ok("parked").after(&gate));
    let from = |last| Client::connect_from(Ipv4Addr::new(127, 0, 1, last), proc.addr());
    from(9).get("/hit").expect("MISS", "GET /hit - ");

    // One after the other, as a browser would; each is served before the next one comes.
    let mut clients = Vec::new();
    let refusal = loop {
        assert!(clients.len() < 4096, "no limit at all");
        let mut client = from(1);
        match client.get("/hit") {
            reply if reply.status == 503 => break (client, reply),
            reply => reply.expect("HIT", "GET /hit - "),
        }
        clients.push(client);
    };
    println!("one address has {} connections", clients.len());
    let (mut refused, reply) = refusal;
    assert!(clients.len() >= 500, "{reply:?}");
    assert!(reply.field("Retry-After").is_some(), "{reply:?}");
    assert!(reply.text().contains("maxConnections"), "{reply:?}");
    refused.expect_end();

    // Private requests wait at the origin on the last of them, while strangers come and send nonsense.
    let waiting = clients.len() - 40;
    let expected: Vec<String> = clients[waiting..]
        .iter_mut()
        .enumerate()
        .map(|(n, client)| {
            let tagged = Tagged::private(n as u64);
            let parked = "GET /parked HTTP/1.1\r\nHost: x\r\n\r\n";
            client.send(format!("{parked}{}", tagged.request));
            tagged.expected
        })
        .collect();
    origin.await_requests("/parked", 1);
    for last in 2..52 {
        let mut garbage = from(last);
        garbage.send("GET 0 HTTP/1.1\r\n\r\n");
        let reply = garbage.expect_refusal();
        assert_eq!(reply.map(|reply| reply.status), Some(400));
    }
    let mut huge = from(60);
    huge.send("POST /huge HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000000000\r\n\r\n");
    assert_eq!(huge.expect_refusal().map(|reply| reply.status), Some(413));

    gate.open();
    let outcome = Outcome::default();
    for (client, expected) in clients[waiting..].iter_mut().zip(&expected) {
        outcome.judge("parked", client.try_read("GET"));
        outcome.judge(expected, client.try_read("GET"));
    }
    outcome.is_right();
    from(61).get("/hit").expect("HIT", "GET /hit - ");
}

#[test]
fn fault_a1_five_thousand_idle_connections_keep_nobody_waiting() {
    let _turn = crowd_turn();
    many_descriptors();
    let target = Target::start(connections(6000), MANY);
    let begun = Instant::now();
    let mut idle: Vec<Client> = (0..5000)
        .map(|n| {
            assert!(begun.elapsed() < PATIENCE, "{n} came in {PATIENCE:?}");
            let source = Ipv4Addr::new(127, 0, 3, u8::try_from(n % 200 + 1).unwrap());
            Client::connect_from(source, target.proc.addr())
        })
        .collect();
    for client in &mut idle {
        client.get("/hit").expect("HIT", "/hit");
    }
    let mut kept = target.stranger();
    let mut waits = Waits::default();
    for _ in 0..1000 {
        waits.measure(|| kept.get("/hit")).expect("HIT", "/hit");
        waits
            .measure(|| target.stranger().get("/hit"))
            .expect("HIT", "/hit");
    }
    println!(
        "beside 5,000 idle connections: hits: {waits}; {:?}",
        target.proc.figures()
    );
    for client in &mut idle {
        client.get("/hit").expect("HIT", "/hit");
    }
}

//! Well-behaved clients: each asks what its die says, and judges every reply.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::ledger::{Failure, Ledger};
use crate::pages::{self, LARGE_PAGES, Pages};
use crate::support::{Client, Reply};

/// Kinds of requests.
pub const REQUESTS: usize = 11;

/// A slow link: so many bytes, then a pause. A socket takes more when a third of what the kernel lends it is free again, which
/// is a megabyte on loopback: it has to come within `writeTimeout`, on a busy machine too.
const PART: usize = 256 * 1024;
const PAUSE: Duration = Duration::from_millis(50);
/// Large answers asked for at once over a slow link: the kernel takes two to four, the rest waits in the program.
const IN_A_ROW: usize = 8;

/// What all of them share.
pub struct Town<'a> {
    pub addr: SocketAddr,
    pub pages: &'a Pages,
    pub ledger: &'a Ledger,
    /// The next number nobody has used in a target.
    pub numbers: &'a AtomicU64,
    /// When the load ends.
    pub until: Instant,
}

/// One client. It keeps its connection for as long as it likes, and comes back from another address.
pub struct Regular<'a> {
    town: &'a Town<'a>,
    dice: Dice,
    connected: Option<Client>,
}

impl Town<'_> {
    /// A number for a target that nobody has asked for.
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

impl<'a> Regular<'a> {
    pub fn new(town: &'a Town<'a>, seed: u64) -> Regular<'a> {
        Regular {
            town,
            dice: Dice::new(seed),
            connected: None,
        }
    }

    /// Asks one thing after another until the load ends.
    pub fn live(mut self) {
        while Instant::now() < self.town.until {
            let begun = Instant::now();
            let (kind, went) = self.ask();
            if went.is_err() {
                self.connected = None;
            }
            self.town.ledger.note(kind, begun.elapsed(), went);
            std::thread::park_timeout(Duration::from_millis(self.dice.below(5)));
        }
    }

    fn ask(&mut self) -> (&'static str, Result<(), Failure>) {
        let steady = format!("/steady/{}", self.dice.below(64));
        match self.dice.below(20) {
            0..=5 => ("GET of what is stored", self.get(&steady)),
            6..=8 => ("GET of what expires", self.get_brief()),
            9..=11 => ("GET of what is new", self.get_once()),
            12 => ("POST", self.post(1000)),
            13 => ("POST of what is large", self.post(40_000)),
            14 | 15 => ("pipelined pair", self.pair(&steady)),
            16 => ("HEAD", self.head(&steady)),
            17 => ("conditional GET", self.conditional(&steady)),
            18 if self.dice.one_in(10) => ("GET over a slow link", self.get_slowly()),
            18 => ("GET of what is large", self.get_large()),
            _ => ("range", self.range(&steady)),
        }
    }

    fn get(&mut self, target: &str) -> Result<(), Failure> {
        let asked = self.town.pages.now();
        let reply = self.exchange("GET", target, "", b"")?;
        self.judge(target, asked, &reply).map(|_| ())
    }

    fn get_brief(&mut self) -> Result<(), Failure> {
        let target = format!("/brief/{}", self.dice.below(16));
        self.get(&target)
    }

    /// What the attackers ask for and never read.
    fn get_large(&mut self) -> Result<(), Failure> {
        let target = format!("/large/{}", self.dice.below(LARGE_PAGES));
        self.get(&target)
    }

    /// The same on a connection of its own: stuck again and again, and never for long.
    fn get_slowly(&mut self) -> Result<(), Failure> {
        let target = format!("/large/{}", self.dice.below(LARGE_PAGES));
        let asked = self.town.pages.now();
        let mut client = Client::connect_narrow(self.town.addr);
        client
            .try_send(head("GET", &target, "").repeat(IN_A_ROW))
            .map_err(|error| lost(&error))?;
        for _ in 0..IN_A_ROW {
            let reply = client.read_slowly(PART, PAUSE);
            let reply = reply.ok_or_else(|| Failure::Lost("cut while it read".to_owned()))?;
            self.judge(&target, asked, &reply)?;
        }
        Ok(())
    }

    fn get_once(&mut self) -> Result<(), Failure> {
        self.get(&format!("/once/{}", self.town.number()))
    }

    /// Two requests in one packet; the replies come in their order.
    fn pair(&mut self, steady: &str) -> Result<(), Failure> {
        let mut targets = [steady.to_owned(), format!("/once/{}", self.town.number())];
        if self.dice.one_in(2) {
            targets.reverse();
        }
        let asked = self.town.pages.now();
        let both: String = targets
            .iter()
            .map(|target| head("GET", target, ""))
            .collect();
        let replies = self
            .send(both.as_bytes())
            .and_then(|()| Ok([self.reply("GET")?, self.reply("GET")?]))?;
        targets
            .iter()
            .zip(replies)
            .try_for_each(|(target, reply)| self.judge(target, asked, &reply).map(|_| ()))
    }

    /// Sends the target's own text, so many times at most.
    fn post(&mut self, most: u64) -> Result<(), Failure> {
        let target = format!("/echo/{}", self.town.number());
        let times = self.dice.between(most / 4, most);
        let sent = target.repeat(usize::try_from(times).expect("a small number"));
        let reply = if self.dice.one_in(3) {
            let body: String = sent
                .as_bytes()
                .chunks(4096)
                .map(chunk)
                .chain(["0\r\n\r\n".to_owned()])
                .collect();
            self.exchange(
                "POST",
                &target,
                "Transfer-Encoding: chunked\r\n",
                body.as_bytes(),
            )?
        } else {
            self.exchange(
                "POST",
                &target,
                &format!("Content-Length: {}\r\n", sent.len()),
                sent.as_bytes(),
            )?
        };
        expect(&reply, 200)?;
        right(
            reply.body == format!("{target} {sent}").into_bytes(),
            "not the echo",
            &reply,
        )
    }

    fn head(&mut self, target: &str) -> Result<(), Failure> {
        let reply = self.exchange("HEAD", target, "", b"")?;
        expect(&reply, 200)?;
        right(
            reply.field("Content-Length") == Some(&pages::size(target).to_string()),
            "another length",
            &reply,
        )
    }

    /// Asks for it, and then whether it is still the same.
    fn conditional(&mut self, target: &str) -> Result<(), Failure> {
        let asked = self.town.pages.now();
        let reply = self.exchange("GET", target, "", b"")?;
        let tag = pages::tag(self.judge(target, asked, &reply)?);
        let asked = self.town.pages.now();
        let reply = self.exchange("GET", target, &format!("If-None-Match: {tag}\r\n"), b"")?;
        match reply.status {
            304 => right(reply.field("ETag") == Some(&tag), "another tag", &reply),
            _ => self.judge(target, asked, &reply).map(|_| ()),
        }
    }

    /// Asks for a part; a server may give it the whole (RFC 9110 §14.2).
    fn range(&mut self, target: &str) -> Result<(), Failure> {
        let size = pages::size(target);
        let last = self.dice.below(size as u64);
        let first = self.dice.below(last + 1);
        let asked = self.town.pages.now();
        let reply = self.exchange(
            "GET",
            target,
            &format!("Range: bytes={first}-{last}\r\n"),
            b"",
        )?;
        if reply.status == 200 {
            return self.judge(target, asked, &reply).map(|_| ());
        }
        expect(&reply, 206)?;
        let place = format!("bytes {first}-{last}/{size}");
        right(
            reply.field("Content-Range") == Some(&place),
            "another part",
            &reply,
        )?;
        let made = made(&reply)?;
        let first = usize::try_from(first).expect("in a page");
        let last = usize::try_from(last).expect("in a page");
        right(
            reply.body == pages::page(target, made)[first..=last],
            "not the part",
            &reply,
        )
    }

    /// Sends one request and reads its reply. One in ten says that it is the last on its connection.
    fn exchange(
        &mut self,
        method: &str,
        target: &str,
        fields: &str,
        body: &[u8],
    ) -> Result<Reply, Failure> {
        let closes = self.dice.one_in(10);
        let fields = if closes {
            format!("{fields}Connection: close\r\n")
        } else {
            fields.to_owned()
        };
        self.send(&[head(method, target, &fields).as_bytes(), body].concat())?;
        let reply = self.reply(method)?;
        if closes {
            let end = self
                .connected
                .take()
                .map_or(Ok(None), |mut client| client.try_read(method));
            right(matches!(end, Ok(None)), "more than the last reply", &reply)?;
        }
        Ok(reply)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let from = Ipv4Addr::new(
            127,
            0,
            1,
            u8::try_from(self.dice.between(1, 250)).expect("the end of an address"),
        );
        let client = self
            .connected
            .get_or_insert_with(|| Client::connect_from(from, self.town.addr));
        client.try_send(bytes).map_err(|error| lost(&error))
    }

    fn reply(&mut self, method: &str) -> Result<Reply, Failure> {
        let client = self
            .connected
            .as_mut()
            .ok_or_else(|| Failure::Lost("closed after a reply".to_owned()))?;
        let reply = client.try_read(method).map_err(|error| lost(&error))?;
        let reply = reply.ok_or_else(|| Failure::Lost("closed without a reply".to_owned()))?;
        if reply.field("X-Cache") == Some("HIT") {
            self.town.ledger.hit();
        }
        Ok(reply)
    }

    /// Judges a whole page; when it was made.
    fn judge(&self, target: &str, asked: u64, reply: &Reply) -> Result<u64, Failure> {
        expect(reply, 200)?;
        let made = made(reply)?;
        right(
            reply.body == pages::page(target, made),
            &format!("not {target}"),
            reply,
        )?;
        let lawful = pages::oldest(target, asked)..=self.town.pages.now();
        right(
            lawful.contains(&made),
            &format!("{target} made at {made}, not in {lawful:?}"),
            reply,
        )?;
        Ok(made)
    }
}

fn head(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: larder.test\r\n{fields}\r\n")
}

fn chunk(bytes: &[u8]) -> String {
    format!(
        "{:x}\r\n{}\r\n",
        bytes.len(),
        String::from_utf8_lossy(bytes)
    )
}

/// When the page in a reply was made, by its entity tag.
fn made(reply: &Reply) -> Result<u64, Failure> {
    let tag = reply
        .field("ETag")
        .and_then(|tag| tag.trim_matches('"').parse().ok());
    tag.ok_or_else(|| Failure::Wrong(format!("no tag of a page: {reply:?}")))
}

/// Whoever is not served is lost, told so or not.
fn expect(reply: &Reply, status: u16) -> Result<(), Failure> {
    if reply.status == status {
        Ok(())
    } else {
        Err(Failure::Lost(format!("told {reply:?}")))
    }
}

fn right(is_right: bool, otherwise: &str, reply: &Reply) -> Result<(), Failure> {
    if is_right {
        Ok(())
    } else {
        Err(Failure::Wrong(format!("{otherwise}: {reply:?}")))
    }
}

fn lost(error: &io::Error) -> Failure {
    Failure::Lost(error.to_string())
}

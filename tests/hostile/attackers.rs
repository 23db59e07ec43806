//! Hostile and clumsy clients: each does one bad thing after another, as its die says.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::pages::LARGE_PAGES;
use crate::regulars::Town;
use crate::smuggling::vectors;
use crate::support::Client;
use crate::vectors::Comes;

/// Kinds of attacks.
pub const ATTACKS: usize = 14;

/// The longest that one of them stays with one thing.
const LONGEST: Duration = Duration::from_secs(3);

/// One of them. It comes from another address each time, with one connection or with some.
pub struct Attacker<'a> {
    town: &'a Town<'a>,
    dice: Dice,
    vectors: Vec<(&'static str, Vec<u8>, Comes)>,
}

impl<'a> Attacker<'a> {
    pub fn new(town: &'a Town<'a>, seed: u64) -> Attacker<'a> {
        Attacker {
            town,
            dice: Dice::new(seed),
            vectors: vectors().collect(),
        }
    }

    /// Attacks until the load ends.
    pub fn live(mut self) {
        while Instant::now() < self.town.until {
            let begun = Instant::now();
            let kind = self.attack();
            self.town.ledger.note(kind, begun.elapsed(), Ok(()));
            park(self.dice.below(20));
        }
    }

    /// Does one thing of [`ATTACKS`]; what it was.
    fn attack(&mut self) -> &'static str {
        let (kind, ()) = match self.dice.below(ATTACKS as u64) {
            0 => ("heads that drip", self.drip_heads()),
            1 => ("bodies that drip", self.drip_bodies()),
            2 => ("large replies, never read", self.never_read()),
            3 => ("pipelines, never read", self.pipeline()),
            4 => ("smuggling", self.smuggle()),
            5 => ("huge heads", self.huge_head()),
            6 => ("connections closed at once", self.come_and_go()),
            7 => ("resets", self.reset()),
            8 => ("noise", self.noise()),
            9 => ("cut bodies", self.cut_body()),
            10 => ("what fails at the origin", self.failing()),
            11 => ("garbage on new connections", self.garbage()),
            12 => ("pipelines, read", self.pipeline_and_read()),
            _ => ("clients that leave", self.leave()),
        };
        kind
    }

    fn drip_heads(&mut self) {
        let clients = self.connect_some();
        self.drip(
            clients,
            format!(
                "GET /never/{} HTTP/1.1\r\nHost: x\r\nX-A: ",
                self.town.number()
            ),
        );
    }

    fn drip_bodies(&mut self) {
        let mut clients = self.connect_some();
        for client in &mut clients {
            client.send(format!(
                "POST /never/{} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n",
                self.town.number()
            ));
        }
        self.drip(clients, "a".repeat(100));
    }

    /// Sends a byte of it from each client every 50 ms or so.
    fn drip(&mut self, mut clients: Vec<Client>, bytes: String) {
        let until = self.some_time();
        for byte in bytes
            .as_bytes()
            .iter()
            .take_while(|_| Instant::now() < until)
        {
            clients.retain_mut(|client| client.try_send([*byte]).is_ok());
            park(self.dice.between(20, 80));
        }
    }

    /// One or a few, each with so much on its way that the kernel cannot hold it.
    fn never_read(&mut self) {
        let until = self.some_time();
        let request = format!(
            "GET /large/{} HTTP/1.1\r\nHost: x\r\n\r\n",
            self.dice.below(LARGE_PAGES)
        );
        let mut clients: Vec<Client> = (0..self.dice.between(1, 4))
            .map(|_| self.connect())
            .collect();
        for client in &mut clients {
            client.send(
                request.repeat(usize::try_from(self.dice.between(1, 8)).expect("a small number")),
            );
        }
        wait_until(until);
        if self.dice.one_in(2) {
            clients.into_iter().for_each(Client::reset);
        }
    }

    fn pipeline(&mut self) {
        let until = self.some_time();
        let targets = [
            format!("/steady/{}", self.dice.below(64)),
            format!("/left/{}", self.town.number()),
        ];
        let block = targets
            .map(|target| format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .concat();
        self.connect()
            .send_for_ever(block.as_bytes(), || Instant::now() < until);
    }

    /// What comes behind a vector that is refused must not reach the origin; behind others it is a request like any.
    fn smuggle(&mut self) {
        let which = usize::try_from(self.dice.below(self.vectors.len() as u64)).expect("an index");
        let mut client = self.connect();
        let (name, bytes, comes) = &self.vectors[which];
        let next = match comes {
            Comes::Refused(_) => format!("/never/{}", self.town.number()),
            Comes::One(..) => format!("/echo/{}", self.town.number()),
        };
        let behind = format!("POST {next} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nnew");
        client.send([bytes, behind.as_bytes()].concat());
        match comes {
            Comes::Refused(_) => drop(client.expect_refusal()),
            Comes::One(..) => {
                assert_eq!(client.read().status, 200, "{name}");
                assert_eq!(client.read().text(), format!("{next} new"), "{name}");
            }
        }
    }

    fn huge_head(&mut self) {
        let mut client = self.connect();
        let more =
            "a".repeat(usize::try_from(self.dice.between(17, 256)).expect("a small number") * 1024);
        let head = match self.dice.below(3) {
            0 => format!("GET /never/{more}"),
            1 => format!("GET /never/1 HTTP/1.1\r\nHost: x\r\nX-A: {more}"),
            _ => format!(
                "GET /never/1 HTTP/1.1\r\nHost: x\r\n{}",
                "X-A: b\r\n".repeat(more.len() / 8)
            ),
        };
        // Refused before it is whole: the rest may be met by a closed connection.
        let _ = client.try_send(head);
        client.expect_refusal();
    }

    fn come_and_go(&mut self) {
        (0..self.dice.between(1, 30)).for_each(|_| drop(self.connect()));
    }

    /// In the middle of a head, of a body, or of a reply.
    fn reset(&mut self) {
        let mut client = self.connect();
        let number = self.town.number();
        client.send(match self.dice.below(3) {
            0 => format!("GET /never/{number} HTTP/1.1\r\nHost"),
            1 => {
                format!("POST /never/{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
            }
            _ => format!(
                "GET /large/{} HTTP/1.1\r\nHost: x\r\n\r\n",
                number % LARGE_PAGES
            ),
        });
        park(self.dice.below(10));
        client.reset();
    }

    /// A head in which some bytes are others; what comes of it is not known.
    fn noise(&mut self) {
        let mut bytes =
            b"GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab"
                .to_vec();
        for _ in 0..self.dice.between(1, 8) {
            let place = usize::try_from(self.dice.below(bytes.len() as u64)).expect("an index");
            bytes[place] = u8::try_from(self.dice.below(256)).expect("a byte");
        }
        let mut client = self.connect();
        let _ = client.try_send(bytes);
        client.finish_sending();
        while client.read_or_end().is_some() {}
    }

    fn cut_body(&mut self) {
        let mut client = self.connect();
        let head = format!("POST /never/{} HTTP/1.1\r\nHost: x\r\n", self.town.number());
        let body = "a".repeat(usize::try_from(self.dice.below(1000)).expect("a small number"));
        client.send(match self.dice.below(2) {
            0 => format!("{head}Content-Length: 1000\r\n\r\n{body}"),
            _ => format!("{head}Transfer-Encoding: chunked\r\n\r\n3e8\r\n{body}"),
        });
        client.finish_sending();
        client.expect_refusal();
    }

    fn failing(&mut self) {
        let reply = self
            .connect()
            .get(&format!("/failing/{}", self.dice.below(1000)));
        assert!([200, 500, 502, 503].contains(&reply.status), "{reply:?}");
    }

    /// Some ask for the same, and are gone before they are told.
    fn leave(&mut self) {
        let target = format!("/left/{}", self.town.number());
        let mut clients = self.connect_some();
        for client in &mut clients {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        }
        park(self.dice.below(50));
    }

    /// What is no request, on connections that come all at once: none of it is passed on.
    fn garbage(&mut self) {
        let mut clients = self.connect_some();
        for client in &mut clients {
            client.send("GET 0 HTTP/1.1\r\n\r\n");
        }
        for client in &mut clients {
            let refusal = client.expect_refusal();
            assert_eq!(refusal.map(|reply| reply.status), Some(400));
        }
    }

    /// As many as it is given in some time, each judged by its target.
    fn pipeline_and_read(&mut self) {
        let until = self.some_time();
        let mut client = self.connect();
        let target = format!("/steady/{}", self.dice.below(64));
        let block = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(32);
        while Instant::now() < until {
            client.send(&block);
            for _ in 0..32 {
                let reply = client.read();
                assert_eq!(reply.status, 200, "{reply:?}");
                assert!(reply.text().starts_with(&target), "{reply:?}");
            }
        }
    }

    fn connect(&mut self) -> Client {
        let last = u8::try_from(self.dice.between(1, 250)).expect("the end of an address");
        Client::connect_from(Ipv4Addr::new(127, 0, 2, last), self.town.addr)
    }

    fn connect_some(&mut self) -> Vec<Client> {
        (0..self.dice.between(1, 20))
            .map(|_| self.connect())
            .collect()
    }

    /// A moment before the load ends.
    fn some_time(&mut self) -> Instant {
        let longest = u64::try_from(LONGEST.as_millis()).expect("some seconds");
        (Instant::now() + Duration::from_millis(self.dice.below(longest))).min(self.town.until)
    }
}

fn park(milliseconds: u64) {
    std::thread::park_timeout(Duration::from_millis(milliseconds));
}

fn wait_until(moment: Instant) {
    while let Some(left) = moment.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

//! One scripted answer.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::Gate;

/// Writes to a connection as it likes, until it is done or the other side is gone.
pub(super) type Hand = dyn Fn(&mut TcpStream) -> io::Result<()> + Send + Sync;

/// What the origin says, and how.
#[derive(Clone)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) framing: Framing,
    pub(super) http10: bool,
    pub(super) closes: bool,
    pub(super) taking: Duration,
    pub(super) before_head: Option<Gate>,
    pub(super) interim: Vec<u8>,
    pub(super) after_interim: Option<Gate>,
    pub(super) before_body: Option<Gate>,
    pub(super) cut_after: Option<usize>,
    pub(super) verbatim: Option<Vec<u8>>,
    pub(super) by_hand: Option<Arc<Hand>>,
}

/// How the end of the body is told.
#[derive(Clone, Copy)]
pub(super) enum Framing {
    /// A Content-Length that is true.
    Length,
    /// A Content-Length that is not.
    Claimed(u64),
    Chunked,
    /// By the end of the connection.
    Close,
}

impl Answer {
    /// 200 with that body, a true Content-Length, keep-alive.
    pub fn ok(body: impl AsRef<[u8]>) -> Answer {
        Answer::status(200).body(body)
    }

    /// That status, no body.
    pub fn status(status: u16) -> Answer {
        Answer {
            status,
            fields: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
            http10: false,
            closes: false,
            taking: Duration::ZERO,
            before_head: None,
            interim: Vec::new(),
            after_interim: None,
            before_body: None,
            cut_after: None,
            verbatim: None,
            by_hand: None,
        }
    }

    /// These bytes on the wire, nothing else.
    pub fn verbatim(bytes: impl AsRef<[u8]>) -> Answer {
        Answer {
            verbatim: Some(bytes.as_ref().to_vec()),
            ..Answer::status(200)
        }
    }

    /// Takes the request and closes without a word.
    pub fn nothing() -> Answer {
        Answer::verbatim("").closing()
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Answer {
        self.body = body.as_ref().to_vec();
        self
    }

    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Answer {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Announces `length` bytes, whatever the body has.
    pub fn claiming(mut self, length: u64) -> Answer {
        self.framing = Framing::Claimed(length);
        self
    }

    pub fn chunked(mut self) -> Answer {
        self.framing = Framing::Chunked;
        self
    }

    /// Ends the body by closing the connection.
    pub fn until_close(mut self) -> Answer {
        self.framing = Framing::Close;
        self.closing()
    }

    /// Closes the connection after the answer.
    pub fn closing(mut self) -> Answer {
        self.closes = true;
        self
    }

    /// Speaks like Python's `http.server`: HTTP/1.0, closing.
    pub fn http10(mut self) -> Answer {
        self.http10 = true;
        self.closing()
    }

    /// Takes that long before the first byte. For origins whose time is the scenario itself; otherwise use a gate.
    pub fn taking(mut self, time: Duration) -> Answer {
        self.taking = time;
        self
    }

    /// Says nothing before `gate` opens.
    pub fn after(mut self, gate: &Gate) -> Answer {
        self.before_head = Some(gate.clone());
        self
    }

    /// Sends these interim responses, and the final one once `gate` opens.
    pub fn interim(mut self, heads: impl AsRef<[u8]>, gate: &Gate) -> Answer {
        self.interim = heads.as_ref().to_vec();
        self.after_interim = Some(gate.clone());
        self
    }

    /// Sends the head, and the body once `gate` opens.
    pub fn body_after(mut self, gate: &Gate) -> Answer {
        self.before_body = Some(gate.clone());
        self
    }

    /// Cuts the connection after that many bytes of body.
    pub fn cut_after(mut self, bytes: usize) -> Answer {
        self.cut_after = Some(bytes);
        self.closing()
    }

    /// After all that, `hand` writes; not to a HEAD. The connection closes when it is done.
    pub fn by_hand(
        mut self,
        hand: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Answer {
        self.by_hand = Some(Arc::new(hand));
        self.closing()
    }

    /// The head and the body as they go on the wire. `bodiless`: the answer to a HEAD.
    pub(super) fn on_the_wire(&self, bodiless: bool) -> (Vec<u8>, Vec<u8>) {
        if let Some(bytes) = &self.verbatim {
            return (bytes.clone(), Vec::new());
        }
        let version = if self.http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut head = format!("{version} {} As told\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        let empty = matches!(self.status, 204 | 304);
        let framing = match self.framing {
            _ if empty => String::new(),
            Framing::Length => format!("Content-Length: {}\r\n", self.body.len()),
            Framing::Claimed(length) => format!("Content-Length: {length}\r\n"),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            Framing::Close => String::new(),
        };
        head.extend_from_slice(framing.as_bytes());
        if self.closes && !self.http10 {
            head.extend_from_slice(b"Connection: close\r\n");
        }
        head.extend_from_slice(b"\r\n");
        (
            head,
            if bodiless || empty {
                Vec::new()
            } else {
                self.body_on_the_wire()
            },
        )
    }

    fn body_on_the_wire(&self) -> Vec<u8> {
        let whole = &self.body[..self
            .cut_after
            .unwrap_or(self.body.len())
            .min(self.body.len())];
        if !matches!(self.framing, Framing::Chunked) {
            return whole.to_vec();
        }
        let mut wire = Vec::new();
        for chunk in whole.chunks(1000) {
            wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        if self.cut_after.is_none() {
            wire.extend_from_slice(b"0\r\n\r\n");
        }
        wire
    }
}

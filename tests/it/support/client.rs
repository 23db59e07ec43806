//! A client that says exactly what it is told to say, and reads exactly what comes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::reply::{fill, find};
use super::{PATIENCE, Reply};

/// Bytes in the buffers of a narrow connection; the kernel makes them twice as large.
const NARROW: usize = 4096;

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to `addr`.
    pub fn connect(addr: SocketAddr) -> Client {
        Client::over(TcpStream::connect_timeout(&addr, PATIENCE).expect("connects"))
    }

    /// Connects to `addr` from a loopback address of choice.
    pub fn connect_from(source: Ipv4Addr, addr: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket
            .bind(&SocketAddr::from((source, 0)).into())
            .expect("binds to its source address");
        socket.connect(&addr.into()).expect("connects");
        Client::over(socket.into())
    }

    /// Connects to `addr` with buffers of a few KiB, as over a slow link: what is not read waits in the program under test, and
    /// not in the megabytes the kernel lends to a loopback connection.
    pub fn connect_narrow(addr: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(NARROW).expect("a small window");
        socket.set_send_buffer_size(NARROW).expect("a small buffer");
        socket.connect(&addr.into()).expect("connects");
        Client::over(socket.into())
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends these bytes. An error is the server's refusal, which some tests want.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends these bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server takes the bytes");
    }

    /// Sends `block` again and again, reading nothing, for as long as `going` says so and the server does not end it; the
    /// bytes the server took. Requests stay whole however little of the block is taken at a time.
    pub fn send_for_ever(&mut self, block: &[u8], going: impl Fn() -> bool) -> usize {
        self.stream
            .set_write_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut sent = 0;
        while going() {
            match self.stream.write(&block[sent % block.len()..]) {
                Ok(count) => sent += count,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break,
            }
        }
        sent
    }

    /// Asks for `target`.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Reply {
        self.request("GET", target, &[], b"")
    }

    /// Asks for `target`, with fields.
    #[track_caller]
    pub fn get_with(&mut self, target: &str, fields: &[(&str, &str)]) -> Reply {
        self.request("GET", target, fields, b"")
    }

    /// Sends a request, with a Content-Length if there is a body, and reads its reply.
    #[track_caller]
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        self.send(request_bytes(method, target, fields, body));
        self.read_reply_to(method)
    }

    /// Waits until these bytes have come, and leaves them to be read. `false`: the connection ended, or was reset, before.
    pub fn await_bytes(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        while find(&self.buffer, bytes.as_ref()).is_none() {
            match fill(&mut self.stream, &mut self.buffer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    panic!("neither these bytes nor the end comes: {error}")
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads the next reply.
    #[track_caller]
    pub fn read(&mut self) -> Reply {
        self.read_reply_to("GET")
    }

    /// Reads the next reply as over a slow link: at most so many bytes, then a pause. `None` as for [`Client::read_or_end`].
    pub fn read_slowly(&mut self, at_a_time: usize, pause: Duration) -> Option<Reply> {
        let mut slow = SlowLink {
            stream: &mut self.stream,
            at_a_time,
            left: at_a_time,
            pause,
        };
        Reply::read(&mut slow, &mut self.buffer, false)
            .ok()
            .flatten()
    }

    /// Reads the next reply, one to a HEAD.
    #[track_caller]
    pub fn read_head(&mut self) -> Reply {
        self.read_reply_to("HEAD")
    }

    #[track_caller]
    fn read_reply_to(&mut self, method: &str) -> Reply {
        self.try_read(method)
            .expect("a whole reply")
            .expect("a reply before the end")
    }

    /// Reads the next reply, one to a request of that method. `None`: the connection ended cleanly before it.
    pub fn try_read(&mut self, method: &str) -> io::Result<Option<Reply>> {
        Reply::read(&mut self.stream, &mut self.buffer, method == "HEAD")
    }

    /// Reads the next reply; `None` when the connection ended, cleanly or by a reset, before a whole one.
    #[track_caller]
    pub fn read_or_end(&mut self) -> Option<Reply> {
        match self.try_read("GET") {
            Ok(reply) => reply,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection neither answers nor ends")
            }
            Err(_) => None,
        }
    }

    /// Panics unless the server refuses what was sent: at most one reply, an error, and then the end.
    #[track_caller]
    pub fn expect_refusal(&mut self) -> Option<Reply> {
        let refusal = self.read_or_end()?;
        assert!(
            (400..600).contains(&refusal.status),
            "served instead of refused: {refusal:?}"
        );
        let second = self.read_or_end();
        assert!(
            second.is_none(),
            "answered again after a refusal: {second:?}"
        );
        Some(refusal)
    }

    /// Panics unless the connection ends without another byte.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let more = self.read_or_end();
        assert!(
            more.is_none() && self.buffer.is_empty(),
            "more came: {more:?}"
        );
    }

    /// Says that no more will be sent.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection by a reset.
    pub fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// A stream of which so many bytes are read between two pauses.
struct SlowLink<'a> {
    stream: &'a mut TcpStream,
    at_a_time: usize,
    left: usize,
    pause: Duration,
}

impl Read for SlowLink<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            std::thread::park_timeout(self.pause);
            self.left = self.at_a_time;
        }
        let room = into.len().min(self.left);
        let got = self.stream.read(&mut into[..room])?;
        self.left -= got;
        Ok(got)
    }
}

/// A request as bytes, with a Host field and, if there is a body, its Content-Length.
fn request_bytes(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: larder.test\r\n").into_bytes();
    for (name, value) in fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

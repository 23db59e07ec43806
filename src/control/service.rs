//! One listener of the control server: a tiny_http server on it, and the workers that answer.
//!
//! tiny_http's accept thread ends for good at the first error of accept, and panics where the system refuses it a thread or a
//! second descriptor. It reports the error to a worker; a panic it does not, so a worker that has nothing to do connects to
//! its own listener. Either way a new server starts on a duplicate of the listener, and clients that wait to be accepted notice
//! nothing. A connection kept open to the old server gets no more answers; the commands use one connection for each request.

use std::fmt;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use parking_lot::Mutex;

use super::socket::{self, SocketFile};
use crate::endpoints::{Answer, Ask, Caller};
use crate::message::{IdText, Target};
use crate::proxy::Proxy;
use crate::reply::{OWN_CONTENT, SERVER};
use crate::threads::spawn;

/// Threads that answer.
const WORKERS: usize = 2;
/// Largest request body.
const LARGEST_BODY: usize = 64 * 1024;
/// How often a worker with nothing to do looks whether clients are still accepted.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// An accept thread that lives meets a client within this time.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(2);
/// Between two attempts to start a server: the first and the longest pause.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// How long a stop waits for answers that are being sent.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Where one service listens.
pub(super) enum Listening {
    /// The control socket.
    Socket(UnixListener, SocketFile),
    /// `control.listen`.
    Address(TcpListener, SocketAddr),
}

/// A listener and who serves it.
pub(super) struct Service {
    listening: Listening,
    /// The port the proxy's clients use.
    port: u16,
    proxy: Arc<Proxy>,
    answer: fn(&Ask<'_>) -> Answer,
    /// Protects: which server accepts now, and what ends a pause when it is dropped. `None`: it is stopping.
    current: Mutex<Option<(Arc<tiny_http::Server>, Sender<()>)>>,
    stopping: Receiver<()>,
    /// Each worker holds the other end.
    ended: Receiver<()>,
}

impl Listening {
    /// On a Unix socket at this path.
    pub(super) fn at(path: &Path) -> io::Result<Listening> {
        let (listener, file) = socket::bind(path)?;
        Ok(Listening::Socket(listener, file))
    }

    /// A server of tiny_http on a duplicate of the listener.
    fn serve(&self) -> io::Result<tiny_http::Server> {
        let listener: tiny_http::Listener = match self {
            Listening::Socket(listener, _) => listener.try_clone()?.into(),
            Listening::Address(listener, _) => listener.try_clone()?.into(),
        };
        // It panics where it is refused a thread.
        let begun = catch_unwind(AssertUnwindSafe(|| {
            tiny_http::Server::from_listener(listener, None)
        }));
        begun
            .map_err(|_| io::Error::other("the system refuses a thread"))?
            .map_err(io::Error::other)
    }

    /// Connects as a client that asks for nothing. True unless nobody accepts it: it then waits for its end in vain.
    fn accepts(&self) -> bool {
        let ended = match self {
            Listening::Socket(_, file) => socket::connect(&file.path).and_then(|mut client| {
                client.set_read_timeout(Some(ACCEPTED_WITHIN))?;
                client.shutdown(Shutdown::Write)?;
                client.read(&mut [0])
            }),
            Listening::Address(listener, _) => self.own_address(listener).and_then(|address| {
                let mut client = TcpStream::connect_timeout(&address, ACCEPTED_WITHIN)?;
                client.set_read_timeout(Some(ACCEPTED_WITHIN))?;
                client.shutdown(Shutdown::Write)?;
                client.read(&mut [0])
            }),
        };
        // Any other error, such as no descriptor for the client, says nothing about the accept thread.
        !ended.is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            )
        })
    }

    /// Where this machine reaches it.
    fn own_address(&self, listener: &TcpListener) -> io::Result<SocketAddr> {
        let mut address = listener.local_addr()?;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        Ok(address)
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listening::Socket(_, file) => file.path.display().fmt(f),
            Listening::Address(listener, asked) => {
                let address = listener.local_addr().unwrap_or(*asked);
                write!(f, "http://{address}")
            }
        }
    }
}

impl Service {
    /// Starts to answer; `answer` is [`crate::endpoints::answer`] but in tests.
    pub(super) fn start(
        listening: Listening,
        port: u16,
        proxy: Arc<Proxy>,
        answer: fn(&Ask<'_>) -> Answer,
    ) -> io::Result<Arc<Service>> {
        let server = listening.serve()?;
        let (stop, stopping) = bounded(0);
        let (working, ended) = bounded::<()>(0);
        let service = Arc::new(Service {
            listening,
            port,
            proxy,
            answer,
            current: Mutex::new(Some((Arc::new(server), stop))),
            stopping,
            ended,
        });
        for number in 0..WORKERS {
            let worker = Arc::clone(&service);
            let working = working.clone();
            let started = spawn("control", move || {
                worker.work(number == 0);
                drop(working);
            });
            if let Err(error) = started {
                service.stop();
                return Err(error);
            }
        }
        Ok(service)
    }

    /// Where it listens, as people write it.
    pub(super) fn place(&self) -> String {
        self.listening.to_string()
    }

    /// Accepts nobody any more, gives answers in progress a moment, and removes the socket. Again: does nothing.
    pub(super) fn stop(&self) {
        let Some((server, stop)) = self.current.lock().take() else {
            return;
        };
        drop(stop);
        (0..WORKERS).for_each(|_| server.unblock());
        // A worker may be held by a client that does not read: it ends with the process.
        let _ = self.ended.recv_timeout(STOP_WITHIN);
        drop(server);
        if let Listening::Socket(_, file) = &self.listening {
            // tiny_http wakes its accept thread by a client at the path it was bound at, which is gone. This client does.
            let _ = socket::connect(&file.path);
            file.remove();
        }
    }

    fn current(&self) -> Option<Arc<tiny_http::Server>> {
        let current = self.current.lock();
        current.as_ref().map(|(server, _)| Arc::clone(server))
    }

    /// A worker's life. One of them looks after the accept thread when it has nothing else to do.
    fn work(&self, looks: bool) {
        while let Some(server) = self.current() {
            match server.recv_timeout(LOOK_EVERY) {
                Ok(Some(request)) => self.handle(request),
                Ok(None) => {
                    if looks && self.current().is_some() && !self.listening.accepts() {
                        self.replace(&server, "it has died");
                    }
                }
                Err(error) => self.replace(&server, &error.to_string()),
            }
        }
    }

    /// Has another server accept instead of this one, however long the system refuses it.
    fn replace(&self, dead: &Arc<tiny_http::Server>, cause: &str) {
        let is_current = |server: &Arc<tiny_http::Server>| Arc::ptr_eq(server, dead);
        if !self.current().as_ref().is_some_and(is_current) {
            return;
        }
        log::warn!(
            "nobody accepts on {}: {cause}; starting another server",
            self.place()
        );
        let (mut pause, longest) = PAUSES;
        while self.stopping.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            pause = longest.min(pause * 2);
            let Ok(server) = self.listening.serve() else {
                continue;
            };
            if let Some((current, _)) = &mut *self.current.lock() {
                *current = Arc::new(server);
            }
            // The other worker may still wait for the dead one.
            dead.unblock();
            return;
        }
    }

    fn handle(&self, mut request: tiny_http::Request) {
        let id = IdText::new(self.proxy.mark(), self.proxy.next_id(), None).to_string();
        let answered = catch_unwind(AssertUnwindSafe(|| self.answer_to(&mut request, &id)));
        let answer = answered.unwrap_or_else(|_| {
            self.proxy.counters().panics.bump();
            log::error!(
                "panic while answering {} on {}: the client got 500",
                request.url(),
                self.place()
            );
            let message = "Larder met an internal error; its log says more";
            Answer::error(&id, StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        });
        if let Err(error) = request.respond(self.response(answer, &id)) {
            log::debug!(
                "a client of {} does not take its answer: {error}",
                self.place()
            );
        }
    }

    fn answer_to(&self, request: &mut tiny_http::Request, id: &str) -> Answer {
        let refused = |status, message| Answer::error(id, status, "bad_request", message);
        let caller = match &self.listening {
            Listening::Socket(..) => Caller::Socket,
            Listening::Address(..) => match request.remote_addr() {
                Some(address) => Caller::Address(address.ip()),
                None => return refused(StatusCode::BAD_REQUEST, "a client without an address"),
            },
        };
        let method = Method::from_bytes(request.method().as_str().as_bytes()).ok();
        let target = Target::parse(Bytes::copy_from_slice(request.url().as_bytes()));
        let (Some(method), Some(target), Some(fields)) = (method, target, fields_of(request))
        else {
            let message = "the request line or a field is malformed";
            return refused(StatusCode::BAD_REQUEST, message);
        };
        let Some(body) = body_of(request) else {
            let message = "the body is longer than 64 KiB, or was cut";
            return refused(StatusCode::PAYLOAD_TOO_LARGE, message);
        };
        (self.answer)(&Ask {
            proxy: &self.proxy,
            method: &method,
            target: &target,
            fields: &fields,
            body: &body,
            caller,
            id,
        })
    }

    fn response(&self, answer: Answer, id: &str) -> tiny_http::Response<io::Cursor<Vec<u8>>> {
        let length = answer.body.len();
        let mut response = tiny_http::Response::from_data(answer.body.into_bytes())
            .with_status_code(answer.status.as_u16())
            .with_chunked_threshold(length + 1);
        let server = format!("Server: {SERVER} (port {})", self.port);
        let own = OWN_CONTENT.lines().map(str::to_owned);
        let more = answer.field.map(|(name, value)| format!("{name}: {value}"));
        for line in own
            .chain(more)
            .chain([server, format!("X-Request-Id: {id}")])
        {
            if let Ok(field) = line.parse::<tiny_http::Header>() {
                response.add_header(field);
            }
        }
        response
    }
}

/// The fields of a request. `None`: one could not stand in a message of ours.
fn fields_of(request: &tiny_http::Request) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for field in request.headers() {
        let name = HeaderName::from_bytes(field.field.as_str().as_str().as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(field.value.as_str().as_bytes()).ok()?;
        fields.append(name, value);
    }
    Some(fields)
}

/// The whole body. `None`: it is too long, or broke off.
fn body_of(request: &mut tiny_http::Request) -> Option<Vec<u8>> {
    if request
        .body_length()
        .is_some_and(|length| length > LARGEST_BODY)
    {
        return None;
    }
    let mut body = Vec::new();
    let most = u64::try_from(LARGEST_BODY + 1).unwrap_or(u64::MAX);
    request.as_reader().take(most).read_to_end(&mut body).ok()?;
    (body.len() <= LARGEST_BODY).then_some(body)
}

#[cfg(test)]
mod tests;

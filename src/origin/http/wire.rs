//! What ureq's own transport does not tell: whether a connection was reused, whether anything was heard on it, whether
//! it ended by a reset, which interim responses came; and what it cannot do: let the deadline of a read change during one
//! call.

use std::fmt::{self, Debug};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{self, HeaderMap};
use parking_lot::Mutex;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Wait;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::interim::{self, Start};
use crate::origin::resolve::Addresses;
use crate::origin::{InterimSink, forward};

/// Interim responses of one exchange that are told of. What comes beyond them is dropped.
const MAX_INTERIM: usize = 16;

/// After so many bytes of a request it is looked whether the answer is there already.
const LOOK_EVERY: usize = 256 * 1024;
/// How long that look takes at the most, and how long an answer is waited for whose request cannot be sent to its end.
const GLANCE: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Which connection a request may go out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// The idle one, if it still seems open; else a new one.
    Any,
    /// A new one: an idle connection may be closed by the origin in the very moment the request is written to it.
    New,
}

/// One request and its answer, as seen from the socket.
#[derive(Debug)]
pub(super) struct Exchange {
    connection: Connection,
    /// Who is told of interim responses.
    interim_sink: Option<Arc<dyn InterimSink>>,
    /// A connection was opened for this exchange.
    opened: AtomicBool,
    /// ureq has begun to write the request.
    sent: AtomicBool,
    /// At least one byte of the answer has arrived.
    heard: AtomicBool,
    /// The connection ended by a reset, not by an orderly close.
    reset: AtomicBool,
    /// The connection must not be used again, however well this exchange ends.
    last: AtomicBool,
    began: Instant,
    /// When to stop waiting for input, in microseconds since `began`. `u64::MAX`: ureq's own timeouts decide.
    until: AtomicU64,
}

impl Exchange {
    fn new(connection: Connection, interim_sink: Option<Arc<dyn InterimSink>>) -> Exchange {
        Exchange {
            connection,
            interim_sink,
            opened: AtomicBool::new(false),
            sent: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            last: AtomicBool::new(false),
            began: Instant::now(),
            until: AtomicU64::new(u64::MAX),
        }
    }

    /// From now on, input is awaited for at most `wait`, counted from this call.
    pub(super) fn allow(&self, wait: Duration) {
        self.until.store(
            micros(self.began.elapsed().saturating_add(wait)),
            Ordering::Relaxed,
        );
    }

    /// Time since the exchange began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Closes the connection after this exchange.
    pub(super) fn end_connection(&self) {
        self.last.store(true, Ordering::Relaxed);
    }

    /// True once ureq has begun to write the request.
    pub(super) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// True if the connection ended by a reset.
    pub(super) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    /// True if a reused connection took the request and gave not one byte back.
    pub(super) fn is_unheard_on_reused(&self) -> bool {
        self.is_sent()
            && !self.opened.load(Ordering::Relaxed)
            && !self.heard.load(Ordering::Relaxed)
    }

    /// Tells of an interim response; nobody is told of 100, which says something about the request body alone.
    fn tell(&self, status: StatusCode, mut fields: HeaderMap) {
        if let Some(interim_sink) = self
            .interim_sink
            .as_ref()
            .filter(|_| status != StatusCode::CONTINUE)
        {
            forward::end_to_end(&mut fields);
            // RFC 9110 §8.6: it must not be there, and could be believed.
            fields.remove(header::CONTENT_LENGTH);
            interim_sink.interim(status, &fields);
        }
    }

    /// `timeout`, shortened to what [`Exchange::allow`] still allows.
    fn shorten(&self, mut timeout: NextTimeout) -> NextTimeout {
        let until = self.until.load(Ordering::Relaxed);
        if until != u64::MAX {
            let left = until.saturating_sub(micros(self.began.elapsed()));
            // Whole milliseconds: while they stay the same, the socket option is not set anew.
            timeout.after = Wait::from_millis(left.div_ceil(1000)).min(timeout.after);
        }
        timeout
    }
}

/// The exchange now beginning. Shared by an agent, its connector and every connection it opens.
#[derive(Clone, Debug)]
pub(super) struct Wire(Arc<Mutex<Arc<Exchange>>>);

impl Wire {
    pub(super) fn new() -> Wire {
        Wire(Arc::new(Mutex::new(Arc::new(Exchange::new(
            Connection::Any,
            None,
        )))))
    }

    /// Begins an exchange, `interim_sink` being told of its interim responses. What an earlier one still reads is not touched by it.
    pub(super) fn begin(
        &self,
        connection: Connection,
        interim_sink: Option<Arc<dyn InterimSink>>,
    ) -> Arc<Exchange> {
        let exchange = Arc::new(Exchange::new(connection, interim_sink));
        *self.0.lock() = Arc::clone(&exchange);
        exchange
    }

    fn current(&self) -> Arc<Exchange> {
        Arc::clone(&self.0.lock())
    }
}

/// Wraps every connection that the connector before it opens in a [`Line`].
impl<In: Transport> Connector<In> for Wire {
    type Out = Line<In>;

    fn connect(
        &self,
        _: &ConnectionDetails,
        opened: Option<In>,
    ) -> Result<Option<Line<In>>, ureq::Error> {
        Ok(opened.map(|inner| {
            let exchange = self.current();
            exchange.opened.store(true, Ordering::Relaxed);
            Line {
                inner,
                wire: self.clone(),
                exchange,
                interim: None,
                sent: 0,
                is_answered: false,
                is_unread: false,
            }
        }))
    }
}

/// A connection that reports to the exchange it serves.
pub(super) struct Line<T> {
    inner: T,
    wire: Wire,
    exchange: Arc<Exchange>,
    /// Interim responses to this exchange so far; `None` once something else has begun.
    interim: Option<usize>,
    /// Bytes of the request sent so far.
    sent: usize,
    /// The answer came before the request was sent to its end: the rest of that is not sent (RFC 9112 §9.5).
    is_answered: bool,
    /// That answer is in the input already, and ureq does not know of it.
    is_unread: bool,
}

impl<T: Transport> Line<T> {
    /// Whether the final response has begun, before the request was sent to its end. Waits for it at most so long.
    fn answers_early(&mut self, most: Duration) -> bool {
        let timeout = NextTimeout {
            after: Wait::from_millis(u64::try_from(most.as_millis()).unwrap_or(1)),
            reason: ureq::Timeout::SendBody,
            ..NextTimeout::default()
        };
        let is_there = matches!(self.await_input(timeout), Ok(true));
        let has_input = !self.inner.buffers().input().is_empty();
        self.is_answered = is_there && has_input && self.interim.is_none();
        if self.is_answered {
            self.exchange.end_connection();
        }
        self.is_unread = self.is_answered;
        self.is_answered
    }

    /// Takes interim responses off the input and tells of them. ureq would skip most of them; it chokes on a 100 with fields,
    /// and on any that stands before a full buffer.
    fn take_interim(&mut self) {
        while let Some(so_far) = self.interim {
            let buffers = self.inner.buffers();
            match interim::at_start(buffers.input()) {
                Start::Interim {
                    length,
                    status,
                    fields,
                } => {
                    buffers.input_consume(length);
                    self.interim = Some(so_far + 1);
                    if so_far < MAX_INTERIM {
                        self.exchange.tell(status, fields);
                    }
                }
                Start::Unclear => return,
                Start::Other => self.interim = None,
            }
        }
    }
}

impl<T: Transport> Transport for Line<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        // Writing happens only inside a fetch, so the exchange now beginning is the one this connection serves.
        let exchange = self.wire.current();
        if !Arc::ptr_eq(&exchange, &self.exchange) || !exchange.is_sent() {
            self.exchange = exchange;
            self.exchange.sent.store(true, Ordering::Relaxed);
            self.interim = Some(0);
            self.sent = 0;
            self.is_answered = false;
        }
        if self.is_answered {
            return Ok(());
        }
        let before = self.sent;
        self.sent += amount;
        let is_due = before / LOOK_EVERY < self.sent / LOOK_EVERY;
        if is_due && self.answers_early(GLANCE) {
            return Ok(());
        }
        match self.inner.transmit_output(amount, timeout) {
            Err(_) if before > 0 && self.answers_early(LAST_LOOK) => Ok(()),
            sent => sent,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        if std::mem::take(&mut self.is_unread) {
            return Ok(true);
        }
        let awaited = self.inner.await_input(self.exchange.shorten(timeout));
        match &awaited {
            Ok(true) => {
                self.exchange.heard.store(true, Ordering::Relaxed);
                self.take_interim();
            }
            Err(ureq::Error::Io(error)) if is_reset(error) => {
                self.exchange.reset.store(true, Ordering::Relaxed)
            }
            _ => {}
        }
        awaited
    }

    /// Asked when a connection would become idle, and again when it would be taken for another exchange.
    fn is_open(&mut self) -> bool {
        let next = self.wire.current();
        let passed_over = next.connection == Connection::New && !Arc::ptr_eq(&next, &self.exchange);
        let ended = self.exchange.last.load(Ordering::Relaxed);
        !passed_over && !ended && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl<T: Debug> Debug for Line<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Gives ureq the addresses found in the background: no request waits for a lookup.
#[derive(Debug)]
pub(super) struct Known(pub(super) Arc<Addresses>);

impl Resolver for Known {
    fn resolve(
        &self,
        _: &http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        // MAX_ADDRESSES is what the array holds.
        self.0
            .current()
            .map_err(|_| ureq::Error::HostNotFound)?
            .into_iter()
            .for_each(|address| found.push(address));
        Ok(found)
    }
}

fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
    // The last: TLS that ended without the word that it would (RFC 9112 §9.8).
    matches!(
        error.kind(),
        ConnectionReset | ConnectionAborted | UnexpectedEof
    )
}

fn micros(duration: Duration) -> u64 {
    // Short of `u64::MAX`, which means something else.
    u64::try_from(duration.as_micros())
        .unwrap_or(u64::MAX)
        .min(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use ureq::Timeout;

    use super::*;

    #[test]
    fn a_wait_is_counted_from_when_it_is_allowed_and_never_prolongs_anothers() {
        let mut exchange = Exchange::new(Connection::Any, None);
        exchange.began -= Duration::from_secs(100);
        let left = |exchange: &Exchange, given| {
            let timeout = NextTimeout {
                after: given,
                reason: Timeout::RecvResponse,
                ..NextTimeout::default()
            };
            exchange.shorten(timeout).after
        };
        assert_eq!(
            left(&exchange, Wait::NotHappening),
            Wait::NotHappening,
            "nothing is limited yet"
        );

        exchange.allow(Duration::from_secs(50));
        assert!(
            (Wait::from_secs(40)..=Wait::from_secs(50))
                .contains(&left(&exchange, Wait::NotHappening))
        );
        assert_eq!(left(&exchange, Wait::from_secs(5)), Wait::from_secs(5));

        exchange.allow(Duration::ZERO);
        assert!(
            left(&exchange, Wait::NotHappening).is_zero(),
            "the wait is over"
        );
        exchange.allow(Duration::MAX);
        assert!(left(&exchange, Wait::NotHappening) > Wait::from_secs(1_000_000));
    }
}

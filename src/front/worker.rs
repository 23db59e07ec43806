//! A worker: one poll, the connections it owns, and the only loop of the front.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use super::connection::{Connection, Expired, Fate, Next, Part, Refused, Segment, Stage, Step};
use super::following::{self, Bodies, Following, News};
use super::head::Head;
use super::hot::HotEntries;
use super::limits::ConnectionSlot;
use super::mailbox::{Address, Mailbox, Message};
use super::plain::{self, Memo, Plain};
use super::render::{self, Asked, Form};
use super::reply_handle::{Progress, ReplyHandle};
use super::shared::{Phase, Shared};
use super::wheel::{NEVER, Wheel};
use crate::clock::Now;
use crate::message::{Body, Request, RequestId, Target};
use crate::metrics::RejectReason;

/// The token of the mailbox's waker; connections have their indexes.
pub(super) const WAKE: Token = Token(usize::MAX);
/// Events taken from the poll at once.
const EVENTS: usize = 256;
/// A turn's share of one connection: requests, and bytes read or written. What is left waits until the others had theirs.
const SHARE_REQUESTS: usize = 32;
const SHARE_BYTES: usize = 256 * 1024;
/// Bytes read at once.
const READ_BUFFER: usize = 32 * 1024;
/// Rendered replies are written when they are so large together.
const WRITE_AT: usize = 64 * 1024;
/// Request ids taken from the proxy at once.
const IDS: u64 = 1024;
/// Clients without a slot that are told so at once, of one worker; more are closed without a word.
const MOST_REJECTED: usize = 16;

/// One event-loop worker.
pub(super) struct Worker {
    number: usize,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    shared: Arc<Shared>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    wheel: Wheel,
    /// Connections that have more to do than their turn allowed.
    ready: Vec<u32>,
    buffer: Box<[u8]>,
    out: Vec<u8>,
    memo: Memo,
    hot: HotEntries,
    /// The growing bodies its clients follow.
    bodies: Bodies,
    ids: std::ops::Range<u64>,
    now: Now,
    rejected: usize,
}

/// A entry for a connection.
#[derive(Default)]
struct Slot {
    /// Counts the connections that had this entry: what was meant for one never reaches another.
    generation: u64,
    client: Option<Client>,
}

/// A connected client.
struct Client {
    stream: TcpStream,
    connection: Connection,
    /// Those of its responses that follow a growing body.
    following: Vec<Following>,
    /// `None`: it has no slot, and is told so.
    slot: Option<ConnectionSlot>,
    /// The tick its entry in the wheel stands at; [`NEVER`] if it has none.
    scheduled: u64,
    /// Bytes that wait, as the other threads were told.
    unsent: usize,
    /// There may be more to read: the poll tells of news only.
    readable: bool,
    /// The socket takes more, as far as is known.
    writable: bool,
    /// The client ended its side or is gone: it is read to the end.
    read_closed: bool,
    registered: bool,
    /// It is on the ready list.
    is_ready: bool,
}

/// What a turn found out about a connection.
enum Turn {
    /// It waits for the poll, a message or a deadline.
    Waits,
    /// It has more to do.
    Ready,
    /// It is over.
    Over,
}

impl Worker {
    /// A worker of that number, woken by this mailbox.
    pub(super) fn new(
        number: usize,
        poll: Poll,
        mailbox: Arc<Mailbox>,
        shared: Arc<Shared>,
    ) -> Worker {
        let now = shared.clock.now();
        Worker {
            number,
            poll,
            mailbox,
            shared,
            slots: Vec::new(),
            free: Vec::new(),
            wheel: Wheel::new(),
            ready: Vec::new(),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            out: Vec::with_capacity(2 * WRITE_AT),
            memo: Memo::new(),
            hot: HotEntries::new(),
            bodies: Bodies::default(),
            ids: 0..0,
            now,
            rejected: 0,
        }
    }

    /// Works until the server has ended.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut messages = Vec::new();
        let mut due = Vec::new();
        let mut ready = Vec::new();
        loop {
            let wait = self.wait();
            if let Err(error) = self.poll.poll(&mut events, wait)
                && error.kind() != ErrorKind::Interrupted
            {
                log::error!("a worker cannot wait for its clients: {error}");
                return;
            }
            self.now = self.shared.clock.now();
            std::mem::swap(&mut ready, &mut self.ready);
            for index in ready.drain(..) {
                if let Some(client) = self.client(index) {
                    client.is_ready = false;
                }
                self.guarded(index, |worker| worker.serve(index));
            }
            for event in &events {
                let Ok(index) = u32::try_from(event.token().0) else {
                    continue;
                };
                self.note(index, event);
                self.guarded(index, |worker| worker.serve(index));
            }
            self.mailbox.take(&mut messages);
            for message in messages.drain(..) {
                self.deliver(message);
            }
            self.wheel.due(self.now.mono, &mut due);
            for (index, tick) in due.drain(..) {
                self.guarded(index, |worker| worker.expire(index, tick));
            }
            self.hot.tell_uses();
            match self.shared.phase() {
                Phase::Serving | Phase::Stopping => {}
                Phase::Draining => self.end_idle(),
                Phase::Ended => return self.close_all(),
            }
        }
    }

    /// How long the poll may wait. `None`: until something happens.
    fn wait(&self) -> Option<Duration> {
        if !self.ready.is_empty() || !self.mailbox.may_sleep() {
            return Some(Duration::ZERO);
        }
        self.wheel.wait(self.now.mono)
    }

    /// Does something for one connection. A panic ends that connection, not the worker: the handles of its requests answer
    /// 500 as they are dropped.
    fn guarded(&mut self, index: u32, work: impl FnOnce(&mut Worker)) {
        let caught = catch_unwind(AssertUnwindSafe(|| work(self)));
        if caught.is_err() {
            self.shared.proxy.counters().panics.bump();
            log::error!("a fault while serving a client; its connection goes on if it can");
            self.out.clear();
            if self.buffer.is_empty() {
                self.buffer = vec![0; READ_BUFFER].into_boxed_slice();
            }
            let survives = catch_unwind(AssertUnwindSafe(|| self.serve(index)));
            if survives.is_err() {
                self.close(index);
            }
        }
    }

    fn note(&mut self, index: u32, event: &mio::event::Event) {
        let Some(client) = self.client(index) else {
            return;
        };
        client.readable |= event.is_readable();
        client.writable |= event.is_writable();
        // A write tells what is wrong with a socket that takes nothing any more.
        client.writable |= event.is_error() || event.is_write_closed();
        if event.is_read_closed() || event.is_error() {
            client.read_closed = true;
            client.readable = true;
            client.connection.will_end();
        }
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Client(stream, peer, slot) => {
                let connection = Connection::new(peer, self.now.mono);
                self.adopt(stream, connection, Some(slot));
            }
            Message::Rejected(stream, peer, cause) => self.reject(stream, peer, cause),
            Message::Respond(to, number, part) => {
                self.guarded(to.index, |worker| worker.respond(to, number, part));
            }
            Message::Follow(to, part, following) => {
                self.guarded(to.index, |worker| worker.follow(to, part, following));
            }
            Message::Grew(news) => self.pass_on(&news),
            Message::CutLargest => self.cut_largest(),
            Message::Look => {}
        }
    }

    fn reject(&mut self, stream: TcpStream, peer: IpAddr, cause: RejectReason) {
        if self.rejected < MOST_REJECTED {
            let response = render::rejected(cause);
            let connection = Connection::rejected(peer, response, self.now.mono);
            self.adopt(stream, connection, None);
        }
    }

    /// Takes a client over. Its first bytes are usually there already: they are read before the poll is told of it.
    fn adopt(&mut self, stream: TcpStream, connection: Connection, slot: Option<ConnectionSlot>) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // The number of descriptors is far below.
            (self.slots.len() - 1) as u32
        });
        self.rejected += usize::from(slot.is_none());
        if let Some(entry) = self.slots.get_mut(index as usize) {
            entry.client = Some(Client {
                stream,
                connection,
                following: Vec::new(),
                slot,
                scheduled: NEVER,
                unsent: 0,
                readable: true,
                writable: true,
                read_closed: false,
                registered: false,
                is_ready: false,
            });
        }
        self.guarded(index, |worker| worker.serve(index));
    }

    fn client(&mut self, index: u32) -> Option<&mut Client> {
        self.slots.get_mut(index as usize)?.client.as_mut()
    }

    /// The client with this address, if that is still there.
    fn client_at(&mut self, to: Address) -> Option<&mut Client> {
        let entry = self.slots.get_mut(to.index as usize)?;
        let client = entry.client.as_mut()?;
        (entry.generation == to.generation).then_some(client)
    }

    /// A response begins that follows a growing body.
    fn follow(&mut self, to: Address, part: Part, following: Box<Following>) {
        let now = self.now.mono;
        let Some(client) = self.client_at(to) else {
            return;
        };
        client.connection.respond(following.number(), part, now);
        let mailbox = Arc::clone(&self.mailbox);
        self.bodies.add(&following, to, &mailbox);
        if let Some(client) = self.client_at(to) {
            client.following.push(*following);
        }
        self.serve(to.index);
    }

    /// Serves all who follow the body that has grown.
    fn pass_on(&mut self, news: &News) {
        let mut readers = self.bodies.take(news);
        readers.retain(|to| {
            if self.client_at(*to).is_none() {
                return false;
            }
            self.guarded(to.index, |worker| worker.serve(to.index));
            self.client_at(*to)
                .is_some_and(|client| client.follows(news))
        });
        self.bodies.give_back(news, readers);
    }

    fn respond(&mut self, to: Address, number: u64, part: Part) {
        let now = self.now.mono;
        let Some(client) = self.client_at(to) else {
            return;
        };
        if part.stage() == Stage::Broken {
            if part.closes() {
                // Only a reset tells this client that the end of the connection is not the end of the body.
                let _ = SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
            }
            client.connection.cut();
        } else {
            client.connection.respond(number, part, now);
        }
        self.serve(to.index);
    }

    /// One turn of one connection, and what follows from it.
    fn serve(&mut self, index: u32) {
        match self.turn(index) {
            Turn::Over => return self.close(index),
            Turn::Ready => self.add_ready(index),
            Turn::Waits => {}
        }
        self.register(index);
        self.schedule(index);
        self.note_unsent(index);
    }

    fn add_ready(&mut self, index: u32) {
        if let Some(client) = self.client(index)
            && !client.is_ready
        {
            client.is_ready = true;
            self.ready.push(index);
        }
    }

    /// Writes what waits, answers what was read, reads; within the connection's share.
    fn turn(&mut self, index: u32) -> Turn {
        let mut requests = 0;
        let mut bytes = 0;
        loop {
            let now = self.now.mono;
            let Some(client) = self.client(index) else {
                return Turn::Waits;
            };
            client.follow(now);
            match client.flush(now, &mut bytes) {
                Ok(true) if bytes < SHARE_BYTES && client.follow(now) => continue,
                Ok(true) => {}
                Ok(false) if bytes >= SHARE_BYTES && client.writable => return Turn::Ready,
                Ok(false) => return Turn::Waits,
                Err(_) => return Turn::Over,
            }
            match client.connection.fate() {
                Fate::Open => {}
                Fate::Close => return Turn::Over,
                Fate::EndWriting => {
                    if client.stream.shutdown(Shutdown::Write).is_err() {
                        return Turn::Over;
                    }
                    client.connection.shut(now);
                }
            }
            if requests >= SHARE_REQUESTS || bytes >= SHARE_BYTES {
                return Turn::Ready;
            }
            match self.next(index) {
                Some(true) => {
                    requests += 1;
                    continue;
                }
                Some(false) => {}
                None => return Turn::Waits,
            }
            let Some(client) = self.client(index) else {
                return Turn::Waits;
            };
            if client.connection.has_output() {
                continue;
            }
            if client.connection.fate() == Fate::Close {
                return Turn::Over;
            }
            if !client.readable || !client.connection.wants_input() {
                return Turn::Waits;
            }
            match self.read(index, &mut requests) {
                Ok(read) => bytes += read,
                Err(_) => return Turn::Over,
            }
        }
    }

    /// Answers or hands on the next request that was received. `Some(false)`: there is none; `None`: the connection is gone.
    fn next(&mut self, index: u32) -> Option<bool> {
        let shared = Arc::clone(&self.shared);
        let step = step(&shared, self.now.mono);
        let client = self.client(index)?;
        match client.connection.next(&step) {
            Next::Wait => return Some(false),
            Next::Refused(refused) => {
                let peer = client.connection.peer();
                self.note_refused(refused, peer);
            }
            Next::Request {
                number,
                head,
                body,
                closes,
            } => {
                let form = Form {
                    head_only: head.method == Method::HEAD,
                    version: head.version,
                    closes,
                };
                self.answer(index, number, *head, body, form)?;
            }
        }
        Some(true)
    }

    fn answer(
        &mut self,
        index: u32,
        number: u64,
        head: Head,
        body: Body,
        form: Form,
    ) -> Option<()> {
        let id = self.next_id();
        let now = self.now;
        let mailbox = Arc::clone(&self.mailbox);
        let shared = Arc::clone(&self.shared);
        let generation = self.slots.get(index as usize)?.generation;
        let client = self.client(index)?;
        let request = Request {
            method: head.method,
            target: head.target,
            version: head.version,
            fields: head.fields,
            body,
            peer: client.connection.peer(),
            id,
        };
        let asked = Asked {
            form,
            id,
            own_id: request.own_id().cloned(),
            method: request.method.clone(),
            target: request.target.clone(),
            at: now,
        };
        if let Some(reply) = shared.proxy.hit(&request, now) {
            let mut head = Vec::with_capacity(1024);
            let body = render::reply(&mut head, &reply, &asked, form, &shared);
            let head = Some(Segment::new(Bytes::from(head)));
            let part = Part::whole([head, body], form.closes);
            client.connection.respond(number, part, now.mono);
            return Some(());
        }
        let progress = Arc::new(Progress::default());
        client
            .connection
            .watch(number, Arc::clone(&progress) as Arc<_>);
        let to = Address { index, generation };
        let handle = ReplyHandle::new(shared, mailbox, to, number, progress, asked);
        self.shared.proxy.answer(request, handle);
        Some(())
    }

    /// Reads once; answers what of it is plain and stored, and gives the rest to the connection.
    fn read(&mut self, index: u32, requests: &mut usize) -> io::Result<usize> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_into(&mut buffer, index, requests);
        self.buffer = buffer;
        result
    }

    fn read_into(
        &mut self,
        buffer: &mut [u8],
        index: u32,
        requests: &mut usize,
    ) -> io::Result<usize> {
        let now = self.now.mono;
        let Some(client) = self.client(index) else {
            return Ok(0);
        };
        let read = loop {
            match client.stream.read(buffer) {
                Ok(0) => {
                    client.readable = false;
                    client.connection.end();
                    return Ok(0);
                }
                Ok(read) => break read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    client.readable = false;
                    return Ok(0);
                }
                Err(error) => return Err(error),
            }
        };
        // A short read emptied the socket; where the client has ended, its end is still to be read.
        client.readable = read == buffer.len() || client.read_closed;
        let received = buffer.get(..read).unwrap_or_default();
        let answered = self.answer_plain(index, received, requests)?;
        if let (Some(client), Some(rest)) = (self.client(index), received.get(answered..))
            && !rest.is_empty()
        {
            client.connection.receive(rest, now);
        }
        Ok(read)
    }

    /// Answers the plain requests at the start of `received` that the store can answer; returns how many bytes they are.
    fn answer_plain(
        &mut self,
        index: u32,
        received: &[u8],
        requests: &mut usize,
    ) -> io::Result<usize> {
        let is_clear = self
            .client(index)
            .is_some_and(|client| client.connection.is_clear());
        if !is_clear
            || self.shared.phase() != Phase::Serving
            || log::log_enabled!(log::Level::Debug)
        {
            return Ok(0);
        }
        let mut answered = 0;
        let mut closes = false;
        let mut body = None;
        while *requests < SHARE_REQUESTS && self.out.len() < WRITE_AT && !closes {
            let rest = received.get(answered..).unwrap_or_default();
            let Some(plain) = self.recognise(rest) else {
                break;
            };
            let Some(large) = self.render_hit(plain.target(rest), plain.closes) else {
                break;
            };
            answered += plain.length;
            *requests += 1;
            closes = plain.closes;
            body = large;
            if body.is_some() {
                break;
            }
        }
        if answered > 0 {
            self.send_rendered(index, closes, answered < received.len(), body)?;
        }
        Ok(answered)
    }

    /// The plain request at the start of `raw`.
    fn recognise(&mut self, raw: &[u8]) -> Option<Plain> {
        if let Some(plain) = self.memo.find(raw) {
            return Some(plain);
        }
        let plain = plain::recognise(raw, &self.shared.limits.head)?;
        self.memo.keep(raw, plain);
        Some(plain)
    }

    /// Renders the stored reply to plain requests for this target into `out`; answers its body where that is too large to
    /// copy. `None`: the store has none that may be sent as it is.
    fn render_hit(&mut self, target: &[u8], closes: bool) -> Option<Option<Bytes>> {
        let now = self.now;
        let at = match self.hot.find(target, &self.shared.proxy, now) {
            Some(at) => at,
            None => {
                let parsed = Target::parse(Bytes::copy_from_slice(target))?;
                let hit = self.shared.proxy.plain_hit(&parsed, now)?;
                let head = render::hit_head(&hit, &self.shared);
                self.hot.keep(target, hit, head)
            }
        };
        let id = self.next_id();
        let entry = self.hot.use_at(at)?;
        self.out.extend_from_slice(&entry.head);
        render::hexadecimal(&mut self.out, id.0);
        self.out.extend_from_slice(b"\r\n");
        let form = Form {
            head_only: false,
            version: Version::HTTP_11,
            closes,
        };
        form.end_head(&mut self.out);
        let body = &entry.hit.stored().body;
        if body.len() > render::SMALL_BODY {
            return Some(Some(body.clone()));
        }
        self.out.extend_from_slice(body);
        Some(None)
    }

    /// Writes what was rendered, then this body, straight to the socket; what that does not take waits in the connection.
    fn send_rendered(
        &mut self,
        index: u32,
        closes: bool,
        left_over: bool,
        body: Option<Bytes>,
    ) -> io::Result<()> {
        let now = self.now.mono;
        let mut out = std::mem::take(&mut self.out);
        let result = match self.client(index) {
            Some(client) => client.send_rendered(&out, closes, left_over, body, now),
            None => Ok(()),
        };
        out.clear();
        self.out = out;
        result
    }

    fn next_id(&mut self) -> RequestId {
        let id = self.ids.next().unwrap_or_else(|| {
            self.ids = self.shared.proxy.next_ids(IDS);
            self.ids.next().unwrap_or_default()
        });
        RequestId(id)
    }

    fn note_refused(&self, refused: Refused, peer: IpAddr) {
        let counters = self.shared.proxy.counters();
        match refused {
            Refused::Unlawful(_) => {}
            Refused::SlowHead => drop(counters.slow_heads.bump()),
            Refused::SlowBody => drop(counters.slow_bodies.bump()),
            Refused::Bodies => counters.rejections.note(RejectReason::Bodies),
        }
        counters.refused_requests.bump();
        let status = refused.status().as_u16();
        log::debug!(
            "refused a request from {peer}: {status} {}",
            refused.message()
        );
    }

    /// Tells the poll of a client it does not know yet.
    fn register(&mut self, index: u32) {
        let registry = self.poll.registry();
        let entry = self.slots.get_mut(index as usize);
        let Some(client) = entry.and_then(|entry| entry.client.as_mut()) else {
            return;
        };
        if client.registered {
            return;
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(index as usize);
        match registry.register(&mut client.stream, token, interest) {
            Ok(()) => client.registered = true,
            // Without it nothing would ever be heard of this client.
            Err(error) => {
                log::warn!("the system does not watch one more connection: {error}");
                self.close(index);
            }
        }
    }

    /// Has the wheel look at a client not later than its deadline.
    fn schedule(&mut self, index: u32) {
        let limits = &self.shared.limits;
        let entry = self.slots.get_mut(index as usize);
        let Some(client) = entry.and_then(|entry| entry.client.as_mut()) else {
            return;
        };
        let Some(deadline) = client.connection.deadline(limits) else {
            return;
        };
        let tick = Wheel::tick_of(deadline);
        if tick < client.scheduled {
            client.scheduled = self.wheel.schedule(index, tick);
        }
    }

    /// The wheel has come to an entry of a client: it may be another one's by now, or its deadline may have moved.
    fn expire(&mut self, index: u32, tick: u64) {
        let shared = Arc::clone(&self.shared);
        let step = step(&shared, self.now.mono);
        let Some(client) = self.client(index) else {
            return;
        };
        if client.scheduled != tick {
            return;
        }
        client.scheduled = NEVER;
        let peer = client.connection.peer();
        match client.connection.expire(&step) {
            Expired::Nothing => return self.schedule(index),
            Expired::Idle => {}
            Expired::SlowReader => {
                shared.proxy.counters().cut_clients.bump();
                log::debug!("cut a client that takes nothing of its replies: {peer}");
            }
            Expired::Refused(refused) => self.note_refused(refused, peer),
        }
        self.serve(index);
    }

    /// Counts what waits for a slow client, and tells the others how much that is.
    fn note_unsent(&mut self, index: u32) {
        let number = self.number;
        let shared = Arc::clone(&self.shared);
        let Some(client) = self.client(index) else {
            return;
        };
        let after = client.connection.unsent();
        let before = std::mem::replace(&mut client.unsent, after);
        if after == before {
            return;
        }
        for segment in client.connection.unsent_segments() {
            if segment.counted.is_none() {
                segment.counted = Some(shared.unsent.count(&segment.bytes));
            }
        }
        shared.note_unsent(number, before, after);
    }

    /// Too many bytes wait for slow clients: the one that most wait for goes.
    fn cut_largest(&mut self) {
        let clients = self.slots.iter().enumerate();
        let unsent = clients.filter_map(|(index, entry)| {
            let client = entry.client.as_ref()?;
            Some((client.connection.unsent(), index as u32))
        });
        let Some((unsent, index)) = unsent.max().filter(|(unsent, _)| *unsent > 0) else {
            return;
        };
        if let Some(client) = self.client(index) {
            let peer = client.connection.peer();
            log::debug!("cut a client that {unsent} bytes wait for, of too many in all: {peer}");
        }
        self.shared
            .proxy
            .counters()
            .rejections
            .note(RejectReason::UnsentReplies);
        self.close(index);
    }

    /// Ends the connections that are owed nothing.
    fn end_idle(&mut self) {
        for index in 0..self.slots.len() as u32 {
            let Some(client) = self.client(index) else {
                continue;
            };
            client.connection.end_if_idle();
            if client.connection.fate() == Fate::Close {
                self.close(index);
            }
        }
    }

    fn close_all(&mut self) {
        for index in 0..self.slots.len() as u32 {
            self.close(index);
        }
    }

    fn close(&mut self, index: u32) {
        let Some(entry) = self.slots.get_mut(index as usize) else {
            return;
        };
        let Some(mut client) = entry.client.take() else {
            return;
        };
        entry.generation += 1;
        self.free.push(index);
        client.connection.cut();
        self.rejected -= usize::from(client.slot.is_none());
        self.shared.note_unsent(self.number, client.unsent, 0);
        // Closing its descriptor takes it out of the poll.
    }
}

impl Client {
    /// Takes from the growing bodies what its responses may have. True: there is more to send.
    fn follow(&mut self, now: Duration) -> bool {
        let mut is_given = false;
        let mut at = 0;
        while let Some(following) = self.following.get_mut(at) {
            match following.step(&mut self.connection, now) {
                following::Step::Given => {
                    is_given = true;
                    at += 1;
                }
                following::Step::Waits => at += 1,
                following::Step::Over => {
                    is_given = true;
                    drop(self.following.swap_remove(at));
                }
                following::Step::Broken(resets) => {
                    if resets {
                        // Only a reset tells this client that the end of the connection is not the end of the body.
                        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                    }
                    self.connection.cut();
                    self.following.clear();
                    return false;
                }
            }
        }
        is_given
    }

    /// Whether one of its responses follows this body.
    fn follows(&self, news: &News) -> bool {
        self.following
            .iter()
            .any(|following| following.follows(news))
    }

    /// Sends what waits. `Ok(true)`: all of it went.
    fn flush(&mut self, now: Duration, bytes: &mut usize) -> io::Result<bool> {
        while self.connection.has_output() {
            if !self.writable || *bytes >= SHARE_BYTES {
                return Ok(false);
            }
            let mut slices = [IoSlice::new(&[]); 16];
            let mut count = 0;
            let mut offered = 0;
            for (slice, output) in slices.iter_mut().zip(self.connection.output()) {
                *slice = IoSlice::new(output);
                count += 1;
                offered += output.len();
            }
            let sent = match slices.get(..count) {
                Some([]) | None => 0,
                Some([only]) => write(&mut self.stream, only)?,
                Some(several) => write_vectored(&mut self.stream, several)?,
            };
            self.writable = sent == offered;
            *bytes += sent;
            self.connection.sent(sent, now);
        }
        Ok(true)
    }

    /// As [`Worker::send_rendered`].
    fn send_rendered(
        &mut self,
        out: &[u8],
        closes: bool,
        left_over: bool,
        body: Option<Bytes>,
        now: Duration,
    ) -> io::Result<()> {
        self.connection.answered_directly(false, left_over, now);
        let sent = match &body {
            None => write(&mut self.stream, out)?,
            Some(body) => {
                let slices = [IoSlice::new(out), IoSlice::new(body)];
                write_vectored(&mut self.stream, &slices)?
            }
        };
        if let Some(rest) = out.get(sent..).filter(|rest| !rest.is_empty()) {
            let rest = Bytes::copy_from_slice(rest);
            self.connection.left_unsent(rest, now);
        }
        if let Some(body) = body {
            let rest = body.slice(sent.saturating_sub(out.len()).min(body.len())..);
            if !rest.is_empty() {
                self.connection.left_unsent(rest, now);
            }
        }
        if self.connection.has_output() {
            self.writable = false;
        }
        if closes {
            self.connection.answered_directly(true, left_over, now);
        }
        Ok(())
    }
}

/// Writes once; 0 when the socket takes nothing now.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    taken(|| stream.write(bytes))
}

fn write_vectored(stream: &mut TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    taken(|| stream.write_vectored(slices))
}

fn taken(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}

fn step(shared: &Shared, now: Duration) -> Step<'_> {
    Step {
        limits: &shared.limits,
        bodies: &shared.bodies,
        now,
        stopping: shared.phase() > Phase::Serving,
    }
}

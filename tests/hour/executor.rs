//! The hands of the proxy: what its threads do elsewhere becomes events of the one queue.

use std::sync::Arc;
use std::time::Duration;

use larder::cache::flights::FetchRequest;
use larder::message::Request;
use larder::origin::permits::FlightId;
use larder::proxy::{Executor, PollEnd};
use larder::reply::Responder;

use crate::schedule::Asker;
use crate::world::{Event, News, PARKED, Waiting, World, milliseconds};

pub struct Hands(pub Arc<World>);

impl Executor for Hands {
    fn fetch(&self, flight: FlightId, fetch_request: FetchRequest) {
        self.0.fetches(flight, fetch_request);
    }

    /// Asked for as each flight begins, and for the next turn.
    fn wake(&self, at: Duration, flight: FlightId) {
        let now = self.0.now();
        if flight != FlightId::TURN {
            self.0.state().traffic.takes_off(flight, now);
            self.0.state().deadlines.insert((at, flight));
        }
        self.0.later(milliseconds(at), Event::Deadline(at, flight));
    }

    fn forget(&self, at: Duration, flight: FlightId) {
        let now = self.0.now();
        self.0.state().deadlines.remove(&(at, flight));
        // Every flight that is over is told of like this.
        self.0.state().schedule.over(flight, now);
    }

    /// None of our own endpoints is asked for here.
    fn administer(&self, _: Request, _: Box<dyn Responder>) {}

    fn polled(&self, poll: usize, end: PollEnd) {
        let state = &mut *self.0.state();
        state.news.push(News::Ended(poll, end));
    }

    fn origin_up(&self) {
        self.0.state().news.push(News::OriginUp);
    }
}

impl World {
    /// The origin is asked.
    fn fetches(&self, flight: FlightId, fetch_request: FetchRequest) {
        let now = self.now();
        let due = {
            let state = &mut *self.state();
            let (wait, fate) =
                state
                    .faults
                    .fate(&mut state.dice, fetch_request.request.target.path(), now);
            let asks = |client: &&Waiting| client.request == fetch_request.request.id;
            let is_gone = !fetch_request.safe
                && state
                    .clients
                    .iter()
                    .rev()
                    .take(PARKED * 2)
                    .find(asks)
                    .is_some_and(|client| client.gone);
            if is_gone {
                state.complaints.push(format!(
                    "{now} ms: sent for a client that left: {:?}",
                    fetch_request.request
                ));
            }
            let asked = state.traffic.asked(flight, &fetch_request);
            let asker = Asker::of(&fetch_request);
            let asked = asked.and(state.schedule.asked(flight, &asker, now));
            let asked = asked.and(state.quotas.asked(flight, fetch_request.plain, now));
            state
                .complaints
                .extend(asked.err().map(|problem| format!("{now} ms: {problem}")));
            state.traffic.ends_at(now + wait, fate);
            if state.aloud {
                println!(
                    "{now:>8} {flight:?} {fate:?} in {wait} ms: {:?} {asker:?}",
                    fetch_request.request.method
                );
            }
            (now + wait, fate)
        };
        self.later(due.0, Event::Completes(flight, fetch_request, due.1));
    }
}

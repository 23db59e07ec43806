//! What clients hear, taken down and judged.

use bytes::Bytes;
use http::header::RANGE;
use larder::message::{IdText, RequestId, ResponseHead};
use larder::outcome::Outcome;
use larder::reply::{self, Reply};

use crate::judge::{Told, judge};
use crate::ledger::Said;
use crate::world::World;

impl World {
    /// Somebody is told a whole reply.
    pub fn told(&self, number: usize, reply: &Reply) {
        let Some(proxy) = self.proxy() else { return };
        let mut head = Vec::new();
        let id = RequestId(number as u64);
        let id = IdText::new(0, id, None);
        reply::head(&mut head, reply, false, &id, proxy.via(), &self.clock);
        let stored = if let Reply::Stored { stored, .. } = reply {
            Some(stored.body.clone())
        } else {
            None
        };
        let head = String::from_utf8_lossy(&head).into_owned();
        let told = Told {
            status: reply.status(),
            outcome: reply.outcome(),
            head,
            body: reply::body(reply, &id),
            stored,
        };
        self.ends(number, Some(&told));
    }

    /// Somebody is told the head of an answer that is passed on as it comes.
    pub fn opened(&self, number: usize, head: &ResponseHead, outcome: Outcome) {
        let is_ours = matches!(
            outcome,
            Outcome::Fetched { stored: false, .. } | Outcome::Alone { .. }
        );
        if !is_ours || !head.status.is_success() {
            self.complain(format!("opened as {outcome:?}"));
        }
        self.ends(number, None);
    }

    /// A body that was passed on came to its end.
    pub fn streamed(&self, number: usize, body: Bytes) {
        let state = &mut *self.state();
        let question = &state.clients[number].question;
        let is_part = |whole: &Bytes| whole.windows(body.len().max(1)).any(|part| part == body);
        let wants_part = question.fields.contains_key(RANGE);
        let is_it = |said: &Said| said.body == body || wants_part && is_part(&said.body);
        if state
            .fake
            .ledger
            .find(&question.target, is_it, |_| true)
            .is_none()
        {
            let complaint = format!("{}: nobody ever said {body:?}", question.target);
            state.complaints.push(complaint);
        }
    }

    fn ends(&self, number: usize, told: Option<&Told>) {
        let now = self.now();
        let state = &mut *self.state();
        let Some(client) = state.clients.get_mut(number) else {
            return;
        };
        client.told += 1;
        state.waiting -= usize::from(client.told == 1);
        let verdict = told.map_or(Ok(()), |told| {
            judge(&client.question, told, &state.fake.ledger, now)
        });
        let twice = if client.told > 1 {
            Err("told twice".to_owned())
        } else {
            Ok(())
        };
        if let Err(problem) = verdict.and(twice) {
            let head = told.map(|told| told.head.as_str()).unwrap_or_default();
            let body = told.map(|told| &told.body);
            state.complaints.push(format!(
                "{now} ms: {problem}: {:?}\n{head}{body:?}",
                client.question
            ));
        }
        if state.aloud {
            let told = told.map(|told| (told.status, told.outcome));
            println!(
                "{now:>8} client {number} {} {}: {told:?}",
                client.question.method, client.question.target
            );
        }
        let said = told.map_or(0, |told| {
            u64::from(told.status.as_u16()) + told.body.len() as u64 * 1_000
        });
        state.trace =
            (state.trace ^ now ^ (number as u64) << 40 ^ said << 20).wrapping_mul(0x0100_0000_01B3);
    }

    pub fn is_gone(&self, number: usize) -> bool {
        self.state()
            .clients
            .get(number)
            .is_none_or(|client| client.gone)
    }

    /// Nobody can tell this client anything any more.
    pub fn dropped(&self, number: usize) {
        let mut state = self.state();
        state.held -= 1;
        if state
            .clients
            .get(number)
            .is_none_or(|client| client.told == 0)
        {
            let question = state
                .clients
                .get(number)
                .map(|client| client.question.clone());
            state.complaints.push(format!("never told: {question:?}"));
        }
    }
}

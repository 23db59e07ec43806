//! The origin's part: it answers what the step in progress says, in order, and takes down what it was asked.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::scenario;
use super::times::{Moment, resolve};
use crate::support::{Answer, Gate};

/// What the origin says next, and what it heard.
#[derive(Default)]
pub struct Script(Mutex<State>);

#[derive(Default)]
struct State {
    prefix: String,
    answers: VecDeque<Line>,
    heard: Vec<Heard>,
    /// Closed as long as the scenario lasts.
    end: Gate,
}

/// One answer as bytes.
enum Line {
    Says {
        head: Vec<u8>,
        body: Vec<u8>,
        closes: bool,
    },
    Silent,
    /// True once it was asked.
    Refuses(bool),
}

/// A request as the origin received it. Each byte of a field value is one char (Latin-1).
#[derive(Clone, Debug)]
pub struct Heard {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// Name and value of every field, in order.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The step had no answer left for it.
    pub unexpected: bool,
}

impl Script {
    /// Begins a scenario whose targets begin with `prefix`.
    pub fn begin(&self, prefix: &str) {
        *self.state() = State {
            prefix: prefix.to_owned(),
            ..State::default()
        };
    }

    /// Ends it: who was to wait for ever waits no longer.
    pub fn end(&self) {
        self.state().end.open();
    }

    /// Sets the answers of the next step.
    pub fn expect(&self, answers: &[scenario::Answer], moment: &Moment) {
        self.state().answers = answers
            .iter()
            .map(|answer| Line::of(answer, moment))
            .collect();
    }

    /// What was heard since the scenario began.
    pub fn heard(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    /// How many answers nobody asked for.
    pub fn left(&self) -> usize {
        self.state()
            .answers
            .iter()
            .filter(|line| !matches!(line, Line::Refuses(true)))
            .count()
    }

    /// Answers one request.
    pub fn answer(&self, method: &str, target: &str, head: &[u8], body: &[u8]) -> Answer {
        let mut state = self.state();
        let ours = target
            .strip_prefix(&state.prefix)
            .is_some_and(|path| path.is_empty() || path.starts_with(['/', '?']));
        if !ours {
            return Answer::status(500).body("this scenario is over");
        }
        let line = match state.answers.front_mut() {
            Some(Line::Refuses(asked)) => {
                *asked = true;
                Some(Line::Refuses(true))
            }
            _ => state.answers.pop_front(),
        };
        let method = method.to_owned();
        let target = target.to_owned();
        let body = body.to_vec();
        let unexpected = line.is_none();
        let answer = match line {
            None => Answer::status(500).body("the scenario does not expect this request"),
            Some(Line::Refuses(_)) => Answer::nothing(),
            Some(Line::Silent) => Answer::nothing().after(&state.end),
            Some(Line::Says {
                mut head,
                body,
                closes,
            }) => {
                if method != "HEAD" {
                    head.extend_from_slice(&body);
                }
                let answer = Answer::verbatim(head);
                if closes { answer.closing() } else { answer }
            }
        };
        state.heard.push(Heard {
            method,
            target,
            fields: fields_of(head),
            body,
            unexpected,
        });
        answer
    }

    /// A test that failed while holding the lock must not hide its own message.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heard {
    /// The values of every field of that name, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

impl Line {
    fn of(answer: &scenario::Answer, moment: &Moment) -> Line {
        if answer.refuse {
            return Line::Refuses(false);
        }
        if answer.silent {
            return Line::Silent;
        }
        let mut head = Vec::new();
        for interim in &answer.interim {
            head.extend(head_bytes(interim.status, &interim.fields, moment));
        }
        let names = |name: &str| {
            answer
                .fields
                .iter()
                .any(|(field, _)| field.eq_ignore_ascii_case(name))
        };
        let mut fields = answer.fields.clone();
        let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
        if !answer.no_date && !names("Date") {
            add("Date", "{now}".to_owned());
        }
        let length = answer.body.len() as u64;
        let bodiless = matches!(answer.status, 100..=199 | 204 | 304);
        match answer.length {
            _ if names("Content-Length") || names("Transfer-Encoding") || answer.close => {}
            _ if answer.chunked => add("Transfer-Encoding", "chunked".to_owned()),
            Some(claimed) => add("Content-Length", claimed.to_string()),
            None if bodiless => {}
            None => add("Content-Length", length.to_string()),
        }
        let closes =
            answer.close || answer.cut || answer.length.is_some_and(|claimed| claimed > length);
        if closes && !names("Connection") {
            add("Connection", "close".to_owned());
        }
        head.extend(head_bytes(answer.status, &fields, moment));
        let mut body = answer.body.clone().into_bytes();
        if answer.chunked && !bodiless {
            body = [
                format!("{length:x}\r\n").as_bytes(),
                &body,
                b"\r\n0\r\n\r\n",
            ]
            .concat();
        }
        if answer.cut {
            body.truncate(body.len() / 2);
        }
        Line::Says { head, body, closes }
    }
}

fn head_bytes(status: u16, fields: &[(String, String)], moment: &Moment) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} As told\r\n").into_bytes();
    head.extend(field_lines(fields, moment));
    head.extend_from_slice(b"\r\n");
    head
}

/// Field lines as bytes; each char of a value is one byte (Latin-1).
pub fn field_lines(fields: &[(String, String)], moment: &Moment) -> Vec<u8> {
    let line = |(name, value): &(String, String)| {
        let value =
            resolve(value, moment).expect("placeholders were looked at when the file was read");
        format!("{name}: {value}\r\n")
            .chars()
            .map(|c| u8::try_from(c).expect("a char of Latin-1"))
            .collect::<Vec<u8>>()
    };
    fields.iter().flat_map(line).collect()
}

fn fields_of(head: &[u8]) -> Vec<(String, String)> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let field = |line: &str| {
        line.split_once(':')
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
    };
    text.split("\r\n").skip(1).filter_map(field).collect()
}

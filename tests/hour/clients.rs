//! Who asks: anything, at random, and some leave before they are told.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version, header};
use larder::cache::shared_body::{Listener, Next, Reader};
use larder::message::{Body, Request, RequestId, ResponseHead, Target};
use larder::outcome::Outcome;
use larder::reply::{Reply, Responder};

use crate::dice::Dice;
use crate::endpoints::{ENDPOINTS, Kind};
use crate::world::World;

/// One request, as the judge needs to know it.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: Method,
    pub target: String,
    pub language: String,
    /// What If-None-Match names.
    pub tag: Option<String>,
    /// Milliseconds of virtual time.
    pub asked: u64,
    pub fields: HeaderMap,
}

impl Question {
    /// Any question there is. `tags`: how many answers may have been named by one so far.
    pub fn any(dice: &mut Dice, tags: usize, now: u64) -> Question {
        // Three of four want what dashboards want.
        let endpoint = if dice.one_in(4) {
            dice.of(&ENDPOINTS)
        } else {
            dice.of(&ENDPOINTS[..9])
        };
        let mut question = Question {
            method: Method::GET,
            target: endpoint.path.to_owned(),
            language: String::new(),
            tag: None,
            asked: now,
            fields: HeaderMap::new(),
        };
        if endpoint.path == "/v1/rates" && dice.one_in(2) {
            question.target = format!("/v1/rates?of={}", dice.below(4));
        }
        if endpoint.kind == Kind::Spoken {
            question.language = dice.of(&["", "de", "en", "fr"]).to_owned();
            question.says(header::ACCEPT_LANGUAGE, &question.language.clone());
        }
        match dice.below(40) {
            0 | 1 => question.method = Method::HEAD,
            2 | 3 => question.says(header::CACHE_CONTROL, "no-cache"),
            4 => question.says(header::CACHE_CONTROL, "no-store"),
            5 => question.says(header::CACHE_CONTROL, "only-if-cached"),
            6 => question.says(header::CACHE_CONTROL, "max-age=5"),
            7 | 8 => question.says(
                header::RANGE,
                &format!("bytes={}-{}", dice.below(9), dice.between(9, 40)),
            ),
            9..=11 if tags > 0 && matches!(endpoint.kind, Kind::Tagged | Kind::Spoken) => {
                let tag = format!(
                    "\"s{}\"",
                    tags - 1 - dice.below(tags.min(40) as u64) as usize
                );
                question.says(header::IF_NONE_MATCH, &tag);
                question.tag = Some(tag);
            }
            12..=19 if !endpoint.says.is_empty() || endpoint.kind == Kind::Checked => {
                question.method = Method::POST
            }
            _ => {}
        }
        question
    }

    /// The plain GET for a path.
    pub fn plain(path: &str, now: u64) -> Question {
        let target = path.to_owned();
        let language = String::new();
        let fields = HeaderMap::new();
        Question {
            method: Method::GET,
            target,
            language,
            tag: None,
            asked: now,
            fields,
        }
    }

    pub fn request(&self, id: RequestId) -> Request {
        Request {
            method: self.method.clone(),
            target: Target::parse(Bytes::from(self.target.clone())).expect("a target"),
            version: Version::HTTP_11,
            fields: self.fields.clone(),
            body: Body::default(),
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            id,
        }
    }

    fn says(&mut self, name: header::HeaderName, value: &str) {
        if !value.is_empty() {
            self.fields
                .insert(name, HeaderValue::from_str(value).expect("a value"));
        }
    }
}

/// Where one client's reply goes.
pub struct Client {
    pub world: Arc<World>,
    pub number: usize,
}

impl Responder for Client {
    fn reply(&mut self, reply: Reply) {
        self.world.told(self.number, &reply);
    }

    fn open(&mut self, head: &ResponseHead, outcome: Outcome, body: Reader) {
        self.world.opened(self.number, head, outcome);
        let stream = Arc::new(Stream {
            world: Arc::clone(&self.world),
            number: self.number,
            taking: Mutex::new(Some((body, Vec::new()))),
        });
        let listener: Arc<dyn Listener> = Arc::clone(&stream) as Arc<dyn Listener>;
        if let Some((reader, _)) = &*stream.taking.lock().unwrap() {
            reader.listen(&listener);
        }
        stream.grew();
    }

    fn gone(&self) -> bool {
        self.world.is_gone(self.number)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.world.dropped(self.number);
    }
}

/// Takes a body as it comes.
struct Stream {
    world: Arc<World>,
    number: usize,
    /// `None` once it is over, or its client is gone.
    taking: Mutex<Option<(Reader, Vec<Bytes>)>>,
}

impl Listener for Stream {
    fn grew(&self) {
        // It is told of an end while it begins to listen; then it looks itself.
        let Ok(mut taking) = self.taking.try_lock() else {
            return;
        };
        let Some((reader, body)) = &mut *taking else {
            return;
        };
        match reader.take(usize::MAX, body) {
            Next::More | Next::Wait if !self.world.is_gone(self.number) => return,
            Next::End => self.world.streamed(self.number, body.concat().into()),
            Next::More | Next::Wait | Next::Cut => {}
        }
        *taking = None;
    }
}

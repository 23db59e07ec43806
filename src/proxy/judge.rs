impl Proxy {
    /// Turns a whole response into what the flight lands with.
    fn judge(&self, flight: FlightId, errand: &Errand, came: Came) -> Judgement {
        let Came { mut response, sent, asked, validated } = came;
        self.after_unsafe(flight, errand, response.status, &response.fields);
        let (request, status, received) = (&errand.request, response.status, self.clock.now());
        if request.method == Method::HEAD {
            self.after_head(request, &response, &sent, asked);
        }
        let rule = self.routes.find(&request.target).rule;
        let verdict = self.may_store(errand, &response, &sent, (asked, received));
        self.adapt(errand, &mut response.fields);
        let shared = |lifetime, selecting, response: &Response| {
            errand.key.as_ref().map(|key| {
                let (stored, differs) = self.stored(key, response, lifetime, selecting, received);
                let whole = differs || !errand.shared;
                (Shared { stored: Arc::new(stored), sent: Arc::new(sent), validated, whole: None }, whole)
            })
        };
        if is_failure(status) && !refuses_head(&request.method, status) {
            let keeps = match verdict {
                Storing::Store { lifetime, selecting } => shared(lifetime, selecting, &response).map(|(answer, _)| answer),
                Storing::Refuse(_) => None,
            };
            let retry_after = self.retry_after(&response.fields);
            let cause = Cause::Status(status.as_u16());
            if let (None, true, Some(seconds)) = (retry_after, errand.safe, cause.retry_after()) {
                response.fields.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            return Judgement::Lands(Landing::Failed { cause, response: Some(Arc::new(response)), retry_after, keeps });
        }
        let home = self.judge_by_home(request, rule, &response, received);
        let body = response.body.clone();
        let landing = match verdict {
            Storing::Refuse(Refusal::CheckFailed(_)) => Landing::failed(Cause::CheckFailed),
            _ if matches!(home, HomeVerdict::Bad(_)) => Landing::failed(Cause::CheckFailed),
            Storing::Store { lifetime, selecting } => match shared(lifetime, selecting, &response) {
                Some((answer, true)) => Landing::Shared(Shared { whole: Some(Arc::new(response)), ..answer }),
                Some((answer, false)) => Landing::Shared(answer),
                None => Landing::Unshared(Arc::new(response)),
            },
            Storing::Refuse(_) => Landing::Unshared(Arc::new(response)),
        };
        let doubt = match (home, rule.home) {
            (HomeVerdict::NeedsWitness, _) => Doubt::Level,
            (HomeVerdict::NeedsMeters, Some(kind)) => Doubt::Emptiness(kind, request.target.clone()),
            _ => return Judgement::Lands(landing),
        };
        Judgement::Held(Held { landing, body, doubt })
    }

    fn may_store(&self, errand: &Errand, response: &Response, sent: &HeaderMap, (asked, received): (Now, Now)) -> Storing {
        let request = &errand.request;
        let route = self.routes.find(&request.target);
        may_store(&Exchange {
            method: &request.method,
            request: &request.fields,
            sent,
            has_body: request.body.lease.is_some(),
            identity: self.has_identity(request),
            names_itself: self.names_itself(request, response),
            status: response.status,
            response: &response.fields,
            body: &response.body,
            rule: route.rule,
            default_applies: route.default_applies,
            defaults: &self.config.cache.defaults,
            targeted: &self.config.cache.targeted_fields,
            is_unseen: forward::is_never_sent,
            asked,
            received,
        })
    }

    /// What is stored of a response, and whether fields of it are left out: those that may not be used again unconfirmed
    /// (RFC 9111 §5.2.2.4).
    fn stored(
        &self,
        key: &Key,
        response: &Response,
        lifetime: crate::policy::freshness::Lifetime,
        selecting: Option<Box<crate::policy::vary::Selecting>>,
        received: Now,
    ) -> (Stored, bool) {
        let word = Word::of(&response.fields, &self.config.cache.targeted_fields);
        let left_out = fields_to_confirm(&response.fields, &word);
        let differs = left_out.iter().any(|name| response.fields.contains_key(name));
        let (head, fields_end) = reply::stored_head(response, &left_out, &lifetime, received, &self.via);
        let stored = Stored {
            key: key.clone(),
            status: response.status,
            head,
            fields_end,
            body: response.body.clone(),
            lifetime,
            selecting,
            hits: AtomicU32::new(0),
            used: AtomicU32::new(0),
        };
        (stored, differs)
    }

    /// The answer to a HEAD tells whether the stored answer to GET is still that one: it is freshened, or goes (RFC 9111 §4.3.5).
    fn after_head(&self, request: &Arc<Request>, answer: &Response, sent: &HeaderMap, asked: Now) {
        let key = Key::new(None, ROLE, &request.target);
        let known = self.store.peek(key.as_str()).and_then(|variants| variants.into_selected(&request.fields));
        let Some(known) = known.filter(|known| answer.status == StatusCode::OK && known.status == StatusCode::OK) else {
            return;
        };
        let fields = known.fields();
        if !validation::head_confirms(&fields, known.body.len() as u64, &answer.fields) {
            self.store.remove(key.as_str());
            return;
        }
        let fields = validation::freshen(&fields, &answer.fields);
        let response = Response { status: known.status, fields, body: known.body.clone() };
        let received = self.clock.now();
        let get = Errand::plain(Arc::new(super::plain(request)), key.clone());
        if let Storing::Store { lifetime, selecting } = self.may_store(&get, &response, sent, (asked, received)) {
            let (stored, _) = self.stored(&key, &response, lifetime, selecting, received);
            let (stored, sent) = (Arc::new(stored), Arc::new(sent.clone()));
            self.submit(Work::Insert(Shared { stored, sent, validated: true, whole: None }));
        }
    }

    /// What the answer means in this home, where the route asks.
    fn judge_by_home(&self, request: &Request, rule: &Rule, response: &Response, now: Now) -> HomeVerdict {
        match rule.home {
            Some(kind) if request.method == Method::GET && response.status.is_success() => {
                self.home.lock().judge(request.target.as_str(), kind, &response.body, now)
            }
            _ => HomeVerdict::Good,
        }
    }

    /// Makes the fields of an answer what the route wants them to be for its clients.
    fn adapt(&self, errand: &Errand, fields: &mut HeaderMap) {
        let rule = self.routes.find(&errand.request.target).rule;
        if rule.set_cookie == SetCookie::Strip {
            fields.remove(header::SET_COOKIE);
        }
        if rule.cors {
            fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        if let (true, OriginUrl::Http(authority)) = (rule.own_location, &self.config.backend.origin) {
            forward::make_location_ours(fields, authority);
        }
    }

    /// When the origin wants to be asked again (RFC 9110 §10.2.3): seconds, or a date.
    fn retry_after(&self, fields: &HeaderMap) -> Option<Duration> {
        let text = fields.get(header::RETRY_AFTER)?.as_bytes();
        let seconds = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
        let now = self.clock.now();
        let until = || u64::try_from(dates::parse(text, now)?).ok()?.checked_sub(now.wall.as_secs());
        seconds.or_else(until).map(Duration::from_secs)
    }

    /// A successful unsafe request makes what is stored for its target worthless (RFC 9111 §4.4).
    fn after_unsafe(&self, errand: &Errand, status: StatusCode) {
        if !errand.safe && (status.is_success() || status.is_redirection()) {
            self.invalidate(&errand.request.target);
        }
    }


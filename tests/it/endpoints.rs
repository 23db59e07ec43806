//! Row C-3: docs/openapi.json and docs/METRICS.md say what our own endpoints say, no more and no less.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Answer, App, Gate, Origin, config, config_for, eventually};

/// The description, and what of it was met so far: `METHOD path field`.
struct Described {
    document: Value,
    met: BTreeSet<String>,
}

impl Described {
    fn read() -> Described {
        Described {
            document: serde_json::from_str(&page("openapi.json")).expect("JSON"),
            met: BTreeSet::new(),
        }
    }

    /// Every endpoint: its method and path. Those that change something come last.
    fn endpoints(&self) -> Vec<(String, String)> {
        let paths = self.document["paths"].as_object().expect("paths");
        let of = |(path, methods): (&String, &Value)| {
            let methods = methods.as_object().expect("methods");
            methods
                .keys()
                .map(|method| (method.to_uppercase(), path.clone()))
                .collect::<Vec<_>>()
        };
        let mut endpoints: Vec<(String, String)> = paths.iter().flat_map(of).collect();
        endpoints.sort();
        endpoints
    }

    fn schema(&self, method: &str, path: &str) -> &Value {
        let answer = &self.document["paths"][path][method.to_lowercase()]["responses"]["200"];
        &answer["content"]["application/json"]["schema"]
    }

    /// Asks every endpoint and compares what it says.
    #[track_caller]
    fn meet(&mut self, app: &App) {
        for (method, path) in self.endpoints() {
            let reply = app
                .client()
                .request(&method, &format!("/_larder{path}"), &[], b"");
            assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
            let said: Value = serde_json::from_slice(&reply.body).expect("JSON");
            let schema = self.schema(&method, &path).clone();
            each_field(&said, &schema, "", &mut |field| {
                self.met.insert(format!("{method} {path} {field}"));
            });
        }
    }

    /// Every field there is to meet.
    fn all(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for (method, path) in self.endpoints() {
            each_property(self.schema(&method, &path), "", &mut |field| {
                all.insert(format!("{method} {path} {field}"));
            });
        }
        all
    }
}

#[test]
fn c3_the_descriptions_say_what_the_endpoints_say() {
    let gate = Gate::closed();
    let origin = Origin::serving([
        ("/polled", Answer::ok("good")),
        ("/bad", Answer::status(500).body("no")),
        ("/slow", Answer::ok("slow").after(&gate)),
        ("/next", Answer::ok("next").after(&gate)),
    ]);
    let more = json!({ "backend": { "maxConcurrentRequests": 1 }, "cache": { "slowRequestTimeout": 60000 }, "admin": { "hosts": ["larder.test"] },
        "urlConfigs": [{ "path": "/polled", "pollInterval": 3600, "cacheTTL": 60 }] });
    let app = App::start(&config_for(&origin, more));
    assert!(eventually(
        || app.client().get("/polled").cache_status() == "HIT"
    ));
    app.client().get("/bad");
    let mut waiting = [app.client(), app.client()];
    for (client, target) in waiting.iter_mut().zip(["/slow", "/next"]) {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    origin.await_requests("/slow", 1);
    let queued = || {
        app.client()
            .get("/_larder/health")
            .text()
            .contains("\"queueLength\":1")
    };
    assert!(eventually(queued));
    let gone = App::start(&config(
        &Origin::serving([]).url(),
        json!({ "admin": { "hosts": ["larder.test"] } }),
    ));
    assert_eq!(gone.client().get("/").status, 502);

    let mut described = Described::read();
    described.meet(&gone);
    described.meet(&app);

    gate.open();
    let unmet: Vec<String> = described
        .all()
        .difference(&described.met)
        .cloned()
        .collect();
    assert_eq!(unmet, Vec::<String>::new(), "described, and not said");
}

#[test]
fn c3_the_description_has_the_rows_of_the_table() {
    let described = Described::read();
    let rows: BTreeSet<String> = described
        .endpoints()
        .iter()
        .map(|(method, path)| {
            let endpoint = &described.document["paths"][path][method.to_lowercase()];
            format!("{method} {path} {}", endpoint["summary"])
        })
        .collect();
    let table = larder::endpoints::TABLE.iter().map(|endpoint| {
        let summary = json!(endpoint.summary);
        format!("{} {} {summary}", endpoint.method, endpoint.path)
    });
    assert_eq!(rows, table.collect());
}

#[test]
fn c3_every_field_has_its_line_in_the_page_of_metrics() {
    let metrics = page("METRICS.md");
    let mut lines = BTreeSet::new();
    let mut endpoint = "";
    for line in metrics.lines() {
        if let Some(heading) = line.strip_prefix("## `") {
            endpoint = heading.trim_end_matches('`');
        } else if let Some((field, _)) = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split_once('`'))
        {
            lines.insert(format!("{endpoint} {field}"));
        }
    }
    assert_eq!(lines, Described::read().all());
}

/// Walks through what was said along its schema; a member that is not described, or of another type, is a failure.
#[track_caller]
fn each_field(said: &Value, schema: &Value, place: &str, met: &mut impl FnMut(&str)) {
    let fits = match schema["type"].as_str().expect("a type") {
        "object" => said.is_object(),
        "array" => said.is_array(),
        "string" => said.is_string(),
        "boolean" => said.is_boolean(),
        "integer" => said.is_u64(),
        "number" => said.is_number(),
        other => panic!("{place}: {other}"),
    };
    assert!(fits, "{place}: {said} is no {}", schema["type"]);
    for (name, member) in said.as_object().into_iter().flatten() {
        let (schema, place) = match (
            schema["properties"].get(name),
            schema.get("additionalProperties"),
        ) {
            (Some(schema), _) => (schema, below(place, name)),
            (None, Some(schema)) => (schema, below(place, "*")),
            (None, None) => panic!("{place} has {name}, which nobody describes"),
        };
        met(&place);
        each_field(member, schema, &place, met);
    }
    for item in said.as_array().into_iter().flatten() {
        each_field(item, &schema["items"], &format!("{place}[]"), met);
    }
}

/// Walks through all that a schema describes and that says something by itself.
fn each_property(schema: &Value, place: &str, found: &mut impl FnMut(&str)) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let place = below(place, name);
        if member.get("properties").is_none() {
            found(&place);
        }
        each_property(member, &place, found);
    }
    for (key, mark) in [("additionalProperties", ".*"), ("items", "[]")] {
        if let Some(member) = schema.get(key) {
            each_property(member, &format!("{place}{mark}"), found);
        }
    }
}

fn below(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    }
}

fn page(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name),
    )
    .expect("a page")
}

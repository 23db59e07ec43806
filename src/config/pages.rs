//! What is made from the table: the reference, the schema, the example, `.env.example`, and `--print-config`.

use serde_json::{Value, json};

use super::environment::{self, SECRETS};
use super::key::Key;
use super::table::{SECTIONS, Table};
use super::{Config, Loaded, Preset, Source};
use crate::policy::rule::Rule;
use crate::route::{Pattern, Route};

const REFERENCE: &str = "\
# Configuration

Every key and every variable. This page is made from `src/config/table.rs` and `src/config/environment.rs`: change them, then run
`LARDER_BLESS=1 cargo test --test configuration`. [config.example.json](../config.example.json) shows every key in place.

The first of these that sets a key wins: the command line, the environment, `.env` in the working directory, the configuration file,
the preset. The file is the one that `--config` names, else `CONFIG_PATH`, else `config.json` in the working directory if it exists.
`larder --check-config` reports every mistake at once and ends with status 2 if there is one. `larder --print-config` prints
every value and where it comes from.

A number without a unit counts in the unit of its key. A text has a unit of its own: `\"250ms\"`, `\"5s\"`, `\"2m\"`, `\"1h\"`, `\"16KiB\"`,
`\"8MiB\"`. `null` leaves a key as it is. Comments begin with `//`; keys named `comment` are ignored.
";

const ROUTES: &str = "
## `urlConfigs`: a list of routes

Each member has a path. Its keys change the preset's route of the same path, key by key, or make a new route.

| key | value | without it | what it does |
|---|---|---|---|
";

const ENVIRONMENT: &str = "
## Environment

An empty variable counts as unset. If two variables set one key, the later in this table wins. `--check-config` explains those
that are set. Larder warns about an unknown variable that begins like one of its own.

| variable | what it does |
|---|---|
";

const DOTENV: &str = "\
# Every variable Larder knows. Copy this to .env in its working directory and uncomment what you want. The environment wins over
# .env, and both win over the configuration file. Made by LARDER_BLESS=1 cargo test --test configuration
";

const EXAMPLE: &str = "\
// Larder's configuration: every key with its default. Leave out what you do not change.
// Numbers are seconds, or milliseconds if the key ends in Timeout or Ms. Texts have a unit: \"5s\", \"250ms\", \"8MiB\".
// larder --check-config reports every mistake at once. Made by LARDER_BLESS=1 cargo test --test configuration
";

/// Comments in the example end before this column.
const WIDTH: usize = 100;

/// `docs/CONFIGURATION.md`.
pub fn reference(table: &Table) -> String {
    let mut page = String::from(REFERENCE);
    let mut section = None;
    for key in &table.keys {
        let own = key.path.split_once('.').map(|(section, _)| section);
        if own != section || page.len() == REFERENCE.len() {
            section = own;
            let title = own.map_or("Top level".to_owned(), |own| format!("`{own}`"));
            let about = own.map_or("", about);
            page.push_str(&format!("\n## {title}\n\n"));
            if !about.is_empty() {
                page.push_str(&format!("{about}\n\n"));
            }
            page.push_str("| key | value | default | what it does |\n|---|---|---|---|\n");
        }
        page.push_str(&row(key, &default(table, key)));
    }
    page.push_str(ROUTES);
    for key in &table.routes {
        page.push_str(&row(key, key.otherwise));
    }
    page.push_str(ENVIRONMENT);
    for (name, meaning) in environment::all(table) {
        page.push_str(&format!("| `{name}` | {meaning} |\n"));
    }
    let secrets = SECRETS.map(|name| format!("`{name}`")).join(", ");
    page.push_str(&format!(
        "\nFor these secrets, `NAME_FILE` may name a file that holds the value: {secrets}.\n"
    ));
    page
}

fn row<C: Clone + 'static>(key: &Key<C>, default: &str) -> String {
    let mut ways: Vec<String> = key
        .variables
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if !key.flag.is_empty() {
        ways.push(format!("`{}`", key.flag));
    }
    let ways = match ways[..] {
        [] => String::new(),
        _ => format!(" Also {}.", ways.join(", ")),
    };
    format!(
        "| `{}` | {} | {default} | {}{ways} |\n",
        key.path, key.kind, key.doc
    )
}

/// The default of each preset.
fn default(table: &Table, key: &Key<Config>) -> String {
    if !key.is_listed {
        return String::new();
    }
    let of = |preset| format!("`{}`", key.print(&Config::with(table, preset)));
    match (of(Preset::Pypowerwall), of(Preset::Api)) {
        (one, other) if one == other => one,
        (one, other) => format!("{one}; api: {other}"),
    }
}

fn about(section: &str) -> &'static str {
    let found = SECTIONS.iter().find(|(path, _)| *path == section);
    found.map_or("", |(_, about)| about)
}

/// `.env.example`: every variable, commented out, below what it means.
pub fn dotenv(table: &Table) -> String {
    let mut file = String::from(DOTENV);
    for (name, meaning) in environment::all(table) {
        if name.ends_with('*') {
            continue;
        }
        let also = match SECRETS.contains(&name) {
            true => format!("; or {name}_FILE, a file with the value"),
            false => String::new(),
        };
        file.push_str(&format!("\n# {meaning}{also}\n# {name}=\n"));
    }
    file
}

/// `docs/config.schema.json`: with it an editor completes names and marks mistakes.
pub fn schema(table: &Table) -> String {
    let mut member = object();
    for key in &table.routes {
        place(&mut member, key.path, described(key));
    }
    let mut schema = object();
    for key in &table.keys {
        place(&mut schema, key.path, described(key));
    }
    let routes = json!({ "type": ["array", "null"], "items": member });
    place(&mut schema, "urlConfigs", routes);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("The configuration of Larder");
    format!("{schema:#}\n")
}

fn object() -> Value {
    json!({ "type": ["object", "null"], "properties": { "comment": {} }, "additionalProperties": false })
}

/// Adds what a key may be at its path, with the objects on the way.
fn place(schema: &mut Value, path: &str, what: Value) {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    let inner = &mut schema["properties"][name];
    if rest.is_empty() {
        *inner = what;
        return;
    }
    if inner.is_null() {
        *inner = object();
    }
    place(inner, rest, what);
}

/// What a key may be; `null` leaves every key as it is.
fn described<C: Clone + 'static>(key: &Key<C>) -> Value {
    let mut schema = key.schema.clone();
    for (list, null) in [("type", json!("null")), ("enum", Value::Null)] {
        if let Some(Value::Array(list)) = schema.get_mut(list) {
            list.push(null);
        }
    }
    schema["description"] = json!(key.doc);
    schema
}

/// `config.example.json`.
pub fn example(table: &Table) -> String {
    let config = Config::with(table, Preset::Pypowerwall);
    let blank = blank();
    let keys = table.keys.iter().filter(|key| key.is_listed);
    let mut lines: Vec<Line<'_>> = keys.map(|key| line(key, &config)).collect();
    let mut member = String::new();
    let routes: Vec<Line<'_>> = table.routes.iter().map(|key| line(key, &blank)).collect();
    let of_member = "urlConfigs[].";
    write_object(&mut member, 2, of_member, of_member.len(), &routes);
    lines.push(Line {
        path: "urlConfigs",
        doc: "Routes. The keys of a route change the preset's route of the same path, or make a new one.",
        value: format!("[\n    {member}\n  ]"),
    });
    let mut file = String::from(EXAMPLE);
    write_object(&mut file, 0, "", 0, &lines);
    file.push('\n');
    file
}

struct Line<'a> {
    path: &'a str,
    doc: &'a str,
    value: String,
}

fn line<'a, C: Clone + 'static>(key: &'a Key<C>, of: &C) -> Line<'a> {
    let value = match key.example {
        "" => spaced(&key.print(of)),
        example => example.to_owned(),
    };
    Line {
        path: key.path,
        doc: key.doc,
        value,
    }
}

/// A plain value on one line, as people write it.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(members) => {
            let members: Vec<String> = members.iter().map(spaced).collect();
            format!("[{}]", members.join(", "))
        }
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| format!("\"{name}\": {}", spaced(value));
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{ {} }}", members.join(", "))
        }
        plain => plain.to_string(),
    }
}

/// Writes an object with a comment above each key and each section. `section` is its path with the dot, of which the first
/// `hidden` bytes are not in the paths of the lines.
fn write_object(out: &mut String, depth: usize, section: &str, hidden: usize, lines: &[Line<'_>]) {
    let indent = "  ".repeat(depth + 1);
    let inside = section.len() - hidden;
    let name_of = |line: &Line<'_>| {
        line.path[inside..]
            .split('.')
            .next()
            .unwrap_or_default()
            .len()
    };
    out.push_str("{\n");
    let mut rest = lines;
    while let Some(first) = rest.first() {
        let name = &first.path[inside..][..name_of(first)];
        let is_same = |line: &&Line<'_>| line.path[inside..][..name_of(line)] == *name;
        let (group, after) = rest.split_at(rest.iter().take_while(is_same).count());
        let is_section = first.path.len() > inside + name.len();
        let path = format!("{section}{name}");
        comment(
            out,
            &indent,
            if is_section { about(&path) } else { first.doc },
        );
        out.push_str(&format!("{indent}\"{name}\": "));
        match is_section {
            true => write_object(out, depth + 1, &format!("{path}."), hidden, group),
            false => out.push_str(&first.value),
        }
        out.push_str(if after.is_empty() { "\n" } else { ",\n" });
        if depth == 0 && !after.is_empty() {
            out.push('\n');
        }
        rest = after;
    }
    out.push_str(&format!("{}}}", "  ".repeat(depth)));
}

/// Writes a text as comment lines of a bounded width.
fn comment(out: &mut String, indent: &str, text: &str) {
    let mut line = String::new();
    for word in text.replace('`', "").split(' ') {
        if !line.is_empty() && indent.len() + line.len() + word.len() + 4 > WIDTH {
            out.push_str(&format!("{indent}//{line}\n"));
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&format!("{indent}//{line}\n"));
}

/// `--print-config`: every key with its value and where that comes from, a line each; a route's keys only where they are set.
pub fn listing(table: &Table, loaded: &Loaded) -> String {
    let Loaded {
        config, sources, ..
    } = loaded;
    let mut page = String::new();
    for key in table.keys.iter().filter(|key| key.is_listed) {
        let mut others = table.keys.iter();
        let from = match others.find(|other| other.other_name_of == key.path) {
            Some(other) => sources.of_either(key.path, other.path),
            None => sources.of(key.path),
        };
        let from = match from {
            Source::Preset if key.path == "preset" => loaded.preset_because.clone(),
            source => format!("from {source}"),
        };
        page.push_str(&format!(
            "{} = {}   ({from})\n",
            key.path,
            key.print(config)
        ));
    }
    let blank = blank();
    for route in &config.routes {
        let path = table.routes[0].print(route);
        for key in &table.routes[1..] {
            let value = key.print(route);
            if value != key.print(&blank) {
                let from = sources.of_route(&path, key.path);
                page.push_str(&format!(
                    "urlConfigs[{path}].{} = {value}   (from {from})\n",
                    key.path
                ));
            }
        }
    }
    page
}

/// A route that says nothing.
fn blank() -> Route {
    Route {
        pattern: Pattern::ExactPath(String::new()),
        rule: Rule::default(),
    }
}

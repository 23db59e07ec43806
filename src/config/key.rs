//! A key of the configuration: one row that says everything there is to say about it.

use serde_json::Value;

use super::kinds::{Kind, Parsed};
use super::{Config, Preset};
use crate::route::Route;

/// One row of the table: a key of a `C`, which is the [`Config`] or a [`Route`].
pub struct Key<C> {
    /// Its place, such as `cache.maxBytes`.
    pub path: &'static str,
    /// What it does, in sentences for the user.
    pub doc: &'static str,
    /// The name of its kind of value, such as `milliseconds`.
    pub kind: String,
    /// What JSON Schema says of its values.
    pub schema: Value,
    /// What holds where it is left out, if that is not a value.
    pub otherwise: &'static str,
    /// Its value in the example, as JSON. Empty: its default.
    pub example: &'static str,
    /// The environment variables that set it, the strongest last.
    pub variables: Vec<(&'static str, When)>,
    /// The command line's option that sets it. Empty: none.
    pub flag: &'static str,
    /// The key of which it is another, weaker name. Empty: none.
    pub other_name_of: &'static str,
    /// Whether it is printed and is in the example.
    pub is_listed: bool,
    /// Whether it must be given wherever its section is.
    pub is_required: bool,
    read: Read<C>,
    print: Box<dyn Fn(&mut C) -> Value>,
    reset: Reset<C>,
}

type Read<C> = Box<dyn Fn(&Value, &mut C) -> Parsed<()>>;
type Reset<C> = Box<dyn Fn(&mut C, Preset)>;

/// When an environment variable sets its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Whenever it is set.
    Set,
    /// If it is true, to this word.
    True(&'static str),
    /// If `PW_GATEWAYS` is set; else it belongs to the pypowerwall server.
    WithGateways,
}

/// A key of the configuration: its path, its kind, its place, its default.
pub fn key<T: Clone + 'static>(
    path: &'static str,
    kind: Kind<T>,
    at: fn(&mut Config) -> &mut T,
    default: T,
) -> Key<Config> {
    by_preset(path, kind, at, default.clone(), default)
}

/// A key of the configuration with two defaults, the second for the preset `api`.
pub fn by_preset<T: Clone + 'static>(
    path: &'static str,
    kind: Kind<T>,
    at: fn(&mut Config) -> &mut T,
    pypowerwall: T,
    api: T,
) -> Key<Config> {
    let reset = move |to: &mut Config, preset| {
        *at(to) = match preset {
            Preset::Pypowerwall => pypowerwall.clone(),
            Preset::Api => api.clone(),
        }
    };
    Key::new(path, kind, at, Box::new(reset))
}

/// A key that is accepted, and neither printed nor in the example: another name of a key that wins over it, if that is not empty.
pub fn other_name<T: 'static>(
    path: &'static str,
    kind: Kind<T>,
    at: fn(&mut Config) -> &mut T,
    other_name_of: &'static str,
) -> Key<Config> {
    Key {
        other_name_of,
        is_listed: false,
        ..Key::new(path, kind, at, Box::new(|_, _| {}))
    }
}

/// A key of a member of `urlConfigs`, which leaves the preset's value where it is not given.
pub fn route_key<T: 'static>(
    path: &'static str,
    kind: Kind<T>,
    at: fn(&mut Route) -> &mut T,
) -> Key<Route> {
    Key::new(path, kind, at, Box::new(|_, _| {}))
}

impl<C: Clone + 'static> Key<C> {
    fn new<T: 'static>(
        path: &'static str,
        kind: Kind<T>,
        at: fn(&mut C) -> &mut T,
        reset: Reset<C>,
    ) -> Key<C> {
        let Kind {
            name,
            schema,
            parse,
            print,
        } = kind;
        Key {
            path,
            doc: "",
            kind: name,
            schema,
            otherwise: "",
            example: "",
            variables: Vec::new(),
            flag: "",
            other_name_of: "",
            is_listed: true,
            is_required: false,
            read: Box::new(move |value, to| {
                *at(to) = parse(value)?;
                Ok(())
            }),
            print: Box::new(move |from| print(at(from))),
            reset,
        }
    }

    /// Puts what a value means in its place.
    pub fn read(&self, value: &Value, to: &mut C) -> Parsed<()> {
        (self.read)(value, to)
    }

    /// Its value as the file would have it.
    pub fn print(&self, from: &C) -> Value {
        (self.print)(&mut from.clone())
    }

    /// Puts its default in its place.
    pub fn reset(&self, to: &mut C, preset: Preset) {
        (self.reset)(to, preset);
    }

    /// What it does.
    pub fn doc(self, doc: &'static str) -> Key<C> {
        Key { doc, ..self }
    }

    /// What holds where it is left out.
    pub fn otherwise(self, otherwise: &'static str) -> Key<C> {
        Key { otherwise, ..self }
    }

    /// Its value in the example, as JSON.
    pub fn example(self, example: &'static str) -> Key<C> {
        Key { example, ..self }
    }

    /// The command line's option that sets it.
    pub fn flag(self, flag: &'static str) -> Key<C> {
        Key { flag, ..self }
    }

    /// An environment variable that sets it, over those named before.
    pub fn variable(mut self, name: &'static str, when: When) -> Key<C> {
        self.variables.push((name, when));
        self
    }

    /// It must be given wherever its section is.
    pub fn required(mut self) -> Key<C> {
        self.is_required = true;
        self
    }
}

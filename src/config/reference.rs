//! `docs/CONFIGURATION.md` and `.env.example`, made from the list of keys and the table of variables.

use serde_json::Value;

use super::environment::{SECRETS, VARIABLES};
use super::keys::{KEYS, Key, ROUTE_KEYS};
use super::{Config, Preset};

const HEAD: &str = "\
# Configuration

Every key and variable. This page is generated: change `src/config/keys.rs` or `src/config/environment.rs`, then run
`LARDER_BLESS=1 cargo test --test configuration`. [config.example.json](../config.example.json) shows the keys in place.

What counts, the first that says something: the command line, the environment, `.env` in the working directory, the file, the
preset. The file is the one `--config` names, else `CONFIG_PATH`, else `config.json` in the working directory if it is there.
`larder --check-config` tells every mistake at once and ends with status 2 if there is one; `larder --print-config` tells every
value and where it comes from.

A number without a unit is seconds (s), or milliseconds where the unit below is ms. Texts name their own: `\"250ms\"`, `\"5s\"`,
`\"2m\"`, `\"1h\"`, `\"16KiB\"`, `\"8MiB\"`. `null` leaves a key as it is. `//` comments and keys named `comment` may stand anywhere.
";

const ROUTES: &str = "
## Keys of a member of `urlConfigs`

Members are laid over the preset's routes by their path, key by key.

| key | unit | without it | what it does |
|---|---|---|---|
";

const ENVIRONMENT: &str = "
## Environment

An empty variable counts as unset. Where two stand for one key, the later in this table wins. `--check-config` lists the
known ones that are set.

| variable | what it does |
|---|---|
";

const DOTENV: &str = "\
# Every variable Larder knows; copy this to .env in its working directory and uncomment what you want. The environment wins over
# .env, and both win over the configuration file. This file is generated: LARDER_BLESS=1 cargo test --test configuration
";

/// The whole page.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    page.push_str("\n## Keys\n\n| key | unit | default | what it does |\n|---|---|---|---|\n");
    for key in &KEYS {
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            key.path,
            key.kind,
            default(key),
            key.what
        ));
    }
    page.push_str(ROUTES);
    for key in &ROUTE_KEYS {
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            key.path, key.kind, key.otherwise, key.what
        ));
    }
    page.push_str(ENVIRONMENT);
    for (name, meaning) in &VARIABLES {
        page.push_str(&format!("| `{name}` | {meaning} |\n"));
    }
    let secrets: Vec<String> = SECRETS.iter().map(|name| format!("`{name}`")).collect();
    let secrets = secrets.join(", ");
    page.push_str(&format!(
        "\nSecrets, for which `NAME_FILE` may name a file that holds the value: {secrets}.\n"
    ));
    page
}

/// `.env.example`: every variable, commented out, below what it means.
pub fn dotenv() -> String {
    let mut file = String::from(DOTENV);
    for (name, meaning) in VARIABLES.iter().filter(|(name, _)| !name.ends_with('*')) {
        let also = if SECRETS.contains(name) {
            "; or NAME_FILE, a file with the value"
        } else {
            ""
        };
        file.push_str(&format!(
            "\n# {meaning}{}\n# {name}=\n",
            also.replace("NAME", name)
        ));
    }
    file
}

/// The path of every key, those of `urlConfigs` as `urlConfigs[].key`.
pub fn paths() -> Vec<String> {
    let routes = ROUTE_KEYS
        .iter()
        .map(|key| format!("urlConfigs[].{}", key.path));
    KEYS.iter()
        .map(|key| key.path.to_owned())
        .chain(routes)
        .collect()
}

/// What holds in each preset where nobody says anything.
fn default(key: &Key) -> String {
    let Some(value) = key.value else {
        return String::new();
    };
    let of = |preset| shown(&value(&Config::of(preset)));
    match (of(Preset::Pypowerwall), of(Preset::Api)) {
        (one, other) if one == other || key.path == "preset" => one,
        (one, other) => format!("{one}, api: {other}"),
    }
}

fn shown(value: &Value) -> String {
    format!("`{value}`")
}

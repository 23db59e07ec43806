//! `--print-config`: what holds, and who said so.

use super::keys::{KEYS, ROUTE_KEYS, path_of};
use super::{Loaded, Source};

/// Every key with its value and where that comes from, a line each; a route's keys only where they are set.
pub fn listing(loaded: &Loaded) -> String {
    let Loaded {
        config, sources, ..
    } = loaded;
    let mut lines: Vec<(String, String)> = Vec::new();
    for key in &KEYS {
        if let Some(value) = key.value {
            let from = match sources.of(key.path) {
                Source::Preset if key.path == "preset" => loaded.preset_because.clone(),
                source => format!("from {source}"),
            };
            lines.push((format!("{} = {}", key.path, value(config)), from));
        }
    }
    for route in &config.routes {
        let path = path_of(&route.pattern);
        let values = ROUTE_KEYS
            .iter()
            .filter_map(|key| Some((key, (key.value)(&route.rule)?)));
        for (key, value) in values {
            let top = key.path.split('.').next().unwrap_or_default();
            let line = format!("urlConfigs[\"{path}\"].{} = {value}", key.path);
            lines.push((line, format!("from {}", sources.of_route(&path, top))));
        }
    }
    lines
        .into_iter()
        .map(|(line, from)| format!("{line}   ({from})\n"))
        .collect()
}

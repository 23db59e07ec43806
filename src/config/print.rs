//! `--print-config`: what holds, and who said so.

use super::keys::{KEYS, ROUTE_KEYS, path_of};
use super::{Loaded, Source};

/// Every key with its value and where that comes from, a line each; a route's keys only where they are set.
pub fn listing(loaded: &Loaded) -> String {
    let Loaded { config, sources, .. } = loaded;
    let mut lines: Vec<(String, Source)> = Vec::new();
    for key in &KEYS {
        if let Some(value) = key.value {
            lines.push((format!("{} = {}", key.path, value(config)), sources.of(key.path)));
        }
    }
    for route in &config.routes {
        let path = path_of(&route.pattern);
        let values = ROUTE_KEYS.iter().filter_map(|key| Some((key, (key.value)(&route.rule)?)));
        for (key, value) in values {
            let top = key.path.split('.').next().unwrap_or_default();
            let line = format!("urlConfigs[\"{path}\"].{} = {value}", key.path);
            lines.push((line, sources.of_route(&path, top)));
        }
    }
    lines.into_iter().map(|(line, source)| format!("{line}   (from {source})\n")).collect()
}

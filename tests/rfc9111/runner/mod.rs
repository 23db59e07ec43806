//! Plays the scenarios of a file, and makes the page about them.

pub mod page;
mod play;
mod scenario;
mod script;
mod stage;
mod tests;
mod times;
mod verdict;

use serde_json::Value;

pub use scenario::{Scenario, folder, load};
use stage::Stage;

/// Plays every scenario of the file inside this process, each before a Larder of its own.
pub fn in_process(file: &str) {
    let scenarios = load(file);
    report(
        file,
        scenarios.len(),
        scenarios
            .iter()
            .filter_map(|scenario| alone(file, scenario))
            .collect(),
    );
}

/// Plays every scenario of the file that needs no waiting before the real program, one process per configuration.
pub fn real_binary(file: &str) {
    let mut scenarios: Vec<Scenario> = load(file)
        .into_iter()
        .filter(Scenario::is_for_sockets)
        .collect();
    let count = scenarios.len();
    let mut failures = Vec::new();
    while let Some(configuration) = scenarios.first().map(|scenario| scenario.config.clone()) {
        let alike = |scenario: &mut Scenario| scenario.config == configuration;
        let together: Vec<Scenario> = scenarios.extract_if(.., alike).collect();
        failures.extend(one_process(file, &configuration, &together));
    }
    report(file, count, failures);
}

fn alone(file: &str, scenario: &Scenario) -> Option<String> {
    play::play(file, scenario, |performance| {
        performance(&mut Stage::in_process(&scenario.config))
    })
}

fn one_process(file: &str, configuration: &Value, scenarios: &[Scenario]) -> Vec<String> {
    let mut stage = Stage::real_binary(configuration);
    let mut play = |scenario| play::play(file, scenario, |performance| performance(&mut stage));
    scenarios.iter().filter_map(&mut play).collect()
}

/// Names every failure, not only the first.
fn report(file: &str, count: usize, failures: Vec<String>) {
    assert!(
        failures.is_empty(),
        "{} of {count} scenarios of {file} failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

//! Larder inside the test process: the one file that names its library.

use std::net::SocketAddr;
use std::time::Duration;

use larder::clock::Clock;
use larder::config::Config;
use larder::control::{Environment, Server, Settings};
use serde_json::Value;

use super::Client;

/// A running Larder whose clock the test may move forward. Dropping it stops it.
pub struct App(larder::app::App);

impl App {
    /// Starts with `configuration`.
    pub fn start(configuration: &Value) -> App {
        let Ok(config) = Config::from_json(&configuration.to_string()) else {
            panic!("refused configuration: {configuration}");
        };
        let Ok(app) = larder::app::App::start(config, Clock::new()) else {
            panic!("does not start: {configuration}")
        };
        App(app)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    /// A new connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.addr())
    }

    /// Moves its clock forward by `by`; the polls that are due then are under way when it returns.
    pub fn skip_time(&self, by: Duration) {
        self.0.skip_time(by);
    }

    /// Has it forget now what is of no use any more, not some time later.
    #[allow(dead_code, reason = "only the fault matrix asks for it")]
    pub fn sweep(&self) {
        self.0.proxy().sweep();
    }

    /// Starts one more control server for it.
    pub fn control(&self, settings: &Settings) -> Server {
        let environment = Environment::of_this_process();
        Server::start(settings, &environment, self.addr().port(), self.0.proxy())
    }

    /// Requests its origin is working on, as far as it knows.
    pub fn active(&self) -> usize {
        self.0.proxy().gauges().active
    }

    /// Requests that wait in its flights.
    pub fn parked(&self) -> usize {
        self.0.proxy().gauges().parked
    }

    /// Moves its clock forward by `seconds`.
    pub fn skip_seconds(&self, seconds: u64) {
        self.skip_time(Duration::from_secs(seconds));
    }
}

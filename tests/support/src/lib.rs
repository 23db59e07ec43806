//! What several test crates stand on: a scripted origin, a raw client, the program as a process and as a library.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed step is a failed test"
)]

mod app;
mod client;
mod configuration;
pub mod dice;
mod gate;
mod origin;
mod process;
mod replay;
mod reply;
mod report;

pub use app::App;
pub use client::Client;
pub use configuration::{config, config_for, home, home_for};
pub use gate::{Gate, PATIENCE, crowd_turn, eventually};
pub use origin::{Answer, Origin, Seen};
pub use process::{AS_NOBODY, Figures, Proc, Start, program};
pub use replay::{Behaviour, Folder, Recording, Replay, with_field};
pub use reply::Reply;
pub use report::{expect_in_document, write_report};

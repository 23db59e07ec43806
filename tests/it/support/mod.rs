//! What the tests stand on: a scripted origin, a raw client, the program as a process and as a library.

mod app;
mod client;
mod configuration;
mod gate;
mod origin;
mod process;
mod replay;
mod reply;

pub use app::App;
pub use client::Client;
pub use configuration::{config, config_for, home, home_for};
pub use gate::{Gate, PATIENCE, crowd_turn, eventually};
#[allow(unused_imports, reason = "only the hostile suite names it")]
pub use origin::Seen;
pub use origin::{Answer, Origin};
pub use process::{AS_NOBODY, Figures, Proc, Start};
pub use replay::{Behaviour, Folder, Recording, Replay, with_field};
pub use reply::{Reply, fill_to};

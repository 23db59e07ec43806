//! Refuses a static build that would not start: `.cargo/config.toml` packs its relocations, and the C library that comes with Rust
//! reads those since 1.93 (docs/decisions/0025-built-for-size.md).

use std::env;
use std::process::Command;

/// The first 1.x whose static builds start.
const FIRST: u32 = 93;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_static = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|environment| environment == "musl");
    if is_static && minor_version().is_some_and(|minor| minor < FIRST) {
        println!(
            "cargo::error=a static build wants Rust 1.{FIRST} or later: `rustup update`, or build without `--target`"
        );
    }
}

/// The `88` of `rustc 1.88.0 (6b00bc388 2025-06-23)`.
fn minor_version() -> Option<u32> {
    let said = Command::new(env::var_os("RUSTC")?)
        .arg("--version")
        .output()
        .ok()?;
    String::from_utf8(said.stdout)
        .ok()?
        .split('.')
        .nth(1)?
        .parse()
        .ok()
}

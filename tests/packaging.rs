//! What users download or deploy agrees with the program: container files, service, package, pages, `cross`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a file that cannot be read is a failed test"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Places whose commands somebody copies or a machine runs.
const PLACES: [&str; 7] = [
    ".ci",
    ".github/workflows",
    "CONTRIBUTING.md",
    "README.md",
    "cross.toml",
    "docs",
    "packaging",
];

#[test]
fn c33_cross_is_always_told_where_its_file_is() {
    let mut calls = 0;
    for path in PLACES.iter().flat_map(|place| files(&root().join(place))) {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.contains("cross build")) {
            assert!(
                line.contains("CROSS_CONFIG=cross.toml cross build"),
                "{}: {line}",
                path.display()
            );
            calls += 1;
        }
    }
    assert!(
        calls >= 3,
        "in cross.toml, in docs/DEPLOYMENT.md, in the release; {calls} found"
    );
}

#[test]
fn c33_every_target_of_a_release_has_its_image() {
    let cross = read("cross.toml");
    for target in [
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-musl",
        "armv7-unknown-linux-musleabihf",
    ] {
        assert!(cross.contains(&format!("[target.{target}]")), "{target}");
        assert!(
            read(".github/workflows/release.yml").contains(target),
            "{target}"
        );
    }
}

#[test]
fn both_images_are_built_alike_and_ask_larder_how_it_is() {
    let alpine = read("Dockerfile.alpine");
    let scratch = read("Dockerfile.scratch");
    let build = |text: &str| {
        text.lines()
            .skip(1)
            .take_while(|line| !line.is_empty())
            .collect::<String>()
    };
    assert_eq!(build(&alpine), build(&scratch));
    let port = format!("EXPOSE {}\n", larder::config::Config::default().proxy.port);
    for text in [alpine, scratch] {
        assert!(
            text.contains("USER 65532:65532\n") && text.contains(&port),
            "{text}"
        );
        assert!(
            text.contains("HEALTHCHECK ") && text.contains("\", \"health\"]\n"),
            "{text}"
        );
    }
}

#[test]
fn the_service_of_each_system_starts_what_the_package_installs() {
    let manifest = read("Cargo.toml");
    assert!(manifest.contains(r#"["target/release/larder", "usr/bin/", "755"]"#));
    assert!(manifest.contains(r#"conf-files = ["/etc/larder/config.json"]"#));
    let unit = read("packaging/systemd/larder.service");
    assert!(
        unit.contains("ExecStart=/usr/bin/larder --config /etc/larder/config.json\n"),
        "{unit}"
    );
    assert!(
        unit.contains("Type=notify\n") && unit.contains("WatchdogSec="),
        "{unit}"
    );
    let script = read("packaging/openwrt/larder.init");
    assert!(
        script.contains("CONFIG=/etc/larder/config.json\n"),
        "{script}"
    );
    assert!(
        script.contains("command /usr/bin/larder --config \"$CONFIG\"\n"),
        "{script}"
    );
}

/// The file itself, or all below the folder.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    fs::read_dir(path)
        .unwrap()
        .flat_map(|entry| files(&entry.unwrap().path()))
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

//! Every recorded answer of the real origins comes through byte for byte, fetched and from the cache.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Answer, App, Origin, Reply, config_for};

struct Recording {
    name: String,
    method: String,
    wire: Vec<u8>,
    reply: Reply,
}

/// What Larder itself says about a reply, and what belongs to one connection.
const OURS: &[&str] = &[
    "connection",
    "keep-alive",
    "x-cache-status",
    "x-cache",
    "x-cache-timestamp",
    "x-cache-expires-in",
    "x-cache-expires-at",
    "cache-status",
    "age",
    "via",
    "x-request-id",
];

#[test]
fn every_recording_passes_byte_for_byte() {
    let recordings = recordings();
    assert!(
        recordings.len() > 200,
        "only {} recordings found",
        recordings.len()
    );
    let origin = Origin::serving([]);
    let app = App::start(&config_for(&origin, json!({})));
    let mut client = app.client();
    let mut hits = 0;
    for recording in &recordings {
        let target = format!("/{}", recording.name);
        // HTTP/1.0 closes after each answer, 1.1 does not: as the two programs did.
        let answer = Answer::verbatim(&recording.wire);
        origin.set(
            &target,
            if recording.reply.version == "HTTP/1.0" {
                answer.closing()
            } else {
                answer
            },
        );
        let body: &[u8] = if matches!(recording.method.as_str(), "POST" | "PUT") {
            b"value=20"
        } else {
            b""
        };

        let first = client.request(&recording.method, &target, &[], body);
        compare(recording, &first);
        // A second request to a failing key is answered by us; only the first shows the origin's bytes.
        if recording.reply.status < 500 {
            let second = client.request(&recording.method, &target, &[], body);
            compare(recording, &second);
            hits += usize::from(second.cache_status() == "HIT");
            assert!(
                second.cache_status() != "HIT" || may_be_stored(recording),
                "{}: stored",
                recording.name
            );
            assert!(
                second.cache_status() == "HIT" || !must_be_stored(recording),
                "{}: not stored",
                recording.name
            );
        }
    }
    println!(
        "{} recordings, {hits} of them from the cache the second time",
        recordings.len()
    );
    assert!(hits > 50, "{hits}");
}

#[track_caller]
fn compare(recording: &Recording, reply: &Reply) {
    let name = &recording.name;
    assert_eq!(reply.status, recording.reply.status, "{name}");
    assert!(reply.body == recording.reply.body, "{name}: another body");
    for (field, _) in &recording.reply.fields {
        if !OURS.contains(&field.to_ascii_lowercase().as_str()) {
            assert_eq!(
                reply.values(field),
                recording.reply.values(field),
                "{name}: {field}"
            );
        }
    }
}

fn may_be_stored(recording: &Recording) -> bool {
    let word = |word: &str| {
        recording
            .reply
            .values("Cache-Control")
            .iter()
            .any(|value| value.contains(word))
    };
    recording.method == "GET"
        && recording.reply.values("Set-Cookie").is_empty()
        && !["no-store", "private", "no-cache"].into_iter().any(word)
}

fn must_be_stored(recording: &Recording) -> bool {
    let plain = recording.reply.values("Cache-Control").is_empty()
        && recording.reply.values("Vary").is_empty();
    may_be_stored(recording) && plain && recording.reply.status == 200
}

/// Every recording with a body, from the folders' INDEX files. Answers to HEAD have none and are 501 or 405: Larder asks
/// those again as GET (`proxying`, p3), so they are not comparable.
fn recordings() -> Vec<Recording> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordings");
    let folders = fs::read_dir(root)
        .expect("the recordings")
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders
        .filter(|path| path.join("INDEX.csv").exists())
        .collect();
    folders.sort();
    folders
        .iter()
        .flat_map(|folder| in_folder(folder))
        .filter(|recording| recording.method != "HEAD")
        .collect()
}

fn in_folder(folder: &Path) -> Vec<Recording> {
    let index = fs::read_to_string(folder.join("INDEX.csv")).unwrap();
    let lines = index
        .lines()
        .skip(1)
        .map(|line| line.splitn(3, ',').collect::<Vec<_>>());
    let of_line = |columns: Vec<&str>| {
        let wire = fs::read(folder.join(columns[0]).with_extension("http")).ok()?;
        let bodiless = columns[1] == "HEAD";
        let reply = Reply::read(&mut wire.as_slice(), &mut Vec::new(), bodiless)
            .unwrap()
            .unwrap();
        let name = format!(
            "{}/{}",
            folder.file_name().unwrap().to_string_lossy(),
            columns[0]
        );
        Some(Recording {
            name,
            method: columns[1].to_owned(),
            wire,
            reply,
        })
    };
    lines.filter_map(of_line).collect()
}

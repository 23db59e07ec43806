//! Recordings: exact bytes on the wire, with the index beside them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Reply;
use crate::reply::find;

/// One recorded exchange.
#[derive(Clone)]
pub struct Recording {
    /// Its name in the index.
    pub name: String,
    /// The method it answers.
    pub method: String,
    /// The request target it answers.
    pub target: String,
    /// What the program sent.
    pub wire: Arc<[u8]>,
    /// The same, taken apart.
    pub reply: Reply,
}

/// What was recorded of one program in one state.
pub struct Folder {
    /// The folder's name.
    pub name: String,
    /// In the order of the index.
    pub recordings: Vec<Recording>,
}

impl Folder {
    /// Reads a folder of `tests/fixtures/recordings`.
    pub fn read(name: &str) -> Folder {
        let index = fs::read_to_string(path(name).join("INDEX.csv")).expect("an index");
        let rows = index.lines().skip(1).map(columns);
        let recordings: Vec<_> = rows.filter_map(|row| Recording::read(name, &row)).collect();
        assert!(
            recordings.len() > 10,
            "{name}: {} recordings",
            recordings.len()
        );
        Folder {
            name: name.to_owned(),
            recordings,
        }
    }

    /// The first recording of that request.
    pub fn find(&self, method: &str, target: &str) -> Option<&Recording> {
        self.recordings
            .iter()
            .find(|recording| recording.method == method && recording.target == target)
    }

    /// The recording of a GET.
    #[track_caller]
    pub fn get(&self, target: &str) -> &Recording {
        self.find("GET", target).expect("recorded")
    }

    /// What the program sends to that request. Requests nobody recorded are answered as their like: the proxy has one
    /// answer for each method it lacks, and one for every path it does not know.
    pub fn answer(&self, method: &str, target: &str, head: &str) -> Arc<[u8]> {
        let named = |name: &str| {
            self.recordings
                .iter()
                .find(|recording| recording.name == name)
        };
        let like = || match method {
            "GET" => named("not_found"),
            "POST" => named("post_other").or_else(|| named("not_found")),
            other => self
                .recordings
                .iter()
                .find(|recording| recording.method == other)
                .or_else(|| named("not_found")),
        };
        let recording = self
            .find(method, target)
            .or_else(like)
            .expect("an answer to everything");
        // The server says so only to those who name where they come from.
        let crossing = recording.reply.version == "HTTP/1.1"
            && head.to_ascii_lowercase().contains("\r\norigin:");
        if crossing {
            with_field(&recording.wire, "access-control-allow-origin: *")
        } else {
            recording.wire.clone()
        }
    }
}

impl Recording {
    fn read(folder: &str, row: &[String]) -> Option<Recording> {
        let [name, method, target] = row.first_chunk::<3>()?.clone();
        let path = path(folder).join(&name);
        // Of pages only the heads were kept; anything of their size replaces them.
        let wire = fs::read(path.with_extension("http")).or_else(|_| {
            let mut wire = fs::read(path.with_extension("head"))?;
            let size: usize = row[row.len() - 3].parse().expect("a size");
            wire.extend(b"<!-- a page -->\n".iter().cycle().take(size));
            std::io::Result::Ok(wire)
        });
        // One line of one index has no file.
        let wire = wire.ok()?;
        let reply = Reply::read(&mut wire.as_slice(), &mut Vec::new(), method == "HEAD")
            .unwrap()
            .unwrap();
        Some(Recording {
            name,
            method,
            target,
            wire: wire.into(),
            reply,
        })
    }

    /// The same answer with another body.
    pub fn saying(&self, body: &[u8]) -> Arc<[u8]> {
        let end = find(&self.wire, b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&self.wire[..end]).into_owned();
        let told = |name: &str| format!("{name}: {}\r\n", self.reply.body.len());
        let new = |name: &str| format!("{name}: {}\r\n", body.len());
        let names = ["Content-Length", "content-length"];
        let head = names
            .iter()
            .fold(head, |head, name| head.replace(&told(name), &new(name)));
        [head.as_bytes(), body].concat().into()
    }

    /// The same answer with another status.
    pub fn with_status(&self, status: &str) -> Arc<[u8]> {
        let line = find(&self.wire, b"\r\n").expect("a status line");
        [
            format!("{} {status}", self.reply.version).as_bytes(),
            &self.wire[line..],
        ]
        .concat()
        .into()
    }
}

/// An answer with one more field.
pub fn with_field(wire: &[u8], field: &str) -> Arc<[u8]> {
    let line = find(wire, b"\r\n").expect("a status line") + 2;
    [&wire[..line], field.as_bytes(), b"\r\n", &wire[line..]]
        .concat()
        .into()
}

/// Where a folder of recordings is.
pub fn path(folder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures/recordings")
        .join(folder)
}

/// The columns of a line of CSV; in a quoted one, `""` is a quotation mark.
pub fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                columns.last_mut().unwrap().push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => columns.push(String::new()),
            (other, _) => columns.last_mut().unwrap().push(other),
        }
    }
    columns
}

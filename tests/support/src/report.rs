//! Reports: long tables that tests print, and the counts that the documents quote from them.

use std::fs;
use std::path::Path;

use crate::program;

/// Writes `target/reports/NAME`.
pub fn write_report(name: &str, text: &str) {
    let program = program();
    let target = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .expect("cargo puts a tag into its target folder");
    let reports = target.join("reports");
    fs::create_dir_all(&reports).expect("a folder");
    fs::write(reports.join(name), text).expect("a report");
}

/// Panics unless `docs/NAME` has these lines, as they are.
#[track_caller]
pub fn expect_in_document(name: &str, lines: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    let text = fs::read_to_string(path).expect("a document");
    assert!(text.contains(lines), "docs/{name} should have:\n\n{lines}");
}

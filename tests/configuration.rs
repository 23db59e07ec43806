//! The configuration as its user meets it: the real binary, its words and its exit codes, and the pages made from its keys.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what cannot be read or started is a failed test"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use larder::config::pages;
use larder::config::table::Table;

/// A working directory of one test, gone with it.
struct Folder(PathBuf);

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// One case of `cases.txt`.
#[derive(Default)]
struct Case {
    /// Its lines without what it says.
    given: String,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    dotenv: String,
    file: Option<String>,
    says: String,
}

#[test]
#[cfg_attr(
    not(feature = "tls"),
    ignore = "some are right only with TLS, and then wrong for another reason"
)]
fn each_wrong_configuration_is_told_in_its_words() {
    let path = root().join("tests/fixtures/wrong-configurations/cases.txt");
    let cases = cases(&fs::read_to_string(&path).unwrap());
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut told = Vec::new();
    let mut differ = Vec::new();
    for case in &cases {
        let folder = Folder::new();
        if let Some(file) = &case.file {
            folder.write("config.json", file);
        }
        if !case.dotenv.is_empty() {
            folder.write(".env", &case.dotenv);
        }
        let args: Vec<&str> = ["--check-config"]
            .into_iter()
            .chain(case.args.iter().map(String::as_str))
            .collect();
        let ended = folder.larder(&args, &case.environment);
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(2), ""),
            "{}{}",
            case.given,
            ended.err
        );
        let says: String = ended
            .err
            .lines()
            .map(|line| format!("says {line}\n"))
            .collect();
        if says != case.says {
            differ.push(format!(
                "{}expected\n{}found\n{says}",
                case.given, case.says
            ));
        }
        told.push(format!("{}{says}", case.given));
    }
    if std::env::var_os("LARDER_BLESS").is_some() {
        return fs::write(path, told.join("\n")).unwrap();
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn the_pages_are_what_the_table_says() {
    let table = Table::larder();
    for (name, expected) in [
        ("docs/CONFIGURATION.md", pages::reference(&table)),
        ("config.example.json", pages::example(&table)),
        (".env.example", pages::dotenv(&table)),
    ] {
        if std::env::var_os("LARDER_BLESS").is_some() {
            fs::write(root().join(name), &expected).unwrap();
        }
        let page = fs::read_to_string(root().join(name)).unwrap();
        assert!(
            page == expected,
            "{name}: LARDER_BLESS=1 cargo test --test configuration writes it"
        );
    }
}

#[test]
fn the_example_of_the_environment_changes_nothing_as_it_is() {
    let folder = Folder::new();
    folder.write(".env", &pages::dotenv(&Table::larder()));
    let checked = folder.larder(&["--check-config"], &[]);
    assert_eq!(
        (checked.code, without_container(&checked.out).as_str()),
        (Some(0), "configuration is valid\n")
    );
}

#[test]
fn the_file_of_the_program_larder_replaces_is_valid_as_it_is() {
    let folder = Folder::new();
    fs::copy(
        root().join("tests/fixtures/node-config.json"),
        folder.0.join("config.json"),
    )
    .unwrap();
    let checked = folder.larder(&["--check-config"], &[]);
    let valid = "configuration is valid\nwarning: plugins is not supported yet: nothing is published to MQTT\n";
    assert_eq!(
        (
            checked.code,
            without_container(&checked.out).as_str(),
            checked.err.as_str()
        ),
        (Some(0), valid, "")
    );
    let printed = folder.larder(&["--print-config"], &[]).out;
    for line in [
        "backend.url = \"http://localhost:8675\"   (from file)",
        "cache.slowRequestTimeout = 5000   (from file)",
        "log.level = \"debug\"   (from file)",
        "urlConfigs[\"/api/status\"].pollInterval = 10   (from file)",
        "urlConfigs[\"/version\"].cacheTTL = 600   (from file)",
        "urlConfigs[\"/soe\"].cacheTTL = 60   (from preset)",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
    assert!(!printed.contains("not to be shown"), "{printed}");
    assert!(
        !printed.contains("urlConfigs[\"/soe\"].pollInterval"),
        "the file's own polls end the preset's:\n{printed}"
    );
}

#[test]
fn the_example_file_of_the_program_larder_replaces_means_the_same_here() {
    let folder = Folder::new();
    fs::copy(
        root().join("tests/fixtures/node-config-example.json"),
        folder.0.join("config.json"),
    )
    .unwrap();
    let checked = folder.larder(&["--check-config"], &[]);
    let valid = "configuration is valid\n";
    assert_eq!(
        (
            checked.code,
            without_container(&checked.out).as_str(),
            checked.err.as_str()
        ),
        (Some(0), valid, "")
    );
    let printed = folder.larder(&["--print-config"], &[]).out;
    for line in [
        "proxy.port = 8676   (from file)",
        "cache.defaultTTL = 300   (from file)",
        "cache.defaultStaleTime = 60   (from file)",
        "cache.slowRequestTimeout = 5000   (from file)",
        "urlConfigs[\"/api/status\"].pollInterval = 10   (from file)",
        "urlConfigs[\"/api/status\"].cacheTTL = 30   (from file)",
        "urlConfigs[\"/api/status\"].staleTime = 10   (from file)",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
}

#[test]
fn c14_each_value_names_its_source_and_the_strongest_wins() {
    let folder = Folder::new();
    folder.write(
        "config.json",
        r#"{ "proxy": { "port": 1, "workers": 2 }, "cache": { "graceTime": 1, "maxBytes": "2MiB" },
            "admin": { "rootNames": false } }"#,
    );
    folder.write(
        ".env",
        "DEFAULT_TTL=5\nPW_CACHE_TTL=6\nLOG_LEVEL=warn\nPROXY_PORT=9\n",
    );
    let environment = [
        ("LOG_LEVEL", "ERROR"),
        ("PROXY_PORT", "2"),
        ("BACKEND_URL", "http://a:1"),
    ];
    let environment = environment.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let printed = folder.larder(
        &["--print-config", "--port=3", "--preset", "api"],
        &environment,
    );
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));
    let expected = [
        "preset = \"api\"   (from command line --preset)",
        "backend.url = \"http://a:1\"   (from environment BACKEND_URL)",
        "backend.maxConcurrentRequests = 16   (from preset)",
        "proxy.port = 3   (from command line --port)",
        "proxy.workers = 2   (from file)",
        "cache.defaultTTL = 5   (from .env DEFAULT_TTL)",
        "cache.graceTime = 6   (from .env PW_CACHE_TTL)",
        "cache.maxBytes = \"2MiB\"   (from file)",
        "admin.rootNames = false   (from file)",
        "log.level = \"error\"   (from environment LOG_LEVEL)",
    ];
    for line in expected {
        assert!(
            printed.out.lines().any(|printed| printed == line),
            "{line}\n{}",
            printed.out
        );
    }
    assert!(
        printed
            .out
            .contains(", preset api: named by command line --preset\n// file: config.json\n"),
        "{}",
        printed.out
    );
}

#[test]
fn c2_variables_that_mean_nothing_or_wait_are_named() {
    let folder = Folder::new();
    folder.write(".env", "MQTT_PASSWORD='not to be shown'\nHOME_GROWN=1\n");
    let environment = [
        ("PW_PORT", "8677"),
        ("PW_GATEWAYS_FILE", "config"),
        ("NODE_ENV", "production"),
        ("PORT", "4000"),
        ("PROXY_PROT", "4001"),
    ];
    folder.write("config", "[{\"gw_pwd\": \"not to be shown\"}]");
    let checked = folder.larder(
        &["--check-config"],
        &environment.map(|(name, text)| (name.to_owned(), text.to_owned())),
    );
    let expected = "configuration is valid\n\
        warning: these variables are set, but Larder does not use them yet: MQTT_PASSWORD (publishing to MQTT), \
        PW_GATEWAYS_FILE (several gateways)\n\
        warning: environment variable PROXY_PROT: Larder has no variable of this name. Did you mean PROXY_PORT?\n\
        PORT: sets proxy.port\n\
        PW_PORT: sets proxy.port\n\
        MQTT_PASSWORD: changes nothing: Larder does not have publishing to MQTT yet\n\
        NODE_ENV: changes nothing: Larder does not use Node.js\n\
        PW_GATEWAYS_FILE: changes nothing: Larder does not have several gateways yet\n";
    assert_eq!(
        (checked.code, without_container(&checked.out).as_str()),
        (Some(0), expected)
    );
}

#[test]
fn the_file_is_the_named_one_else_the_variables_else_the_one_here() {
    let folder = Folder::new();
    for (name, port) in [("config.json", 1), ("variable.json", 2), ("option.json", 3)] {
        folder.write(name, &format!("{{ \"proxy\": {{ \"port\": {port} }} }}"));
    }
    let variable = [("CONFIG_PATH".to_owned(), "variable.json".to_owned())];
    let port = |args: &[&str], environment: &[(String, String)]| {
        let out = folder.larder(args, environment).out;
        out.lines()
            .find(|line| line.starts_with("proxy.port"))
            .expect(&out)
            .to_owned()
    };
    assert_eq!(
        port(&["--print-config"], &[]),
        "proxy.port = 1   (from file)"
    );
    assert_eq!(
        port(&["--print-config"], &variable),
        "proxy.port = 2   (from file)"
    );
    assert_eq!(
        port(&["--print-config", "--config", "option.json"], &variable),
        "proxy.port = 3   (from file)"
    );
}

#[test]
fn c1_health_is_asked_without_curl() {
    let folder = Folder::new();
    for (answer, code, said) in [
        (
            "HTTP/1.1 200 OK\r\nServer: larder/1\r\nContent-Length: 2\r\n\r\n{}",
            0,
            "healthy: URL answers 200\n",
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\nServer: larder/1\r\n\r\n",
            1,
            "unhealthy: URL answers 503\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nServer: another\r\n\r\n",
            1,
            "unhealthy: URL answers, but is not a Larder\n",
        ),
        ("no HTTP", 1, "unhealthy: URL: what came back is not HTTP\n"),
    ] {
        let (port, asked) = answering(answer);
        let environment = [("PROXY_PORT".to_owned(), port.to_string())];
        let ended = folder.larder(&["health"], &environment);
        let url = format!("http://127.0.0.1:{port}/health");
        assert_eq!(
            (ended.code, ended.out, ended.err.as_str()),
            (Some(code), said.replace("URL", &url), "")
        );
        let head = format!("GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
        assert!(asked.join().unwrap().starts_with(&head));
    }
    let (port, asked) = answering("HTTP/1.1 200 OK\r\nVia: 1.1 larder-00000001\r\n\r\n");
    let url = format!("http://localhost:{port}/x?y");
    assert_eq!(folder.larder(&["health", &url], &[]).code, Some(0));
    assert!(asked.join().unwrap().starts_with("GET /x?y HTTP/1.1\r\n"));
}

#[test]
fn health_of_nobody_or_of_a_wrong_configuration_is_code_1() {
    let folder = Folder::new();
    let url = format!("http://127.0.0.1:{}/health", free_port());
    let ended = folder.larder(&["health", &url], &[]);
    assert_eq!(
        (ended.code, ended.out),
        (Some(1), format!("unhealthy: {url}: nobody listens there\n"))
    );
    folder.write(
        "config.json",
        r#"{ "proxy": { "port": "x", "workers": -1 } }"#,
    );
    let ended = folder.larder(&["health"], &[]);
    assert_eq!(
        (ended.code, ended.out.lines().count()),
        (Some(1), 1),
        "container engines know 0 and 1 only"
    );
    assert!(
        ended.out.starts_with(
            "unknown: the configuration is wrong: config.json line 1, column 14: proxy.port is "
        ),
        "{}",
        ended.out
    );
}

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "larder-configuration-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// Runs the binary here, with this environment and no other.
    fn larder(&self, args: &[&str], environment: &[(String, String)]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command
            .args(args)
            .current_dir(&self.0)
            .env_clear()
            .envs(environment.iter().cloned());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that takes one request, and gives it back when it has sent this answer.
fn answering(answer: &'static str) -> (u16, thread::JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = thread::spawn(move || {
        let mut client = listener.accept().unwrap().0;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        client.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(head).unwrap()
    });
    (port, asked)
}

/// A port on which nobody listened a moment ago.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// What is said, the same inside a container and outside.
fn without_container(out: &str) -> String {
    out.lines()
        .filter(|line| !line.contains("inside a container"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if line.starts_with("# ") {
            cases.push(Case::default());
        }
        let Some(case) = cases.last_mut() else {
            continue;
        };
        let (marker, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (marker, &mut case.file) {
            ("says", _) => {
                case.says += line;
                case.says.push('\n');
                continue;
            }
            _ if !case.says.is_empty() => continue,
            ("file", file @ None) => *file = Some(rest.to_owned()),
            (_, Some(file)) => *file += &format!("\n{line}"),
            ("args", None) => case.args = rest.split(' ').map(str::to_owned).collect(),
            ("env", None) => case.environment.extend(
                rest.split_once('=')
                    .map(|(n, t)| (n.to_owned(), t.to_owned())),
            ),
            ("dotenv", None) => case.dotenv += &format!("{rest}\n"),
            _ => {}
        }
        case.given += &format!("{line}\n");
    }
    cases
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

//! `admin`: who may use our own endpoints, and under which names.

use std::net::IpAddr;

use super::Network;
use super::section::Section;
use crate::secret::Secret;

/// Clients that need no token: a named zone, an address, or a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// As it stands in the file.
    pub text: String,
    blocks: Vec<Network>,
}

/// This machine, and the addresses of local networks (RFC 1918, RFC 4193, RFC 4291 §2.5.6).
const ZONES: [(&str, &[&str]); 2] = [
    ("loopback", &["127.0.0.0/8", "::1"]),
    (
        "private",
        &[
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "fc00::/7",
            "fe80::/10",
        ],
    ),
];

impl Zone {
    /// Reads `loopback`, `private`, an address or a block such as `100.64.0.0/10`.
    pub fn parse(text: &str) -> Option<Zone> {
        let named = ZONES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, blocks)| *blocks);
        let blocks = named
            .unwrap_or(&[text])
            .iter()
            .map(|block| Network::parse(block))
            .collect::<Option<Vec<_>>>()?;
        Some(Zone {
            text: text.to_owned(),
            blocks,
        })
    }

    /// Whether a client at this address is in it; an IPv4 address mapped into IPv6 is one.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }
}

/// `admin`: our own endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// `rootNames`: whether they have their names at the root, beside those below `/_larder`. Default true.
    pub root_names: bool,
    /// `allow`: who may use them without a token. Default `loopback` and `private`.
    pub allow: Vec<Zone>,
    /// `tokenEnv`: the environment variable that holds the token. Default `ADMIN_TOKEN`.
    pub token_env: String,
    /// What opens them from elsewhere than the local network. `None`: nothing does.
    pub token: Option<Secret>,
    /// `hosts`: names under which they may be asked for, beside addresses and names that are local by their form. Default none.
    pub hosts: Vec<String>,
}

/// A shorter token can be guessed.
const SHORTEST_TOKEN: usize = 16;

impl Admin {
    /// A warning where the token is so short that it can be guessed.
    pub(super) fn weak_token(&self) -> Option<String> {
        let is_weak = self.token.as_ref()?.length() < SHORTEST_TOKEN;
        is_weak.then(|| {
            format!(
                "{} has fewer than {SHORTEST_TOKEN} characters and can be guessed; use a long random text, such as openssl rand -hex 24 prints",
                self.token_env
            )
        })
    }
}

impl Default for Admin {
    fn default() -> Admin {
        Admin {
            root_names: true,
            allow: ZONES
                .iter()
                .filter_map(|(name, _)| Zone::parse(name))
                .collect(),
            token_env: "ADMIN_TOKEN".to_owned(),
            token: None,
            hosts: Vec::new(),
        }
    }
}

/// Reads the section; the token is in the variables.
pub(super) fn read(section: &mut Section<'_>, admin: &mut Admin) {
    section.flag("rootNames", &mut admin.root_names);
    let expected = "\"loopback\", \"private\", an IP address or a block such as \"100.64.0.0/10\"";
    section.list("allow", &mut admin.allow, expected, Zone::parse);
    let expected = "the name of an environment variable";
    section.set("tokenEnv", &mut admin.token_env, expected, |value| {
        value
            .as_str()
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
    });
    let name = |text: &str| {
        let lawful = !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        lawful.then(|| text.to_ascii_lowercase())
    };
    section.list(
        "hosts",
        &mut admin.hosts,
        "a name such as \"cache.example.com\", without a port",
        name,
    );
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::variables::Variables;
    use super::super::{Config, Overrides};
    use super::*;

    fn config(text: &str, environment: &[(&str, &str)]) -> Config {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("larder-admin-{}-{number}", std::process::id()));
        std::fs::write(&folder, text).expect("a file");
        let environment = environment
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let variables = Variables {
            environment,
            ..Variables::default()
        };
        let loaded = Config::load(
            Some(&folder),
            &Overrides {
                variables,
                ..Overrides::default()
            },
        );
        std::fs::remove_file(&folder).expect("removed");
        loaded.expect("lawful")
    }

    #[test]
    fn the_token_is_in_the_variable_that_is_named_and_nowhere_printed() {
        let found = config(
            r#"{"admin":{"tokenEnv":"OTHER","rootNames":false}}"#,
            &[("OTHER", "swordfish")],
        );
        assert!(
            found
                .admin
                .token
                .as_ref()
                .is_some_and(|token| token.is(b"swordfish"))
        );
        assert!(!found.admin.root_names);
        assert!(!format!("{found:?}").contains("swordfish"));
        let usual = config("{}", &[("ADMIN_TOKEN", "x")]);
        assert!(usual.admin.token.is_some() && usual.admin.root_names);
        assert_eq!(
            config("{ }", &[("ADMIN_TOKEN", "")]).admin,
            Admin::default()
        );
    }

    #[test]
    fn fault_f10_a_short_token_is_a_warning() {
        let warnings = |token| config("{}", &[("ADMIN_TOKEN", token)]).warnings;
        let is_told = |warning: &String| warning.starts_with("ADMIN_TOKEN has fewer than 16");
        assert!(warnings("fifteen-letters").iter().any(is_told));
        assert!(
            warnings("abc")
                .iter()
                .all(|warning| !warning.contains("abc"))
        );
        assert_eq!(warnings("sixteen-letters!"), Vec::<String>::new());
        assert_eq!(config("{}", &[]).warnings, Vec::<String>::new());
    }

    #[test]
    fn wrong_keys_are_named() {
        let wrong = r#"{"admin":{"rootNames":"no","tokenEnv":"","hosts":["a:80","ok.example"],"token":"x"}}"#;
        let problems = Config::from_json(wrong).expect_err("wrong").to_string();
        for path in [
            "admin.rootNames",
            "admin.tokenEnv",
            "admin.hosts[0]",
            "admin.token",
        ] {
            assert!(problems.contains(path), "{path}: {problems}");
        }
        assert!(!problems.contains("hosts[1]"));
    }

    #[test]
    fn who_is_allowed_is_named_or_numbered() {
        let allowed = config(r#"{"admin":{"allow":["loopback","100.64.0.0/10"]}}"#, &[])
            .admin
            .allow;
        let is_in = |address: &str| {
            allowed
                .iter()
                .any(|zone| zone.contains(address.parse().expect("an address")))
        };
        assert!(is_in("127.0.0.1") && is_in("::1") && is_in("100.64.9.9") && !is_in("192.168.0.1"));
        assert!(
            config(r#"{"admin":{"allow":[]}}"#, &[])
                .admin
                .allow
                .is_empty()
        );
        let wrong = Config::from_json(r#"{"admin":{"allow":["everybody"]}}"#)
            .expect_err("wrong")
            .to_string();
        assert!(
            wrong.contains("admin.allow[0]") && wrong.contains("private"),
            "{wrong}"
        );
    }
}

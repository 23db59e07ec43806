//! What a valid configuration may still get wrong about the machine it is for: an origin that is this proxy itself, or one
//! on the loopback of a container.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

use super::{Config, Problems};

/// What is known of the machine. The default: nothing.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// Whether this is the inside of a container.
    pub in_container: bool,
    /// Whether a host name is this machine's own. `localhost` is not asked about.
    pub is_own_name: fn(&str) -> bool,
    /// Whether an address is one of this machine's. Loopback ones are not asked about.
    pub is_own_address: fn(IpAddr) -> bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Surroundings {
        let in_container = ["/.dockerenv", "/run/.containerenv"]
            .iter()
            .any(|mark| Path::new(mark).exists());
        Surroundings {
            in_container,
            is_own_name,
            is_own_address,
        }
    }

    /// Judges origin and listening address together; what is wrong with either alone has been said.
    pub(super) fn judge(&self, config: &mut Config, problems: &mut Problems) {
        let Some(authority) = config.backend.origin.authority() else {
            return;
        };
        if problems.touch("backend.url")
            || problems.touch("proxy.port")
            || problems.touch("proxy.bind")
        {
            return;
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let port = config.backend.origin.port();
        if port == config.proxy.port && self.listens(&config.proxy.bind, host) {
            let message = format!(
                "is {}, where Larder itself listens. Write the address of the server behind Larder, or choose another proxy.port.",
                config.backend.origin
            );
            problems.add("backend.url", message);
        } else if self.in_container && addresses(host).iter().any(|ip| is_this_machine(*ip)) {
            config.warnings.push(format!(
                "backend.url is {}, which inside a container is the container itself: use the name of the other service in the \
                 compose file, such as {}://pypowerwall:{port}",
                config.backend.origin,
                if config.backend.origin.is_https() { "https" } else { "http" }
            ));
        }
    }

    /// Whether who listens on `bind` is reached at `host`.
    fn listens(&self, bind: &str, host: &str) -> bool {
        let bound = addresses(bind);
        let is_wildcard = bound.iter().any(IpAddr::is_unspecified);
        if is_wildcard && (self.is_own_name)(host) {
            return true;
        }
        addresses(host).into_iter().any(|ip| {
            let takes = |bound: &IpAddr| match bound.is_unspecified() {
                true => {
                    (bound.is_ipv6() || ip.is_ipv4())
                        && (is_this_machine(ip) || (self.is_own_address)(ip))
                }
                false => *bound == ip || (ip.is_unspecified() && bound.is_loopback()),
            };
            bound.iter().any(takes)
        })
    }
}

impl Default for Surroundings {
    fn default() -> Surroundings {
        Surroundings {
            in_container: false,
            is_own_name: |_| false,
            is_own_address: |_| false,
        }
    }
}

/// The addresses a host has without asking a name server (RFC 6761 §6.3): none for other names.
fn addresses(host: &str) -> Vec<IpAddr> {
    let is_localhost =
        host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    match host.parse::<IpAddr>() {
        Ok(ip) => vec![ip.to_canonical()],
        Err(_) if is_localhost => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Err(_) => Vec::new(),
    }
}

/// Who connects to the unspecified address reaches this machine too.
fn is_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

fn is_own_name(host: &str) -> bool {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .is_ok_and(|own| own.trim().eq_ignore_ascii_case(host))
}

/// The kernel talks to an own address from that address. Nothing is sent.
fn is_own_address(ip: IpAddr) -> bool {
    let any: IpAddr = if ip.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let local = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    local.is_ok_and(|local| local.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::super::{Overrides, load};
    use super::*;

    const HERE: Surroundings = Surroundings {
        in_container: true,
        is_own_name: |name| name == "pi",
        is_own_address: |ip| ip == IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)),
    };

    /// Problems and warnings of an origin, for a proxy that listens on `bind` port 8676.
    fn judged(bind: &str, origin: &str, surroundings: &Surroundings) -> (Vec<String>, Vec<String>) {
        let text = format!(
            r#"{{ "preset": "api", "proxy": {{ "bind": "{bind}" }}, "backend": {{ "url": "{origin}" }} }}"#
        );
        match super::super::of_text(&text, &Overrides::default(), surroundings) {
            Ok(loaded) => (Vec::new(), loaded.config.warnings),
            Err(problems) => (
                problems.to_string().lines().map(str::to_owned).collect(),
                Vec::new(),
            ),
        }
    }

    #[test]
    fn an_origin_that_is_the_proxy_itself_is_a_problem() {
        let cases = [
            ("::", "http://localhost:8676", true),
            ("::", "http://127.0.0.5:8676", true),
            ("::", "http://[::1]:8676", true),
            ("::", "http://[::ffff:127.0.0.1]:8676", true),
            ("::", "http://0.0.0.0:8676", true),
            ("::", "http://10.0.0.7:8676", true),
            ("::", "http://pi:8676", true),
            ("0.0.0.0", "http://127.0.0.1:8676", true),
            ("127.0.0.1", "http://localhost:8676", true),
            ("localhost", "http://127.0.0.1:8676", true),
            ("10.0.0.7", "http://10.0.0.7:8676", true),
            ("::", "http://localhost:8675", false),
            ("::", "http://10.0.0.8:8676", false),
            ("::", "http://other:8676", false),
            ("0.0.0.0", "http://[::1]:8676", false),
            ("10.0.0.7", "http://localhost:8676", false),
            ("10.0.0.7", "http://pi:8676", false),
            ("127.0.0.1", "http://10.0.0.7:8676", false),
            ("::", "sim://powerwall", false),
        ];
        for (bind, origin, itself) in cases {
            let (problems, _) = judged(bind, origin, &HERE);
            assert_eq!(
                problems.len(),
                usize::from(itself),
                "{origin} before {bind}: {problems:?}"
            );
        }
        let (problems, _) = judged("::", "http://localhost:8676", &Surroundings::default());
        assert_eq!(
            problems,
            [
                "the configuration line 1, column 60: backend.url is http://localhost:8676, where Larder itself listens. Write \
                 the address of the server behind Larder, or choose another proxy.port."
            ]
        );
    }

    #[test]
    fn a_loopback_origin_inside_a_container_is_a_warning_with_its_remedy() {
        let (problems, warnings) = judged("::", "http://localhost:8675", &HERE);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            warnings,
            [
                "backend.url is http://localhost:8675, which inside a container is the container itself: use the name of the \
                 other service in the compose file, such as http://pypowerwall:8675"
            ]
        );
        for (origin, surroundings) in [
            ("http://pypowerwall:8675", HERE),
            ("sim://powerwall", HERE),
            ("http://localhost:8675", Surroundings::default()),
        ] {
            assert_eq!(
                judged("::", origin, &surroundings),
                (vec![], vec![]),
                "{origin}"
            );
        }
    }

    #[test]
    fn this_process_knows_its_own_addresses() {
        assert!(is_own_address(Ipv4Addr::LOCALHOST.into()));
        assert!(
            !is_own_address(Ipv4Addr::new(192, 0, 2, 1).into()),
            "an address for documentation"
        );
        assert!(!is_own_name("larder.invalid"));
        assert!(
            load(
                None,
                &Overrides::default(),
                &Surroundings::of_this_process()
            )
            .is_ok()
        );
    }
}

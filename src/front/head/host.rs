//! What may stand in a Host field, or as the authority of an absolute target (RFC 9110 §7.2, RFC 3986 §3.2.2).

use std::net::Ipv6Addr;

/// True for `host`, `host:port`, `[IPv6]`, `[IPv6]:port`, and for an empty host. Userinfo, spaces, lists and paths are not.
pub(in crate::front) fn is_lawful(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    if let Some(literal) = text.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else {
            return false;
        };
        let port_is_lawful = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().is_ok() && port_is_lawful;
    }
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    is_reg_name(name) && is_port(port)
}

/// Digits up to 65535, or nothing.
fn is_port(port: &str) -> bool {
    port.is_empty()
        || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// Unreserved characters, sub-delims but the comma (a list of hosts is none), and whole percent triplets.
fn is_reg_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let lawful = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte),
        };
        if !lawful {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lawful_hosts() {
        for host in [
            "",
            "a",
            "a.b-c_d",
            "10.0.0.1:80",
            "a:",
            ":80",
            "[::1]",
            "[::1]:8676",
            "a%2Fb",
            "a:00080",
        ] {
            assert!(is_lawful(host.as_bytes()), "{host:?}");
        }
    }

    #[test]
    fn unlawful_hosts() {
        for host in [
            "a b", "a,b", "u@a", "a/b", "a:b", "a:+1", "a:65536", "a:1:2", "[::1", "[::1]x", "[a]",
            "a%2", "a%", "é",
        ] {
            assert!(!is_lawful(host.as_bytes()), "{host:?}");
        }
    }
}

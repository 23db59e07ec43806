//! TLS to the origin (RFC 8446, RFC 5246), over the connection ureq opened and below what watches it, so that this sees
//! plaintext. Two twins have the same names: `tls/built.rs` with the feature `tls`, `tls/left_out.rs` without it.

use std::fmt;

#[cfg(feature = "tls")]
mod built;
#[cfg(feature = "tls")]
use built as twin;
#[cfg(not(feature = "tls"))]
mod left_out;
#[cfg(not(feature = "tls"))]
use left_out as twin;

pub(super) use twin::failure;
pub use twin::{Client, IS_BUILT, authorities};

/// What an origin's certificate is judged by. The default: the public roots alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Certificates (DER) that count beside the public roots: authorities, or the origin's own.
    pub authorities: Vec<Vec<u8>>,
    /// Unless empty, the origin's certificate is one of these, and nothing else about it counts: neither who signed it, nor
    /// its names and dates.
    pub pins: Vec<Pin>,
    /// Any certificate is accepted: nobody knows who answers.
    pub is_insecure: bool,
}

/// The SHA-256 of a certificate in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin([u8; 32]);

/// The connector that speaks TLS; without a client, it hands on what was opened.
#[derive(Debug)]
pub(super) struct Tls(pub(super) Option<Client>);

impl Pin {
    /// Reads 64 hexadecimal digits, with or without colons between the bytes, as openssl prints them.
    pub fn parse(text: &str) -> Option<Pin> {
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Pin(bytes))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_openssl_prints_it() {
        let plain = "00ff".to_owned() + &"1a".repeat(30);
        let colons = "00:FF:".to_owned() + &"1A:".repeat(29) + "1A";
        assert_eq!(
            Pin::parse(&colons).map(|pin| pin.to_string()),
            Some(plain.clone())
        );
        assert_eq!(Pin::parse(&plain), Pin::parse(&colons));
        for wrong in [
            "",
            "00",
            &plain[1..],
            &(plain.clone() + "0"),
            &plain.replace('f', "g"),
            &plain.replace("1a", "é"),
        ] {
            assert_eq!(Pin::parse(wrong), None, "{wrong}");
        }
    }
}

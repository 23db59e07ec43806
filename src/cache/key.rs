//! The primary cache key (RFC 9111 §2), and its hash.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::sync::Arc;

use crate::message::Target;

/// The canonical text `cache:GET:<role>:<target>`, with `<id>@` before the target for any origin but the default one.
/// Cloning shares the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key of `target` for clients of `role` (`anonymous` where roles are not told apart). `origin` is the id of the
    /// origin asked, `None` for the default one.
    pub fn new(origin: Option<&str>, role: &str, target: &Target) -> Key {
        let mut text = String::new();
        Key::write(&mut text, origin, role, target);
        Key::from(text.as_str())
    }

    /// Replaces `buf` by the text of that key, so that a lookup with a reused buffer allocates nothing.
    ///
    /// Two different triples never meet in one text as long as a role holds no `:` and an origin's id no `@`, `/` or `*`.
    pub fn write(buf: &mut String, origin: Option<&str>, role: &str, target: &Target) {
        buf.clear();
        write_prefix(buf, origin, role);
        buf.push_str(target.as_str());
    }

    /// The target it names, with the `<id>@` of an origin other than the default before it.
    pub fn target(&self) -> &str {
        self.0.splitn(4, ':').last().unwrap_or_default()
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Takes a text that [`Key::write`] made.
impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key(Arc::from(text))
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hash of a key's text. The same text has another one in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(pub(super) u64);

/// Hashes the texts of keys: SipHash under a secret of this process, so that no client can choose targets that collide.
#[derive(Clone, Default)]
pub(super) struct KeyHasher(RandomState);

impl KeyHasher {
    pub(super) fn hash(&self, text: &str) -> KeyHash {
        let mut state = self.0.build_hasher();
        state.write(text.as_bytes());
        KeyHash(state.finish())
    }

    pub(super) fn prefix(&self, origin: Option<&str>, role: &str) -> KeyPrefix {
        let mut text = String::new();
        write_prefix(&mut text, origin, role);
        let mut state = self.0.build_hasher();
        state.write(text.as_bytes());
        KeyPrefix {
            text: text.into(),
            state,
        }
    }
}

/// What the keys of one origin and one role begin with, hashed once: made by [`Store::prefix`], for that store only.
///
/// [`Store::prefix`]: super::store::Store::prefix
pub struct KeyPrefix {
    text: Box<str>,
    state: DefaultHasher,
}

impl KeyPrefix {
    /// The key of a target as it came in the request line, hashed. Allocates nothing.
    pub fn key_of<'a>(&'a self, target: &'a [u8]) -> TargetKey<'a> {
        let mut state = self.state.clone();
        state.write(target);
        TargetKey {
            prefix: self.text.as_bytes(),
            target,
            hash: KeyHash(state.finish()),
        }
    }
}

/// A key whose text was never put together, and its hash.
#[derive(Clone, Copy, Debug)]
pub struct TargetKey<'a> {
    pub(super) prefix: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) hash: KeyHash,
}

impl TargetKey<'_> {
    /// The hash of its text.
    pub fn hash(&self) -> KeyHash {
        self.hash
    }

    /// Whether this is its text.
    pub fn is(&self, text: &str) -> bool {
        text.as_bytes().strip_prefix(self.prefix) == Some(self.target)
    }
}

fn write_prefix(buf: &mut String, origin: Option<&str>, role: &str) {
    buf.push_str("cache:GET:");
    buf.push_str(role);
    buf.push(':');
    if let Some(id) = origin {
        buf.push_str(id);
        buf.push('@');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;

    use super::*;

    fn target(text: &'static str) -> Target {
        Target::parse(Bytes::from_static(text.as_bytes())).expect("a lawful target")
    }

    #[test]
    fn the_text_names_role_origin_and_target() {
        let cases = [
            (
                None,
                "anonymous",
                "/api/products?page=2",
                "cache:GET:anonymous:/api/products?page=2",
            ),
            (
                Some("garage"),
                "admin",
                "/soe",
                "cache:GET:admin:garage@/soe",
            ),
            (None, "anonymous", "/a@/b", "cache:GET:anonymous:/a@/b"),
        ];
        for (origin, role, path, text) in cases {
            let key = Key::new(origin, role, &target(path));
            assert_eq!(key.as_str(), text);
            assert!(
                text.ends_with(key.target()) && key.target().ends_with(path),
                "{}",
                key.target()
            );
        }
    }

    #[test]
    fn a_reused_buffer_looks_a_key_up_without_growing() {
        let keys = HashSet::from([Key::new(None, "anonymous", &target("/soe"))]);
        let mut buf = String::with_capacity(64);
        Key::write(&mut buf, Some("x"), "anonymous", &target("/aggregates"));
        assert!(!keys.contains(buf.as_str()));
        Key::write(&mut buf, None, "anonymous", &target("/soe"));
        assert!(keys.contains(buf.as_str()));
        assert_eq!(buf.capacity(), 64);
    }

    #[test]
    fn a_key_that_was_never_put_together_has_the_hash_of_its_text() {
        let hasher = KeyHasher::default();
        for (origin, role) in [(None, "anonymous"), (Some("garage"), "admin"), (None, "")] {
            let prefix = hasher.prefix(origin, role);
            for length in 0..40 {
                let target = target_of(length);
                let key = Key::new(origin, role, &target);
                let parts = prefix.key_of(target.as_str().as_bytes());
                assert_eq!(parts.hash(), hasher.hash(key.as_str()), "{key}");
                assert!(parts.is(key.as_str()));
                assert!(!parts.is(&format!("{key}x")) && !parts.is(target.as_str()));
            }
        }
        let text = "cache:GET:anonymous:/soe";
        let other = KeyHasher::default();
        assert_ne!(hasher.hash(text), other.hash(text), "two secrets");
    }

    fn target_of(length: usize) -> Target {
        Target::parse(Bytes::from(format!("/{}", "x".repeat(length)))).expect("a lawful target")
    }
}

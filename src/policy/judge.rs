//! Judging bodies by what is known of the source they come from, where the body alone does not tell.
//!
//! Some programs say 200 whatever becomes of what they read from. A [`BodyJudge`] knows such a program. It is asked on the
//! routes whose rule is `judged`, after their check.

use std::borrow::Cow;

use super::check::CheckFailure;
use crate::clock::Now;

/// Whether a body is an answer for its target, given what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is one.
    Good,
    /// It is none, whatever its status says.
    Bad(CheckFailure),
    /// It is one if that target, requested after it, says so: see [`BodyJudge::confirm`].
    NeedsCrossCheck(Cow<'static, str>),
}

/// Knows a program, and remembers what it said. Pure: time and bodies are arguments. What it remembers is bounded.
pub trait BodyJudge: Send {
    /// Judges the body of a 2xx answer to a GET, and learns from it.
    fn judge(&mut self, target: &str, body: &[u8], now: Now) -> Verdict;

    /// Judges a held body again, by the 2xx answer of the target that its last verdict named, which was requested after it and
    /// has been judged before. `None`: there was none. It may name another target, but not for ever.
    fn confirm(
        &mut self,
        target: &str,
        held: &[u8],
        cross_check: (&str, Option<&[u8]>),
        now: Now,
    ) -> Verdict;

    /// Whether the body judged last shows that the source is back after a silence, so that what failed its check meanwhile is
    /// worth asking for again.
    fn has_returned(&self) -> bool {
        false
    }
}

/// Knows nothing: every body is an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trusting;

impl BodyJudge for Trusting {
    fn judge(&mut self, _: &str, _: &[u8], _: Now) -> Verdict {
        Verdict::Good
    }

    fn confirm(&mut self, _: &str, _: &[u8], _: (&str, Option<&[u8]>), _: Now) -> Verdict {
        Verdict::Good
    }
}

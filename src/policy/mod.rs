//! What a shared HTTP cache may do, decided without touching anything (RFC 9111, 5861, 9110).
//!
//! Every function here takes what it judges as arguments, the time included, and answers with an enum that carries its
//! reason. Nothing here reads a clock, takes a lock, opens a socket or logs; of this crate only [`crate::clock::Now`] is used.
//!
//! | question | asked when | module |
//! |---|---|---|
//! | may this request share a flight and the store? | a request arrives | [`sharing`] |
//! | may this stored response answer it? | something is stored | [`reuse`] |
//! | which of the stored responses is selected by it? | something is stored, a flight lands | [`vary`] |
//! | which part of it is wanted, and is it here? | a stored response is selected | [`ranges`] |
//! | is this body an answer at all? | a response arrives | [`check`], [`home`] |
//! | may this response be stored, and for how long? | a response arrives | [`storing`], [`freshness`] |
//!
//! [`rule`] holds what the configuration says about a route, applied over the RFC; [`directives`], [`dates`] and [`age`]
//! read the fields the other modules judge by.
//!
//! Out of scope until the RFC is covered whole (issue 5), each refused or forwarded rather than guessed: selecting by Vary
//! (§4.1), validation (§4.3), heuristic freshness (§4.2.2), ranges (§3.3), partial `no-cache` and `private` (§5.2.2),
//! request directives other than `no-store` (§5.2.1), `must-understand` (§5.2.2.3) and targeted fields (RFC 9213).

pub mod age;
pub mod check;
pub mod dates;
pub mod directives;
pub mod freshness;
pub mod home;
pub mod ranges;
pub mod reuse;
pub mod rule;
pub mod sharing;
pub mod storing;
pub mod vary;

mod span;

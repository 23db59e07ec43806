//! What a shared HTTP cache may do, decided without touching anything (RFC 9111, 5861, 9110).
//!
//! Every function here takes what it judges as arguments, the time included, and answers with an enum that carries its
//! reason. Nothing here reads a clock, takes a lock, opens a socket or logs; of this crate only [`crate::clock::Now`] is used.
//!
//! | question | asked when | module | RFC 9111 |
//! |---|---|---|---|
//! | what does each field do to sharing? | a request arrives | [`request_fields`] | §3, ours |
//! | may this request share a flight and the store? | a request arrives | [`sharing`] | §3, §3.5 |
//! | what does its client want of the cache? | a request arrives | [`directives`] | §5.2.1, §5.4 |
//! | which stored response is for it? | something is stored | [`vary`] | §4.1 |
//! | may that one answer it? | something is stored | [`reuse`], [`freshness`] | §4.2 |
//! | does its client have it already, or want a part? | it may answer | [`conditions`], [`ranges`] | §4.3.2, §3.3 |
//! | what is the origin asked to confirm? what did it? | it may not answer | [`validation`], [`ranges`] | §4.3, §3.4 |
//! | is this body an answer at all? | a response arrives | [`check`], [`home`] | ours |
//! | may this response be stored, and for how long? | a response arrives | [`storing`], [`freshness`], `jitter` | §3, §4.2 |
//! | does its client ask too often? | the origin would be asked | [`rate`] | ours |
//! | what else is no longer good? | an unsafe request succeeded | [`invalidation`] | §4.4 |
//!
//! [`rule`] holds what the configuration says about a route, applied over the RFC; [`directives`], [`structured`],
//! [`dates`] and [`age`] read the fields the other modules judge by.

pub mod age;
pub mod check;
pub mod conditions;
pub mod dates;
pub mod directives;
pub mod freshness;
pub mod home;
pub mod invalidation;
pub mod ranges;
pub mod rate;
pub mod request_directives;
pub mod request_fields;
pub mod reuse;
pub mod rule;
pub mod sharing;
pub mod storing;
pub mod streams;
pub mod structured;
pub mod validation;
pub mod vary;

mod etag;
mod jitter;
mod span;

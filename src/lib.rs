//! Enroll registers users and proves, by a one-time code sent by SMS or email, that they hold the
//! phone or mailbox they claim.
//!
//! ```text
//! http ──► services ──► engine ──► store (SQL: users, registrations, sessions, outbox)
//!                             ├──► codes (TTL, tries)      Redis | memory
//!                             ├──► limits (rates)          Redis | memory
//!                             └──► crypto (Argon2, JWT, sealing)
//! workers: outbox ──► notify (SMS, email) and events
//! ```
//!
//! Imports run downwards only (`tests/layers.rs` sees to it); `domain` is below all.

pub mod app;
pub mod circuit_breaker;
pub mod cli;
pub mod codes;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod engine;
pub mod error;
pub mod events;
pub mod http;
pub mod limits;
pub mod notify;
pub mod redis;
pub mod services;
pub mod store;
pub mod workers;

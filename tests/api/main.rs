//! The API as a client sees it: HTTP to a real server on a free port, the same stories over
//! `SQLite` + memory and `PostgreSQL` + Redis.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::wrong_self_convention,
    clippy::needless_pass_by_value,
    clippy::allow_attributes,
    reason = "the support is shared, and a helper that fails fails its test"
)]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod code_login;
mod connections;
mod contacts;
mod coverage;
mod delivery;
mod events;
mod foreign;
mod inputs;
mod limits;
mod login;
mod older_clients;
mod operators;
mod parts;
mod pending;
mod profile;
mod recovery;
mod registration;
mod tokens;

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

mod admin_commands;
mod camel_case_clients;
mod code_login;
mod connections;
mod contacts;
mod delivery;
mod events;
mod limits;
mod login;
mod openapi_coverage;
mod outages;
mod pending_registrations;
mod profile;
mod real_providers;
mod recovery;
mod registration;
mod tokens;
mod validation;

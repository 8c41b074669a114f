//! Servers stopped, frozen, emptied; nodes killed: nothing that was answered is lost, and nothing
//! opens that should be shut.
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
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

mod crashes;
mod outages;
mod passwords_without_redis;
mod rabbitmq;
mod redis_forgets;
mod rotation;

//! What every backend of a seam must keep: each contract is written once and run over all.
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

mod codes;
mod fleets;
mod limits;
mod store;

use std::time::Duration;

use enroll::redis::{RedisAddress, RedisLink};

/// The real Redis, under a namespace of this test's own.
async fn redis() -> RedisLink {
    let link = link_to(&support::backend::redis_url());
    link.ping().await.expect("Redis answers; `make test` starts one");
    link
}

fn link_to(url: &str) -> RedisLink {
    let namespace = support::backend::unique("contract") + ":";
    RedisLink::open(&RedisAddress::parse(url).unwrap(), Duration::from_secs(5), &namespace).unwrap()
}

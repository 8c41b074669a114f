//! Servers stopped, frozen, emptied; nodes killed: nothing that was answered is lost, and nothing
//! opens that should be shut.

include!("../support/prelude.rs");

test_program!(
    crashes,
    healing,
    health,
    metrics,
    outages,
    passwords_without_redis,
    poolers,
    rabbitmq,
    redis_forgets,
    rolling_restart,
    rotation,
    sns,
    traces,
    webhook_events
);

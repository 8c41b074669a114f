//! Extractors: the parts of a request, parsed and checked.

pub(super) mod auth;
pub(super) mod client_ip;
pub(super) mod compat;
pub(super) mod fields;
pub(super) mod idempotency;
pub(super) mod json;

//! Extractors: a request's parts, parsed and checked.

pub(super) mod auth;
pub(super) mod client_ip;
pub(super) mod fields;
pub(super) mod json;

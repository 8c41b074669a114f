//! The calls: a file a family.

pub(super) mod activation;
pub(super) mod contacts;
pub(super) mod dev_inbox;
pub(super) mod health;
pub(super) mod jwks;
pub(super) mod login;
pub(super) mod recovery;
pub(super) mod registration;
pub(super) mod sessions;
pub(super) mod twilio_callback;
pub(super) mod users;
pub(super) mod verification;

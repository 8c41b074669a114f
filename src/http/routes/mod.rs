//! The calls, a file for each family. Paths and errors stand in the list of [`http`](super), so the `path` of each
//! attribute is empty.

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

//! What is written after its response, as far as it can be: failed logins and refusals.

use tokio::sync::mpsc;

use crate::{
    domain::{Address, AuditKind, AuditLine, Client, Event, Origin, Timestamp},
    error::Error,
};

/// Something that is written after its response.
#[derive(Debug)]
pub enum Deferred {
    /// A login failed.
    FailedLogin(Event, AuditLine),
    /// A limit refused a request about an address.
    Refusal(AuditLine),
}

/// The way there: bounded, and full it drops, so that nobody can make the service wait or grow.
#[derive(Clone)]
pub struct DeferredLines(pub(crate) mpsc::Sender<Deferred>);

impl DeferredLines {
    /// A buffer of this size, and its end.
    pub fn bounded(size: usize) -> (Self, mpsc::Receiver<Deferred>) {
        let (sender, receiver) = mpsc::channel(size);
        (Self(sender), receiver)
    }

    pub(crate) fn send(&self, deferred: Deferred) {
        if self.0.try_send(deferred).is_err() {
            tracing::debug!("more is refused than is recorded");
        }
    }

    /// Notes the refusal, if the outcome is one.
    pub(crate) fn note<T>(&self, outcome: &Result<T, Error>, destination: &Address, client: &Client, now: Timestamp) {
        let Err(error) = outcome else { return };
        let why = match error {
            Error::TooManyRequests(exceeded) | Error::TooManyAttempts(exceeded) => exceeded.policy,
            Error::AccountExists(_) => "account_exists",
            _ => return,
        };
        let origin = Origin::client(client).about(destination);
        self.send(Deferred::Refusal(AuditLine::new(AuditKind::Refused, why, origin, now)));
    }
}

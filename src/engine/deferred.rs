//! Lines and networks that are written after the response, as far as they can be.

use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    domain::{Address, AuditKind, AuditLine, Client, Event, Origin, Timestamp},
    error::Error,
};

/// The way there: bounded, and full it drops, so that nobody can make the service wait or grow. Refusals have a buffer
/// of their own: a flood of them hides no failed login.
#[derive(Clone)]
pub struct DeferredLines {
    failed_logins: mpsc::Sender<(Event, AuditLine)>,
    refusals: mpsc::Sender<AuditLine>,
    networks: mpsc::Sender<(Uuid, Vec<u8>)>,
}

/// The other end.
pub struct DeferredReceivers {
    /// Failed logins.
    pub failed_logins: mpsc::Receiver<(Event, AuditLine)>,
    /// Requests about an address that a limit refused.
    pub refusals: mpsc::Receiver<AuditLine>,
    /// Accounts, and the networks that sessions of theirs were opened from.
    pub networks: mpsc::Receiver<(Uuid, Vec<u8>)>,
}

impl DeferredLines {
    /// Buffers of this size, and their other end.
    pub fn bounded(size: usize) -> (Self, DeferredReceivers) {
        let (failed_logins, logins_end) = mpsc::channel(size);
        let (refusals, refusals_end) = mpsc::channel(size);
        let (networks, networks_end) = mpsc::channel(size);
        let receivers = DeferredReceivers { failed_logins: logins_end, refusals: refusals_end, networks: networks_end };
        (Self { failed_logins, refusals, networks }, receivers)
    }

    pub(crate) fn failed_login(&self, event: Event, line: AuditLine) {
        if self.failed_logins.try_send((event, line)).is_err() {
            tracing::debug!("more logins fail than are recorded");
        }
    }

    /// Notes the network that a session was opened from.
    pub(crate) fn session_opened(&self, user: Uuid, network: Vec<u8>) {
        if self.networks.try_send((user, network)).is_err() {
            tracing::debug!("more sessions are opened than networks are remembered");
        }
    }

    /// Notes the refusal, if the outcome is one. The client has been counted before, so it cannot note at will.
    pub(crate) fn note<T>(&self, outcome: &Result<T, Error>, destination: &Address, client: &Client, now: Timestamp) {
        let Err(error) = outcome else { return };
        let why = match error {
            Error::TooManyRequests(exceeded) | Error::TooManyAttempts(exceeded) => exceeded.policy,
            Error::AccountExists(_) => "account_exists",
            _ => return,
        };
        let origin = Origin::client(client).about(destination);
        if self.refusals.try_send(AuditLine::new(AuditKind::Refused, why, origin, now)).is_err() {
            tracing::debug!("more is refused than is recorded");
        }
    }
}

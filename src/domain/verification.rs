//! Verifications: proofs that a person holds an address.

use std::time::Duration;

use uuid::Uuid;

use super::{Address, DestinationRecord, Purpose, Reach, SignUp, Timestamp, Way};

/// A proof in progress that a person holds an address, over all codes that are issued for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// A random id that only the caller who requested the code has seen.
    pub id: Uuid,
    /// Grows by one with each code; only the newest generation is valid.
    pub generation: i64,
    /// The purpose of its codes.
    pub purpose: Purpose,
    /// Where its codes go.
    pub destination: Address,
    /// The length of its last code.
    pub digits: u32,
    /// The wrong attempts that its last code allows.
    pub tries: u32,
    /// How far its last message has come.
    pub state: DeliveryState,
    /// When the state changed.
    pub changed_at: Timestamp,
    /// When its last code was issued.
    pub issued_at: Timestamp,
    /// When its last code expires.
    pub expires_at: Timestamp,
    /// The registration or account that it belongs to.
    pub holder: Holder,
    /// SHA-256 of the login id that stood beside the address in the request.
    pub login_id_hash: Option<Vec<u8>>,
    /// Of a login code that may make an account, until it is used.
    pub sign_up: Option<SignUp>,
}

impl Verification {
    /// The addresses that its codes go to.
    pub fn reach(&self) -> Reach {
        if self.sign_up.is_some() { Reach::AnyAddress } else { self.purpose.reach() }
    }

    /// The way that it was asked for.
    pub fn way(&self) -> Way<'_> {
        Way { purpose: self.purpose, destination: &self.destination, login_id_hash: self.login_id_hash.as_deref() }
    }
}

/// How far a code's message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is in the outbox.
    Queued,
    /// A provider took it.
    Sent,
    /// The provider reports that it arrived.
    Delivered,
    /// The provider reports that it did not arrive.
    Undelivered,
    /// No provider took it.
    Failed,
    /// The code was used.
    Verified,
    /// Never stored: the code's end has passed, or the registration is gone.
    Expired,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Sent, Self::Delivered, Self::Undelivered, Self::Failed, Self::Verified, Self::Expired];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Verified => "verified",
            Self::Expired => "expired",
        }
    }

    /// Whether it can't change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Verified | Self::Expired)
    }

    /// Parses the name; `None` for a state that only a newer version knows.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The registration or account that a verification belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The registration that has the verification's id.
    Registration,
    /// An account, as long as it has the epoch that it had when the code was requested.
    Account {
        /// The account's id.
        id: Uuid,
        /// The account's epoch then.
        epoch: i64,
    },
    /// Nobody yet: the code makes an account, unless somebody has proven the address by then.
    Newcomer,
    /// Nobody: the code was requested for an unknown address. The same rows are written, and no code is right.
    Phantom,
}

impl Holder {
    /// The account's id, if it is an account.
    pub fn account(self) -> Option<Uuid> {
        match self {
            Self::Account { id, .. } => Some(id),
            Self::Registration | Self::Newcomer | Self::Phantom => None,
        }
    }
}

/// A code that was issued, as its owner is told of it.
#[derive(Debug, Clone)]
pub struct IssuedCode {
    /// The verification that it belongs to.
    pub verification_id: Uuid,
    /// Its purpose.
    pub purpose: Purpose,
    /// Where it goes.
    pub destination: Address,
    /// How long it still lives.
    pub expires_in: Duration,
    /// How long until the next one may be requested.
    pub resend_in: Duration,
    /// How many digits it has.
    pub code_length: u32,
}

/// A verification with everything that an attempt at its code is judged by.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// The verification.
    pub verification: Verification,
    /// The record of its destination.
    pub destination: DestinationRecord,
    /// Its registration is still pending, or its account unchanged since the code was requested.
    pub is_current: bool,
}

impl Challenge {
    /// Whether attempts at its code are judged. For codes that strangers may request, a changed account does
    /// not show here: that its codes are dead is found when one is used.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.state(now).is_final()
    }

    /// Whether its code can still be right, so that it is worth sending.
    pub fn is_sendable(&self, now: Timestamp) -> bool {
        self.is_current && self.is_live(now)
    }

    /// The state that a client is told.
    pub fn state(&self, now: Timestamp) -> DeliveryState {
        let Verification { purpose, holder, state, expires_at, .. } = &self.verification;
        let is_gone = !self.is_current && *holder != Holder::Phantom && !purpose.is_open_to_strangers();
        match state {
            DeliveryState::Verified => DeliveryState::Verified,
            _ if now >= *expires_at || is_gone => DeliveryState::Expired,
            _ if purpose.is_open_to_strangers() => DeliveryState::Sent,
            state => *state,
        }
    }

    /// The state that a client is told where accounts are concealed: nothing that depends on an account.
    pub fn concealed_state(&self, now: Timestamp) -> DeliveryState {
        match self.verification.state {
            DeliveryState::Verified => DeliveryState::Verified,
            _ if now >= self.verification.expires_at => DeliveryState::Expired,
            _ => DeliveryState::Sent,
        }
    }

    /// When [`concealed_state`](Self::concealed_state) changed.
    pub fn concealed_changed_at(&self, now: Timestamp) -> Timestamp {
        match self.concealed_state(now) {
            DeliveryState::Verified => self.verification.changed_at,
            DeliveryState::Expired => self.verification.expires_at,
            _ => self.verification.issued_at,
        }
    }

    /// When [`state`](Self::state) changed; for codes that strangers may request it tells nothing about the
    /// account.
    pub fn changed_at(&self, now: Timestamp) -> Timestamp {
        let Verification { purpose, changed_at, issued_at, expires_at, .. } = &self.verification;
        match self.state(now) {
            DeliveryState::Expired if now >= *expires_at => *expires_at,
            DeliveryState::Sent if purpose.is_open_to_strangers() => *issued_at,
            _ => *changed_at,
        }
    }
}

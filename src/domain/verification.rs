use std::time::Duration;

use uuid::Uuid;

use super::{Address, Purpose, Timestamp};

/// How far a code's message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Queued,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    Verified,
    /// Never written: it is past the code's end, or the registration gone.
    Expired,
}

impl DeliveryState {
    const ALL: [Self; 7] =
        [Self::Queued, Self::Sent, Self::Delivered, Self::Undelivered, Self::Failed, Self::Verified, Self::Expired];

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

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One thing to be proven, over all codes issued for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub id: Uuid,
    /// Grows by one with each code.
    pub issue: i64,
    pub purpose: Purpose,
    pub destination: Address,
    pub digits: u32,
    pub tries: u32,
    pub state: DeliveryState,
    pub changed_at: Timestamp,
    /// When its last code was made.
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub holder: Holder,
    /// SHA-256 of the login id that stood beside the address when it was asked for.
    pub asked_with: Option<Vec<u8>>,
}

/// Whom a code belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The registration that has the verification's id.
    Registration,
    /// An account, as long as it has the epoch it had when the code was asked for.
    Account { id: Uuid, epoch: i64 },
    /// A phantom's: no guess at it is right.
    Nobody,
}

/// A code that was issued, as its owner is told of it.
#[derive(Debug, Clone)]
pub struct IssuedCode {
    pub verification_id: Uuid,
    pub purpose: Purpose,
    pub destination: Address,
    pub expires_in: Duration,
    pub resend_in: Duration,
    pub code_length: u32,
}

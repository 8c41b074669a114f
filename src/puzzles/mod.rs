//! Puzzles: the work, or the widget of a provider, that stands before a code where messages are abused. On the wire a
//! puzzle is a `challenge`.

mod proof_of_work;
mod site_verify;

use crate::domain::{DestinationHash, Timestamp};

pub use proof_of_work::ProofOfWork;
pub use site_verify::{SiteVerify, SiteVerifyDown};

/// A task that a caller must solve first.
#[derive(Debug, Clone, PartialEq)]
pub enum Puzzle {
    /// ALTCHA's proof of work, version 2.
    ProofOfWork {
        /// As ALTCHA writes them; signed.
        parameters: serde_json::Value,
        /// Their HMAC.
        signature: String,
    },
    /// The widget of a provider.
    SiteVerify {
        /// Public; the widget needs it.
        site_key: String,
        /// `turnstile`, `hcaptcha`, or the provider's host.
        provider: String,
    },
}

/// The one use that a solution is good for: a code to this destination, asked for from this network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Where the code is asked for.
    pub destination: DestinationHash,
    /// The client's network.
    pub network: String,
}

/// A solution that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solved {
    /// Its name: whatever has the same name is the same solution.
    pub name: String,
    /// It is good for nothing then.
    pub expires_at: Timestamp,
}

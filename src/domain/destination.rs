//! The address that a code goes to, as it is hashed and what is recorded of it.

use std::fmt;

use super::{CodeHistory, FailedAttempts, Purpose, Timestamp, hex, sha256};

/// SHA-256 of an address' key. Unkeyed: it must outlive the rotation of root keys.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DestinationHash([u8; 32]);

impl DestinationHash {
    /// Hashes the key of an address, or of any other identifier.
    pub fn of_key(key: &str) -> Self {
        Self(sha256(key.as_bytes()))
    }

    /// The 32 octets, as the database stores them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for DestinationHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for DestinationHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The codes sent to a destination and the failed attempts at them; it outlives accounts and codes.
#[derive(Debug, Clone, Default)]
pub struct DestinationRecord {
    /// The last day's sends and failed attempts.
    pub history: CodeHistory,
    /// Attempts before this do not count: the operator lifted the limits.
    pub lifted_at: Timestamp,
}

impl DestinationRecord {
    /// The failed attempts at codes of one purpose, as a code store needs them.
    pub fn failed_attempts(&self, purpose: Purpose) -> FailedAttempts {
        FailedAttempts { attempts: self.history.failed_attempts(purpose), since: self.lifted_at }
    }
}

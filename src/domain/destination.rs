//! The address that a code goes to, as it is hashed and what is recorded of it.

use std::fmt;

use super::{Address, CodeHistory, FailedAttempts, Purpose, Timestamp, hex, sha256};

/// SHA-256 of an address' key. Unkeyed: it must outlive the rotation of root keys.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestinationHash([u8; 32]);

impl DestinationHash {
    /// Hashes the key of an address, or of any other identifier.
    pub fn of_key(key: &str) -> Self {
        Self(sha256(key.as_bytes()))
    }

    /// Restores a hash from the database; `None` for what is not 32 octets.
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 octets, as the database stores them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A way of asking for codes at a destination. What is asked for one way shuts and slows no other: a stranger who
/// fills one leaves the owner the rest.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The use of the codes.
    pub purpose: Purpose,
    /// Where they go.
    pub destination: &'a Address,
    /// SHA-256 of the login id beside the address: each pair is a way of its own.
    pub login_id_hash: Option<&'a [u8]>,
}

impl<'a> Way<'a> {
    /// By the address alone.
    pub fn new(purpose: Purpose, destination: &'a Address) -> Self {
        Self { purpose, destination, login_id_hash: None }
    }

    /// The key of the record that the way's sends and failed attempts are kept in.
    pub fn record_key(&self) -> DestinationHash {
        let address = self.destination.hash();
        match self.login_id_hash {
            None => address,
            Some(login_id) => DestinationHash(sha256(&[login_id, address.as_bytes()].concat())),
        }
    }

    /// The hash of the address alone, where the key is another.
    pub fn address_hash(&self) -> Option<DestinationHash> {
        self.login_id_hash.map(|_| self.destination.hash())
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
    /// The number of changes so far: who did not lock it writes only what is still at the one that was read.
    pub version: i64,
}

impl DestinationRecord {
    /// The failed attempts at codes of one purpose, as a code store needs them.
    pub fn failed_attempts(&self, purpose: Purpose) -> FailedAttempts {
        FailedAttempts { attempts: self.history.failed_attempts(purpose), since: self.lifted_at }
    }
}

//! Test identities: addresses with a code that is known beforehand.

use std::collections::BTreeMap;

use super::{Address, OneTimeCode, Timestamp};

/// The addresses whose code is known beforehand, for app stores' reviewers and end-to-end tests. No message goes to
/// them.
#[derive(Debug, Clone, Default)]
pub struct TestIdentities(BTreeMap<String, TestIdentity>);

/// The code of a test identity, and its end.
#[derive(Debug, Clone)]
pub struct TestIdentity {
    /// The address.
    pub address: Address,
    /// Every code that it gets.
    pub code: OneTimeCode,
    /// From then on it is an address like any other.
    pub ends_at: Timestamp,
}

impl FromIterator<TestIdentity> for TestIdentities {
    fn from_iter<I: IntoIterator<Item = TestIdentity>>(identities: I) -> Self {
        Self(identities.into_iter().map(|identity| (identity.address.key(), identity)).collect())
    }
}

impl TestIdentities {
    /// The code of the address, if it is a test identity now.
    pub fn code(&self, address: &Address, now: Timestamp) -> Option<&OneTimeCode> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&address.key()).filter(|identity| identity.ends_at > now).map(|identity| &identity.code)
    }

    /// Those that are test identities now.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &Address> {
        self.0.values().filter(move |identity| identity.ends_at > now).map(|identity| &identity.address)
    }

    /// Those that were test identities.
    pub fn ended(&self, now: Timestamp) -> impl Iterator<Item = &Address> {
        self.0.values().filter(move |identity| identity.ends_at <= now).map(|identity| &identity.address)
    }
}

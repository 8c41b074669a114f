//! A pending registration.

use uuid::Uuid;

use super::{Address, Identifiers, JsonObject, Timestamp};

/// A pending registration. It becomes a user once its code is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The id of the future account.
    pub id: Uuid,
    /// The verification that proves it.
    pub verification_id: Uuid,
    /// Its email, mobile and login id, at least one address among them.
    pub identifiers: Identifiers,
    /// The person's name.
    pub name: Option<String>,
    /// The person's language.
    pub locale: Option<String>,
    /// A JSON object of the person's own.
    pub data: JsonObject,
    /// A PHC string, with the salt that all pending registrations of the destination share; `None` without a password.
    pub password_hash: Option<String>,
    /// SHA-256 of the client network that it was last registered from.
    pub client_hash: Vec<u8>,
    /// When its last code was issued.
    pub last_code_at: Timestamp,
    /// When it ends unless it is proven.
    pub expires_at: Timestamp,
    /// When it was first registered.
    pub created_at: Timestamp,
}

impl Registration {
    /// The hash of its password, if it has one.
    pub fn password_hash(&self) -> Option<&str> {
        self.password_hash.as_deref()
    }

    /// The address that its code goes to.
    pub fn destination(&self) -> Address {
        self.identifiers.destination().expect("a registration has an email or a mobile")
    }
}

//! The details beside a login code that may make an account.

use serde::{Deserialize, Serialize};

use super::{Client, JsonObject, Registration, Timestamp, Verification, hex};

/// The details of the account that a login code makes where nobody has proven its address. They are kept for accounts
/// too, where they do nothing: so that nothing tells the two apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignUp {
    /// The person's name.
    pub name: Option<String>,
    /// The person's language.
    pub locale: Option<String>,
    /// A JSON object of the person's own.
    #[serde(default)]
    pub data: JsonObject,
    /// SHA-256 of the network that asked for the code, in hexadecimal.
    network: String,
}

impl SignUp {
    /// Asked for by this client.
    pub fn new(name: Option<String>, locale: Option<String>, data: JsonObject, client: &Client) -> Self {
        Self { name, locale, data, network: hex(&client.network_hash()) }
    }

    /// Without what a stranger may have put in: who does not present the id gets the details only where they were asked
    /// for.
    #[must_use]
    pub fn for_caller(self, client: &Client, with_id: bool) -> Self {
        if with_id || self.network == hex(&client.network_hash()) { self } else { Self::default() }
    }

    /// The registration that stands for it, as if it were proven at once.
    pub fn into_registration(self, id: uuid::Uuid, proven: &Verification, now: Timestamp) -> Registration {
        Registration {
            id,
            verification_id: proven.id,
            identifiers: proven.destination.clone().into(),
            name: self.name,
            locale: self.locale,
            data: self.data,
            password_hash: None,
            client_hash: Vec::new(),
            last_code_at: now,
            expires_at: now,
            created_at: now,
        }
    }
}

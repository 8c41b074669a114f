use uuid::Uuid;

use super::{Address, Email, LoginId, Mobile, Timestamp};

/// What somebody asked to become, until a code proves it; not a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The id of the account to be.
    pub id: Uuid,
    pub verification_id: Uuid,
    /// Where the code goes: the mobile where there is one, else the email.
    pub destination: Address,
    pub email: Option<Email>,
    pub mobile: Option<Mobile>,
    pub login_id: Option<LoginId>,
    pub name: Option<String>,
    pub locale: Option<String>,
    /// A PHC string, with the salt that all pending registrations of the destination share.
    pub password_hash: String,
    /// SHA-256 of the client network that it was last registered from.
    pub client: Vec<u8>,
    pub last_code_at: Timestamp,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
}

impl Registration {
    pub fn names(&self, address: &Address) -> bool {
        match address {
            Address::Mobile(mobile) => self.mobile.as_ref() == Some(mobile),
            Address::Email(email) => self.email.as_ref().map(Email::key) == Some(email.key()),
        }
    }
}

//! An account.

use uuid::Uuid;

use super::{Address, FieldError, Identifiers, JsonObject, Password, Registration, Timestamp};

/// An account; it has proven at least one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// Its email, mobile and login id.
    pub identifiers: Identifiers,
    /// The email was proven by a code; an unproven one is a note that keeps nobody else from proving it.
    pub email_verified: bool,
    /// The mobile was proven by a code.
    pub mobile_verified: bool,
    /// The person's name.
    pub name: Option<String>,
    /// The person's language.
    pub locale: Option<String>,
    /// What the person keeps here.
    pub data: JsonObject,
    /// What the operator tells of it in each access token.
    pub claims: JsonObject,
    /// A PHC string, or a hash as another system wrote it; none for accounts that an operator created.
    pub password_hash: Option<String>,
    /// Grows by one whenever everything that was opened before must end.
    pub epoch: i64,
    /// When an operator disabled it.
    pub disabled_at: Option<Timestamp>,
    /// Since when its password opens nothing, after too many wrong ones in a row.
    pub password_closed_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// The addresses that it has proven, the mobile first.
    pub fn proven_addresses(&self) -> Vec<Address> {
        let Identifiers { email, mobile, .. } = &self.identifiers;
        let mobile = mobile.clone().filter(|_| self.mobile_verified).map(Address::Mobile);
        let email = email.clone().filter(|_| self.email_verified).map(Address::Email);
        mobile.into_iter().chain(email).collect()
    }

    /// The address as the account has it, if the account has proven it.
    pub fn proven_address(&self, address: &Address) -> Option<Address> {
        self.proven_addresses().into_iter().find(|own| own.key() == address.key())
    }

    /// Refuses a new password that is one of the account's identifiers.
    pub fn check_password(&self, new: &Password) -> Result<(), FieldError> {
        new.check_against(&self.identifiers)
    }

    /// The account that a registration becomes once its destination is proven.
    pub fn from_registration(registration: Registration, now: Timestamp) -> Self {
        let by_mobile = registration.identifiers.mobile.is_some();
        Self {
            id: registration.id,
            identifiers: registration.identifiers,
            email_verified: !by_mobile,
            mobile_verified: by_mobile,
            name: registration.name,
            locale: registration.locale,
            data: registration.data,
            claims: JsonObject::default(),
            password_hash: Some(registration.password_hash),
            epoch: 0,
            disabled_at: None,
            password_closed_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

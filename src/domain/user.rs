use uuid::Uuid;

use super::{Address, Email, FieldError, LoginId, Mobile, Password, Registration, Timestamp};

/// An account; it has proven at least one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: Uuid,
    pub email: Option<Email>,
    pub email_verified: bool,
    pub mobile: Option<Mobile>,
    pub mobile_verified: bool,
    pub login_id: Option<LoginId>,
    pub name: Option<String>,
    pub locale: Option<String>,
    pub password_hash: Option<String>,
    /// Grows when all that was opened before must end.
    pub epoch: i64,
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl User {
    /// The addresses that it has proven, the mobile first.
    pub fn proven(&self) -> Vec<Address> {
        let mobile = self.mobile.clone().filter(|_| self.mobile_verified).map(Address::Mobile);
        let email = self.email.clone().filter(|_| self.email_verified).map(Address::Email);
        mobile.into_iter().chain(email).collect()
    }

    /// The address as the account has it, where it has proven it.
    pub fn as_proven(&self, address: &Address) -> Option<Address> {
        self.proven().into_iter().find(|own| own.key() == address.key())
    }

    /// Refuses a password that is one of the account's names.
    pub fn admits(&self, password: &Password) -> Result<(), FieldError> {
        password.differs_from(self.email.as_ref(), self.mobile.as_ref(), self.login_id.as_ref())
    }

    /// The account that a registration becomes once its destination is proven.
    pub fn from_registration(registration: Registration, now: Timestamp) -> Self {
        let by_mobile = matches!(registration.destination, Address::Mobile(_));
        Self {
            id: registration.id,
            email: registration.email,
            email_verified: !by_mobile,
            mobile: registration.mobile,
            mobile_verified: by_mobile,
            login_id: registration.login_id,
            name: registration.name,
            locale: registration.locale,
            password_hash: Some(registration.password_hash),
            epoch: 0,
            disabled_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

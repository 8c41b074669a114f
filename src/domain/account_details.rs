//! An account as an operator describes it.

use uuid::Uuid;

use super::{Email, Identifiers, JsonObject, Locale, PersonName, Timestamp, User};

/// An account as an operator describes it, who is believed about its addresses. What is not given stays as it is.
#[derive(Debug, Clone, Default)]
pub struct AccountDetails {
    /// Its email, mobile and login id.
    pub identifiers: Identifiers,
    /// The person's name.
    pub name: Option<PersonName>,
    /// The person's language.
    pub locale: Option<Locale>,
    /// The person's object.
    pub data: Option<JsonObject>,
    /// The operator's object.
    pub claims: Option<JsonObject>,
}

impl AccountDetails {
    /// A new account.
    pub fn into_user(self, id: Uuid, now: Timestamp) -> User {
        User {
            id,
            email_verified: self.identifiers.email.is_some(),
            mobile_verified: self.identifiers.mobile.is_some(),
            identifiers: self.identifiers,
            name: self.name.map(|name| name.as_str().to_owned()),
            locale: self.locale.map(|locale| locale.as_str().to_owned()),
            data: self.data.unwrap_or_default(),
            claims: self.claims.unwrap_or_default(),
            password_hash: None,
            epoch: 0,
            disabled_at: None,
            password_closed_at: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether the account already has everything that is given here.
    pub fn matches(&self, user: &User) -> bool {
        let Identifiers { email, mobile, login_id } = &self.identifiers;
        let same_email = |new: &Email| user.email_verified && user.identifiers.email.as_ref() == Some(new);
        let has_text = |stored: &Option<String>, new: Option<&str>| new.is_none() || stored.as_deref() == new;
        email.as_ref().is_none_or(same_email)
            && (mobile.is_none() || user.mobile_verified && user.identifiers.mobile == *mobile)
            && (login_id.is_none() || user.identifiers.login_id == *login_id)
            && has_text(&user.name, self.name.as_ref().map(PersonName::as_str))
            && has_text(&user.locale, self.locale.as_ref().map(Locale::as_str))
            && self.data.as_ref().is_none_or(|data| *data == user.data)
            && self.claims.as_ref().is_none_or(|claims| *claims == user.claims)
    }
}

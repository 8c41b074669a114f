//! An account as an operator describes it.

use uuid::Uuid;

use super::{Address, Email, Identifiers, JsonObject, Locale, PersonName, Timestamp, User};

/// An account as an operator describes it, who is believed about its addresses. What is not given stays as it is.
#[derive(Debug, Clone, Default)]
pub struct AccountDetails {
    /// Its id; a new one unless it is given.
    pub id: Option<Uuid>,
    /// Its email, mobile and login id.
    pub identifiers: Identifiers,
    /// The email is not proven: a note.
    pub email_unverified: bool,
    /// The mobile is not proven.
    pub mobile_unverified: bool,
    /// The person's name.
    pub name: Option<PersonName>,
    /// The person's language.
    pub locale: Option<Locale>,
    /// The person's object.
    pub data: Option<JsonObject>,
    /// The operator's object.
    pub claims: Option<JsonObject>,
    /// A hash that is known to be readable, of whatever system.
    pub password_hash: Option<String>,
    /// When the account was created.
    pub created_at: Option<Timestamp>,
}

impl AccountDetails {
    /// Whether an email is given that counts as proven.
    pub fn proves_email(&self) -> bool {
        self.identifiers.email.is_some() && !self.email_unverified
    }

    /// Whether a mobile is given that counts as proven.
    pub fn proves_mobile(&self) -> bool {
        self.identifiers.mobile.is_some() && !self.mobile_unverified
    }

    /// The keys of what only one account can have: proven addresses, login id, id.
    pub fn keys(&self) -> Vec<String> {
        let Identifiers { email, mobile, login_id } = self.identifiers.clone();
        let own = Identifiers {
            email: email.filter(|_| self.proves_email()),
            mobile: mobile.filter(|_| self.proves_mobile()),
            login_id,
        };
        own.keys().into_iter().chain(self.id.map(|id| format!("id {id}"))).collect()
    }

    /// The addresses that count as proven.
    pub fn proven_addresses(&self) -> Vec<Address> {
        let mobile = self.identifiers.mobile.clone().filter(|_| self.proves_mobile()).map(Address::Mobile);
        let email = self.identifiers.email.clone().filter(|_| self.proves_email()).map(Address::Email);
        mobile.into_iter().chain(email).collect()
    }

    /// A new account, with this id if none is given.
    pub fn into_user(self, id: Uuid, now: Timestamp) -> User {
        User {
            id: self.id.unwrap_or(id),
            email_verified: self.proves_email(),
            email_verified_at: self.proves_email().then_some(now),
            email_suspended_until: None,
            mobile_verified: self.proves_mobile(),
            mobile_verified_at: self.proves_mobile().then_some(now),
            mobile_suspended_until: None,
            identifiers: self.identifiers,
            name: self.name.map(|name| name.as_str().to_owned()),
            locale: self.locale.map(|locale| locale.as_str().to_owned()),
            data: self.data.unwrap_or_default(),
            claims: self.claims.unwrap_or_default(),
            password_hash: self.password_hash,
            epoch: 0,
            disabled_at: None,
            password_closed_at: None,
            session_opened_at: now,
            created_at: self.created_at.unwrap_or(now),
            updated_at: now,
        }
    }

    /// Whether the account already has everything that is given here, its password apart.
    pub fn matches(&self, user: &User) -> bool {
        let Identifiers { email, mobile, login_id } = &self.identifiers;
        let is_proven = user.email_verified || !self.proves_email();
        let same_email = |new: &Email| is_proven && user.identifiers.email.as_ref() == Some(new);
        let has_mobile = (user.mobile_verified || !self.proves_mobile()) && user.identifiers.mobile == *mobile;
        let has_text = |stored: &Option<String>, new: Option<&str>| new.is_none() || stored.as_deref() == new;
        email.as_ref().is_none_or(same_email)
            && (mobile.is_none() || has_mobile)
            && (login_id.is_none() || user.identifiers.login_id == *login_id)
            && has_text(&user.name, self.name.as_ref().map(PersonName::as_str))
            && has_text(&user.locale, self.locale.as_ref().map(Locale::as_str))
            && self.data.as_ref().is_none_or(|data| *data == user.data)
            && self.claims.as_ref().is_none_or(|claims| *claims == user.claims)
            && self.created_at.is_none_or(|created_at| created_at == user.created_at)
    }
}

//! An account.

use std::time::Duration;

use uuid::Uuid;

use super::{
    Address, Channel, DestinationHash, FieldError, Identifiers, JsonObject, Password, Registration, Timestamp,
};

/// An account; it has proven at least one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// Its email, mobile and login id.
    pub identifiers: Identifiers,
    /// The email was proven by a code; an unproven one is a note that keeps nobody else from proving it.
    pub email_verified: bool,
    /// When the email was proven.
    pub email_verified_at: Option<Timestamp>,
    /// The email was proven and opens nothing until it is proven again; till then nobody else may prove it.
    pub email_suspended_until: Option<Timestamp>,
    /// The mobile was proven by a code.
    pub mobile_verified: bool,
    /// When the mobile was proven.
    pub mobile_verified_at: Option<Timestamp>,
    /// As that of the email.
    pub mobile_suspended_until: Option<Timestamp>,
    /// The person's name.
    pub name: Option<String>,
    /// The person's language.
    pub locale: Option<String>,
    /// A JSON object of the person's own.
    pub data: JsonObject,
    /// The operator's words on it, which stand in each access token.
    pub claims: JsonObject,
    /// A PHC string, or a hash as another system wrote it; none for accounts that an operator created.
    pub password_hash: Option<String>,
    /// Grows by one whenever everything that was opened before must end.
    pub epoch: i64,
    /// When an operator disabled it.
    pub disabled_at: Option<Timestamp>,
    /// Since when its password opens nothing, after too many wrong ones in a row.
    pub password_closed_at: Option<Timestamp>,
    /// When a session of it was opened last, to the hour; at first when it was made.
    pub session_opened_at: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How long a proof is young, and how long a suspended address stays the account's own against others.
const SUSPENSION: Duration = Duration::from_hours(30 * 24);

impl User {
    /// The addresses that it has proven, the mobile first.
    pub fn proven_addresses(&self) -> Vec<Address> {
        self.addresses(self.mobile_verified, self.email_verified)
    }

    /// The addresses that it has proven, be it that they are suspended.
    pub fn own_addresses(&self) -> Vec<Address> {
        self.addresses(
            self.mobile_verified || self.mobile_suspended_until.is_some(),
            self.email_verified || self.email_suspended_until.is_some(),
        )
    }

    /// The addresses that nobody else may prove now.
    pub fn held_addresses(&self, now: Timestamp) -> Vec<Address> {
        let is_held = |until: Option<Timestamp>| until.is_some_and(|until| until > now);
        self.addresses(
            self.mobile_verified || is_held(self.mobile_suspended_until),
            self.email_verified || is_held(self.email_suspended_until),
        )
    }

    fn addresses(&self, with_mobile: bool, with_email: bool) -> Vec<Address> {
        let Identifiers { email, mobile, .. } = &self.identifiers;
        let mobile = mobile.clone().filter(|_| with_mobile).map(Address::Mobile);
        let email = email.clone().filter(|_| with_email).map(Address::Email);
        mobile.into_iter().chain(email).collect()
    }

    /// The address of this channel, proven or not.
    pub fn address_of(&self, channel: Channel) -> Option<Address> {
        match channel {
            Channel::Sms => self.identifiers.mobile.clone().map(Address::Mobile),
            Channel::Email => self.identifiers.email.clone().map(Address::Email),
        }
    }

    /// The address that a new password suspends, if the person was let in by a code to another one: that which was
    /// proven lately and after it. Whoever added it may be a stranger, who would stay. A first password suspends
    /// nothing.
    pub fn suspended_by(&self, let_in_by: &DestinationHash, now: Timestamp) -> Option<Address> {
        self.password_hash.as_ref()?;
        let proven = self.proven_addresses();
        let proof_of_way_in = self.verified_at(proven.iter().find(|address| address.hash() == *let_in_by)?);
        let is_suspended = |address: &Address| {
            let proof = self.verified_at(address).filter(|proof| proof.plus(SUSPENSION) > now);
            proof.is_some() && proof > proof_of_way_in
        };
        proven.into_iter().find(is_suspended)
    }

    /// The end of a suspension that begins now.
    pub fn suspension_end(now: Timestamp) -> Timestamp {
        now.plus(SUSPENSION)
    }

    /// The ways in that are left to an account which was not used for `after`, if a code to its mobile alone is not one:
    /// numbers are given to new people. Addresses are masked.
    pub fn ways_but_mobile(&self, after: Option<Duration>, now: Timestamp) -> Option<Vec<String>> {
        if self.session_opened_at.plus(after?) > now {
            return None;
        }
        let password = self.password_hash.as_ref().map(|_| "its password".to_owned());
        let email = self.proven_addresses().into_iter().find(|address| address.channel() == Channel::Email);
        let ways: Vec<String> = password.into_iter().chain(email.map(|email| email.masked())).collect();
        (!ways.is_empty()).then_some(ways)
    }

    fn verified_at(&self, address: &Address) -> Option<Timestamp> {
        match address {
            Address::Mobile(_) => self.mobile_verified_at,
            Address::Email(_) => self.email_verified_at,
        }
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
            email_verified_at: (!by_mobile).then_some(now),
            email_suspended_until: None,
            mobile_verified: by_mobile,
            mobile_verified_at: by_mobile.then_some(now),
            mobile_suspended_until: None,
            name: registration.name,
            locale: registration.locale,
            data: registration.data,
            claims: JsonObject::default(),
            password_hash: registration.password_hash,
            epoch: 0,
            disabled_at: None,
            password_closed_at: None,
            session_opened_at: now,
            created_at: now,
            updated_at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Email, Mobile};

    fn at(days: u64) -> Timestamp {
        Timestamp::default().plus(Duration::from_hours(24 * days))
    }

    /// An account whose addresses were proven on these days.
    fn user(mobile: u64, email: u64) -> User {
        let identifiers = Identifiers {
            email: Some(Email::from_stored("ann@example.com".into())),
            mobile: Some(Mobile::from_stored("+919876543210".into())),
            login_id: None,
        };
        User {
            id: Uuid::nil(),
            identifiers,
            email_verified: true,
            email_verified_at: Some(at(email)),
            email_suspended_until: None,
            mobile_verified: true,
            mobile_verified_at: Some(at(mobile)),
            mobile_suspended_until: None,
            name: None,
            locale: None,
            data: JsonObject::default(),
            claims: JsonObject::default(),
            password_hash: Some("hash".into()),
            epoch: 0,
            disabled_at: None,
            password_closed_at: None,
            session_opened_at: at(0),
            created_at: at(0),
            updated_at: at(0),
        }
    }

    #[test]
    fn a_young_proof_is_suspended_by_an_older_one() {
        let by = |user: &User, channel, now| {
            let suspended = user.suspended_by(&user.address_of(channel).unwrap().hash(), now);
            suspended.map(|address| address.channel())
        };
        let ann = user(1, 5);
        assert_eq!(by(&ann, Channel::Sms, at(6)), Some(Channel::Email));
        assert_eq!(by(&ann, Channel::Email, at(6)), None, "the mobile is older");
        assert_eq!(by(&ann, Channel::Sms, at(35)), None, "it is thirty days old");
        assert_eq!(by(&user(5, 5), Channel::Sms, at(6)), None, "proven together");
        let unproven = User { mobile_verified: false, ..user(1, 5) };
        assert_eq!(by(&unproven, Channel::Sms, at(6)), None, "nobody is let in by it");
        let without_password = User { password_hash: None, ..user(1, 5) };
        assert_eq!(by(&without_password, Channel::Sms, at(6)), None, "a first password");
    }
}

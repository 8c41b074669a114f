use std::time::Duration;

use uuid::Uuid;

use super::{Address, Email, FieldError, Happening, LoginId, Method, Mobile, Password, Purpose, Timestamp};

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

/// How far a code's message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Queued,
    Sent,
    Delivered,
    Undelivered,
    Failed,
    Verified,
    /// Never written: it is past the code's end, or the registration gone.
    Expired,
}

impl DeliveryState {
    const ALL: [Self; 7] =
        [Self::Queued, Self::Sent, Self::Delivered, Self::Undelivered, Self::Failed, Self::Verified, Self::Expired];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Verified => "verified",
            Self::Expired => "expired",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One thing to be proven, over all codes issued for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub id: Uuid,
    /// Grows by one with each code.
    pub issue: i64,
    pub purpose: Purpose,
    pub destination: Address,
    pub digits: u32,
    pub tries: u32,
    pub state: DeliveryState,
    pub changed_at: Timestamp,
    /// When its last code was made.
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub holder: Holder,
    /// SHA-256 of the login id that stood beside the address when it was asked for.
    pub asked_with: Option<Vec<u8>>,
}

/// Whom a code belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The registration that has the verification's id.
    Registration,
    /// An account, as long as it has the epoch it had when the code was asked for.
    Account { id: Uuid, epoch: i64 },
    /// A phantom's: no guess at it is right.
    Nobody,
}

/// A code that was issued, as its owner is told of it.
#[derive(Debug, Clone)]
pub struct IssuedCode {
    pub verification_id: Uuid,
    pub purpose: Purpose,
    pub destination: Address,
    pub expires_in: Duration,
    pub resend_in: Duration,
    pub code_length: u32,
}

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

/// A login: one row, however often its tokens are renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: Uuid,
    pub user_id: Uuid,
    pub counter: i64,
    pub salt: Vec<u8>,
    pub epoch: i64,
    /// Opened by a one-time code, not by the password.
    pub by_code: bool,
    pub user_agent: Option<String>,
    pub address: Option<String>,
    pub created_at: Timestamp,
    /// The idle end, moved on by each refresh.
    pub ends_at: Timestamp,
    /// The end whatever it does.
    pub expires_at: Timestamp,
}

impl Session {
    pub fn opened(&self) -> Happening {
        let method = if self.by_code { Method::Code } else { Method::Password };
        Happening::UserLoggedIn { user_id: self.user_id, session_id: self.id, method }
    }
}

/// The session that a refresh token belongs to, and which of its tokens it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub session: Uuid,
    pub counter: i64,
    pub salt: [u8; 16],
}

/// A user and the tokens of the session just opened.
#[derive(Debug, Clone)]
pub struct OpenedSession {
    pub user: User,
    pub opened_at: Timestamp,
    pub access_token: String,
    pub access_expires_in: Duration,
    pub refresh_token: String,
    pub refresh_expires_in: Duration,
}

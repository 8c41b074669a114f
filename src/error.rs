//! What a request can end in, other than success. No HTTP here: `http::problem` gives it a status.

use std::time::Duration;

use crate::{
    crypto::HashError,
    domain::{FieldCode, FieldError, IssuedCode, Unavailable},
    store::{StoreError, Taken},
};

/// A variant exists only where a client can act on it; everything else is [`Error::Internal`],
/// logged with its cause and shown as nothing but a 500.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} of the request's fields are wrong", .0.len())]
    Invalid(Vec<FieldError>),
    #[error("the code is wrong, expired or already used")]
    InvalidCode,
    /// The same, of a code for a login.
    #[error("the code is wrong, expired or already used")]
    InvalidLoginCode,
    #[error("the name or the password is wrong")]
    InvalidCredentials,
    #[error("no token was sent")]
    MissingToken,
    #[error("the token is not good")]
    InvalidToken,
    #[error("the refresh token was used before; its session is over")]
    TokenReused,
    #[error("the current password is wrong")]
    WrongPassword,
    #[error("the current password is needed")]
    ReauthenticationRequired,
    #[error("there is no such thing")]
    NotFound,
    /// The password of a registration is right that is still to be proven.
    #[error("the account is not activated yet")]
    NotActivated(Box<IssuedCode>),
    #[error("an account has this address or login id")]
    AccountExists(Vec<FieldError>),
    #[error("the address alone does not say which registration is meant")]
    VerificationIdRequired,
    #[error("there is no such verification")]
    UnknownVerification,
    #[error("too many requests")]
    TooManyRequests(Refused),
    #[error("too many wrong tries")]
    TooManyAttempts(Refused),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Another transaction came first; run once more, it passes.
    #[error("another request for the same was faster, twice")]
    Lost,
    #[error("more is asked of this node than it can do in time")]
    Overloaded,
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The limit's name, as `RateLimit-Policy` tells it.
    pub policy: &'static str,
    pub quota: u32,
    pub window: Duration,
    pub retry_after: Duration,
}

impl Error {
    pub fn field(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }

    pub fn taken(taken: Taken) -> Self {
        let (field, message) = match taken {
            Taken::Email => ("email", "another account has proven it"),
            Taken::Mobile => ("mobile", "another account has proven it"),
            Taken::LoginId => ("login_id", "another account has it"),
        };
        Self::AccountExists(vec![FieldError::new(field, FieldCode::Taken, message)])
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(unavailable) => Self::Unavailable(unavailable),
            StoreError::Taken(taken) => Self::taken(taken),
            StoreError::Lost => Self::Lost,
            StoreError::Busy => Self::Overloaded,
            StoreError::Failed(_) => Self::Internal(error.into()),
        }
    }
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded => Self::Overloaded,
            HashError::Failed(_) => Self::Internal(error.into()),
        }
    }
}

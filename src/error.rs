//! The ways in which a request can fail. No HTTP here: `http::problem` gives each a status.

use std::time::Duration;

use crate::{
    crypto::HashError,
    domain::{FieldCode, FieldError, IssuedCode, Quota, TakenIdentifier, Unavailable},
    puzzles::Puzzle,
    store::StoreError,
};

/// The ways in which a request can fail.
///
/// A variant exists only where a client can act on it; everything else is [`Error::Internal`], logged with its
/// cause and shown as nothing but a 500.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request are invalid.
    #[error("{}", invalid_fields(.0.len()))]
    Invalid(Vec<FieldError>),
    /// The code is not valid now: one answer whatever the reason, so that it does not tell who is registered.
    #[error("the code is wrong, expired or already used")]
    InvalidCode,
    /// The same, of a code for a login.
    #[error("the code is wrong, expired or already used")]
    InvalidLoginCode,
    /// The identifier is unknown or the password wrong.
    #[error("wrong email, mobile, login id or password")]
    InvalidCredentials,
    /// The call needs a token.
    #[error("an access token is required")]
    MissingToken,
    /// The token is not valid now.
    #[error("the token is invalid or has expired")]
    InvalidToken,
    /// The refresh token was replaced before.
    #[error("the refresh token was already used; its session has been revoked")]
    TokenReused,
    /// The current password is wrong.
    #[error("the current password is wrong")]
    WrongPassword,
    /// The session is not fresh enough to do without the current password.
    #[error("the current password is required")]
    ReauthenticationRequired,
    /// The account was not used for long, and its number may be somebody else's by now: the ways in that are left.
    #[error("{}", dormant(.0))]
    Dormant(Vec<String>),
    /// The resource does not exist.
    #[error("not found")]
    NotFound,
    /// The password is that of a registration that is still pending.
    #[error("the account is not activated yet")]
    NotActivated(Box<IssuedCode>),
    /// Nobody may register but who is invited.
    #[error("registration is closed")]
    RegistrationClosed,
    /// Another account has the identifier.
    #[error("an account with this email, mobile or login id already exists")]
    AccountExists(Vec<FieldError>),
    /// The account changed under the request, again and again.
    #[error("the account changed meanwhile; ask again")]
    ChangedMeanwhile,
    /// It is the account's only proven address.
    #[error("the only verified email or mobile cannot be removed")]
    LastContact,
    /// The address does not identify one registration.
    #[error("send the `verification_id` that `register` returned")]
    VerificationIdRequired,
    /// The id belongs to no verification, or not to the address beside it.
    #[error("no such verification")]
    UnknownVerification,
    /// The `Idempotency-Key` was used with another body.
    #[error("the `Idempotency-Key` was used for another request")]
    KeyReused,
    /// The same request, by its `Idempotency-Key`, is running.
    #[error("the same request is running; try again")]
    InProgress,
    /// A puzzle must be solved first.
    #[error("solve the challenge, and send the same request with its solution as `challenge`")]
    ChallengeRequired(Box<Puzzle>),
    /// A limit of requests is reached.
    #[error("too many requests")]
    TooManyRequests(ExceededLimit),
    /// A limit of wrong codes or passwords is reached.
    #[error("too many wrong attempts")]
    TooManyAttempts(ExceededLimit),
    /// A dependency is down.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Another transaction came first; run once more, this one may pass.
    #[error("another request changed the same data; try again")]
    Conflict,
    /// The node has more to do than it can do in time.
    #[error("the server is overloaded; try again")]
    Overloaded,
    /// Anything else.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExceededLimit {
    /// The limit's name, as `RateLimit-Policy` shows it.
    pub policy: &'static str,
    /// The exhausted quota.
    pub quota: Quota,
    /// How long until the next try is allowed.
    pub retry_after: Duration,
}

fn invalid_fields(count: usize) -> String {
    if count == 1 { "one field is invalid".to_owned() } else { format!("{count} fields are invalid") }
}

fn dormant(ways: &[String]) -> String {
    format!(
        "the account was not used for long, and its number may be somebody else's by now: log in by {}; for an account of \
         your own, log in by a code with `new_account: true`",
        ways.join(" or ")
    )
}

impl Error {
    /// One invalid field.
    pub fn field(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }

    /// An identifier that another account has.
    pub fn taken(taken: TakenIdentifier) -> Self {
        let field = match taken {
            TakenIdentifier::Email => "email",
            TakenIdentifier::Mobile => "mobile",
            TakenIdentifier::LoginId => "login_id",
        };
        Self::AccountExists(vec![FieldError::new(field, FieldCode::Taken, "is already used by another account")])
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(unavailable) => Self::Unavailable(unavailable),
            StoreError::Taken(taken) => Self::taken(taken),
            StoreError::Conflict | StoreError::Stale => Self::Conflict,
            StoreError::LockTimeout => Self::Overloaded,
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

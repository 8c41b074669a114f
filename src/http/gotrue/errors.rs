//! Errors in the dialect's names: the only place where one of ours becomes one of those.

use std::fmt::Write as _;

use axum::{
    Json,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    domain::{Channel, FieldCode, FieldError},
    error::Error,
    http::{error_code::ErrorCode, problem::Problem},
};

macro_rules! gotrue_codes {
    ($($code:ident $status:literal $name:literal $meaning:literal)+) => {
        /// An error's name and status, as GoTrue's clients know them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum GotrueCode { $($code),+ }

        impl GotrueCode {
            const ALL: &[Self] = &[$(Self::$code),+];

            fn status(self) -> StatusCode {
                let status = match self { $(Self::$code => $status),+ };
                StatusCode::from_u16(status).expect("it is one of the table")
            }

            fn as_str(self) -> &'static str {
                match self { $(Self::$code => $name),+ }
            }

            fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning),+ }
            }
        }
    };
}

gotrue_codes! {
    BadJson 400 "bad_json" "the body is not a JSON object with each key once, or too long"
    InvalidCredentials 400 "invalid_credentials" "wrong address or password, or a wrong `current_password`"
    EmailNotConfirmed 400 "email_not_confirmed" "the password is that of a registration whose email is not proven yet"
    PhoneNotConfirmed 400 "phone_not_confirmed" "the same of a phone"
    RefreshTokenNotFound 400 "refresh_token_not_found" "the refresh token is not ours, or its session has ended"
    RefreshTokenAlreadyUsed 400 "refresh_token_already_used" "the refresh token was used before; its session is revoked"
    ReauthenticationNeeded 400 "reauthentication_needed" "the session is not fresh enough to do without `current_password`"
    CaptchaFailed 400 "captcha_failed" "`POST /challenge`, solve it, and send the same request with `captcha_token`"
    FeatureDisabled 400 "feature_disabled" "not offered here; also by 404 and 405"
    NoAuthorization 401 "no_authorization" "an access token is required"
    OtpExpired 403 "otp_expired" "the code is wrong, expired, used or unknown: one answer"
    BadJwt 403 "bad_jwt" "the access token is not ours, or has expired"
    SessionNotFound 403 "session_not_found" "the session of the access token has ended"
    Conflict 409 "conflict" "two requests at once, or more than one registration is meant"
    UserAlreadyExists 422 "user_already_exists" "an account has the address"
    WeakPassword 422 "weak_password" "see `weak_password.reasons`: `length`, `pwned`, `own_identifier`"
    SamePassword 422 "same_password" "the new password is the `current_password`"
    SignupDisabled 422 "signup_disabled" "nobody may register but who is invited"
    ValidationFailed 422 "validation_failed" "fields are invalid"
    OverSmsSendRateLimit 429 "over_sms_send_rate_limit" "too many codes by SMS; see `Retry-After`"
    OverEmailSendRateLimit 429 "over_email_send_rate_limit" "too many codes by email; see `Retry-After`"
    OverRequestRateLimit 429 "over_request_rate_limit" "too many wrong codes or passwords; see `Retry-After`"
    UnexpectedFailure 500 "unexpected_failure" "an error of the server, or, by 503, of what it depends on; try again"
    RequestTimeout 504 "request_timeout" "the server is overloaded; try again"
}

/// The table of codes in the documentation.
pub fn error_table() -> String {
    let mut table = String::from("| status | `code` | meaning |\n|---|---|---|\n");
    for code in GotrueCode::ALL {
        let _ = writeln!(table, "| {} | `{}` | {} |", code.status().as_u16(), code.as_str(), code.meaning());
    }
    table
}

/// A handler's knowledge of its error beyond the problem.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spoken {
    /// The code.
    Code(GotrueCode),
    /// How a code would have gone out.
    Sending(Channel),
}

/// An error of the dialect.
pub(super) struct Refusal {
    problem: Box<Problem>,
    spoken: Option<Spoken>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::new(problem, None)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Problem::from(error).into()
    }
}

impl Refusal {
    pub(super) fn new(problem: Problem, spoken: Option<Spoken>) -> Self {
        Self { problem: Box::new(problem), spoken }
    }

    /// The error under another name than elsewhere.
    pub(super) fn named(code: GotrueCode, error: Error) -> Self {
        Self::new(error.into(), Some(Spoken::Code(code)))
    }

    /// The error of a call that would have sent a code.
    pub(super) fn sending(channel: Channel) -> impl Fn(Error) -> Self {
        move |error| Self::new(error.into(), Some(Spoken::Sending(channel)))
    }

    /// Of a call, or a part of one, that is not offered.
    pub(super) fn disabled() -> Self {
        Self::named(GotrueCode::FeatureDisabled, Error::NotFound)
    }

    fn code(&self) -> GotrueCode {
        match self.spoken {
            Some(Spoken::Code(code)) => code,
            Some(Spoken::Sending(channel)) => code_of(&self.problem, Some(channel)),
            None => code_of(&self.problem, None),
        }
    }

    /// That of the code, but for errors of the framework and of what is down.
    fn status(&self) -> StatusCode {
        let code = self.code();
        match self.problem.status() {
            status if status == StatusCode::METHOD_NOT_ALLOWED => status,
            status if status == StatusCode::NOT_FOUND && self.spoken.is_none() => status,
            status if matches!(code, GotrueCode::BadJson) => status,
            status if matches!(code, GotrueCode::UnexpectedFailure) => status,
            _ => code.status(),
        }
    }

    pub(super) fn write(&self, with_codes: bool) -> Response {
        let (code, status) = (self.code(), self.status());
        let message = message(code, &self.problem);
        let mut body = if with_codes {
            json!({"code": code.as_str(), "message": message})
        } else {
            json!({"code": status.as_u16(), "error_code": code.as_str(), "msg": message})
        };
        if code == GotrueCode::WeakPassword {
            let reasons: Vec<Value> = self.problem.errors().iter().filter_map(weakness).map(Value::from).collect();
            body["weak_password"] = json!({"reasons": reasons});
        }
        let mut response = (status, Json(body)).into_response();
        for (name, value) in self.problem.headers() {
            let is_meant = *name != "www-authenticate" || status == StatusCode::UNAUTHORIZED;
            if let Ok(value) = HeaderValue::from_str(value)
                && is_meant
            {
                response.headers_mut().insert(*name, value);
            }
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.problem.into_response();
        if let Some(spoken) = self.spoken {
            response.extensions_mut().insert(spoken);
        }
        response
    }
}

/// The reason for which a password is weak, in the dialect's words where it has one.
fn weakness(error: &FieldError) -> Option<&'static str> {
    if !matches!(error.field, "password" | "new_password") {
        return None;
    }
    match error.code {
        FieldCode::TooShort => Some("length"),
        FieldCode::CommonPassword => Some("pwned"),
        FieldCode::OwnIdentifier => Some("own_identifier"),
        _ => None,
    }
}

fn code_of(problem: &Problem, sending: Option<Channel>) -> GotrueCode {
    match problem.code {
        ErrorCode::InvalidCode
        | ErrorCode::InvalidLoginCode
        | ErrorCode::UnknownVerification
        | ErrorCode::VerificationIdRequired => GotrueCode::OtpExpired,
        ErrorCode::InvalidCredentials | ErrorCode::WrongPassword => GotrueCode::InvalidCredentials,
        ErrorCode::AccountNotActivated => match problem.pending().map(|code| code.destination.channel()) {
            Some(Channel::Sms) => GotrueCode::PhoneNotConfirmed,
            _ => GotrueCode::EmailNotConfirmed,
        },
        ErrorCode::MissingToken => GotrueCode::NoAuthorization,
        ErrorCode::InvalidToken | ErrorCode::Forbidden => GotrueCode::BadJwt,
        ErrorCode::TokenReused => GotrueCode::RefreshTokenAlreadyUsed,
        ErrorCode::ReauthenticationRequired => GotrueCode::ReauthenticationNeeded,
        ErrorCode::ChallengeRequired => GotrueCode::CaptchaFailed,
        ErrorCode::RegistrationClosed => GotrueCode::SignupDisabled,
        ErrorCode::NotFound | ErrorCode::MethodNotAllowed => GotrueCode::FeatureDisabled,
        ErrorCode::AccountExists => GotrueCode::UserAlreadyExists,
        ErrorCode::RequestInProgress | ErrorCode::ChangedMeanwhile | ErrorCode::IdempotencyKeyReused => {
            GotrueCode::Conflict
        }
        ErrorCode::MalformedBody
        | ErrorCode::BodyTooLarge
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::InvalidIdempotencyKey => GotrueCode::BadJson,
        ErrorCode::InvalidFields if problem.errors().iter().any(|error| weakness(error).is_some()) => {
            GotrueCode::WeakPassword
        }
        ErrorCode::InvalidFields | ErrorCode::LastContact => GotrueCode::ValidationFailed,
        ErrorCode::TooManyRequests => match (problem.policy(), sending) {
            (Some("client-hashes") | None, _) | (_, None) => GotrueCode::OverRequestRateLimit,
            (_, Some(Channel::Sms)) => GotrueCode::OverSmsSendRateLimit,
            (_, Some(Channel::Email)) => GotrueCode::OverEmailSendRateLimit,
        },
        ErrorCode::TooManyAttempts => GotrueCode::OverRequestRateLimit,
        ErrorCode::RequestTimeout | ErrorCode::Overloaded => GotrueCode::RequestTimeout,
        ErrorCode::Internal | ErrorCode::Unavailable => GotrueCode::UnexpectedFailure,
    }
}

/// For people; the names of fields are the dialect's.
fn message(code: GotrueCode, problem: &Problem) -> String {
    match code {
        GotrueCode::OtpExpired => "the code is wrong, expired or already used".to_owned(),
        GotrueCode::FeatureDisabled | GotrueCode::CaptchaFailed | GotrueCode::Conflict | GotrueCode::SamePassword => {
            code.meaning().to_owned()
        }
        _ if problem.errors().is_empty() => problem.detail().to_owned(),
        _ => problem.errors().iter().map(in_dialect).collect::<Vec<_>>().join("; "),
    }
}

fn in_dialect(error: &FieldError) -> String {
    let field = match error.field {
        "mobile" => "phone",
        "otp" => "token",
        "new_password" => "password",
        "challenge" => "captcha_token",
        other => other,
    };
    format!("{field} {}", error.message)
}

//! Problems: errors as clients see them, and the only place where an error becomes a status.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    docs::errors,
    error_code::ErrorCode,
    open_enum::{ErrorCodeName, FieldErrorCode},
    views::{ChallengeView, VerificationView},
};
use crate::{
    domain::{FieldError, IssuedCode},
    error::{Error, ExceededLimit},
    metrics,
    puzzles::Puzzle,
};

/// An error as clients see it (RFC 9457). The request log writes it out, because it knows the request's id.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) code: ErrorCode,
    /// That of the code, except for an error of the framework.
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    /// The verification that is still pending.
    verification: Option<Box<IssuedCode>>,
    /// The challenge to be solved.
    challenge: Option<Box<Puzzle>>,
    /// The limit that was reached, and in how many seconds it allows another try.
    limit: Option<(&'static str, u64)>,
    headers: Vec<(&'static str, String)>,
}

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    /// Leads to the description of the code.
    #[schema(example = "https://accounts.example.com/docs/errors#invalid_fields")]
    r#type: String,
    #[schema(example = "Unprocessable Entity")]
    title: &'a str,
    #[schema(example = 422)]
    status: u16,
    /// For people; it may change.
    #[schema(example = "one field is invalid")]
    detail: &'a str,
    #[schema(example = "invalid_fields")]
    code: ErrorCodeName,
    /// The response's `X-Request-Id`.
    request_id: &'a str,
    /// With `invalid_fields` and `account_exists`: the fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldView<'a>>,
    /// With 429: the seconds until the next try is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 60)]
    retry_after: Option<u64>,
    /// With 429: the limit's name, as in `RateLimit-Policy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "client-sends")]
    policy: Option<&'static str>,
    /// With `account_not_activated`: the verification that is still pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<VerificationView>,
    /// With `challenge_required`: the challenge to be solved.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<ChallengeView>,
}

/// An invalid field.
#[derive(Serialize, ToSchema)]
#[schema(as = FieldError)]
struct FieldView<'a> {
    /// The field's name in the request.
    #[schema(example = "mobile")]
    field: &'static str,
    #[schema(example = "unsupported_number")]
    code: FieldErrorCode,
    /// For people; it reads on after the field's name.
    #[schema(example = "is not a mobile number")]
    message: &'a str,
}

impl Problem {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: code.status(),
            detail: detail.into(),
            errors: Vec::new(),
            verification: None,
            challenge: None,
            limit: None,
            headers: Vec::new(),
        }
    }

    /// An error of the framework: nothing but the status is known.
    pub(super) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            404 => Self::new(ErrorCode::NotFound, "not found"),
            405 => Self::new(ErrorCode::MethodNotAllowed, "method not allowed"),
            500.. => Self::new(ErrorCode::Internal, "internal error"),
            _ => Self { status, ..Self::new(ErrorCode::MalformedBody, "the request cannot be read") },
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Without the id the code may have been meant for a login. Said always, the hint reveals nothing.
    pub(super) fn with_login_hint(mut self) -> Self {
        if matches!(self.code, ErrorCode::InvalidCode | ErrorCode::InvalidLoginCode) {
            self.detail.push_str("; for a login, send `purpose: \"login\"` too");
        }
        self
    }

    /// On calls that take HTTP Basic (RFC 7617), the challenge says so.
    pub(super) fn with_basic_challenge(mut self) -> Self {
        if self.status == StatusCode::UNAUTHORIZED {
            self = self.with("www-authenticate", r#"Basic realm="enroll", charset="UTF-8""#);
        }
        self
    }

    /// `Retry-After` (RFC 9110, 10.2.3) and the draft's `RateLimit` fields.
    fn with_limit(mut self, exceeded: ExceededLimit) -> Self {
        let ExceededLimit { policy, quota, retry_after } = exceeded;
        let (seconds, span) = (whole_seconds(retry_after).max(1), whole_seconds(quota.span()));
        self.limit = Some((policy, seconds));
        let unit = if seconds == 1 { "second" } else { "seconds" };
        self.detail = format!("{}; try again in {seconds} {unit}", what_was_too_much(policy));
        self.with("retry-after", seconds.to_string())
            .with("ratelimit", format!(r#""{policy}";r=0;t={seconds}"#))
            .with("ratelimit-policy", format!(r#""{policy}";q={};w={span}"#, quota.count))
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The name of the limit that was reached.
    pub(super) fn policy(&self) -> Option<&'static str> {
        self.limit.map(|(policy, _)| policy)
    }

    /// The code that is still pending.
    pub(super) fn pending(&self) -> Option<&IssuedCode> {
        self.verification.as_deref()
    }

    /// The response's headers, but for its content's.
    pub(super) fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    pub(super) fn write(&self, request_id: &str, public_url: &str) -> Response {
        let code = self.code.as_str();
        let errors = self.errors.iter().map(|error| FieldView {
            field: error.field,
            code: FieldErrorCode(error.code.as_str()),
            message: &error.message,
        });
        let body = ProblemBody {
            r#type: format!("{}{}#{code}", public_url.trim_end_matches('/'), errors::PATH),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: ErrorCodeName(code),
            request_id,
            errors: errors.collect(),
            retry_after: self.limit.map(|(_, seconds)| seconds),
            policy: self.limit.map(|(policy, _)| policy),
            verification: self.verification.as_deref().map(VerificationView::from),
            challenge: self.challenge.as_deref().map(ChallengeView::from),
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, content_type, json).into_response();
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(*name, value);
            }
        }
        response
    }
}

fn what_was_too_much(policy: &str) -> &'static str {
    match policy {
        "client-sends" => "too many codes were requested from this client",
        "destination-sends" => "too many codes were requested for this address",
        "codes-in-memory" => "the networks around this client have asked for all the codes there is room for",
        "message-ceiling" => "more messages are asked for than may go out",
        "resend" => "a code was sent a moment ago",
        "client-hashes" => "this client sent too many passwords",
        "client-guesses" => "this client sent too many wrong codes",
        "client-failures" => "this client sent too many wrong passwords",
        "identifier-failures" => "too many wrong passwords were sent for this account",
        "password-closed" => {
            "the password is closed after too many wrong ones; log in by a code, or set a new password by one"
        }
        "destination-guesses" => "too many wrong codes were sent for this address",
        "code-tries" => "this code allows no more attempts; request a new one",
        _ => "too many requests",
    }
}

fn code_of(error: &Error) -> ErrorCode {
    match error {
        Error::Invalid(_) => ErrorCode::InvalidFields,
        Error::InvalidCode => ErrorCode::InvalidCode,
        Error::InvalidLoginCode => ErrorCode::InvalidLoginCode,
        Error::InvalidCredentials => ErrorCode::InvalidCredentials,
        Error::MissingToken => ErrorCode::MissingToken,
        Error::InvalidToken => ErrorCode::InvalidToken,
        Error::TokenReused => ErrorCode::TokenReused,
        Error::NotActivated(_) => ErrorCode::AccountNotActivated,
        Error::WrongPassword => ErrorCode::WrongPassword,
        Error::ReauthenticationRequired | Error::Dormant(_) => ErrorCode::ReauthenticationRequired,
        Error::NotFound => ErrorCode::NotFound,
        Error::RegistrationClosed => ErrorCode::RegistrationClosed,
        Error::AccountExists(_) => ErrorCode::AccountExists,
        Error::ChangedMeanwhile => ErrorCode::ChangedMeanwhile,
        Error::LastContact => ErrorCode::LastContact,
        Error::VerificationIdRequired => ErrorCode::VerificationIdRequired,
        Error::UnknownVerification => ErrorCode::UnknownVerification,
        Error::KeyReused => ErrorCode::IdempotencyKeyReused,
        Error::InProgress => ErrorCode::RequestInProgress,
        Error::ChallengeRequired(_) => ErrorCode::ChallengeRequired,
        Error::TooManyRequests(_) => ErrorCode::TooManyRequests,
        Error::TooManyAttempts(_) => ErrorCode::TooManyAttempts,
        Error::Unavailable(_) => ErrorCode::Unavailable,
        Error::Conflict | Error::Overloaded => ErrorCode::Overloaded,
        Error::Internal(_) => ErrorCode::Internal,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let mut problem = Self::new(code_of(&error), error.to_string());
        match error {
            Error::Invalid(errors) | Error::AccountExists(errors) => problem.errors = errors,
            Error::TooManyRequests(exceeded) | Error::TooManyAttempts(exceeded) => {
                metrics::limit_exceeded(exceeded.policy);
                return problem.with_limit(exceeded);
            }
            Error::NotActivated(code) => problem.verification = Some(code),
            Error::ChallengeRequired(puzzle) => problem.challenge = Some(puzzle),
            Error::InvalidToken | Error::TokenReused => {
                return problem.with("www-authenticate", r#"Bearer error="invalid_token""#);
            }
            Error::MissingToken | Error::InvalidCredentials | Error::InvalidLoginCode => {
                return problem.with("www-authenticate", "Bearer");
            }
            Error::Unavailable(failed) => {
                let cause = format!("{:#}", failed.cause);
                tracing::warn!(dependency = %failed.dependency, cause, "a dependency is unavailable");
                problem.detail = String::from("temporarily unavailable; you can retry");
                return problem.with("retry-after", "1");
            }
            Error::Conflict | Error::Overloaded | Error::InProgress => return problem.with("retry-after", "1"),
            Error::Internal(cause) => tracing::error!(cause = %format!("{cause:#}"), "internal error"),
            Error::InvalidCode
            | Error::ChangedMeanwhile
            | Error::LastContact
            | Error::VerificationIdRequired
            | Error::UnknownVerification
            | Error::KeyReused
            | Error::RegistrationClosed
            | Error::WrongPassword
            | Error::ReauthenticationRequired
            | Error::Dormant(_)
            | Error::NotFound => {}
        }
        problem
    }
}

/// Rounded up, so that a client who waits that long succeeds.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

pub(super) async fn not_found() -> Problem {
    Problem::of(StatusCode::NOT_FOUND)
}

/// The router adds `Allow`.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::of(StatusCode::METHOD_NOT_ALLOWED)
}

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::views::CodeView;
use crate::{
    domain::{FieldError, IssuedCode},
    error::{Error, Refused},
};

/// An error as clients see it (RFC 9457). The envelope writes it out, for it knows the request's id.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    /// What is still to be proven.
    verification: Option<Box<IssuedCode>>,
    headers: Vec<(&'static str, String)>,
}

/// `application/problem+json` (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody<'a> {
    #[schema(example = "urn:enroll:problem:invalid_fields")]
    r#type: String,
    #[schema(example = "Unprocessable Entity")]
    title: &'a str,
    #[schema(example = 422)]
    status: u16,
    /// For people; it may change.
    detail: &'a str,
    /// For programs; it is stable.
    #[schema(example = "invalid_fields")]
    code: &'a str,
    /// The answer's `X-Request-Id`.
    request_id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldView>,
    /// With `account_not_activated`: the registration that is still to be proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<CodeView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FieldError)]
struct FieldView {
    #[schema(example = "mobile")]
    field: &'static str,
    #[schema(example = "unsupported_number")]
    code: &'static str,
    message: &'static str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), verification: None, headers: Vec::new() }
    }

    /// For an error that the framework made: the status says all that is known.
    pub(super) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            404 => Self::new(status, "not_found", "there is nothing at this path"),
            405 => Self::new(status, "method_not_allowed", "this path does not take the method"),
            500.. => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error"),
            _ => Self::new(status, "malformed_body", "the request can't be read"),
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
        self
    }

    /// A miss where the id is missing may have been meant for a login; said always, it tells nothing.
    pub(super) fn hinting_at_login(mut self) -> Self {
        if self.code == "invalid_code" {
            self.detail.push_str("; for a login, send purpose:\"login\" with it");
        }
        self
    }

    /// On calls that take HTTP Basic (RFC 7617), the challenge says so.
    pub(super) fn basic(mut self) -> Self {
        if self.status == StatusCode::UNAUTHORIZED {
            self = self.with("www-authenticate", r#"Basic realm="enroll", charset="UTF-8""#);
        }
        self
    }

    pub(super) fn write(&self, request_id: &str) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:enroll:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: self
                .errors
                .iter()
                .map(|error| FieldView { field: error.field, code: error.code.as_str(), message: error.message })
                .collect(),
            verification: self.verification.as_ref().map(|code| CodeView::new(code, true)),
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

/// The status, and the stable code that clients match on.
fn status_and_code(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields"),
        Error::InvalidCode => (StatusCode::BAD_REQUEST, "invalid_code"),
        Error::InvalidLoginCode => (StatusCode::UNAUTHORIZED, "invalid_code"),
        Error::InvalidCredentials => (StatusCode::UNAUTHORIZED, "invalid_credentials"),
        Error::MissingToken => (StatusCode::UNAUTHORIZED, "missing_token"),
        Error::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
        Error::TokenReused => (StatusCode::UNAUTHORIZED, "token_reused"),
        Error::NotActivated(_) => (StatusCode::FORBIDDEN, "account_not_activated"),
        Error::WrongPassword => (StatusCode::FORBIDDEN, "wrong_password"),
        Error::ReauthenticationRequired => (StatusCode::FORBIDDEN, "reauthentication_required"),
        Error::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Error::AccountExists(_) => (StatusCode::CONFLICT, "account_exists"),
        Error::VerificationIdRequired => (StatusCode::CONFLICT, "verification_id_required"),
        Error::UnknownVerification => (StatusCode::NOT_FOUND, "unknown_verification"),
        Error::TooManyRequests(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
        Error::TooManyAttempts(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"),
        Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Error::Lost | Error::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, code) = status_and_code(&error);
        let mut problem = Self::new(status, code, error.to_string());
        match error {
            Error::Invalid(errors) | Error::AccountExists(errors) => problem.errors = errors,
            Error::TooManyRequests(refused) | Error::TooManyAttempts(refused) => return problem.refused(refused),
            Error::NotActivated(code) => problem.verification = Some(code),
            Error::InvalidToken | Error::TokenReused => {
                return problem.with("www-authenticate", r#"Bearer error="invalid_token""#);
            }
            Error::MissingToken | Error::InvalidCredentials | Error::InvalidLoginCode => {
                return problem.with("www-authenticate", "Bearer");
            }
            Error::Unavailable(cause) => {
                tracing::warn!(part = %cause.part, cause = %format!("{:#}", cause.cause), "a part is unavailable");
                problem.detail = String::from("a part of the service is down; asking again is safe");
                return problem.with("retry-after", "1");
            }
            Error::Lost | Error::Overloaded => return problem.with("retry-after", "1"),
            Error::Internal(cause) => tracing::error!(cause = %format!("{cause:#}"), "internal error"),
            Error::InvalidCode
            | Error::VerificationIdRequired
            | Error::UnknownVerification
            | Error::WrongPassword
            | Error::ReauthenticationRequired
            | Error::NotFound => {}
        }
        problem
    }
}

impl Problem {
    /// `Retry-After` (RFC 9110, 10.2.3) and the draft's `RateLimit` fields.
    fn refused(self, refused: Refused) -> Self {
        let Refused { policy, quota, window, retry_after } = refused;
        let seconds = whole_seconds(retry_after).max(1);
        self.with("retry-after", seconds.to_string())
            .with("ratelimit", format!(r#""{policy}";r=0;t={seconds}"#))
            .with("ratelimit-policy", format!(r#""{policy}";q={quota};w={}"#, whole_seconds(window)))
    }
}

/// Rounded up: who waits so long is let in.
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

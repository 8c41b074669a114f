//! The codes of problems: each stands here once with its status and meaning, and from here come the responses, the
//! OpenAPI document and the README's table.

use std::fmt::Write as _;

use axum::http::StatusCode;

macro_rules! error_codes {
    ($($code:ident $status:literal $name:literal $meaning:literal)+) => {
        /// A stable code, which clients match on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum ErrorCode { $($code),+ }

        impl ErrorCode {
            const ALL: &[Self] = &[$(Self::$code),+];

            pub(super) fn status(self) -> StatusCode {
                let status = match self { $(Self::$code => $status),+ };
                StatusCode::from_u16(status).expect("it is one of the table")
            }

            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$code => $name),+ }
            }

            fn meaning(self) -> &'static str {
                match self { $(Self::$code => $meaning),+ }
            }
        }
    };
}

error_codes! {
    InvalidCode 400 "invalid_code" "the code is wrong, expired, used or unknown: one answer"
    MalformedBody 400 "malformed_body" "the body is not a JSON object with each key once"
    InvalidIdempotencyKey 400 "invalid_idempotency_key" "`Idempotency-Key` is not one header of 1 to 128 visible characters"
    InvalidCredentials 401 "invalid_credentials" "wrong identifier or password"
    InvalidLoginCode 401 "invalid_code" "the code for a login is wrong, expired, used or unknown"
    MissingToken 401 "missing_token" "an access token is required"
    InvalidToken 401 "invalid_token" "the token is invalid, or has expired or been revoked"
    TokenReused 401 "token_reused" "the refresh token was used before; its session is revoked"
    AccountNotActivated 403 "account_not_activated" "the registration is still pending; see `verification`"
    WrongPassword 403 "wrong_password" "the current password is wrong"
    ReauthenticationRequired 403 "reauthentication_required" "the current password is required, or another way in than a code to the mobile"
    ChallengeRequired 403 "challenge_required" "solve `challenge`, and send the same request with the solution"
    RegistrationClosed 403 "registration_closed" "nobody may register but who is invited"
    Forbidden 403 "forbidden" "the report is not signed by the provider"
    NotFound 404 "not_found" "there is nothing here"
    UnknownVerification 404 "unknown_verification" "no such verification"
    MethodNotAllowed 405 "method_not_allowed" "see `Allow`"
    RequestTimeout 408 "request_timeout" "the body did not arrive in time"
    AccountExists 409 "account_exists" "an account has the email, mobile or login id; see `errors`"
    ChangedMeanwhile 409 "changed_meanwhile" "the account changed under the request; ask again"
    LastContact 409 "last_contact" "the account's only verified email or mobile cannot be removed"
    VerificationIdRequired 409 "verification_id_required" "send the `verification_id` that `register` returned"
    RequestInProgress 409 "request_in_progress" "the same request, by its `Idempotency-Key`, is running"
    BodyTooLarge 413 "body_too_large" "the body is longer than 16 KiB"
    UnsupportedMediaType 415 "unsupported_media_type" "the body must be JSON without compression"
    InvalidFields 422 "invalid_fields" "fields are invalid; see `errors`"
    IdempotencyKeyReused 422 "idempotency_key_reused" "the `Idempotency-Key` was used with another body"
    TooManyRequests 429 "too_many_requests" "a limit of requests; see `Retry-After`, `RateLimit`, `RateLimit-Policy`"
    TooManyAttempts 429 "too_many_attempts" "a limit of wrong codes or passwords; the same headers"
    Internal 500 "internal" "an error of the server"
    Unavailable 503 "unavailable" "a dependency is down; trying again is safe"
    Overloaded 503 "overloaded" "the server is overloaded; trying again is safe"
}

impl ErrorCode {
    /// The names, each once.
    pub(super) fn names() -> Vec<&'static str> {
        let mut names: Vec<_> = Self::ALL.iter().map(|code| code.as_str()).collect();
        names.retain({
            let mut seen = std::collections::HashSet::new();
            move |name| seen.insert(*name)
        });
        names
    }
}

/// The README's table of codes.
pub fn error_table() -> String {
    let mut table = String::from("| status | `code` | meaning |\n|---|---|---|\n");
    for code in ErrorCode::ALL {
        let _ = writeln!(table, "| {} | `{}` | {} |", code.status().as_u16(), code.as_str(), code.meaning());
    }
    table
}

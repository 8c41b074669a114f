//! Every path of the API in one list, with its errors; the calls themselves are below, a file for each family. So the
//! `path` of each attribute is empty.

mod activation;
mod challenge;
mod contacts;
pub(super) mod dev_inbox;
pub(super) mod health;
pub(super) mod jwks;
mod login;
mod recovery;
mod registration;
mod sessions;
mod twilio_callback;
mod users;
pub(super) mod verification;

use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Api,
    error_code::ErrorCode::{
        self, AccountExists, AccountNotActivated, ChallengeRequired, ChangedMeanwhile, Forbidden, IdempotencyKeyReused,
        InvalidCode, InvalidCredentials, InvalidFields, InvalidIdempotencyKey, InvalidLoginCode, InvalidToken,
        LastContact, MalformedBody, MissingToken, NotFound, ReauthenticationRequired, RegistrationClosed,
        RequestInProgress, TokenReused, TooManyAttempts, TooManyRequests, UnknownVerification, VerificationIdRequired,
        WrongPassword,
    },
    openapi::{alias, call, plain},
};

/// Every call of the API, relative to a prefix, with the errors of its own; those that any call can have are added
/// by the module `openapi`.
#[rustfmt::skip]
pub(super) fn api() -> OpenApiRouter<Api> {
    const TOKEN: [ErrorCode; 2] = [MissingToken, InvalidToken];
    const LIMITS: [ErrorCode; 2] = [TooManyRequests, TooManyAttempts];
    const KEY: [ErrorCode; 3] = [InvalidIdempotencyKey, RequestInProgress, IdempotencyKeyReused];
    const SENDS: [ErrorCode; 2] = [ChallengeRequired, TooManyRequests];
    const VERIFY: [ErrorCode; 7] = [InvalidCode, InvalidLoginCode, AccountExists, VerificationIdRequired, ReauthenticationRequired, RegistrationClosed, TooManyAttempts];
    const PASSWORD: [ErrorCode; 3] = [WrongPassword, ReauthenticationRequired, ChangedMeanwhile];
    OpenApiRouter::new()
        // Registration
        .routes(call("/auth/register", routes!(registration::register), &[&[AccountExists, ChallengeRequired, RegistrationClosed], &LIMITS, &KEY]))
        .routes(alias("/users", "createUser", routes!(registration::register), &[&[AccountExists, ChallengeRequired, RegistrationClosed], &LIMITS, &KEY]))
        .routes(call("/auth/verify-otp", routes!(verification::verify), &[&VERIFY]))
        .routes(alias("/auth/verify", "verifyCode", routes!(verification::verify), &[&VERIFY]))
        .routes(call("/auth/resend-otp", routes!(registration::resend), &[&[UnknownVerification, VerificationIdRequired], &SENDS, &KEY]))
        .routes(call("/auth/challenge", routes!(challenge::create), &[]))
        .routes(call("/auth/verifications/{verification_id}", routes!(verification::status), &[&[UnknownVerification, InvalidFields, MalformedBody]]))
        .routes(call("/users/activate", routes!(activation::activate), &[&[InvalidCode, InvalidCredentials, AccountExists], &LIMITS]))
        .routes(call("/users/resend-code", routes!(activation::resend_code), &[&[InvalidCredentials, ChallengeRequired], &LIMITS]))
        // Recovery
        .routes(call("/auth/forgot-password", routes!(recovery::forgot), &[&SENDS]))
        .routes(call("/auth/reset-password", routes!(recovery::reset), &[&[InvalidCode, ReauthenticationRequired], &LIMITS]))
        // Login
        .routes(call("/auth/login", routes!(login::log_in), &[&[InvalidCredentials, AccountNotActivated], &LIMITS]))
        .routes(call("/auth/send-otp", routes!(login::send_code), &[&SENDS, &KEY]))
        .routes(call("/auth/refresh", routes!(login::refresh), &[&[InvalidToken, TokenReused]]))
        // The person's own account
        .routes(call("/users/me", routes!(users::me), &[&TOKEN]))
        .routes(call("/users/me", routes!(users::update), &[&TOKEN]))
        .routes(call("/users/me/export", routes!(users::export), &[&TOKEN]))
        .routes(call("/users/me/password", routes!(users::change_password), &[&TOKEN, &PASSWORD, &LIMITS]))
        .routes(call("/users/me/contacts", routes!(contacts::request), &[&TOKEN, &[WrongPassword, ReauthenticationRequired, AccountExists, ChallengeRequired], &LIMITS]))
        .routes(call("/users/me/contacts/verify", routes!(contacts::verify), &[&TOKEN, &[InvalidCode, AccountExists, TooManyAttempts]]))
        .routes(call("/users/me/contacts/email", routes!(contacts::remove_email), &[&TOKEN, &PASSWORD, &[LastContact], &LIMITS]))
        .routes(call("/users/me/contacts/mobile", routes!(contacts::remove_mobile), &[&TOKEN, &PASSWORD, &[LastContact], &LIMITS]))
        .routes(call("/users/me/sessions", routes!(sessions::list), &[&TOKEN]))
        .routes(call("/users/me/sessions/{id}", routes!(sessions::revoke), &[&TOKEN, &[NotFound]]))
        .routes(call("/users/me", routes!(users::delete), &[&TOKEN, &PASSWORD, &LIMITS]))
        .routes(call("/auth/logout-all", routes!(login::log_out_all), &[&TOKEN]))
        .routes(call("/auth/logout", routes!(login::log_out), &[&[MissingToken]]))
}

/// Every call beside the API, which no prefix stands before.
#[rustfmt::skip]
pub(super) fn service() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(plain("/livez", routes!(health::livez)))
        .routes(plain("/readyz", routes!(health::readyz)))
        .routes(plain("/.well-known/jwks.json", routes!(jwks::jwks)))
        .routes(call("/providers/twilio/status", routes!(twilio_callback::report), &[&[Forbidden]]))
}

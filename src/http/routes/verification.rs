use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    domain::{Address, FieldCode, FieldError, PhoneRules, Purpose},
    engine::Proof,
    error::Error,
    http::{
        Api,
        extract::{
            client_ip::Caller,
            fields::{CodeFields, Fields, LoginIdFields, WhichFields},
            json::{Body, Given},
        },
        middleware::{camel_case::Speech, request_log::log_destination},
        problem::{Problem, ProblemBody, whole_seconds},
        views::TokenAnswer,
    },
    services::VerificationStatus,
};

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(verify)).routes(routes!(verify_short)).routes(routes!(status))
}

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct VerifyRequest {
    #[serde(flatten)]
    code: CodeFields,
    #[serde(flatten)]
    which: WhichFields,
    /// `registration` or `login`; without it what the id belongs to, or a login where there is a
    /// `login_id`, else a registration.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "registration")]
    purpose: Given,
    /// With a `mobile`: a login.
    #[serde(flatten)]
    login_id: LoginIdFields,
}

impl VerifyRequest {
    fn parse(self, phone: &PhoneRules) -> Result<Proof, Error> {
        let mut fields = Fields::default();
        let code = self.code.parse(&mut fields);
        let login_id = self.login_id.parse(&mut fields);
        let which = self.which.parse(&mut fields, phone);
        let purpose = fields.optional("purpose", self.purpose, |text| match text {
            "registration" => Ok(Purpose::Registration),
            "login" => Ok(Purpose::Login),
            _ => Err(FieldError::new("purpose", FieldCode::Invalid, "is neither registration nor login")),
        });
        if login_id.is_some() {
            match which.address {
                Some(Address::Mobile(_)) => {}
                Some(Address::Email(_)) => {
                    fields.error(
                        "email",
                        FieldCode::TooManyIdentifiers,
                        "stands beside a login_id, which takes a mobile",
                    );
                }
                None if fields.has_error_of(&["mobile", "email"]) => {}
                None => fields.error("mobile", FieldCode::Required, "a login_id is not enough"),
            }
            if purpose == Some(Purpose::Registration) {
                fields.error("login_id", FieldCode::Invalid, "means a login, which is not the purpose");
            }
        }
        let by_fields = if login_id.is_some() {
            Some(Purpose::Login)
        } else {
            which.address.as_ref().map(|_| Purpose::Registration)
        };
        let purpose = purpose.or(by_fields);
        fields.finish(code.map(|code| Proof { code, which, purpose, login_id }))
    }
}

/// How far a verification is.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct StatusAnswer {
    verification_id: Uuid,
    #[schema(example = "registration")]
    purpose: &'static str,
    #[schema(example = "sms")]
    channel: &'static str,
    #[schema(example = "+91******3210")]
    destination: String,
    /// `queued`, `sent`, `delivered`, `undelivered`, `failed`, `expired` or `verified`; take an
    /// unknown one for `sent`.
    #[schema(example = "sent")]
    state: &'static str,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-21T18:36:00Z")]
    changed_at: String,
    /// Seconds.
    expires_in: u64,
    /// Seconds.
    resend_in: u64,
    /// Wrong tries left to who presents the id; null while the code store is down.
    attempts_left: Option<u32>,
}

impl From<VerificationStatus> for StatusAnswer {
    fn from(status: VerificationStatus) -> Self {
        Self {
            verification_id: status.code.verification_id,
            purpose: status.code.purpose.as_str(),
            channel: status.code.destination.channel().as_str(),
            destination: status.code.destination.masked(),
            state: status.state.as_str(),
            changed_at: status.changed_at.to_string(),
            expires_in: status.code.expires_in.as_secs(),
            resend_in: whole_seconds(status.code.resend_in),
            attempts_left: status.attempts_left,
        }
    }
}

/// Prove a registration by its code, or log in by one
///
/// The account is active from here on, and a session open.
#[utoipa::path(post, path = "/auth/verify-otp", tag = "registration", request_body = VerifyRequest, responses(
    (status = 200, description = "The account is active", body = TokenAnswer),
    (status = 400, description = "`invalid_code`, `malformed_body`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 401, description = "`invalid_code`, of a login", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`account_exists`, `verification_id_required`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn verify(
    State(api): State<Api>,
    Caller(client): Caller,
    speech: Speech,
    Body(request): Body<VerifyRequest>,
) -> Result<Json<TokenAnswer>, Problem> {
    let proof = request.parse(&api.phone)?;
    if let Some(address) = &proof.which.address {
        log_destination(&address.masked());
    }
    let opened = api.verification.verify(&proof, &client).await.map_err(|error: Error| match proof.which.id {
        Some(_) => Problem::from(error),
        None => Problem::from(error).hinting_at_login(),
    })?;
    Ok(Json(TokenAnswer::new(opened, &speech)))
}

/// Prove a registration by its code, or log in by one (the same call under another path)
#[utoipa::path(post, path = "/auth/verify", tag = "registration", request_body = VerifyRequest, responses(
    (status = 200, description = "The account is active", body = TokenAnswer),
    (status = 400, description = "`invalid_code`, `malformed_body`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 401, description = "`invalid_code`, of a login", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`account_exists`, `verification_id_required`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn verify_short(
    state: State<Api>,
    caller: Caller,
    speech: Speech,
    body: Body<VerifyRequest>,
) -> Result<Json<TokenAnswer>, Problem> {
    verify(state, caller, speech, body).await
}

/// How far a verification is
#[utoipa::path(get, path = "/auth/verifications/{verification_id}", tag = "registration",
    params(("verification_id" = Uuid, Path, description = "What `register` answered")), responses(
    (status = 200, description = "Its state", body = StatusAnswer),
    (status = 404, description = "`unknown_verification`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn status(State(api): State<Api>, id: Result<Path<Uuid>, PathRejection>) -> Result<Json<StatusAnswer>, Problem> {
    let Path(id) = id.map_err(|_| Error::UnknownVerification)?;
    Ok(Json(api.status.status(id).await?.into()))
}

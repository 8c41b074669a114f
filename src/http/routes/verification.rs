//! Verifying a code, and the status of a verification.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::PathRejection},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{Address, FieldCode, FieldError, LoginId, PhoneRules, Purpose, Timestamp},
    engine::{CodeSubmission, VerificationRef},
    error::Error,
    http::{
        Api,
        extract::{
            client_ip::RequestClient,
            compat::Compat,
            fields::{CodeFields, Fields, LoginIdFields, VerificationRefFields},
            json::{Body, JsonField, JsonValueField},
        },
        middleware::request_log::log_destination,
        open_enum::{ChannelName, PurposeName, VerificationState},
        problem::{Problem, whole_seconds},
        views::TokenResponse,
    },
    services::{VerificationStatus, Wait},
};

/// A code, and the verification that it belongs to.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct VerifyRequest {
    #[serde(flatten)]
    code: CodeFields,
    #[serde(flatten)]
    reference: VerificationRefFields,
    /// `registration` or `login`. By default the purpose of the id, or login with a `login_id`, or registration.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "registration")]
    purpose: JsonField,
    /// With a `mobile`: for a login.
    #[serde(flatten)]
    login_id: LoginIdFields,
    /// After a 403 `reauthentication_required` for a number that was another person's: make an account of its own, which
    /// takes the number.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    new_account: JsonValueField,
}

impl VerifyRequest {
    fn parse(self, phone: &PhoneRules) -> Result<CodeSubmission, Error> {
        let mut fields = Fields::default();
        let code = self.code.parse(&mut fields);
        let login_id = self.login_id.parse(&mut fields);
        let reference = self.reference.parse(&mut fields, phone);
        let purpose = fields.optional("purpose", self.purpose, |text| match text {
            "registration" => Ok(Purpose::Registration),
            "login" => Ok(Purpose::Login),
            _ => Err(FieldError::new("purpose", FieldCode::Invalid, "must be `registration` or `login`")),
        });
        let new_account = fields.flag("new_account", self.new_account);
        check_login_id(&mut fields, login_id.as_ref(), &reference, purpose);
        let by_fields = match &login_id {
            Some(_) => Some(Purpose::Login),
            None => reference.address.as_ref().map(|_| Purpose::Registration),
        };
        let purpose = purpose.or(by_fields);
        fields.finish(code.map(|code| CodeSubmission { code, reference, purpose, login_id, new_account }))
    }
}

/// A login id needs a mobile beside it, and means a login.
fn check_login_id(
    fields: &mut Fields,
    login_id: Option<&LoginId>,
    reference: &VerificationRef,
    purpose: Option<Purpose>,
) {
    if login_id.is_none() {
        return;
    }
    match reference.address {
        Some(Address::Mobile(_)) => {}
        Some(Address::Email(_)) => {
            fields.error("email", FieldCode::TooManyIdentifiers, "send a `mobile` with the `login_id`, not an email");
        }
        None if fields.has_error_of(&["mobile", "email"]) => {}
        None => fields.error("mobile", FieldCode::Required, "is required with a `login_id`"),
    }
    if purpose == Some(Purpose::Registration) {
        fields.error("login_id", FieldCode::Invalid, "is only allowed with `purpose: \"login\"`");
    }
}

/// The status of a verification.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct StatusResponse {
    verification_id: Uuid,
    #[schema(example = "registration")]
    purpose: PurposeName,
    #[schema(example = "sms")]
    channel: ChannelName,
    #[schema(example = "sent")]
    state: VerificationState,
    /// Where the code goes, masked.
    #[schema(example = "+91******3210")]
    destination: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T18:36:00Z")]
    changed_at: Timestamp,
    /// Seconds until the code expires.
    expires_in: u64,
    /// Seconds until a new code may be requested.
    resend_in: u64,
    /// Wrong attempts left to callers that send the id; null while the code store is down.
    attempts_left: Option<u32>,
}

impl From<VerificationStatus> for StatusResponse {
    fn from(status: VerificationStatus) -> Self {
        Self {
            verification_id: status.code.verification_id,
            purpose: PurposeName(status.code.purpose.as_str()),
            channel: ChannelName(status.code.destination.channel().as_str()),
            destination: status.code.destination.masked(),
            state: VerificationState(status.state.as_str()),
            changed_at: status.changed_at,
            expires_in: status.code.expires_in.as_secs(),
            resend_in: whole_seconds(status.code.resend_in),
            attempts_left: status.attempts_left,
        }
    }
}

/// Verify a code
///
/// Activates the account that was registered and opens its first session; or logs in, by a code for that.
#[utoipa::path(post, path = "", operation_id = "verifyOtp", tag = "registration", request_body(content = VerifyRequest, example = json!({"mobile": "9876543210", "otp": "123456"})),
    responses((status = 200, description = "The account is active, and a session open", body = TokenResponse)))]
pub(in crate::http) async fn verify(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    compat: Compat,
    Body(request): Body<VerifyRequest>,
) -> Result<Json<TokenResponse>, Problem> {
    let may_mean_a_login = request.purpose.is_absent();
    let submission = request.parse(&api.phone)?;
    log_destination(&submission.reference.address.as_ref().map(Address::masked).unwrap_or_default());
    let verified = api.verification.verify(&submission, &client).await;
    let tokens = verified.map_err(|error| match submission.reference.id {
        None if may_mean_a_login => Problem::from(error).with_login_hint(),
        _ => Problem::from(error),
    })?;
    Ok(Json(TokenResponse::new(tokens, &compat)))
}

/// Get a verification's status
///
/// Kept for a day after its code's end.
#[utoipa::path(get, path = "", operation_id = "getVerification", tag = "registration",
    params(
        ("verification_id" = Uuid, Path, description = "From the response of `register`", example = "00000000-0000-4000-8000-000000000000"),
        ("wait" = Option<u64>, Query, description = "Seconds, 1 to 25: the response comes when the state changes or can't change any more, at the latest after that", minimum = 1, maximum = 25),
        ("state" = Option<String>, Query, description = "With `wait`: the state that the client knows; another one is answered at once"),
    ),
    responses((status = 200, description = "The status", body = StatusResponse)))]
pub(in crate::http) async fn status(
    State(api): State<Api>,
    id: Result<Path<Uuid>, PathRejection>,
    Query(query): Query<StatusQuery>,
) -> Result<Json<StatusResponse>, Problem> {
    let Path(id) = id.map_err(|_| Error::UnknownVerification)?;
    let status = match query.parse()? {
        Some(wait) => api.status.wait(id, wait).await?,
        None => Box::pin(api.status.status(id)).await?,
    };
    Ok(Json(status.into()))
}

/// The longest that a client may wait for news of a verification.
pub(in crate::http) const LONGEST_WAIT: Duration = Duration::from_secs(25);

#[derive(Deserialize)]
pub(in crate::http) struct StatusQuery {
    wait: Option<String>,
    state: Option<String>,
}

impl StatusQuery {
    fn parse(self) -> Result<Option<Wait>, Error> {
        let Some(wait) = self.wait else { return Ok(None) };
        let at_most = wait.parse().map(Duration::from_secs).unwrap_or_default();
        if at_most.is_zero() || at_most > LONGEST_WAIT {
            return Err(Error::Invalid(vec![FieldError::new("wait", FieldCode::Invalid, "must be 1 to 25")]));
        }
        Ok(Some(Wait { at_most, known: self.state }))
    }
}

//! Account recovery.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{Address, Identifiers, Password, Purpose},
    engine::CodeSubmission,
    error::Error,
    http::{
        Api,
        extract::{
            client_ip::RequestClient,
            fields::{AddressFields, ChallengeFields, CodeFields, Fields, VerificationRefFields, require_address},
            json::{Body, JsonField},
        },
        middleware::request_log::log_destination,
        problem::Problem,
        views::VerificationView,
    },
    services::CodeRequest,
};

/// A code is on its way, if there is such an account.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ForgotResponse {
    #[schema(example = "success")]
    status: &'static str,
    message: &'static str,
    verification: VerificationView,
}

/// The address of the account.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ForgotRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(flatten)]
    challenge: ChallengeFields,
}

/// A code, the address that it was sent to, and the new password.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ResetRequest {
    #[serde(flatten)]
    code: CodeFields,
    #[serde(flatten)]
    reference: VerificationRefFields,
    /// 8 to 128 characters of any kind.
    #[serde(default)]
    #[schema(value_type = String, required, min_length = 8, max_length = 128, example = "a better horse")]
    new_password: JsonField,
}

impl ResetRequest {
    fn parse(self, api: &Api) -> Result<(CodeSubmission, Password), Error> {
        let mut fields = Fields::default();
        let code = self.code.parse(&mut fields);
        let reference = self.reference.parse(&mut fields, &api.phone);
        require_address(&mut fields, reference.address.as_ref());
        let identifiers = reference.address.clone().map(Identifiers::from).unwrap_or_default();
        let new = fields.required("new_password", self.new_password, |text| {
            let password = Password::parse(text, api.password_min_length);
            let checked = password.and_then(|password| password.check_against(&identifiers).map(|()| password));
            checked.map_err(|error| error.at("new_password"))
        });
        let purpose = Some(Purpose::PasswordReset);
        let submission =
            code.map(|code| CodeSubmission { code, reference, purpose, login_id: None, new_account: false });
        fields.finish(submission.zip(new))
    }
}

/// Request a code for a new password
///
/// The response is the same whether or not an account has proven the address; to an unknown one nothing is sent.
#[utoipa::path(post, path = "", operation_id = "forgotPassword", tag = "recovery", request_body(content = ForgotRequest, example = json!({"mobile": "9876543210"})),
    responses((status = 202, description = "A code is on its way, if an account has proven the address", body = ForgotResponse)))]
pub(in crate::http) async fn forgot(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Body(request): Body<ForgotRequest>,
) -> Result<(StatusCode, Json<ForgotResponse>), Problem> {
    let mut fields = Fields::default();
    let solution = request.challenge.parse(&mut fields);
    let address = request.address.required(&mut fields, &api.phone);
    let address = fields.finish(address)?;
    log_destination(&address.masked());
    let request = CodeRequest { address, login_id: None, app_hash: None, locale: None, newcomer: None };
    let code = api.code_request.send(Purpose::PasswordReset, &request, solution.as_deref(), &client).await?;
    let response = ForgotResponse {
        status: "success",
        message: "If an account has this address, a code is on its way; send it to reset-password.",
        verification: VerificationView::from(&code),
    };
    Ok((StatusCode::ACCEPTED, Json(response)))
}

/// Set a new password by a code
///
/// Revokes every session, and informs the owner.
#[utoipa::path(post, path = "", operation_id = "resetPassword", tag = "recovery", request_body(content = ResetRequest, example = json!({"mobile": "9876543210", "otp": "123456", "new_password": "a better horse battery"})),
    responses((status = 204, description = "The password is set")))]
pub(in crate::http) async fn reset(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Body(request): Body<ResetRequest>,
) -> Result<StatusCode, Problem> {
    let (submission, new) = request.parse(&api)?;
    log_destination(&submission.reference.address.as_ref().map(Address::masked).unwrap_or_default());
    api.recovery.reset(&submission, &new, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    domain::{Address, FieldCode, FieldError, Password, Purpose},
    engine::Proof,
    http::{
        Api,
        extract::{
            client_ip::Caller,
            fields::{AddressFields, CodeFields, Fields, WhichFields},
            json::{Body, Given},
        },
        middleware::request_log::log_destination,
        problem::{Problem, ProblemBody},
        views::CodeView,
    },
    services::Asked,
};

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(forgot)).routes(routes!(reset))
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ForgotAnswer {
    #[schema(example = "success")]
    status: &'static str,
    message: &'static str,
    verification: CodeView,
}

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ResetRequest {
    #[serde(flatten)]
    code: CodeFields,
    #[serde(flatten)]
    which: WhichFields,
    /// 8 to 128 characters, of any kind.
    #[serde(default)]
    #[schema(value_type = String, required, min_length = 8, max_length = 128, example = "a better horse")]
    new_password: Given,
}

impl ResetRequest {
    fn parse(self, api: &Api) -> Result<(Proof, Password), crate::error::Error> {
        let mut fields = Fields::default();
        let code = self.code.parse(&mut fields);
        let which = self.which.parse(&mut fields, &api.phone);
        if which.address.is_none() && !fields.has_error_of(&["mobile", "email"]) {
            fields.error("mobile", FieldCode::Required, "a mobile or an email is needed");
        }
        let new = fields.required("new_password", self.new_password, |text| {
            let named = |error| FieldError { field: "new_password", ..error };
            let password = Password::parse(text, api.password_min_length).map_err(named)?;
            let (email, mobile) = match &which.address {
                Some(Address::Email(email)) => (Some(email), None),
                Some(Address::Mobile(mobile)) => (None, Some(mobile)),
                None => (None, None),
            };
            password.differs_from(email, mobile, None).map_err(named)?;
            Ok(password)
        });
        let proof = code.map(|code| Proof { code, which, purpose: Some(Purpose::PasswordReset), login_id: None });
        fields.finish(proof.zip(new))
    }
}

/// Ask for a code to set a new password
///
/// Answers alike whether or not an account has proven the address; to an unknown one nothing is sent.
#[utoipa::path(post, path = "/auth/forgot-password", tag = "login", request_body = AddressFields, responses(
    (status = 202, description = "A code is on its way, if an account has proven the address", body = ForgotAnswer),
    (status = 429, description = "`too_many_requests`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn forgot(
    State(api): State<Api>,
    Caller(client): Caller,
    Body(request): Body<AddressFields>,
) -> Result<(StatusCode, Json<ForgotAnswer>), Problem> {
    let mut fields = Fields::default();
    let address = request.required(&mut fields, &api.phone);
    let address = fields.finish(address)?;
    log_destination(&address.masked());
    let asked = Asked { address, login_id: None };
    let code = api.asking.ask(Purpose::PasswordReset, &asked, &client).await?;
    let answer = ForgotAnswer {
        status: "success",
        message: "If an account has this address, a code is on its way; send it to reset-password.",
        verification: CodeView::new(&code, true),
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Set a new password by a code
///
/// Every session ends, and the owner is told.
#[utoipa::path(post, path = "/auth/reset-password", tag = "login", request_body = ResetRequest, responses(
    (status = 204, description = "It is set"),
    (status = 400, description = "`invalid_code`, `malformed_body`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`, `too_many_requests`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn reset(
    State(api): State<Api>,
    Caller(client): Caller,
    Body(request): Body<ResetRequest>,
) -> Result<StatusCode, Problem> {
    let (proof, new) = request.parse(&api)?;
    if let Some(address) = &proof.which.address {
        log_destination(&address.masked());
    }
    api.recovery.reset(&proof, &new, &client).await?;
    Ok(StatusCode::NO_CONTENT)
}

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::users::CurrentPassword;
use crate::http::{
    Api,
    extract::{
        auth::Bearer,
        client_ip::Caller,
        fields::{AddressFields, CodeFields, Fields, verification_id},
        json::{Body, Given},
    },
    middleware::{camel_case::Speech, request_log::log_destination},
    problem::{Problem, ProblemBody},
    views::{CodeView, UserView},
};

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(change_contact)).routes(routes!(verify_contact))
}

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ContactRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(flatten)]
    current: CurrentPassword,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ContactAnswer {
    verification: CodeView,
}

#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ContactProof {
    #[serde(flatten)]
    code: CodeFields,
    #[serde(default)]
    #[schema(value_type = Uuid, required)]
    verification_id: Given,
}

/// Ask to use another email or mobile
///
/// It counts once its code proves it; until then the old one stands, and is told.
#[utoipa::path(post, path = "/users/me/contacts", tag = "account", security(("bearer" = [])),
    request_body = ContactRequest, responses(
    (status = 202, description = "A code is on its way to the new address", body = ContactAnswer),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 403, description = "`wrong_password`, `reauthentication_required`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`account_exists`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_requests`, `too_many_attempts`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn change_contact(
    State(api): State<Api>,
    Caller(client): Caller,
    bearer: Bearer,
    Body(request): Body<ContactRequest>,
) -> Result<(StatusCode, Json<ContactAnswer>), Problem> {
    let mut fields = Fields::default();
    let address = request.address.required(&mut fields, &api.phone);
    let current = request.current.parse(&mut fields);
    let new = fields.finish(address)?;
    log_destination(&new.masked());
    let Bearer { user, session } = bearer;
    let code = api.contacts.request(&user, session, &new, &current, &client).await?;
    Ok((StatusCode::ACCEPTED, Json(ContactAnswer { verification: CodeView::new(&code, true) })))
}

/// Prove the new address by its code
#[utoipa::path(post, path = "/users/me/contacts/verify", tag = "account", security(("bearer" = [])),
    request_body = ContactProof, responses(
    (status = 200, description = "The account, which has the address now", body = UserView),
    (status = 400, description = "`invalid_code`, `malformed_body`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 401, description = "`missing_token`, `invalid_token`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`account_exists`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn verify_contact(
    State(api): State<Api>,
    Caller(client): Caller,
    speech: Speech,
    bearer: Bearer,
    Body(request): Body<ContactProof>,
) -> Result<Json<UserView>, Problem> {
    let mut fields = Fields::default();
    let code = request.code.parse(&mut fields);
    let id = fields.required("verification_id", request.verification_id, verification_id);
    let (id, code) = fields.finish(id.zip(code))?;
    let user = api.contacts.verify(&bearer.user, id, &code, &client).await?;
    Ok(Json(UserView::new(&user, &speech)))
}

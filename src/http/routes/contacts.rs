//! Changing and removing the email or the mobile.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::Channel,
    engine::Actor,
    http::{
        Api,
        extract::{
            auth::Bearer,
            compat::Compat,
            fields::{AddressFields, ChallengeFields, CodeFields, CurrentPassword, Fields, verification_id},
            json::{Body, JsonField, OptionalBody},
        },
        middleware::request_log::log_destination,
        problem::Problem,
        views::{UserView, VerificationView},
    },
};

/// The new address, and the current password.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ContactRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(flatten)]
    current: CurrentPassword,
    #[serde(flatten)]
    challenge: ChallengeFields,
}

/// A code is on its way to the new address.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ContactResponse {
    verification: VerificationView,
}

/// The code, and the verification that it belongs to.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ContactVerifyRequest {
    #[serde(flatten)]
    code: CodeFields,
    /// From the response of the request.
    #[serde(default)]
    #[schema(value_type = Uuid, required)]
    verification_id: JsonField,
}

/// Request a change of my email or mobile
///
/// The new address counts once its code is verified. Until then the old one stays; its owner is informed.
#[utoipa::path(post, path = "", operation_id = "requestContactChange", tag = "account", security(("bearer" = [])),
    request_body(content = ContactRequest, example = json!({"email": "ann@example.com", "current_password": "the best horse battery"})),
    responses((status = 202, description = "A code is on its way to the new address", body = ContactResponse)))]
pub(in crate::http) async fn request(
    State(api): State<Api>,
    Bearer(actor): Bearer,
    Body(request): Body<ContactRequest>,
) -> Result<(StatusCode, Json<ContactResponse>), Problem> {
    let mut fields = Fields::default();
    let address = request.address.required(&mut fields, &api.phone);
    let current = request.current.parse(&mut fields);
    let solution = request.challenge.parse(&mut fields);
    let new = fields.finish(address)?;
    log_destination(&new.masked());
    let code = api.contacts.request(&actor, &new, &current, solution.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(ContactResponse { verification: VerificationView::from(&code) })))
}

/// Verify my new email or mobile
///
/// Sessions stay open; other codes of the account are dead.
#[utoipa::path(post, path = "", operation_id = "verifyContactChange", tag = "account", security(("bearer" = [])),
    request_body(content = ContactVerifyRequest, example = json!({"verification_id": "00000000-0000-4000-8000-000000000000", "otp": "123456"})),
    responses((status = 200, description = "The account, with the new address", body = UserView)))]
pub(in crate::http) async fn verify(
    State(api): State<Api>,
    compat: Compat,
    Bearer(actor): Bearer,
    Body(request): Body<ContactVerifyRequest>,
) -> Result<Json<UserView>, Problem> {
    let mut fields = Fields::default();
    let code = request.code.parse(&mut fields);
    let id = fields.required("verification_id", request.verification_id, verification_id);
    let (id, code) = fields.finish(id.zip(code))?;
    let user = api.contacts.verify(&actor, id, &code).await?;
    Ok(Json(UserView::new(&user, &compat)))
}

/// Remove my email
///
/// Informs it. Sessions stay open; other codes of the account are dead. The only verified address stays.
#[utoipa::path(delete, path = "", operation_id = "removeEmail", tag = "account", security(("bearer" = [])),
    request_body(content = Option<CurrentPassword>, example = json!({"current_password": "the best horse battery"})), responses((status = 200, description = "The account, without the email", body = UserView)))]
pub(in crate::http) async fn remove_email(
    State(api): State<Api>,
    compat: Compat,
    Bearer(actor): Bearer,
    OptionalBody(request): OptionalBody<CurrentPassword>,
) -> Result<Json<UserView>, Problem> {
    remove(&api, &compat, &actor, request, Channel::Email).await
}

/// Remove my mobile
///
/// Informs it. Sessions stay open; other codes of the account are dead. The only verified address stays.
#[utoipa::path(delete, path = "", operation_id = "removeMobile", tag = "account", security(("bearer" = [])),
    request_body(content = Option<CurrentPassword>, example = json!({"current_password": "the best horse battery"})), responses((status = 200, description = "The account, without the mobile", body = UserView)))]
pub(in crate::http) async fn remove_mobile(
    State(api): State<Api>,
    compat: Compat,
    Bearer(actor): Bearer,
    OptionalBody(request): OptionalBody<CurrentPassword>,
) -> Result<Json<UserView>, Problem> {
    remove(&api, &compat, &actor, request, Channel::Sms).await
}

async fn remove(
    api: &Api,
    compat: &Compat,
    actor: &Actor,
    request: CurrentPassword,
    channel: Channel,
) -> Result<Json<UserView>, Problem> {
    let mut fields = Fields::default();
    let current = request.parse(&mut fields);
    fields.finish(Some(()))?;
    log_destination(&actor.user.address_of(channel).map(|address| address.masked()).unwrap_or_default());
    let user = api.contacts.remove(actor, channel, &current).await?;
    Ok(Json(UserView::new(&user, compat)))
}

//! Challenges for who cannot read them in a refusal.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::{
    Api,
    extract::{
        client_ip::RequestClient,
        fields::{AddressFields, Fields},
        json::Body,
    },
    middleware::request_log::log_destination,
    problem::Problem,
    views::ChallengeView,
};

/// The address that a code is to go to.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct ChallengeRequest {
    #[serde(flatten)]
    address: AddressFields,
}

/// A challenge to be solved.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ChallengeResponse {
    challenge: ChallengeView,
}

/// Get a challenge
///
/// It is the one that a call for this address would ask for, whether or not it would ask now.
#[utoipa::path(post, path = "", operation_id = "getChallenge", tag = "registration", request_body(content = ChallengeRequest, example = json!({"mobile": "9876543210"})),
    responses((status = 200, description = "A challenge, good for five minutes", body = ChallengeResponse)))]
pub(in crate::http) async fn create(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Body(request): Body<ChallengeRequest>,
) -> Result<Json<ChallengeResponse>, Problem> {
    let mut fields = Fields::default();
    let address = request.address.required(&mut fields, &api.phone);
    let address = fields.finish(address)?;
    log_destination(&address.masked());
    Ok(Json(ChallengeResponse { challenge: ChallengeView::from(&api.gate.puzzle(&address, &client)) }))
}

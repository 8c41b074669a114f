//! Activation by HTTP Basic and a code.

use axum::{Json, extract::State};

use super::registration::ResendResponse;
use crate::{
    domain::Address,
    engine::BasicCredentials,
    http::{
        Api,
        extract::{
            auth::Basic,
            client_ip::RequestClient,
            compat::Compat,
            fields::{ChallengeFields, CodeFields, Fields},
            json::{Body, OptionalBody},
        },
        middleware::request_log::log_destination,
        problem::Problem,
        views::{UserResponse, UserView},
    },
};

fn log(basic: &BasicCredentials) {
    log_destination(&basic.address.as_ref().map(Address::masked).unwrap_or_default());
}

/// Activate an account (HTTP Basic and code)
///
/// The password shows that the caller is the one who registered, so short codes are safe here. No session is opened.
#[utoipa::path(post, path = "", operation_id = "activateUser", tag = "registration", request_body(content = CodeFields, example = json!({"otp": "123456"})),
    security(("basic" = [])), responses((status = 200, description = "The account is active", body = UserResponse)))]
pub(in crate::http) async fn activate(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    compat: Compat,
    Basic(basic): Basic,
    Body(request): Body<CodeFields>,
) -> Result<Json<UserResponse>, Problem> {
    log(&basic);
    let mut fields = Fields::default();
    let code = request.parse(&mut fields);
    let code = fields.finish(code)?;
    let activated = api.verification.activate(&basic, &code, &client).await;
    let user = activated.map_err(|error| Problem::from(error).with_basic_challenge())?;
    Ok(Json(UserResponse { user: UserView::new(&user, &compat) }))
}

/// Resend the code (HTTP Basic)
///
/// The old code is dead.
#[utoipa::path(post, path = "", operation_id = "resendActivationCode", tag = "registration", request_body(content = Option<ChallengeFields>, example = json!({})), security(("basic" = [])),
    responses((status = 200, description = "A new code is on its way", body = ResendResponse)))]
pub(in crate::http) async fn resend_code(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Basic(basic): Basic,
    OptionalBody(request): OptionalBody<ChallengeFields>,
) -> Result<Json<ResendResponse>, Problem> {
    log(&basic);
    let mut fields = Fields::default();
    let solution = request.parse(&mut fields);
    let solution = fields.finish(Some(solution))?;
    let resent = api.verification.resend(&basic, solution.as_deref(), &client).await;
    Ok(Json(resent.map_err(|error| Problem::from(error).with_basic_challenge())?.into()))
}

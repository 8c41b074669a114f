use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::registration::ResendAnswer;
use crate::{
    domain::Address,
    engine::BasicCredentials,
    error::Error,
    http::{
        Api,
        extract::{
            auth::Basic,
            client_ip::Caller,
            fields::{CodeFields, Fields},
            json::Body,
        },
        middleware::{camel_case::Speech, request_log::log_destination},
        problem::{Problem, ProblemBody},
        views::{UserAnswer, UserView},
    },
};

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(activate)).routes(routes!(resend_code))
}

fn log(basic: &BasicCredentials) {
    log_destination(&basic.address.as_ref().map(Address::masked).unwrap_or_default());
}

/// Prove a registration by its password and its code
#[utoipa::path(post, path = "/users/activate", tag = "registration", request_body = CodeFields,
    security(("basic" = [])), responses(
    (status = 200, description = "The account is active", body = UserAnswer),
    (status = 400, description = "`invalid_code`, `malformed_body`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 401, description = "`invalid_credentials`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "`account_exists`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`, `too_many_requests`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn activate(
    State(api): State<Api>,
    Caller(client): Caller,
    speech: Speech,
    Basic(basic): Basic,
    Body(request): Body<CodeFields>,
) -> Result<Json<UserAnswer>, Problem> {
    log(&basic);
    let mut fields = Fields::default();
    let code = request.parse(&mut fields);
    let code = fields.finish(code)?;
    let activated = api.verification.activate(&basic, &code, &client).await;
    let user = activated.map_err(|error: Error| Problem::from(error).basic())?;
    Ok(Json(UserAnswer { user: UserView::new(&user, &speech) }))
}

/// Send a new code to who knows the password
#[utoipa::path(post, path = "/users/resend-code", tag = "registration", security(("basic" = [])), responses(
    (status = 200, description = "A code is on its way", body = ResendAnswer),
    (status = 401, description = "`invalid_credentials`", body = ProblemBody, content_type = "application/problem+json"),
    (status = 429, description = "`too_many_attempts`, `too_many_requests`", body = ProblemBody, content_type = "application/problem+json"),
))]
async fn resend_code(
    State(api): State<Api>,
    Caller(client): Caller,
    Basic(basic): Basic,
) -> Result<Json<ResendAnswer>, Problem> {
    log(&basic);
    let resent = api.verification.resend(&basic, &client).await;
    Ok(Json(resent.map_err(|error: Error| Problem::from(error).basic())?.into()))
}

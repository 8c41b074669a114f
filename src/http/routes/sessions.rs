//! The person's own sessions.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::Origin,
    error::Error,
    http::{Api, extract::auth::Bearer, problem::Problem, views::SessionView},
};

/// The valid sessions of an account.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SessionsResponse {
    sessions: Vec<SessionView>,
}

/// List my sessions
///
/// The newest first.
#[utoipa::path(get, path = "", operation_id = "listSessions", tag = "account", security(("bearer" = [])),
    responses((status = 200, description = "The sessions", body = SessionsResponse)))]
pub(in crate::http) async fn list(
    State(api): State<Api>,
    Bearer(actor): Bearer,
) -> Result<Json<SessionsResponse>, Problem> {
    let sessions = api.sessions.list(&actor.user).await?;
    Ok(Json(SessionsResponse { sessions: SessionView::list(sessions, Some(actor.session)) }))
}

/// Revoke one of my sessions
///
/// Its tokens are refused at once.
#[utoipa::path(delete, path = "", operation_id = "revokeSession", tag = "account", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The session's id, which is the `sid` of its tokens", example = "00000000-0000-4000-8000-000000000000")),
    responses((status = 204, description = "The session is revoked")))]
pub(in crate::http) async fn revoke(
    State(api): State<Api>,
    Bearer(actor): Bearer,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Error::NotFound)?;
    api.sessions.revoke(&actor.user, id, Origin::client(&actor.client)).await?;
    Ok(StatusCode::NO_CONTENT)
}

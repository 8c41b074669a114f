use axum::{Json, extract::State, http::header, response::IntoResponse};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::Api;

pub(in crate::http) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(jwks))
}

/// The public keys of access tokens
///
/// None while tokens are signed by a secret (HS256).
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "service", responses(
    (status = 200, description = "A JWK set (RFC 7517)", body = KeySet),
))]
async fn jwks(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(api.sessions.opener.tokens.jwks()))
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what another crate writes")]
struct KeySet {
    /// JWKs, each with `kid`, `alg` and `use`.
    keys: Vec<serde_json::Value>,
}

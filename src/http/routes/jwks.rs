//! The public keys of access tokens.

use axum::{Json, extract::State, http::header, response::IntoResponse};
use utoipa::ToSchema;

use crate::http::Api;

/// A JWK set (RFC 7517).
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents what another crate writes")]
struct KeySet {
    /// JWKs, each with `kid`, `alg` and `use`.
    keys: Vec<serde_json::Value>,
}

/// Public keys of access tokens
///
/// Empty with HS256.
#[utoipa::path(get, path = "", operation_id = "getKeySet", tag = "service",
    responses((status = 200, description = "A JWK set (RFC 7517)", body = KeySet)))]
pub(in crate::http) async fn jwks(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(api.sessions.jwks()))
}

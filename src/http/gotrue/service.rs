//! Questions of the dialect's clients about the server.

use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Map, Value, json};

use crate::http::Api;

/// Providers that GoTrue has and Enroll has not.
const NOT_OFFERED: [&str; 21] = [
    "anonymous_users",
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "figma",
    "fly",
    "github",
    "gitlab",
    "google",
    "kakao",
    "keycloak",
    "linkedin_oidc",
    "notion",
    "slack_oidc",
    "spotify",
    "twitch",
    "twitter",
    "workos",
    "zoom",
];

/// `GET /settings`
pub(super) async fn settings(State(api): State<Api>) -> Json<Value> {
    let mut external: Map<String, Value> =
        NOT_OFFERED.map(|name| (name.to_owned(), json!(false))).into_iter().collect();
    external.extend(["email", "phone"].map(|name| (name.to_owned(), json!(true))));
    Json(json!({
        "external": external,
        "disable_signup": api.registration.admission.rules.closed,
        "mailer_autoconfirm": false,
        "phone_autoconfirm": false,
        "saml_enabled": false,
        "mfa_enabled": false,
    }))
}

/// `GET /health`: as `/readyz`.
pub(super) async fn health(State(api): State<Api>) -> (StatusCode, Json<Value>) {
    let status = if api.readiness.missing().is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let description = "Enroll, which speaks a documented subset of GoTrue's protocol";
    (status, Json(json!({"version": env!("CARGO_PKG_VERSION"), "name": "Enroll", "description": description})))
}

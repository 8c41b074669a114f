//! The GoTrue dialect: what the client libraries of Supabase Auth call, over the same services. A handler a call, and no
//! rule of its own; where a name or a status differs, it is here, and nothing else is.

mod auth;
mod errors;
mod fields;
mod login;
mod registration;
mod service;
mod translate;
mod user;
mod views;

use axum::{
    Router,
    http::HeaderName,
    routing::{get, post},
};

use super::{Api, routes::jwks::jwks, server::ServerSettings};
use crate::services::{AddressCodeService, LoginService, SessionService};

pub use errors::error_table;
pub(super) use translate::{API_VERSION, Dialect, translate};

/// The services whose access tokens say what the dialect's clients read.
pub struct GotrueServices {
    pub(crate) login: LoginService,
    pub(crate) sessions: SessionService,
    pub(crate) codes: AddressCodeService,
}

/// The headers that its clients send from browsers.
pub(super) const REQUEST_HEADERS: [HeaderName; 3] =
    [HeaderName::from_static("apikey"), HeaderName::from_static("x-client-info"), API_VERSION];

/// Every call, relative to the prefix; what else there is in GoTrue is answered by `feature_disabled`.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/signup", post(registration::sign_up))
        .route("/verify", post(registration::verify))
        .route("/resend", post(registration::resend))
        .route("/challenge", post(registration::challenge))
        .route("/token", post(login::token))
        .route("/otp", post(login::otp))
        .route("/recover", post(login::recover))
        .route("/logout", post(login::log_out))
        .route("/user", get(user::me).put(user::update))
        .route("/settings", get(service::settings))
        .route("/health", get(service::health))
        .route("/.well-known/jwks.json", get(jwks))
}

/// Paths of the server that stand in no list: the documents, the page, and the development inbox.
const OTHER_PATHS: [&str; 6] =
    ["/docs/{file}", "/openapi.json", "/page/{file}", "/account", "/dev/inbox", "/.well-known/change-password"];

/// Whether a path of another prefix, or beside all of them, begins with this one.
pub(super) fn collides(prefix: &str, settings: &ServerSettings) -> bool {
    let api: Vec<String> = super::routes::api().into_openapi().paths.paths.into_keys().collect();
    let service = super::routes::service().into_openapi().paths.paths.into_keys();
    let prefixes = settings.prefixes.iter().chain(&settings.camel_prefixes);
    let mut paths: Vec<String> = service.chain(OTHER_PATHS.map(str::to_owned)).collect();
    for other in prefixes {
        paths.push(other.clone());
        paths.extend(api.iter().map(|path| format!("{}{path}", other.trim_end_matches('/'))));
    }
    paths.iter().any(|path| begins_with(path, prefix))
}

/// Whether the segments of a path begin with those of a prefix; one in brackets is any.
fn begins_with(path: &str, prefix: &str) -> bool {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let wanted = prefix.split('/').filter(|segment| !segment.is_empty());
    wanted.into_iter().all(|wanted| segments.next().is_some_and(|it| it == wanted || it.starts_with('{')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_compared_by_segments() {
        for (path, prefix, begins) in [
            ("/auth/v1", "/auth/v1", true),
            ("/auth/v1/x", "/auth/v1", true),
            ("/auth/v10", "/auth/v1", false),
            ("/auth", "/auth/v1", false),
            ("/users/me/sessions/{id}", "/users/me/sessions/v1", true),
            ("/anything", "/", true),
        ] {
            assert_eq!(begins_with(path, prefix), begins, "{path} {prefix}");
        }
    }
}

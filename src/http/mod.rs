//! HTTP: a handler extracts, parses, calls one service method and wraps the result. Every rule is
//! a service's; the only place where an error becomes a status is `problem`.

mod extract;
mod middleware;
mod openapi;
mod problem;
mod routes;
mod server;
mod views;

use std::sync::Arc;

use axum::Router;
use tokio_util::task::TaskTracker;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::{
    extract::client_ip,
    middleware::{camel_case, detach, headers, request_log},
    routes::{
        activation, contacts, dev_inbox, health, jwks, login, recovery, registration, sessions, twilio_callback, users,
        verification,
    },
};
use crate::{
    domain::{ListedSession, PhoneRules, User},
    engine::Readiness,
    notify::{Inbox, TwilioCallback},
    services::{
        AskingService, ContactService, Deliveries, LoginService, ProfileService, RecoveryService, RegistrationService,
        ResendService, Sessions, StatusService, VerificationService,
    },
};

pub use server::{AddressHeader, HttpServer, ServerLimits, ServerSettings};

/// What handlers call.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

pub struct Parts {
    pub registration: RegistrationService,
    pub resending: ResendService,
    pub verification: VerificationService,
    pub status: StatusService,
    pub deliveries: Deliveries,
    pub login: LoginService,
    pub asking: AskingService,
    pub recovery: RecoveryService,
    pub contacts: ContactService,
    pub profile: ProfileService,
    pub sessions: Sessions,
    pub readiness: Readiness,
    pub inbox: Option<Arc<Inbox>>,
    /// Checks Twilio's reports, where they can be checked.
    pub twilio: Option<TwilioCallback>,
    pub phone: PhoneRules,
    pub password_min_length: usize,
}

impl std::ops::Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// An account and its sessions, as its owner sees them; for the command line.
pub fn user_json(user: &User, sessions: Option<Vec<ListedSession>>) -> serde_json::Value {
    let mut json = serde_json::json!(views::UserView::new(user, &camel_case::Speech(None)));
    if let Some(sessions) = sessions {
        json["sessions"] = serde_json::json!(views::session_views(sessions, None));
    }
    json
}

/// Every route and what it is documented as, relative to a prefix.
fn api() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(registration::routes())
        .merge(verification::routes())
        .merge(activation::routes())
        .merge(login::routes())
        .merge(recovery::routes())
        .merge(users::routes())
        .merge(contacts::routes())
        .merge(sessions::routes())
}

/// The document that `GET /openapi.json` answers.
pub fn openapi(settings: &ServerSettings) -> OpenApi {
    documented(settings).1
}

fn documented(settings: &ServerSettings) -> (Router<Api>, OpenApi) {
    let mut prefixes = settings.prefixes.iter();
    let mount = |router: OpenApiRouter<Api>, prefix: &str| {
        if prefix == "/" { router.merge(api()) } else { router.nest(prefix, api()) }
    };
    // The document tells the first prefix; the others serve the same.
    let first = prefixes.next().map_or("/api/v1", String::as_str);
    let documented = OpenApiRouter::with_openapi(openapi::skeleton(&settings.public_url))
        .merge(health::routes())
        .merge(jwks::routes())
        .merge(twilio_callback::routes());
    let (mut router, document) = mount(documented, first).split_for_parts();
    for prefix in prefixes.chain(&settings.camel_prefixes) {
        router = router.merge(Router::from(mount(OpenApiRouter::new(), prefix)));
    }
    (router, openapi::complete(document))
}

/// The whole application: routes, documents, and what every request passes.
pub fn router(parts: Parts, settings: &ServerSettings, requests: &TaskTracker) -> Router {
    let (router, document) = documented(settings);
    let camel = camel_case::CamelPaths::new(
        &settings.camel_prefixes,
        &settings.prefixes,
        api().into_openapi().paths.paths.into_keys(),
    );
    let api = Api(Arc::new(parts));
    let router = if api.inbox.is_some() { router.merge(dev_inbox::routes()) } else { router };
    let own_task = detach::OwnTask { time: settings.request_timeout, requests: requests.clone() };
    router
        .merge(openapi::routes(document))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(own_task, detach::own_task))
        .layer(tower::util::option_layer(headers::cors(&settings.cors_origins)))
        .layer(axum::middleware::from_fn_with_state(client_ip::TrustedProxies::new(settings), client_ip::identify))
        .layer(axum::middleware::from_fn(request_log::envelope))
        .layer(axum::middleware::from_fn_with_state(camel, camel_case::translate))
        .with_state(api)
}

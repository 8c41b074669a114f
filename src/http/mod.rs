//! HTTP: a handler extracts, parses, calls one service method and wraps the result. Every rule is
//! a service's; the only place where an error becomes a status is `problem`.

mod activation;
mod basic;
mod body;
mod client;
mod contacts;
mod docs;
mod envelope;
mod fields;
mod login;
mod problem;
mod providers;
mod recovery;
mod registration;
mod server;
mod service;
mod sessions;
mod speech;
mod users;
mod verification;
mod views;

use std::sync::Arc;

use axum::{Router, middleware};
use tokio_util::task::TaskTracker;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::{envelope::OwnTask, speech::CamelPaths};
use crate::{
    config::ServerSettings,
    domain::{PhoneRules, User},
    notify::{Inbox, TwilioCallback},
    services::{
        AskingService, ContactService, ListedSession, LoginService, ProfileService, RecoveryService,
        RegistrationService, ReportService, ResendService, Sessions, StatusService, VerificationService,
    },
};

pub use server::{HttpServer, ServerLimits};
pub use service::Readiness;

/// What handlers call.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

pub struct Parts {
    pub registration: RegistrationService,
    pub resending: ResendService,
    pub verification: VerificationService,
    pub status: StatusService,
    pub reports: ReportService,
    pub login: LoginService,
    pub asking: AskingService,
    pub recovery: RecoveryService,
    pub contacts: ContactService,
    pub profile: ProfileService,
    pub sessions: Sessions,
    pub readiness: Arc<dyn Readiness>,
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
    let mut json = serde_json::json!(views::UserView::new(user, &speech::Speech(None)));
    if let Some(sessions) = sessions {
        json["sessions"] = serde_json::json!(sessions::views(sessions, None));
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
    let documented = OpenApiRouter::with_openapi(docs::skeleton(&settings.public_url))
        .merge(service::routes())
        .merge(providers::routes());
    let (mut router, document) = mount(documented, first).split_for_parts();
    for prefix in prefixes.chain(&settings.camel_prefixes) {
        router = router.merge(Router::from(mount(OpenApiRouter::new(), prefix)));
    }
    (router, docs::complete(document))
}

/// The whole application: routes, documents, and what every request passes.
pub fn router(parts: Parts, settings: &ServerSettings, requests: &TaskTracker) -> Router {
    let (router, document) = documented(settings);
    let camel =
        CamelPaths::new(&settings.camel_prefixes, &settings.prefixes, api().into_openapi().paths.paths.into_keys());
    let api = Api(Arc::new(parts));
    let router = if api.inbox.is_some() { router.merge(service::inbox()) } else { router };
    let own_task = OwnTask { time: settings.request_timeout, requests: requests.clone() };
    router
        .merge(docs::routes(document))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn_with_state(own_task, envelope::own_task))
        .layer(tower::util::option_layer(envelope::cors(&settings.cors_origins)))
        .layer(middleware::from_fn_with_state(client::TrustedProxies::new(settings), client::identify))
        .layer(middleware::from_fn(envelope::envelope))
        .layer(middleware::from_fn_with_state(camel, speech::translate))
        .with_state(api)
}

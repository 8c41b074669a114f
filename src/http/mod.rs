//! HTTP: a handler extracts, parses, calls one service method and wraps the result. Every rule is a service's; the
//! only place where an error becomes a status is `problem`.

mod docs;
mod error_code;
mod extract;
mod gotrue;
mod middleware;
mod open_enum;
mod openapi;
mod page;
mod places;
mod problem;
mod request_schemas;
mod routes;
mod server;
mod views;

use std::sync::Arc;

use axum::{Router, middleware::from_fn_with_state};
use tokio_util::task::TaskTracker;
use tower::util::option_layer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::{
    extract::{client_ip, compat::Compat},
    middleware::{camel_case, detach, headers, request_log},
    routes::{api, dev_inbox, service},
};
use crate::{
    domain::{AppHash, AuditLine, PhoneRules, SessionSummary, User},
    engine::{Gauges, Readiness, SendGate},
    notify::{Inbox, TwilioCallback},
    services::{
        CodeRequestService, ContactService, DeliveryService, IdempotencyService, LoginService, ProfileService,
        RecoveryService, RegistrationService, ResendService, SessionService, StatusService, VerificationService,
    },
};

pub use error_code::error_table;
pub use gotrue::{GotrueServices, error_table as gotrue_error_table};
pub use server::{ClientIpHeader, HttpServer, ServerSettings};

/// The state of every handler.
#[derive(Clone)]
pub(crate) struct Api(Arc<Services>);

/// The services available to handlers.
pub struct Services {
    pub(crate) registration: RegistrationService,
    pub(crate) idempotency: IdempotencyService,
    pub(crate) resend: ResendService,
    pub(crate) verification: VerificationService,
    pub(crate) status: StatusService,
    pub(crate) deliveries: DeliveryService,
    pub(crate) login: LoginService,
    pub(crate) code_request: CodeRequestService,
    pub(crate) recovery: RecoveryService,
    pub(crate) contacts: ContactService,
    pub(crate) profile: ProfileService,
    pub(crate) sessions: SessionService,
    pub(crate) gotrue: GotrueServices,
    pub(crate) readiness: Readiness,
    pub(crate) gate: SendGate,
    pub(crate) inbox: Option<Arc<Inbox>>,
    /// Checks Twilio's reports, if they can be checked.
    pub(crate) twilio: Option<TwilioCallback>,
    pub(crate) phone: PhoneRules,
    pub(crate) android_apps: Vec<AppHash>,
    pub(crate) brand: String,
    pub(crate) password_min_length: usize,
}

impl std::ops::Deref for Api {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

/// An account and its sessions, as its owner sees them; for the command line.
pub fn user_json(user: &User, sessions: Option<Vec<SessionSummary>>) -> serde_json::Value {
    let mut json = serde_json::json!(views::UserView::new(user, &Compat(None)));
    if let Some(sessions) = sessions {
        json["sessions"] = serde_json::json!(views::SessionView::list(sessions, None));
    }
    json
}

/// A line of the audit; for the command line.
pub fn audit_json(line: &AuditLine) -> serde_json::Value {
    serde_json::json!(views::AuditLineView::from(line))
}

/// The document that `GET /openapi.json` returns.
pub fn openapi(settings: &ServerSettings) -> OpenApi {
    documented(settings).1
}

fn documented(settings: &ServerSettings) -> (Router<Api>, OpenApi) {
    let mut prefixes = settings.prefixes.iter();
    let mount = |router: OpenApiRouter<Api>, prefix: &str| {
        if prefix == "/" { router.merge(api()) } else { router.nest(prefix, api()) }
    };
    // The document has the first prefix; the others serve the same.
    let first = prefixes.next().map_or("/api/v1", String::as_str);
    let documented = OpenApiRouter::with_openapi(openapi::skeleton(
        settings.public_url_is_set.then_some(settings.public_url.as_str()),
    ));
    let (mut router, document) = mount(documented, first).merge(service()).split_for_parts();
    for prefix in prefixes.chain(&settings.camel_prefixes) {
        router = router.merge(Router::from(mount(OpenApiRouter::new(), prefix)));
    }
    (router, request_schemas::complete(openapi::with_security(document)))
}

/// The routes of the private listener: the node's health and metrics, whatever the public one has to do.
pub fn admin_router(readiness: Readiness, gauges: Gauges) -> Router {
    routes::health::admin(readiness, gauges)
}

/// The whole application: routes, the document, and the layers around every request.
pub fn router(services: Services, settings: &ServerSettings, requests: &TaskTracker) -> Router {
    let (router, document) = documented(settings);
    let api_paths = api().into_openapi().paths.paths.into_keys();
    // Within an area of theirs, another dialect's paths stay its own.
    let others: Vec<String> = settings.prefixes.iter().chain(&settings.gotrue_prefix).cloned().collect();
    let camel = camel_case::CamelPaths::new(&settings.camel_prefixes, &others, api_paths);
    let camel = (!settings.camel_prefixes.is_empty()).then(|| from_fn_with_state(camel, camel_case::translate));
    let dialect = gotrue::Dialect::new(settings.gotrue_prefix.as_deref());
    let router = match &settings.gotrue_prefix {
        Some(prefix) => router.nest(prefix, gotrue::routes()),
        None => router,
    };
    let cross_origin = headers::CrossOrigin::new(&settings.cors_origins, dialect.clone());
    let cross_origin = cross_origin.map(|origins| from_fn_with_state(origins, headers::allow_origins));
    let dialect = settings.gotrue_prefix.is_some().then(|| from_fn_with_state(dialect, gotrue::translate));
    let api = Api(Arc::new(services));
    let page = page::routes(&api, settings);
    let public_url = request_log::PublicUrl(settings.public_url.as_str().into());
    let router = if api.inbox.is_some() { router.merge(dev_inbox::routes()) } else { router };
    let detached = detach::DetachSettings { timeout: settings.request_timeout, requests: requests.clone() };
    router
        .merge(docs::routes(document))
        .merge(page)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(detached, detach::run_detached))
        .layer(option_layer(cross_origin))
        .layer(from_fn_with_state(client_ip::TrustedProxies::new(settings), client_ip::identify))
        .layer(option_layer(dialect))
        .layer(from_fn_with_state(public_url, request_log::log_request))
        .layer(option_layer(camel))
        .with_state(api)
}

//! HTTP: a handler extracts, parses, calls one service method and wraps the result. Every rule is a service's; the
//! only place where an error becomes a status is `problem`.

mod error_code;
mod extract;
mod middleware;
mod open_enum;
mod openapi;
mod problem;
mod routes;
mod server;
mod views;

use std::sync::Arc;

use axum::{Router, middleware::from_fn, middleware::from_fn_with_state};
use tokio_util::task::TaskTracker;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    error_code::ErrorCode::{
        AccountExists, AccountNotActivated, Forbidden, InvalidCode, InvalidCredentials, InvalidLoginCode, InvalidToken,
        MissingToken, NotFound, ReauthenticationRequired, TokenReused, TooManyAttempts, TooManyRequests,
        UnknownVerification, VerificationIdRequired, WrongPassword,
    },
    extract::{client_ip, compat::Compat},
    middleware::{camel_case, detach, headers, request_log},
    openapi::{alias, call, plain},
    routes::{
        activation, contacts, dev_inbox, health, jwks, login, recovery, registration, sessions, twilio_callback, users,
        verification,
    },
};
use crate::{
    domain::{PhoneRules, SessionSummary, User},
    engine::Readiness,
    notify::{Inbox, TwilioCallback},
    services::{
        CodeRequestService, ContactService, DeliveryService, LoginService, ProfileService, RecoveryService,
        RegistrationService, ResendService, SessionService, StatusService, VerificationService,
    },
};

pub use error_code::error_table;
pub use server::{ClientIpHeader, HttpServer, ServerSettings};

/// The state of every handler.
#[derive(Clone)]
pub(crate) struct Api(Arc<Services>);

/// The services available to handlers.
pub struct Services {
    pub(crate) registration: RegistrationService,
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
    pub(crate) readiness: Readiness,
    pub(crate) inbox: Option<Arc<Inbox>>,
    /// Checks Twilio's reports, if they can be checked.
    pub(crate) twilio: Option<TwilioCallback>,
    pub(crate) phone: PhoneRules,
    pub(crate) password_min_length: usize,
}

impl std::ops::Deref for Api {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

/// Every call of the API, relative to a prefix, with the errors of its own; those that any call can have are added
/// by the module `openapi`.
#[rustfmt::skip]
fn api() -> OpenApiRouter<Api> {
    const TOKEN: [error_code::ErrorCode; 2] = [MissingToken, InvalidToken];
    const LIMITS: [error_code::ErrorCode; 2] = [TooManyRequests, TooManyAttempts];
    const PASSWORD: [error_code::ErrorCode; 2] = [WrongPassword, ReauthenticationRequired];
    OpenApiRouter::new()
        // Registration
        .routes(call("/auth/register", routes!(registration::register), &[&[AccountExists], &LIMITS]))
        .routes(alias("/users", "createUser", routes!(registration::register), &[&[AccountExists], &LIMITS]))
        .routes(call("/auth/verify-otp", routes!(verification::verify), &[&[InvalidCode, InvalidLoginCode, AccountExists, VerificationIdRequired, TooManyAttempts]]))
        .routes(alias("/auth/verify", "verifyCode", routes!(verification::verify), &[&[InvalidCode, InvalidLoginCode, AccountExists, VerificationIdRequired, TooManyAttempts]]))
        .routes(call("/auth/resend-otp", routes!(registration::resend), &[&[UnknownVerification, VerificationIdRequired, TooManyRequests]]))
        .routes(call("/auth/verifications/{verification_id}", routes!(verification::status), &[&[UnknownVerification]]))
        .routes(call("/users/activate", routes!(activation::activate), &[&[InvalidCode, InvalidCredentials, AccountExists], &LIMITS]))
        .routes(call("/users/resend-code", routes!(activation::resend_code), &[&[InvalidCredentials], &LIMITS]))
        // Login
        .routes(call("/auth/login", routes!(login::log_in), &[&[InvalidCredentials, AccountNotActivated], &LIMITS]))
        .routes(call("/auth/send-otp", routes!(login::send_code), &[&[TooManyRequests]]))
        .routes(call("/auth/refresh", routes!(login::refresh), &[&[InvalidToken, TokenReused]]))
        .routes(call("/auth/logout", routes!(login::log_out), &[&[MissingToken]]))
        .routes(call("/auth/logout-all", routes!(login::log_out_all), &[&TOKEN]))
        .routes(call("/auth/forgot-password", routes!(recovery::forgot), &[&[TooManyRequests]]))
        .routes(call("/auth/reset-password", routes!(recovery::reset), &[&[InvalidCode], &LIMITS]))
        // The person's own account
        .routes(call("/users/me", routes!(users::me), &[&TOKEN]))
        .routes(call("/users/me", routes!(users::update), &[&TOKEN]))
        .routes(call("/users/me", routes!(users::delete), &[&TOKEN, &PASSWORD, &LIMITS]))
        .routes(call("/users/me/password", routes!(users::change_password), &[&TOKEN, &PASSWORD, &LIMITS]))
        .routes(call("/users/me/contacts", routes!(contacts::request), &[&TOKEN, &PASSWORD, &[AccountExists], &LIMITS]))
        .routes(call("/users/me/contacts/verify", routes!(contacts::verify), &[&TOKEN, &[InvalidCode, AccountExists, TooManyAttempts]]))
        .routes(call("/users/me/sessions", routes!(sessions::list), &[&TOKEN]))
        .routes(call("/users/me/sessions/{id}", routes!(sessions::revoke), &[&TOKEN, &[NotFound]]))
}

/// Every call beside the API, which no prefix stands before.
#[rustfmt::skip]
fn service() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(plain("/livez", routes!(health::livez)))
        .routes(plain("/readyz", routes!(health::readyz)))
        .routes(plain("/.well-known/jwks.json", routes!(jwks::jwks)))
        .routes(call("/providers/twilio/status", routes!(twilio_callback::report), &[&[Forbidden]]))
}

/// An account and its sessions, as its owner sees them; for the command line.
pub fn user_json(user: &User, sessions: Option<Vec<SessionSummary>>) -> serde_json::Value {
    let mut json = serde_json::json!(views::UserView::new(user, &Compat(None)));
    if let Some(sessions) = sessions {
        json["sessions"] = serde_json::json!(views::SessionView::list(sessions, None));
    }
    json
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
    let documented = OpenApiRouter::with_openapi(openapi::skeleton(&settings.public_url));
    let (mut router, document) = mount(documented, first).merge(service()).split_for_parts();
    for prefix in prefixes.chain(&settings.camel_prefixes) {
        router = router.merge(Router::from(mount(OpenApiRouter::new(), prefix)));
    }
    (router, openapi::with_security(document))
}

/// The whole application: routes, the document, and the layers around every request.
pub fn router(services: Services, settings: &ServerSettings, requests: &TaskTracker) -> Router {
    let (router, document) = documented(settings);
    let api_paths = api().into_openapi().paths.paths.into_keys();
    let camel = camel_case::CamelPaths::new(&settings.camel_prefixes, &settings.prefixes, api_paths);
    let api = Api(Arc::new(services));
    let router = if api.inbox.is_some() { router.merge(dev_inbox::routes()) } else { router };
    let detached = detach::DetachSettings { timeout: settings.request_timeout, requests: requests.clone() };
    router
        .merge(openapi::routes(document))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(from_fn_with_state(detached, detach::run_detached))
        .layer(tower::util::option_layer(headers::cors(&settings.cors_origins)))
        .layer(from_fn_with_state(client_ip::TrustedProxies::new(settings), client_ip::identify))
        .layer(from_fn(request_log::log_request))
        .layer(from_fn_with_state(camel, camel_case::translate))
        .with_state(api)
}

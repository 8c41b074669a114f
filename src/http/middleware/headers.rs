//! Response headers, and cross-origin requests.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::request_log::REQUEST_ID;
use crate::http::gotrue::{self, Dialect};

pub(in crate::http) fn set_security_headers(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing); // a page has its own
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Cross-origin requests (CORS): none are allowed unless origins are named.
#[derive(Clone)]
pub(in crate::http) struct CrossOrigin {
    api: CorsLayer,
    gotrue: CorsLayer,
    dialect: Dialect,
}

impl CrossOrigin {
    /// `None` where no origin is named.
    pub(in crate::http) fn new(origins: &[String], dialect: Dialect) -> Option<Self> {
        if origins.is_empty() {
            return None;
        }
        let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        let origins = AllowOrigin::list(origins);
        let api = cors(origins.clone(), &[], &[], &[]);
        let gotrue = cors(origins, &[Method::PUT], &gotrue::REQUEST_HEADERS, &[gotrue::API_VERSION]);
        Some(Self { api, gotrue, dialect })
    }
}

/// Answers preflights, and lets pages of the named origins read the others' responses.
pub(in crate::http) async fn allow_origins(
    State(cross_origin): State<CrossOrigin>,
    request: Request,
    next: Next,
) -> Response {
    let CrossOrigin { api, gotrue, dialect } = &cross_origin;
    let layer = if dialect.covers(request.uri().path()) { gotrue } else { api };
    match layer.layer(next).oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn cors(origins: AllowOrigin, methods: &[Method], allowed: &[HeaderName], exposed: &[HeaderName]) -> CorsLayer {
    let own_methods = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];
    let own_allowed = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("traceparent"),
        HeaderName::from_static("tracestate"),
        REQUEST_ID,
    ];
    let own_exposed = [
        header::RETRY_AFTER,
        HeaderName::from_static("ratelimit"),
        HeaderName::from_static("ratelimit-policy"),
        header::WWW_AUTHENTICATE,
        REQUEST_ID,
    ];
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([&own_methods, methods].concat())
        .allow_headers([&own_allowed, allowed].concat())
        .expose_headers([&own_exposed, exposed].concat())
        .max_age(Duration::from_mins(10))
}

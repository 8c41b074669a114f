//! Errors in the dialect's two forms, and the version that a client asks for.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use std::sync::Arc;

use super::errors::{Refusal, Spoken};
use crate::{domain::Timestamp, http::middleware::request_log::problem_of};

/// The header by which a client asks for a version, and is told it.
pub(in crate::http) const API_VERSION: HeaderName = HeaderName::from_static("x-supabase-api-version");

/// The only version there is beside the first.
const VERSION: &str = "2024-01-01";

/// Where the dialect is spoken, if it is.
#[derive(Clone)]
pub(in crate::http) struct Dialect(Option<Arc<str>>);

impl Dialect {
    pub(in crate::http) fn new(prefix: Option<&str>) -> Self {
        Self(prefix.map(Arc::from))
    }

    /// Whether the path is the prefix, or below it.
    pub(in crate::http) fn covers(&self, path: &str) -> bool {
        let rest = self.0.as_deref().and_then(|prefix| path.strip_prefix(prefix));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A client asks by a day for what was current then.
fn wants_codes(headers: &HeaderMap) -> bool {
    let asked = headers.get(API_VERSION).and_then(|value| Timestamp::of_day(value.to_str().ok()?));
    asked.is_some() && asked >= Timestamp::of_day(VERSION)
}

/// Writes the errors of requests under the prefix, be they a handler's or of the layers around it.
pub(in crate::http) async fn translate(State(dialect): State<Dialect>, request: Request, next: Next) -> Response {
    if !dialect.covers(request.uri().path()) {
        return next.run(request).await;
    }
    let wants_codes = wants_codes(request.headers());
    let mut response = next.run(request).await;
    let spoken = response.extensions_mut().remove::<Spoken>();
    if let Some(problem) = problem_of(&mut response) {
        let added = std::mem::take(response.headers_mut());
        response = Refusal::new(problem, spoken).write(wants_codes);
        for (name, value) in &added {
            let is_of_content = [header::CONTENT_LENGTH, header::CONTENT_TYPE].contains(name);
            if !response.headers().contains_key(name) && !is_of_content {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
    }
    if wants_codes {
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static(VERSION));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_has_what_is_below_it_and_nothing_beside() {
        let dialect = Dialect::new(Some("/auth/v1"));
        assert!(["/auth/v1", "/auth/v1/", "/auth/v1/user"].iter().all(|path| dialect.covers(path)));
        assert!(!["/auth/v10/user", "/auth", "/", "/x/auth/v1"].iter().any(|path| dialect.covers(path)));
        assert!(!Dialect::new(None).covers("/auth/v1"));
    }

    #[test]
    fn a_day_asks_for_the_version_of_then() {
        let wants =
            |value: &'static str| wants_codes(&HeaderMap::from_iter([(API_VERSION, HeaderValue::from_static(value))]));
        assert!(wants("2024-01-01") && wants("2026-11-26"));
        assert!(!wants("2023-12-31") && !wants("soon") && !wants("") && !wants_codes(&HeaderMap::new()));
    }
}

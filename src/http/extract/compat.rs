//! Compatibility with older clients.

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{
    domain::PhoneRules,
    http::{Api, middleware::camel_case::CamelCase, problem::Problem},
};

/// Whether the response carries the fields of older clients, and how it writes their numbers: those under a
/// camelCase prefix do.
pub(in crate::http) struct Compat(pub(in crate::http) Option<PhoneRules>);

impl FromRequestParts<Api> for Compat {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<CamelCase>().map(|_| api.phone.clone())))
    }
}

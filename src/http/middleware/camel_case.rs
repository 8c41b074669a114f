//! camelCase for the prefixes that older clients use.

use std::{collections::HashSet, sync::Arc};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use crate::domain::parse_json;

/// The requests that are translated.
#[derive(Clone)]
pub(in crate::http) struct CamelPaths {
    prefixes: Arc<[String]>,
    /// The prefixes in `snake_case`.
    others: Arc<[String]>,
    /// The paths of the API, relative to a prefix.
    api: Arc<HashSet<String>>,
}

/// Marks a request under a camelCase prefix.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct CamelCase;

impl CamelPaths {
    pub(in crate::http) fn new(prefixes: &[String], others: &[String], api: impl IntoIterator<Item = String>) -> Self {
        Self { prefixes: prefixes.into(), others: others.into(), api: Arc::new(api.into_iter().collect()) }
    }

    fn covers(&self, request: &Request) -> bool {
        let Some(matched) = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) else {
            return self.is_under_camel(request.uri().path());
        };
        let mut paths = self.prefixes.iter().filter_map(|prefix| matched.strip_prefix(prefix.trim_end_matches('/')));
        paths.any(|path| self.api.contains(path))
    }

    /// Without a route, the longest prefix decides.
    fn is_under_camel(&self, path: &str) -> bool {
        let longest = |prefixes: &[String]| {
            let fitting = prefixes.iter().map(|prefix| prefix.trim_end_matches('/'));
            fitting.filter(|prefix| path.strip_prefix(prefix).is_some_and(is_rest)).map(str::len).max()
        };
        longest(&self.prefixes) > longest(&self.others)
    }
}

fn is_rest(path: &str) -> bool {
    path.is_empty() || path.starts_with('/')
}

/// Translates the response of a request under a camelCase prefix.
pub(in crate::http) async fn translate(State(camel): State<CamelPaths>, mut request: Request, next: Next) -> Response {
    if !camel.covers(&request) {
        return next.run(request).await;
    }
    request.extensions_mut().insert(CamelCase);
    let (mut parts, body) = next.run(request).await.into_parts();
    let is_json =
        |kind: &HeaderValue| kind.to_str().is_ok_and(|kind| kind.starts_with("application/") && kind.ends_with("json"));
    if !parts.headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        return Response::from_parts(parts, body);
    }
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let translated = std::str::from_utf8(&bytes).ok().and_then(parse_json).map(|body| camel_response(body).to_string());
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, translated.map_or_else(|| Body::from(bytes), Body::from))
}

/// Translates the keys, and the names of fields in `errors`.
fn camel_response(body: Value) -> Value {
    match body {
        Value::Object(object) => {
            let translated = object.into_iter().map(|(key, value)| match (key.as_str(), value) {
                ("field", Value::String(field)) => (key, Value::String(to_camel(&field))),
                ("data" | "claims", value) => (key, value), // names in there are the app's
                (_, value) => (to_camel(&key), camel_response(value)),
            });
            Value::Object(translated.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(camel_response).collect()),
        other => other,
    }
}

/// Translates the fields of a request; `None` if one is there in both spellings.
pub(in crate::http) fn snake_request(request: Map<String, Value>) -> Option<Map<String, Value>> {
    let mut translated = Map::new();
    for (key, value) in request {
        // These two are aliases under any prefix.
        let key = if key == "mobileNumber" || key == "loginId" { key } else { to_snake(&key) };
        if translated.insert(key, value).is_some() {
            return None;
        }
    }
    Some(translated)
}

fn to_camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |camel, word| {
        let mut letters = word.chars();
        let upper = letters.next().map(|letter| letter.to_ascii_uppercase());
        camel + &upper.into_iter().chain(letters).collect::<String>()
    })
}

fn to_snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut snake, letter| {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
        snake
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_translated_and_values_stay() {
        let answer = json!({"expires_in": 3, "user": {"login_id": "a_b"}, "errors": [{"field": "login_id", "code": "too_long"}]});
        let camel =
            json!({"expiresIn": 3, "user": {"loginId": "a_b"}, "errors": [{"field": "loginId", "code": "too_long"}]});
        assert_eq!(camel_response(answer), camel);
        let user = json!({"login_id": "x", "data": {"a_b": {"c_d": 1}}, "claims": {"e_f": 2}});
        let camel = json!({"loginId": "x", "data": {"a_b": {"c_d": 1}}, "claims": {"e_f": 2}});
        assert_eq!(camel_response(user), camel);
        let request =
            json!({"verificationId": "v", "otp": "1", "mobileNumber": "9", "loginId": "x", "refresh_token": "r"});
        let snake =
            json!({"verification_id": "v", "otp": "1", "mobileNumber": "9", "loginId": "x", "refresh_token": "r"});
        assert_eq!(snake_request(request.as_object().unwrap().clone()).unwrap(), *snake.as_object().unwrap());
        let both = json!({"verificationId": "v", "verification_id": "w"});
        assert!(snake_request(both.as_object().unwrap().clone()).is_none());
    }
}

//! The two spellings of the API: `snake_case`, and camelCase under the prefixes that older clients use.

use std::{collections::HashSet, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderValue, header, request::Parts},
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use crate::{
    domain::PhoneRules,
    http::{Api, problem::Problem},
};

/// Which requests speak camelCase.
#[derive(Clone)]
pub(in crate::http) struct CamelPaths {
    prefixes: Arc<[String]>,
    /// Those that speak `snake_case`.
    others: Arc<[String]>,
    /// The API's paths, relative to a prefix.
    api: Arc<HashSet<String>>,
}

/// Marks a request that speaks camelCase.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Camel;

/// What answers also hold for the older clients: nothing, unless they speak camelCase.
pub(in crate::http) struct Speech(pub(crate) Option<PhoneRules>);

impl FromRequestParts<Api> for Speech {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Ok(Self(parts.extensions.get::<Camel>().map(|_| api.phone.clone())))
    }
}

impl CamelPaths {
    pub(in crate::http) fn new(prefixes: &[String], others: &[String], api: impl IntoIterator<Item = String>) -> Self {
        Self { prefixes: prefixes.into(), others: others.into(), api: Arc::new(api.into_iter().collect()) }
    }

    fn cover(&self, request: &Request) -> bool {
        let Some(matched) = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) else {
            return self.is_under_camel(request.uri().path());
        };
        let mut paths = self.prefixes.iter().filter_map(|prefix| matched.strip_prefix(prefix.trim_end_matches('/')));
        paths.any(|path| self.api.contains(path))
    }

    /// Of what no route answers, the longest prefix that it stands under tells.
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

/// Answers in the spelling that the request's prefix speaks.
pub(in crate::http) async fn translate(State(camel): State<CamelPaths>, mut request: Request, next: Next) -> Response {
    if !camel.cover(&request) {
        return next.run(request).await;
    }
    request.extensions_mut().insert(Camel);
    let (mut parts, body) = next.run(request).await.into_parts();
    let is_json =
        |kind: &HeaderValue| kind.to_str().is_ok_and(|kind| kind.starts_with("application/") && kind.ends_with("json"));
    if !parts.headers.get(header::CONTENT_TYPE).is_some_and(is_json) {
        return Response::from_parts(parts, body);
    }
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let answer = serde_json::from_slice(&bytes).map(|answer| camel_answer(answer).to_string());
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, answer.map_or_else(|_| Body::from(bytes), Body::from))
}

/// Every name of ours: the keys, and the names of fields that `errors` tells.
fn camel_answer(answer: Value) -> Value {
    match answer {
        Value::Object(object) => {
            let translated = object.into_iter().map(|(key, value)| match (key.as_str(), value) {
                ("field", Value::String(field)) => (key, Value::String(to_camel(&field))),
                (_, value) => (to_camel(&key), camel_answer(value)),
            });
            Value::Object(translated.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(camel_answer).collect()),
        other => other,
    }
}

/// A request's fields as the handlers know them; `None` where one stands there in both spellings.
pub(in crate::http) fn snake_request(request: Map<String, Value>) -> Option<Map<String, Value>> {
    let mut translated = Map::new();
    for (key, value) in request {
        // These two are older names of fields under any prefix.
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
        assert_eq!(camel_answer(answer), camel);
        let request =
            json!({"verificationId": "v", "otp": "1", "mobileNumber": "9", "loginId": "x", "refresh_token": "r"});
        let snake =
            json!({"verification_id": "v", "otp": "1", "mobileNumber": "9", "loginId": "x", "refresh_token": "r"});
        assert_eq!(snake_request(request.as_object().unwrap().clone()).unwrap(), *snake.as_object().unwrap());
        let both = json!({"verificationId": "v", "verification_id": "w"});
        assert!(snake_request(both.as_object().unwrap().clone()).is_none());
    }
}

//! JSON bodies and their fields.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::header,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    domain::{BEYOND_DOUBLE, parse_json},
    http::{
        error_code::ErrorCode,
        middleware::camel_case::{CamelCase, snake_request},
        problem::Problem,
    },
};

/// A JSON object that is interoperable (RFC 8259, 4): each key once, no lone surrogates.
pub(in crate::http) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers();
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_json(media_type) || headers.contains_key(header::CONTENT_ENCODING) {
            let detail = "send `Content-Type: application/json` without compression";
            return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
        }
        let is_camel = request.extensions().get::<CamelCase>().is_some();
        let bytes = Bytes::from_request(request, state).await.map_err(|_| malformed("the body cannot be read"))?;
        parse(&bytes, is_camel).map(Self)
    }
}

/// The same for a call that works without a body too.
pub(in crate::http) struct OptionalBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let empty = axum::body::HttpBody::is_end_stream(request.body());
        if empty {
            Ok(Self(T::default()))
        } else {
            Body::from_request(request, state).await.map(|Body(body)| Self(body))
        }
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ErrorCode::MalformedBody, detail)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], is_camel: bool) -> Result<T, Problem> {
    // serde_json's own words would quote the body.
    let invalid = || malformed("the body is not valid JSON (a JSON object, each key once)");
    let parsed = std::str::from_utf8(bytes).ok().and_then(parse_json);
    let Some(Value::Object(mut object)) = parsed else { return Err(invalid()) };
    if is_camel {
        let snake = snake_request(object);
        object = snake.ok_or_else(|| malformed("the body has a key in two spellings"))?;
    }
    serde_json::from_value(object.into()).map_err(|_| malformed("the body is not the object that this call takes"))
}

/// A field as it was sent: a wrong type is an error of the field, not of the body.
#[derive(Default)]
pub(in crate::http) enum JsonField {
    #[default]
    Absent,
    Null,
    Text(String),
    /// Any other type than a string.
    WrongType,
    /// A string with a NUL in it.
    HasNul,
}

impl JsonField {
    /// Whether it is missing or null, which is the same except in updates.
    pub(in crate::http) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }
}

impl<'de> Deserialize<'de> for JsonField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::Null,
            Value::String(text) if text.is_empty() => Self::Absent, // a form's empty field
            Value::String(text) if text == BEYOND_DOUBLE => Self::WrongType,
            Value::String(text) if text.contains('\0') => Self::HasNul,
            Value::String(text) => Self::Text(text),
            _ => Self::WrongType,
        })
    }
}

/// A field that takes any JSON.
#[derive(Default)]
pub(in crate::http) enum JsonValueField {
    #[default]
    Absent,
    Null,
    Value(Value),
}

impl<'de> Deserialize<'de> for JsonValueField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::Null,
            value => Self::Value(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Deserialize)]
    struct OneField {
        #[serde(default)]
        field: JsonField,
    }

    fn code(bytes: &[u8]) -> &'static str {
        parse::<OneField>(bytes, false).map_or_else(|problem| problem.code.as_str(), |_| "ok")
    }

    #[test]
    fn only_interoperable_objects_pass() {
        for good in [r"{}", r#"{"field":"x","other":[1,{"a":null}]}"#, r#"{"field":12}"#, r#"{"field":"\ud83d\ude00"}"#]
        {
            assert_eq!(code(good.as_bytes()), "ok", "{good}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for bad in [
            "",
            "null",
            "[]",
            "12",
            "\"x\"",
            "{",
            "{} {}",
            r#"{"a":1,"a":2}"#,
            r#"{"b":{"a":1,"a":2}}"#,
            r#"{"field":"\ud83d"}"#,
            r#"{"\u0061":1,"a":2}"#,
            "{\"field\":\"\u{1}\"}",
            &deep,
        ] {
            assert_eq!(code(bad.as_bytes()), "malformed_body", "{}", &bad[..bad.len().min(40)]);
        }
        assert_eq!(code(b"{\"field\":\"\xff\"}"), "malformed_body");
        assert!(matches!(
            parse::<OneField>(br#"{"field":"a\u0000b"}"#, false).unwrap_or_else(|_| unreachable!()).field,
            JsonField::HasNul
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            code(&bytes);
        }

        #[test]
        fn any_json_like_text_is_answered(text in r#"[{}\[\]":,a-e0-9\\u ]{0,60}"#) {
            code(text.as_bytes());
        }
    }
}

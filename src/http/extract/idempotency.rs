//! The header `Idempotency-Key`, and the body that it stands for.

use axum::{
    body::Bytes,
    extract::{FromRequest, OriginalUri, Request},
    http::HeaderMap,
};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::json::Body;
use crate::{
    domain::sha256,
    http::{error_code::ErrorCode, problem::Problem},
    services::RequestKey,
};

/// A JSON body, and the key that the client gave the request.
pub(in crate::http) struct Keyed<T> {
    pub(in crate::http) body: T,
    pub(in crate::http) key: Option<RequestKey>,
}

/// The header, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only the document names it")]
pub(in crate::http) struct IdempotencyKeyHeader {
    /// 1 to 128 visible characters, in quotes or bare. The same key with the same body, destination and client gets the
    /// same answer for 24 hours, and counts for no limit.
    #[param(
        rename = "Idempotency-Key",
        value_type = String,
        required = false,
        pattern = r#"^("[!#-~]{1,128}"|[!#-~]{1,128})$"#,
        example = "8e03978e-40d5-43e8-bc93-6894a57f9324"
    )]
    key: Option<String>,
}

const HEADER: &str = "idempotency-key";

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Keyed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let key = header_key(request.headers())?;
        let call = request.extensions().get::<OriginalUri>().map_or(request.uri(), |OriginalUri(uri)| uri).path();
        let call = call.to_owned();
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let bytes = bytes.map_err(|_| Problem::new(ErrorCode::MalformedBody, "the body cannot be read"))?;
        let fingerprint = fingerprint(&bytes);
        let Body(body) = Body::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        Ok(Self { body, key: key.map(|key| RequestKey { call, key, fingerprint }) })
    }
}

/// Of what the request asks for: with the solution of a challenge, or with another, it is the same request.
fn fingerprint(body: &[u8]) -> [u8; 32] {
    match serde_json::from_slice::<serde_json::Map<_, _>>(body) {
        Ok(mut fields) => {
            fields.remove("challenge");
            sha256(serde_json::Value::Object(fields).to_string().as_bytes())
        }
        Err(_) => sha256(body), // refused anyway
    }
}

/// A quoted string of 1 to 128 visible characters (RFC 9651, 3.3.3), or the same bare.
fn header_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if values.next().is_some() || !is_visible || !(1..=128).contains(&key.len()) {
        let detail = "`Idempotency-Key` must be once, of 1 to 128 visible characters";
        return Err(Problem::new(ErrorCode::InvalidIdempotencyKey, detail));
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_of_a_challenge_is_no_part_of_a_request() {
        let plain = fingerprint(br#"{"mobile": "9876543210", "password": "a horse"}"#);
        for same in [
            r#"{"mobile":"9876543210","password":"a horse","challenge":"e30="}"#,
            r#"{"challenge": null, "mobile": "9876543210", "password": "a horse"}"#,
        ] {
            assert_eq!(fingerprint(same.as_bytes()), plain, "{same}");
        }
        assert_ne!(fingerprint(br#"{"mobile": "9876543211", "password": "a horse"}"#), plain);
        assert_ne!(fingerprint(b"{"), fingerprint(b"["));
    }

    #[test]
    fn a_key_is_quoted_or_bare() {
        let parsed = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, value.parse().unwrap());
            }
            header_key(&headers).map_err(|_| ())
        };
        assert_eq!(parsed(&[]), Ok(None));
        for text in ["a-key", r#""a-key""#, r#"  "a-key" "#] {
            assert_eq!(parsed(&[text]), Ok(Some("a-key".to_owned())), "{text}");
        }
        let long = "x".repeat(129);
        for wrong in [&[""][..], &[r#""""#], &["a b"], &[r#"a"b"#], &[r#""a"#], &[&long], &["a", "b"]] {
            assert_eq!(parsed(wrong), Err(()), "{wrong:?}");
        }
    }
}

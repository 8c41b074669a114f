//! The built-in page: sign-up and sign-in at `/`, the person's own account at `/account`. Its files are in this folder
//! and in the binary; they call the public API alone, through the client in `clients/typescript`.

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use rust_embed::{Embed, EmbeddedFile};

use super::{Api, problem::Problem, server::ServerSettings};
use crate::{
    domain::{hex, sha256},
    error::Error,
};

#[derive(Embed)]
#[folder = "src/http/page"]
#[exclude = "*.rs"]
struct Files;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page, or, where it is off, the way to the documentation.
pub(super) fn routes(api: &Api, settings: &ServerSettings) -> Router<Api> {
    let Some(accent) = &settings.page_accent else {
        return Router::new().route("/", get(|| async { Redirect::temporary("/docs/") }));
    };
    let page = |name: &str| {
        let html = filled_in(name, api, settings);
        get(move |headers: HeaderMap| async move { answer(&headers, "text/html; charset=utf-8", &html) })
    };
    let accent = Arc::<[u8]>::from(format!(":root {{ --accent: {accent}; }}\n").into_bytes());
    Router::new()
        .route("/", page("index.html"))
        .route("/account", page("account.html"))
        .route("/page/accent.css", get(move |headers: HeaderMap| async move { answer(&headers, "text/css", &accent) }))
        .route("/page/{file}", get(file))
        .route("/.well-known/change-password", get(|| async { Redirect::temporary("/account#password") }))
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match (Files::get(&name), content_type(&name)) {
        (Some(EmbeddedFile { data, .. }), Some(kind)) => answer(&headers, kind, &data),
        _ => Problem::from(Error::NotFound).into_response(),
    }
}

fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "json" => Some("application/json"),
        _ => None,
    }
}

/// A page with what it must know of the settings.
fn filled_in(name: &str, api: &Api, settings: &ServerSettings) -> Arc<[u8]> {
    let file = Files::get(name).expect("the pages are in the binary");
    let html = String::from_utf8_lossy(&file.data)
        .replace("{{brand}}", &escaped(&api.brand))
        .replace("{{api}}", settings.prefixes.first().map_or("/api/v1", |prefix| prefix.trim_end_matches('/')))
        .replace("{{inbox}}", if api.inbox.is_some() { "true" } else { "false" })
        .replace("{{region}}", &format!("{:?}", api.phone.default_region))
        .replace("{{passwords}}", if api.code_request.may_register() { "optional" } else { "required" })
        .replace("{{min_password}}", &api.password_min_length.to_string());
    Arc::from(html.into_bytes())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The file, or 304 to who has it: it changes with the binary and the settings alone.
fn answer(asked: &HeaderMap, kind: &'static str, content: &[u8]) -> Response {
    let tag = format!("\"{}\"", &hex(&sha256(content))[..16]);
    let is_known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response =
        if is_known { StatusCode::NOT_MODIFIED.into_response() } else { content.to_vec().into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.extend(HeaderValue::from_str(&tag).map(|tag| (header::ETAG, tag)));
    response
}

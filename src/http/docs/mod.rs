//! The documentation page at `/docs`: Swagger UI, in a page of our own that loads nothing from elsewhere.

pub(super) mod errors;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, serve};

use super::{Api, problem::Problem};
use crate::error::Error;

/// The sources that the page needs: its own files, the images in its style sheet, and the styles that its script sets.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
    object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document, and the page that shows it.
pub(super) fn routes(document: OpenApi) -> Router<Api> {
    let json = Bytes::from(document.to_json().expect("the document is JSON"));
    drop(document); // ten times as large
    let policy = HeaderValue::from_static(POLICY);
    let page = Router::new()
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", get(|| file(Path("index.html".to_owned()))))
        .route("/docs/{file}", get(file))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy));
    page.route("/openapi.json", get(|| async move { ([(header::CONTENT_TYPE, "application/json")], json) }))
}

async fn file(Path(name): Path<String>) -> Response {
    let (kind, content) = match name.as_str() {
        "index.html" => ("text/html; charset=utf-8".to_owned(), include_bytes!("index.html").to_vec()),
        "docs.css" => ("text/css".to_owned(), include_bytes!("docs.css").to_vec()),
        "docs.js" => ("text/javascript".to_owned(), include_bytes!("docs.js").to_vec()),
        "errors" => ("text/html; charset=utf-8".to_owned(), errors::page().into_bytes()),
        "errors.css" => ("text/css".to_owned(), include_bytes!("errors.css").to_vec()),
        name => match serve(name, Arc::new(Config::from("/openapi.json"))) {
            Ok(Some(file)) => (file.content_type, file.bytes.into_owned()),
            _ => return Problem::from(Error::NotFound).into_response(),
        },
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache".to_owned())], content).into_response()
}

use axum::Router;
use utoipa::{
    OpenApi, ToSchema as _,
    openapi::{
        ContentBuilder, HeaderBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder, Server,
        path::Operation,
        security::{Http, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{Api, problem::ProblemBody};

type AnyProblem = ProblemBody<'static>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Enroll",
        description = "Registers users and proves, by a one-time code, that they hold the phone or mailbox they claim.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "registration", description = "Register, prove it by a code"),
        (name = "login", description = "Tokens, by password or by an older token"),
        (name = "account", description = "What needs a token"),
        (name = "service", description = "For operators"),
    ),
    components(schemas(AnyProblem)),
)]
struct Skeleton;

pub(super) fn skeleton(public_url: &str) -> Document {
    let mut document = Skeleton::openapi();
    document.servers = Some(vec![Server::new(public_url)]);
    document
}

/// Adds what all operations share: security schemes, and the problems that any of them can answer.
pub(super) fn complete(mut document: Document) -> Document {
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
    for (path, item) in &mut document.paths.paths {
        if path == "/livez" || path == "/readyz" || path == "/.well-known/jwks.json" {
            continue;
        }
        for operation in [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten() {
            add_problems(operation);
        }
    }
    document
}

fn add_problems(operation: &mut Operation) {
    let mut always = vec![("500", "`internal`"), ("503", "`unavailable`, `overloaded`")];
    if operation.request_body.is_some() {
        always.extend([
            ("400", "`malformed_body`"),
            ("408", "`request_timeout`"),
            ("413", "`body_too_large`"),
            ("415", "`unsupported_media_type`"),
            ("422", "`invalid_fields`"),
        ]);
    }
    for (status, description) in always {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(AnyProblem::name()))).build();
        let response =
            ResponseBuilder::new().description(description).content("application/problem+json", problem).build();
        operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        for (name, description) in headers_of(status) {
            let header = HeaderBuilder::new().description(Some(*description)).build();
            response.headers.insert((*name).to_owned(), header.into());
        }
    }
}

fn headers_of(status: &str) -> &'static [(&'static str, &'static str)] {
    match status {
        "401" => &[("WWW-Authenticate", "`Bearer`, or `Basic realm=\"enroll\", charset=\"UTF-8\"`")],
        "429" => &[
            ("Retry-After", "Seconds until it may be asked again"),
            ("RateLimit", "The limit that is reached, and the seconds until it has room"),
            ("RateLimit-Policy", "The limit's quota and its window in seconds"),
        ],
        "503" => &[("Retry-After", "Seconds until it may be asked again")],
        _ => &[],
    }
}

/// The document, and a page that shows it and loads nothing from elsewhere.
pub(super) fn routes(document: Document) -> Router<Api> {
    // Its badge would be fetched from a validator on the web.
    let nothing_foreign = Config::default().validator_url("none");
    SwaggerUi::new("/docs").url("/openapi.json", document).config(nothing_foreign).into()
}

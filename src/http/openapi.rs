//! The OpenAPI document: a call is documented by its handler, its path and its errors by the list in `routes`.

use std::collections::BTreeMap;

use utoipa::{
    OpenApi, ToSchema as _,
    openapi::{
        ContentBuilder, Deprecated, HeaderBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder, Server,
        path::{Operation, PathItem},
        security::{Http, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::UtoipaMethodRouter;

use super::{
    Api,
    error_code::ErrorCode::{
        self, BodyTooLarge, Internal, InvalidFields, MalformedBody, Overloaded, RequestTimeout, Unavailable,
        UnsupportedMediaType,
    },
    problem::ProblemBody,
    request_schemas::forbid_null,
};

type AnyProblem = ProblemBody<'static>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Enroll",
        description = "Registers users and proves, by a one-time code, that they hold the phone or mailbox they claim.\n\n\
            The calls below tell one story. This page fills in the tokens and ids of the calls before, and in development \
            the code of the newest message. Run from top to bottom, some are refused: a second code within half a \
            minute, an old path after the call that it repeats, the two calls with HTTP Basic (see Authorize), and a \
            call with a token after its session has ended. `DELETE /users/me` takes the password that the change of \
            password sets.",
        contact(name = "Enroll"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "registration", description = "Register, and activate the account by a code"),
        (name = "recovery", description = "A new password, by a code"),
        (name = "login", description = "Tokens, by password, code or refresh"),
        (name = "account", description = "The person's own account; needs an access token"),
        (name = "service", description = "Health, keys and provider callbacks"),
    ),
    components(schemas(AnyProblem)),
)]
struct Skeleton;

/// Without a public URL the calls go to wherever the document was fetched from.
pub(super) fn skeleton(public_url: Option<&str>) -> Document {
    let mut document = Skeleton::openapi();
    document.servers = Some(vec![Server::new(public_url.unwrap_or("/"))]);
    document
}

/// A call at a path, with the errors of its own and those that every call can have.
pub(super) fn call(path: &str, routes: UtoipaMethodRouter<Api>, errors: &[&[ErrorCode]]) -> UtoipaMethodRouter<Api> {
    at(path, routes, |operation| {
        let mut codes = errors.concat();
        if operation.request_body.is_some() {
            codes.extend([MalformedBody, RequestTimeout, BodyTooLarge, UnsupportedMediaType, InvalidFields]);
        }
        codes.extend([Internal, Unavailable, Overloaded]);
        forbid_null(operation);
        add_problems(operation, &codes);
    })
}

/// The same call at another path, for older clients.
pub(super) fn alias(
    path: &str,
    operation_id: &str,
    routes: UtoipaMethodRouter<Api>,
    errors: &[&[ErrorCode]],
) -> UtoipaMethodRouter<Api> {
    at(path, call(path, routes, errors), |operation| {
        operation.description = operation
            .operation_id
            .as_ref()
            .map(|of| format!("The same as `{of}`, at the path that older clients use."));
        operation.operation_id = Some(operation_id.to_owned());
        operation.deprecated = Some(Deprecated::True);
    })
}

/// A call that cannot fail by itself.
pub(super) fn plain(path: &str, routes: UtoipaMethodRouter<Api>) -> UtoipaMethodRouter<Api> {
    at(path, routes, |_| {})
}

fn at(
    path: &str,
    (schemas, mut paths, router): UtoipaMethodRouter<Api>,
    complete: impl Fn(&mut Operation),
) -> UtoipaMethodRouter<Api> {
    for (_, mut item) in std::mem::take(&mut paths.paths) {
        let PathItem { get, post, patch, delete, .. } = &mut item;
        for operation in [get, post, patch, delete].into_iter().flatten() {
            complete(operation);
            operation.security.get_or_insert_default(); // public, unless the handler says otherwise
            let too_large = Response::new("The headers are longer than 16 KiB, or more than a hundred; no body");
            operation.responses.responses.insert("431".to_owned(), too_large.into());
        }
        paths.paths.insert(path.to_owned(), item);
    }
    (schemas, paths, router)
}

fn add_problems(operation: &mut Operation, codes: &[ErrorCode]) {
    let mut by_status = BTreeMap::<u16, Vec<String>>::new();
    for code in codes {
        by_status.entry(code.status().as_u16()).or_default().push(format!("`{}`", code.as_str()));
    }
    for (status, names) in by_status {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(AnyProblem::name()))).build();
        let mut response =
            ResponseBuilder::new().description(names.join(", ")).content("application/problem+json", problem).build();
        for (name, description) in headers_of(status) {
            let header = HeaderBuilder::new().description(Some(*description)).build();
            response.headers.insert((*name).to_owned(), header.into());
        }
        operation.responses.responses.insert(status.to_string(), RefOr::T(response));
    }
}

fn headers_of(status: u16) -> &'static [(&'static str, &'static str)] {
    match status {
        401 => &[("WWW-Authenticate", "`Bearer`, or `Basic realm=\"enroll\", charset=\"UTF-8\"`")],
        429 => &[
            ("Retry-After", "Seconds until the next try is allowed"),
            ("RateLimit", "The exceeded limit, and the seconds until it allows another try"),
            ("RateLimit-Policy", "The limit's quota and its window in seconds"),
        ],
        503 => &[("Retry-After", "Seconds until the next try")],
        _ => &[],
    }
}

/// Adds the security schemes.
pub(super) fn with_security(mut document: Document) -> Document {
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
    document
}

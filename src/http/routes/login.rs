//! Logging in and out, and refreshing tokens.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    domain::{Address, FieldCode, Identifier, Locale, Origin, Password, PersonName, PhoneRules, Purpose},
    error::Error,
    http::{
        Api,
        extract::{
            auth::{Bearer, bearer_token},
            client_ip::RequestClient,
            compat::Compat,
            fields::{AddressFields, AppHashFields, ChallengeFields, Fields, LoginIdFields},
            idempotency::{IdempotencyKeyHeader, Keyed},
            json::{Body, JsonField, JsonValueField, OptionalBody},
        },
        middleware::request_log::log_destination,
        problem::Problem,
        views::{TokenResponse, VerificationView},
    },
    services::{CodeRequest, Newcomer},
};

/// One of `email`, `mobile` and `login_id`, and the password.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct LoginRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(flatten)]
    login_id: LoginIdFields,
    /// Its form is not judged.
    #[serde(default)]
    #[schema(value_type = String, required, example = "correct horse battery")]
    password: JsonField,
}

impl LoginRequest {
    fn parse(self, phone: &PhoneRules) -> Result<(Identifier, String), Error> {
        let mut fields = Fields::default();
        let address = self.address.parse(&mut fields, phone);
        let login_id = self.login_id.parse(&mut fields);
        let password = fields.required("password", self.password, |text| Ok(text.to_owned()));
        if address.is_some() && login_id.is_some() {
            fields.error("login_id", FieldCode::TooManyIdentifiers, "must be the only identifier");
        }
        let identifier = address.map(Identifier::Address).or(login_id.map(Identifier::LoginId));
        if identifier.is_none() && !fields.has_error_of(&["email", "mobile", "login_id"]) {
            fields.error("login_id", FieldCode::Required, "or `email` or `mobile` is required");
        }
        fields.finish(identifier.zip(password))
    }
}

/// An email, a mobile, or a login id and a mobile.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct SendRequest {
    #[serde(flatten)]
    address: AddressFields,
    /// With a mobile: both must be of one account.
    #[serde(flatten)]
    login_id: LoginIdFields,
    /// Where `registrations.password` is `optional`, and without `login_id`: for an address that is nobody's, the code
    /// makes an account. Nothing tells the two apart before it is right.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    register: JsonValueField,
    /// With `register`: the person's name.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Ann B.")]
    name: JsonField,
    /// The person's language, a BCP 47 tag; without `register` the account's comes first.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "en-IN")]
    locale: JsonField,
    /// With `register`: a JSON object of the person's own, at most 4 KiB and 8 levels.
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, serde_json::Value>>, example = json!({"nickname": "Annie"}))]
    data: JsonValueField,
    #[serde(flatten)]
    app_hash: AppHashFields,
    #[serde(flatten)]
    challenge: ChallengeFields,
}

/// A code is on its way, if there is such an account.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct SendResponse {
    #[schema(example = "success")]
    status: &'static str,
    message: &'static str,
    /// Seconds until the code expires.
    #[schema(example = 120)]
    expires_in: u64,
    verification: VerificationView,
}

impl SendRequest {
    /// The request, and the solution of a challenge.
    fn parse(self, api: &Api) -> Result<(CodeRequest, Option<String>), Error> {
        let mut fields = Fields::default();
        let solution = self.challenge.parse(&mut fields);
        let login_id = self.login_id.parse(&mut fields);
        let address = self.address.required(&mut fields, &api.phone);
        if login_id.is_some() && matches!(address, Some(Address::Email(_))) {
            fields.error("email", FieldCode::TooManyIdentifiers, "send a `mobile` with the `login_id`, not an email");
        }
        let register = fields.flag("register", self.register);
        if register && login_id.is_some() {
            fields.error("register", FieldCode::Invalid, "is not allowed with a `login_id`");
        } else if register && !api.code_request.may_register() {
            fields.error("register", FieldCode::Invalid, "is not possible here: an account needs a password");
        }
        let name = fields.optional("name", self.name, PersonName::parse);
        let locale = fields.optional("locale", self.locale, Locale::parse);
        let data = fields.data(self.data);
        let app_hash = self.app_hash.parse(&mut fields, &api.android_apps);
        let newcomer = register.then_some(Newcomer { name, data });
        fields.finish(address.map(|address| (CodeRequest { address, login_id, app_hash, locale, newcomer }, solution)))
    }
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct RefreshRequest {
    /// The newest of the session.
    #[serde(default)]
    #[schema(value_type = String, required)]
    refresh_token: JsonField,
}

/// A refresh token, in place of the access token.
#[derive(Deserialize, ToSchema, Default)]
pub(in crate::http) struct LogoutRequest {
    /// In place of the access token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    refresh_token: JsonField,
}

/// Log in by password
///
/// An unknown identifier and a wrong password have the same response.
#[utoipa::path(post, path = "", operation_id = "logIn", tag = "login", request_body(content = LoginRequest, example = json!({"mobile": "9876543210", "password": "a better horse battery"})),
    responses((status = 200, description = "A session is open", body = TokenResponse)))]
pub(in crate::http) async fn log_in(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    compat: Compat,
    Body(request): Body<LoginRequest>,
) -> Result<Json<TokenResponse>, Problem> {
    let (identifier, password) = request.parse(&api.phone)?;
    if let Identifier::Address(address) = &identifier {
        log_destination(&address.masked());
    }
    let password = Password::for_comparison(&password);
    let tokens = Box::pin(api.login.log_in(&identifier, password.as_ref(), &client)).await?;
    Ok(Json(TokenResponse::new(tokens, &compat)))
}

/// Request a code for a login
///
/// The response is the same whether or not an account has proven the address. To an unknown one nothing is sent; with
/// `register`, a code that makes an account.
#[utoipa::path(post, path = "", operation_id = "sendLoginCode", tag = "login", request_body(content = SendRequest, example = json!({"mobile": "9876543210"})),
    params(IdempotencyKeyHeader), responses((status = 200, description = "A code is on its way, if there is such an account", body = SendResponse)))]
pub(in crate::http) async fn send_code(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Keyed { body, key }: Keyed<SendRequest>,
) -> Result<Json<Value>, Problem> {
    let (request, solution) = body.parse(&api)?;
    log_destination(&request.address.masked());
    let send = async {
        let code = api.code_request.send(Purpose::Login, &request, solution.as_deref(), &client).await?;
        Ok(json!(SendResponse {
            status: "success",
            message: "If there is such an account, a code is on its way; send it to verify-otp.",
            expires_in: code.expires_in.as_secs(),
            verification: VerificationView::from(&code),
        }))
    };
    Ok(Json(api.idempotency.once(key, &request.address.key(), &client, Box::pin(send)).await?))
}

/// Refresh the tokens
///
/// The old refresh token is dead, except that for a short grace it gets the same successor again. A token used
/// later revokes its session.
#[utoipa::path(post, path = "", operation_id = "refreshTokens", tag = "login", request_body(content = RefreshRequest, example = json!({"refresh_token": "refresh-token"})),
    responses((status = 200, description = "New tokens", body = TokenResponse)))]
pub(in crate::http) async fn refresh(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    compat: Compat,
    Body(request): Body<RefreshRequest>,
) -> Result<Json<TokenResponse>, Problem> {
    let mut fields = Fields::default();
    let token = fields.required("refresh_token", request.refresh_token, |text| Ok(text.to_owned()));
    let token = fields.finish(token)?;
    let tokens = api.sessions.refresh(&token, Origin::client(&client)).await?;
    Ok(Json(TokenResponse::new(tokens, &compat)))
}

/// Log out
///
/// Revokes the session of the access token or of the `refresh_token`. An invalid token is no error (RFC 7009).
#[utoipa::path(post, path = "", operation_id = "logOut", tag = "account", request_body(content = Option<LogoutRequest>, example = json!({"refresh_token": "refresh-token"})),
    security(("bearer" = []), ()), responses((status = 204, description = "The session is revoked")))]
pub(in crate::http) async fn log_out(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    compat: Compat,
    headers: HeaderMap,
    OptionalBody(request): OptionalBody<LogoutRequest>,
) -> Result<Response, Problem> {
    let mut fields = Fields::default();
    let refresh = fields.text("refresh_token", request.refresh_token);
    let refresh = fields.finish(Some(refresh))?;
    let access = bearer_token(&headers);
    let is_older_client = compat.0.is_some();
    if access.is_none() && refresh.is_none() && !is_older_client {
        return Err(Error::MissingToken.into());
    }
    api.sessions.log_out(access, refresh.as_deref(), Origin::client(&client)).await?;
    if is_older_client {
        return Ok(Json(json!({"status": "success", "message": "Logged out."})).into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Log out everywhere
///
/// Revokes all sessions of the account, this one too.
#[utoipa::path(post, path = "", operation_id = "logOutAll", tag = "account", security(("bearer" = [])),
    responses((status = 204, description = "The sessions are revoked")))]
pub(in crate::http) async fn log_out_all(State(api): State<Api>, Bearer(actor): Bearer) -> Result<StatusCode, Problem> {
    api.sessions.log_out_all(&actor.user, Origin::client(&actor.client)).await?;
    Ok(StatusCode::NO_CONTENT)
}

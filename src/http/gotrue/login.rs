//! Logging in and out.

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    auth::Person,
    errors::{GotrueCode, Refusal},
    fields::{AddressFields, SecurityFields},
    registration::check_channel,
    views::SessionView,
};
use crate::{
    domain::{Address, Client, FieldCode, FieldError, Identifier, Origin, Password, Purpose, SessionTokens},
    error::Error,
    http::{
        Api,
        extract::{
            client_ip::RequestClient,
            fields::Fields,
            json::{Body, JsonField, JsonValueField},
        },
        middleware::request_log::log_destination,
    },
    services::{CodeRequest, Newcomer},
};

#[derive(Deserialize)]
pub(super) struct TokenQuery {
    grant_type: Option<String>,
}

/// The fields that the grants take.
#[derive(Deserialize)]
pub(super) struct TokenRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(default)]
    password: JsonField,
    #[serde(default)]
    refresh_token: JsonField,
}

/// Where a code is to go.
#[derive(Deserialize)]
pub(super) struct OtpRequest {
    #[serde(flatten)]
    address: AddressFields,
    /// Whether an address of nobody registers by it; absent: it does.
    #[serde(default)]
    create_user: JsonValueField,
    #[serde(default)]
    data: JsonValueField,
    #[serde(default)]
    channel: JsonField,
    #[serde(flatten)]
    security: SecurityFields,
}

/// Where a code is to go that opens the way to a new password.
#[derive(Deserialize)]
pub(super) struct RecoverRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(flatten)]
    security: SecurityFields,
}

#[derive(Deserialize)]
pub(super) struct LogoutQuery {
    scope: Option<String>,
}

/// `POST /token`: by password, or by the refresh token.
pub(super) async fn token(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Query(query): Query<TokenQuery>,
    Body(request): Body<TokenRequest>,
) -> Result<Json<SessionView>, Refusal> {
    let tokens = match query.grant_type.as_deref() {
        Some("password") => Box::pin(by_password(&api, request, &client)).await?,
        Some("refresh_token") => refreshed(&api, request, &client).await?,
        Some("id_token" | "pkce" | "web3") => return Err(Refusal::disabled()),
        _ => {
            let message = "must be `password` or `refresh_token`";
            return Err(Error::field(FieldError::new("grant_type", FieldCode::Invalid, message)).into());
        }
    };
    let waiting = api.gotrue.codes.waiting_changes(&tokens.user).await?;
    Ok(Json(SessionView::new(tokens, &waiting)))
}

async fn by_password(api: &Api, request: TokenRequest, client: &Client) -> Result<SessionTokens, Refusal> {
    let mut fields = Fields::default();
    let address = request.address.required(&mut fields, &api.phone);
    let password = fields.required("password", request.password, |text| Ok(text.to_owned()));
    let (address, password) = fields.finish(address.zip(password))?;
    log_destination(&address.masked());
    let password = Password::for_comparison(&password);
    Ok(Box::pin(api.gotrue.login.log_in(&Identifier::Address(address), password.as_ref(), client)).await?)
}

async fn refreshed(api: &Api, request: TokenRequest, client: &Client) -> Result<SessionTokens, Refusal> {
    let mut fields = Fields::default();
    let token = fields.required("refresh_token", request.refresh_token, |text| Ok(text.to_owned()));
    let token = fields.finish(token)?;
    api.gotrue.sessions.refresh(&token, Origin::client(client)).await.map_err(|error| match error {
        Error::InvalidToken => Refusal::named(GotrueCode::RefreshTokenNotFound, error),
        other => other.into(),
    })
}

/// `POST /otp`: the same answer whether or not there is such an account.
pub(super) async fn otp(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Body(request): Body<OtpRequest>,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::default();
    check_channel(&mut fields, request.channel);
    let address = request.address.required(&mut fields, &api.phone);
    let registers = matches!(request.create_user, JsonValueField::Absent | JsonValueField::Null)
        || fields.flag("create_user", request.create_user);
    let data = fields.data(request.data);
    let address = fields.finish(address)?;
    // Where passwords are required a code alone makes no account.
    let registers = registers && api.code_request.may_register();
    let newcomer = registers.then_some(Newcomer { name: None, data });
    send(&api, Purpose::Login, address, newcomer, request.security, &client).await
}

/// `POST /recover`: the session that this code opens may set the password within a few minutes.
pub(super) async fn recover(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Body(request): Body<RecoverRequest>,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::default();
    let address = request.address.required(&mut fields, &api.phone);
    let address = fields.finish(address)?;
    send(&api, Purpose::PasswordReset, address, None, request.security, &client).await
}

async fn send(
    api: &Api,
    purpose: Purpose,
    address: Address,
    newcomer: Option<Newcomer>,
    security: SecurityFields,
    client: &Client,
) -> Result<Json<Value>, Refusal> {
    log_destination(&address.masked());
    let channel = address.channel();
    let request = CodeRequest { address, login_id: None, locale: None, newcomer, app_hash: None };
    let sent = api.code_request.send(purpose, &request, security.solution().as_deref(), client).await;
    sent.map_err(Refusal::sending(channel))?;
    Ok(Json(json!({})))
}

/// `POST /logout`: this session, all, or all others.
pub(super) async fn log_out(
    State(api): State<Api>,
    Query(query): Query<LogoutQuery>,
    person: Person,
) -> Result<StatusCode, Refusal> {
    let (sessions, actor) = (&api.gotrue.sessions, &person.actor);
    let origin = Origin::client(&actor.client);
    match query.scope.as_deref() {
        None | Some("global") => sessions.log_out_all(&actor.user, origin).await?,
        Some("others") => sessions.log_out_others(&actor.user, actor.session, origin).await?,
        Some("local") => sessions.log_out(Some(person.token()), None, origin).await?,
        Some(_) => {
            let message = "must be `global`, `local` or `others`";
            return Err(Error::field(FieldError::new("scope", FieldCode::Invalid, message)).into());
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

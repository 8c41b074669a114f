//! Signing up, codes, and challenges.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    errors::{GotrueCode, Refusal},
    fields::{AddressFields, SecurityFields, code},
    views::{SessionView, UserView},
};
use crate::{
    domain::{Channel, FieldCode, FieldError, Identifiers, Password},
    engine::VerificationRef,
    error::Error,
    http::{
        Api,
        extract::{
            client_ip::RequestClient,
            fields::Fields,
            json::{Body, JsonField, JsonValueField},
        },
        middleware::request_log::log_destination,
        views::ChallengeView,
    },
    services::NewRegistration,
};

/// A registration.
#[derive(Deserialize)]
pub(super) struct SignUpRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(default)]
    password: JsonField,
    #[serde(default)]
    data: JsonValueField,
    /// `sms` is the only one.
    #[serde(default)]
    channel: JsonField,
    #[serde(flatten)]
    security: SecurityFields,
}

/// A code, where it came, and what for.
#[derive(Deserialize)]
pub(super) struct VerifyRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(default, rename = "type")]
    kind: JsonField,
    #[serde(default)]
    token: JsonField,
    /// Of a link; ours carry codes.
    #[serde(default)]
    token_hash: JsonField,
}

/// Where a new code is to go, and what for.
#[derive(Deserialize)]
pub(super) struct ResendRequest {
    #[serde(flatten)]
    address: AddressFields,
    #[serde(default, rename = "type")]
    kind: JsonField,
    #[serde(flatten)]
    security: SecurityFields,
}

/// The use of a code.
#[derive(Clone, Copy)]
enum Kind {
    /// Registering or logging in.
    Entry,
    Recovery,
    Contact,
}

fn kind(text: &str, channel: Option<Channel>) -> Result<Kind, FieldError> {
    let (kind, wanted) = match text {
        "sms" => (Kind::Entry, Some(Channel::Sms)),
        "email" | "magiclink" => (Kind::Entry, Some(Channel::Email)),
        "signup" | "invite" => (Kind::Entry, None),
        "recovery" => (Kind::Recovery, None),
        "email_change" => (Kind::Contact, Some(Channel::Email)),
        "phone_change" => (Kind::Contact, Some(Channel::Sms)),
        _ => return Err(FieldError::new("type", FieldCode::Invalid, "is none of those that there are")),
    };
    match (wanted, channel) {
        (Some(wanted), Some(channel)) if wanted != channel => {
            Err(FieldError::new("type", FieldCode::Invalid, "is of the other kind of address"))
        }
        _ => Ok(kind),
    }
}

/// `POST /signup`: no session before the proof.
pub(super) async fn sign_up(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Body(request): Body<SignUpRequest>,
) -> Result<Json<UserView>, Refusal> {
    let mut fields = Fields::default();
    if request.address.email.is_absent() && request.address.phone.is_absent() && request.password.is_absent() {
        return Err(Refusal::disabled()); // anonymous
    }
    check_channel(&mut fields, request.channel);
    let address = request.address.required(&mut fields, &api.phone);
    let identifiers = address.clone().map(Identifiers::from).unwrap_or_default();
    let password = fields.required("password", request.password, |text| {
        let password = Password::parse(text, api.password_min_length)?;
        password.check_against(&identifiers)?;
        Ok(password)
    });
    let data = fields.data(request.data);
    let (destination, password) = fields.finish(address.zip(password))?;
    log_destination(&destination.masked());
    let channel = destination.channel();
    let new = NewRegistration {
        destination,
        identifiers,
        name: None,
        locale: None,
        data: data.clone(),
        password: Some(password),
        app_hash: None,
    };
    let solution = request.security.solution();
    let pending = api.registration.register(new, solution.as_deref(), &client).await;
    Ok(Json(UserView::pending(&pending.map_err(Refusal::sending(channel))?, data)))
}

/// An absent channel is SMS.
pub(super) fn check_channel(fields: &mut Fields, channel: JsonField) {
    fields.optional("channel", channel, |text| match text {
        "sms" => Ok(()),
        _ => Err(FieldError::new("channel", FieldCode::Invalid, "must be `sms`")),
    });
}

/// `POST /verify`: one request is one attempt at one code.
pub(super) async fn verify(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Body(request): Body<VerifyRequest>,
) -> Result<Json<SessionView>, Refusal> {
    if !request.token_hash.is_absent() {
        return Err(Refusal::disabled());
    }
    let mut fields = Fields::default();
    let address = request.address.required(&mut fields, &api.phone);
    let channel = address.as_ref().map(crate::domain::Address::channel);
    let kind = fields.required("type", request.kind, |text| kind(text, channel));
    let code = code(&mut fields, request.token);
    let ((address, kind), code) = fields.finish(address.zip(kind).zip(code))?;
    log_destination(&address.masked());
    let code = code.map_err(|_| Error::InvalidCode)?;
    let codes = &api.gotrue.codes;
    let verified = match kind {
        Kind::Entry => codes.verify(address, code, &client).await,
        Kind::Recovery => codes.verify_recovery(address, code, &client).await,
        Kind::Contact => codes.verify_contact(&address, &code, &client).await,
    };
    let tokens = verified.map_err(|error| match error {
        // Of another length than the code has: wrong, as any other.
        Error::Invalid(errors) if errors.iter().all(|error| error.field == "otp") => Error::InvalidCode,
        other => other,
    })?;
    let waiting = codes.waiting_changes(&tokens.user).await?;
    Ok(Json(SessionView::new(tokens, &waiting)))
}

/// `POST /resend`: the same answer whether or not anything is pending.
pub(super) async fn resend(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Body(request): Body<ResendRequest>,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::default();
    let address = request.address.required(&mut fields, &api.phone);
    let channel = address.as_ref().map(crate::domain::Address::channel);
    let kind = fields.required("type", request.kind, |text| match kind(text, channel)? {
        Kind::Recovery => Err(FieldError::new("type", FieldCode::Invalid, "is asked for by `POST /recover`")),
        kind => Ok(kind),
    });
    let (address, kind) = fields.finish(address.zip(kind))?;
    log_destination(&address.masked());
    let solution = request.security.solution();
    let channel = address.channel();
    let resent = match kind {
        Kind::Contact => api.gotrue.codes.resend_contact(&address, solution.as_deref(), &client).await,
        Kind::Entry | Kind::Recovery => {
            let reference = VerificationRef { address: Some(address), id: None };
            api.resend.resend(reference, None, solution.as_deref(), &client).await.map(drop)
        }
    };
    match resent {
        Ok(()) => Ok(Json(json!({}))),
        Err(error @ Error::VerificationIdRequired) => Err(Refusal::named(GotrueCode::Conflict, error)),
        Err(error) => Err(Refusal::sending(channel)(error)),
    }
}

/// `POST /challenge`: its solution goes back as `captcha_token`.
pub(super) async fn challenge(
    State(api): State<Api>,
    RequestClient(client): RequestClient,
    Body(address): Body<AddressFields>,
) -> Result<Json<Value>, Refusal> {
    let mut fields = Fields::default();
    let address = address.required(&mut fields, &api.phone);
    let address = fields.finish(address)?;
    log_destination(&address.masked());
    Ok(Json(json!({"challenge": ChallengeView::from(&api.gate.puzzle(&address, &client))})))
}

//! Accounts and sessions as the dialect's clients read them.

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    domain::{Address, Channel, Email, Identifiers, JsonObject, Mobile, SessionTokens, Timestamp, User},
    services::PendingRegistration,
};

/// The audience and role of every account.
const AUTHENTICATED: &str = "authenticated";

/// The tokens of a session.
#[derive(Serialize)]
pub(super) struct SessionView {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    /// Unix seconds.
    expires_at: i64,
    refresh_token: String,
    user: UserView,
}

impl SessionView {
    pub(super) fn new(tokens: SessionTokens, waiting: &[Address]) -> Self {
        Self {
            user: UserView { last_sign_in_at: Some(tokens.opened_at), ..UserView::new(&tokens.user, waiting) },
            access_token: tokens.access_token,
            token_type: "bearer",
            expires_in: tokens.access_expires_in.as_secs(),
            expires_at: tokens.access_expires_at.seconds(),
            refresh_token: tokens.refresh_token,
        }
    }
}

/// An account, or one that a registration becomes.
#[derive(Serialize)]
pub(super) struct UserView {
    id: Uuid,
    aud: &'static str,
    role: &'static str,
    /// Empty if there is none.
    email: String,
    /// E.164 without the plus; empty if there is none.
    phone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_confirmed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_confirmed_at: Option<Timestamp>,
    /// The first of the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sign_in_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_phone: Option<String>,
    app_metadata: Value,
    user_metadata: JsonObject,
    identities: [(); 0],
    is_anonymous: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl UserView {
    /// An account, and the addresses that wait for their codes, the newest first.
    pub(super) fn new(user: &User, waiting: &[Address]) -> Self {
        let confirmed = |is_verified: bool, at: Option<Timestamp>| is_verified.then(|| at.unwrap_or(user.created_at));
        let email_confirmed_at = confirmed(user.email_verified, user.email_verified_at);
        let phone_confirmed_at = confirmed(user.mobile_verified, user.mobile_verified_at);
        let new = |channel| waiting.iter().find(|address| address.channel() == channel);
        let providers: Vec<_> = user.proven_addresses().iter().map(provider).collect();
        Self {
            id: user.id,
            aud: AUTHENTICATED,
            role: AUTHENTICATED,
            email: email(&user.identifiers),
            phone: phone(&user.identifiers),
            email_confirmed_at,
            phone_confirmed_at,
            confirmed_at: email_confirmed_at.into_iter().chain(phone_confirmed_at).min(),
            last_sign_in_at: Some(user.session_opened_at),
            new_email: new(Channel::Email).map(|address| address.as_str().to_owned()),
            new_phone: new(Channel::Sms).map(|address| digits(address.as_str())),
            app_metadata: app_metadata(&user.claims, &providers),
            user_metadata: user.data.clone(),
            identities: [],
            is_anonymous: false,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }

    /// A registration whose code is under way: no account yet.
    pub(super) fn pending(pending: &PendingRegistration, data: JsonObject) -> Self {
        let destination = &pending.code.destination;
        let identifiers = Identifiers::from(destination.clone());
        Self {
            id: pending.user_id,
            aud: AUTHENTICATED,
            role: AUTHENTICATED,
            email: email(&identifiers),
            phone: phone(&identifiers),
            email_confirmed_at: None,
            phone_confirmed_at: None,
            confirmed_at: None,
            last_sign_in_at: None,
            new_email: None,
            new_phone: None,
            app_metadata: app_metadata(&JsonObject::default(), &[provider(destination)]),
            user_metadata: data,
            identities: [],
            is_anonymous: false,
            created_at: pending.created_at,
            updated_at: pending.created_at,
        }
    }
}

fn email(identifiers: &Identifiers) -> String {
    identifiers.email.as_ref().map(Email::as_str).unwrap_or_default().to_owned()
}

fn phone(identifiers: &Identifiers) -> String {
    digits(identifiers.mobile.as_ref().map(Mobile::as_str).unwrap_or_default())
}

fn digits(e164: &str) -> String {
    e164.trim_start_matches('+').to_owned()
}

fn provider(address: &Address) -> &'static str {
    match address.channel() {
        Channel::Email => "email",
        Channel::Sms => "phone",
    }
}

/// The operator's claims, and by which addresses the account is proven.
fn app_metadata(claims: &JsonObject, providers: &[&str]) -> Value {
    let Value::Object(mut metadata) = json!(claims) else { return Value::Object(Map::new()) };
    if let Some(first) = providers.first() {
        metadata.insert("provider".to_owned(), json!(first));
    }
    metadata.insert("providers".to_owned(), json!(providers));
    Value::Object(metadata)
}

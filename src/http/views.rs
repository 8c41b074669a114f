//! What answers are made of.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{middleware::camel_case::Speech, problem::whole_seconds};
use crate::domain::{Email, IssuedCode, ListedSession, LoginId, Mobile, OpenedSession, User};

/// A code that is on its way.
#[derive(Serialize, ToSchema)]
#[schema(as = Verification)]
pub(super) struct CodeView {
    /// Only who registered sees it: absent where the request named an address alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_id: Option<Uuid>,
    #[schema(example = "registration")]
    purpose: &'static str,
    #[schema(example = "sms")]
    channel: &'static str,
    #[schema(example = "+91******3210")]
    destination: String,
    /// Seconds.
    #[schema(example = 300)]
    expires_in: u64,
    /// Seconds until a new code may be asked for.
    #[schema(example = 30)]
    resend_in: u64,
    #[schema(example = 6)]
    code_length: u32,
}

impl CodeView {
    pub(super) fn new(code: &IssuedCode, with_id: bool) -> Self {
        Self {
            verification_id: with_id.then_some(code.verification_id),
            purpose: code.purpose.as_str(),
            channel: code.destination.channel().as_str(),
            destination: code.destination.masked(),
            expires_in: code.expires_in.as_secs(),
            resend_in: whole_seconds(code.resend_in),
            code_length: code.code_length,
        }
    }
}

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserView {
    id: Uuid,
    #[schema(example = "ann@example.com")]
    email: Option<String>,
    email_verified: bool,
    #[schema(example = "+919876543210")]
    mobile: Option<String>,
    mobile_verified: bool,
    login_id: Option<String>,
    name: Option<String>,
    #[schema(example = "en-IN")]
    locale: Option<String>,
    is_active: bool,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-21T18:36:00Z")]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-21T18:36:00Z")]
    updated_at: String,
    #[serde(flatten)]
    #[schema(ignore)]
    older: Option<OlderUser>,
}

/// What older clients look for beside it.
#[derive(Serialize)]
struct OlderUser {
    mobile_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_time: Option<String>,
}

impl UserView {
    pub(super) fn new(user: &User, speech: &Speech) -> Self {
        let mobile_number = |rules| user.mobile.as_ref().map(|mobile| mobile.as_typed_in(rules).to_owned());
        let older = |rules| OlderUser { mobile_number: mobile_number(rules), login_time: None };
        Self {
            older: speech.0.as_ref().map(older),
            id: user.id,
            email: user.email.as_ref().map(Email::as_str).map(str::to_owned),
            email_verified: user.email_verified,
            mobile: user.mobile.as_ref().map(Mobile::as_str).map(str::to_owned),
            mobile_verified: user.mobile_verified,
            login_id: user.login_id.as_ref().map(LoginId::as_str).map(str::to_owned),
            name: user.name.clone(),
            locale: user.locale.clone(),
            is_active: user.disabled_at.is_none(),
            created_at: user.created_at.to_string(),
            updated_at: user.updated_at.to_string(),
        }
    }
}

/// A session just opened.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    /// A JWT (RFC 9068), for `Authorization: Bearer`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schema(example = 1800)]
    expires_in: u64,
    refresh_token: String,
    /// Seconds.
    #[schema(example = 2_592_000)]
    refresh_expires_in: u64,
    user: UserView,
    #[serde(flatten)]
    #[schema(ignore)]
    older: Option<OlderTokens>,
}

/// What older clients look for beside it.
#[derive(Serialize)]
struct OlderTokens {
    status: &'static str,
    message: &'static str,
    token: String,
}

impl TokenAnswer {
    pub(super) fn new(opened: OpenedSession, speech: &Speech) -> Self {
        let mut user = UserView::new(&opened.user, speech);
        if let Some(older) = &mut user.older {
            older.login_time = Some(opened.opened_at.to_string());
        }
        let older = || OlderTokens { status: "success", message: "Logged in.", token: opened.access_token.clone() };
        Self {
            older: speech.0.as_ref().map(|_| older()),
            access_token: opened.access_token,
            token_type: "Bearer",
            expires_in: opened.access_expires_in.as_secs(),
            refresh_token: opened.refresh_token,
            refresh_expires_in: opened.refresh_expires_in.as_secs(),
            user,
        }
    }
}

/// An account and nothing else.
#[derive(Serialize, ToSchema)]
pub(super) struct UserAnswer {
    pub(super) user: UserView,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionView {
    id: Uuid,
    /// The one whose token this call was made with.
    current: bool,
    user_agent: Option<String>,
    #[schema(example = "192.0.2.7")]
    address: Option<String>,
    /// RFC 3339, UTC.
    created_at: String,
    /// RFC 3339, UTC.
    last_used_at: String,
}

pub(super) fn session_views(listed: Vec<ListedSession>, current: Option<Uuid>) -> Vec<SessionView> {
    let view = |session: ListedSession| SessionView {
        id: session.id,
        current: Some(session.id) == current,
        user_agent: session.user_agent,
        address: session.address,
        created_at: session.created_at.to_string(),
        last_used_at: session.last_used_at.to_string(),
    };
    listed.into_iter().map(view).collect()
}

//! Response bodies.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    extract::compat::Compat,
    open_enum::{ChannelName, PurposeName, VerificationState},
    problem::whole_seconds,
};
use crate::{
    domain::{
        AuditLine, Email, Identifiers, IssuedCode, JsonObject, LoginId, Mobile, SessionSummary, SessionTokens,
        Timestamp, User, Verification,
    },
    puzzles::Puzzle,
};

/// A verification, whose code is on its way.
#[derive(Serialize, ToSchema)]
#[schema(as = Verification)]
pub(super) struct VerificationView {
    /// Send it with the code: only the caller of this request knows it.
    verification_id: Uuid,
    #[serde(flatten)]
    code: CodeView,
}

/// A verification, with its id only if the request named it.
#[derive(Serialize, ToSchema)]
#[schema(as = ResentVerification)]
pub(super) struct ResentVerificationView {
    /// Absent if the request named an address alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_id: Option<Uuid>,
    #[serde(flatten)]
    code: CodeView,
}

/// A code that is on its way.
#[derive(Serialize, ToSchema)]
#[schema(as = Code)]
pub(super) struct CodeView {
    #[schema(example = "registration")]
    purpose: PurposeName,
    #[schema(example = "sms")]
    channel: ChannelName,
    /// Where it goes, masked.
    #[schema(example = "+91******3210")]
    destination: String,
    /// Seconds until the code expires.
    #[schema(example = 300)]
    expires_in: u64,
    /// Seconds until a new code may be requested.
    #[schema(example = 30)]
    resend_in: u64,
    /// How many digits the code has.
    #[schema(example = 6)]
    code_length: u32,
}

impl From<&IssuedCode> for CodeView {
    fn from(code: &IssuedCode) -> Self {
        Self {
            purpose: PurposeName(code.purpose.as_str()),
            channel: ChannelName(code.destination.channel().as_str()),
            destination: code.destination.masked(),
            expires_in: code.expires_in.as_secs(),
            resend_in: whole_seconds(code.resend_in),
            code_length: code.code_length,
        }
    }
}

impl From<&IssuedCode> for VerificationView {
    fn from(code: &IssuedCode) -> Self {
        Self { verification_id: code.verification_id, code: code.into() }
    }
}

impl ResentVerificationView {
    pub(super) fn new(code: &IssuedCode, with_id: bool) -> Self {
        Self { verification_id: with_id.then_some(code.verification_id), code: code.into() }
    }
}

/// A task to be solved first: ALTCHA's proof of work, or a provider's widget.
#[derive(Serialize, ToSchema)]
#[schema(as = Challenge)]
#[serde(tag = "kind")]
pub(super) enum ChallengeView {
    /// ALTCHA's challenge, version 2. The solution is base64 of `{challenge: {parameters, signature}, solution:
    /// {counter, derivedKey}}`; it is good for this address and network, once, for five minutes.
    #[serde(rename = "pow")]
    ProofOfWork {
        /// Send them back as they are.
        #[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
        parameters: serde_json::Value,
        signature: String,
    },
    /// The solution is the token that the widget gives.
    #[serde(rename = "siteverify")]
    SiteVerify {
        site_key: String,
        #[schema(example = "turnstile")]
        provider: String,
    },
}

impl From<&Puzzle> for ChallengeView {
    fn from(puzzle: &Puzzle) -> Self {
        match puzzle.clone() {
            Puzzle::ProofOfWork { parameters, signature } => Self::ProofOfWork { parameters, signature },
            Puzzle::SiteVerify { site_key, provider } => Self::SiteVerify { site_key, provider },
        }
    }
}

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
#[expect(clippy::struct_excessive_bools, reason = "the contract's")]
pub(super) struct UserView {
    id: Uuid,
    #[schema(example = "ann@example.com")]
    email: Option<String>,
    email_verified: bool,
    /// E.164.
    #[schema(example = "+919876543210")]
    mobile: Option<String>,
    mobile_verified: bool,
    #[schema(example = "ann.b")]
    login_id: Option<String>,
    #[schema(example = "Ann B.")]
    name: Option<String>,
    /// A BCP 47 tag.
    #[schema(example = "en-IN")]
    locale: Option<String>,
    /// The person's own object; the app decides what it means.
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>, example = json!({"nickname": "Annie"}))]
    data: JsonObject,
    /// The operator's object, which access tokens hold too.
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>, example = json!({"role": "editor"}))]
    claims: JsonObject,
    /// Whether it can be logged in to by a password.
    has_password: bool,
    is_active: bool,
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T18:36:00Z")]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T18:36:00Z")]
    updated_at: Timestamp,
    #[serde(flatten)]
    #[schema(ignore)]
    compat: Option<CompatUser>,
}

/// Fields that older clients read.
#[derive(Serialize)]
struct CompatUser {
    mobile_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_time: Option<Timestamp>,
}

impl UserView {
    pub(super) fn new(user: &User, compat: &Compat) -> Self {
        let Identifiers { email, mobile, login_id } = &user.identifiers;
        let mobile_number = |rules| mobile.as_ref().map(|mobile| mobile.as_typed_in(rules).to_owned());
        Self {
            compat: compat.0.as_ref().map(|rules| CompatUser { mobile_number: mobile_number(rules), login_time: None }),
            id: user.id,
            email: email.as_ref().map(Email::as_str).map(str::to_owned),
            email_verified: user.email_verified,
            mobile: mobile.as_ref().map(Mobile::as_str).map(str::to_owned),
            mobile_verified: user.mobile_verified,
            login_id: login_id.as_ref().map(LoginId::as_str).map(str::to_owned),
            name: user.name.clone(),
            locale: user.locale.clone(),
            data: user.data.clone(),
            claims: user.claims.clone(),
            has_password: user.password_hash.is_some(),
            is_active: user.disabled_at.is_none(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenResponse {
    /// A JWT (RFC 9068), for `Authorization: Bearer`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token expires.
    #[schema(example = 1800)]
    expires_in: u64,
    /// An opaque token, for one refresh.
    refresh_token: String,
    /// Seconds until the refresh token expires.
    #[schema(example = 2_592_000)]
    refresh_expires_in: u64,
    /// Whether this call made the account.
    is_new: bool,
    user: UserView,
    #[serde(flatten)]
    #[schema(ignore)]
    compat: Option<CompatTokens>,
}

/// Fields that older clients read.
#[derive(Serialize)]
struct CompatTokens {
    status: &'static str,
    message: &'static str,
    token: String,
}

impl TokenResponse {
    pub(super) fn new(tokens: SessionTokens, compat: &Compat) -> Self {
        let mut user = UserView::new(&tokens.user, compat);
        if let Some(compat) = &mut user.compat {
            compat.login_time = Some(tokens.opened_at);
        }
        let token = || tokens.access_token.clone();
        let older = || CompatTokens { status: "success", message: "Logged in.", token: token() };
        Self {
            compat: compat.0.as_ref().map(|_| older()),
            access_token: tokens.access_token,
            token_type: "Bearer",
            expires_in: tokens.access_expires_in.as_secs(),
            refresh_token: tokens.refresh_token,
            refresh_expires_in: tokens.refresh_expires_in.as_secs(),
            is_new: tokens.is_new,
            user,
        }
    }
}

/// An account and nothing else.
#[derive(Serialize, ToSchema)]
pub(super) struct UserResponse {
    pub(super) user: UserView,
}

/// A session, as its owner sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionView {
    /// The `sid` of its access tokens.
    id: Uuid,
    /// Whether it is the session of this request's token.
    current: bool,
    /// The `User-Agent` of the login.
    user_agent: Option<String>,
    /// The IP address of the login.
    #[schema(example = "192.0.2.7")]
    address: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its tokens were last renewed.
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
}

impl SessionView {
    pub(super) fn list(sessions: Vec<SessionSummary>, current: Option<Uuid>) -> Vec<Self> {
        let view = |session: SessionSummary| Self {
            id: session.id,
            current: Some(session.id) == current,
            user_agent: session.user_agent,
            address: session.ip,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
        };
        sessions.into_iter().map(view).collect()
    }
}

/// A line of the audit.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLine)]
pub(super) struct AuditLineView {
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T18:36:00Z")]
    at: Timestamp,
    #[schema(example = "logged_in")]
    kind: &'static str,
    #[schema(example = "password")]
    outcome: String,
    /// A provider's answer.
    detail: Option<String>,
    user_id: Option<Uuid>,
    /// Masked.
    destination: Option<String>,
    verification_id: Option<Uuid>,
    client: Option<String>,
    user_agent: Option<String>,
    provider: Option<String>,
    /// The provider's own id of the message.
    reference: Option<String>,
    /// Milliseconds that the provider took.
    took_ms: Option<i32>,
    /// How often within the hour; more than once for refusals alone.
    times: i32,
}

impl From<&AuditLine> for AuditLineView {
    fn from(line: &AuditLine) -> Self {
        Self {
            at: line.at,
            kind: line.kind.as_str(),
            outcome: line.outcome.clone(),
            detail: line.detail.clone(),
            user_id: line.user_id,
            destination: line.destination.clone(),
            verification_id: line.verification_id,
            client: line.client.clone(),
            user_agent: line.user_agent.clone(),
            provider: line.provider.clone(),
            reference: line.reference.clone(),
            took_ms: line.took_ms,
            times: line.times,
        }
    }
}

/// A message that went to the person.
#[derive(Serialize, ToSchema)]
#[schema(as = SentMessage)]
pub(super) struct SentMessageView {
    #[schema(example = "login")]
    purpose: PurposeName,
    #[schema(example = "sms")]
    channel: ChannelName,
    /// Masked.
    destination: String,
    #[schema(example = "sent")]
    state: VerificationState,
    #[schema(value_type = String, format = DateTime, example = "2026-11-21T18:36:00Z")]
    issued_at: Timestamp,
}

impl From<&Verification> for SentMessageView {
    fn from(verification: &Verification) -> Self {
        Self {
            purpose: PurposeName(verification.purpose.as_str()),
            channel: ChannelName(verification.destination.channel().as_str()),
            destination: verification.destination.masked(),
            state: VerificationState(verification.state.as_str()),
            issued_at: verification.issued_at,
        }
    }
}

/// All that is kept of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = Export)]
pub(super) struct ExportView {
    pub(super) user: UserView,
    pub(super) sessions: Vec<SessionView>,
    /// The codes of the last day.
    pub(super) messages: Vec<SentMessageView>,
    pub(super) audit: Vec<AuditLineView>,
}

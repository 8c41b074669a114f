//! The audit: what happened to an account or an address.

use uuid::Uuid;

use super::{Address, Client, ContactChange, Event, EventKind, LoginMethod, Reason, Timestamp};

/// Something that happened to an account or an address, and through whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: AuditKind,
    /// How it ended, or why; a word.
    pub outcome: String,
    /// For people: a provider's answer.
    pub detail: Option<String>,
    /// The account.
    pub user_id: Option<Uuid>,
    /// SHA-256 of the address.
    pub destination_hash: Option<Vec<u8>>,
    /// The address, masked.
    pub destination: Option<String>,
    /// The verification.
    pub verification_id: Option<Uuid>,
    /// The client's IP address or network, as the log shows it.
    pub client: Option<String>,
    /// Its `User-Agent` header.
    pub user_agent: Option<String>,
    /// The provider that was tried.
    pub provider: Option<String>,
    /// The provider's own id of the message.
    pub reference: Option<String>,
    /// How long the provider took.
    pub took_ms: Option<i32>,
    /// How often it happened within the hour: more than once for refusals alone.
    pub times: i32,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal,)+) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum AuditKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl AuditKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The name in the database and on the command line.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// A code was issued; the outcome is its purpose.
    CodeIssued = "code_issued",
    /// A limit refused a request; the outcome is its policy.
    Refused = "refused",
    /// A provider took the message.
    HandedOver = "handed_over",
    /// The message ended without a provider.
    NotDelivered = "not_delivered",
    /// The provider reported what became of it.
    Reported = "reported",
    /// A wrong code was presented; the outcome is its purpose.
    WrongCode = "wrong_code",
    /// The code was right.
    Verified = "verified",
    /// An account was created.
    AccountCreated = "account_created",
    /// A session was opened; the outcome is the method.
    LoggedIn = "logged_in",
    /// A login failed; the outcome is the method.
    LoginFailed = "login_failed",
    /// A password was judged beside a login; the outcome is `right` or `wrong`.
    PasswordJudged = "password_judged",
    /// One or all sessions were revoked; the outcome is the reason.
    SessionsRevoked = "sessions_revoked",
    /// The password was replaced; the outcome is the reason.
    PasswordChanged = "password_changed",
    /// The email or the mobile was replaced; the outcome is the channel.
    ContactChanged = "contact_changed",
    /// The email or the mobile was removed; the outcome is the channel.
    ContactRemoved = "contact_removed",
    /// The email or the mobile was suspended; the outcome is the channel.
    ContactSuspended = "contact_suspended",
    /// The account was deleted.
    AccountDeleted = "account_deleted",
    /// An operator's command; the outcome names it.
    Command = "command",
    /// Never stored: a kind that only a newer version knows.
    Unknown = "unknown",
}

impl AuditKind {
    /// Parses the name; `None` for a kind that only a newer version knows.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// Through whom, and about which address, something happened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// `None`: an operator, or the service itself.
    pub client: Option<&'a Client>,
    /// The operator's command, which has a line of its own.
    pub command: Option<&'static str>,
    /// The address.
    pub destination: Option<&'a Address>,
}

impl<'a> Origin<'a> {
    /// Of this client's request.
    pub fn client(client: &'a Client) -> Self {
        Self { client: Some(client), ..Self::default() }
    }

    /// Of this command of an operator.
    pub fn command(name: &'static str) -> Self {
        Self { command: Some(name), ..Self::default() }
    }

    /// About this address.
    #[must_use]
    pub fn about(self, destination: &'a Address) -> Self {
        Self { destination: Some(destination), ..self }
    }
}

impl AuditLine {
    /// A line of this kind.
    pub fn new(kind: AuditKind, outcome: impl Into<String>, origin: Origin<'_>, at: Timestamp) -> Self {
        Self {
            at,
            kind,
            outcome: outcome.into(),
            detail: None,
            user_id: None,
            destination_hash: origin.destination.map(|address| address.hash().as_bytes().to_vec()),
            destination: origin.destination.map(Address::masked),
            verification_id: None,
            client: origin.client.map(|client| client.shown.clone()),
            user_agent: origin.client.and_then(|client| client.user_agent.clone()),
            provider: None,
            reference: None,
            took_ms: None,
            times: 1,
        }
    }

    /// The line of an operator's command, about an account if it is about one alone.
    pub fn command(name: &str, user_id: Option<Uuid>, origin: Origin<'_>, at: Timestamp) -> Self {
        Self { user_id, ..Self::new(AuditKind::Command, name, origin, at) }
    }

    /// As the account's owner may see it: whoever failed, or asked before it was the account, may be somebody else.
    #[must_use]
    pub fn for_owner(self) -> Self {
        let is_own = self.user_id.is_some() && !matches!(self.kind, AuditKind::WrongCode | AuditKind::LoginFailed);
        if is_own { self } else { Self { client: None, user_agent: None, ..self } }
    }

    /// Without everything that names an account or an address.
    #[must_use]
    pub fn nameless(self) -> Self {
        Self { kind: self.kind, outcome: self.outcome, ..Self::new(self.kind, "", Origin::default(), self.at) }
    }

    /// The lines of a transaction's events, and of the command that they come of.
    pub fn of_events(events: &[Event], origin: Origin<'_>, at: Timestamp) -> Vec<Self> {
        let mut lines: Vec<Self> = events.iter().filter_map(|event| Self::of_event(&event.kind, origin, at)).collect();
        if let Some(name) = origin.command {
            let first = lines.first().and_then(|line| line.user_id);
            let user_id = first.filter(|_| lines.iter().all(|line| line.user_id == first));
            lines.push(Self::command(name, user_id, origin, at));
        }
        lines
    }

    /// The line of an event; none where another line tells the same.
    pub fn of_event(event: &EventKind, origin: Origin<'_>, at: Timestamp) -> Option<Self> {
        let method = |method: &LoginMethod| match method {
            LoginMethod::Password => "password",
            LoginMethod::Code => "code",
        };
        let (kind, outcome) = match event {
            // Its code was issued; the others are about no account and no address.
            EventKind::RegistrationRequested { .. }
            | EventKind::CeilingReached { .. }
            | EventKind::WrongCodesReached { .. } => return None,
            EventKind::UserRegistered { .. } => (AuditKind::AccountCreated, "done"),
            EventKind::UserActivated { channel, .. } => {
                (AuditKind::Verified, (*channel)?.as_str()) // an operator's account has proven nothing
            }
            EventKind::UserLoggedIn { method: by, .. } => (AuditKind::LoggedIn, method(by)),
            EventKind::LoginFailed { method: by, .. } => (AuditKind::LoginFailed, method(by)),
            EventKind::SessionRevoked { reason, .. } => (AuditKind::SessionsRevoked, reason.as_str()),
            EventKind::PasswordChanged { reason, .. } => (AuditKind::PasswordChanged, reason.as_str()),
            EventKind::ContactChanged { channel, change, .. } => {
                let kind = match change {
                    ContactChange::Replaced => AuditKind::ContactChanged,
                    ContactChange::Removed => AuditKind::ContactRemoved,
                    ContactChange::Suspended => AuditKind::ContactSuspended,
                };
                (kind, channel.as_str())
            }
            EventKind::UserDeleted { .. } => (AuditKind::AccountDeleted, "done"),
        };
        let is_deletion = kind == AuditKind::AccountDeleted;
        let line = Self::new(kind, outcome, if is_deletion { Origin::default() } else { origin }, at);
        Some(Self { user_id: event.user().filter(|_| !is_deletion), ..line })
    }
}

impl Reason {
    /// The name in events and in the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::LoggedOutAll => "logged_out_all",
            Self::Ended => "ended",
            Self::Crowded => "crowded",
            Self::Reused => "reused",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::Disabled => "disabled",
        }
    }
}

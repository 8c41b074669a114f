use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a code is for; one of another purpose never works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Registration,
    Login,
    PasswordReset,
    ContactChange,
}

impl Purpose {
    pub const ALL: [Self; 4] = [Self::Registration, Self::Login, Self::PasswordReset, Self::ContactChange];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Login => "login",
            Self::PasswordReset => "password_reset",
            Self::ContactChange => "contact_change",
        }
    }

    /// Anybody may ask for such a code by an address; nothing may tell them whether it is known.
    pub fn is_asked_by_strangers(self) -> bool {
        matches!(self, Self::Login | Self::PasswordReset)
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// How long codes are, how long they live, and how many wrong tries each takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodePolicy {
    pub digits: u32,
    pub ttl: Duration,
    /// Once for who presents the `verification_id`, and as many again for who does not.
    pub tries: u32,
}

impl CodePolicy {
    /// Codes this short need more than the address to be guessed at: the id, or a password.
    pub fn needs_id(&self) -> bool {
        self.digits < 6
    }
}

//! The purposes of codes, and the policy of each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The use of a code; one of another purpose never works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To activate an account.
    Registration,
    /// To log in.
    Login,
    /// To set a new password.
    PasswordReset,
    /// To confirm a new email or mobile.
    ContactChange,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 4] = [Self::Registration, Self::Login, Self::PasswordReset, Self::ContactChange];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Login => "login",
            Self::PasswordReset => "password_reset",
            Self::ContactChange => "contact_change",
        }
    }

    /// Whether anyone may request such a code for an address; nothing may then tell whether an account has it.
    pub fn is_open_to_strangers(self) -> bool {
        matches!(self, Self::Login | Self::PasswordReset)
    }

    /// The addresses that such a code goes to, unless it may make an account.
    pub fn reach(self) -> Reach {
        if self.is_open_to_strangers() { Reach::ProvenAddresses } else { Reach::AnyAddress }
    }

    /// Parses the name; `None` for a purpose that only a newer version knows.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// The addresses that a code goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Whatever address is named: who names many of them causes many messages.
    AnyAddress,
    /// Those that an account has proven.
    ProvenAddresses,
}

/// The length of codes, how long they live, and how many wrong attempts each allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodePolicy {
    /// 4 to 10.
    pub digits: u32,
    /// NIST SP 800-63B (rev. 4, 3.1.3) accepts at most ten minutes for an out-of-band secret.
    pub ttl: Duration,
    /// For callers that present the `verification_id`, and as many again for those that do not.
    pub tries: u32,
}

impl CodePolicy {
    /// Whether codes are so short that the address alone is not enough to guess at them: the caller must
    /// present the id, or the password.
    pub fn needs_id(&self) -> bool {
        self.digits < 6
    }
}

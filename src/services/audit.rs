//! The audit, as operators and the person concerned read it.

use crate::{
    domain::{Address, AuditKind, AuditLine, DAY, Timestamp, User},
    engine::Core,
    error::Error,
    store::StoredMessage,
};

/// Reads the audit.
#[derive(Clone)]
pub struct AuditService {
    pub(crate) core: Core,
}

/// What happened to an address within the last day.
#[derive(Debug)]
pub struct Timeline {
    /// The lines, the oldest first.
    pub lines: Vec<AuditLine>,
    /// The messages that still wait for a provider.
    pub waiting: Vec<StoredMessage>,
    /// What to do.
    pub advice: String,
}

/// The lines that one answer holds.
const LINES: i64 = 1_000;

impl AuditService {
    /// The newest lines about an account, or about all, the oldest first.
    pub async fn lines(&self, user: Option<&User>) -> Result<Vec<AuditLine>, Error> {
        let mut reader = self.core.store.read().await?;
        Ok(match user {
            Some(user) => reader.audit_of_user(user, LINES).await?,
            None => reader.newest_audit(Timestamp::default(), LINES).await?,
        })
    }

    /// Why a code did not arrive: what happened to an address within the last day, and what to do.
    pub async fn why(&self, address: &Address) -> Result<Timeline, Error> {
        let mut reader = self.core.store.read().await?;
        let since = self.core.now().minus(DAY);
        let lines = reader.audit_of_destination(&address.hash(), since, LINES).await?;
        let waiting = reader.waiting_for(&address.hash()).await?;
        let advice = advice(&lines, waiting.last());
        Ok(Timeline { lines, waiting, advice })
    }
}

fn advice(lines: &[AuditLine], waiting: Option<&StoredMessage>) -> String {
    if let Some(message) = waiting {
        return match (&message.provider, &message.last_error) {
            (Some(provider), Some(error)) => format!(
                "{provider} did not take the message ({error}); it is tried again at {}. A second provider of the channel would take over.",
                message.due_at
            ),
            _ => "The message has not been tried yet: is a server running, and can it reach the database?".to_owned(),
        };
    }
    // A notice tells nothing about a code.
    let is_notice = |line: &AuditLine| {
        let is_of_message = matches!(line.kind, AuditKind::HandedOver | AuditKind::NotDelivered | AuditKind::Reported);
        is_of_message && line.verification_id.is_none()
    };
    let Some(last) = lines.iter().rev().find(|line| !is_notice(line)) else {
        return "Nothing was asked for this address within a day: does the client call the API, with this address?"
            .to_owned();
    };
    let at = last.at;
    let provider = last.provider.as_deref().unwrap_or("the provider");
    let detail = last.detail.as_deref().unwrap_or("no reason was given");
    match last.kind {
        AuditKind::CodeIssued => format!("The code was issued at {at}, and its message has gone: see the log of that time."),
        AuditKind::Refused if last.outcome == "account_exists" => {
            "An account has proven this address already: log in, or reset the password.".to_owned()
        }
        AuditKind::Refused => format!(
            "The limit {} refused the last request. `enroll limits lift` resets those of the address, never those of a client.",
            last.outcome
        ),
        AuditKind::HandedOver => handed_over(last, provider),
        AuditKind::NotDelivered if last.outcome == "nobody" => {
            "No account has proven this address, so its codes for login and recovery go to nobody. The caller is not told.".to_owned()
        }
        AuditKind::NotDelivered if last.outcome == "expired" => {
            format!("The code ended before {provider} took it ({detail}).")
        }
        AuditKind::NotDelivered => format!("{provider} refused it for good ({detail}): another address, or another provider."),
        AuditKind::Reported if last.outcome == "delivered" => {
            format!("{provider} reports that it arrived, at {at}; it was not typed in since.")
        }
        AuditKind::Reported => format!("{provider} reports that it did not arrive: offer the person another channel."),
        AuditKind::WrongCode => {
            format!("A wrong code was typed at {at}: an older message, or a mistake. A new code ends the older one.")
        }
        _ => format!("All is well: the last thing that happened is {}, at {at}.", last.kind.as_str()),
    }
}

fn handed_over(line: &AuditLine, provider: &str) -> String {
    if provider == "console" {
        return format!(
            "The server printed it to its standard output at {}: the provider `console` sends nothing.",
            line.at
        );
    }
    let took = line.took_ms.map(|ms| format!(" within {ms} ms")).unwrap_or_default();
    let ask = line.reference.as_ref().map(|id| format!(" for {id}")).unwrap_or_default();
    format!(
        "{provider} took it at {}{took}, and nothing has come back since: ask {provider}{ask}. \
         `enroll deliveries stats` shows whether codes to that country come back at all.",
        line.at
    )
}

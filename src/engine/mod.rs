//! What use cases share: issuing and checking codes, passwords, rate limits, the event log.

pub(crate) mod code_checker;
pub(crate) mod code_issuer;
mod event_log;
mod notices;
pub(crate) mod passwords;
pub(crate) mod rate_limits;
mod readiness;
pub(crate) mod reauthentication;
pub(crate) mod retry;
mod session_opener;
pub(crate) mod verification_ref;

pub use code_checker::{Guessing, Proof};
pub use code_issuer::{CodeSettings, Issuer, live_code};
pub use event_log::Journal;
pub use notices::Notices;
pub use passwords::{BasicCredentials, Credentials};
pub use rate_limits::{LimitSettings, Throttle};
pub use readiness::Readiness;
pub use reauthentication::{CurrentPassword, Reauthentication};
pub use session_opener::{SessionOpener, SessionSettings};
pub use verification_ref::Which;

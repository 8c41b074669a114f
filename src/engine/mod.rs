//! The mechanisms that use cases share: issuing and checking codes, passwords, rate limits, sessions, the event
//! log.

mod code_checker;
mod code_issuer;
mod core;
mod deferred;
mod event_log;
mod gauges;
mod notices;
mod password_checker;
mod password_writer;
mod rate_limits;
mod readiness;
mod retry;
mod session_opener;
mod session_turns;
mod verification_ref;
mod verification_watch;

pub use self::core::{Actor, Core};
pub(crate) use code_checker::Subject;
pub use code_checker::{CodeChecker, CodeSubmission};
pub use code_issuer::{CodeIssuer, CodeSettings, live_code};
pub(crate) use code_issuer::{InactiveCode, NewCode};
pub use deferred::{DeferredLines, DeferredReceivers};
pub(crate) use event_log::EVENT_SEAL;
pub use event_log::EventLog;
pub use gauges::Gauges;
pub use notices::Notices;
pub use password_checker::{BasicCredentials, CurrentPassword, PasswordChecker};
pub(crate) use password_checker::{Freshness, PasswordOwner};
pub(crate) use password_writer::NewPassword;
pub use password_writer::PasswordWriter;
pub(crate) use rate_limits::{IDENTIFIER_FAILURES, PasswordAttempt};
pub use rate_limits::{LimitSettings, RateLimits};
pub use readiness::Readiness;
pub(crate) use retry::once_on_conflict;
pub use session_opener::{SessionOpener, SessionSettings};
pub use session_turns::SessionTurns;
pub use verification_ref::VerificationRef;
pub use verification_watch::VerificationWatch;

//! The rules. A method runs in one order: limits, hashing, judging the code, then one transaction
//! with its outbox rows, then waking the worker. Nothing slow or remote happens inside a transaction.

mod accounts;
mod asking;
mod contacts;
mod credentials;
mod deliveries;
mod guessing;
mod issuing;
mod journal;
mod login;
mod notices;
mod profile;
mod reauthentication;
mod recovery;
mod registration;
mod reports;
mod resending;
mod sessions;
mod status;
mod throttle;
mod twice;
mod verification;

pub use crate::store::{Change, ListedSession};

pub use accounts::{Accounts, Person, Plan};
pub use asking::{Asked, AskingService};
pub use contacts::ContactService;
pub use credentials::{BasicCredentials, Credentials};
pub use deliveries::{Deliveries, ListedMessage};
pub use guessing::{Guessing, Proof};
pub use issuing::{CodeSettings, Issuer};
pub use journal::Journal;
pub use login::{Identifier, LoginService};
pub use notices::Notices;
pub use profile::ProfileService;
pub use reauthentication::{CurrentPassword, Reauthentication};
pub use recovery::RecoveryService;
pub use registration::{NewRegistration, Registered, RegistrationService};
pub use reports::ReportService;
pub use resending::{Resend, ResendService, Which};
pub use sessions::{SessionSettings, Sessions};
pub use status::{StatusService, VerificationStatus};
pub use throttle::{LimitSettings, Throttle};
pub use verification::VerificationService;

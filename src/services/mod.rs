//! The rules. A method runs in one order: limits, hashing, judging the code, then one transaction
//! with its outbox rows, then waking the worker. Nothing slow or remote happens inside a transaction.

mod account_import;
mod accounts;
mod code_request;
mod contacts;
mod deliveries;
mod login;
mod profile;
mod recovery;
mod registration;
mod resend;
mod sessions;
mod verification;
mod verification_status;

pub use account_import::Plan;
pub use accounts::{Accounts, Person};
pub use code_request::{Asked, AskingService};
pub use contacts::ContactService;
pub use deliveries::{Deliveries, ListedMessage};
pub use login::{Identifier, LoginService};
pub use profile::ProfileService;
pub use recovery::RecoveryService;
pub use registration::{NewRegistration, Registered, RegistrationService};
pub use resend::{Resend, ResendService};
pub use sessions::Sessions;
pub use verification::VerificationService;
pub use verification_status::{StatusService, VerificationStatus};

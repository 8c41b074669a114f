//! The rules. A method runs in one order: limits, hashing, judging the code, then one transaction
//! with its outbox rows, then waking the worker. Nothing slow or remote happens inside a transaction.

mod credentials;
mod issuing;
mod login;
mod profile;
mod registration;
mod resending;
mod sessions;
mod status;
mod throttle;
mod verification;

pub use crate::store::Change;

pub use credentials::{BasicCredentials, Credentials};
pub use issuing::{CodeSettings, Issuer};
pub use login::{Identifier, LoginService};
pub use profile::ProfileService;
pub use registration::{NewRegistration, Registered, RegistrationService};
pub use resending::{Resend, ResendService, WhichRegistration};
pub use sessions::{SessionSettings, Sessions};
pub use status::{StatusService, VerificationStatus};
pub use throttle::{LimitSettings, Throttle};
pub use verification::{Proof, VerificationService};

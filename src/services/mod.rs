//! Use cases. A method runs in one order: limits, hashing, judging the code, then one transaction with its outbox
//! rows, then waking the worker. Nothing slow or remote happens inside a transaction, and nothing is visible
//! outside before its commit.

mod abuse;
mod account_import;
mod accounts;
mod address_codes;
mod audit;
mod code_login;
mod code_request;
mod contacts;
mod deliveries;
mod idempotency;
mod login;
mod profile;
mod recovery;
mod registration;
mod resend;
mod sessions;
mod verification;
mod verification_status;

pub use abuse::{AbuseService, HeldPrefix, Replayed};
pub use account_import::{ImportConflict, ImportPlan};
pub use accounts::AccountService;
pub use address_codes::AddressCodeService;
pub use audit::{AuditService, Timeline};
pub use code_login::CodeLoginService;
pub use code_request::{CodeRequest, CodeRequestService, Newcomer};
pub use contacts::ContactService;
pub use deliveries::{DeliveryService, EventSummary, MessageSummary};
pub use idempotency::{IdempotencyService, RequestKey};
pub use login::LoginService;
pub use profile::{AccountExport, ProfileService};
pub use recovery::RecoveryService;
pub use registration::{NewRegistration, PendingRegistration, RegistrationService};
pub use resend::{ResendService, ResentCode};
pub use sessions::SessionService;
pub use verification::VerificationService;
pub use verification_status::{StatusService, VerificationStatus, Wait};

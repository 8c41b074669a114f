//! Values and entities: parsed once at the edge, and below every other room.
//!
//! Nothing here knows HTTP, SQL or Redis. A value that exists is valid, and its `Debug` never shows a secret
//! or a whole address.

mod account_details;
mod address;
mod audit;
mod client;
mod clock;
mod code;
mod code_history;
mod common_passwords;
mod dependency;
mod destination;
mod digest;
mod email;
mod event;
mod field_error;
pub mod guard;
mod identifiers;
mod json;
mod login_id;
mod message;
mod mobile;
mod password;
mod profile;
mod purpose;
mod quota;
mod random;
mod registration;
mod registration_rules;
mod session;
mod test_identities;
mod timestamp;
mod user;
mod verification;

pub use account_details::AccountDetails;
pub use address::{Address, Channel};
pub use audit::{AuditKind, AuditLine, Origin};
pub use client::{Client, KNOWN_FOR, site_hash, site_of};
pub use clock::{Clock, MovableClock, SystemClock};
pub use code::OneTimeCode;
pub use code_history::{CodeHistory, FailedAttempt, FailedAttempts};
pub use dependency::{Dependency, Unavailable};
pub use destination::{DestinationHash, DestinationRecord, Way};
pub use digest::{hex, sha256};
pub use email::Email;
pub use event::{ContactChange, EVENT_TYPES, Event, EventKind, EventSink, EventUser, LoginMethod, Reason};
pub use field_error::{FieldCode, FieldError};
pub use identifiers::{Identifier, Identifiers, TakenIdentifier};
pub use json::{BEYOND_DOUBLE, DataUpdate, JsonObject, parse_json};
pub use login_id::LoginId;
pub use message::{CodeMessage, MessagePayload, Notice, NoticeKind, message_owner};
pub use mobile::{Mobile, PhoneRules, Region};
pub use password::Password;
pub use profile::{FieldUpdate, Locale, PersonName};
pub use purpose::{CodePolicy, Purpose};
pub use quota::{DAY, DAY_MS, Quota, RateLimit, RateLimitError};
pub use random::{OsRandom, Random};
pub use registration::Registration;
pub use registration_rules::RegistrationRules;
pub use session::{NewSession, RefreshToken, Session, SessionSummary, SessionTokens};
pub use test_identities::{TestIdentities, TestIdentity};
pub use timestamp::Timestamp;
pub use user::User;
pub use verification::{Challenge, DeliveryState, Holder, IssuedCode, Verification};

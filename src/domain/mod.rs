//! What the service talks about, and nothing of ours below it: values are parsed once, at the edge.

mod address;
mod client;
mod clock;
mod code;
mod common_passwords;
mod email;
mod event;
mod field;
mod login_id;
mod message;
mod mobile;
mod password;
mod policy;
mod profile;
mod random;
mod records;
mod sending;
mod timestamp;
mod unavailable;
mod window;

pub use address::{Address, Channel};
pub use client::Client;
pub use clock::{Clock, MovableClock, SystemClock};
pub use code::OneTimeCode;
pub use email::Email;
pub use event::{Event, Happening, Method, Reason};
pub use field::{FieldCode, FieldError};
pub use login_id::LoginId;
pub use message::{CodeMessage, Notice, NoticeKind, Outgoing};
pub use mobile::{Mobile, PhoneRules, Region};
pub use password::Password;
pub use policy::{CodePolicy, Purpose};
pub use profile::{Locale, PersonName};
pub use random::{OsRandom, Random};
pub use records::{
    DeliveryState, Holder, IssuedCode, OpenedSession, RefreshToken, Registration, Session, User, Verification,
};
pub use sending::{Guess, GuessHistory, History, Send};
pub use timestamp::Timestamp;
pub use unavailable::{Part, Unavailable};
pub use window::{DAY, DAY_MILLIS, Window, Windows, WindowsError};

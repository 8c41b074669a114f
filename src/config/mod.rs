//! Every setting, typed, with its default and its check. Only this module reads the environment.
//!
//! Defaults, then `enroll.toml`, then `.env`, then the environment; a name that is not known stops
//! the start, and all problems are told at once.

mod reader;
mod settings;
mod sources;

pub use reader::Problem;
pub use settings::{AddressHeader, EmailProvider, LogFormat, NotifySettings, ServerSettings, Settings, SmsProvider};
pub use sources::Sources;

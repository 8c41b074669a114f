//! Every setting, typed, with its default and its check. Only this module reads the environment.
//!
//! Defaults come first, then `enroll.toml`, then `.env`, then the environment; an unknown name stops the start, and
//! all problems are reported at once.

mod abuse;
#[cfg(test)]
mod budgets;
mod codes_and_limits;
mod events;
mod notify;
mod reader;
mod secrets;
mod settings;
mod sources;
mod test_identities;
#[cfg(test)]
mod tests;
mod warnings;

pub use abuse::AbuseSettings;
pub use events::EventSettings;
pub use notify::{NotifySettings, ProviderSettings};
pub use reader::Problem;
pub use settings::{LogFormat, Settings};
pub use sources::Sources;

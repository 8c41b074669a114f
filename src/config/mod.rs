//! Every setting, typed, with its default and its check. Only this module reads the environment.
//!
//! Defaults, then `enroll.toml`, then `.env`, then the environment; a name that is not known stops
//! the start, and all problems are told at once.

mod later;
mod notify;
mod reader;
mod secrets;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod warnings;

pub use notify::{NotifySettings, ProviderSettings};
pub use reader::Problem;
pub use settings::{LogFormat, Settings};
pub use sources::Sources;

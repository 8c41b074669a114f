//! The outside parts that the service needs.

use std::fmt;

/// An outside part that the service needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dependency {
    /// The database.
    Sql,
    /// The code store and the limiter of a fleet.
    Redis,
    /// The in-memory code store or limiter, which is full.
    Memory,
}

/// The name that `/readyz` and the log show.
impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sql => "sql",
            Self::Redis => "redis",
            Self::Memory => "memory",
        })
    }
}

/// A dependency failed at a call, which may succeed later.
#[derive(Debug, thiserror::Error)]
#[error("{dependency} is unavailable: {cause:#}")]
pub struct Unavailable {
    /// The dependency that failed.
    pub dependency: Dependency,
    /// For the log; it may name hosts and statements.
    pub cause: anyhow::Error,
}

impl Unavailable {
    /// A failure of `dependency`, and its cause.
    pub fn new(dependency: Dependency, cause: impl Into<anyhow::Error>) -> Self {
        Self { dependency, cause: cause.into() }
    }
}

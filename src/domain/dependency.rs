use std::fmt;

/// A part that the service needs and does not own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Sql,
    Redis,
    /// The in-memory code store is full.
    Memory,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sql => "sql",
            Self::Redis => "redis",
            Self::Memory => "memory",
        })
    }
}

/// A part did not do what it was asked, and may do it later.
#[derive(Debug, thiserror::Error)]
#[error("{part} is unavailable: {cause:#}")]
pub struct Unavailable {
    pub part: Part,
    pub cause: anyhow::Error,
}

impl Unavailable {
    pub fn new(part: Part, cause: impl Into<anyhow::Error>) -> Self {
        Self { part, cause: cause.into() }
    }
}
